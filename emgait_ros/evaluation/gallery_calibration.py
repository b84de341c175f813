"""The data behind a gallery's threshold: distances of genuine and of strangers' tracks, measured as the live system does.

A track counts once: with the smallest distance over its windows, because that is what a name would be given for. People
whose walks are used must not be enrolled (strangers), or not with these walks (genuine).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import DecisionConfig, WindowConfig
from emgait_ros.datasets.sequences import Sequence, SequenceSource
from emgait_ros.enrollment import template_embeddings
from emgait_ros.gallery.calibration import Calibration, calibrate_threshold, fit_probability, share_interval
from emgait_ros.gallery.matcher import Matcher
from emgait_ros.gallery.records import TemplateSet
from emgait_ros.inference.preprocessing import FrameBatch, scale_crops
from emgait_ros.samples import Float32, Float64, Int64, Modality

FRAMES_AT_ONCE = 64
SAMPLES_APART = 10
"""Windows of a track are looked at every so many samples: 1 s at 10 Hz."""
Progress = Callable[[float], None]


@dataclass(frozen=True)
class WalkedTracks:
    """Embeddings of S tracks.

    Attributes:
        identity, walk: (S,) int64. range_m: (S,) float32.
        windows: a list over the tracks of (W, parts, d): the newest samples when so many had been seen.
        seen: W numbers of samples seen, ascending.
        templates: a list of (T, parts, d): what enrolling the track would store.
        returns_at_10m: (S,) float32, median LiDAR returns a sample, reckoned to a range of 10 m.
    """

    identity: Int64
    walk: Int64
    range_m: Float32
    windows: list[Float32]
    seen: tuple[int, ...]
    templates: list[Float32]
    returns_at_10m: Float32

    def select(self, chosen: NDArray[Any]) -> WalkedTracks:
        """Some of the tracks, by a boolean mask."""
        rows = np.flatnonzero(chosen)
        return WalkedTracks(
            self.identity[rows],
            self.walk[rows],
            self.range_m[rows],
            [self.windows[row] for row in rows],
            self.seen,
            [self.templates[row] for row in rows],
            self.returns_at_10m[rows],
        )


def embed_tracks(
    encoder: Any,
    data: SequenceSource,
    window: WindowConfig,
    track_samples: int | None = None,
    progress: Progress = lambda share: None,
) -> WalkedTracks:
    """Run the network of a recognizer over sequences: every frame once, then windows as a track grows, and templates.

    Args:
        encoder: a :class:`emgait_ros.inference.encoder.GaitEncoder`.
        data: sequences of people, prepared with the encoder's preprocessing.
        window: as the recognizer uses it.
        track_samples: longest track; None: ``window.max_samples``. A second apart, windows are looked at up to there.
    """
    longest = max(track_samples or window.max_samples, window.min_samples)
    seen = tuple(range(window.min_samples, longest + 1, SAMPLES_APART))
    windows, templates, returns = [], [], []
    for number in range(len(data)):
        sequence = data[number]
        features: list[Any] = []
        for start in range(0, len(sequence), FRAMES_AT_ONCE):
            batch = _batch(sequence, slice(start, start + FRAMES_AT_ONCE))
            before = [features[-1] if features else None, *[None] * (len(batch) - 1)]
            features += list(encoder.encode_frames(batch, before, np.arange(len(batch)) - 1))
        ends = [min(count, len(features)) for count in seen]
        windows.append(encoder.embed([features[max(0, end - window.max_samples) : end] for end in ends]))
        templates.append(template_embeddings(encoder, features[-window.max_samples :], window.min_samples)[0])
        returns.append(float(np.median(sequence.point_count)) * (sequence.range_m / 10.0) ** 2)
        progress((number + 1) / len(data))
    returns_at_10m = np.array(returns, np.float32)
    return WalkedTracks(data.identity, data.walk, data.range_m, windows, seen, templates, returns_at_10m)


def _batch(sequence: Sequence, rows: slice) -> FrameBatch:
    points = np.ascontiguousarray(sequence.points[rows], np.float32)
    return FrameBatch(scale_crops(sequence.crops[rows]), points, sequence.has_image[rows], sequence.has_points[rows])


def calibrate_with_tracks(
    tracks: WalkedTracks,
    false_accept_rate: float,
    members: Int64,
    enrolled: TemplateSet | None = None,
    source: str = "",
    decision: DecisionConfig | None = None,
) -> tuple[Calibration, dict[str, Any]]:
    """Threshold, what it can promise, and how decisions fare as walks grow longer.

    Args:
        tracks: of members and of strangers.
        members: numbers of the people who are enrolled, with all of their walk 0: their other walks are genuine tracks.
            Everybody else is a stranger.
        enrolled: a gallery with whom strangers (then everybody) are compared instead, because the promise is made for it.
        source: where the tracks come from, in words.

    Returns:
        The calibration, and a report: rates by samples seen, numbers of people and tracks.

    Raises:
        ValueError: too few people or tracks for the rate asked for.
    """
    decision = decision or DecisionConfig()
    is_member = np.isin(tracks.identity, members)
    matcher = gallery_of(tracks, members, decision)
    genuine_rows = np.flatnonzero(is_member & (tracks.walk != 0))
    columns = matcher.columns
    own = np.array([columns[int(tracks.identity[row])] for row in genuine_rows], np.int64)
    genuine = _track_table(matcher, tracks, genuine_rows)
    if enrolled is not None and len(enrolled.embedding):
        against, strangers = gallery_in_memory(enrolled, decision), np.arange(len(tracks.identity))
    else:
        against, strangers = matcher, np.flatnonzero(~is_member)
    impostor_so_far = nearest_so_far(against, tracks, strangers)
    genuine_own = genuine[np.arange(len(genuine)), :, own] if len(genuine) else np.zeros((0, len(tracks.seen)))
    impostor, accepted = _last(impostor_so_far), genuine_own.min(axis=1, initial=np.inf)
    found = calibrate_threshold(
        accepted, impostor, false_accept_rate, impostor_people=len(np.unique(tracks.identity[strangers]))
    )
    used = np.concatenate([strangers, genuine_rows]).astype(int)
    ranges, returns = tracks.range_m[used], tracks.returns_at_10m[used]
    calibration = dataclasses.replace(
        found,
        probability=fit_probability(accepted, impostor),
        ranges_m=(round(float(ranges.min()), 1), round(float(ranges.max()), 1)),
        returns_at_10m=(round(float(np.percentile(returns, 5)), 1), round(float(np.percentile(returns, 95)), 1)),
        gallery_size=against.identities,
        source=source,
        distances=(_rounded(accepted), _rounded(impostor)),
    )
    report = {
        "members": len(np.unique(members)),
        "strangers": calibration.impostor_people,
        "identified_by_samples": _identified(genuine, own, impostor_so_far, tracks.seen, false_accept_rate),
    }
    return calibration, report


def checked_on_strangers(calibration: Calibration, nearest: Float64) -> dict[str, Any]:
    """What a threshold does to walks of people who had no part in it.

    Args:
        nearest: (n,) smallest distance of each stranger's walk to anybody enrolled, one walk a person.
    """
    accepted = int((nearest < calibration.threshold).sum())
    low, high = share_interval(accepted, len(nearest), calibration.confidence)
    return {
        "strangers": len(nearest),
        "accepted": accepted,
        "rate": round(accepted / len(nearest), 5) if len(nearest) else None,
        "interval": [round(low, 5), round(high, 5)],
        "asked": calibration.false_accept_rate,
        "promised_interval": [round(value, 5) for value in calibration.false_accept_interval],
        "kept": bool(accepted <= calibration.false_accept_interval[1] * len(nearest)),
    }


def nearest_so_far(matcher: Matcher, tracks: WalkedTracks, rows: Int64) -> Float64:
    """(n, W) smallest distance to anybody over the windows up to each, for some tracks."""
    return np.minimum.accumulate(_track_table(matcher, tracks, rows).min(axis=2), axis=1)


def _last(so_far: Float64) -> Float64:
    return so_far[:, -1] if len(so_far) else np.zeros(0)


def _identified(
    genuine: Float64, own: Int64, impostor_so_far: Float64, seen: tuple[int, ...], false_accept_rate: float
) -> dict[str, dict[str, float]]:
    """DIR when everything up to so many samples is used, each with its own threshold at the same false-accept rate."""
    found = {}
    so_far = np.minimum.accumulate(genuine, axis=1)
    for place, count in enumerate(seen):
        threshold = calibrate_threshold(np.zeros(0), impostor_so_far[:, place], false_accept_rate).threshold
        table = so_far[:, place]
        right = (table.argmin(axis=1) == own) & (table.min(axis=1) < threshold) if len(table) else np.zeros(0, bool)
        low, high = share_interval(int(right.sum()), len(right))
        share = float(right.mean()) if len(right) else float("nan")
        found[str(count)] = {"dir": round(share, 4), "low": round(low, 4), "high": round(high, 4)}
    return found


def strangers_calibration(
    distances: SequenceOf[float],
    false_accept_rate: float,
    gallery_size: int,
    ranges_m: tuple[float, float],
    source: str,
    genuine: SequenceOf[float] = (),
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


def gallery_of(tracks: WalkedTracks, members: Int64, decision: DecisionConfig) -> Matcher:
    """A gallery in memory of some people, enrolled with their walk 0.

    Raises:
        ValueError: none of them has one, or no other walk.
    """
    matcher = Matcher(decision.templates_per_identity)
    entries = []
    for person in np.unique(members).tolist():
        rows = np.flatnonzero((tracks.identity == person) & (tracks.walk == 0))
        if len(rows):
            embedding = np.concatenate([tracks.templates[row] for row in rows])
            entries.append((int(person), str(person), embedding, np.full(len(embedding), int(Modality.BOTH))))
    if not entries:
        raise ValueError("nobody has a walk number 0, which is the one that is enrolled")
    matcher.replace_all(entries)
    return matcher


def gallery_in_memory(enrolled: TemplateSet, decision: DecisionConfig) -> Matcher:
    """The people of a gallery, as a recognizer keeps them."""
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
        return np.zeros((0, len(tracks.seen), matcher.identities))
    both = [Modality.BOTH] * len(tracks.seen)
    return np.stack([matcher.search(tracks.windows[row], both).distance for row in rows.tolist()]).astype(np.float64)


def _rounded(values: Float64) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in np.sort(values))
