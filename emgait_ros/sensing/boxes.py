"""Boxes of a detector of the user's (vision_msgs/Detection3DArray): read, carried into the LiDAR's frame, and why they are no use.

Without ROS: works on what rclpy receives and on what ``rosbags`` reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from emgait_ros.config import BoxesConfig, PairingConfig
from emgait_ros.samples import Boxes, Float64
from emgait_ros.sensing.frames import Lookup, frame_name
from emgait_ros.sensing.pairing import Pair
from emgait_ros.sensing.pairing_health import NO_PAIR_ALARM_S, OTHER_CLOCK_S, PairingHealth

JITTER_S = 0.04  # a detector does not take equally long each time
SILENT_S = 1.0
CLASSES_KEPT = 20
CLASSES_SHOWN = 5


def box_pairing(config: BoxesConfig) -> PairingConfig:
    """How clouds find their boxes: as they find images."""
    return PairingConfig(
        max_dt_s=config.max_dt_s, image_wait_s=JITTER_S, max_wait_s=config.max_wait_s, image_silent_s=SILENT_S
    )


@dataclass(frozen=True)
class Job:
    """A cloud with what belongs to it.

    Attributes:
        pair: the cloud and its image.
        boxes: vision_msgs/Detection3DArray, or None.
        boxes_dt_s: its stamp minus that of the cloud, s.
        detector_silent: no boxes have come at all for a second.
    """

    pair: Pair
    boxes: Any | None = None
    boxes_dt_s: float = 0.0
    detector_silent: bool = False

    def is_left_out(self, config: BoxesConfig) -> bool:
        """Whether nobody knows who is in it: a detector slower than the LiDAR, used instead of ours, has not looked at it.

        One that says nothing at all sees nobody.
        """
        return config.use == "instead" and self.boxes is None and not self.detector_silent


class BoxReader:
    """Reads messages of boxes, and keeps count of what is left out.

    Args:
        config: classes and limits.
        lookup: TF.

    Attributes:
        config: as :meth:`configure` was given it last.
        messages: read so far.
        people: boxes of people in them.
        others: class_id -> boxes that are no people, of the classes seen first.
        best_score: of a person so far.
        problem: why the boxes of the last message were not used; empty when they were.
    """

    def __init__(self, config: BoxesConfig, lookup: Lookup) -> None:
        self._lookup = lookup
        self.configure(config)

    def configure(self, config: BoxesConfig) -> None:
        """Take other options from now on; counts begin again."""
        self.config = config
        self.messages = self.people = 0
        self.others: Counter[str] = Counter()
        self.best_score, self.problem = 0.0, ""

    def read(self, message: Any, lidar_frame: str, fixed: str, stamp_ns: int, dt_s: float) -> tuple[Boxes, list[str]]:
        """People in a message, in the LiDAR's frame at the moment of its cloud.

        Args:
            message: vision_msgs/Detection3DArray; boxes may be turned in any way.
            lidar_frame: of the cloud.
            fixed: TF frame that does not move, empty where the LiDAR stands still.
            stamp_ns: corrected stamp of the cloud.
            dt_s: stamp of the boxes minus that of the cloud, s.

        Returns:
            The boxes, and a sentence for each kind of box that was left out.

        Raises:
            ValueError: TF does not connect the frames; the sentence names both.
        """
        self.messages += 1
        boxes, rotation, sentences = self._people(message)
        frame = message.header.frame_id or next((d.header.frame_id for d in message.detections), "")
        self.problem = ""
        if len(boxes) == 0:
            return boxes, sentences
        try:
            T = self._between(frame, lidar_frame, fixed, stamp_ns, round(dt_s * 1e9))
        except ValueError as error:
            self.problem = f"boxes cannot be used: {error}"
            raise ValueError(self.problem) from error
        extent = np.abs(T[:3, :3] @ rotation) @ boxes.size[:, :, None]
        return replace(boxes, center=boxes.center @ T[:3, :3].T + T[:3, 3], size=extent[..., 0]), sentences

    def _between(self, frame: str, lidar_frame: str, fixed: str, stamp_ns: int, dt_ns: int) -> Float64:
        """(4, 4) from the boxes' frame at their stamp to the LiDAR's at the cloud's."""
        if frame_name(frame) == frame_name(lidar_frame) and frame and (not fixed or not dt_ns):
            return np.eye(4)
        if not fixed:
            return self._lookup(lidar_frame, frame, stamp_ns + dt_ns)
        there = self._lookup(fixed, frame, stamp_ns + dt_ns)
        return np.asarray(np.linalg.inv(self._lookup(fixed, lidar_frame, stamp_ns)) @ there, np.float64)

    def _people(self, message: Any) -> tuple[Boxes, Float64, list[str]]:
        """Boxes as they are in the message, the (B, 3, 3) that turns their axes into its frame, and what was left out."""
        wanted = {name.casefold() for name in self.config.classes}
        found: list[tuple[float, ...]] = []
        sentences = []
        for detection in message.detections:
            score = _score_of(detection, wanted)
            if score is None:
                self._count_other(detection)
                continue
            self.people += 1
            p, q, size = detection.bbox.center.position, detection.bbox.center.orientation, detection.bbox.size
            row = (p.x, p.y, p.z, size.x, size.y, size.z, q.x, q.y, q.z, q.w, score)
            wrong = _wrong(row)
            if wrong:
                sentences.append(f"a box of a person is left out: {wrong}")
                continue
            self.best_score = max(self.best_score, score)
            found.append(row)
        values = np.array(found, np.float64).reshape(-1, 11)
        turned = values[:, 6:10].copy()
        turned[~turned.any(1), 3] = 1.0  # a quaternion that was never set
        rotation = Rotation.from_quat(turned).as_matrix() if len(values) else np.zeros((0, 3, 3))
        boxes = Boxes(values[:, :3], values[:, 3:6], np.clip(values[:, 10], 0.0, 1.0))
        return boxes, rotation, sorted(set(sentences))

    def _count_other(self, detection: Any) -> None:
        names = [hypothesis.hypothesis.class_id for hypothesis in detection.results] or [""]
        if names[0] in self.others or len(self.others) < CLASSES_KEPT:
            self.others[names[0]] += 1

    def problems(self) -> Iterator[str]:
        """Why boxes that come are no use, in sentences."""
        if self.problem:
            yield self.problem
        if self.messages and not self.people and self.others:
            seen = ", ".join(f"'{name}' ({count})" for name, count in self.others.most_common(CLASSES_SHOWN))
            yield f"none of the boxes is a person: boxes.classes is {', '.join(self.config.classes)}, the boxes are {seen}"
        if self.people and self.best_score < self.config.weak_score:
            yield (
                f"no person has a score over {self.best_score:.2f}: boxes.weak_score is {self.config.weak_score:g} and "
                f"boxes.sure_score {self.config.sure_score:g}, set them to what that detector's scores mean"
            )


