"""Embeddings of whole sets with the network in training, and the acceptance threshold from held-back people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.progress import track

from emgait_ros.config import DecisionConfig, WindowConfig
from emgait_ros.datasets.sequences import SequenceSet
from emgait_ros.emgaitnet.model import EMGaitNet
from emgait_ros.gallery.calibration import share_interval
from emgait_ros.gallery.matcher import Matcher
from emgait_ros.samples import Float32, Float64, Int64, Modality
from emgait_ros.training.config import CalibrationConfig
from emgait_ros.training.loop import autocast, collate

FRAMES_AT_ONCE = 64
MARGIN_LOSS = 0.02  # share of rightly recognised walks the margin may cost


@dataclass(frozen=True)
class DecisionLimits:
    """Calibrated limits of a bundle and what they rest on (for its manifest)."""

    threshold: float
    min_margin: float
    facts: dict[str, Any]


@torch.no_grad()
def embed(network: EMGaitNet, data: SequenceSet, windows: list[Int64], precision: str = "fp32") -> Float32:
    """Embeddings of windows, each a list of frame numbers of ``data``: (W, parts, d) float32.

    Every frame is encoded once, whatever windows it is in.
    """
    network.eval()
    frames = np.unique(np.concatenate(windows))
    batches = track(encode(network, data, frames, precision), "encoding", math.ceil(len(frames) / FRAMES_AT_ONCE))
    image, point = (torch.cat(found) for found in zip(*batches, strict=True))
    found = []
    for window in windows:
        rows = np.searchsorted(frames, window)
        mask = torch.ones(1, len(rows), dtype=torch.bool)
        with autocast(precision):
            found.append(network.sequence(image[rows][None].float(), point[rows][None].float(), mask).float())
    return np.asarray(torch.cat(found).numpy(), np.float32)


@torch.no_grad()
def encode(
    network: EMGaitNet, data: SequenceSet, frames: Int64, precision: str = "fp32", clip_features: Float32 | None = None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Features of single frames, a few dozen at a time: (N, S, d), in bfloat16 with "bf16", and (N, d).

    Args:
        clip_features: (F, E) of all frames of ``data``, where they have been computed before.
    """
    kept = torch.bfloat16 if precision == "bf16" else torch.float32
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        batch = collate(data, frames[None, start : start + FRAMES_AT_ONCE], clip_features)
        given = [getattr(batch, name) for name in ("crops", "points", "has_image", "has_points", "clip_features")]
        with autocast(precision):
            image, point = network.frame(*(None if part is None else part[0] for part in given))
        yield image.to(kept), point.float()


def reference_samples(data: SequenceSet, count: int = 6) -> dict[str, torch.Tensor]:
    """Frames spread over a set, one without image and one without points: what a bundle's engines are checked with."""
    frames = np.linspace(0, data.frames - 1, count).astype(np.int64)
    batch = collate(data, frames[None])
    samples = {name: getattr(batch, name)[0].clone() for name in ("crops", "points", "has_image", "has_points")}
    for row, (data_name, has_name) in enumerate((("crops", "has_image"), ("points", "has_points")), 1):
        samples[data_name][row], samples[has_name][row] = 0.0, False
    return samples


def whole_sequences(data: SequenceSet, frames: int | None = None) -> list[Int64]:
    """One window a sequence: its first ``frames`` frames, or all."""
    ends = data.start[1:] if frames is None else np.minimum(data.start[1:], data.start[:-1] + frames)
    return [np.arange(start, end) for start, end in zip(data.start[:-1], ends, strict=True)]


def calibrate(
    network: EMGaitNet, data: SequenceSet, config: CalibrationConfig, precision: str = "fp32"
) -> DecisionLimits:
    """Threshold and margin for windows and templates as the live recognizer makes them.

    Galleries of ``config.gallery_size`` people are drawn again and again; each enrols one walk 0 (the whole window and
    its pieces). Their other walks are genuine tracks, all other people's walks are strangers'. A track's distance is the
    smallest over its windows of 10, 20 and 30 samples: that is what a name would be given for.

    Args:
        data: people never trained on; walk 0 is enrolled, the others are probes.

    Raises:
        ValueError: too few people.
    """
    names = np.unique(data.identity)
    if len(names) < 2 * config.gallery_size:
        raise ValueError(
            f"calibration data holds {len(names)} people: galleries of {config.gallery_size} need at least {2 * config.gallery_size}"
        )
    enrolments = [int(np.flatnonzero((data.identity == name) & (data.walk == 0))[0]) for name in names]
    probes = np.flatnonzero(data.walk != 0)
    templates = [_pieces(data, number) for number in enrolments]
    windows = [_windows(data, int(number)) for number in probes]
    embedding = embed(network, data, [w for group in (*templates, *windows) for w in group], precision)
    template_groups, probe_groups = (
        _grouped(embedding, templates),
        _grouped(embedding[sum(map(len, templates)) :], windows),
    )
    distance = _track_distances(template_groups, probe_groups)  # (probes, people)
    return _limits(distance, np.searchsorted(names, data.identity[probes]), config)


