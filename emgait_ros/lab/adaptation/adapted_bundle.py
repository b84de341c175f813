"""A bundle with its linear part refitted to a place, under a fingerprint and a threshold of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emgait_ros.config import DecisionConfig
from emgait_ros.emgaitnet.export import write_bundle
from emgait_ros.emgaitnet.extensions import on_sphere
from emgait_ros.inference.bundle import Bundle
from emgait_ros.lab.adaptation.refit import Refit, refit
from emgait_ros.lab.adaptation.tracks import ReadTracks, TraitReader
from emgait_ros.lab.training.measurement import DecisionLimits, limits_of
from emgait_ros.lab.training.recipe import CalibrationConfig
from emgait_ros.recognition.replay import WalkWindows
from emgait_ros.samples import Float32, Modality

FRAME_INPUTS = ("crops", "points", "has_image", "has_points")
FEWEST_TRACKS = 40  # with two windows each: on LReID 20 raised Rank-1 and made mAP and EER worse
FEWEST_SECONDS = 60.0
MOST_WITHIN = 0.85  # of the variance: on LReID 0.56, on copies of one person 1
FEWEST_STRANGERS = 100  # tracks, for a rate of 1 %


def check_enough(tracks: ReadTracks) -> None:
    """Raise ValueError, with what was found and what is needed, unless there is enough to learn from."""
    count = np.unique(tracks.seen.track, return_counts=True)[1]
    several = int((count > 1).sum())
    if several < FEWEST_TRACKS or tracks.seconds < FEWEST_SECONDS:
        raise ValueError(
            f"{several} tracks of two windows or more, {tracks.seconds:.0f} s of walking in all: adapting needs {FEWEST_TRACKS} tracks, of 3 s "
            f"or more each, of as many people as possible, and {FEWEST_SECONDS:.0f} s; give more or longer recordings"
        )


def adapt(
    bundle: Bundle, reader: TraitReader, tracks: ReadTracks, out_dir: Path, name: str, source: str, local_only: str = ""
) -> tuple[Bundle, dict[str, Any]]:
    """Refit, calibrate and write the bundle ``out_dir / name``; returns it, and what was found, for ``--json``.

    Args:
        bundle: the one that is adapted; ``reader`` is of it and is changed.
        tracks: of the place, read by ``reader``.
        out_dir, name: where it goes.
        source: where the tracks come from, in words.
        local_only: why the new weights must not be passed on; empty: they may be.

    Raises:
        ValueError: too little to learn from.
    """
    check_enough(tracks)
    fitted = refit(tracks.seen)
    if fitted.within > MOST_WITHIN:
        raise ValueError(
            f"these tracks differ hardly more than windows of one track do ({fitted.within:.0%} of the variance is within tracks): are they "
            "of one person? Give recordings in which many people walk"
        )
    put(reader, fitted)
    limits, why_not = calibrated(reader, fitted, tracks)
    facts = {
        "adapted_from": bundle.fingerprint,
        "tracks": tracks.seen.tracks,
        "seconds": round(tracks.seconds, 1),
        "sensors": "LiDAR and camera" if tracks.sensors == Modality.BOTH else "LiDAR alone",
        "source": source,
        "variance_within_tracks": round(fitted.within, 3),
        "no_threshold_because": why_not or None,
    }
    reference = bundle.reference().feeds()
    made = write_bundle(
        reader.network,
        out_dir,
        name,
        bundle.preprocessing,
        threshold=limits.threshold if limits else None,
        min_margin=limits.min_margin if limits else None,
        calibration=limits.facts if limits else None,
        training={**(bundle.manifest["training"] or {}), "adapted": facts, "recipe": _recipe(bundle, local_only)},
        card=_card(name, bundle, facts, limits),
        licence=f"not to be passed on: {local_only}" if local_only else str(bundle.manifest["licence"]),
        samples={key: torch.from_numpy(reference[key]) for key in FRAME_INPUTS},
        clip_stride=bundle.clip_stride,
        clip_precision=bundle.clip_precision,
    )
    return made, {"fingerprint": made.fingerprint, "threshold": made.threshold, "min_margin": made.min_margin, **facts}


@torch.no_grad()
def put(reader: TraitReader, fitted: Refit) -> None:
    """Compose the refit with the network's own linear map, in place."""
    tell, used = reader.network.sequence.moments.tell, torch.from_numpy(reader.used)
    turn, offset = torch.from_numpy(fitted.matrix.T), torch.from_numpy(fitted.offset)
    weight, bias = turn @ tell.weight[used].double(), turn @ tell.bias[used].double() + offset
    tell.weight[used], tell.bias[used] = weight.float(), bias.float()
    if not reader.used[-1]:
        tell.bias[-1] = fitted.constant
    if len(fitted.alone_offset):
        assert reader.network.frame.points_alone is not None  # noqa: S101
        alone = reader.network.frame.points_alone.tell
        turn, offset = torch.from_numpy(fitted.alone_matrix.T), torch.from_numpy(fitted.alone_offset)
        weight, bias = turn @ alone.weight.double(), turn @ alone.bias.double() + offset
        alone.weight[:], alone.bias[:] = weight.float(), bias.float()


