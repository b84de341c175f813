"""The demo's visitor on the live graph: enrols walkers through the service and writes down what is decided."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future

from emgait_msgs.msg import Identity, IdentityArray, PedestrianArray
from emgait_msgs.srv import EnrollIdentity
from emgait_ros.config import RecognizerTopicsConfig, TrackerTopicsConfig
from emgait_ros.live.tracker_listener import spun
from emgait_ros.recordings.bag import GroundTruth
from emgait_ros.recordings.walks import (
    EnrollmentNote,
    EnrollmentPlan,
    RecordedWalk,
    Sighting,
    matched_walkers,
    places_of,
    truth_at,
)
from emgait_ros.samples import Status
from emgait_ros.sensing.conversions import stamp_ns as stamp_of

KEPT_TRUTHS = 100  # 10 s: an answer comes long before that


@dataclass
class DemoNotes:
    """What happened: one sighting per identity message and pedestrian, one note per answered enrolment."""

    sightings: list[Sighting] = field(default_factory=list)
    enrollments: list[EnrollmentNote] = field(default_factory=list)


class DemoObserver(Node):
    """Matches identities to the simulated walkers by place, and enrols those it is asked to.

    Args:
        walks: of the scene; people are enrolled on the named walks that are no probes.
        say: told in a sentence when somebody is enrolled or first recognised.
    """

    def __init__(self, walks: Sequence[RecordedWalk], say: Callable[[str], None]) -> None:
        super().__init__("demo_observer")
        self.notes = DemoNotes()
        self._say = say
        self._probes = [walk for walk in walks if walk.is_probe]
        self._begin_ns = min((walk.begin_ns for walk in walks), default=0)
        self._named: set[tuple[int, str]] = set()
        self._plan = EnrollmentPlan(walks)
        self._truth: deque[GroundTruth] = deque(maxlen=KEPT_TRUTHS)
        reliable = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        self._client = self.create_client(EnrollIdentity, "/gait_recognizer/enroll")
        self.create_subscription(
            PedestrianArray, "/ground_truth", lambda message: self._truth.append(GroundTruth.of(message)), reliable
        )
        self.create_subscription(IdentityArray, "/gait_recognizer/identities", self._on_identities, reliable)

    def _on_identities(self, message: IdentityArray) -> None:
        stamp_ns = stamp_of(message.header)
        places = places_of([(i.position.x, i.position.y) for i in message.identities])
        walkers, _ = matched_walkers(truth_at(self._truth, stamp_ns), places)
        for identity, walker in zip(message.identities, walkers, strict=True):
            self.notes.sightings.append(_sighting(stamp_ns, walker, identity))
            self._tell(self.notes.sightings[-1])
            walk = self._plan.due(walker, stamp_ns, identity.samples, identity.samples_needed)
            if walk is not None:
                request = EnrollIdentity.Request(name=walk.name, track_id=identity.track_id)
                future = self._client.call_async(request)
                future.add_done_callback(self._noting(walk, stamp_ns, float(identity.range_m)))

    def is_ready(self) -> bool:
        """The tracker listens to clouds, the recognizer to the tracker, and the enrol service answers."""
        topics = TrackerTopicsConfig().cloud, RecognizerTopicsConfig().pedestrians
        return self._client.service_is_ready() and all(self.count_subscribers(topic) for topic in topics)

    def _tell(self, sighting: Sighting) -> None:
        """Say who is recognised, once for each walk that is to be recognised."""
        walk = next((w for w in self._probes if w.identity == sighting.walker and _during(w, sighting.stamp_ns)), None)
        if walk is None or sighting.status != Status.KNOWN or (walk.identity, sighting.name) in self._named:
            return
        self._named.add((walk.identity, sighting.name))
        really = "" if sighting.name == walk.name else f", but it is {walk.name or 'a stranger'}"
        place = f"{self._seconds(sighting.stamp_ns)}  {sighting.range_m:3.0f} m"
        self._say(f"{place}  recognised '{sighting.name}' from track {sighting.track_id}{really}")

    def _seconds(self, stamp_ns: int) -> str:
        return f"{(stamp_ns - self._begin_ns) * 1e-9:5.1f} s"

    def _noting(self, walk: RecordedWalk, stamp_ns: int, range_m: float) -> Callable[[Future], None]:
        def note(future: Future) -> None:
            answer = future.result()
            self._say(f"{self._seconds(stamp_ns)}  {range_m:3.0f} m  {answer.message}")
            if answer.success:
                self._plan.done(walk.identity)
            self.notes.enrollments.append(
                EnrollmentNote(
                    walk.identity, walk.name, stamp_ns, answer.success, answer.message, answer.samples, range_m
                )
            )

        return note


def observe(
    walks: Sequence[RecordedWalk],
    on_ready: Callable[[], None],
    finished: Callable[[], bool],
    alive: Callable[[], bool],
    say: Callable[[str], None],
) -> DemoNotes:
    """Spin a :class:`DemoObserver` until ``finished()``; returns what it wrote down (``tracker_listener.spun``).

    Args:
        walks: of the scene.
        on_ready: called once when both nodes listen: start playing.
        finished: asked several times a second after that.
        alive: False when the nodes have ended by themselves.
        say: told in a sentence when somebody is enrolled or recognised.

    Raises:
        ValueError: the nodes ended, or did not listen within two minutes.
    """
    problem = "the nodes did not start: see nodes.log"
    return spun(lambda: DemoObserver(walks, say), DemoObserver.is_ready, on_ready, finished, alive, problem).notes


def _during(walk: RecordedWalk, stamp_ns: int) -> bool:
    return walk.begin_ns <= stamp_ns <= walk.end_ns


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
