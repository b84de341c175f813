"""What a look at a running system has seen, as plain data: ``live/probe.py`` fills it, ``live_system.py`` judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from emgait_ros.samples import Float64

CLOUD, IMAGE, CAMERA_INFO, PEDESTRIANS, IDENTITIES = "cloud", "image", "camera_info", "pedestrians", "identities"


@dataclass
class TopicSeen:
    """What was seen on one topic.

    Attributes:
        role: what the topic is for, one of the names above.
        topic: its name.
        parameter: the ROS parameter that names it.
        publishers: node names with the QoS they offer, in words.
        refused: why publishers cannot serve the subscription (QoS), a sentence each.
        why_silent: the reason that nothing came, empty when something did.
        lost_share: part of the messages lost on the way, 0..1, as the middleware says or their stamps tell.
        loss_advice: why messages are lost, if they are, and what to do.
        arrivals_s: monotonic times of arrival, s.
        stamps_ns: header.stamp of each message.
        clock_ns: ROS time (or simulated time) on arrival.
        sizes: serialized bytes of each message.
        last: the newest message, decoded; None before the first.
        recent: the newest clouds, decoded, in order; of other topics nothing.
        silent_s: how long ago the last message came when the watch ended.
        kept: its publisher keeps the last message for who comes late: it may be the only one.
    """

    role: str
    topic: str
    parameter: str
    publishers: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    why_silent: str = ""
    lost_share: float = 0.0
    loss_advice: str = ""
    arrivals_s: list[float] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)
    clock_ns: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    last: Any = None
    recent: Sequence[Any] = ()
    silent_s: float = 0.0
    kept: bool = False

    @property
    def rate_hz(self) -> float:
        """Messages a second while they came."""
        times = self.arrivals_s
        return (len(times) - 1) / max(times[-1] - times[0], 1e-6) if len(times) > 1 else 0.0


@dataclass
class LiveSystem:
    """What was seen of a running system.

    Attributes:
        seconds: how long it was watched.
        topics: by role; without image there are no image and camera_info.
        nodes: full names of our nodes that run.
        states: life-cycle state of each of our nodes, by full name.
        simulated_time: something publishes /clock.
        T_camera_lidar: extrinsics as the tracker would use them, None when there are none.
        extrinsics_from: parameter or TF, in words.
        extrinsics_problem: why there are none.
        complaints: (level 1 or 2, name, sentence) of our nodes' /diagnostics.
        namespace: the one that was looked at ("robot1", "" for none).
    """

    seconds: float
    topics: dict[str, TopicSeen]
    nodes: tuple[str, ...] = ()
    states: dict[str, str] = field(default_factory=dict)
    simulated_time: bool = False
    T_camera_lidar: Float64 | None = None
    extrinsics_from: str = ""
    extrinsics_problem: str = ""
    complaints: tuple[tuple[int, str, str], ...] = ()
    namespace: str = ""