@torch.no_grad()
def adapted(reader: TraitReader, fitted: Refit, read: Float32) -> Float32:
    """(W, P, width) embeddings of what ``TraitReader.embed`` gave (W, 1, width + A + 1) before the refit."""
    width = len(reader.used)
    found, alone, share = np.split(read.astype(np.float64), [width, width + reader.alone], axis=2)
    found[..., reader.used] = found[..., reader.used] @ fitted.matrix + fitted.offset
    if not reader.used[-1]:
        found[..., -1] = fitted.constant
    embedding = on_sphere(torch.from_numpy(found))
    if reader.network.sequence.alone is None:
        return np.asarray(embedding.numpy(), np.float32)
    if len(fitted.alone_offset):
        alone = alone @ fitted.alone_matrix + share * fitted.alone_offset
    every, part = torch.ones(len(found), 1, dtype=torch.bool), torch.from_numpy(share)
    by_points = reader.network.sequence.alone(embedding, torch.from_numpy(alone), every)
    return np.asarray(torch.where(part > 0, part * by_points + (1 - part) * embedding, by_points).numpy(), np.float32)


def calibrated(reader: TraitReader, fitted: Refit, tracks: ReadTracks) -> tuple[DecisionLimits | None, str]:
    """Limits by the rule of every bundle, each track a person of its own; or why there are none.

    Who comes back counts as a stranger who is like somebody enrolled, so that the threshold is rather too strict. The promise is one for strangers before the same sensor.
    """
    if len(tracks.walks) < FEWEST_STRANGERS:
        return None, (
            f"{len(tracks.walks)} tracks of one sensor are long enough to be enrolled and met again: a rate of 1 % takes {FEWEST_STRANGERS}. "
            "`emgait gallery calibrate --bags` finds a threshold for a gallery"
        )
    alike = (Modality.BOTH,)  # templates and walks are of the same sensors, whatever these are
    walks = [_adapted_walk(reader, fitted, walk, alike) for walk in tracks.walks]
    templates = [adapted(reader, fitted, group) for group in tracks.templates]
    limits = limits_of(templates, walks, np.arange(len(walks)), CalibrationConfig(galleries=10))
    factor = 1.0 if tracks.sensors == Modality.BOTH else DecisionConfig().one_sensor_factor
    return dataclasses.replace(limits, threshold=limits.threshold / factor), ""


def _adapted_walk(reader: TraitReader, fitted: Refit, walk: WalkWindows, sensors: tuple[Modality, ...]) -> WalkWindows:
    return dataclasses.replace(
        walk, embedding=adapted(reader, fitted, walk.embedding), modalities=sensors * len(walk.samples)
    )


def _recipe(bundle: Bundle, local_only: str) -> dict[str, Any]:
    recipe = dict((bundle.manifest["training"] or {}).get("recipe") or {})
    return {**recipe, "local_only": local_only} if local_only else recipe


def _card(name: str, bundle: Bundle, facts: dict[str, Any], limits: DecisionLimits | None) -> str:
    decision = (
        f"Threshold {limits.threshold:.3f}, smallest margin {limits.min_margin:.3f}: false-accept rate {limits.facts['false_accept_rate']:.0%} for "
        f"galleries of {limits.facts['gallery_size']} people, from {limits.facts['people']} of these tracks, each taken for another person; "
        "first halves enrolled, second halves met. People who came back make it stricter than it need be."
        if limits
        else f"No threshold: {facts['no_threshold_because']}."
    )
    return f"""# {name}

Bundle '{bundle.name}' ({bundle.fingerprint[:12]}) with the linear part of its embedding refitted to a place (`emgait adapt`), without labels:
{facts["tracks"]} tracks, {facts["seconds"]:g} s, {facts["sensors"]}; {facts["source"]}. Templates of other fingerprints are not compared with it.

{decision}
"""
