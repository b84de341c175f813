"""A bundle with vectors for points alone, from one without: only these are fitted, everything else stays as it is."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from emgait_ros.emgaitnet.export import write_bundle
from emgait_ros.emgaitnet.fast import FastEMGaitNet
from emgait_ros.emgaitnet.weights import load_network
from emgait_ros.inference.bundle import REFERENCE, Bundle
from emgait_ros.inference.reference import read_reference
from emgait_ros.lab.simulated_supervision.alone_discriminant import STRANGERS, find_gain, fit_points_alone
from emgait_ros.lab.simulated_supervision.passes import PassesConfig
from emgait_ros.lab.training.recipe import CalibrationConfig

SECTION = "## Points alone"


def bundle_with_points_alone(
    bundle: Bundle,
    out_dir: Path,
    vectors: int,
    people: PassesConfig,
    runs: Path,
    strangers: PassesConfig = STRANGERS,
    workers: int = 1,
    command: str = "",
) -> Bundle:
    """Write ``out_dir / bundle.name``; an older bundle of that name is replaced.

    Args:
        bundle: whose embedding is made of moments over time alone, with a calibrated threshold.
        vectors: of the embedding, beside the one it has.
        people: who are fitted to; strangers: who find the gain.
        runs: folder of the simulated passes; those that are there are used.
        command: as typed, for the model card.

    Raises:
        ValueError: a bundle that has no threshold, or whose network cannot have such vectors.
    """
    if not bundle.threshold:
        raise ValueError(f"{bundle.folder} has no threshold: windows of points alone are scaled to fit it")
    network = _with_vectors(bundle, vectors)
    preprocessing = bundle.preprocessing
    fitted = fit_points_alone(network, preprocessing, people, runs / "passes", workers)
    gain = find_gain(
        network, preprocessing, bundle.threshold, runs / "strangers", CalibrationConfig(), strangers, workers
    )
    facts = {"command": command, "people": fitted, "passes": asdict(people), **gain}
    manifest = bundle.manifest
    return write_bundle(
        network,
        out_dir,
        bundle.name,
        preprocessing,
        threshold=bundle.threshold,
        min_margin=manifest["decision"]["min_margin"],
        calibration=manifest["decision"]["calibration"],
        training={**(manifest["training"] or {}), "points_alone": facts},
        card=_card(bundle.folder / "MODEL_CARD.md", facts, vectors),
        licence=manifest["licence"],
        samples=_samples(bundle),
    )


def _with_vectors(bundle: Bundle, vectors: int) -> FastEMGaitNet:
    """The bundle's network with untrained vectors for points alone."""
    older = load_network(bundle)
    try:
        config = dataclasses.replace(older.config, alone_parts=vectors)
    except ValueError as error:
        raise ValueError(f"{bundle.folder} cannot have vectors for points alone: {error}") from error
    network = FastEMGaitNet(config, load_pretrained=False)
    left = network.load_state_dict(
        {name: value for name, value in older.state_dict().items() if "alone" not in name}, strict=False
    )
    assert all("alone" in name for name in left.missing_keys)  # noqa: S101
    return network.eval()


def _samples(bundle: Bundle) -> dict[str, torch.Tensor]:
    """What the bundle's graphs were checked with."""
    feeds = read_reference(bundle.folder / REFERENCE).feeds()
    return {name: torch.from_numpy(feeds[name]) for name in ("crops", "points", "has_image", "has_points")}


def _card(path: Path, facts: dict[str, Any], vectors: int) -> str:
    """The bundle's card and a section on these vectors, instead of an older one."""
    text = path.read_text(encoding="utf-8").split(SECTION)[0].rstrip() if path.is_file() else ""
    passes = facts["passes"]
    return f"""{text}

{SECTION}

Of windows without a picture {vectors} further vectors of the embedding say who it is (`emgaitnet/extensions.py`, not in the paper); with one in every
frame they repeat the first. Fitted in closed form by `{facts["command"]}`: {facts["people"]} simulated people (from number {passes["first_identity"]} on), two
walks each, every walk before {passes["sensors"]} LiDARs at once, spinning and solid-state, with the errors of recordings and trackers.
No real person was used. Windows of points alone are scaled by {facts["gain"]:.3f}, so that at the threshold above strangers are named in {facts["false_accept_rate"]:.0%}
of their walks ({facts["stranger_tracks"]} walks of {facts["strangers"]} other people, simulated with the same errors, 5 s each; of enrolled people's walks of another day {facts["true_accept_rate"]:.0%} are recognised).
"""
