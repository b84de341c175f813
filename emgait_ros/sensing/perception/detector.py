"""People in a cloud: the protocol of a detector, and the geometric one that is included."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import DetectorConfig
from emgait_ros.samples import Detections, Float32, Float64
from emgait_ros.sensing.perception.clusters import BirdView, peaks
from emgait_ros.sensing.perception.company import DOUBTFUL_SCORE, ramp, with_company
from emgait_ros.sensing.perception.ground import GroundEstimator, GroundSurface
from emgait_ros.sensing.perception.shape_kernels import HORIZON_STEP_M
from emgait_ros.sensing.perception.shapes import hidden_below, horizon, measure, members

log = logging.getLogger(__name__)

MAX_CANDIDATES = 400  # shapes examined in one cloud: bounds the time; the nearest go first
BODY_DEPTH_M = 0.1  # the trunk's middle lies this far behind the surface that returns the beams
RING_SPACING = 0.0075  # vertical distance of beams over range: 0.43 degrees, a 64-beam sensor
MIN_DISTANCE_M = 0.4  # two people never stand closer


class Detector(Protocol):
    """Finds people in clouds. Give ``PedestrianSensing`` your own: derive it from this class and write ``detect``.

    The other members describe the last cloud. Their defaults stand for "not known"; a detector that
    knows more overrides them.

    Attributes:
        left_out: shapes that were not examined because there were too many.
    """

    left_out: int = 0

    @abstractmethod
    def detect(self, points: Float32) -> Detections:
        """People in one cloud: points (N, 3) float32, m, LiDAR frame, z up, finite. Must not raise on any cloud.

        Doubtful people are to be returned too, with their low score: the tracker continues tracks with detections from
        ``tracker.weak_score`` on. ``Detections.occlusion`` may stay empty.
        """
        ...

    def ground_z(self, points: Float32) -> Float64 | None:
        """z of the ground under each of these places (N, 3), m, LiDAR frame: (N,); None: it is estimated from the cloud."""
        return None

    def hides(self, place: Float64) -> NDArray[np.bool_]:
        """Whether something nearer keeps each place (K, 3), m, LiDAR frame, out of sight: (K,); False where not known.

        A track that is out of sight is kept longer. People who stand before others are accounted for anyway.
        """
        return np.zeros(len(place), bool)


class GeometricDetector(Detector):
    """Ground, bird's-eye peaks, shape: no learned model, one core, deterministic. Detections come nearest first.

    Args:
        config: ranges, gates and the least score.
        min_score: least score instead of the options', for a tracker that can use weaker ones.

    Attributes:
        ground: ground surface of the last cloud; None before the first.
        examined_xy: (K, 2) float32, m, LiDAR frame: the peaks of the last cloud that were looked at.
        examined_score: (K,) float32, 0..1: what they scored, NaN where a gate left one out (too few returns, say).
    """

    def __init__(self, config: DetectorConfig | None = None, min_score: float | None = None) -> None:
        self.config = config or DetectorConfig()
        self._min_score = self.config.min_score if min_score is None else min_score
        self._ground = GroundEstimator(self.config.min_range_m, self.config.max_range_m, self.config.sensor_height_m)
        self._view = BirdView(self.config.max_range_m)
        self.ground: GroundSurface | None = None
        self.left_out = 0
        self.examined_xy, self.examined_score = np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
        self._horizon: Float32 | None = None

    def detect(self, points: Float32) -> Detections:
        """See ``Detector``."""
        points = np.ascontiguousarray(points[:, :3], np.float32)
        self.ground, heights = self._ground.estimate(points)
        body = self._view.build(points, heights)
        self._horizon = horizon(body)
        found = peaks(body)
        self.left_out = max(0, len(found) - MAX_CANDIDATES)
        if self.left_out:
            log.debug("%d candidates beyond %.0f m left out", self.left_out, float(np.hypot(*found[MAX_CANDIDATES])))
        found = found[:MAX_CANDIDATES]
        self.examined_xy, self.examined_score = found.copy(), np.full(len(found), np.nan, np.float32)
        candidates = measure(body, found, self.config.min_points)
        shape = candidates.shape
        if len(shape) == 0:
            return no_detections()
        floor = self.ground.height_at(shape["x"], shape["y"])
        hidden = hidden_below(self._horizon, shape["x"], shape["y"])
        ceiling = self.ground.highest_slope * shape["range"]
        below_view = np.minimum(self.ground.lowest_slope, 0.0) * shape["range"]
        expected = self.ground.expected_returns(
            np.clip(shape["slice_width"], 0.2, 0.7), shape["range"], floor + shape["bottom"], floor + shape["top"]
        )
        alone, wide = shape_score(shape, np.maximum(hidden, below_view) - floor, ceiling - floor, expected, self.config)
        score, group = with_company(alone, wide, candidates, body, found)
        self.examined_score[candidates.peak] = score
        group |= too_wide(shape)
        chosen = _apart(shape, score, self._min_score)
        index, splits = members(body, found, candidates.owner, candidates.peak[chosen])
        covered = np.clip((hidden - floor)[chosen] / np.maximum(shape["top"][chosen], 0.1), 0.0, 1.0)
        return _boxes(shape[chosen], floor[chosen], score[chosen], index, splits, covered, group[chosen])

    def ground_z(self, points: Float32) -> Float64 | None:
        """See ``Detector``."""
        return None if self.ground is None else self.ground.height_at(points[:, 0], points[:, 1])

    def hides(self, place: Float64) -> NDArray[np.bool_]:
        """See ``Detector``."""
        if self._horizon is None:
            return np.zeros(len(place), bool)
        reach = (self._horizon.shape[1] - 2) * HORIZON_STEP_M
        inside = np.hypot(place[:, 0], place[:, 1]) < reach
        return inside & (hidden_below(self._horizon, place[:, 0], place[:, 1]) > place[:, 2])


def no_detections() -> Detections:
    """Detections of a cloud without people."""
    nothing = np.zeros((0, 3), np.float32)
    return Detections(nothing, nothing, np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(1, np.int64))


def without(detections: Detections, gone: NDArray[np.bool_]) -> Detections:
    """The detections that are not ``gone`` (D,)."""
    if not gone.any():
        return detections
    kept = np.flatnonzero(~gone)
    members = [detections.members(i) for i in kept.tolist()]
    splits = np.concatenate([[0], np.cumsum([len(m) for m in members])]).astype(np.int64)
    index = np.concatenate([np.zeros(0, np.int64), *members])
    occlusion = detections.occlusion[kept] if len(detections.occlusion) else detections.occlusion
    group = detections.group[kept] if len(detections.group) else detections.group
    return Detections(
        detections.center[kept], detections.size[kept], detections.score[kept], index, splits, occlusion, group
    )


def shape_score(
    shape: np.ndarray,
    hidden: np.ndarray,
    ceiling: np.ndarray,
    expected: np.ndarray,
    config: DetectorConfig,
) -> tuple[Float64, Float64]:
    """How much each shape looks like a person who stands alone, 0..1, and how much like several side by side.

    Args:
        shape: (K,) measures of dtype ``shapes.SHAPE``.
        hidden: (K,) height over the ground, m, below which nearer things hide the place.
        ceiling: (K,) height over the ground of the sensor's highest beam there, m.
        expected: (K,) returns a solid thing of that size would give.
        config: the gates.
    """
    top, bottom, distance = shape["top"].astype(np.float64), shape["bottom"], shape["range"]
    beam = RING_SPACING * distance
    reaches = top + 0.5 * beam  # the head lies between the highest beam that hit it and the next
    low, high = config.min_height_m, config.max_height_m
    tall = np.maximum(ramp(reaches, low + 0.1, low + 0.5), DOUBTFUL_SCORE * ramp(reaches, low - 0.1, low + 0.05))
    tall *= ramp(top, high, 1.95)
    seen = ramp(top - bottom, 0.2, 0.5)
    stands = ramp(bottom - np.maximum(hidden, 0.1) - beam, 0.7, 0.3)
    head = ramp(shape["head_width"], 0.72, 0.54)
    unseen = 0.0025 * distance  # the outermost returns lie this far inside the outline
    thick = ramp(np.maximum(shape["slice_width"], 0.5 * shape["trunk_width"]) + unseen, 0.08, 0.18)
    narrow = ramp(shape["trunk_width"], config.max_width_m, 0.9) * ramp(shape["length"], config.max_width_m, 1.1)
    no_bicycle = ramp(shape["low_length"], 1.55, 1.2)
    surface = ramp(shape["depth_spread"], 0.25, 0.17)
    filled = ramp(shape["slices"] / ((top - bottom) / np.maximum(0.2, 1.3 * beam) + 1e-6), 0.3, 0.7)
    solid = ramp(shape["count"] / np.maximum(expected, 1e-6), 0.15, 0.4)
    through = np.where(hidden > top - 0.1, 0.4, 1.0)  # seen through leaves, a fence or a gap
    cut = np.where(
        np.abs(ceiling - top) < 0.1 + beam, np.where(top > 1.85, 0.4, 0.7), 1.0
    )  # may go on above the highest beam
    upright = tall * seen * stands * thick * no_bicycle * surface * filled * solid * through * cut
    abreast = ramp(shape["head_width"], 1.05, 0.9) * ramp(shape["trunk_width"], 1.4, 1.2)
    return upright * head * narrow, upright * abreast


def too_wide(shape: np.ndarray) -> NDArray[np.bool_]:
    """Which shapes (K,) are wider than one person is: head and shoulders, or the trunk with its arms."""
    return np.asarray(
        (shape["head_width"] > 0.53 + ramp(shape["range"], 20, 40) * 0.15) | (shape["trunk_width"] > 0.78)
    )


def _apart(shape: np.ndarray, score: Float64, min_score: float) -> np.ndarray:
    """Indices of accepted shapes, nearest first, without the weaker one of two that overlap."""
    good = np.flatnonzero(score >= min_score)
    if len(good) > 1:
        x, y = shape["x"][good], shape["y"][good]
        close = np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :]) < MIN_DISTANCE_M
        rank = score[good] * shape["count"][good]
        beaten = close & (
            (rank[None, :] > rank[:, None]) | ((rank[None, :] == rank[:, None]) & np.tri(len(good), k=-1, dtype=bool))
        )
        good = good[~beaten.any(1)]
    return good[np.argsort(shape["range"][good], kind="stable")]


def _boxes(
    shape: np.ndarray,
    floor: Float64,
    score: Float64,
    index: np.ndarray,
    splits: np.ndarray,
    covered: Float64,
    group: NDArray[np.bool_],
) -> Detections:
    """Upright boxes from the ground to the top of the head around the chosen shapes."""
    outwards = (shape["range"] + BODY_DEPTH_M) / np.maximum(shape["range"], 0.1)
    height = shape["top"].astype(np.float64) + 0.03
    center = np.stack([shape["x"] * outwards, shape["y"] * outwards, floor + height / 2], axis=1)
    width = [2 * np.clip(shape[half] + 0.02, 0.25, np.where(group, 1.3, 0.65)) for half in ("half_x", "half_y")]
    size = np.stack([*width, height], axis=1)
    return Detections(
        center.astype(np.float32),
        size.astype(np.float32),
        score.astype(np.float32),
        index,
        splits,
        covered.astype(np.float32),
        group,
    )
