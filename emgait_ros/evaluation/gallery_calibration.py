"""The data behind a gallery's threshold: distances of genuine and of strangers' tracks, measured as the live system does.

A track counts once: with the smallest distance over its windows, because that is what a name would be given for. People
whose walks are used must not be enrolled (strangers), or not with these walks (genuine).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emgait_ros.config import DecisionConfig, WindowConfig
from emgait_ros.datasets.sequences import SequenceSet
from emgait_ros.gallery.calibration import Calibration, calibrate_threshold, fit_probability, share_interval
from emgait_ros.gallery.matcher import Matcher
from emgait_ros.gallery.records import TemplateSet
from emgait_ros.inference.preprocessing import FrameBatch
from emgait_ros.samples import Float32, Float64, Int64, Modality

FRAMES_AT_ONCE = 64
Progress = Callable[[float], None]


@dataclass(frozen=True)
class WalkedTracks:
    """Embeddings of S tracks.

    Attributes:
        identity, walk: (S,) int64. range_m: (S,) float32.
        windows: a list over the tracks of (W, parts, d), as the track grows.
        lengths: samples of those windows.
        templates: a list of (T, parts, d): what enrolling the track would store.
    """

    identity: Int64
    walk: Int64
    range_m: Float32
    windows: list[Float32]
    lengths: tuple[int, ...]
    templates: list[Float32]


def embed_tracks(
    encoder: Any, data: SequenceSet, window: WindowConfig, progress: Progress = lambda share: None
) -> WalkedTracks:
    """Run the network of a recognizer over sequences: every frame once, then windows as they grow and templates.

    Args:
        encoder: a :class:`emgait_ros.inference.encoder.GaitEncoder`.
        data: sequences of people, prepared with the encoder's preprocessing.
        window: as the recognizer uses it.
    """
    middle = (window.min_samples + window.max_samples) // 2
    lengths = tuple(sorted({window.min_samples, middle, window.max_samples}))
    windows, templates = [], []
    for sequence in range(len(data)):
        rows = np.arange(int(data.start[sequence]), int(data.start[sequence + 1]))
        features: list[Any] = []
        for start in range(0, len(rows), FRAMES_AT_ONCE):
            features += list(encoder.encode_frames(_batch(data, rows[start : start + FRAMES_AT_ONCE])))
        newest = features[-window.max_samples :]
        grown = [features[: min(length, len(features))] for length in lengths]
        pieces = len(newest) // window.min_samples
        parts = [list(part) for part in _split(newest, pieces)] if pieces > 1 else []
        embedded = encoder.embed([*grown, newest, *parts])
        windows.append(embedded[: len(grown)])
        templates.append(embedded[len(grown) :])
        progress((sequence + 1) / len(data))
    return WalkedTracks(data.identity, data.walk, data.range_m, windows, lengths, templates)


def _split(features: list[Any], pieces: int) -> list[list[Any]]:
    bounds = np.linspace(0, len(features), pieces + 1).astype(int)
    return [features[start:end] for start, end in itertools.pairwise(bounds)]


def _batch(data: SequenceSet, rows: Int64) -> FrameBatch:
    crops = np.ascontiguousarray(data.crops[rows].transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    has = data.has_image[rows], data.has_points[rows]
    return FrameBatch(crops, np.ascontiguousarray(data.points[rows], np.float32), *has)


def calibrate_with_tracks(
    tracks: WalkedTracks,
    false_accept_rate: float,
    enrolled: TemplateSet | None = None,
    source: str = "",
    seed: int = 0,
    decision: DecisionConfig | None = None,
) -> tuple[Calibration, dict[str, Any]]:
    """Threshold, what it can promise, and how decisions fare as walks grow longer.

    Half of the people, drawn by ``seed``, are enrolled with their walk 0 in a gallery in memory: their other walks are
    genuine tracks. The other half are strangers. With ``enrolled``, strangers (then everybody) are compared with that
    gallery, because the promise is made for it.

    Returns:
        The calibration, and a report: rates by window length, numbers of people and tracks.

    Raises:
        ValueError: too few people or tracks for the rate asked for.
    """
    decision = decision or DecisionConfig()
    people = np.unique(tracks.identity)
    if len(people) < 4:
        raise ValueError(f"the walks are of {len(people)} people: at least 4 are needed, and hundreds for low rates")
    random = np.random.default_rng(seed)
    members = np.sort(random.choice(people, len(people) // 2, replace=False))
    is_member = np.isin(tracks.identity, members)
    matcher = _gallery_of(tracks, members, decision)
    genuine_rows = np.flatnonzero(is_member & (tracks.walk != 0))
    columns = matcher.columns
    genuine_rows = np.array([row for row in genuine_rows if int(tracks.identity[row]) in columns], np.int64)
    own = np.array([columns[int(tracks.identity[row])] for row in genuine_rows], np.int64)
    genuine = _track_table(matcher, tracks, genuine_rows)
    if enrolled is not None and len(enrolled.embedding):
        against, strangers = _gallery_in_memory(enrolled, decision), np.arange(len(tracks.identity))
    else:
        against, strangers = matcher, np.flatnonzero(~is_member)
    impostor_by_length = _track_table(against, tracks, strangers).min(axis=2)
    impostor = impostor_by_length.min(axis=1)
    genuine_by_length = genuine[np.arange(len(genuine)), :, own] if len(genuine) else np.zeros((0, len(tracks.lengths)))
    found = calibrate_threshold(genuine_by_length.min(axis=1), impostor, false_accept_rate)
    ranges = tracks.range_m[np.concatenate([strangers, genuine_rows]).astype(int)]
    calibration = dataclasses.replace(
        found,
        probability=fit_probability(genuine_by_length.min(axis=1), impostor),
        ranges_m=(round(float(ranges.min()), 1), round(float(ranges.max()), 1)),
        gallery_size=against.identities,
        source=source,
        distances=(_rounded(genuine_by_length.min(axis=1)), _rounded(impostor)),
    )
    report = {
        "people": len(people),
        "identified_by_samples": _identified(genuine, own, impostor_by_length, tracks.lengths, false_accept_rate),
    }
    return calibration, report


def _identified(
    genuine: Float64, own: Int64, impostor: Float64, lengths: Sequence[int], false_accept_rate: float
) -> dict[str, dict[str, float]]:
    """DIR of single windows of each length, each with its own threshold at the same false-accept rate."""
    found = {}
    for place, length in enumerate(lengths):
        threshold = calibrate_threshold(np.zeros(0), impostor[:, place], false_accept_rate).threshold
        table = genuine[:, place]
        right = (table.argmin(axis=1) == own) & (table.min(axis=1) < threshold) if len(table) else np.zeros(0, bool)
        low, high = share_interval(int(right.sum()), len(right))
        share = float(right.mean()) if len(right) else float("nan")
        found[str(length)] = {"dir": round(share, 4), "low": round(low, 4), "high": round(high, 4)}
    return found


def strangers_calibration(
    distances: Sequence[float],
    false_accept_rate: float,
    gallery_size: int,
    ranges_m: tuple[float, float],
    source: str,
    genuine: Sequence[float] = (),
) -> Calibration:
    """Threshold from tracks that were watched live or in a bag: (n,) distance of each stranger to the nearest identity.

    Raises:
        ValueError: too few tracks for the rate asked for.
    """
    impostor, known = np.array(distances, np.float64), np.array(genuine, np.float64)
    found = calibrate_threshold(known, impostor, false_accept_rate)
    return dataclasses.replace(
        found,
        probability=fit_probability(known, impostor),
        ranges_m=ranges_m,
        gallery_size=gallery_size,
        source=source,
        distances=(_rounded(known), _rounded(impostor)),
    )


def _gallery_of(tracks: WalkedTracks, members: Int64, decision: DecisionConfig) -> Matcher:
    matcher = Matcher(decision.templates_per_identity)
    entries = []
    for person in members.tolist():
        rows = np.flatnonzero((tracks.identity == person) & (tracks.walk == 0))
        if len(rows):
            embedding = np.concatenate([tracks.templates[row] for row in rows])
            entries.append((int(person), str(person), embedding, np.full(len(embedding), int(Modality.BOTH))))
    if not entries:
        raise ValueError("nobody has a walk number 0, which is the one that is enrolled")
    matcher.replace_all(entries)
    return matcher


def _gallery_in_memory(enrolled: TemplateSet, decision: DecisionConfig) -> Matcher:
    matcher = Matcher(decision.templates_per_identity)
    matcher.replace_all(
        [
            (identity, name, enrolled.embedding[rows], enrolled.modalities[rows])
            for identity, name in enrolled.names.items()
            for rows in (enrolled.identity_id == identity,)
        ]
    )
    return matcher


def _track_table(matcher: Matcher, tracks: WalkedTracks, rows: Int64) -> Float64:
    """(n, W, I) distance of each window of some tracks to everybody."""
    if not len(rows):
        return np.zeros((0, len(tracks.lengths), matcher.identities))
    both = [Modality.BOTH] * len(tracks.lengths)
    return np.stack([matcher.search(tracks.windows[row], both).distance for row in rows.tolist()]).astype(np.float64)


def _rounded(values: Float64) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in np.sort(values))
