"""Comparisons of probes with a gallery, and every figure drawn from them with its interval.

Cross-view Rank-k is counted as gait protocols do: the sequences of one gallery view compete for the probes of one view,
every pair of views but the identical ones gives a share, and the figure is the mean over gallery views, then over probe
views. mAP and mINP pool the views. Probes of one person are not independent, so intervals come from resampling
identities (percentile bootstrap, fixed seed).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emgait_ros.lab.datasets.sequences import SequenceSource
from emgait_ros.lab.evaluation.metrics import (
    ClosedSet,
    closed_set,
    detection_identification_rate,
    distance_matrix,
    equal_error_rate,
    true_accept_rate,
)
from emgait_ros.samples import Bool, Float32, Float64, Int64

SECTOR_DEG = 45.0
RESAMPLES = 1000
THRESHOLDS = 1000  # steps of the curves of false accepts and false rejects
EXACT_PAIRS = 5_000_000  # with more, the EER is read off the curve at the thresholds
SPLITS = 40  # drawn divisions into enrolled people and strangers


@dataclass(frozen=True)
class Figure:
    """A share 0..1 with its 95 % interval (identities resampled) and the number of comparisons behind it."""

    value: float
    low: float
    high: float
    comparisons: int

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} ({100 * self.low:.0f}-{100 * self.high:.0f})"


@dataclass(frozen=True)
class Labels:
    """What is known of S sequences.

    Attributes:
        identity: (S,) int64.
        view: (S,) str; equal names are identical views.
        range_m: (S,) float32; condition: (S,) str.
    """

    identity: Int64
    view: NDArray[np.str_]
    range_m: Float32
    condition: NDArray[np.str_]

    @classmethod
    def of(cls, source: SequenceSource) -> Labels:
        """The labels of a data set; a set without names of views has the eight sectors of its angles."""
        view = getattr(source, "view", None)
        return cls(
            source.identity, sectors(source.view_deg) if view is None else view, source.range_m, source.condition
        )

    def select(self, chosen: Bool) -> Labels:
        """Some of the sequences."""
        return Labels(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.identity)


@dataclass(frozen=True)
class Comparison:
    """Distances of B probes to G sequences of the gallery.

    Attributes:
        distance: (B, G) float32.
        probes, gallery: labels.
        excluded: (B, G) bool, pairs that must not count (identical views).
    """

    distance: Float32
    probes: Labels
    gallery: Labels
    excluded: Bool

    @classmethod
    def of(
        cls, embedding: Float32, labels: Labels, is_probe: Bool, is_gallery: Bool, cross_view: bool = True
    ) -> Comparison:
        """Compare (S, parts, d) embeddings; ``cross_view``: identical views do not count.

        Raises:
            ValueError: there are no probes or no gallery.
        """
        if not is_probe.any() or not is_gallery.any():
            raise ValueError(
                f"{len(labels)} sequences of which {int(is_gallery.sum())} are gallery and {int(is_probe.sum())} probes: both are needed"
            )
        probes, gallery = labels.select(is_probe), labels.select(is_gallery)
        same = probes.view[:, None] == gallery.view[None, :]
        distance = distance_matrix(embedding[is_probe], embedding[is_gallery])
        return cls(distance, probes, gallery, np.asarray(same & cross_view))

    @cached_property
    def same(self) -> Bool:
        """(B, G) the pair is one person."""
        return np.asarray(self.probes.identity[:, None] == self.gallery.identity[None, :])

    @property
    def everything(self) -> Bool:
        """(B,) all probes."""
        return np.ones(len(self.probes), bool)

    @cached_property
    def position(self) -> Int64:
        """(B, V) rank of each probe's own person among the sequences of each gallery view, 1 the nearest; ties count
        against the probe, and a person who is not there comes last. 0 where the views may not be compared."""
        views = np.unique(self.gallery.view)
        found = np.zeros((len(self.probes), len(views)), np.int64)
        for number, view in enumerate(views):
            columns = np.flatnonzero(self.gallery.view == view)
            same, distance = self.same[:, columns], self.distance[:, columns]
            own = np.where(same, distance, np.inf).min(axis=1)
            ahead = ((distance <= own[:, None]) & ~same).sum(axis=1)
            ahead[~same.any(axis=1)] = np.iinfo(np.int64).max - 1
            found[:, number] = np.where(self.excluded[:, columns[0]], 0, ahead + 1)
        return found

    def rank(self, k: int = 1, chosen: Bool | None = None) -> Figure:
        """Cross-view Rank-k of some of the probes: mean over gallery views, then over probe views."""
        chosen = self.everything if chosen is None else chosen
        position = self.position[chosen]
        if not (position > 0).any():
            return Figure(float("nan"), 0.0, 1.0, 0)
        people, person = np.unique(self.probes.identity[chosen], return_inverse=True)
        views, view = np.unique(self.probes.view[chosen], return_inverse=True)
        shape = (len(people), len(views), position.shape[1])
        hits, trials = np.zeros(shape), np.zeros(shape)
        np.add.at(hits, (person, view), (position > 0) & (position <= k))
        np.add.at(trials, (person, view), position > 0)
        drawn = resamples(len(people))
        low, high = np.percentile(_mean_over_views(drawn, hits, trials), (2.5, 97.5))
        value = _mean_over_views(np.ones((1, len(people))), hits, trials)[0]
        return Figure(float(value), float(low), float(high), int(trials.sum()))

    def cmc(self, chosen: Bool | None = None, deepest: int = 20) -> Float64:
        """(deepest,) Rank-1, Rank-2, ..."""
        return np.array([self.rank(k, chosen).value for k in range(1, deepest + 1)])

    def pooled(self, chosen: Bool) -> ClosedSet:
        """Rank-k, mAP and mINP with all gallery views pooled."""
        probes = self.probes.select(chosen)
        return closed_set(self.distance[chosen], probes.identity, self.gallery.identity, self.excluded[chosen])

    def pooled_figures(self, chosen: Bool | None = None) -> tuple[Figure, Figure, Figure]:
        """mAP, mINP, and Rank-1 where all gallery views of a person are enrolled together, as a live gallery holds them."""
        chosen = self.everything if chosen is None else chosen
        result = self.pooled(chosen)
        identity, ones = self.probes.identity[chosen][result.usable], np.ones(result.probes)
        first = (result.first_position == 1).astype(float)
        return (
            figure(result.average_precision, ones, identity),
            figure(result.inverse_negative_penalty, ones, identity),
            figure(first, ones, identity),
        )

    def verification(self, chosen: Bool | None = None) -> Verification:
        """Same or different person, over all pairs that may be compared."""
        chosen = self.everything if chosen is None else chosen
        same, allowed = self.same[chosen], ~self.excluded[chosen]
        if not (same & allowed).any() or not (~same & allowed).any():
            raise ValueError("there are no pairs of one person, or none of two: nothing can be verified")
        return Verification.of(self.distance[chosen], same, allowed, self.probes.identity[chosen])

    def open_set(
        self, chosen: Bool, false_accept_rate: float = 0.01, enrolled: int | None = None, seed: int = 0
    ) -> Figure:
        """DIR at a false-accept rate: a probe of an enrolled person is named, and rightly so.

        People are divided ``SPLITS`` times by lot into enrolled ones and strangers; each time the threshold is the largest
        that names at most that share of the strangers' probes.

        Args:
            chosen: (B,) probes that are asked.
            enrolled: how many people are enrolled; default: half.

        Raises:
            ValueError: too few people to have both.
        """
        names = np.unique(self.gallery.identity)
        count = len(names) // 2 if enrolled is None else enrolled
        if not 1 <= count < len(names):
            raise ValueError(
                f"{len(names)} identities are too few for an open-set test with {count} enrolled: both enrolled people and strangers are needed"
            )
        rng = np.random.default_rng(seed)
        distance = np.where(self.excluded, np.inf, self.distance)[chosen]
        identity = self.probes.identity[chosen]
        hits, trials = np.zeros(len(identity)), np.zeros(len(identity))
        for _ in range(SPLITS):
            columns = np.isin(self.gallery.identity, rng.permutation(names)[:count])
            near = distance[:, columns]
            known = np.isin(identity, self.gallery.identity[columns])
            if not known.any() or known.all():
                continue
            named = detection_identification_rate(
                near[known],
                identity[known],
                self.gallery.identity[columns],
                near[~known].min(axis=1),
                false_accept_rate,
            )
            hits[known] += named.right
            trials += known
        return figure(hits, trials, identity)


@dataclass(frozen=True)
class Verification:
    """Pairs of one person (genuine) and of two (impostor).

    Attributes:
        genuine, impostor: distances of all pairs, sorted.
        thresholds: (K,) distances at quantiles of both.
        accepted: (I, K) genuine pairs of person i at or below threshold k, and impostor pairs likewise.
        pairs: (I,) in all, of both kinds.
    """

    genuine: Float64
    impostor: Float64
    thresholds: Float64
    accepted: tuple[Float64, Float64]
    pairs: tuple[Float64, Float64]

    @classmethod
    def of(cls, distance: Float32, same: Bool, allowed: Bool, identity: Int64) -> Verification:
        """Count the allowed pairs of (B, G) distances, person by person of the (B,) probes."""
        kinds = (same & allowed, ~same & allowed)
        genuine, impostor = (np.sort(distance[kind].astype(np.float64)) for kind in kinds)
        steps = np.linspace(0, 1, THRESHOLDS // 2)
        thresholds = np.unique(
            np.concatenate([values[np.round(steps * (len(values) - 1)).astype(int)] for values in (genuine, impostor)])
        )
        names, number = np.unique(identity, return_inverse=True)
        accepted = tuple(np.zeros((len(names), len(thresholds))) for _ in kinds)
        pairs = tuple(np.zeros(len(names)) for _ in kinds)
        for person in range(len(names)):
            rows = number == person
            for kind, counts, total in zip(kinds, accepted, pairs, strict=True):
                values = np.sort(distance[rows][kind[rows]].astype(np.float64))
                counts[person] = np.searchsorted(values, thresholds, side="right")
                total[person] = len(values)
        return cls(genuine, impostor, thresholds, (accepted[0], accepted[1]), (pairs[0], pairs[1]))

    def curve(self) -> tuple[Float64, Float64]:
        """False-accept and true-accept rates (K,) at the thresholds: the ROC."""
        accept, true = self._rates(np.ones((1, len(self.pairs[0]))))
        return accept[0], true[0]

    def equal_error_rate(self) -> Figure:
        """Where false accepts and false rejects are equally frequent."""
        if len(self.impostor) <= EXACT_PAIRS:
            return self._figure(equal_error_rate(self.genuine, self.impostor)[0], self._equal_errors)
        accept, true = self.curve()
        return self._figure(float(self._equal_errors(accept[None], true[None])[0]), self._equal_errors)

    def true_accept_rate(self, false_accept_rate: float = 0.01) -> Figure:
        """TAR@FAR."""

        def at(accept: Float64, true: Float64) -> Float64:
            last = (accept <= false_accept_rate).sum(axis=1) - 1
            return np.where(last >= 0, true[np.arange(len(true)), np.maximum(last, 0)], 0.0)

        return self._figure(true_accept_rate(self.genuine, self.impostor, false_accept_rate)[0].value, at)

    @staticmethod
    def _equal_errors(accept: Float64, true: Float64) -> Float64:
        """Linear between the two thresholds where the curves cross."""
        gap = accept - (1 - true)  # rises from -1 to 1
        after = np.argmax(gap >= 0, axis=1)
        before, row = np.maximum(after - 1, 0), np.arange(len(gap))
        span = gap[row, after] - gap[row, before]
        part = np.where(span > 0, -gap[row, before] / np.where(span > 0, span, 1), 0.0)
        return np.asarray(accept[row, before] + part * (accept[row, after] - accept[row, before]))

    def _rates(self, weight: Float64) -> tuple[Float64, Float64]:
        """(R, K) false-accept and true-accept rates with people weighted by (R, I)."""
        true, accept = (
            weight @ counts / np.maximum(weight @ total, 1)[:, None]
            for counts, total in zip(self.accepted, self.pairs, strict=True)
        )
        return accept, true

    def _figure(self, value: float, measure: Callable[[Float64, Float64], Float64]) -> Figure:
        people = len(self.pairs[0])
        drawn = resamples(people)
        low, high = np.percentile(measure(*self._rates(drawn)), (2.5, 97.5))
        return Figure(value, float(low), float(high), len(self.genuine))


def sectors(view_deg: Float32) -> NDArray[np.str_]:
    """Names of views by their angle, "000" to "315"."""
    sector = np.round(np.asarray(view_deg) / SECTOR_DEG).astype(int) % round(360 / SECTOR_DEG) * round(SECTOR_DEG)
    return np.array([f"{value:03d}" for value in sector])


def resamples(people: int) -> Float64:
    """(RESAMPLES, people) how often each person is in each bootstrap sample; the same again for the same number."""
    drawn = np.random.default_rng(0).multinomial(people, np.full(people, 1 / people), RESAMPLES)
    return drawn.astype(np.float64)


def _mean_over_views(weight: Float64, hits: Float64, trials: Float64) -> Float64:
    """(R,) figures with people weighted by (R, I): shares of the (I, U, V) cells, mean over V, then over U."""
    people = len(hits)
    asked = (weight @ trials.reshape(people, -1)).reshape(-1, *trials.shape[1:])
    right = (weight @ hits.reshape(people, -1)).reshape(asked.shape)
    share = np.where(asked > 0, right / np.maximum(asked, 1e-12), np.nan)
    used = asked.sum(axis=2) > 0
    by_probe_view = np.nansum(share, axis=2) / np.maximum((asked > 0).sum(axis=2), 1)
    return np.asarray((by_probe_view * used).sum(axis=1) / np.maximum(used.sum(axis=1), 1))


def figure(hits: Float64, trials: Float64, identity: NDArray) -> Figure:
    """Hits over trials with an interval from resampling identities; NaN without trials."""
    names, number = np.unique(identity, return_inverse=True)
    hit, asked = np.bincount(number, hits, len(names)), np.bincount(number, trials, len(names))
    if not asked.sum():
        return Figure(float("nan"), 0.0, 1.0, 0)
    drawn = resamples(len(names))
    low, high = np.percentile((drawn @ hit) / np.maximum(drawn @ asked, 1), (2.5, 97.5))
    return Figure(float(hit.sum() / asked.sum()), float(low), float(high), int(asked.sum()))
