"""Who is who: pedestrians matched to the people of a ground truth by place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from emgait_ros.recordings.bag import GroundTruth
from emgait_ros.samples import Float64

MATCH_DISTANCE_M = 1.0
MATCH_TIME_NS = 60_000_000


def truth_at(truth: Iterable[GroundTruth], stamp_ns: int, tolerance_ns: int = MATCH_TIME_NS) -> GroundTruth | None:
    """The ground truth nearest in time, if one is near enough."""
    nearest = min(truth, key=lambda t: abs(t.stamp_ns - stamp_ns), default=None)
    return nearest if nearest is not None and abs(nearest.stamp_ns - stamp_ns) <= tolerance_ns else None


def matched_walkers(truth: GroundTruth | None, places: Float64) -> tuple[list[int | None], list[float]]:
    """Walker number (None: nobody there) and horizontal distance (m) of each place (n, 2), one to one within 1 m."""
    walkers: list[int | None] = [None] * len(places)
    distances = [float("nan")] * len(places)
    if truth is None or len(truth.walkers) == 0 or len(places) == 0:
        return walkers, distances
    apart = np.linalg.norm(places[:, None] - truth.centers[None, :, :2], axis=2)
    rows, columns = linear_sum_assignment(np.minimum(apart, 10 * MATCH_DISTANCE_M))
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if apart[row, column] <= MATCH_DISTANCE_M:
            walkers[row], distances[row] = int(truth.walkers[column]), float(apart[row, column])
    return walkers, distances


def places_of(centers: Sequence[Sequence[float] | Float64]) -> Float64:
    """(n, 2) horizontal places of box centres, m."""
    return np.array([center[:2] for center in centers], np.float64).reshape(-1, 2)
