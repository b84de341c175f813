"""Embeddings of whole sets with the network in training, and the acceptance threshold from held-back people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.progress import track

from emgait_ros.config import DecisionConfig, WindowConfig
from emgait_ros.inference.bundle import sensors_of
from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.evaluation.gallery_calibration import growing_windows, matcher_of, window_samples
from emgait_ros.lab.systems.parts import GaitSystem
from emgait_ros.lab.systems.registry import Network
from emgait_ros.lab.training.inputs import plain_inputs
from emgait_ros.lab.training.loop import autocast, collate
from emgait_ros.lab.training.recipe import CalibrationConfig
from emgait_ros.recognition.calibration import share_interval
from emgait_ros.recognition.replay import Replay, WalkWindows
from emgait_ros.samples import Float32, Int64, Modality

FRAMES_AT_ONCE = 64
WINDOWS_AT_ONCE = 32
SYSTEM_WINDOWS = 64
RULE = "pooled quantile over drawn galleries of the thresholds at which the live decision names strangers"
MARGIN_LOSS = 0.02  # share of rightly recognised walks the margin may cost


@dataclass(frozen=True)
class DecisionLimits:
    """Calibrated limits of a bundle and what they rest on (for its manifest)."""

    threshold: float
    min_margin: float
    facts: dict[str, Any]


@torch.no_grad()
def embed(network: Network, data: SequenceSet, windows: list[Int64], precision: str = "fp32") -> Float32:
    """Embeddings of windows, each a list of frame numbers of ``data``: (W, parts, d) float32.

    Every frame is encoded once, whatever windows it is in.
    """
    network.eval()
    if (
        isinstance(network, GaitSystem) and len(windows) > SYSTEM_WINDOWS
    ):  # its features of all frames would fill the memory
        groups = [windows[start : start + SYSTEM_WINDOWS] for start in range(0, len(windows), SYSTEM_WINDOWS)]
        return np.concatenate([embed(network, data, group, precision) for group in track(groups, "embedding")])
    frames = np.unique(np.concatenate(windows))
    if isinstance(network, GaitSystem):
        features = [torch.cat(found) for found in zip(*_system_features(network, data, frames, precision), strict=True)]
    else:
        batches = track(encode(network, data, frames, precision), "encoding", math.ceil(len(frames) / FRAMES_AT_ONCE))
        features = [torch.cat(found) for found in zip(*batches, strict=True)]
    lengths = np.array([len(window) for window in windows])
    order, found = np.argsort(lengths, kind="stable"), np.empty(len(windows), object)
    for same in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):  # windows of one length share batches
        for chosen in np.split(same, range(WINDOWS_AT_ONCE, len(same), WINDOWS_AT_ONCE)):
            rows = np.searchsorted(frames, np.stack([windows[number] for number in chosen]))
            with autocast(precision):
                given = [values[rows].float() for values in features]
                batch = network.sequence(*given, torch.ones(rows.shape, dtype=torch.bool))
            found[chosen] = list(batch.float().numpy())
    return np.stack(list(found)).astype(np.float32)


@torch.no_grad()
def encode(
    network: Network, data: SequenceSet, frames: Int64, precision: str = "fp32", clip_features: Float32 | None = None
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


def _system_features(
    network: GaitSystem, data: SequenceSet, frames: Int64, precision: str
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Features of single frames of another network than EMGaitNet, a few dozen at a time, float32."""
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        with autocast(precision):
            found = network.frame(**plain_inputs(data, frames[start : start + FRAMES_AT_ONCE], network.inputs))
        yield tuple(values.float() for values in ((found,) if isinstance(found, torch.Tensor) else found))


def reference_samples(data: SequenceSet, count: int = 6, network: Network | None = None) -> dict[str, torch.Tensor]:
    """Frames spread over a set, one without image and one without points: what a bundle's engines are checked with."""
    frames = np.linspace(0, data.frames - 1, count).astype(np.int64)
    if isinstance(network, GaitSystem):
        return plain_inputs(data, frames, network.inputs)
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
    network: Network, data: SequenceSet, config: CalibrationConfig, precision: str = "fp32"
) -> DecisionLimits:
    """Threshold and margin for walks as the live recognizer decides on them: a window at every sample, agreement, margin.

    Galleries of ``config.gallery_size`` people are drawn again and again; each enrols one walk 0 (the whole window and
    its pieces). Their other walks are genuine tracks, all other people's walks are strangers'. A stranger's walk counts
    once for each gallery, as accepted when it is ever given a name.

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
    pieces = [_pieces(data, number) for number in enrolments]
    ends = np.cumsum([len(group) for group in pieces])
    templates = np.split(embed(network, data, [window for group in pieces for window in group], precision), ends[:-1])
    probes = np.flatnonzero(data.walk != 0)
    walks = [_walk(network, data, number, precision) for number in probes.tolist()]
    seen = Modality.BOTH if data.has_image.any() else Modality.POINTS
    owner = np.searchsorted(names, data.identity[probes])
    return limits_of(templates, walks, owner, config, _sensors(network), seen & _sensors(network))


def _walk(network: Network, data: SequenceSet, number: int, precision: str) -> WalkWindows:
    """The windows of one walk; a sample's features are its frame number, since a whole walk is encoded at once."""
    frames, live = np.arange(data.start[number], data.start[number + 1]), WindowConfig()
    return growing_windows(
        window_samples(data[number], frames.tolist(), live, _sensors(network)),
        live,
        lambda windows: embed(network, data, [np.array(window) for window in windows], precision),
    )


