"""The demo's visitor on the live graph: enrols walkers through the service and writes down what is decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future

from emgait_msgs.msg import Identity, IdentityArray, PedestrianArray
from emgait_msgs.srv import EnrollIdentity
from emgait_ros.config import RecognizerTopicsConfig, TrackerTopicsConfig
from emgait_ros.evaluation.demo_report import EnrollmentNote, Sighting
from emgait_ros.simulation.recording import RecordedWalk

RETRY_S = 1.0
MATCH_DISTANCE_M = 1.0
ENROL_AT_SAMPLES = 25  # a fuller window makes better templates than the shortest one
LAST_CHANCE_S = 1.5  # before the end of the walk, whatever the window holds
READY_S = 60.0


@dataclass
class DemoNotes:
    """What happened: one sighting per identity message and pedestrian, one note per answered enrolment."""

    sightings: list[Sighting] = field(default_factory=list)
    enrollments: list[EnrollmentNote] = field(default_factory=list)


class DemoObserver(Node):
    """Matches identities to the simulated walkers by place, and enrols those it is asked to.

    Args:
        walks: of the scene; people are enrolled on the named walks that are no probes.
        recognizer: name of the recognizer node, whose services and topics are used.
    """

    def __init__(self, walks: Sequence[RecordedWalk], recognizer: str = "/gait_recognizer") -> None:
        super().__init__("demo_observer")
        self.notes = DemoNotes()
        self._to_enrol = {walk.identity: walk for walk in walks if walk.name and not walk.is_probe}
        self._truth: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # stamp_ns -> walker numbers, (n, 2) places
        self._asked_ns: dict[int, int] = {}
        reliable = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        self._client = self.create_client(EnrollIdentity, f"{recognizer}/enroll")
        self.create_subscription(PedestrianArray, "/ground_truth", self._on_truth, reliable)
        self.create_subscription(IdentityArray, f"{recognizer}/identities", self._on_identities, reliable)

    def _on_truth(self, message: PedestrianArray) -> None:
        walkers = np.array([p.track_id for p in message.pedestrians], dtype=np.int64)
        places = np.array([(p.center.x, p.center.y) for p in message.pedestrians]).reshape(-1, 2)
        self._truth[_stamp_ns(message)] = (walkers, places)

    def _on_identities(self, message: IdentityArray) -> None:
        stamp_ns = _stamp_ns(message)
        for identity in message.identities:
            walker = self._walker_at(stamp_ns, identity.position.x, identity.position.y)
            self.notes.sightings.append(_sighting(stamp_ns, walker, identity))
            if walker in self._to_enrol:
                self._enrol_when_ready(self._to_enrol[walker], identity, stamp_ns)

    def _walker_at(self, stamp_ns: int, x: float, y: float) -> int | None:
        if not self._truth:
            return None
        nearest = min(self._truth, key=lambda stamp: abs(stamp - stamp_ns))
        walkers, places = self._truth[nearest]
        if abs(nearest - stamp_ns) > 60_000_000 or len(walkers) == 0:
            return None
        distance = np.hypot(places[:, 0] - x, places[:, 1] - y)
        best = int(np.argmin(distance))
        return int(walkers[best]) if distance[best] <= MATCH_DISTANCE_M else None

    def is_ready(self) -> bool:
        """The tracker listens to clouds, the recognizer to the tracker, and the enrol service answers."""
        topics = TrackerTopicsConfig().cloud, RecognizerTopicsConfig().pedestrians
        return self._client.service_is_ready() and all(self.count_subscribers(topic) for topic in topics)

    def _enrol_when_ready(self, walk: RecordedWalk, identity: Identity, stamp_ns: int) -> None:
        walker = walk.identity
        if not walk.begin_ns <= stamp_ns <= walk.end_ns or identity.samples < identity.samples_needed:
            return
        wait = identity.samples < ENROL_AT_SAMPLES and (walk.end_ns - stamp_ns) * 1e-9 > LAST_CHANCE_S
        enrolled = any(note.walker == walker and note.success for note in self.notes.enrollments)
        asked_s = (stamp_ns - self._asked_ns.get(walker, 0)) * 1e-9
        if wait or enrolled or asked_s < RETRY_S:
            return
        self._asked_ns[walker] = stamp_ns
        request = EnrollIdentity.Request(name=walk.name, track_id=identity.track_id)
        future = self._client.call_async(request)
        future.add_done_callback(self._noting(walker, request.name, stamp_ns, float(identity.range_m)))

    def _noting(self, walker: int, name: str, stamp_ns: int, range_m: float) -> Callable[[Future], None]:
        def note(future: Future) -> None:
            answer = future.result()
            self.get_logger().info(f"enroll '{name}': {answer.message}")
            self.notes.enrollments.append(
                EnrollmentNote(walker, name, stamp_ns, answer.success, answer.message, answer.samples, range_m)
            )

        return note


def observe(
    walks: Sequence[RecordedWalk], on_ready: Callable[[], None], finished: Callable[[], bool], alive: Callable[[], bool]
) -> DemoNotes:
    """Spin a :class:`DemoObserver` until ``finished()``; returns what it wrote down.

    Args:
        walks: of the scene.
        on_ready: called once when both nodes listen: start playing.
        finished: asked several times a second after that.
        alive: False when the nodes have ended by themselves.

    Raises:
        ValueError: the nodes ended, or did not listen within 60 s.
    """
    rclpy.init()
    node = DemoObserver(walks)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        deadline = time.monotonic() + READY_S
        while not node.is_ready():
            if not alive() or time.monotonic() > deadline:
                raise ValueError("the nodes did not start: see nodes.log in the output folder")
            executor.spin_once(timeout_sec=0.1)
        on_ready()
        while not finished():
            executor.spin_once(timeout_sec=0.1)
        return node.notes
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


def _sighting(stamp_ns: int, walker: int | None, identity: Identity) -> Sighting:
    return Sighting(
        stamp_ns=stamp_ns,
        walker=walker,
        track_id=identity.track_id,
        status=int(identity.status),
        name=identity.name,
        distance=float(identity.distance),
        range_m=float(identity.range_m),
        samples=int(identity.samples),
        reason=identity.reason,
        center=(identity.position.x, identity.position.y, identity.position.z),
        size=(identity.size.x, identity.size.y, identity.size.z),
    )


def _stamp_ns(message: PedestrianArray | IdentityArray) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
