"""The model card of a bundle: what it was trained on, how, and what was measured, from the run's own records."""

from __future__ import annotations

import math
from typing import Any

from emgait_ros.emgaitnet.model import EMGaitNet
from emgait_ros.lab.training.measurement import DecisionLimits
from emgait_ros.lab.training.recipe import TrainingConfig


def model_card(config: TrainingConfig, network: EMGaitNet, training: dict[str, Any], limits: DecisionLimits) -> str:
    """Markdown."""
    model, train, seconds = config.emgaitnet, config.train, training["seconds"]
    learnt = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    whole = sum(parameter.numel() for parameter in network.parameters())
    facts = limits.facts
    if config.local_only:
        return _local_card(config, network, training, limits)
    return f"""# {config.name}

EMGaitNet (arXiv 2603.14189), width {model.width}, {model.embedding_parts} {"part" if model.embedding_parts == 1 else "parts"}, {model.points} points, {learnt:,} trained of {whole:,} parameters.

{label(network)}

**Trained on simulated people only.** No real person, walk, LiDAR cloud or image was used for these weights, so every figure
below says how well simulated people are told apart. How well real people are is not known.

## Training

- Command: `{training["command"]}`
- People: {train.identities} simulated identities (numbers {train.first_identity} to {train.first_identity + train.identities - 1} of population {config.population}), {train.walks} walks each, in other clothes, {train.sequences} views and ranges a walk, {train.ranges_m[0]:g} to {train.ranges_m[1]:g} m, {train.frames} frames a sequence; conditions normal, bag, coat, night, occlusion.
- {_steps_line(config)}
- {_start_line(config)}
- CLIP: {_clip_line(config)}
- Time, s: {", ".join(f"{stage} {value:g}" for stage, value in seconds.items())}; machine: {training["machine"]}.

## Measured on {training["measured"]["identities"]} simulated identities never trained on

Gallery: walk 0 at 10 m. Probes: another walk (other clothes, another day) at 20 to 50 m, compared with every gallery view but
their own. Rank-1 in percent with 95 % interval over identities.

{_table(training["measured"])}

DIR: enrolled people's probes at 10 to 30 m that get the right name at a false-accept rate of 1 %, half of the people enrolled.
`emgait evaluate dataset sim` measures the published test set with the exported bundle.

## Decision

Threshold {limits.threshold:.3f}, smallest margin {limits.min_margin:.3f}: false-accept rate {facts["false_accept_rate"]:.0%} ({facts["false_accept_interval95"][0]:.1%} to {facts["false_accept_interval95"][1]:.1%}) for galleries of {facts["gallery_size"]} people, from
{facts["stranger_tracks"]} walks of {facts["people"]} other simulated people in {facts["galleries"]} drawn galleries, decided on as live (a window at every
sample from {facts["samples"][0]} to {facts["samples"][1]}, agreement, margin); templates as enrolment makes them. A walk is accepted when it is ever given a
name. Of {facts["genuine_tracks"]} walks of enrolled people {facts["true_accept_rate"]:.0%} are recognised ({facts["true_accept_interval95"][0]:.0%} to {facts["true_accept_interval95"][1]:.0%}). Larger galleries need a stricter threshold.

Licence of the weights: Apache-2.0.
"""


def _local_card(config: TrainingConfig, network: EMGaitNet, training: dict[str, Any], limits: DecisionLimits) -> str:
    """Of weights that stay where they were made."""
    measured = training["measured"]
    return f"""# {config.name}

**Not to be passed on**: {config.local_only}.

{label(network)}

- Command: `{training["command"]}`
- {_steps_line(config)}
- {_start_line(config)}

Measured on {measured["identities"]} people never trained on, {measured["probes"]} probes: {measured.get("protocol", "see the data set")}.

{_table(measured)}

Threshold {limits.threshold:.3f}, smallest margin {limits.min_margin:.3f}, from {limits.facts["people"]} of these people.
"""


