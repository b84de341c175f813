"""Projection against OpenCV, and what must not be projected."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from emgait_ros.samples import CameraModel
from emgait_ros.sensing.perception.camera import box_rectangles, check_model, project

# LiDAR x forward, y left, z up -> optical z forward, x right, y down, and a little tilt
TURN = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


def camera(model: str, distortion: list[float], tilt: float = 0.05) -> CameraModel:
    T = np.eye(4)
    T[:3, :3] = cv2.Rodrigues(np.array([tilt, 0.02, -0.01]))[0] @ TURN
    T[:3, 3] = [0.05, -0.1, 0.02]
    K = np.array([[700.0, 0.0, 640.0], [0.0, 710.0, 355.0], [0.0, 0.0, 1.0]])
    return CameraModel(1280, 720, K, np.array(distortion), model, T)


def points_in_view(count: int = 500) -> np.ndarray:
    random = np.random.default_rng(3)
    x = random.uniform(2, 50, count)
    return np.stack([x, x * random.uniform(-0.6, 0.6, count), x * random.uniform(-0.35, 0.35, count)], axis=1)


@pytest.mark.parametrize(
    ("model", "distortion"),
    [
        ("plumb_bob", []),  # a rectified image
        ("plumb_bob", [-0.28, 0.07, 0.0003, -0.0005, 0.0]),  # a usual wide lens
        ("plumb_bob", [0.05, -0.02, 0.001, 0.002]),  # pincushion, four coefficients
        ("rational_polynomial", [0.4, -0.1, 0.0004, -0.0002, 0.01, 0.75, -0.05, 0.02]),
        (
            "rational_polynomial",
            [0.4, -0.1, 0.0004, -0.0002, 0.01, 0.75, -0.05, 0.02, 0.001, -0.0005, 0.0007, 0.0002],
        ),  # thin prism
    ],
)
def test_pinhole_models_agree_with_opencv(model, distortion):
    view = camera(model, distortion)
    points = points_in_view()
    pixel, valid = project(points, view)
    expected, _ = cv2.projectPoints(
        points,
        cv2.Rodrigues(view.T_camera_lidar[:3, :3])[0],
        view.T_camera_lidar[:3, 3],
        view.K,
        np.array(distortion) if distortion else None,
    )
    assert valid.mean() > 0.95
    np.testing.assert_allclose(pixel[valid], expected.reshape(-1, 2)[valid], atol=1e-6)


@pytest.mark.parametrize("distortion", [[-0.01, 0.003, -0.002, 0.0004], [0.05, 0.01, 0.0, 0.0]])
def test_fisheye_agrees_with_opencv(distortion):
    view = camera("equidistant", distortion)
    points = points_in_view()
    pixel, valid = project(points, view)
    expected, _ = cv2.fisheye.projectPoints(
        points.reshape(-1, 1, 3),
        cv2.Rodrigues(view.T_camera_lidar[:3, :3])[0],
        view.T_camera_lidar[:3, 3],
        view.K,
        np.array(distortion),
    )
    assert valid.all()
    np.testing.assert_allclose(pixel, expected.reshape(-1, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ((-10.0, 0.0, 0.0), "behind the camera"),
        ((0.05, 0.0, 0.0), "in the plane of the camera"),
        ((2.0, 9.0, 0.0), "where this barrel polynomial folds back into the picture"),
    ],
)
def test_not_projected(point, reason):
    view = camera("plumb_bob", [-0.3, 0.02, 0.0, 0.0, 0.0], tilt=0.0)
    _, valid = project(np.array([point]), view)
    assert not valid[0], reason


def test_box_rectangle_holds_the_box_and_knows_what_is_out_of_view():
    view = camera("plumb_bob", [])
    center = np.array([[10.0, 0.0, -0.8], [10.0, 30.0, -0.8], [-10.0, 0.0, -0.8]])  # ahead, beside the image, behind
    rectangle, visible = box_rectangles(center, np.tile([0.6, 0.6, 1.8], (3, 1)), view)
    assert visible.tolist() == [True, False, False]
    left, top, right, bottom = rectangle[0]
    assert bottom - top == pytest.approx(1.8 * 710 / 9.7, rel=0.1)
    middle, _ = project(center[:1], view)
    assert left < middle[0, 0] < right
    assert top < middle[0, 1] < bottom


@pytest.mark.parametrize(
    ("model", "distortion", "word"),
    [
        ("bent", [0.1, 0.1, 0.0, 0.0], "distortion_model 'bent'"),  # unknown
        ("plumb_bob", [0.1], "1 coefficients"),  # too few
    ],
)
def test_unusable_calibration_is_named(model, distortion, word):
    with pytest.raises(ValueError, match=word):
        check_model(camera(model, distortion))
