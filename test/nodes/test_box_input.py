"""The pedestrian_tracker with boxes of another detector, over real DDS: 50 ms late, noisy, in another frame; and why none are used."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from box_messages import array, box, real
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from live_graph import PATIENCE_S, LiveGraph, NodeProcess, cloud, header, qos, stamp_of, street, walk
from rclpy.qos import DurabilityPolicy, QoSProfile

from emgait_msgs.msg import PedestrianArray

pytest.importorskip("vision_msgs.msg", reason="vision_msgs is optional: topics.boxes needs it")
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

pytestmark = pytest.mark.ros
CLOUD, BOXES = "/lidar/points", "/detector/boxes"
STEP_NS = 100_000_000
IN_MAP = np.array([20.0, -5.0, 1.73])  # where the LiDAR is in the frame of the boxes, which is turned by 90 degrees


def to_map(x: float, y: float, z: float) -> tuple[float, float, float]:
    return IN_MAP[0] - y, IN_MAP[1] + x, IN_MAP[2] + z


class Detector:
    """A LiDAR with somebody who walks, and a detector whose boxes come late, with noise."""

    def __init__(self, graph: LiveGraph, node: NodeProcess, namespace: str = "") -> None:
        self.graph, self.node, self.random = graph, node, np.random.default_rng(5)
        self.received = graph.collect(PedestrianArray, f"{namespace}/pedestrian_tracker/pedestrians")
        self._clouds = graph.node.create_publisher(type(cloud(street(), 1)), f"{namespace}{CLOUD}", qos())
        self._boxes = graph.node.create_publisher(Detection3DArray, BOXES, qos())
        self.now_ns, self._walk = time.time_ns(), walk(steps=60)
        self.places: dict[int, float] = {}

    def frame(self, late_s: float = 0.05, stamp_error_s: float = 0.0, frame_id: str = "map", name: str = "PEDESTRIAN"):
        """A cloud; the boxes follow ``late_s`` after it from a thread of the detector's own."""
        self.now_ns += STEP_NS
        stamp, x = self.now_ns, next(self._walk)
        self.places[stamp] = x
        self._clouds.publish(cloud(street(x), stamp))
        place = np.array([x, 0.0, -0.85]) + self.random.normal(0, (0.12, 0.12, 0.06))
        made = box(to_map(*place), (0.5, 0.7, 1.75), (0.0, 0.0, 0.1, 0.995), **{name: 0.7, "car": 0.2})
        car = box(to_map(6.0, 4.0, -1.0), (4.0, 1.8, 1.5), car=0.9)
        message = real(array(made, car, frame_id=frame_id, stamp_ns=stamp + round(stamp_error_s * 1e9)))
        threading.Timer(late_s, self._boxes.publish, [message]).start()
        time.sleep(0.1)

    def until(self, happened, timeout_s: float = PATIENCE_S, **frames):
        return self.graph.wait(happened, timeout_s, lambda: self.frame(**frames))


def send_tf(graph: LiveGraph, child: str = "lidar") -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    half = float(np.sqrt(0.5))
    transform = Transform(
        translation=Vector3(x=IN_MAP[0], y=IN_MAP[1], z=IN_MAP[2]), rotation=Quaternion(z=half, w=half)
    )
    graph.static = graph.node.create_publisher(TFMessage, "/tf_static", latched)
    stamped = TransformStamped(header=header(1, "map"), child_frame_id=child, transform=transform)
    graph.static.publish(TFMessage(transforms=[stamped]))


def says(graph: LiveGraph, words: str, node: str = "pedestrian_tracker") -> str | None:
    return graph.says(f"{node}: people in boxes", words)


@pytest.fixture(scope="module")
def detector(graph, start):
    node = start("pedestrian_tracker", topics__boxes=BOXES, topics__image="", boxes__classes=("pedestrian", "human"))
    live = Detector(graph, node)
    assert graph.wait(lambda: graph.node.count_subscribers(BOXES), 90.0), node.output
    return live


def test_silence_is_named_first(detector):
    """First of all tests here: no boxes have been sent yet. Clouds go through, with nobody in them."""
    found = detector.graph.wait(
        lambda: detector.received and detector.graph.says("pedestrian_tracker: boxes", f"nothing arrives on {BOXES}"),
        60.0,
        lambda: (detector._clouds.publish(cloud(street(), detector.now_ns)), setattr(detector, "now_ns", detector.now_ns + STEP_NS), time.sleep(0.1)),
    )  # fmt: skip
    assert found, detector.node.output
    assert not detector.received[-1].pedestrians


def test_boxes_in_a_frame_without_tf_are_named(detector):
    assert detector.until(lambda: says(detector.graph, "no transform from 'map' to 'lidar'")), detector.node.output


def test_late_noisy_boxes_of_another_frame_make_a_track_with_samples(detector):
    send_tf(detector.graph)
    walking = lambda: next(  # noqa: E731
        (m for m in reversed(detector.received) if any(p.moving and len(p.points) for p in m.pedestrians)), None
    )
    message = detector.until(walking)
    assert message, detector.node.output
    person = next(p for p in message.pedestrians if p.moving and len(p.points))
    assert person.center.x == pytest.approx(detector.places[stamp_of(message)], abs=0.3)
    assert person.center.y == pytest.approx(0.0, abs=0.3)
    assert len(person.points) == 128 * 3
    assert detector.until(lambda: says(detector.graph, "after their clouds"))
    values = detector.graph.values("pedestrian_tracker: people in boxes")
    assert float(values["late_p95_ms"]) > 40
    assert float(values["dt_p50_ms"]) == 0
    assert int(values["left out: class 'car'"]) > 0


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ({"stamp_error_s": -7200.0}, "s behind those of the clouds"),
        ({"late_s": 0.45}, "boxes.max_wait_s"),
        ({}, " so far in "),  # and it is well again
    ],
)
def test_boxes_that_do_not_match_are_explained(detector, frames, words):
    assert detector.until(lambda: says(detector.graph, words), 60.0, **frames), detector.node.output


def test_options_are_checked_and_change_while_it_runs(detector):
    graph = detector.graph
    for name, value, words in (
        ("boxes.max_wait_s", 3.0, "boxes.max_wait_s"),
        ("boxes.use", "both", "instead, beside"),
        ("boxes.classes", [""], "at least one name"),
        ("topics.boxes", "/other", "read-only"),
    ):
        answer = graph.set_parameter("pedestrian_tracker", name, value)
        assert not answer.successful
        assert words in answer.reason
    assert graph.set_parameter("pedestrian_tracker", "boxes.classes", ["7"]).successful
    assert detector.until(lambda: says(graph, "boxes.classes is 7, the boxes are")), detector.node.output
    assert graph.set_parameter("pedestrian_tracker", "boxes.classes", ["human"]).successful
    assert detector.until(lambda: says(graph, " so far in "), name="Human"), detector.node.output
    assert graph.set_parameter("pedestrian_tracker", "boxes.use", "beside").successful
    found = lambda: graph.values("pedestrian_tracker: people in boxes").get("use") == "beside"  # noqa: E731
    assert detector.until(found, name="Human")
