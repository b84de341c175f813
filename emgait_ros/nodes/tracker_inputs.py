"""What the pedestrian_tracker listens to while it is active: clouds with their images, and boxes of another detector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import message_filters
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from emgait_msgs.msg import IdentityArray
from emgait_ros.config import TrackerNodeConfig, TrackerTopicsConfig
from emgait_ros.nodes.box_input import BoxInput
from emgait_ros.nodes.diagnostics import WARN
from emgait_ros.nodes.kept_messages import KeptMessages
from emgait_ros.nodes.nearest_stamp import NearestStamp
from emgait_ros.nodes.qos import sensor_qos
from emgait_ros.nodes.topic_watch import TopicWatch
from emgait_ros.nodes.tracker_status import pairing_status
from emgait_ros.sensing.assembly import FrameAssembler
from emgait_ros.sensing.boxes import Job

IMAGE_DEPTH = 5  # several images come for each cloud: one being taken must not push out the next


class TrackerInputs:
    """Subscriptions from construction until :meth:`close`.

    Args:
        node: which subscribes.
        config: topics, limits and waits.
        assembler: is told the newest CameraInfo.
        report: called with a sentence on each message that is refused.
        submit: called with each cloud and what belongs to it, once and in order.
        answered: called with what the recognizer says of the tracks, where ``topics.identities`` is set.

    Attributes:
        cloud, image: what arrives; the image's is None for a LiDAR alone.
    """

    def __init__(
        self,
        node: Node,
        config: TrackerNodeConfig,
        assembler: FrameAssembler,
        report: Callable[[str], None],
        submit: Callable[[Job], None],
        answered: Callable[[IdentityArray], None],
    ) -> None:
        self._node, self._assembler, self._submit = node, assembler, submit
        topics = config.topics
        self._subscriptions: list[Any] = []
        if topics.identities:
            made = node.create_subscription(IdentityArray, topics.identities, answered, topics.depth)
            self._subscriptions.append(made)
        qos = sensor_qos(topics.reliability, topics.depth)
        self.cloud = self._watch(topics, "cloud", PointCloud2, qos)
        inputs = [self._input(PointCloud2, topics.cloud, qos, self.cloud)]
        self.image: TopicWatch | None = None
        self._info: TopicWatch | None = None
        self._kept: KeptMessages | None = None
        if topics.image:
            inputs.append(self._subscribe_to_camera(topics))
        self._nearest = NearestStamp(inputs, node, config.pairing, report)
        self._nearest.registerCallback(self._on_cloud)
        self.boxes = BoxInput(node, config, report, submit) if topics.boxes else None

    def close(self) -> None:
        """Listen no more; what still waits for its image or boxes is dropped."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._nearest.close()
        if self._kept is not None:
            self._kept.close()
        if self.boxes is not None:
            self.boxes.close()

    def configure(self, config: TrackerNodeConfig, names: set[str]) -> None:
        """Take the options of these names from now on."""
        if any(name.startswith("pairing.") for name in names):
            self._nearest.configure(config.pairing)
        if self.boxes is not None and any(name.startswith("boxes.max_") for name in names):
            self.boxes.configure(config.boxes)

    def statuses(self) -> Iterator[DiagnosticStatus]:
        """What comes of each topic, and how it comes together."""
        yield self.cloud.status("cloud")
        image_lost = 0.0
        if self.image is not None and self._info is not None:
            yield self.image.status("image", WARN)
            yield self._info.status("camera_info", WARN)
            image_lost = self.image.lost_share
        yield pairing_status(self._nearest.health(self.cloud.lost_share, image_lost), bool(self.cloud.count))
        if self.boxes is not None:
            yield from self.boxes.statuses(self._assembler.boxes)

    def _subscribe_to_camera(self, topics: TrackerTopicsConfig) -> message_filters.Subscriber:
        kind = CompressedImage if topics.image_compressed else Image
        image_qos = sensor_qos(topics.reliability, max(topics.depth, IMAGE_DEPTH))
        info_qos = sensor_qos(topics.reliability, 1)
        self.image = self._watch(topics, "image", kind, image_qos)
        self._info = self.image.beside = self._watch(topics, "camera_info", CameraInfo, info_qos)
        info = message_filters.Subscriber(self._node, CameraInfo, topics.camera_info, qos_profile=info_qos)
        info.registerCallback(self._info.note)
        info.registerCallback(self._on_camera_info)
        self._subscriptions.append(info.sub)
        self._kept = KeptMessages(self._node, CameraInfo, topics.camera_info, self._on_kept_info)
        return self._input(kind, topics.image, image_qos, self.image)

    def _watch(self, topics: TrackerTopicsConfig, name: str, kind: type, qos: QoSProfile) -> TopicWatch:
        type_name, topic = f"sensor_msgs/msg/{kind.__name__}", getattr(topics, name)
        return TopicWatch(self._node, topic, type_name, qos, f"topics.{name}", topics.start_grace_s)

    def _input(self, kind: type, topic: str, qos: QoSProfile, watch: TopicWatch) -> message_filters.Subscriber:
        made = message_filters.Subscriber(self._node, kind, topic, qos_profile=qos, event_callbacks=watch.events())
        made.registerCallback(watch.note)
        self._subscriptions.append(made.sub)
        return made

    # Callbacks: they only note and hand on.

    def _on_cloud(self, cloud: PointCloud2, image: Any) -> None:
        pair = self._nearest.pair
        if pair is None:
            return
        if self.boxes is not None:
            self.boxes.add(pair)
        else:
            self._submit(Job(pair))

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._assembler.calibration.info = message

    def _on_kept_info(self, message: CameraInfo) -> None:
        if self._info is not None:
            self._info.keep(message)
        self._on_camera_info(message)
