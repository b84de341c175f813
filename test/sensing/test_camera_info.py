"""CameraInfo as drivers fill it in: what has one reading is used, the rest is refused by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from camera_infos import camera_info

from emgait_ros.sensing.camera_info import camera_from_info


def test_camera_model() -> None:
    camera = camera_from_info(camera_info(), np.eye(4), (720, 1280, 3))
    assert (camera.width, camera.height, camera.distortion_model) == (1280, 720, "plumb_bob")
    np.testing.assert_allclose(camera.K, [[1000, 0, 640], [0, 1000, 360], [0, 0, 1]])
    np.testing.assert_allclose(camera.distortion, [0.1, -0.2, 0, 0, 0])


@pytest.mark.parametrize(
    ("changes", "shape", "expected_k"),
    [
        # half resolution: everything halves
        ({"binning_x": 2, "binning_y": 2}, (360, 640), (500, 500, 320, 180)),
        # a cut-out: the principal point moves
        ({"roi": SimpleNamespace(x_offset=100, y_offset=50, width=800, height=600)}, (600, 800), (1000, 1000, 540, 310)),
        # both: the cut-out is in full-resolution pixels
        ({"binning_x": 2, "binning_y": 2, "roi": SimpleNamespace(x_offset=100, y_offset=50, width=800, height=600)}, (300, 400), (500, 500, 270, 155)),
    ],
)  # fmt: skip
def test_binning_and_region_of_interest(
    changes: dict[str, Any], shape: tuple[int, int], expected_k: tuple[float, ...]
) -> None:
    K = camera_from_info(camera_info(**changes), np.eye(4), shape).K
    np.testing.assert_allclose((K[0, 0], K[1, 1], K[0, 2], K[1, 2]), expected_k)


BROWN = [0.1, -0.2, 0.01, 0.02, 0.3]
RATIONAL = [*BROWN, 0.4, 0.5, 0.6]


@pytest.mark.parametrize(
    ("model", "d", "expected", "noted"),
    [
        ("plumb_bob", BROWN, ("plumb_bob", 5), 0),
        ("plumb_bob", BROWN[:4], ("plumb_bob", 4), 0),
        ("plumb_bob", [0.0] * 5, ("plumb_bob", 0), 0),  # rectified
        ("plumb_bob", [0.0] * 8, ("plumb_bob", 0), 0),
        ("plumb_bob", [*BROWN, 0.0, 0.0, 0.0], ("plumb_bob", 5), 1),  # Orbbec
        ("plumb_bob", [*BROWN[:4], *[0.0] * 8], ("plumb_bob", 4), 1),
        ("plumb_bob", RATIONAL, ("rational_polynomial", 8), 1),  # eight numbers have one meaning
        ("rational_polynomial", RATIONAL, ("rational_polynomial", 8), 0),
        ("rational_polynomial", [*RATIONAL, 0.0, 0.0, 0.0], ("rational_polynomial", 8), 1),
        ("rational_polynomial", [0.1] * 12, ("rational_polynomial", 12), 0),
        ("rational_polynomial", [0.1] * 14, ("rational_polynomial", 14), 0),
        ("rational_polynomial", BROWN, ("plumb_bob", 5), 1),  # a part of it
        ("rational_polynomial", [], ("plumb_bob", 0), 0),
        ("equidistant", [0.0] * 4, ("equidistant", 4), 0),  # no distortion is not a pinhole here
        ("equidistant", [], ("equidistant", 4), 0),
        ("equidistant", [0.0] * 8, ("equidistant", 4), 0),
        ("equidistant", [0.1, 0.2, 0.3, 0.4, 0.0], ("equidistant", 4), 1),
        ("fisheye", [0.1] * 4, ("equidistant", 4), 0),  # another name for it
        ("Brown-Conrady", BROWN, ("plumb_bob", 5), 0),
        ("", [], ("plumb_bob", 0), 0),  # a driver that leaves it empty
        ("", BROWN, ("plumb_bob", 5), 0),
        ("none", [0.0] * 5, ("plumb_bob", 0), 0),
        ("pinhole", [0.0] * 4, ("plumb_bob", 0), 0),
        ("pinhole", RATIONAL, ("rational_polynomial", 8), 0),
    ],
)
def test_distortion_models(model: str, d: list[float], expected: tuple[str, int], noted: int) -> None:
    notes: list[str] = []
    camera = camera_from_info(camera_info(distortion_model=model, d=d), np.eye(4), (720, 1280), notes.append)
    assert (camera.distortion_model, len(camera.distortion)) == expected
    np.testing.assert_array_equal(camera.distortion, np.resize(d, expected[1]) if any(d) else np.zeros(expected[1]))
    assert len(notes) == noted


def test_size_from_the_image_when_the_info_has_none() -> None:
    notes: list[str] = []
    camera = camera_from_info(camera_info(width=0, height=0), np.eye(4), (720, 1280), notes.append)
    assert (camera.width, camera.height, len(notes)) == (1280, 720, 1)
    with pytest.raises(ValueError, match="640 x 360 pixels, but its CameraInfo is for 0 x 0"):
        camera_from_info(camera_info(width=0, height=0), np.eye(4), (360, 640))  # the principal point is its corner


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"k": [0.0] * 9}, "uncalibrated"),
        ({"width": 640, "height": 480}, "1280 x 720 pixels, but its CameraInfo is for 640 x 480"),
        ({"binning_x": 2}, "for 640 x 720 .1280 x 720 with its binning"),
        ({"distortion_model": "ftheta", "d": [0.1]}, "'ftheta' is unknown"),
        ({"distortion_model": "ftheta", "d": [0.0] * 5}, "'ftheta' is unknown"),  # zeros do not make it a pinhole
        ({"distortion_model": "none", "d": BROWN}, "'none' is unknown for 5 coefficients"),
        ({"d": [0.1, 0.2, 0.3]}, "3 distortion coefficients for 'plumb_bob': expected 0 or 4 or 5"),
        ({"d": [0.1] * 7}, "7 distortion coefficients for 'plumb_bob'"),
        ({"d": [float("nan"), 0, 0, 0, 0]}, "finite"),
        ({"distortion_model": "equidistant", "d": BROWN}, "5 distortion coefficients for 'equidistant': expected 4"),
        ({"distortion_model": "", "d": BROWN[:4]}, "'' is unknown"),  # of a fisheye lens, or not
    ],
)
def test_wrong_camera_infos_are_named(changes: dict[str, Any], phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        camera_from_info(camera_info(**changes), np.eye(4), (720, 1280, 3))


def test_received_camera_info() -> None:
    sensor_msgs = pytest.importorskip("sensor_msgs.msg")
    info = sensor_msgs.CameraInfo(
        width=64, height=48, distortion_model="plumb_bob", k=[50.0, 0.0, 32.0, 0.0, 50.0, 24.0, 0.0, 0.0, 1.0]
    )
    assert camera_from_info(info, np.eye(4), (48, 64, 3)).width == 64
