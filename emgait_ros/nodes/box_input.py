"""Boxes of a detector of the user's, each message with the cloud it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import message_filters
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from std_msgs.msg import Header

from emgait_ros.config import BoxesConfig, TrackerNodeConfig, TrackerTopicsConfig
from emgait_ros.nodes.diagnostics import ERROR, OK, WARN, status
from emgait_ros.nodes.nearest_stamp import NearestStamp
from emgait_ros.nodes.optional_messages import messages_of
from emgait_ros.nodes.qos import sensor_qos
from emgait_ros.nodes.topic_watch import TopicWatch
from emgait_ros.sensing.boxes import BoxReader, Job, box_pairing, match_problem
from emgait_ros.sensing.pairing import Pair

DEPTH = 5
TYPE = "vision_msgs/msg/Detection3DArray"


@dataclass(frozen=True)
class _Waiting:
    """A pair as NearestStamp takes it: with the header of its cloud."""

    header: Header
    pair: Pair


def box_message(topics: TrackerTopicsConfig) -> Any:
    """The class of boxes' messages, None where none are asked for.

    Raises:
        ValueError: vision_msgs is not installed.
    """
    return messages_of("vision_msgs", f"topics.boxes is '{topics.boxes}'").Detection3DArray if topics.boxes else None


class BoxInput:
    """Subscribes to ``topics.boxes``; clouds wait here for their boxes.

    Args:
        node: which subscribes.
        config: topic, limits and waits.
        report: called with a sentence on each message that is refused.
        ready: called with each cloud, once and in order: with its boxes, or without when none come in time.

    Raises:
        ValueError: vision_msgs is not installed.
    """

    def __init__(
        self, node: Node, config: TrackerNodeConfig, report: Callable[[str], None], ready: Callable[[Job], None]
    ) -> None:
        topics = config.topics
        kind = box_message(topics)
        qos = sensor_qos(topics.reliability, max(topics.depth, DEPTH))
        self._watch = TopicWatch(node, topics.boxes, TYPE, qos, "topics.boxes", grace_s=topics.start_grace_s)
        boxes = message_filters.Subscriber(
            node, kind, topics.boxes, qos_profile=qos, event_callbacks=self._watch.events()
        )
        boxes.registerCallback(self._watch.note)
        self._node, self._subscription = node, boxes.sub
        self._clouds = message_filters.SimpleFilter()
        self._ready = ready
        self._nearest = NearestStamp([self._clouds, boxes], node, box_pairing(config.boxes), report, "a message")
        self._nearest.registerCallback(self._on_both)
        self._without = self._with = 0

    def close(self) -> None:
        """Listen no more; clouds that still wait are dropped."""
        self._node.destroy_subscription(self._subscription)
        self._nearest.close()

    def add(self, pair: Pair) -> None:
        """Take a cloud; it waits for its boxes."""
        self._clouds.signalMessage(_Waiting(pair.cloud.header, pair))

    def configure(self, config: BoxesConfig) -> None:
        """Take other options from now on."""
        self._nearest.configure(box_pairing(config))

    def _on_both(self, waiting: _Waiting, boxes: Any | None) -> None:
        match = self._nearest.pair
        if boxes is None:
            self._without += 1
        else:
            self._with += 1
        silent = match is not None and match.camera_silent
        self._ready(Job(waiting.pair, boxes, match.image_dt_s if match is not None else 0.0, silent))

    def statuses(self, reader: BoxReader) -> Iterator[DiagnosticStatus]:
        """Whether boxes come, and whether they are of use."""
        level = ERROR if reader.config.use == "instead" else WARN
        yield self._watch.status("boxes", level)
        health = self._nearest.health(image_lost=self._watch.lost_share)
        values = {
            "use": reader.config.use,
            "clouds_with_boxes": self._with,
            "clouds_without": self._without,
            "people": reader.people,
            **{f"left out: class '{name}'": count for name, count in reader.others.most_common()},
            "dt_p50_ms": f"{health.p50_dt_s * 1e3:.1f}",
            "late_p95_ms": f"{health.arrival_p95_s * 1e3:.1f}",
            "wait_ms": f"{health.wait_s * 1e3:.1f}",
        }
        problem = match_problem(health, reader.config, self._watch.topic)
        found = [problem] if problem else list(reader.problems())
        if found:
            yield status("people in boxes", level, "; ".join(found), values)
            return
        late = f", {health.arrival_p95_s * 1e3:.0f} ms after their clouds (95 %)" if self._with else ""
        yield status("people in boxes", OK, f"{reader.people} so far in {reader.messages} messages{late}", values)
