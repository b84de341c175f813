"""From a cloud to the places where a person may stand, with what the scorer looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import DetectorConfig
from emgait_ros.samples import Float32, Float64, Int64
from emgait_ros.sensing.perception.clusters import BirdView, BodyMap, peaks
from emgait_ros.sensing.perception.ground import GroundEstimator, GroundSurface
from emgait_ros.sensing.perception.shapes import Candidates, measure
from emgait_ros.sensing.perception.views import Rays, Views, look, measures_of

MAX_CANDIDATES = 400  # looked at in one cloud: bounds the time; the nearest go first
Promising = Callable[[Float32], NDArray[np.bool_]]


@dataclass(frozen=True)
class Surroundings:
    """A cloud, ready to be looked at; valid until the next one is looked at.

    Attributes:
        ground: its ground surface.
        body: its bird's-eye map.
        rays: its returns and their directions.
    """

    ground: GroundSurface
    body: BodyMap
    rays: Rays


@dataclass(frozen=True)
class Found(Surroundings):
    """Candidates of one cloud.

    Attributes:
        peak: (P, 2) float32 x, y of all peaks looked at, m, LiDAR frame, nearest first.
        candidates: those of them that have enough returns, with their measures.
        chosen: (K,) int64 the candidates that were worth views.
        place: (K, 2) float32 their x, y, m.
        floor: (K,) float64 z of the ground there, m.
        views: what they look like.
        left_out: peaks that were too many.
        left_out_from_m: range from which on they were left out; infinite when none was.
    """

    peak: Float32
    candidates: Candidates
    chosen: Int64
    place: Float32
    floor: Float64
    views: Views
    left_out: int
    left_out_from_m: float


class CandidateFinder:
    """Ground, bird's-eye peaks, measures and views of one cloud after another; keeps only buffers between clouds.

    Args:
        config: ranges and the least number of returns.
        promising: which candidates are worth views, (J,) bool from measures (J, M); None: all are.
    """

    def __init__(self, config: DetectorConfig, promising: Promising | None = None) -> None:
        self._config, self._promising = config, promising
        self._ground = GroundEstimator(config.min_range_m, config.max_range_m, config.sensor_height_m)
        self._view = BirdView(config.max_range_m)

    def look_around(self, points: Float32) -> Surroundings:
        """A cloud (N, 3) float32, m, LiDAR frame, z up, sorted to look for people in it."""
        points = np.ascontiguousarray(points[:, :3], np.float32)
        ground, heights = self._ground.estimate(points)
        return Surroundings(ground, self._view.build(points, heights), Rays(points, self._ground.direction))

    def find(self, points: Float32) -> Found:
        """Candidates in a cloud (N, 3) float32, m, LiDAR frame, z up; valid until the next one is looked at."""
        around = self.look_around(points)
        ground, body, rays = around.ground, around.body, around.rays
        found = peaks(body)
        left_out = max(0, len(found) - MAX_CANDIDATES)
        left_out_from_m = float(np.hypot(*found[MAX_CANDIDATES])) if left_out else np.inf
        found = found[:MAX_CANDIDATES]
        candidates = measure(body, found, self._config.min_points)
        measures = measures_of(candidates.shape)
        chosen = np.arange(len(measures)) if self._promising is None else np.flatnonzero(self._promising(measures))
        place = found[candidates.peak[chosen]]
        floor = ground.height_at(place[:, 0], place[:, 1])
        views = look(rays, body, measures[chosen], place, floor)
        return Found(ground, body, rays, found, candidates, chosen, place, floor, views, left_out, left_out_from_m)
