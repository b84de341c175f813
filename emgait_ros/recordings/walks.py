"""Who walks when in a simulated recording, when they are enrolled, who is who by place, and what was seen of them: the same live and offline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from emgait_ros.recordings.bag import GroundTruth
from emgait_ros.samples import Float64

ENROLL_AT_SAMPLES = 25  # a fuller window makes better templates than the shortest one
LAST_CHANCE_S = 1.5  # before the end of the walk, whatever the window holds
RETRY_S = 1.0
MATCH_DISTANCE_M = 1.0
MATCH_TIME_NS = 60_000_000


@dataclass(frozen=True)
class RecordedWalk:
    """One walk as it was recorded: who, when (ns, stamps), under which name, and whether it is to be recognised."""

    identity: int
    walk: int
    name: str
    begin_ns: int
    end_ns: int
    is_probe: bool


@dataclass(frozen=True)
class Sighting:
    """One pedestrian in one identity message; ``walker`` is the simulated person at that place, if any.

    ``center`` and ``size`` (m, LiDAR frame) are the box; ``status`` is a ``samples.Status``.
    """

    stamp_ns: int
    walker: int | None
    track_id: int
    status: int
    name: str
    distance: float
    range_m: float
    samples: int
    reason: str
    center: tuple[float, float, float]
    size: tuple[float, float, float]


@dataclass(frozen=True)
class EnrollmentNote:
    """The answer to one enrolment call."""

    walker: int
    name: str
    stamp_ns: int
    success: bool
    message: str
    samples: int
    range_m: float


class EnrollmentPlan:
    """Named people are enrolled once, on their walks that are no probes, when their window is full or they are leaving.

    Args:
        walks: of the scene.
    """

    def __init__(self, walks: Sequence[RecordedWalk]) -> None:
        self._walks = {walk.identity: walk for walk in walks if walk.name and not walk.is_probe}
        self._asked_ns: dict[int, int] = {}

    def due(self, walker: int | None, stamp_ns: int, samples: int, samples_needed: int) -> RecordedWalk | None:
        """The walk on which this walker is to be enrolled now, or None; asked again after 1 s until :meth:`done`."""
        walk = None if walker is None else self._walks.get(walker)
        if walk is None or not walk.begin_ns <= stamp_ns <= walk.end_ns or samples < samples_needed:
            return None
        if samples < ENROLL_AT_SAMPLES and (walk.end_ns - stamp_ns) * 1e-9 > LAST_CHANCE_S:
            return None
        if (stamp_ns - self._asked_ns.get(walk.identity, 0)) * 1e-9 < RETRY_S:
            return None
        self._asked_ns[walk.identity] = stamp_ns
        return walk

    def done(self, walker: int) -> None:
        """The walker is enrolled."""
        self._walks.pop(walker, None)


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
