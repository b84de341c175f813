"""The sensors of a robot on the live graph, and somebody who hears its answers and calls its services."""

from __future__ import annotations

import threading
import time
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from emgait_msgs.msg import IdentityArray, PedestrianArray
from emgait_msgs.srv import EnrollIdentity, ListIdentities, RemoveIdentity
from emgait_ros.config import TrackerTopicsConfig
from emgait_ros.lab.soak.robot import wait_until
from emgait_ros.recordings.serialized_header import stamp_of as serialized_stamp
from emgait_ros.sensing.conversions import stamp_ns as stamp_of

PEDESTRIANS, IDENTITIES = ANSWERS = ("pedestrian_tracker/pedestrians", "gait_recognizer/identities")
SERVICE_S = 30.0
POLL_S = 0.001
DISCOVERY_S = 2.0
FORGOTTEN_S = 30.0  # DDS forgets a killed process after 20 s
KEPT = 2000


class Graph:
    """Publishes serialized messages, and keeps what the nodes answer; a context manager with a spinning thread.

    Args:
        with_tracker: hear what the tracker finds too, for :meth:`tracked`.

    Attributes:
        answers: by stamp of the cloud (ns), the time of arrival (ns since 1970) and the message, the newest 2000.
        answered_ns: stamp of the last answer since stamps last jumped back; 0 before the first.
        values: the newest values of each diagnostic status, by "node: status".
    """

    def __init__(self, with_tracker: bool = False) -> None:
        self.answers: dict[int, tuple[int, IdentityArray]] = {}
        self.values: dict[str, dict[str, str]] = {}
        self._tracked_ns = self._sent_ns = self.answered_ns = 0
        self._own = int(with_tracker)  # subscriptions to the tracker
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("soak", context=self._context)
        topics, qos = TrackerTopicsConfig(), QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        kinds = ((CameraInfo, topics.camera_info), (Image, topics.image), (PointCloud2, topics.cloud))
        self._senders = [self._node.create_publisher(kind, topic, qos) for kind, topic in kinds]
        self._node.create_subscription(IdentityArray, IDENTITIES, self._take, qos)
        if with_tracker:
            self._node.create_subscription(PedestrianArray, PEDESTRIANS, self._track, qos, raw=True)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._note, 50)
        self._clients = {
            kind: self._node.create_client(kind, f"gait_recognizer/{name}")
            for kind, name in ((EnrollIdentity, "enroll"), (RemoveIdentity, "remove"), (ListIdentities, "list"))
        }
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="graph")

    def __enter__(self) -> Graph:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def alone(self) -> None:
        """Wait until nobody else publishes what is sent and answered here: two at once would answer and enrol each other's people.

        Raises:
            ValueError: somebody still does after a killed node would have been forgotten.
        """
        own = {sender.topic_name: 1 for sender in self._senders}
        own |= {self._node.resolve_topic_name(topic): 0 for topic in ANSWERS}
        shared = lambda: [topic for topic, count in own.items() if self._node.count_publishers(topic) > count]  # noqa: E731
        time.sleep(DISCOVERY_S)
        if not wait_until(lambda: not shared(), FORGOTTEN_S, 0.1) and (topics := shared()):
            topic = topics[0]
            found = self._node.get_publishers_info_by_topic(topic)
            names = sorted(f"{end.node_namespace.rstrip('/')}/{end.node_name}" for end in found)
            raise ValueError(
                f"{topic} is published by others too ({', '.join(names)}): stop them, or set ROS_DOMAIN_ID to a number nobody uses"
            )

    def ready(self) -> bool:
        """Both nodes listen."""
        heard = all(sender.get_subscription_count() for sender in self._senders)
        return heard and self._node.count_subscribers(PEDESTRIANS) > self._own

    def send(self, messages: tuple[bytes, bytes, bytes]) -> None:
        """CameraInfo, image and cloud; an answer to an earlier cloud with this stamp is forgotten."""
        stamp_ns = serialized_stamp(messages[2])
        self.answers.pop(stamp_ns, None)
        if stamp_ns < self._sent_ns:
            self.answered_ns = 0
        self._sent_ns = stamp_ns
        for sender, message in zip(self._senders, messages, strict=True):
            sender.publish(message)

    def answer(self, stamp_ns: int, timeout_s: float) -> Any:
        """The IdentityArray for the cloud with this stamp; None when none comes, or that of a newer cloud has come."""
        wait_until(lambda: stamp_ns in self.answers or self.answered_ns > stamp_ns, timeout_s, POLL_S)
        return self.answers[stamp_ns][1] if stamp_ns in self.answers else None

    def tracked(self, stamp_ns: int, timeout_s: float) -> bool:
        """Wait for what the tracker finds in the cloud with this stamp, the newest; False when nothing comes."""
        return wait_until(lambda: self._tracked_ns == stamp_ns, timeout_s, POLL_S)

    def enroll(self, name: str, track_id: int, tracker_id: str) -> str | None:
        """Empty when somebody was enrolled, else why not; None: no answer."""
        request = EnrollIdentity.Request(name=name, track_id=track_id, tracker_id=tracker_id, confirm=True)
        return self._said(EnrollIdentity, request)

    def remove(self, name: str) -> str | None:
        """As :meth:`enroll`."""
        return self._said(RemoveIdentity, RemoveIdentity.Request(name=name))

    def names(self) -> set[str] | None:
        """Who is enrolled."""
        answer = self._call(ListIdentities, ListIdentities.Request())
        return None if answer is None else set(answer.names)

    def _said(self, kind: type, request: Any) -> str | None:
        answer = self._call(kind, request)
        return None if answer is None else "" if answer.success else str(answer.message)

    def _call(self, kind: type, request: Any) -> Any:
        client = self._clients[kind]
        if not client.wait_for_service(SERVICE_S):
            return None
        future, deadline = client.call_async(request), time.monotonic() + SERVICE_S
        while not future.done() and time.monotonic() < deadline:
            time.sleep(0.002)
        return future.result() if future.done() else None

    def _take(self, message: IdentityArray) -> None:
        self.answered_ns = stamp_of(message.header)
        self.answers[self.answered_ns] = time.time_ns(), message
        while len(self.answers) > KEPT:
            del self.answers[next(iter(self.answers))]

    def _track(self, message: bytes) -> None:
        self._tracked_ns = serialized_stamp(message)

    def _note(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.values[status.name] = {pair.key: pair.value for pair in status.values}

    def _spin(self) -> None:
        while not self._end.is_set():
            self._executor.spin_once(timeout_sec=0.1)
