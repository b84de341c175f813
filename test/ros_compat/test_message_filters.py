"""What the nodes rely on in message_filters; the real package passes the same tests."""

from __future__ import annotations

import time

import pytest

message_filters = pytest.importorskip("message_filters")
rclpy = pytest.importorskip("rclpy")
from rclpy.qos import QoSProfile, QoSReliabilityPolicy, qos_profile_sensor_data  # noqa: E402
from std_msgs.msg import String  # noqa: E402


def test_callbacks_run_in_order_with_their_own_arguments():
    source, heard = message_filters.SimpleFilter(), []
    first = source.registerCallback(lambda *got: heard.append(("first", *got)))
    second = source.registerCallback(lambda *got: heard.append(("second", *got)), "camera", 3)
    source.signalMessage("cloud", "image")
    assert heard == [("first", "cloud", "image"), ("second", "cloud", "image", "camera", 3)]
    assert first != second


def test_the_same_callback_registered_twice_is_called_twice():
    source, heard = message_filters.SimpleFilter(), []
    source.registerCallback(heard.append)
    source.registerCallback(heard.append)
    source.signalMessage(1)
    assert heard == [1, 1]


def test_an_exception_of_a_callback_reaches_the_caller():
    source, heard = message_filters.SimpleFilter(), []
    source.registerCallback(lambda message: 1 / 0)
    source.registerCallback(heard.append)
    with pytest.raises(ZeroDivisionError):
        source.signalMessage("cloud")
    assert heard == []


@pytest.fixture(scope="module")
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    made = rclpy.create_node("message_filters_test", namespace="/room", context=context)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.ros
@pytest.mark.parametrize(
    ("options", "depth", "reliability"),
    [
        ({}, 10, QoSReliabilityPolicy.RELIABLE),  # upstream's default: depth 10
        ({"qos_profile": 3}, 3, QoSReliabilityPolicy.RELIABLE),  # a bare depth
        ({"qos_profile": qos_profile_sensor_data}, 5, QoSReliabilityPolicy.BEST_EFFORT),  # a ready profile
        ({"qos_profile": QoSProfile(depth=1, reliability=QoSReliabilityPolicy.BEST_EFFORT), "raw": False}, 1, QoSReliabilityPolicy.BEST_EFFORT),  # further options go to create_subscription
    ],
)  # fmt: skip
def test_qos_of_the_subscription(node, options, depth, reliability):
    subscriber = message_filters.Subscriber(node, String, "words", **options)
    try:
        assert subscriber.getTopic() == subscriber.topic == "words"
        assert subscriber.topic_name == "/room/words"  # an attribute of the subscription itself
        assert subscriber.qos_profile.depth == depth
        assert subscriber.qos_profile.reliability == reliability
        assert subscriber.node is node
    finally:
        node.destroy_subscription(subscriber.sub)


@pytest.mark.ros
def test_messages_reach_the_callbacks_over_dds(node):
    heard: list[tuple[str, str]] = []
    subscriber = message_filters.Subscriber(node, String, "spoken", qos_profile=10)
    subscriber.registerCallback(lambda message, tag: heard.append((message.data, tag)), "a")
    subscriber.registerCallback(lambda message: heard.append((message.data, "b")))
    publisher = node.create_publisher(String, "spoken", 10)
    executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    deadline = time.monotonic() + 60
    while publisher.get_subscription_count() == 0 and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)
    publisher.publish(String(data="hello"))
    while len(heard) < 2 and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)
    assert heard == [("hello", "a"), ("hello", "b")]


@pytest.mark.ros
@pytest.mark.parametrize(
    "arguments",
    [
        ("words",),  # no message type
        (String, "words", 10),  # the profile is a keyword
        (String, "words", {"depth": 1}, 2),
    ],
)
def test_wrong_arguments_raise(node, arguments):
    with pytest.raises((TypeError, IndexError)):
        message_filters.Subscriber(node, *arguments)


@pytest.mark.ros
def test_an_unknown_attribute_is_an_attribute_error(node):
    subscriber = message_filters.Subscriber(node, String, "words")
    assert not hasattr(subscriber, "no_such_thing")
    node.destroy_subscription(subscriber.sub)
