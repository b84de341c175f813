"""Real people before several LiDARs (LReID): who is recognised by one LiDAR from what another saw of the same pass.

Rank-k and mAP: every probe against all of the gallery. The open set plays the probes through the live decision, with the
bundle's own limits, against galleries of a few people drawn again and again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emgait_ros.config import DecisionConfig, WindowConfig
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.lab.datasets.lreid import LReid
from emgait_ros.lab.evaluation.embedding import Embedded
from emgait_ros.lab.evaluation.gallery_calibration import (
    growing_windows,
    matcher_of,
    sequence_features,
    window_samples,
)
from emgait_ros.lab.evaluation.protocols import Figure, figure
from emgait_ros.lab.evaluation.published import Scored, as_json
from emgait_ros.recognition.decision import Decider, TrackState
from emgait_ros.recognition.enrollment import template_embeddings
from emgait_ros.recognition.matcher import Matches
from emgait_ros.recognition.replay import WalkWindows
from emgait_ros.samples import Bool, Float32, Int64, Modality

SENTENCE = "real people, LiDAR alone, same pass, other LiDAR"
GROUND_Z_M = -1.15  # of LReID, whose recorders cut the clouds at -1.10 m
STEPS = 0.05, 0.3, 10.0  # differences of stature (m), way in a window (m) and returns that count alike
DIRECTION_STEP = 0.1  # rad, likewise
ENROLLED, DRAWS = 4, 200


@dataclass(frozen=True)
class Walks:
    """Embeddings of S windows, and what enrolling or meeting them comes to.

    Attributes:
        embedded: of the whole windows.
        templates: S, (T, parts, d) that enrolling the window stores.
        windows: S, a window at every sample of the probes; None for the gallery and what could not be read.
    """

    embedded: Embedded
    templates: list[Float32]
    windows: list[WalkWindows | None]


def embed_walks(
    encoder: GaitEncoder,
    data: LReid,
    skip_damaged: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Walks:
    """Embed every window as the recognizer does, each frame once; arguments and errors as ``embedding.embed_source``."""
    live, shape = WindowConfig(), encoder.bundle.embedding_shape
    read, frames = np.zeros(len(data), bool), 0
    templates, windows, problems = [], [], []
    for number in range(len(data)):
        found: Float32 = np.zeros((1, *shape), np.float32)
        walk: WalkWindows | None = None
        try:
            sequence = data[number]
            samples = window_samples(sequence, sequence_features(encoder, sequence), live, encoder.sensors)
            if len(samples) < live.min_samples:
                raise ValueError(
                    f"{data.entries[number].path} has {len(samples)} frames of at least {live.min_points} returns: expected {live.min_samples}"
                )
            found = template_embeddings(encoder, [sample.features for sample in samples], live.min_samples)[0]
            walk = growing_windows(samples, live, encoder.embed) if data.is_probe[number] else None
            read[number], frames = True, frames + len(sequence)
        except (ValueError, FileNotFoundError) as error:
            if not skip_damaged:
                raise
            problems.append(str(error))
        templates.append(found)
        windows.append(walk)
        on_progress(number + 1)
    if not read.any():
        raise ValueError(f"no sequence can be read; the first: {problems[0] if problems else 'the data set is empty'}")
    embedding = np.stack([group[0] for group in templates])
    return Walks(Embedded(embedding, trivial(data, read), read, tuple(problems), frames), templates, windows)


def trivial(data: LReid, read: Bool) -> dict[str, Float32]:
    """What anything worth its name must beat: stature, walking speed, both, and the number of returns, as (S, 1, n) embeddings.

    Beside them stands what the protocol gives away and no network is told (``datasets.lreid``): the direction of the walk in
    the frame that all LiDARs share, which hardly two people have in common, alone and with stature and speed.

    They are measured in the frame of the LiDARs, on a floor that is known, and are told from the mean in ``STEPS``.
    """
    values, direction = np.zeros((len(data), 3)), np.zeros((len(data), 2))
    for number in np.flatnonzero(read).tolist():
        clouds = [cloud for cloud in data.clouds(data.entries[number]) if len(cloud)]
        way = clouds[-1][:, :2].mean(axis=0) - clouds[0][:, :2].mean(axis=0)
        top = np.percentile(np.concatenate(clouds)[:, 2], 99.5)
        values[number] = top - GROUND_Z_M, np.linalg.norm(way), np.mean([len(cloud) for cloud in clouds])
        direction[number] = way / max(float(np.linalg.norm(way)), 1e-6) / DIRECTION_STEP
    values[read] = (values[read] - values[read].mean(axis=0)) / STEPS
    height, speed, returns = values.T[:, :, None].astype(np.float32)
    both = np.concatenate([height, speed], axis=1)
    found = {
        "height + speed": both,
        "height": height,
        "speed": speed,
        "number of points": returns,
        "direction of the walk": direction,
        "height + speed + direction": np.concatenate([both, direction], axis=1),
    }
    return {name: embedding[:, None].astype(np.float32) for name, embedding in found.items()}


def figures(scored: Scored) -> dict[str, Figure]:
    """The headline figures, over all probes and all of the gallery."""
    comparison = scored.comparison
    verification = comparison.verification()
    return {
        **{f"rank{k}": comparison.rank(k) for k in scored.protocol.ranks},
        "mAP": comparison.pooled_figures()[0],
        "EER": verification.equal_error_rate(),
        "TAR_at_FAR_1pct": verification.true_accept_rate(0.01),
    }


@dataclass(frozen=True)
class OpenSet:
    """What the live decision does with probes of enrolled people and of strangers.

    Attributes:
        enrolled, draws: people of a gallery, and how many galleries were drawn.
        threshold: distance below which a window is accepted.
        named_rightly, named_wrongly: shares of enrolled people's probes that are ever given their own, or another's name.
        strangers_named: share of the other people's probes that are ever given a name.
    """

    enrolled: int
    draws: int
    threshold: float
    named_rightly: Figure
    named_wrongly: Figure
    strangers_named: Figure

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file; shares in percent."""
        shares = {name: getattr(self, name) for name in ("named_rightly", "named_wrongly", "strangers_named")}
        facts = {"enrolled": self.enrolled, "draws": self.draws, "threshold": round(self.threshold, 4)}
        return {**facts, **as_json(shares)}

    def __str__(self) -> str:
        return (
            f"Open set, {self.enrolled} enrolled, {self.draws} draws, shipped threshold ({self.threshold:.3f} for LiDAR alone): "
            f"named rightly {self.named_rightly}, wrongly {self.named_wrongly}, strangers named {self.strangers_named} %"
        )


