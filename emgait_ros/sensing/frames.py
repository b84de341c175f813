"""A tree of coordinate frames from TF messages, without ROS: what tf2 computes, the same live and from a bag."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emgait_ros.samples import Float64
from emgait_ros.sensing.conversions import stamp_ns as stamp_of

KEPT_NS = 10 * 10**9  # history of a moving frame, as in tf2
JUMP_NS = 10**9  # a frame that goes back further than this has started over: a bag loops

Lookup = Callable[[str, str, int | None], Float64]  # target, source, stamp in ns or None: see FrameTree.matrix
Pose = tuple[float, ...]  # x, y, z (m) and the unit quaternion x, y, z, w


class NotYetError(ValueError):
    """The tree connects the frames, but its newest transforms are older than the stamp, by 10 s at most: newer ones may come."""


def frame_name(frame_id: str) -> str:
    """A frame_id without the leading slash of ROS 1: TF of ROS 2 has none."""
    return frame_id.lstrip("/")


@dataclass
class _Step:
    """From a frame to its parent: one pose that always holds, or a history sorted by stamp (ns)."""

    parent: str
    is_static: bool
    poses: list[tuple[int, Pose]] = field(default_factory=list)

    def add(self, stamp_ns: int, pose: Pose) -> None:
        if self.is_static:
            self.poses = [(stamp_ns, pose)]
            return
        place = bisect_left(self.poses, (stamp_ns,))
        if place < len(self.poses) and self.poses[place][0] == stamp_ns:
            self.poses[place] = (stamp_ns, pose)
        else:
            insort(self.poses, (stamp_ns, pose))
        oldest = bisect_left(self.poses, (self.poses[-1][0] - KEPT_NS,))
        if oldest > 100:  # now and then, not with every message
            del self.poses[:oldest]

    def matrix(self, stamp_ns: int) -> Float64:
        """(4, 4) pose of the frame in its parent, between the two transforms around the stamp."""
        if self.is_static:
            return _matrix(self.poses[0][1])
        after = bisect_left(self.poses, (stamp_ns,))
        if after < len(self.poses) and self.poses[after][0] == stamp_ns:
            return _matrix(self.poses[after][1])
        (begin_ns, before), (end_ns, behind) = self.poses[after - 1], self.poses[after]
        return _matrix(_between(before, behind, (stamp_ns - begin_ns) / (end_ns - begin_ns)))


class FrameTree:
    """Transforms as they come in, and the chain between any two frames at any time. Not thread-safe.

    Moving frames keep 10 s. When one of them goes back in time by more than a second, a bag has started over: all moving
    frames are forgotten, and static ones stay.

    Args:
        place: where the transforms come from, for the sentences.
    """

    def __init__(self, place: str = "TF") -> None:
        self._place = place
        self._steps: dict[str, _Step] = {}

    def add(self, message: Any, is_static: bool) -> list[str]:
        """Take in a tf2_msgs/TFMessage (from rclpy or rosbags) of /tf or /tf_static; returns what is wrong with it."""
        problems = []
        for stamped in message.transforms:
            parent, child = frame_name(stamped.header.frame_id), frame_name(stamped.child_frame_id)
            t, q = stamped.transform.translation, stamped.transform.rotation
            pose = (t.x, t.y, t.z, q.x, q.y, q.z, q.w)
            problem = _problem(parent, child, pose)
            if problem:
                problems.append(f"{self._place}: the transform from '{child}' to '{parent}' {problem}: left out")
                continue
            self._add(parent, child, stamp_of(stamped.header), pose, is_static)
        return problems

    def _add(self, parent: str, child: str, stamp_ns: int, pose: Pose, is_static: bool) -> None:
        step = self._steps.get(child)
        if step and not is_static and not step.is_static and stamp_ns < step.poses[-1][0] - JUMP_NS:
            self._steps = {name: kept for name, kept in self._steps.items() if kept.is_static}
            step = None
        if step is None or step.parent != parent or step.is_static != is_static:
            step = self._steps[child] = _Step(parent, is_static)
        step.add(stamp_ns, pose)

    def matrix(self, target: str, source: str, stamp_ns: int | None = None) -> Float64:
        """The (4, 4) float64 that maps points (m) of frame ``source`` into frame ``target``.

        Args:
            target, source: frame names; a leading slash does not count.
            stamp_ns: at which time; None: the newest at which all of the chain is known.

        Raises:
            NotYetError: the newest transforms are older than the stamp, by 10 s at most.
            ValueError: an empty name, frames that are not connected, a stamp before the oldest transform kept, or one that is no
                time of TF's clock.
        """
        target, source = frame_name(target), frame_name(source)
        no_transform = f"no transform from '{source}' to '{target}'"
        if not target or not source:
            raise ValueError(f"{no_transform}: a message has an empty frame_id, its driver must set it")
        up, down = list(self._ancestors(source)), list(self._ancestors(target))
        common = next((name for name in up if name in down), None)
        if common is None:
            known = ", ".join(sorted({*self._steps, *(step.parent for step in self._steps.values())}))
            raise ValueError(
                f"{no_transform}: {self._place} does not connect them (it has {known or 'no frame at all'})"
            )
        up, down = up[: up.index(common)], down[: down.index(common)]
        moving = [(name, self._steps[name].poses) for name in [*up, *down] if not self._steps[name].is_static]
        if stamp_ns is None:
            stamp_ns = min((poses[-1][0] for _, poses in moving), default=0)
        for name, poses in moving:
            if stamp_ns > poses[-1][0]:
                behind_ns = stamp_ns - poses[-1][0]
                sentence = f"{no_transform}: {self._place} knows '{name}' only before that stamp{_far(behind_ns)}"
                raise ValueError(sentence) if behind_ns > KEPT_NS else NotYetError(sentence)
            if stamp_ns < poses[0][0]:
                raise ValueError(
                    f"{no_transform}: {self._place} knows '{name}' only after that stamp{_far(poses[0][0] - stamp_ns)}"
                )
        return np.asarray(np.linalg.inv(self._climb(down, stamp_ns)) @ self._climb(up, stamp_ns), np.float64)

    def _ancestors(self, name: str) -> Iterator[str]:
        """The frame, its parent, and so on to the root."""
        seen: set[str] = set()
        while name not in seen:
            seen.add(name)
            yield name
            if name in self._steps:
                name = self._steps[name].parent

    def _climb(self, names: list[str], stamp_ns: int) -> Float64:
        matrix = np.eye(4)
        for name in names:
            matrix = self._steps[name].matrix(stamp_ns) @ matrix
        return matrix


def _far(apart_ns: int) -> str:
    """What so large a difference means; empty where it is small. Without the figure: with that, each sentence were another."""
    return (
        f", by more than {KEPT_NS // 10**9} s: the sensor's clock seems to be another one than TF's (PTP, NTP)"
        if apart_ns > KEPT_NS
        else ""
    )


def _problem(parent: str, child: str, pose: Pose) -> str:
    """What is wrong with a transform, by tf2's rules; empty when nothing is."""
    if not parent or not child or parent == child:
        return "does not connect two frames"
    if not all(map(math.isfinite, pose)) or abs(sum(q * q for q in pose[3:]) - 1.0) > 0.01:
        return "has no unit quaternion and finite translation"
    return ""


def _between(before: Pose, behind: Pose, part: float) -> Pose:
    """Translation on the straight line, rotation about one axis at constant speed (slerp)."""
    cosine = sum(a * b for a, b in zip(before[3:], behind[3:], strict=True))
    angle = math.acos(min(abs(cosine), 1.0))
    first, second = 1.0 - part, part
    if angle > 1e-6:
        first, second = (math.sin(weight * angle) / math.sin(angle) for weight in (first, second))
    second = math.copysign(second, cosine)  # of the two quaternions of a rotation, the nearer
    place = ((1.0 - part) * a + part * b for a, b in zip(before[:3], behind[:3], strict=True))
    return (*place, *(first * a + second * b for a, b in zip(before[3:], behind[3:], strict=True)))


def _matrix(pose: Pose) -> Float64:
    px, py, pz, x, y, z, w = pose
    s = 2.0 / (x * x + y * y + z * z + w * w)
    return np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w), px],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w), py],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y), pz],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )
