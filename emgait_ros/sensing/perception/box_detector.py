"""People whom a detector of the user's has found: their returns in the cloud, and boxes as our own detector makes them.

The network knows people as our detector cuts them out. So a box only says that, and about where, somebody is: place and size come
from the returns around its middle, where there are enough of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import SensingConfig
from emgait_ros.samples import Boxes, Detections, Float32, Float64, Int64
from emgait_ros.sensing.perception.candidates import CandidateFinder, Surroundings
from emgait_ros.sensing.perception.detector import Detector, ShapeDetector, boxes_around, no_detections, without
from emgait_ros.sensing.perception.occlusion import covered_by_others, out_of_sight
from emgait_ros.sensing.perception.shapes import measure, members
from emgait_ros.sensing.perception.views import look, measures_of
from emgait_ros.sensing.tracking.evidence import as_score, trust

TWICE_M = 0.35  # two boxes nearer to each other are one person
SAME_PERSON_M = 0.7  # a shape of ours this near to a box is whom it stands for, or part of the group it parts
CONFIRMED = 0.5  # how far our own detector lifts the score of a box towards 1
SHORTER_M, TALLER_M = 0.25, 0.15  # how far the highest return may be from the top of the box to be believed
MOST_BOXES = 200  # in one cloud: bounds the time; the surest go first


class BoxDetector(Detector):
    """Joins the boxes of another detector with the cloud, alone or beside our own detector.

    Args:
        config: ranges, scales of the scores, and whether our own detector runs as well.

    Attributes:
        boxes: of the cloud that is looked at next, LiDAR frame; None: that detector did not look at it.

    Raises:
        ValueError: our own detector's file cannot be used.
    """

    def __init__(self, config: SensingConfig) -> None:
        self.boxes: Boxes | None = None
        self._config = config
        options, tracker = config.detector, config.tracker
        beside = config.boxes.use == "beside"
        self._own = ShapeDetector(options, min(options.min_score, tracker.weak_score)) if beside else None
        self._finder = None if beside else CandidateFinder(options)
        self._around: Surroundings | None = None
        self.left_out, self.left_out_from_m = 0, np.inf

    def detect(self, points: Float32) -> Detections:
        """See ``Detector``."""
        own = no_detections()
        if self._own is not None:
            own = self._own.detect(points)
            self._around = self._own.surroundings
            self.left_out, self.left_out_from_m = self._own.left_out, self._own.left_out_from_m
        elif self._finder is not None:
            self._around = self._finder.look_around(points)
        if self.boxes is None or self._around is None:
            return own
        boxes = _chosen(self.boxes, self._config.detector.min_range_m, self._config.detector.max_range_m)
        return _joined(own, self._with_returns(boxes, self._around)) if len(boxes) else own

    def ground_z(self, points: Float32) -> Float64 | None:
        """See ``Detector``."""
        return None if self._around is None else self._around.ground.height_at(points[:, 0], points[:, 1])

    def hides(self, place: Float64) -> NDArray[np.bool_]:
        """See ``Detector``."""
        return np.zeros(len(place), bool) if self._around is None else out_of_sight(self._around.rays, place)

    def _with_returns(self, boxes: Boxes, around: Surroundings) -> Detections:
        """A detection for each box: around its returns where there are enough, else as the box is and without any."""
        config = self._config
        score = trust(boxes.score, config.boxes.weak_score, config.boxes.sure_score)
        score = as_score(score, config.tracker.weak_score, config.detector.min_score)
        peak = np.ascontiguousarray(boxes.center[:, :2], np.float32)
        found = measure(around.body, peak, config.detector.min_points)
        shape, place = found.shape, peak[found.peak]
        floor = around.ground.height_at(place[:, 0], place[:, 1])
        top = boxes.center[found.peak, 2] + boxes.size[found.peak, 2] / 2 - floor
        shape["top"] = np.clip(shape["top"], top - SHORTER_M, top + TALLER_M)
        front = look(around.rays, around.body, measures_of(shape), place, floor).front
        index, splits = members(around.body, peak, found.owner, found.peak)
        covered, alone = covered_by_others(front, shape["top"]), np.zeros(len(shape), bool)
        seen = boxes_around(shape, floor, score[found.peak].astype(np.float32), index, splits, covered, alone)
        bare = np.setdiff1d(np.arange(len(boxes)), found.peak)
        return _appended(seen, boxes.center[bare], boxes.size[bare], score[bare])


def _chosen(boxes: Boxes, min_range_m: float, max_range_m: float) -> Boxes:
    """The boxes in range, the surest first, without those that stand for the person of a surer one."""
    distance = np.hypot(boxes.center[:, 0], boxes.center[:, 1])
    order = np.argsort(-boxes.score, kind="stable")
    order = order[(distance[order] >= min_range_m) & (distance[order] <= max_range_m)][:MOST_BOXES]
    apart = np.linalg.norm(boxes.center[order, None, :2] - boxes.center[None, order, :2], axis=2)
    kept: list[int] = []
    for i in range(len(order)):
        if not (apart[i, kept] < TWICE_M).any():
            kept.append(i)
    chosen = order[kept]
    return Boxes(boxes.center[chosen], boxes.size[chosen], boxes.score[chosen])


def _joined(own: Detections, found: Detections) -> Detections:
    """Boxes and what our own detector saw elsewhere; where it agrees with a box, the box is trusted more."""
    if len(own) == 0:
        return found
    apart = np.linalg.norm(own.center[:, None, :2] - found.center[None, :, :2], axis=2)
    near = apart < SAME_PERSON_M
    agreed = np.where(near, own.score[:, None], 0.0).max(0)
    lifted = found.score + CONFIRMED * agreed * (1.0 - found.score)
    rest = without(own, near.any(1))
    return Detections(
        np.concatenate([found.center, rest.center]),
        np.concatenate([found.size, rest.size]),
        np.concatenate([lifted, rest.score]).astype(np.float32),
        np.concatenate([found.point_index, rest.point_index]),
        np.concatenate([found.splits, found.splits[-1] + rest.splits[1:]]),
        np.concatenate([found.occlusion, rest.occlusion]),
        np.concatenate([found.group, rest.group]),
    )


def _appended(seen: Detections, center: Float64, size: Float64, score: Float64) -> Detections:
    """Detections and (N, 3), (N, 3), (N,) more that have no returns."""
    count = len(score)
    none: Int64 = np.full(count, seen.splits[-1], np.int64)
    return Detections(
        np.concatenate([seen.center, center]).astype(np.float32),
        np.concatenate([seen.size, size]).astype(np.float32),
        np.concatenate([seen.score, score]).astype(np.float32),
        seen.point_index,
        np.concatenate([seen.splits, none]),
        np.concatenate([seen.occlusion, np.zeros(count, np.float32)]),
        np.concatenate([seen.group, np.zeros(count, bool)]),
    )