def open_set(
    walks: Walks, data: LReid, threshold: float, min_margin: float, enrolled: int = ENROLLED, draws: int = DRAWS
) -> OpenSet:
    """Draw galleries, enrol all windows of the gallery of whoever is drawn, and play every probe.

    Args:
        walks: of ``data``.
        data: windows of a comparison.
        threshold, min_margin: the bundle's.
        enrolled, draws: people of a gallery, and how many are drawn (fixed seed).

    Raises:
        ValueError: there are no strangers left.
    """
    read = walks.embedded.read
    people = np.unique(data.identity[~data.is_probe & read])
    probes = np.flatnonzero(data.is_probe & read)
    if enrolled >= len(people):
        raise ValueError(
            f"{len(people)} people are too few for an open set of {enrolled} enrolled people and strangers"
        )
    mine = {person: np.flatnonzero((data.identity == person) & ~data.is_probe & read) for person in people.tolist()}
    templates = {person: np.concatenate([walks.templates[row] for row in rows]) for person, rows in mine.items()}
    matcher, decider = matcher_of(templates, Modality.POINTS), Decider(DecisionConfig(), threshold, min_margin)
    limit = decider.limit(Modality.POINTS)
    found = {
        row: matcher.search(walk.embedding, walk.modalities) for row in probes.tolist() if (walk := walks.windows[row])
    }
    column = matcher.columns
    rng = np.random.default_rng(0)
    counts = np.zeros((3, len(data), 2))  # rightly, wrongly, stranger: hits and trials
    for _ in range(draws):
        gallery = rng.permutation(people)[:enrolled]
        columns = np.array([column[int(person) + 1] for person in gallery])
        for row, matches in found.items():
            own = int(data.identity[row]) + 1
            given = names_given(decider, limit, matches, columns, walks.windows[row])
            if own - 1 in gallery:
                counts[0, row] += own in given, 1
                counts[1, row] += bool(given - {own}), 1
            else:
                counts[2, row] += bool(given), 1
    shares = [figure(hits[probes], trials[probes], data.identity[probes]) for hits, trials in np.moveaxis(counts, 2, 1)]
    return OpenSet(enrolled, draws, limit, *shares)


def names_given(decider: Decider, limit: float, matches: Matches, columns: Int64, walk: WalkWindows | None) -> set[int]:
    """Identity numbers that the live decision gives a walk, window by window, in a gallery of some ``columns``."""
    near = matches.distance[:, columns]
    if walk is None or near.min() >= limit:
        return set()
    state, given = TrackState(), set()
    names, numbers = tuple(matches.names[column] for column in columns.tolist()), matches.identity_id[columns]
    for row, (sensors, weak) in enumerate(zip(walk.modalities, walk.weak, strict=True)):
        window = Matches(near[row : row + 1], matches.comparable[row : row + 1, columns], numbers, names)
        decider.decide([state], window, [sensors], [True], weak=[weak])
        given |= {state.decided} if state.decided else set()
    return given
