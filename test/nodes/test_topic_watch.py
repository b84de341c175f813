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


@pytest.mark.parametrize("level_when_silent", [diagnostics.WARN, diagnostics.ERROR])
def test_nothing_yet_is_information_then_a_warning(graph, level_when_silent):
    """A driver that starts after the node, or not at all; one that was there and is gone is worse."""
    grace_s = SILENT_S + 1.0
    fits = sensor_qos("reliable", 1)
    waiting = TopicWatch(graph.node, "/watched/later", TYPE, fits, "topics.cloud", grace_s=grace_s)
    unfit = TopicWatch(graph.node, "/watched/unfit", TYPE, fits, "topics.cloud", grace_s=600.0)
    gone = TopicWatch(graph.node, "/watched/gone", TYPE, fits, "topics.cloud", grace_s=grace_s)
    gone.tick()
    publisher = graph.node.create_publisher(PointCloud2, "/watched/unfit", qos("best_effort"))
    levels = []

    def nobody():
        found = waiting.status("cloud", level_when_silent)
        if "nobody publishes" in found.message:
            levels.append(found.level)
        return diagnostics.WARN in levels

    assert graph.wait(nobody, grace_s + 5.0), levels
    assert sorted(set(levels)) == [diagnostics.OK, diagnostics.WARN]
    assert levels == sorted(levels)
    assert unfit.status("cloud", level_when_silent).level == level_when_silent, "waiting does not help"
    assert gone.status("cloud", level_when_silent).level == level_when_silent
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
