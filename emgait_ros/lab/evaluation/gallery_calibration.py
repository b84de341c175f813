"""The data behind a gallery's threshold: genuine and strangers' tracks, played through the live decision.

A track counts once, with the largest threshold at which the decision never gives it a name
(:class:`emgait_ros.recognition.replay.Replay`): every sample makes a new window, as it does live. People whose walks are used
must not be enrolled (strangers), or not with these walks (genuine).
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import DecisionConfig, WindowConfig
from emgait_ros.gallery.records import Calibration, TemplateSet
from emgait_ros.lab.datasets.sequences import Sequence, SequenceSource, batch_of
from emgait_ros.recognition.calibration import calibrate_threshold, fit_probability, share_interval
from emgait_ros.recognition.enrollment import template_embeddings
from emgait_ros.recognition.identity_results import samples_to_count
from emgait_ros.recognition.matcher import Matcher
from emgait_ros.recognition.replay import Replay, WalkWindows
from emgait_ros.recognition.track_window import TrackWindow, WindowSample
from emgait_ros.samples import Float32, Float64, Int64, Modality

FRAMES_AT_ONCE = 64
REPORTED_EVERY = 10
"""What longer walks bring is reported every so many samples: 1 s at 10 Hz."""
Progress = Callable[[float], None]


@dataclass(frozen=True)
class WalkedTracks:
    """Embeddings of S tracks.

    Attributes:
        identity, walk: (S,) int64. range_m: (S,) float32.
        windows: of each track, one at every sample.
        templates: a list of (T, parts, d): what enrolling the track would store.
        returns_at_10m: (S,) float32, median LiDAR returns a sample, reckoned to a range of 10 m.
        sensors: which the model looks at.
    """

    identity: Int64
    walk: Int64
    range_m: Float32
    windows: list[WalkWindows]
    templates: list[Float32]
    returns_at_10m: Float32
    sensors: Modality = Modality.BOTH

    def select(self, chosen: NDArray[Any]) -> WalkedTracks:
        """Some of the tracks, by a boolean mask."""
        rows = np.flatnonzero(chosen)
        return WalkedTracks(
            self.identity[rows],
            self.walk[rows],
            self.range_m[rows],
            [self.windows[row] for row in rows],
            [self.templates[row] for row in rows],
            self.returns_at_10m[rows],
            self.sensors,
        )


def embed_tracks(
    encoder: Any,
    data: SequenceSource,
    window: WindowConfig,
    progress: Progress = lambda share: None,
) -> WalkedTracks:
    """Run the network of a recognizer over sequences: every frame once, a window at every sample, and templates.

    Args:
        encoder: a :class:`emgait_ros.inference.encoder.GaitEncoder`.
        data: sequences of people, prepared with the encoder's preprocessing.
        window: as the recognizer uses it.
    """
    windows, templates, returns = [], [], []
    for number in range(len(data)):
        sequence = data[number]
        samples = window_samples(sequence, sequence_features(encoder, sequence), window, encoder.sensors)
        windows.append(growing_windows(samples, window, encoder.embed))
        newest = [sample.features for sample in samples[-window.max_samples :]]
        templates.append(template_embeddings(encoder, newest, window.min_samples)[0])
        returns.append(float(np.median(sequence.point_count)) * (sequence.range_m / 10.0) ** 2)
        progress((number + 1) / len(data))
    returns_at_10m = np.array(returns, np.float32)
    return WalkedTracks(data.identity, data.walk, data.range_m, windows, templates, returns_at_10m, encoder.sensors)


def sequence_features(encoder: Any, sequence: Sequence) -> list[Any]:
    """What the encoder keeps of each frame of a sequence, every frame encoded once."""
    features: list[Any] = []
    for start in range(0, len(sequence), FRAMES_AT_ONCE):
        batch = batch_of(sequence, slice(start, start + FRAMES_AT_ONCE))
        before = [features[-1] if features else None, *[None] * (len(batch) - 1)]
        features += list(encoder.encode_frames(batch, before, np.arange(len(batch)) - 1))
    return features


def window_samples(
    sequence: Sequence, features: SequenceOf[Any], config: WindowConfig, looks_at: Modality = Modality.BOTH
) -> list[WindowSample]:
    """What the recognizer keeps of each sample of a walk, whose ``features`` are given, for a model that looks at these sensors.

    Left out are those with few returns, or without image where a model looks at nothing else.
    """
    found = []
    kept = sequence.has_points & (sequence.point_count >= config.min_points)
    for row in np.flatnonzero(sequence.has_image if looks_at == Modality.IMAGE else kept).tolist():
        sensors = looks_at & (Modality.BOTH if sequence.has_image[row] else Modality.POINTS)
        light = float(sequence.crops[row][::8, ::8].mean()) if sequence.has_image[row] else float("nan")
        found.append(WindowSample(features[row], sensors, sequence.range_m, int(sequence.point_count[row]), light))
    return found


def growing_windows(
    samples: SequenceOf[WindowSample], config: WindowConfig, embed: Callable[[list[list[Any]]], Float32]
) -> WalkWindows:
    """The window at every sample, from the first that is long enough.

    Args:
        samples: of one walk.
        config: as the recognizer uses it.
        embed: makes (W, parts, d) of the features of W windows.
    """
    track = TrackWindow("", 0, deque(maxlen=config.max_samples))
    features, sensors, weak, seen = [], [], [], []
    for count, sample in enumerate(samples, 1):
        track.samples.append(sample)
        if count >= config.min_samples:
            features.append([kept.features for kept in track.samples])
            sensors.append(track.modalities(samples_to_count(config)))
            weak.append(track.weakness(config))
            seen.append(count)
    return WalkWindows(embed(features), tuple(sensors), tuple(weak), tuple(seen))


def calibrate_with_tracks(
    tracks: WalkedTracks,
    false_accept_rate: float,
    members: Int64,
    enrolled: TemplateSet | None = None,
    source: str = "",
    decision: DecisionConfig | None = None,
    min_margin: float = 0.0,
) -> tuple[Calibration, dict[str, Any]]:
    """Threshold, what it can promise, and how decisions fare as walks grow longer.

    Args:
        tracks: of members and of strangers.
        members: numbers of the people who are enrolled, with all of their walk 0: their other walks are genuine tracks.
            Everybody else is a stranger.
        enrolled: a gallery with whom strangers (then everybody) are compared instead, because the promise is made for it.
        source: where the tracks come from, in words.
        decision, min_margin: as the recognizer decides; the margin is the bundle's.

    Returns:
        The calibration, and a report: rates by samples seen, numbers of people and tracks.

    Raises:
        ValueError: too few people or tracks for the rate asked for.
    """
    decision = decision or DecisionConfig()
    is_member = np.isin(tracks.identity, members)
    known = Replay(gallery_of(tracks, members, decision), decision, min_margin, tracks.sensors)
    genuine_rows = np.flatnonzero(is_member & (tracks.walk != 0))
    genuine = [tracks.windows[row] for row in genuine_rows]
    own = (tracks.identity[genuine_rows] + 1).tolist()
    against, strangers, size = known, np.flatnonzero(~is_member), len(np.unique(members))
    if enrolled is not None and len(enrolled.embedding):
        matcher = gallery_in_memory(enrolled, decision)
        against, size = Replay(matcher, decision, min_margin, tracks.sensors), matcher.identities
        strangers = np.arange(len(tracks.identity))
    impostor = naming_thresholds(against, [tracks.windows[row] for row in strangers])
    accepted = np.array([known.naming_threshold(walk, who) for walk, who in zip(genuine, own, strict=True)])
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
        gallery_size=size,
        source=source,
        distances=(_rounded(accepted), _rounded(impostor)),
    )
    report = {
        "members": len(np.unique(members)),
        "strangers": calibration.impostor_people,
        "identified_by_samples": _identified(known, genuine, own, calibration.threshold, decision),
    }
    return calibration, report


def checked_on_strangers(calibration: Calibration, naming: Float64) -> dict[str, Any]:
    """What a threshold does to walks of people who had no part in it.

    Args:
        naming: (n,) threshold above which each stranger's walk gets a name, one walk a person.
    """
    accepted = int((naming < calibration.threshold).sum())
    low, high = share_interval(accepted, len(naming), calibration.confidence)
    return {
        "strangers": len(naming),
        "accepted": accepted,
        "rate": round(accepted / len(naming), 5) if len(naming) else None,
        "interval": [round(low, 5), round(high, 5)],
        "asked": calibration.false_accept_rate,
        "promised_interval": [round(value, 5) for value in calibration.false_accept_interval],
        "kept": bool(accepted <= calibration.false_accept_interval[1] * len(naming)),
    }


def naming_thresholds(against: Replay, walks: SequenceOf[WalkWindows]) -> Float64:
    """(n,) threshold above which each walk is given a name by the live decision; infinite: none is."""
    return np.array([against.naming_threshold(walk) for walk in walks], np.float64)


def _identified(
    known: Replay, walks: SequenceOf[WalkWindows], own: SequenceOf[int], threshold: float, decision: DecisionConfig
) -> dict[str, dict[str, float]]:
    """Share of enrolled people's walks that have got the right name once so many samples were seen."""
    longest = max((walk.samples[-1] for walk in walks if walk.samples), default=0)
    first = min((walk.samples[0] for walk in walks if walk.samples), default=0) + decision.agree_windows - 1
    steps = [first, *range((first // REPORTED_EVERY + 1) * REPORTED_EVERY, longest + 1, REPORTED_EVERY)]
    found = {}
    for count in steps if walks else ():
        right = [known.is_named(walk.until(count), threshold, who) for walk, who in zip(walks, own, strict=True)]
        low, high = share_interval(sum(right), len(right))
        found[str(count)] = {"dir": round(sum(right) / len(right), 4), "low": round(low, 4), "high": round(high, 4)}
    return found


def strangers_calibration(
    distances: SequenceOf[float],
    false_accept_rate: float,
    gallery_size: int,
    ranges_m: tuple[float, float],
    source: str,
    genuine: SequenceOf[float] = (),
) -> Calibration:
    """Threshold from tracks of a recording: (n,) threshold above which each stranger is given a name; infinite: none is.

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
    """A gallery in memory of some people, enrolled with their walk 0; their identity numbers are one higher: 0 is nobody.

    Raises:
        ValueError: none of them has one, or no other walk.
    """
    templates = {}
    for person in np.unique(members).tolist():
        rows = np.flatnonzero((tracks.identity == person) & (tracks.walk == 0))
        if len(rows):
            templates[person] = np.concatenate([tracks.templates[row] for row in rows])
    if not templates:
        raise ValueError("nobody has a walk number 0, which is the one that is enrolled")
    return matcher_of(templates, tracks.sensors, decision)


def matcher_of(templates: Mapping[int, Float32], sensors: Modality, decision: DecisionConfig | None = None) -> Matcher:
    """People in memory by their number, each with templates (T, parts, d) made with ``sensors``; identity numbers are one higher: 0 is nobody."""
    matcher = Matcher((decision or DecisionConfig()).templates_per_identity)
    matcher.replace_all(
        [(person + 1, str(person), rows, np.full(len(rows), int(sensors))) for person, rows in templates.items()]
    )
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


def _rounded(values: Float64) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in np.sort(values[np.isfinite(values)]))
