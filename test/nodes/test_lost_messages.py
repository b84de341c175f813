"""A sender without the shared-memory profile, as `ros2 bag play` is: losses are named with their cause, over real DDS."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from live_graph import T_CAMERA_LIDAR, cloud, qos
from sensor_msgs.msg import PointCloud2

from emgait_ros.config import RecognizerNodeConfig, TrackerNodeConfig, with_options
from emgait_ros.doctor import live_system as live
from emgait_ros.doctor.findings import Level
from emgait_ros.live.probe import watch
from emgait_ros.nodes.topic_watch import TopicWatch
from emgait_ros.transport import PROFILE_VARIABLES

pytestmark = pytest.mark.ros

TOPICS = {"cloud": "/lossy/points", "image": "/lossy/image", "camera_info": "/lossy/camera_info"}
SENDER = """
import array, sys, time, rclpy
import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
rclpy.init()
node = rclpy.create_node("plain_player")
qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
kinds = {"points": PointCloud2, "image": Image, "camera_info": CameraInfo}
send = {name: node.create_publisher(kind, f"/lossy/{name}", qos) for name, kind in kinds.items()}
points = np.random.default_rng(0).normal(0, 5, (130_000, 4)).astype(np.float32)
fields = [PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
cloud = PointCloud2(height=1, width=len(points), fields=fields, point_step=16, row_step=points.nbytes, data=array.array("B", points.tobytes()))
image = Image(height=720, width=1280, encoding="rgb8", step=3840, data=array.array("B", bytes(2_764_800)))
info = CameraInfo(height=720, width=1280, k=[900.0, 0.0, 640.0, 0.0, 900.0, 360.0, 0.0, 0.0, 1.0])
cloud.header.frame_id, image.header.frame_id = "lidar", "camera_optical"
began, began_ns = time.monotonic(), time.time_ns()
for k in range(100_000):
    time.sleep(max(0.0, began + k / 30 - time.monotonic()))
    stamp = began_ns + k * 1_000_000_000 // 30
    for name, message in (("camera_info", info), ("image", image), ("points", cloud)):
        if name != "points" or k % 3 == 0:
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
            send[name].publish(message)
"""


@pytest.fixture(scope="module")
def sender() -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES}
    process = subprocess.Popen([sys.executable, "-c", SENDER], env=environment)
    yield process
    process.kill()
    process.wait()


def test_the_node_names_the_cause_and_advises_no_offset(sender, graph, start):
    options = {f"topics__{name}": topic for name, topic in TOPICS.items()}
    node = start("pedestrian_tracker", namespace="lossy", camera__T_camera_lidar=T_CAMERA_LIDAR, **options)
    found, lost = {}, [0.0]
    advice = set()

    def both():
        pairing = graph.diagnostics.get("lossy/pedestrian_tracker: pairing")
        advice.add(pairing.message if pairing is not None else "")
        for topic in ("cloud", "image"):
            status = graph.diagnostics.get(f"lossy/pedestrian_tracker: {topic}")
            if status is not None and status.level != b"\0" and PROFILE_VARIABLES[0] in status.message:
                found[topic] = status.message
            lost.append(float(graph.values(f"lossy/pedestrian_tracker: {topic}").get("lost", 0)))
        return len(found) == 2 and max(lost) > 0.3

    assert graph.wait(both), (found, max(lost), graph.diagnostics, node.output)
    for topic, sentence in found.items():
        assert TOPICS[topic] in sentence
        assert "/plain_player" in sentence
        if "are lost on the way" in sentence:  # else nothing at all came for a while
            assert "topics.reliability to reliable" in sentence
    assert not [sentence for sentence in advice if "image_offset_s" in sentence], advice


def test_the_doctor_says_the_same(sender):
    config = with_options(
        TrackerNodeConfig(),
        {"camera.T_camera_lidar": T_CAMERA_LIDAR, **{f"topics.{n}": topic for n, topic in TOPICS.items()}},
    )
    findings = list(live.judge(watch(config, RecognizerNodeConfig(), 15.0), config))
    for topic in (TOPICS["cloud"], TOPICS["image"]):
        about = [f for f in findings if f.subject == topic and f.level is not Level.OK]
        assert any(PROFILE_VARIABLES[0] in f.fix for f in about), (about, findings)
    pairing = [f for f in findings if f.subject == "pairing"]
    assert all("image_offset_s" not in f.fix for f in pairing), pairing


def test_the_doctor_names_who_sends_nothing(graph):
    mute = graph.node.create_publisher(PointCloud2, "/mute/points", qos("best_effort"))
    config = with_options(TrackerNodeConfig(), {"topics.cloud": "/mute/points", "topics.image": ""})
    (found,) = [
        f for f in live.judge(watch(config, RecognizerNodeConfig(), 6.0), config) if f.subject == "/mute/points"
    ]
    assert found.level is Level.FAIL
    assert "nothing arrives on /mute/points" in found.fix
    graph.node.destroy_publisher(mute)


def test_a_sender_with_the_profile_loses_nothing_to_who_comes_late(graph):
    """The middleware does not count what was sent before; nor does a steady rate look lossy."""
    watched = TopicWatch(
        graph.node, "/kept/points", "sensor_msgs/msg/PointCloud2", qos("best_effort", 10), "topics.cloud"
    )
    publisher = graph.node.create_publisher(PointCloud2, "/kept/points", qos("best_effort"))
    message = cloud(np.zeros((130_000, 3), np.float32), 1)
    taken = []

    def send(count: int) -> None:
        for _ in range(count):
            message.header.stamp.nanosec += 100_000_000
            publisher.publish(message)
            time.sleep(0.1)

    send(5)
    graph.node.create_subscription(
        PointCloud2,
        "/kept/points",
        lambda m: (taken.append(m), watched.tick(m.header.stamp.nanosec, len(m.data))),
        qos("best_effort", 10),
        event_callbacks=watched.events(),
    )
    assert graph.wait(publisher.get_subscription_count)
    time.sleep(0.5)
    message.header.stamp.nanosec = 100_000_000
    send(9)
    assert graph.wait(lambda: len(taken) >= 8)
    assert watched.lost_share == 0.0
    graph.node.destroy_publisher(publisher)
