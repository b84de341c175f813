"""Extrinsics and the fixed frame from TF over DDS, where tf2_msgs is installed; a sentence where it is not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import CLOUD_STAMP_S, CLOUDS, IMAGE_STAMP_S, write_drive
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from live_graph import ROOT, LiveGraph, camera_info, cloud, header, image, stamp_of, street

from emgait_msgs.msg import PedestrianArray
from emgait_ros.config import TrackerNodeConfig, with_options
from emgait_ros.nodes.transforms import TRIES, Transforms
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing

pytestmark = pytest.mark.ros
HAS_TF = find_spec("tf2_msgs") is not None
needs_tf = pytest.mark.skipif(not HAS_TF, reason="tf2_msgs is not installed here")
TOPICS = {"topics__cloud": "/tf_test/points", "topics__image": "/tf_test/image", "topics__camera_info": "/tf_test/info"}
S = 10**9
STEP_NS = S // 10


@pytest.mark.skipif(HAS_TF, reason="tf2_msgs is installed here")
def test_without_tf2_msgs_a_look_up_says_so(graph: LiveGraph) -> None:
    transforms = Transforms(graph.node)
    assert transforms.problem
    with pytest.raises(ValueError, match="no transform from 'lidar' to 'camera': tf2_msgs is not installed here"):
        transforms.matrix("camera", "lidar")


def transform(stamp_ns: int, parent: str, child: str, x_m: float) -> TransformStamped:
    moved = Transform(translation=Vector3(x=x_m), rotation=Quaternion(w=1.0))
    return TransformStamped(header=header(stamp_ns, parent), child_frame_id=child, transform=moved)


def fails(look_up: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        with pytest.raises(ValueError, match="no transform from"):
            look_up()


@needs_tf
def test_look_ups_wait_for_what_comes_and_for_nothing_else(graph: LiveGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    from tf2_msgs.msg import TFMessage

    monkeypatch.setattr("emgait_ros.nodes.transforms.IMPATIENT_S", 3600.0)
    transforms = Transforms(graph.node)
    fails(lambda: transforms.matrix("camera", "lidar", 5 * S), 20)
    assert not transforms._in_vain, "nothing connects them"
    send = [transform(tenth * S // 10, "odom_w", "lidar_w", 0.1 * tenth) for tenth in range(20)]
    assert graph.wait(
        lambda: _there(transforms, 19 * S // 10), every=lambda: graph.publish("/tf", TFMessage(transforms=send))
    )
    # ROS 1 names have a leading slash
    assert transforms.matrix("/odom_w", "/lidar_w", S + S // 20)[0, 3] == pytest.approx(1.05)
    fails(lambda: transforms.matrix("odom_w", "lidar_w", 2 * S), 20)
    waits, _ = transforms._in_vain["odom_w", "lidar_w"]
    assert waits == TRIES, "TF has stopped: nobody waits for it at each cloud"
    monkeypatch.setattr("emgait_ros.nodes.transforms.WAIT_S", 60.0)
    transforms._in_vain.clear()
    late = TFMessage(transforms=[transform(21 * S // 10, "odom_w", "lidar_w", 2.1)])
    graph.executor.create_task(lambda: (time.sleep(0.03), graph.publish("/tf", late)))
    assert transforms.matrix("odom_w", "lidar_w", 2 * S)[0, 3] == pytest.approx(2.0), "what is late is waited for"
    # A bag starts over: what was known of the time before is forgotten.
    again = TFMessage(transforms=[transform(S // 10 * n, "odom_w", "lidar_w", 7.0) for n in range(3)])
    graph.publish("/tf", again)
    assert graph.wait(lambda: transforms.matrix("odom_w", "lidar_w")[0, 3] == pytest.approx(7.0))
    with pytest.raises(ValueError, match="only before"):
        transforms.matrix("odom_w", "lidar_w", S)


def _there(transforms: Transforms, stamp_ns: int) -> bool:
    try:
        transforms.matrix("odom_w", "lidar_w", stamp_ns)
    except ValueError:
        return False
    return True


@needs_tf
def test_extrinsics_and_fixed_frame_from_tf(graph: LiveGraph, start) -> None:
    from tf2_msgs.msg import TFMessage

    node = start("pedestrian_tracker", namespace="tf_test", frames__fixed="odom", **TOPICS)
    received = graph.collect(PedestrianArray, "/tf_test/pedestrian_tracker/pedestrians")
    bad, now_ns, frames = "tf_test/pedestrian_tracker: bad input", time.time_ns(), 0

    def send(odom: bool, camera: bool) -> None:
        nonlocal frames
        frames += 1
        stamp = now_ns + frames * 100_000_000
        transforms = []
        if odom:  # the robot drives along x
            transforms.append(transform(stamp, "odom", "lidar", 0.1 * frames))
        if camera:  # z forward, x right
            seat = Transform(translation=Vector3(x=0.1), rotation=Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5))
            transforms.append(
                TransformStamped(header=header(stamp, "lidar"), child_frame_id="camera_optical", transform=seat)
            )
        if transforms:
            graph.publish("/tf", TFMessage(transforms=transforms))
        graph.publish("/tf_test/info", camera_info(stamp))
        graph.publish("/tf_test/image", image(stamp))
        graph.publish("/tf_test/points", cloud(street(8.0 + 0.05 * frames), stamp))
        time.sleep(0.1)

    assert graph.wait(
        lambda: graph.says(bad, "clouds are left out until it comes (parameter frames.fixed)"),
        90.0,  # kernels may have to be compiled first
        lambda: send(False, False),
    ), node.output
    assert graph.wait(
        lambda: graph.says(bad, "no extrinsics: parameter camera.T_camera_lidar is empty and there is"),
        every=lambda: send(True, False),
    ), node.output

    def with_crop():
        return next((m for m in received if any(len(p.crop) for p in m.pedestrians)), None)

    message = graph.wait(with_crop, every=lambda: send(True, True))
    assert message, node.output
    number = (stamp_of(message) - now_ns) // 100_000_000
    person = message.pedestrians[0]
    assert person.center.x == pytest.approx(8.0 + 0.05 * number, abs=0.5), "places are in the LiDAR frame"
    # 0.05 m away from the LiDAR in each frame, while the LiDAR itself moves 0.1 m: 1.5 m/s over the ground
    assert person.velocity.x == pytest.approx(1.5, abs=0.5)


@needs_tf
def test_odometry_that_comes_three_clouds_late_loses_none(graph: LiveGraph, start) -> None:
    """As odometry from the LiDAR itself does on a busy machine."""
    from tf2_msgs.msg import TFMessage

    only_lidar = {"topics__cloud": "/tf_late/points", "topics__image": ""}
    node = start("pedestrian_tracker", namespace="tf_late", frames__fixed="odom", **only_lidar)
    received = graph.collect(PedestrianArray, "/tf_late/pedestrian_tracker/pedestrians")
    begin_ns, frames = time.time_ns(), 0

    def drive() -> None:
        nonlocal frames
        frames += 1
        graph.publish("/tf_late/points", cloud(street(8.0 + 0.05 * frames), begin_ns + frames * STEP_NS))
        late_ns = begin_ns + (frames - 3) * STEP_NS
        graph.publish("/tf", TFMessage(transforms=[transform(late_ns, "odom", "lidar", 0.1 * (frames - 3))]))
        time.sleep(0.1)

    def ten_in_a_row() -> bool:
        numbers = [(stamp_of(message) - begin_ns) // STEP_NS for message in received[-10:]]
        return len(numbers) == 10 and numbers[-1] - numbers[0] == 9

    assert graph.wait(ten_in_a_row, every=drive), node.output
    assert len(received[-1].pedestrians) == 1


@needs_tf
def test_a_drive_is_tracked_live_as_offline(graph: LiveGraph, start, tmp_path: Path) -> None:
    """Odometry on /tf, stamps that need their offsets: the node publishes what offline reading of the bag gives."""
    options = {
        "frames.fixed": "odom_drive",
        "pairing.cloud_offset_s": -CLOUD_STAMP_S,
        "pairing.image_offset_s": -IMAGE_STAMP_S,
    }
    bag = write_drive(tmp_path / "bag", fixed="odom_drive")
    config = with_options(TrackerNodeConfig(), options)
    offline: dict[int, list[Any]] = {}
    with BagRecording(bag) as recording:
        sensing = PedestrianSensing(config)
        for frame in recording.sensor_frames(config):
            people = sensing.process(frame, recording.lidar_frame_id).pedestrians
            header_ns = frame.stamp_ns + round(CLOUD_STAMP_S * 1e9)
            offline[header_ns] = [(p.track_id, *p.center, p.crop is not None) for p in people]
    assert len(offline) == CLOUDS

    played_topics = {
        "topics.cloud": "/lidar/points", "topics.image": "/camera/image", "topics.camera_info": "/camera/camera_info"
    }  # fmt: skip
    parameters = {name.replace(".", "__"): value for name, value in (options | played_topics).items()}
    patient = "from emgait_ros.nodes import transforms\ntransforms.WAIT_S = 20.0"  # a busy machine is late with /tf
    node = start("pedestrian_tracker", prelude=patient, namespace="drive", **parameters)
    received = graph.collect(PedestrianArray, "/drive/pedestrian_tracker/pedestrians")
    assert graph.wait(lambda: graph.says("drive/pedestrian_tracker: state", "active") == "active", 90.0), node.output
    follow = ["--follow", "/drive/pedestrian_tracker/pedestrians"]
    played = subprocess.run(
        [sys.executable, "-m", "emgait_ros", "play", str(bag), *follow],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert played.returncode == 0, played.stderr
    graph.wait(lambda: len(received) >= CLOUDS)
    live = {stamp_of(m): [(p.track_id, p.center.x, p.center.y, p.center.z, len(p.crop) > 0) for p in m.pedestrians] for m in received}  # fmt: skip
    assert set(live) == set(offline), (node.output, played.stderr)
    for stamp, people in offline.items():
        np.testing.assert_allclose(live[stamp], people, atol=1e-5)
    assert {len(people) for people in list(live.values())[20:]} == {3}
