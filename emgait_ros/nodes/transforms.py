"""TF as a node hears it: /tf and /tf_static into a frame tree."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from emgait_ros.samples import Float64
from emgait_ros.sensing.frames import FrameTree, NotYetError, frame_name

WAIT_S = 0.1  # transforms of a moving robot come a little later than the clouds they are for
TRIES, IMPATIENT_S = 3, 1.0  # after so many waits in vain in a row, one a second: clouds must not queue up behind them
DEPTH = 100  # as tf2 has it


class Transforms:
    """Looks transforms up for a node. :meth:`matrix` may wait: call it from a worker thread, not from a callback.

    Args:
        node: subscribes to /tf and /tf_static.
        report: called with sentences about transforms that cannot be used.

    Attributes:
        problem: why TF cannot be read here; empty where it can.
        heard: called, in the thread that spins the node, whenever transforms have come.
    """

    def __init__(self, node: Node, report: Callable[[str], None] = lambda sentence: None) -> None:
        self._report = report
        self._tree = FrameTree()
        self._changed = threading.Condition()
        self._in_vain: dict[tuple[str, str], tuple[int, float]] = {}  # frames: waits in a row, no further one before
        self.problem = ""
        self.heard: Callable[[], None] = lambda: None
        try:
            message = import_module("tf2_msgs.msg").TFMessage
        except ImportError:
            self.problem = "tf2_msgs is not installed here, so TF cannot be read"
            return
        latched = QoSProfile(depth=DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(message, "/tf", lambda m: self._add(m, False), DEPTH)
        node.create_subscription(message, "/tf_static", lambda m: self._add(m, True), latched)

    def matrix(self, target: str, source: str, stamp_ns: int | None = None) -> Float64:
        """The (4, 4) float64 that maps points (m) of frame ``source`` into frame ``target`` (see ``FrameTree.matrix``).

        A transform that is not there yet is waited for, 0.1 s at most, and once a second where that keeps failing.

        Raises:
            ValueError: there is none; the sentence names both frames.
        """
        if self.problem:
            raise ValueError(f"no transform from '{frame_name(source)}' to '{frame_name(target)}': {self.problem}")
        frames, now_s = (target, source), time.monotonic()
        with self._changed:
            count, again_s = self._in_vain.get(frames, (0, 0.0))
            waits = count < TRIES or now_s >= again_s
            until_s = now_s + WAIT_S * waits
            while True:
                try:
                    found = self._tree.matrix(target, source, stamp_ns)
                    self._in_vain.pop(frames, None)
                    return found
                except NotYetError:
                    now_s = time.monotonic()
                    if now_s >= until_s:
                        if waits:
                            self._in_vain[frames] = (count + 1, now_s + IMPATIENT_S)
                        raise
                self._changed.wait(until_s - now_s)

    def may_come(self, target: str, source: str, stamp_ns: int) -> bool:
        """Whether the tree connects the frames, but does not know them yet at this stamp."""
        try:
            with self._changed:
                self._tree.matrix(target, source, stamp_ns)
        except NotYetError:
            return True
        except ValueError:
            return False
        return False

    def _add(self, message: Any, is_static: bool) -> None:
        with self._changed:
            problems = self._tree.add(message, is_static)
            self._changed.notify_all()
        self.heard()
        for sentence in problems:
            self._report(sentence)
