"""Listens to nodes while a bag is played to them: of a pedestrian_tracker the pedestrians and the last overlay picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from emgait_msgs.msg import PedestrianArray
from emgait_ros.config import TrackerTopicsConfig
from emgait_ros.nodes.messages import message_to_frame
from emgait_ros.samples import PedestrianFrame, UInt8
from emgait_ros.sensing.conversions import image_to_rgb

READY_S = 120.0  # the first start of all compiles numeric kernels
Listener = TypeVar("Listener", bound=Node)


class TrackerListener(Node):
    """Keeps the newest of what the tracker publishes.

    Attributes:
        frames: all pedestrian frames so far.
        overlay: the last overlay, (H, W, 3) uint8 RGB, or None.
    """

    def __init__(self) -> None:
        super().__init__("tracker_listener")
        self.frames: list[PedestrianFrame] = []
        self.overlay: UInt8 | None = None
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self.create_subscription(PedestrianArray, "/pedestrian_tracker/pedestrians", self._on_pedestrians, reliable)
        self.create_subscription(Image, "/pedestrian_tracker/overlay", self._on_overlay, reliable)

    def _on_pedestrians(self, message: PedestrianArray) -> None:
        self.frames.append(message_to_frame(message)[0])

    def _on_overlay(self, message: Image) -> None:
        self.overlay = image_to_rgb(message)


def listen(
    on_ready: Callable[[], None], finished: Callable[[], bool], alive: Callable[[], bool]
) -> tuple[list[PedestrianFrame], UInt8 | None]:
    """Listen until ``finished()``; returns all frames and the last overlay.

    Args:
        on_ready: called once when the tracker listens to clouds: start playing.
        finished: asked several times a second after that.
        alive: False when the tracker has ended by itself.

    Raises:
        ValueError: the tracker ended, or did not listen within two minutes.
    """

    def is_ready(node: Node) -> bool:
        return bool(node.count_subscribers(TrackerTopicsConfig().cloud))

    heard = spun(TrackerListener, is_ready, on_ready, finished, alive, "the tracker did not start: see tracker.log")
    return heard.frames, heard.overlay


def spun(
    make: Callable[[], Listener],
    is_ready: Callable[[Listener], bool],
    on_ready: Callable[[], None],
    finished: Callable[[], bool],
    alive: Callable[[], bool],
    problem: str,
) -> Listener:
    """Spin a node until ``finished()``; returns it, for what it has written down.

    Args:
        make: makes the node.
        is_ready: whether those it listens to have started.
        on_ready, finished, alive: as :func:`listen`.
        problem: what to say when they do not, and which log to see in the output folder.

    Raises:
        ValueError: they ended, or were not ready within two minutes.
    """
    rclpy.init()
    node = make()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        deadline = time.monotonic() + READY_S
        while not is_ready(node):
            if not alive() or time.monotonic() > deadline:
                raise ValueError(f"{problem} in the output folder")
            executor.spin_once(timeout_sec=0.1)
        on_ready()
        while not finished():
            executor.spin_once(timeout_sec=0.1)
        return node
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