def match_problem(health: PairingHealth, config: BoxesConfig, topic: str) -> str:
    """Why clouds find no boxes although both come; empty when they do.

    Args:
        health: of the pairing of clouds with boxes.
        config: limits.
        topic: of the boxes.
    """
    if health.no_pair_s <= NO_PAIR_ALARM_S or max(health.cloud_quiet_s, health.image_quiet_s) > SILENT_S:
        return ""
    start, lag_s = f"no boxes on {topic} belong to a cloud", health.arrival_offset_s
    copy = "that detector must copy the stamp of the cloud"
    if abs(lag_s) > OTHER_CLOCK_S:
        where = "behind" if lag_s > 0 else "ahead of"
        return f"{start}: their stamps are {abs(lag_s):.1f} s {where} those of the clouds: {copy}"
    if abs(health.constant_offset_s) > config.max_dt_s:
        where = "later" if health.constant_offset_s > 0 else "earlier"
        return (
            f"{start}: their stamps are {abs(health.constant_offset_s):.3f} s {where} than those of the nearest clouds, "
            f"boxes.max_dt_s is {config.max_dt_s:g} s: {copy}"
        )
    if lag_s + JITTER_S > config.max_wait_s:
        return (
            f"{start}: they come {lag_s:.2f} s after the clouds with the same stamp, boxes.max_wait_s is "
            f"{config.max_wait_s:g} s: raise it (to 1 s at most), or make that detector faster"
        )
    return (
        f"{start}: boxes come at {health.image_rate_hz:.1f} Hz, clouds at {health.cloud_rate_hz:.1f} Hz, and no stamps are within "
        f"boxes.max_dt_s ({config.max_dt_s:g} s): {copy}"
    )


def _score_of(detection: Any, wanted: set[str]) -> float | None:
    """The best score of a wanted class; None where there is none."""
    scores = [h.hypothesis.score for h in detection.results if h.hypothesis.class_id.strip().casefold() in wanted]
    return max(scores, default=None)


def _wrong(row: tuple[float, ...]) -> str:
    """What is wrong with place, size, quaternion and score of a box; empty when nothing is."""
    if not np.isfinite(row).all():
        return "it has numbers that are not finite"
    if min(row[3:6]) <= 0:
        return "its size is not positive along all axes"
    norm = sum(q * q for q in row[6:10])
    return "its orientation is no unit quaternion" if norm and abs(norm - 1.0) > 0.05 else ""
