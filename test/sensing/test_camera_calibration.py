"""Where the camera sits and how it projects, as CameraInfo, topic names and TF come in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from camera_infos import camera_info
from scipy.spatial.transform import Rotation

from emgait_ros.sensing.camera_calibration import CameraCalibration
from emgait_ros.sensing.frames import FrameTree

S = 10**9
IDENTITY = tuple(np.eye(4).ravel())


RAW, RECTIFIED = (1000, 1000, 640, 360, 5), (900, 910, 650, 350, 0)
FISHEYE = {"distortion_model": "equidistant", "d": [0.0] * 4}


@pytest.mark.parametrize(
    ("topic", "changes", "expected"),
    [
        ("/cam/image_raw", {}, RAW),
        ("/cam/image_rect", {}, RECTIFIED),  # image_proc: with the CameraInfo of the raw image
        ("/cam/image_rect_color/compressed", {}, RECTIFIED),
        ("/zed/left/color/rect/image", {}, RECTIFIED),
        ("/cam/image_rectified", {}, RECTIFIED),
        ("/cam/image_rect", FISHEYE, RECTIFIED),
        ("/cam/image_rect", {"d": [0.0] * 5}, (1000, 1000, 640, 360, 0)),  # drivers that rectify say so
        ("/cam/image_rect", {"p": [0.0] * 12}, (1000, 1000, 640, 360, 0)),  # OpenCV's default: K stays
        ("/direct/rectangle", {}, RAW),
    ],
)
def test_rectified_images_are_projected_by_p_without_distortion(
    topic: str, changes: dict[str, Any], expected: tuple[int, ...]
) -> None:
    calibration = CameraCalibration(FrameTree().matrix, "", "/cam/camera_info", image_topic=topic)
    calibration.configure(IDENTITY)
    calibration.info = camera_info(**changes)
    camera = calibration.camera((720, 1280, 3), "camera", "lidar", S)
    found = (camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2], len(camera.distortion))
    assert found == expected


def test_a_camera_that_tf_tells_of_again_and_again_stays_the_same() -> None:
    """Equal transforms on /tf differ in the last bit between two of them: what watches the projection would start over."""
    tree = FrameTree()
    x, y, z, w = Rotation.from_euler("xyz", (-1.58, 0.02, -1.56)).as_quat()
    transform = SimpleNamespace(
        translation=SimpleNamespace(x=0.123, y=-0.456, z=0.789), rotation=SimpleNamespace(x=x, y=y, z=z, w=w)
    )
    for tenth in range(20):
        header = SimpleNamespace(stamp=SimpleNamespace(sec=tenth // 10, nanosec=tenth % 10 * S // 10), frame_id="lidar")
        stamped = SimpleNamespace(header=header, child_frame_id="camera", transform=transform)
        tree.add(SimpleNamespace(transforms=[stamped]), is_static=False)
    calibration = CameraCalibration(tree.matrix, "", "/cam/camera_info")
    calibration.configure(())
    calibration.info = camera_info()
    assert len({tree.matrix("camera", "lidar", k * S // 30).tobytes() for k in range(50)}) > 1
    assert len({id(calibration.camera((720, 1280, 3), "camera", "lidar", k * S // 30)) for k in range(50)}) == 1
    assert calibration.source == "TF, 'lidar' to 'camera'"
    before = calibration.camera((720, 1280, 3), "camera", "lidar", S)
    T = tree.matrix("camera", "lidar", S)
    T[0, 3] += 0.001
    calibration.configure(tuple(T.ravel()))
    assert calibration.camera((720, 1280, 3), "camera", "lidar", S) is not before
