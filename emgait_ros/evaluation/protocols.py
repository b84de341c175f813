"""Cross-distance, cross-view evaluation on simulated walks, in the layout of LRGait: gallery at 10 m, probes beyond.

For every probe and every gallery view that is not the probe's own, the gallery sequences of that view (one per identity)
compete, as cross-view gait protocols do; figures are means over probes and views. Probes of one person are not
independent, so intervals are drawn by resampling identities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.datasets.sequences import SequenceSet
from emgait_ros.evaluation.metrics import (
    Share,
    closed_set,
    detection_identification_rate,
    distance_matrix,
    equal_error_rate,
    true_accept_rate,
)
from emgait_ros.samples import Float32, Float64

SAME_VIEW_DEG = 22.5
RESAMPLES = 1000


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
class CrossDistance:
    """Result of :func:`cross_distance`.

    Attributes:
        rank1: overall, and under "D20", "D30", ... and "view 45", ....
        mean_average_precision, mean_inverse_negative_penalty: mAP and mINP over the pooled gallery, 0..1.
        equal_error_rate: of all cross-view pairs.
        true_accept_rate: TAR at a false-accept rate of 1 %, with counts.
        identities, probes: how many.
    """

    rank1: dict[str, Figure]
    mean_average_precision: float
    mean_inverse_negative_penalty: float
    equal_error_rate: float
    true_accept_rate: Share
    identities: int
    probes: int


def cross_distance(
    data: SequenceSet, distance_of: Callable[[NDArray[np.bool_], NDArray[np.bool_]], Float32]
) -> CrossDistance:
    """Rank-1 by range and view, mAP, mINP, EER and TAR.

    Args:
        data: walk 0 is the gallery, every other walk a probe.
        distance_of: from masks (S,) of probes and of gallery to distances (B, G).

    Raises:
        ValueError: there are no probes or no gallery.
    """
    is_gallery = data.walk == 0
    if not is_gallery.any() or is_gallery.all():
        raise ValueError(
            f"{len(data)} sequences of which {int(is_gallery.sum())} are of walk 0: both gallery (walk 0) and probes (other walks) are needed"
        )
    gallery, probes = data.select(is_gallery), data.select(~is_gallery)
    distance = distance_of(~is_gallery, is_gallery)
    same_view = angle_between(probes.view_deg[:, None], gallery.view_deg[None, :]) < SAME_VIEW_DEG
    hits, trials = view_by_view(distance, probes.identity, gallery.identity, gallery.view_deg, same_view)
    bins = np.round(probes.range_m / 10).astype(int) * 10
    groups = {"overall": np.ones(len(probes), bool)}
    groups |= {f"D{value}": bins == value for value in np.unique(bins)}
    sector = np.round(probes.view_deg / 45).astype(int) % 8 * 45
    groups |= {f"view {value}": sector == value for value in np.unique(sector)}
    same = probes.identity[:, None] == gallery.identity[None, :]
    pooled = closed_set(distance, probes.identity, gallery.identity, same_view)
    genuine, impostor = distance[same & ~same_view], distance[~same & ~same_view]
    return CrossDistance(
        rank1={name: _figure(hits[mask], trials[mask], probes.identity[mask]) for name, mask in groups.items()},
        mean_average_precision=pooled.mean_average_precision,
        mean_inverse_negative_penalty=pooled.mean_inverse_negative_penalty,
        equal_error_rate=equal_error_rate(genuine, impostor)[0],
        true_accept_rate=true_accept_rate(genuine, impostor, 0.01)[0],
        identities=len(np.unique(data.identity)),
        probes=len(probes),
    )


def by_embedding(embedding: Float32) -> Callable[[NDArray[np.bool_], NDArray[np.bool_]], Float32]:
    """Distances of (S, parts, d) embeddings, for :func:`cross_distance`."""
    return lambda probes, gallery: distance_matrix(embedding[probes], embedding[gallery])


def view_by_view(
    distance: Float32,
    probe_identity: NDArray,
    gallery_identity: NDArray,
    gallery_view: Float32,
    excluded: NDArray[np.bool_],
) -> tuple[Float64, Float64]:
    """(B,) how often the nearest was right and how often it was asked, over the gallery's views not excluded."""
    hits, trials = np.zeros(len(distance)), np.zeros(len(distance))
    for view in np.unique(gallery_view):
        columns = np.flatnonzero(gallery_view == view)
        asked = ~excluded[:, columns].any(axis=1) & (probe_identity[:, None] == gallery_identity[columns]).any(axis=1)
        right = gallery_identity[columns][distance[:, columns].argmin(axis=1)] == probe_identity
        hits += asked & right
        trials += asked
    return hits, trials


def open_set(
    data: SequenceSet,
    distance_of: Callable[[NDArray[np.bool_], NDArray[np.bool_]], Float32],
    enrolled_share: float = 0.5,
    false_accept_rate: float = 0.01,
) -> Share:
    """DIR at a false-accept rate: the first half of the identities is enrolled with walk 0, the rest are strangers."""
    names = np.unique(data.identity)
    enrolled = np.isin(data.identity, names[: max(1, int(enrolled_share * len(names)))])
    gallery, known, strangers = enrolled & (data.walk == 0), enrolled & (data.walk != 0), ~enrolled & (data.walk != 0)
    if not (gallery.any() and known.any() and strangers.any()):
        raise ValueError(
            f"{len(names)} identities are too few for an open-set test: both enrolled people and strangers with a second walk are needed"
        )
    nearest = distance_of(strangers, gallery).min(axis=1)
    return detection_identification_rate(
        distance_of(known, gallery), data.identity[known], data.identity[gallery], nearest, false_accept_rate
    )[0]


def angle_between(one: Float32, other: Float32) -> Float32:
    """Smallest angle between two directions, deg, 0..180."""
    return np.abs((np.asarray(one) - np.asarray(other) + 180) % 360 - 180)


def _figure(hits: Float64, trials: Float64, identity: NDArray) -> Figure:
    """The share with an interval from resampling identities (percentile bootstrap, fixed seed)."""
    names, number = np.unique(identity, return_inverse=True)
    hit, asked = np.bincount(number, hits, len(names)), np.bincount(number, trials, len(names))
    if not asked.sum():
        return Figure(float("nan"), 0.0, 1.0, 0)
    drawn = np.random.default_rng(0).integers(0, len(names), (RESAMPLES, len(names)))
    resampled = hit[drawn].sum(axis=1) / np.maximum(asked[drawn].sum(axis=1), 1)
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Figure(float(hit.sum() / asked.sum()), float(low), float(high), int(asked.sum()))
