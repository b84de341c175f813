"""The bridges node over real DDS: what other packages read of who is in view."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import pytest
from live_graph import LiveGraph, header, pedestrian, pedestrians
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, String

from emgait_msgs.msg import Identity, IdentityArray

pytestmark = pytest.mark.ros
STEP_NS = 100_000_000
PEDESTRIANS, IDENTITIES = "/pedestrian_tracker/pedestrians", "/gait_recognizer/identities"


def needs(*packages: str) -> None:
    for package in packages:
        pytest.importorskip(f"{package}.msg", reason=f"{package} is optional: a part of the bridges needs it")


def answer(item, **changes):
    """The recognizer's answer to a pedestrian."""
    made = Identity(
        track_id=item.track_id,
        tracker_id="test",
        position=item.center,
        size=item.size,
        range_m=8.0,
        distance=0.4,
        threshold=0.8,
        probability=float("nan"),
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


KNOWN = {"status": Identity.STATUS_KNOWN, "name": "Anna"}


class Street:
    """A tracker and a recognizer that the test plays."""

    def __init__(self, graph: LiveGraph) -> None:
        self.graph, self.now_ns = graph, time.time_ns()

    def frame(self, *answers: dict, frame_id: str = "lidar", first: int = 1) -> int:
        self.now_ns += STEP_NS
        items = [pedestrian(first + i) for i in range(len(answers))]
        both = pedestrians(self.now_ns, *items)
        both.header.frame_id = frame_id
        self.graph.publish(PEDESTRIANS, both)
        identities = [answer(item, **changes) for item, changes in zip(items, answers, strict=True)]
        time.sleep(0.05)
        self.graph.publish(IDENTITIES, IdentityArray(header=header(self.now_ns, frame_id), identities=identities))
        return self.now_ns


@pytest.fixture(scope="module")
def street(graph, start):
    needs("vision_msgs", "people_msgs", "hri_msgs")
    node = start("bridges", vision=True, people=True, hri=True)
    assert graph.wait(lambda: graph.node.count_subscribers(IDENTITIES), 90.0), node.output
    return Street(graph)


def test_boxes_with_track_and_name(street):
    from vision_msgs.msg import Detection3DArray

    found = street.graph.collect(Detection3DArray, "/bridges/detections")

    def complete():
        """Both, with the tracker's scores: the first answers may come before the bridges hear the tracker."""
        newest = found[-1] if found else None
        scores = [round(d.results[0].hypothesis.score, 2) for d in newest.detections] if newest else []
        return newest if scores == [0.9, 0.9] else None

    message = street.graph.wait(complete, every=lambda: street.frame(KNOWN, {}))
    assert message, found[-3:]
    assert message.header.frame_id == "lidar"
    known, other = message.detections
    assert (known.id, other.id) == ("test/1", "test/2")
    assert [(r.hypothesis.class_id, round(r.hypothesis.score, 2)) for r in known.results] == [
        ("pedestrian", 0.9),
        ("Anna", 0.75),
    ]
    assert [r.hypothesis.class_id for r in other.results] == ["pedestrian"]
    assert (known.bbox.center.position.x, known.bbox.size.z) == (8.0, 1.8)
    assert known.bbox.center.orientation.w == 1.0


def test_people_for_navigation(street):
    from people_msgs.msg import People

    found = street.graph.collect(People, "/people")

    def complete():
        """Both, with the tracker's velocities."""
        newest = found[-1].people if found else []
        return newest if len(newest) == 2 and newest[0].velocity.x else None

    both = street.graph.wait(complete, every=lambda: street.frame(KNOWN, {}))
    assert both, found[-3:]
    known, other = both
    assert (known.name, other.name) == ("Anna", "test_2")
    assert (known.velocity.x, known.velocity.y) == pytest.approx((1.2, 0.0))
    assert known.position.z == pytest.approx(-0.8 - 0.9)
    assert known.reliability == pytest.approx(0.9)
    assert dict(zip(known.tagnames, known.tags, strict=True)) == {"track": "test_1", "status": "known"}


def test_ros4hri(street):
    from hri_msgs.msg import IdsList, IdsMatch
    from tf2_msgs.msg import TFMessage

    graph = street.graph
    bodies, persons = (
        graph.collect(IdsList, "/humans/bodies/tracked"),
        graph.collect(IdsList, "/humans/persons/tracked"),
    )
    matches, transforms = graph.collect(IdsMatch, "/humans/candidate_matches"), graph.collect(TFMessage, "/tf")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    told: dict[str, object] = {}
    for kind, topic in ((Bool, "anonymous"), (String, "body_id")):
        graph.node.create_subscription(
            kind, f"/humans/persons/Anna/{topic}", lambda m, t=topic: told.update({t: m.data}), latched
        )

    def seen():
        """All of it at once: who has not been heard of for two seconds is not in view any more."""
        return (
            (bodies and persons and matches and transforms and len(told) == 2)
            and sorted(bodies[-1].ids) == ["test_1", "test_2"]
            and list(persons[-1].ids) == ["Anna"]
            and matches[-1].confidence > 0
            and (matches[-1], transforms[-1])
        )

    found = graph.wait(seen, every=lambda: street.frame(KNOWN, {}))
    assert found, (bodies[-3:], persons[-3:], matches[-3:], told)
    match, moved = found
    assert {match.id1: match.id1_type, match.id2: match.id2_type} == {"test_1": IdsMatch.BODY, "Anna": IdsMatch.PERSON}
    assert match.confidence == pytest.approx(0.75)
    assert told == {"anonymous": False, "body_id": "test_1"}
    frames = {t.child_frame_id: t for t in moved.transforms}
    assert {c: t.header.frame_id for c, t in frames.items()} == {
        "body_test_1": "lidar",
        "person_Anna": "body_test_1",
        "body_test_2": "lidar",
    }
    hips = frames["body_test_1"].transform
    assert (hips.translation.x, hips.translation.z) == pytest.approx((8.0, -1.7 + 0.53 * 1.8))
    assert 2 * math.atan2(hips.rotation.z, hips.rotation.w) == pytest.approx(0.0)
    # the name is taken back, and so is everything when the sensor falls silent
    del matches[:]
    assert graph.wait(lambda: any(m.confidence == 0.0 for m in matches), every=lambda: street.frame({}, {}))
    assert graph.wait(lambda: not bodies[-1].ids)


def test_somebody_else_who_publishes_persons_is_named(street):
    from hri_msgs.msg import IdsList

    graph = street.graph
    graph.node.create_publisher(IdsList, "/humans/persons/tracked", 1)
    assert graph.wait(lambda: graph.says("bridges: persons", "set hri_persons to false"))


def test_nothing_is_published_that_was_not_asked_for(graph, start):
    node = start("bridges", namespace="quiet")
    assert graph.wait(lambda: graph.says("quiet/bridges: bridges", "all parts are off"), 90.0), node.output
    own = lambda: graph.topics_of("publisher", "bridges", "/quiet")  # noqa: E731
    assert graph.wait(lambda: own() == {"/diagnostics", "/parameter_events", "/rosout"}), own()


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"vision_msgs", "people_msgs", "hri_msgs", "bond"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import rclpy
from rclpy.parameter import Parameter
from emgait_ros.nodes.bridges import BridgesNode
from emgait_ros.nodes.gait_recognizer import GaitRecognizerNode
from emgait_ros.nodes.pedestrian_tracker import PedestrianTrackerNode
rclpy.init()
for kind in (BridgesNode, GaitRecognizerNode, PedestrianTrackerNode):
    node = kind(parameter_overrides=[Parameter("autostart", value=False)])
    getattr(node, "close", lambda: None)()
    node.destroy_node()
for kind, name, value in (
    (BridgesNode, "vision", True), (BridgesNode, "people", True), (BridgesNode, "hri", True),
    (PedestrianTrackerNode, "topics.boxes", "/boxes"), (GaitRecognizerNode, "bond_heartbeat_period", 0.25),
):
    try:
        kind(parameter_overrides=[Parameter(name, value=value)])
    except ValueError as error:
        print(error)
sys.stdout.flush()
import os
os._exit(0)
"""


def test_without_their_messages_nodes_start_and_say_what_is_missing(repository):
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=repository, capture_output=True, text=True, timeout=300)
    said = done.stdout.strip().splitlines()
    assert [("not installed here" in line) for line in said] == [True] * 5, done.stdout + done.stderr
    for line, package in zip(said, ("vision-msgs", "people-msgs", "hri-msgs", "vision-msgs", "bond"), strict=True):
        assert f"(ros-<distro>-{package})" in line
