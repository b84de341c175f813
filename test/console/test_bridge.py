"""The console's node on a live graph: it finds the tracker's topics, listens only while somebody looks, and asks services."""

import asyncio

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from live_graph import (
    FOCAL_PX,
    HEIGHT,
    PATIENCE_S,
    T_CAMERA_LIDAR,
    WIDTH,
    LiveGraph,
    camera_info,
    cloud,
    header,
    image,
    street,
)
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from emgait_msgs.msg import Identity, IdentityArray
from emgait_msgs.srv import RemoveIdentity
from emgait_ros.console.bridge import Bridge
from emgait_ros.console.sensors import Picture

pytestmark = pytest.mark.ros
NOW_NS = 1_700_000_000_000_000_000
IMAGE, INFO, CLOUD, IDENTITIES = "/cam/image", "/cam/info", "/ouster/points", "/console7/gait_recognizer/identities"


@pytest.fixture
def graph():
    live = LiveGraph()
    yield live
    live.close()


@pytest.fixture
def tracker(graph):
    """What the console sees of a pedestrian_tracker with topics of its own."""
    node = rclpy.create_node("pedestrian_tracker", namespace="/console7", context=graph.context)
    for kind, topic in ((Image, IMAGE), (CameraInfo, INFO), (PointCloud2, CLOUD)):
        node.create_subscription(kind, topic, lambda message: None, 1)
    node.declare_parameter("camera.T_camera_lidar", list(T_CAMERA_LIDAR))
    for name in ("pairing.cloud_offset_s", "pairing.image_offset_s"):
        node.declare_parameter(name, 0.0)
    graph.executor.add_node(node)
    yield node
    graph.executor.remove_node(node)
    node.destroy_node()


@pytest.fixture
def bridge():
    made = Bridge(320, ["--ros-args", "-r", "__ns:=/console7", "-r", "gait_recognizer/remove:=/elsewhere/remove"])
    yield made
    made.close()


def somebody(stamp_ns):
    person = Identity(track_id=4, tracker_id="front", status=Identity.STATUS_KNOWN, name="Anna", range_m=8.0)
    person.position.x, person.position.z = 8.0, -0.8
    person.size.x = person.size.y = 0.6
    person.size.z = 1.8
    return IdentityArray(header=header(stamp_ns, "lidar"), model="f", identities=[person])


def test_it_shows_what_the_tracker_hears_and_only_while_somebody_looks(graph, tracker, bridge):
    assert bridge.namespace == "console7"
    listening = lambda: [graph.node.count_subscribers(topic) for topic in (IMAGE, INFO, CLOUD, IDENTITIES)]  # noqa: E731
    assert graph.wait(lambda: listening() == [1, 1, 1, 0]), listening()
    bridge.watch({"people", "picture", "cloud"})
    assert graph.wait(lambda: listening() == [2, 2, 2, 1]), listening()
    publish = {
        IMAGE: image(NOW_NS + 20_000_000), INFO: camera_info(NOW_NS), CLOUD: cloud(street(), NOW_NS), IDENTITIES: somebody(NOW_NS),
    }  # fmt: skip

    def send():
        for topic, message in publish.items():
            graph.publish(topic, message)

    assert graph.wait(lambda: bridge.view.heads() and bridge.sensors.frame, every=send)
    (head,) = bridge.view.heads()
    assert head["people"][0]["name"] == "Anna"

    def picture():
        found = bridge.sensors.picture(bridge.view.heads())
        return found if isinstance(found, Picture) and found.boxes else None

    found = graph.wait(picture, every=send)
    assert found, bridge.sensors.picture(bridge.view.heads())
    assert cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (HEIGHT, WIDTH, 3)
    left, top, width, height = found.boxes[0]["box"]
    assert left + width / 2 == pytest.approx(0.5, abs=0.01)
    assert height * HEIGHT == pytest.approx(1.8 * FOCAL_PX / 8.0, rel=0.1)
    assert 0 < top < 0.5 < top + height
    assert graph.wait(lambda: isinstance(bridge.sensors.cloud(), bytes), every=send)
    bridge.watch(())
    assert graph.wait(lambda: listening() == [1, 1, 1, 0]), listening()


def test_services_are_asked_by_their_remapped_names_and_absent_ones_are_said(graph, bridge):
    asked = []

    def remove(request, response):
        asked.append((request.name, request.caller))
        response.success, response.message, response.templates = True, "removed", 3
        return response

    graph.node.create_service(RemoveIdentity, "/elsewhere/remove", remove)
    call = lambda name, fields: asyncio.run(bridge.call(name, fields, PATIENCE_S))  # noqa: E731
    done = graph.wait(lambda: (answer := call("remove", {"name": "Zoë"}))["success"] and answer)
    assert done == {"success": True, "message": "removed", "templates": 3}
    assert asked == [("Zoë", "console")]
    absent = call("undo", {})
    assert not absent["success"]
    assert "/console7/gait_recognizer/undo is not there: start gait_recognizer" in absent["message"]
    assert "could not be asked" in call("remove", {"name": 7})["message"]


def test_a_console_that_has_just_started_does_not_call_a_service_absent(graph, monkeypatch):
    monkeypatch.setattr("emgait_ros.console.bridge.DISCOVERY_S", PATIENCE_S)

    def remove(request, response):
        response.success = True
        return response

    graph.node.create_service(RemoveIdentity, "/console8/gait_recognizer/remove", remove)
    started = Bridge(320, ["--ros-args", "-r", "__ns:=/console8"])
    try:
        assert asyncio.run(started.call("remove", {"name": "Anna"}, PATIENCE_S))["success"]
    finally:
        started.close()
