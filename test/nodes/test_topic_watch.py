"""Why a topic is silent, on a real graph."""

from __future__ import annotations

import pytest
import rclpy
from live_graph import qos
from sensor_msgs.msg import PointCloud2

from emgait_ros.nodes import diagnostics
from emgait_ros.nodes.qos import sensor_qos
from emgait_ros.nodes.topic_watch import SILENT_S, TopicWatch

pytestmark = pytest.mark.ros

TYPE = "sensor_msgs/msg/PointCloud2"


@pytest.mark.parametrize(
    ("reliability", "words"),
    [
        # large best-effort messages are lost where the sender has the small segment: that is named
        ("best_effort", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        # a reliable subscription loses none: the publisher has not sent any
        ("reliable", "it has sent nothing yet"),
    ],
)
def test_a_publisher_that_sends_nothing(graph, reliability, words):
    topic = f"/watched/{reliability}"
    watch = TopicWatch(graph.node, topic, TYPE, sensor_qos(reliability, 1), "topics.cloud")
    assert graph.wait(lambda: "nobody publishes" in watch.why_silent(), SILENT_S + 5.0)
    publisher = graph.node.create_publisher(PointCloud2, topic, qos())
    assert graph.wait(lambda: graph.node.count_publishers(topic))
    assert watch.why_silent() == "", "it has only just appeared"
    assert graph.wait(lambda: words in watch.why_silent(), SILENT_S + 5.0), watch.why_silent()
    graph.node.destroy_publisher(publisher)


def test_the_first_burst_is_no_rate(graph):
    watch = TopicWatch(graph.node, "/watched/burst", TYPE, sensor_qos("reliable", 1), "topics.cloud")
    for _ in range(20):
        watch.tick()
    assert watch.rate_hz == 0.0
    assert watch.status("cloud").message == "messages on /watched/burst"


def test_a_status_that_comes_and_goes_is_logged_once_a_minute(graph, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(diagnostics, "_log", lambda logger, level, text: lines.append(text))
    node = rclpy.create_node("flapping", context=graph.context)  # nobody spins it: it speaks when it is told to
    now = [diagnostics.status("camera", diagnostics.WARN, "silent for 2 s")]
    publisher = diagnostics.DiagnosticsPublisher(node, lambda: now, diagnostics.ProblemLog(node))
    for second in range(5):
        now[0] = diagnostics.status("camera", diagnostics.WARN, f"silent for {second} s")
        publisher.publish()
        now[0] = diagnostics.status("camera", diagnostics.OK, "30 Hz")
        publisher.publish()
    assert lines == ["silent for 0 s"]
    now[0] = diagnostics.status("camera", diagnostics.WARN, "of another type")
    publisher.publish()
    assert lines[1:] == ["of another type"], "another trouble is news"
    node.destroy_node()
