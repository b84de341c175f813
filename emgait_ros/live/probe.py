"""Watches a running system for a few seconds without taking part in it: the ROS half of `emgait doctor --live`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from emgait_msgs.msg import IdentityArray, PedestrianArray
from emgait_ros.config import RecognizerNodeConfig, TrackerNodeConfig
from emgait_ros.doctor.observations import CAMERA_INFO, CLOUD, IDENTITIES, IMAGE, PEDESTRIANS, LiveSystem, TopicSeen
from emgait_ros.live.running_nodes import answer_of
from emgait_ros.nodes.diagnostics import OK, WARN
from emgait_ros.nodes.kept_messages import KeptMessages
from emgait_ros.nodes.qos import described, mismatch, sensor_qos
from emgait_ros.nodes.topic_watch import TopicWatch
from emgait_ros.nodes.transforms import Transforms
from emgait_ros.recordings.serialized_header import stamp_of
from emgait_ros.sensing.camera_calibration import checked_extrinsics
from emgait_ros.sensing.perception.cloud_watch import CLOUDS
from emgait_ros.starting import NAMESPACED_TF
from emgait_ros.transport import use_shipped_profile

DEPTH = 10  # to judge the sender, not how fast this process reads
OUR_NODES = ("pedestrian_tracker", "gait_recognizer")
HARDWARE_ID = "emgait_ros"
LOOK_EVERY_S = 0.5


def watch(
    tracker: TrackerNodeConfig,
    recognizer: RecognizerNodeConfig,
    seconds: float,
    on_second: Callable[[float], None] = lambda elapsed: None,
    namespace: str = "",
    namespaced_tf: bool = False,
) -> LiveSystem:
    """Subscribe to everything the system uses, for some seconds, and return what was seen.

    Args:
        tracker, recognizer: topics, QoS and extrinsics as the nodes have them.
        seconds: how long; discovery takes a second, and a topic counts as silent after two.
        on_second: called now and then with the seconds gone by.
        namespace: of the nodes: relative topics lie in it.
        namespaced_tf: read tf and tf_static of the namespace.

    Raises:
        ValueError: the configured extrinsics are no rigid transform.
    """
    extrinsics = checked_extrinsics(tracker.camera.T_camera_lidar)
    use_shipped_profile()
    context = rclpy.Context()
    rclpy.init(context=context)
    remap = [word for name, to in NAMESPACED_TF.items() for word in ("-r", f"{name}:={to}")] if namespaced_tf else []
    probe = GraphProbe(
        tracker, recognizer, namespace=namespace or None, context=context, cli_args=["--ros-args", *remap]
    )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(probe)
    try:
        start = time.monotonic()
        while (elapsed := time.monotonic() - start) < seconds:
            executor.spin_once(timeout_sec=0.1)
            on_second(elapsed)
        system = probe.seen(seconds)
        system.T_camera_lidar = extrinsics
        system.extrinsics_from = "camera.T_camera_lidar"
        if extrinsics is None:
            probe.look_up_extrinsics(system)
        system.states = probe.states(executor, system.nodes)
        return system
    finally:
        executor.shutdown()
        probe.destroy_node()
        rclpy.shutdown(context=context)


class GraphProbe(Node):
    """Subscribes as the nodes do, but keeps only stamps, sizes and the newest message of each topic."""

    def __init__(self, tracker: TrackerNodeConfig, recognizer: RecognizerNodeConfig, **arguments: Any) -> None:
        super().__init__("emgait_doctor", start_parameter_services=False, enable_rosout=False, **arguments)
        self._seen: dict[str, TopicSeen] = {}
        self._watches: dict[str, TopicWatch] = {}
        self._raw: dict[str, bytes] = {}
        self._clouds: deque[bytes] = deque(maxlen=CLOUDS)
        self._types: dict[str, type] = {}
        self._qos: dict[str, QoSProfile] = {}
        self._simulated_ns: int | None = None
        self._complaints: dict[str, tuple[bytes, str]] = {}
        self._transforms = Transforms(self)
        topics = tracker.topics
        self._watch(CLOUD, PointCloud2, topics.cloud, topics.reliability)
        if topics.image:
            self._watch(IMAGE, CompressedImage if topics.image_compressed else Image, topics.image, topics.reliability)
            self._watch(CAMERA_INFO, CameraInfo, topics.camera_info, topics.reliability)
            self._watches[IMAGE].beside = self._watches[CAMERA_INFO]
            KeptMessages(self, CameraInfo, topics.camera_info, self._on_kept_info)
        self._watch(PEDESTRIANS, PedestrianArray, recognizer.topics.pedestrians, "reliable")
        self._watch(IDENTITIES, IdentityArray, "gait_recognizer/identities", "reliable")
        self.create_subscription(Clock, "/clock", self._on_clock, sensor_qos("best_effort", 1))
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.create_timer(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        """A publisher that sends nothing is told from one that has only just appeared by how long it has been there."""
        for watched in self._watches.values():
            watched.why_silent()

    def _watch(self, role: str, message_type: type, topic: str, reliability: str) -> None:
        qos = sensor_qos(reliability, DEPTH)
        module = message_type.__module__.split(".")[0]
        parameter = "" if role == IDENTITIES else f"topics.{role}"
        type_name = f"{module}/msg/{message_type.__name__}"
        self._watches[role] = TopicWatch(self, topic, type_name, qos, parameter)
        self._types[role], self._qos[role] = message_type, qos
        self._seen[role] = TopicSeen(role, self._watches[role].topic, parameter)
        events = self._watches[role].events()
        self.create_subscription(
            message_type, topic, partial(self._on_message, role), qos, raw=True, event_callbacks=events
        )

    def _on_message(self, role: str, raw: bytes) -> None:
        seen, stamp_ns = self._seen[role], stamp_of(raw)
        self._watches[role].tick(stamp_ns, len(raw))
        seen.arrivals_s.append(time.monotonic())
        seen.stamps_ns.append(stamp_ns)
        seen.clock_ns.append(self.get_clock().now().nanoseconds if self._simulated_ns is None else self._simulated_ns)
        seen.sizes.append(len(raw))
        self._raw[role] = raw
        if role == CLOUD:
            self._clouds.append(raw)

    def _on_kept_info(self, message: CameraInfo) -> None:
        self._seen[CAMERA_INFO].kept = True
        self._raw[CAMERA_INFO] = serialize_message(message)

    def _on_clock(self, message: Clock) -> None:
        self._simulated_ns = message.clock.sec * 1_000_000_000 + message.clock.nanosec

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.hardware_id == HARDWARE_ID:
                self._complaints[status.name] = (status.level, status.message)

    def seen(self, seconds: float) -> LiveSystem:
        """Everything so far, with the publishers as the graph has them now."""
        for role, seen in self._seen.items():
            watch_ = self._watches[role]
            seen.silent_s = watch_.silent_s
            seen.why_silent = watch_.why_silent()
            seen.lost_share, seen.loss_advice = watch_.lost_share, watch_.loss_advice()
            if role in self._raw:
                seen.last = deserialize_message(self._raw[role], self._types[role])
            if role == CLOUD:
                seen.recent = [deserialize_message(raw, PointCloud2) for raw in self._clouds]
            publishers = self.get_publishers_info_by_topic(seen.topic)
            seen.publishers = tuple(sorted(f"{_name(p)} ({described(p.qos_profile)})" for p in publishers))
            refused = [(p, mismatch(p.qos_profile, self._qos[role])) for p in publishers]
            seen.refused = tuple(f"{_name(p)}: {sentence}" for p, sentence in refused if sentence)
        names = [f"{namespace.rstrip('/')}/{name}" for name, namespace in self.get_node_names_and_namespaces()]
        return LiveSystem(
            seconds=seconds,
            topics=self._seen,
            nodes=tuple(sorted(name for name in names if name.rsplit("/", 1)[-1] in OUR_NODES)),
            namespace=self.get_namespace(),
            simulated_time=self._simulated_ns is not None,
            complaints=tuple(
                (1 if level == WARN else 2, name, sentence)
                for name, (level, sentence) in sorted(self._complaints.items())
                if level != OK
            ),
        )

    def look_up_extrinsics(self, system: LiveSystem) -> None:
        """Fill the extrinsics of a system from TF, or why there are none."""
        cloud, image = system.topics[CLOUD].last, system.topics.get(IMAGE)
        if image is None:
            return
        system.extrinsics_from = "TF"
        if self._transforms.problem:
            system.extrinsics_problem = f"no extrinsics: camera.T_camera_lidar is empty, and {self._transforms.problem}"
        elif cloud is None or image.last is None:
            system.extrinsics_problem = "TF cannot be asked for extrinsics before a cloud and an image have come"
        else:
            try:
                system.T_camera_lidar = self._transforms.matrix(image.last.header.frame_id, cloud.header.frame_id)
            except ValueError as error:
                system.extrinsics_problem = f"no extrinsics: camera.T_camera_lidar is empty and there is {error}"

    def states(self, executor: SingleThreadedExecutor, nodes: tuple[str, ...]) -> dict[str, str]:
        """Life-cycle state of each node; one that does not answer is called "not answering"."""
        states = {}
        for node in sorted(set(nodes)):
            answer = answer_of(self, executor, GetState, f"{node}/get_state", GetState.Request())
            states[node] = answer.current_state.label if answer is not None else "not answering"
        return states


def _name(publisher: Any) -> str:
    return f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
