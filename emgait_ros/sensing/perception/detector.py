"""People in a cloud: the protocol of a detector, and the one that is included."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import DetectorConfig
from emgait_ros.samples import Detections, Float32, Float64
from emgait_ros.sensing.perception.candidates import CandidateFinder, Found, Surroundings
from emgait_ros.sensing.perception.ground import GroundSurface
from emgait_ros.sensing.perception.occlusion import covered_by_others, out_of_sight
from emgait_ros.sensing.perception.scorer import Scorer
from emgait_ros.sensing.perception.shapes import members

BODY_DEPTH_M = 0.1  # the trunk's middle lies this far behind the surface that returns the beams
GROUP, WIDE_GROUP = 0.25, 0.1  # probability of several people from which on a detection is a group; of a wide one
MIN_DISTANCE_M = 0.4  # two people never stand closer


class Detector(Protocol):
    """Finds people in clouds. Give ``PedestrianSensing`` your own: derive it from this class and write ``detect``.

    The other members describe the last cloud. Their defaults stand for "not known"; a detector that
    knows more overrides them.

    Attributes:
        left_out: shapes that were not examined because there were too many.
        left_out_from_m: range from which on, m.
    """

    left_out: int = 0
    left_out_from_m: float = np.inf

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


class ShapeDetector(Detector):
    """Ground, bird's-eye peaks, and a learned judge of what each looks like; one core, deterministic. Detections come nearest first.

    Args:
        config: ranges, the judge's file and the least score.
        min_score: least score instead of the options', for a tracker that can use weaker ones.

    Raises:
        ValueError: the judge's file cannot be used.

    Attributes:
        ground: ground surface of the last cloud; None before the first.
        examined_xy: (K, 2) float32, m, LiDAR frame: the peaks of the last cloud that were looked at.
        examined_score: (K,) float32, 0..1: what they scored, NaN where too few returns left one out.
    """

    def __init__(self, config: DetectorConfig | None = None, min_score: float | None = None) -> None:
        self.config = config or DetectorConfig()
        self._min_score = self.config.min_score if min_score is None else min_score
        self._scorer = Scorer(self.config.scorer)
        self._finder = CandidateFinder(self.config, self._scorer.promising)
        self._last: Found | None = None
        self.left_out, self.left_out_from_m = 0, np.inf
        self.examined_xy, self.examined_score = np.zeros((0, 2), np.float32), np.zeros(0, np.float32)

    @property
    def surroundings(self) -> Surroundings | None:
        """The last cloud, sorted; None before the first."""
        return self._last

    @property
    def ground(self) -> GroundSurface | None:
        """See the attributes."""
        return None if self._last is None else self._last.ground

    def detect(self, points: Float32) -> Detections:
        """See ``Detector``."""
        found = self._last = self._finder.find(points)
        self.left_out, self.left_out_from_m = found.left_out, found.left_out_from_m
        shape, peak = found.candidates.shape[found.chosen], found.candidates.peak[found.chosen]
        score, several = self._scorer.score(found.views)
        self.examined_xy, self.examined_score = found.peak, np.full(len(found.peak), np.nan, np.float32)
        self.examined_score[found.candidates.peak] = 0.0
        self.examined_score[peak] = score
        chosen = _apart(shape, score, self._min_score)
        if len(chosen) == 0:
            return no_detections()
        index, splits = members(found.body, found.peak, found.candidates.owner, peak[chosen])
        covered = covered_by_others(found.views.front[chosen], shape["top"][chosen])
        group = several[chosen] > np.where(too_wide(shape[chosen]), WIDE_GROUP, GROUP)
        return boxes_around(shape[chosen], found.floor[chosen], score[chosen], index, splits, covered, group)

    def ground_z(self, points: Float32) -> Float64 | None:
        """See ``Detector``."""
        return None if self._last is None else self._last.ground.height_at(points[:, 0], points[:, 1])

    def hides(self, place: Float64) -> NDArray[np.bool_]:
        """See ``Detector``."""
        return np.zeros(len(place), bool) if self._last is None else out_of_sight(self._last.rays, place)


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


def too_wide(shape: np.ndarray) -> NDArray[np.bool_]:
    """Which shapes (K,) are wider than one person mostly is: head and shoulders, or the trunk with its arms."""
    head = 0.53 + 0.15 * np.clip((shape["range"] - 20.0) / 20.0, 0.0, 1.0)
    return np.asarray((shape["head_width"] > head) | (shape["trunk_width"] > 0.78), np.bool_)


def _apart(shape: np.ndarray, score: Float32, min_score: float) -> np.ndarray:
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


def boxes_around(
    shape: np.ndarray,
    floor: Float64,
    score: Float32,
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
