"""Extrinsics and the fixed frame from TF, where tf2_ros is installed; a sentence where it is not."""

from __future__ import annotations

import time
from importlib.util import find_spec

import pytest
from live_graph import LiveGraph, camera_info, cloud, header, image, stamp_of, street

from emgait_msgs.msg import PedestrianArray
from emgait_ros.nodes.transforms import Transforms

pytestmark = pytest.mark.ros
HAS_TF = find_spec("tf2_ros") is not None
TOPICS = {"topics__cloud": "/tf_test/points", "topics__image": "/tf_test/image", "topics__camera_info": "/tf_test/info"}


@pytest.mark.skipif(HAS_TF, reason="tf2_ros is installed here")
def test_without_tf2_ros_a_look_up_says_so(graph):
    transforms = Transforms(graph.node)
    assert not transforms.available
    with pytest.raises(ValueError, match="no transform from 'lidar' to 'camera': tf2_ros is not installed here"):
        transforms.matrix("camera", "lidar")


@pytest.mark.skipif(not HAS_TF, reason="tf2_ros is not installed here (PyPI has none)")
def test_extrinsics_and_fixed_frame_from_tf(graph: LiveGraph, start):
    from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
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
            moved = Transform(translation=Vector3(x=0.1 * frames), rotation=Quaternion(w=1.0))
            transforms.append(TransformStamped(header=header(stamp, "odom"), child_frame_id="lidar", transform=moved))
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
        30.0,
        lambda: send(False, False),
    ), node.output
    assert graph.wait(
        lambda: graph.says(bad, "no extrinsics: parameter camera.T_camera_lidar is empty and there is"),
        15.0,
        lambda: send(True, False),
    ), node.output

    def with_crop():
        return next((m for m in received if any(len(p.crop) for p in m.pedestrians)), None)

    message = graph.wait(with_crop, 20.0, lambda: send(True, True))
    assert message, node.output
    number = (stamp_of(message) - now_ns) // 100_000_000
    person = message.pedestrians[0]
    assert person.center.x == pytest.approx(8.0 + 0.05 * number, abs=0.5), "places are in the LiDAR frame"
    # 0.05 m away from the LiDAR in each frame, while the LiDAR itself moves 0.1 m: 1.5 m/s over the ground
    assert person.velocity.x == pytest.approx(1.5, abs=0.5)