def _limits(distance: Float64, owner: Int64, config: CalibrationConfig) -> DecisionLimits:
    """Limits from distances (probes, people) and whose each probe is."""
    rng = np.random.default_rng(0)
    people = distance.shape[1]
    strangers, right_distance, right_margin, wrong = [], [], [], 0
    for _ in range(config.galleries):
        gallery = np.sort(rng.choice(people, config.gallery_size, replace=False))
        enrolled = np.isin(owner, gallery)
        near = np.sort(distance[:, gallery], axis=1)
        nearest = gallery[distance[:, gallery].argmin(axis=1)]
        right = enrolled & (nearest == owner)
        strangers.append(near[~enrolled, 0])
        right_distance.append(near[right, 0])
        right_margin.append((near[:, 1] - near[:, 0])[right])
        wrong += int((enrolled & ~right).sum())
    impostor, genuine = np.sort(np.concatenate(strangers)), np.concatenate(right_distance)
    threshold = float(impostor[int(np.floor(config.false_accept_rate * len(impostor)))])
    accepted = genuine < threshold
    margins = np.concatenate(right_margin)[accepted]
    tried = len(genuine) + wrong
    share = int(accepted.sum()) / max(tried, 1)
    tracks = len(owner)
    facts = {
        "false_accept_rate": config.false_accept_rate,
        "rule": "pooled quantile of strangers' nearest distances over drawn galleries",
        "people": people,
        "stranger_tracks": tracks,
        "gallery_size": config.gallery_size,
        "galleries": config.galleries,
        "genuine_tracks": tracks,
        "true_accept_rate": round(share, 4),
        "true_accept_interval95": [round(v, 4) for v in share_interval(round(share * tracks), tracks)],
        "wrong_nearest_rate": round(wrong / max(tried, 1), 4),
        "windows": list(window_lengths()),
    }
    return DecisionLimits(threshold, float(np.quantile(margins, MARGIN_LOSS)) if len(margins) else 0.0, facts)


def window_lengths() -> tuple[int, ...]:
    """Samples of a live window when it first speaks, half-way, and full."""
    live = WindowConfig()
    return (live.min_samples, (live.min_samples + live.max_samples) // 2, live.max_samples)


def _windows(data: SequenceSet, sequence: int) -> list[Int64]:
    start, end = int(data.start[sequence]), int(data.start[sequence + 1])
    return [np.arange(start, min(start + length, end)) for length in window_lengths()]


def _pieces(data: SequenceSet, sequence: int) -> list[Int64]:
    """The newest full window and its equal pieces, as enrolment stores them."""
    live = WindowConfig()
    frames = np.arange(
        max(int(data.start[sequence]), int(data.start[sequence + 1]) - live.max_samples), int(data.start[sequence + 1])
    )
    pieces = len(frames) // live.min_samples
    return [frames, *(np.array_split(frames, pieces) if pieces > 1 else [])]


def _grouped(embedding: Float32, groups: list[list[Int64]]) -> list[Float32]:
    ends = np.cumsum([len(group) for group in groups])
    return np.split(embedding[: ends[-1]], ends[:-1])


def _track_distances(templates: list[Float32], probes: list[Float32]) -> Float64:
    """(probes, people) smallest distance over each probe's windows, as the gallery's matcher measures it."""
    matcher = Matcher(DecisionConfig().templates_per_identity)
    for person, embedding in enumerate(templates):
        matcher.replace(person, str(person), embedding, np.full(len(embedding), int(Modality.BOTH)))
    found = [matcher.search(windows, [Modality.BOTH] * len(windows)) for windows in probes]
    order = np.argsort(found[0].identity_id)
    return np.stack([matches.distance.min(axis=0)[order] for matches in found]).astype(np.float64)
