"""Clouds wait for their odometry, which comes later than they do, in order and not for ever."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from live_graph import LiveGraph, header
from sensor_msgs.msg import PointCloud2

from emgait_ros.config import FramesConfig
from emgait_ros.nodes.transform_queue import MOST, TransformQueue
from emgait_ros.nodes.transforms import Transforms
from emgait_ros.sensing.boxes import Job
from emgait_ros.sensing.pairing import Pair

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(find_spec("tf2_msgs") is None, reason="tf2_msgs is not installed here"),
]
STEP_NS = 10**8
FOREVER = FramesConfig("odom_q", wait_s=3600.0)


class Held:
    """A queue on a live graph, and the numbers of the clouds it has handed on."""

    def __init__(self, graph: LiveGraph, frames: FramesConfig) -> None:
        self.graph, self.frames, self.handed_on, self.room = graph, frames, [], True
        self.queue = TransformQueue(Transforms(graph.node), lambda: self.frames, self._take, lambda: self.room)

    def _take(self, job: Job) -> None:
        self.handed_on.append(job.pair.cloud_stamp_ns // STEP_NS)

    def add(self, number: int, image_dt_s: float = 0.0) -> None:
        pair = Pair(PointCloud2(header=header(0, "lidar_q")), number * STEP_NS, None, image_dt_s, False, 0)
        done = self.graph.executor.create_task(lambda: self.queue.add(Job(pair)))
        assert self.graph.wait(done.done)

    def odometry(self, number: int) -> None:
        from tf2_msgs.msg import TFMessage

        pose = Transform(translation=Vector3(x=0.1 * number), rotation=Quaternion(w=1.0))
        moved = TransformStamped(header=header(number * STEP_NS, "odom_q"), child_frame_id="lidar_q", transform=pose)
        self.graph.publish("/tf", TFMessage(transforms=[moved]))

    def knows(self, *numbers: int) -> None:
        """Publish odometry until it has been heard; a cloud that stands in the way is handed on before."""
        known = self.queue._transforms
        for number in numbers:
            heard = lambda: not known.may_come("odom_q", "lidar_q", number * STEP_NS)  # noqa: B023, E731
            assert self.graph.wait(heard, every=lambda: self.odometry(number))  # noqa: B023


@pytest.fixture
def held(graph: LiveGraph) -> Iterator[Held]:
    made = Held(graph, FOREVER)
    made.odometry(0)
    assert graph.wait(lambda: _connected(made), every=lambda: made.odometry(0))
    yield made
    made.queue.close()


def _connected(held: Held) -> bool:
    return held.queue._transforms.may_come("odom_q", "lidar_q", STEP_NS)


def test_each_cloud_waits_for_its_own_and_its_images_odometry(held: Held) -> None:
    held.add(1)
    held.add(2, image_dt_s=0.04)
    held.add(3, image_dt_s=-0.04)
    assert not held.handed_on
    held.knows(1)
    assert held.handed_on == [1]
    held.knows(2)
    assert held.handed_on == [1], "the image of the second cloud is newer"
    held.knows(3)
    assert held.handed_on == [1, 2, 3]
    held.add(3)
    assert held.handed_on == [1, 2, 3, 3], "known already"
    status = held.queue.status()
    assert status is not None
    assert status.name.endswith("transforms")
    assert {value.key: value.value for value in status.values}["in_vain"] == "0.00"


def test_of_the_clouds_that_one_transform_tells_of_none_takes_anothers_place(held: Held) -> None:
    """Odometry slower than the LiDAR: the worker that they go to keeps only the newest that waits."""
    held.room = False
    for number in (1, 2, 3):
        held.add(number)
    held.knows(3)
    assert held.handed_on == []
    held.room = True
    held.odometry(4)
    assert held.graph.wait(lambda: held.handed_on == [1, 2, 3])
    held.room = False
    held.add(4)
    assert held.handed_on == [1, 2, 3, 4], "alone, the newest goes on: a slow machine leaves out what is older"


def test_another_clock_is_not_waited_for(held: Held) -> None:
    """TF that is minutes behind the clouds never reaches them."""
    held.add(2_000)
    assert held.handed_on == [2_000]


@pytest.mark.parametrize(
    "frames",
    [
        FramesConfig(""),  # the LiDAR stands still
        FramesConfig("map_of_another_robot", wait_s=3600.0),  # nothing that comes would connect them
        FramesConfig("odom_q", wait_s=0.0),
    ],
)
def test_what_needs_no_waiting_goes_on_at_once(held: Held, frames: FramesConfig) -> None:
    held.frames = frames
    held.add(5)
    assert held.handed_on == [5]


def test_odometry_that_has_stopped_is_not_waited_for_for_ever(held: Held) -> None:
    held.add(1)
    held.frames = dataclasses.replace(FOREVER, wait_s=0.05)
    assert held.graph.wait(lambda: held.handed_on, every=lambda: held.add(2))
    assert held.handed_on[0] == 1
    status = held.queue.status()
    assert status is not None
    assert status.level != b"\0"
    assert "frames.wait_s" in status.message


def test_no_more_than_some_clouds_are_held(held: Held) -> None:
    for number in range(1, MOST + 3):
        held.add(number)
    assert held.handed_on == [1, 2]
