"""Why a topic is silent, on a real graph."""

from __future__ import annotations

import pytest
import rclpy
from live_graph import qos
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2

from emgait_ros.nodes import diagnostics
from emgait_ros.nodes.qos import sensor_qos
from emgait_ros.nodes.topic_watch import SILENT_S, TopicWatch

pytestmark = pytest.mark.ros

TYPE = "sensor_msgs/msg/PointCloud2"


@pytest.mark.parametrize(
    ("kind", "reliability", "words"),
    [
        # large best-effort messages are lost where the sender has the small segment: that is named
        (PointCloud2, "best_effort", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        # a reliable subscription loses none: the publisher has not sent any
        (PointCloud2, "reliable", "it has sent nothing yet"),
        (CameraInfo, "best_effort", "it has sent nothing yet"),  # nor is a small message lost
    ],
)
def test_a_publisher_that_sends_nothing(graph, kind, reliability, words):
    topic, type_name = f"/watched/{kind.__name__}/{reliability}", f"sensor_msgs/msg/{kind.__name__}"
    watch = TopicWatch(graph.node, topic, type_name, sensor_qos(reliability, 1), "topics.cloud")
    assert graph.wait(lambda: "nobody publishes" in watch.why_silent())
    publisher = graph.node.create_publisher(kind, topic, qos())
    assert graph.wait(lambda: graph.node.count_publishers(topic))
    assert watch.why_silent() == "", "it has only just appeared"
    assert graph.wait(lambda: words in watch.why_silent()), watch.why_silent()
    graph.node.destroy_publisher(publisher)


@pytest.mark.parametrize(
    ("reliability", "size", "words"),
    [
        ("best_effort", 2_764_800, "FASTRTPS_DEFAULT_PROFILES_FILE"),  # one got through, and all others were lost
        ("best_effort", 1000, "is overloaded"),
        ("reliable", 2_764_800, "is overloaded"),
    ],
)
def test_a_publisher_of_which_nothing_more_comes(graph, reliability, size, words):
    topic = f"/watched/stopped/{reliability}/of{size}"
    watch = TopicWatch(graph.node, topic, TYPE, sensor_qos(reliability, 1), "topics.cloud")
    publisher = graph.node.create_publisher(PointCloud2, topic, qos())
    watch.tick(1, size)
    assert graph.wait(lambda: "has stopped sending" in watch.why_silent())
    assert words in watch.why_silent()
    graph.node.destroy_publisher(publisher)


@pytest.mark.parametrize("level_when_silent", [diagnostics.WARN, diagnostics.ERROR])
def test_nothing_yet_is_information_then_a_warning(graph, level_when_silent):
    """A driver that starts after the node, or not at all; one that was there and is gone is worse."""
    fits = sensor_qos("reliable", 1)
    early, late, unfit, gone = (
        TopicWatch(graph.node, f"/watched/{topic}", TYPE, fits, "topics.cloud", grace_s=grace_s)
        for topic, grace_s in (("early", 600.0), ("late", SILENT_S), ("unfit", 600.0), ("gone", 600.0))
    )
    gone.tick()
    publisher = graph.node.create_publisher(PointCloud2, "/watched/unfit", qos("best_effort"))

    def said(watch, words):
        """The level of its status, once it holds these words."""
        status = lambda: watch.status("cloud", level_when_silent)  # noqa: E731
        return graph.wait(lambda: (found := status()) and words in found.message and [found.level])

    assert said(early, "nobody publishes") == [diagnostics.OK]
    assert said(late, "nobody publishes") == [diagnostics.WARN]
    assert said(unfit, "QoS mismatch") == [level_when_silent], "waiting does not help"
    assert said(gone, "nobody publishes") == [level_when_silent]
    graph.node.destroy_publisher(publisher)


@pytest.mark.parametrize(
    ("kind", "expected", "parameter", "words", "not_said"),
    [
        (Image, "CompressedImage", "topics.image", "set topics.image_compressed to false", "driver publish"),
        (CompressedImage, "Image", "topics.image", "set topics.image_compressed to true", "driver publish"),
        (PointCloud2, "Image", "topics.image", "set topics.image to another topic", "image_compressed"),
        (LaserScan, "PointCloud2", "topics.cloud", "published with this type: /watched/right", "nobody"),
        (LaserScan, "PointCloud2", "topics.cloud", "let its driver publish sensor_msgs/msg/PointCloud2", "nobody"),
    ],
)
def test_a_topic_of_another_type(graph, kind, expected, parameter, words, not_said):
    topic = f"/watched/type/{kind.__name__}"
    watch = TopicWatch(graph.node, topic, f"sensor_msgs/msg/{expected}", sensor_qos("best_effort", 1), parameter)
    publishers = [
        graph.node.create_publisher(kind, topic, 1),
        graph.node.create_publisher(PointCloud2, "/watched/right", 1),
    ]
    assert graph.wait(lambda: f"carries sensor_msgs/msg/{kind.__name__}" in watch.why_silent())
    assert words in watch.why_silent()
    assert not_said not in watch.why_silent()
    for publisher in publishers:
        graph.node.destroy_publisher(publisher)


def test_images_that_another_node_thins_out_are_not_lost(graph):
    """A throttled image topic beside the driver's CameraInfo: only what one sender sends together can be compared."""
    image, info = (
        TopicWatch(graph.node, f"/thinned/{name}", TYPE, sensor_qos("best_effort", 1), "topics.image")
        for name in ("image", "info")
    )
    image.beside = info
    for number in range(90):
        info.tick(10**9 + number * 33_000_000)
        if number % 3 == 0:
            image.tick(10**9 + number * 33_000_000)
    driver = graph.node.create_publisher(PointCloud2, "/thinned/info", 1)
    same = graph.node.create_publisher(PointCloud2, "/thinned/image", 1)
    assert graph.wait(
        lambda: graph.node.count_publishers("/thinned/info") and graph.node.count_publishers("/thinned/image")
    )
    assert image.lost_share == pytest.approx(2 / 3, abs=0.05)
    graph.node.destroy_publisher(same)
    throttle = rclpy.create_node("throttle", context=graph.context)
    throttle.create_publisher(PointCloud2, "/thinned/image", 1)
    assert graph.wait(lambda: image.lost_share == 0.0, 60.0)
    throttle.destroy_node()
    graph.node.destroy_publisher(driver)


def test_two_nodes_on_one_topic_are_named_where_one_is_expected(graph):
    """A bag that is played beside the driver, or two LiDARs whose drivers were started alike."""
    watch = TopicWatch(graph.node, "/watched/mixed", TYPE, sensor_qos("reliable", 1), "topics.cloud")
    senders = [rclpy.create_node(name, context=graph.context) for name in ("driver", "bag_player")]
    for count, sender in enumerate(senders, 1):
        watch.tick()
        assert watch.status("cloud").level == diagnostics.OK
        sender.create_publisher(PointCloud2, "/watched/mixed", qos())
        assert graph.wait(lambda count=count: graph.node.count_publishers("/watched/mixed") == count)
    watch.tick()
    found = watch.status("cloud")
    assert found.level == diagnostics.WARN
    assert "/bag_player, /driver" in found.message
    assert watch.status("pedestrians", one_sender=False).level == diagnostics.OK
    for sender in senders:
        sender.destroy_node()


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
