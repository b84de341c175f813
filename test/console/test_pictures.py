"""Pictures for the page: sizes, where boxes lie, and the cloud from above."""

import cv2
import numpy as np
import pytest

from emgait_ros.console.pictures import (
    CELL_M,
    CELLS,
    GROUND,
    HIGHEST,
    REACH_M,
    boxes_in,
    places_of,
    seen_from_above,
    small_jpeg_of,
)
from emgait_ros.samples import CameraModel

FORWARD = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
CAMERA = CameraModel(640, 480, np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), np.zeros(0), "", FORWARD)


@pytest.mark.parametrize(
    ("width", "asked", "shape"), [(640, 320, (240, 320)), (640, 960, (480, 640)), (641, 640, (479, 640))]
)
def test_pictures_are_made_smaller_never_larger(width, asked, shape):
    pixels = np.full((480, width, 3), (200, 30, 20), np.uint8)
    decoded = cv2.imdecode(np.frombuffer(small_jpeg_of(pixels, asked), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape[:2] == shape
    assert abs(decoded[100, 100].astype(int) - (20, 30, 200)).max() < 8, "red stays red"


def person(x, y, velocity=(0.0, 0.0)):
    return {"center": [x, y, 0.0], "size": [0.6, 0.6, 1.8], "velocity": list(velocity)}


def test_boxes_lie_over_people_and_move_on_with_them():
    people = [person(10.0, 0.0), person(10.0, 0.0, (0.0, -2.0)), person(-5.0, 0.0), person(10.0, 6.4)]
    center, size = places_of(people, 0.5)
    ahead, moved, behind, at_the_edge = boxes_in(CAMERA, center, size)
    assert ahead == pytest.approx([0.4758, 0.4033, 0.0483, 0.1933], abs=2e-3)
    assert moved[0] == pytest.approx(ahead[0] + 1.0 * 500 / 10 / 640, abs=5e-3), "1 m to the right, 50 px"
    assert behind is None
    assert at_the_edge[0] == 0.0
    assert 0 < at_the_edge[2] < 0.04
    assert boxes_in(CAMERA, *places_of([], 0.5)) == []


def test_the_cloud_from_above_shows_what_stands_there():
    post = np.stack([np.full(20, 30.0), np.full(20, -10.0), np.linspace(-1.7, 1.3, 20)], axis=1)
    flat = np.array([[5.0, 20.0, -1.7], [5.0, 20.0, -1.68]])
    outside = np.array([[REACH_M + 1, 0, 0], [0, -REACH_M - 1, 0], [-1e9, 0, 0]])
    grey = cv2.imdecode(
        np.frombuffer(seen_from_above(np.concatenate([post, flat, outside]).astype(np.float32)), np.uint8),
        cv2.IMREAD_UNCHANGED,
    )
    assert grey.shape == (CELLS, CELLS)
    row = lambda metres: int((REACH_M - metres) / CELL_M + 1e-3)  # noqa: E731
    assert grey[row(30), row(-10)] == HIGHEST
    assert grey[row(5), row(20)] == GROUND
    assert (grey > 0).sum() == 2
    assert not cv2.imdecode(
        np.frombuffer(seen_from_above(np.empty((0, 3), np.float32)), np.uint8), cv2.IMREAD_UNCHANGED
    ).any()