def label(network: EMGaitNet) -> str:
    """What of the paper's network decides who is who in these weights, read off the weights themselves."""
    config, head = network.config, network.sequence
    if not config.use_moments:
        return (
            "The paper's network: the embedding is HPP's, after ST."
            if config.use_st
            else "The paper's network without ST."
        )
    if config.use_hpp and bool(head.part_weight.any()):
        return "The paper's head (ST, HPP) and, beside it, moments over time, which are not in the paper, make the embedding."
    used = int((head.moments.tell.weight.any(dim=1) | head.moments.tell.bias.bool()).sum())
    lacks = (
        "ST and HPP are not read (`sequence.part_weight` is zero)" if config.use_hpp else "There is neither ST nor HPP"
    )
    alone = (
        f" For windows without a picture it has {config.alone_parts} further vectors, a linear map of the mean of the frame features, fitted in closed "
        "form to simulated people before LiDARs of many kinds; these are not in the paper either."
        if config.alone_parts
        else ""
    )
    return (
        f"**Not the paper's network in full.** {lacks}, and the head ignores the point features. The embedding is a linear map, "
        "fitted in closed form, from moments over time of the frame features to the traits that the simulator gives its walkers; this is not "
        f"in the paper. Of its {config.width} numbers {used} are not zero.{alone}"
    )


def _steps_line(config: TrainingConfig) -> str:
    asked, pose_pretraining, parts = config.optimization, config.pose_pretraining, []
    if pose_pretraining.steps:
        parts.append(
            f"{pose_pretraining.steps} steps of {pose_pretraining.frames} single frames of pose pretraining (Muon, Adam; {pose_pretraining.learning_rate:g})"
            f"{_text_part(config)}"
        )
    if asked.plda_initialization:
        parts.append(f"traits predicted in closed form from {config.auxiliary_identities.identities} other people")
    if getattr(config.model, "alone_parts", 0):
        parts.append(
            f"points alone fitted in closed form to {config.passes.identities} people passing {config.passes.sensors} LiDARs"
        )
    sequences = f"{asked.steps} steps of {asked.identities} x {asked.sequences} sequences x {asked.frames} frames (Adam; {asked.learning_rate:g})"
    parts.append(sequences if asked.steps else "no steps on sequences")
    return f"{', then '.join(parts)}. {asked.precision}, seed {config.seed}."


def _text_part(config: TrainingConfig) -> str:
    if not config.emgaitnet.use_sga:
        return ""
    text = "SeMi's text" if config.emgaitnet.use_semi else "the parts' names"
    return f", with {text} through SGA after {math.ceil(config.pose_pretraining.text_after * config.pose_pretraining.steps)}"


def _start_line(config: TrainingConfig) -> str:
    asked = config.optimization
    if asked.steps:
        known = f"poses {asked.pose_weight:g}, traits {asked.trait_weight:g}, relations {asked.relation_weight:g}"
        losses = f"triplet {asked.triplet_weight:g}, cross-entropy {asked.cross_entropy_weight:g}, {known}"
    else:
        losses = "joints in the axes of the points, their cells in the picture, traits"
    began = f"Began with the weights of `{config.start_from}`. " if config.start_from else ""
    return f"{began}Losses: {losses} (what the simulator knows of its walkers)."


def _clip_line(config: TrainingConfig) -> str:
    clip = config.emgaitnet.clip
    if not config.emgaitnet.use_semi:
        return "none"
    if not config.clip.steps:
        return f"{clip.architecture or 'own'}, weights '{clip.pretrained or 'random'}', frozen."
    return f"a small one, pretrained for {config.clip.steps} steps of {config.clip.batch} simulated pictures with captions (build, clothes, parts, view), then frozen."


def _table(measured: dict[str, Any]) -> str:
    columns = [name for name in measured["EMGaitNet"] if not name.endswith("_ci95") and "view" not in name]
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, figures in measured.items():
        if isinstance(figures, dict):
            cells = [f"{figures[c]:.1f} ({figures[c + '_ci95'][0]:.0f}-{figures[c + '_ci95'][1]:.0f})" for c in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