def limits_of(
    templates: Sequence[Float32],
    walks: Sequence[WalkWindows],
    owner: Int64,
    config: CalibrationConfig,
    sensors: Modality = Modality.BOTH,
    enrolled: Modality | None = None,
) -> DecisionLimits:
    """Limits from people's templates (parts, d), other walks, and the person (row of ``templates``) each walk is of.

    ``sensors`` are those the network looks at, ``enrolled`` those the templates were made with (None: the same).

    The margin is what few of the rightly recognised walks lack at the threshold that distances alone give; the threshold
    is then found with that margin. Walks too short for a window have no part in it.
    """
    enrolled = sensors if enrolled is None else enrolled
    kept = [row for row, walk in enumerate(walks) if walk.samples]
    walks, owner = [walks[row] for row in kept], owner[kept]
    rng = np.random.default_rng(0)
    galleries = [
        np.sort(rng.choice(len(templates), config.gallery_size, replace=False)) for _ in range(config.galleries)
    ]
    margin, near_enough = _margin(templates, walks, owner, galleries, config.false_accept_rate, enrolled)
    decision = DecisionConfig()
    played = [
        (
            Replay(matcher_of({row: templates[row] for row in gallery.tolist()}, enrolled), decision, margin, sensors),
            gallery,
        )
        for gallery in galleries
    ]
    strangers = np.sort(
        [
            against.naming_threshold(walk)
            for against, gallery in played
            for walk, person in zip(walks, owner, strict=True)
            if person not in gallery
        ]
    )
    rank = int(np.floor(config.false_accept_rate * len(strangers)))
    threshold = float(strangers[rank]) if np.isfinite(strangers[rank]) else near_enough
    genuine = [
        against.is_named(walk, threshold, int(person) + 1)
        for against, gallery in played
        for walk, person in zip(walks, owner, strict=True)
        if person in gallery
    ]
    share, tracks, people = float(np.mean(genuine)) if genuine else 0.0, len(owner), len(np.unique(owner))
    came_back = int(np.isin(owner, np.concatenate(galleries)).sum())
    interval = share_interval(round(config.false_accept_rate * people), people)  # walks of one person are alike
    facts = {
        "false_accept_rate": config.false_accept_rate,
        "false_accept_interval95": [round(v, 4) for v in interval],
        "rule": RULE,
        "people": people,
        "stranger_tracks": tracks,
        "gallery_size": config.gallery_size,
        "galleries": config.galleries,
        "genuine_tracks": came_back,
        "true_accept_rate": round(share, 4),
        "true_accept_interval95": [round(v, 4) for v in share_interval(round(share * came_back), came_back)],
        "samples": [WindowConfig().min_samples, max(walk.samples[-1] for walk in walks)],
    }
    return DecisionLimits(threshold, margin, facts)


def _margin(
    templates: Sequence[Float32],
    walks: Sequence[WalkWindows],
    owner: Int64,
    galleries: Sequence[Int64],
    false_accept_rate: float,
    sensors: Modality,
) -> tuple[float, float]:
    """Lead over the second that all but a few of the walks have that are nearest to the right person, and near.

    Near is below the second number: so few strangers' walks come that near, whatever the decision says.
    """
    matcher = matcher_of(dict(enumerate(templates)), sensors)
    columns = [matcher.columns[person + 1] for person in range(len(templates))]
    found = [matcher.search(walk.embedding, walk.modalities).distance.min(axis=0) for walk in walks]
    distance = np.stack(found)[:, columns]  # (walks, people)
    strangers, right = [], []
    for gallery in galleries:
        near, enrolled = np.sort(distance[:, gallery], axis=1), np.isin(owner, gallery)
        rightly = enrolled & (gallery[distance[:, gallery].argmin(axis=1)] == owner)
        strangers.append(near[~enrolled, 0])
        right.append(near[rightly, :2])
    impostor, two = np.sort(np.concatenate(strangers)), np.concatenate(right)
    near_enough = float(impostor[int(np.floor(false_accept_rate * len(impostor)))])
    leads = [second - first for first, second in two.tolist() if first < near_enough]
    return float(np.quantile(leads, MARGIN_LOSS)) if leads else 0.0, near_enough


def _sensors(network: Network) -> Modality:
    """Which sensors a network looks at."""
    return sensors_of(frozenset(network.inputs), getattr(network.config, "silhouette_source", ""))


def _pieces(data: SequenceSet, sequence: int) -> list[Int64]:
    """The newest full window and its equal pieces, as enrolment stores them."""
    live = WindowConfig()
    frames = np.arange(
        max(int(data.start[sequence]), int(data.start[sequence + 1]) - live.max_samples), int(data.start[sequence + 1])
    )
    pieces = len(frames) // live.min_samples
    return [frames, *(np.array_split(frames, pieces) if pieces > 1 else [])]
