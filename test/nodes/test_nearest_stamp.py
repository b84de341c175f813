"""NearestStamp as a filter of message_filters, fed by other filters and over real DDS."""

from __future__ import annotations

import time
from collections.abc import Callable

import message_filters
import numpy as np
import pytest
import rclpy
from live_graph import cloud, image, stamp_of
from rclpy.clock import ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.time import Time
from sensor_msgs.msg import Image, PointCloud2

from emgait_ros.config import PairingConfig
from emgait_ros.nodes.nearest_stamp import NearestStamp

pytestmark = pytest.mark.ros
BEGIN_NS, MS = 1_700_000_000 * 10**9, 1_000_000
POINTS = np.zeros((4, 3), np.float32)


@pytest.fixture(scope="module")
def live():
    """A node, and what spins it until something happens."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("nearest_stamp_test", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin(happened: Callable[[], object], timeout_s: float = 60.0) -> bool:
        deadline = time.monotonic() + timeout_s
        while not happened() and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.02)
        return bool(happened())

    yield node, spin
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


def sources(count: int = 2) -> list[message_filters.SimpleFilter]:
    return [message_filters.SimpleFilter() for _ in range(count)]


def ms(message: object) -> int | None:
    return None if message is None else (stamp_of(message) - BEGIN_NS) // MS


def test_the_callback_gets_cloud_and_nearest_image_and_its_own_arguments(live):
    (clouds, images), found = sources(), []
    nearest = NearestStamp([clouds, images], live[0])
    nearest.registerCallback(lambda c, i, tag: found.append((ms(c), ms(i), tag)), "tag")
    differences_s = []
    nearest.registerCallback(lambda c, i: differences_s.append(nearest.pair.image_dt_s))
    for at in (90, 130, 170, 210):
        images.signalMessage(image(BEGIN_NS + at * MS))
    for at in (100, 155, 200):
        clouds.signalMessage(cloud(POINTS, BEGIN_NS + at * MS))
    assert found == [(100, 90, "tag"), (155, 170, "tag"), (200, 210, "tag")]
    assert differences_s == pytest.approx([-0.01, 0.015, 0.01])
    assert nearest.health().paired == 3


def test_a_cloud_whose_image_never_comes_goes_on_by_the_timer(live):
    (clouds, images), found = sources(), []
    NearestStamp([clouds, images], live[0]).registerCallback(lambda c, i: found.append((ms(c), ms(i))))
    images.signalMessage(image(BEGIN_NS))
    clouds.signalMessage(cloud(POINTS, BEGIN_NS + 500 * MS))
    assert found == []
    assert live[1](lambda: found)
    assert found == [(500, None)]


@pytest.mark.parametrize("before", [None, 0])
def test_a_clock_that_stands_still_holds_no_cloud_for_ever(live, before):
    """A player that waits for the answer to a cloud stops /clock; no image comes either, or only one long before."""
    context, (clouds, images), found = live[0].context, sources(), []
    simulated = [Parameter("use_sim_time", value=True)]
    node = rclpy.create_node("standing_clock", context=context, parameter_overrides=simulated)
    node.get_clock().set_ros_time_override(Time(nanoseconds=BEGIN_NS, clock_type=ClockType.ROS_TIME))
    NearestStamp([clouds, images], node).registerCallback(lambda c, i: found.append((ms(c), ms(i))))
    if before is not None:
        images.signalMessage(image(BEGIN_NS + before * MS))
    for at in (500, 600):
        clouds.signalMessage(cloud(POINTS, BEGIN_NS + at * MS))
        assert (at, None) not in found, "an image may still come"
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        deadline = time.monotonic() + 60.0
        while (at, None) not in found and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.02)
        executor.shutdown()
    assert found == [(500, None), (600, None)]
    node.destroy_node()


def test_without_a_camera_clouds_go_on_at_once(live):
    (clouds,), found = sources(1), []
    NearestStamp([clouds], live[0]).registerCallback(lambda c, i: found.append((ms(c), ms(i))))
    clouds.signalMessage(cloud(POINTS, BEGIN_NS))
    assert found == [(0, None)]


def test_what_is_refused_is_reported(live):
    (clouds, images), said = sources(), []
    NearestStamp([clouds, images], live[0], report=said.append)
    clouds.signalMessage(cloud(POINTS, 0))
    assert len(said) == 1
    assert "a stamp of zero" in said[0]
    NearestStamp([clouds, images], live[0])  # by default in the log
    clouds.signalMessage(cloud(POINTS, 0))


@pytest.mark.parametrize("count", [0, 3])
def test_other_numbers_of_filters_are_refused(live, count):
    with pytest.raises(ValueError, match=f"{count} filters"):
        NearestStamp(sources(count), live[0])


def test_other_options_hold_from_now_on(live):
    (clouds, images), found = sources(), []
    nearest = NearestStamp([clouds, images], live[0])
    nearest.registerCallback(lambda c, i: found.append((ms(c), ms(i))))
    nearest.configure(PairingConfig(image_offset_s=-0.3))
    images.signalMessage(image(BEGIN_NS + 400 * MS))
    clouds.signalMessage(cloud(POINTS, BEGIN_NS + 100 * MS))
    assert found == [(100, 400)]


@pytest.mark.parametrize("cached", [False, True])
def test_it_stands_between_subscribers_and_further_filters(live, cached):
    """Over DDS; with the real package also behind a Cache, and the pair goes on to another filter."""
    if cached and not hasattr(message_filters, "Cache"):
        pytest.skip("the stand-in of message_filters has no Cache")
    node, spin = live
    inputs = [
        message_filters.Subscriber(node, kind, f"{kind.__name__.lower()}_{cached}", qos_profile=10)
        for kind in (PointCloud2, Image)
    ]
    chain = [message_filters.Cache(f, 5) for f in inputs] if cached else inputs
    further, found = message_filters.SimpleFilter(), []
    NearestStamp(chain, node).registerCallback(further.signalMessage)
    further.registerCallback(lambda c, i: found.append((ms(c), ms(i))))
    send_cloud, send_image = (node.create_publisher(f.sub.msg_type, f.getTopic(), 10) for f in inputs)
    assert spin(lambda: send_cloud.get_subscription_count() and send_image.get_subscription_count())
    for k in range(3):
        send_image.publish(image(BEGIN_NS + (100 * k + 5) * MS))
        send_cloud.publish(cloud(POINTS, BEGIN_NS + 100 * k * MS))
    assert spin(lambda: len(found) == 3)
    assert found == [(0, 5), (100, 105), (200, 205)]
