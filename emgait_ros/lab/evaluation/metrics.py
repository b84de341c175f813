"""Measures of recognition from a matrix of distances: Rank-k, CMC, mAP, mINP, EER, TAR@FAR, DIR@FAR.

Distances are the mean over parts of L2, as the gallery compares (``gallery.matcher``). Closed-set measures (Rank-k, CMC,
mAP, mINP) ask who of the gallery a probe is; EER and TAR@FAR whether two sequences are the same person; DIR@FAR both at
once, with people who are not enrolled. Shares carry their counts, so that an interval can be given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from emgait_ros.recognition.distances import part_distances
from emgait_ros.samples import Bool, Float32, Float64, Int64


class Share(NamedTuple):
    """``hits`` out of ``trials``."""

    hits: int
    trials: int

    @property
    def value(self) -> float:
        """The share, 0..1; NaN without trials."""
        return self.hits / self.trials if self.trials else float("nan")

    def interval(self) -> tuple[float, float]:
        """Wilson score interval of 95 %, as of independent trials; (0, 1) without any."""
        if not self.trials:
            return 0.0, 1.0
        found = binomtest(self.hits, self.trials).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)


def distance_matrix(probes: Float32, gallery: Float32) -> Float32:
    """Mean over parts of L2: (B, parts, d) and (G, parts, d) -> (B, G).

    Raises:
        ValueError: parts or d differ, or a value is not finite.
    """
    if probes.shape[1:] != gallery.shape[1:]:
        raise ValueError(
            f"probes are {probes.shape[1:]} (parts, d), the gallery {gallery.shape[1:]}: they are of different models"
        )
    if not (np.isfinite(probes).all() and np.isfinite(gallery).all()):
        raise ValueError("embeddings hold values that are not finite: no distance can be measured")
    return part_distances(probes.astype(np.float32), gallery.astype(np.float32))


@dataclass(frozen=True)
class ClosedSet:
    """Who of the gallery is it, over all probes that have a right answer there.

    Attributes:
        cmc: (K,) float64; cmc[k - 1] is Rank-k over sequences of the gallery.
        mean_average_precision, mean_inverse_negative_penalty: mAP and mINP, 0..1.
        rank1: with counts.
        probes: that had a right answer; skipped: that had none.
        usable: (B,) bool, which had one. Of the ``probes`` usable ones, in order: first_position (1 is Rank-1),
            average_precision and inverse_negative_penalty.
    """

    cmc: Float64
    mean_average_precision: float
    mean_inverse_negative_penalty: float
    rank1: Share
    probes: int
    skipped: int
    usable: Bool
    first_position: Int64
    average_precision: Float64
    inverse_negative_penalty: Float64

    def rank(self, k: int) -> float:
        """Rank-k, 0..1; all of the gallery beyond its size."""
        return float(self.cmc[min(k, len(self.cmc)) - 1]) if self.probes else float("nan")


def closed_set(
    distance: ArrayLike,
    probe_identity: ArrayLike,
    gallery_identity: ArrayLike,
    excluded: Bool | None = None,
    ranks: int = 20,
) -> ClosedSet:
    """Rank-k, CMC, mAP and mINP.

    Args:
        distance: (B, G).
        probe_identity, gallery_identity: (B,) and (G,).
        excluded: (B, G) bool, comparisons that must not count (same view, same sequence), or None.
        ranks: K of the CMC.

    Ties count against the probe: an impostor at the very same distance is ranked first.
    """
    distance, probe_identity, gallery_identity = (np.asarray(v) for v in (distance, probe_identity, gallery_identity))
    same = probe_identity[:, None] == gallery_identity[None, :]
    allowed = np.ones_like(same) if excluded is None else ~excluded
    usable = (same & allowed).any(axis=1)
    first: list[int] = []
    precision: list[float] = []
    penalty: list[float] = []
    for row in np.flatnonzero(usable):
        values, hits = distance[row, allowed[row]], same[row, allowed[row]]
        positions = np.flatnonzero(hits[np.lexsort((hits, values))]) + 1
        first.append(int(positions[0]))
        precision.append(float(np.mean(np.arange(1, len(positions) + 1) / positions)))
        penalty.append(len(positions) / float(positions[-1]))
    positions = np.array(first, np.int64)
    probes = len(first)
    return ClosedSet(
        cmc=(positions[:, None] <= np.arange(1, ranks + 1)).mean(axis=0) if probes else np.zeros(ranks),
        mean_average_precision=float(np.mean(precision)) if probes else float("nan"),
        mean_inverse_negative_penalty=float(np.mean(penalty)) if probes else float("nan"),
        rank1=Share(int((positions == 1).sum()), probes),
        probes=probes,
        skipped=len(usable) - probes,
        usable=usable,
        first_position=positions,
        average_precision=np.array(precision),
        inverse_negative_penalty=np.array(penalty),
    )


def equal_error_rate(genuine: ArrayLike, impostor: ArrayLike) -> tuple[float, float]:
    """EER (0..1) and the distance threshold it lies at, between the two steps where the curves cross.

    Raises:
        ValueError: one of the two kinds has no pair.
    """
    genuine, impostor = _pairs(genuine, impostor)
    thresholds = np.concatenate([[-np.inf], np.unique(np.concatenate([genuine, impostor]))])
    false_reject = 1 - np.searchsorted(genuine, thresholds, side="right") / len(genuine)
    false_accept = np.searchsorted(impostor, thresholds, side="right") / len(impostor)
    crossing = int(np.argmax(false_accept >= false_reject))
    before = max(crossing - 1, 0)
    gap_before, gap_after = false_reject[before] - false_accept[before], false_accept[crossing] - false_reject[crossing]
    part = gap_before / (gap_before + gap_after) if gap_before + gap_after > 0 else 0.0
    rate = (1 - part) * false_accept[before] + part * false_accept[crossing]
    return float(rate), float(thresholds[crossing])


def true_accept_rate(genuine: ArrayLike, impostor: ArrayLike, false_accept_rate: float) -> tuple[Share, float]:
    """TAR@FAR: genuine pairs below the largest threshold that accepts at most that share of impostor pairs, and that threshold."""
    genuine, impostor = _pairs(genuine, impostor)
    threshold = strictest(impostor, false_accept_rate)
    return Share(int((genuine < threshold).sum()), len(genuine)), threshold


class Named(NamedTuple):
    """Enrolled probes at a threshold: (B,) bool, given a name and the right one; and that threshold."""

    right: Bool
    threshold: float

    @property
    def share(self) -> Share:
        """DIR with counts."""
        return Share(int(self.right.sum()), len(self.right))


def detection_identification_rate(
    distance: ArrayLike,
    probe_identity: ArrayLike,
    gallery_identity: ArrayLike,
    stranger_nearest: ArrayLike,
    false_accept_rate: float,
) -> Named:
    """DIR@FAR at rank 1 (open set): enrolled probes whose nearest identity is right and below the threshold.

    Args:
        distance: (B, G) of probes whose identity is in the gallery.
        stranger_nearest: (n,) distance of each stranger's sequence to the nearest of the gallery; the threshold accepts at
            most ``false_accept_rate`` of them.
    """
    distance, probe_identity, gallery_identity = (np.asarray(v) for v in (distance, probe_identity, gallery_identity))
    threshold = strictest(np.sort(np.asarray(stranger_nearest, np.float64).ravel()), false_accept_rate)
    nearest = distance.argmin(axis=1)
    right = (gallery_identity[nearest] == probe_identity) & (distance.min(axis=1) < threshold)
    return Named(right, threshold)


def strictest(impostor: Float64, false_accept_rate: float) -> float:
    """Largest threshold t such that at most that share of the sorted impostor distances lies strictly below t."""
    if not 0 <= false_accept_rate < 1:
        raise ValueError(f"false-accept rate is {false_accept_rate}: expected 0 or more and less than 1")
    allowed = int(np.floor(false_accept_rate * len(impostor) + 1e-9))
    return float(impostor[allowed])


def _pairs(genuine: ArrayLike, impostor: ArrayLike) -> tuple[Float64, Float64]:
    one, other = (np.sort(np.asarray(v, np.float64).ravel()) for v in (genuine, impostor))
    if not len(one) or not len(other):
        raise ValueError(f"{len(one)} genuine and {len(other)} impostor pairs: at least one of each is needed")
    return one, other
