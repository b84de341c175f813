"""Crops keep the aspect and the whole body; samples have a fixed number of points and come out the same twice."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.config import SampleConfig
from emgait_ros.sensing.perception.crops import cut_crop, resample

CONFIG = SampleConfig()


def picture_of(rectangle: tuple[int, int, int, int], width: int = 640, height: int = 480) -> np.ndarray:
    """Grey picture with one white rectangle."""
    image = np.full((height, width, 3), 90, np.uint8)
    left, top, right, bottom = rectangle
    image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 255
    return image


@pytest.mark.parametrize(
    "rectangle",
    [
        (300, 100, 360, 300),  # near: shrunk
        (300, 200, 312, 240),  # far: enlarged
    ],
)
def test_body_fills_the_same_part_of_the_crop_at_any_range(rectangle):
    crop = cut_crop(picture_of(rectangle), np.array(rectangle, float), CONFIG)
    assert crop.shape == (128, 64, 3)
    white = crop[:, 32, 0] > 200
    assert white.mean() == pytest.approx(1 / 1.2, abs=0.05)  # a margin of 10 % above and below
    columns = crop[64, :, 0] > 200
    wide, high = rectangle[2] - rectangle[0], rectangle[3] - rectangle[1]
    assert columns.sum() / white.sum() == pytest.approx(wide / high, abs=0.08)  # aspect kept


def test_beyond_the_border_is_black_and_the_scale_stays():
    inside = cut_crop(picture_of((300, 200, 360, 400)), np.array([300, 200, 360, 400.0]), CONFIG)
    border = cut_crop(picture_of((-20, 350, 40, 550)), np.array([-20, 350, 40, 550.0]), CONFIG)
    assert border.shape == inside.shape
    assert (border[:, 0] == 0).all()  # left of the image
    assert (border[-5] == 0).all()  # below it
    top = lambda crop: int(np.argmax(crop[:, 34, 0] > 200))  # noqa: E731
    assert abs(top(inside) - top(border)) <= 1


@pytest.mark.parametrize(
    "rectangle",
    [
        (-100, 100, -40, 300),  # left of the image
        (600, 100, 760, 300),  # a sliver of it
        (0, 0, 0, 1),  # no height
        (0, -1e6, 10, 1e6),  # absurd: box at the camera
        (float("nan"),) * 4,
    ],
)
def test_too_little_in_view_gives_no_crop(rectangle):
    assert cut_crop(np.zeros((480, 640, 3), np.uint8), np.array(rectangle, float), CONFIG) is None


@pytest.mark.parametrize("count", [1, 7, 128, 129, 5000])
def test_fixed_number_of_points(count):
    points = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    sample = resample(points, 128, 1_700_000_000_123_456_789, 7)
    assert sample.shape == (128, 3)
    assert sample.dtype == np.float32
    known = {tuple(p) for p in points.tolist()}
    drawn = [tuple(p) for p in sample.tolist()]
    assert set(drawn) <= known
    assert len(set(drawn)) == min(count, 128)  # all of them, or no one twice


def test_sample_depends_on_its_seed_only():
    points = np.random.default_rng(0).normal(size=(900, 3)).astype(np.float32)
    first = resample(points, 128, 10, 3)
    np.testing.assert_array_equal(first, resample(points, 128, 10, 3))
    assert not np.array_equal(first, resample(points, 128, 11, 3))
    assert not np.array_equal(first, resample(points, 128, 10, 4))
    assert resample(points[:0], 128, 10, 3) is None
