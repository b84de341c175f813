"""Silhouettes and depth maps: sizes, places and values that can be reckoned; the same live and from a data set."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from emgait_ros.inference.preprocessing import Preprocessing, prepare
from emgait_ros.inference.representations import depth_maps, normalized_silhouettes, point_silhouettes
from emgait_ros.lab.simulation.walks import generate_walk

PICTURED = Preprocessing(points_frame="ray", silhouette_height=64, silhouette_width=44, depth_size=64)
SIZE = np.array([[0.6, 0.6, 1.8]])


def upright(mask_height: int, mask_width: int, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros((1, mask_height, mask_width), np.uint8)
    mask[0, top:bottom, left:right] = 255
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        upright(128, 64, 0, 128, 22, 42),  # as high as the picture, in its middle
        upright(128, 64, 20, 84, 3, 13),  # small, at the side
        upright(300, 200, 50, 250, 150, 181),  # large
        upright(64, 44, 0, 64, 17, 27),  # as data sets bring it
    ],
)
def test_the_body_is_as_high_as_the_silhouette_and_in_its_middle(mask):
    found = normalized_silhouettes(mask, 64, 44)
    assert found.shape == (1, 64, 44)
    body = found[0] >= 128
    assert body.any(axis=1).all()
    columns = np.flatnonzero(body.any(axis=0))
    assert len(columns) == pytest.approx(10, abs=1)
    assert columns.mean() == pytest.approx(21.5, abs=1)


def test_many_masks_are_as_one_at_a_time():
    masks = np.random.default_rng(0).integers(0, 256, (5, 40, 30)).astype(np.uint8)
    together = normalized_silhouettes(masks, 64, 44)
    for row in range(5):
        np.testing.assert_array_equal(together[row], normalized_silhouettes(masks[row : row + 1], 64, 44)[0])


def test_an_empty_mask_is_an_empty_silhouette():
    assert not normalized_silhouettes(np.zeros((2, 20, 10), np.uint8), 64, 44).any()


@pytest.mark.parametrize("masks", [np.zeros((20, 10), np.uint8), np.zeros((1, 20, 10), np.float32)])
def test_masks_of_another_form_are_refused(masks):
    with pytest.raises(ValueError, match=r"silhouettes have shape .* expected \(samples, height, width\) uint8"):
        normalized_silhouettes(masks, 64, 44)


@pytest.mark.parametrize("bearing", [0.0, 2.0, -1.3])
def test_a_return_is_where_the_sensor_sees_it(bearing):
    """A return at the box's middle is in the picture's middle; one to the left of it, seen from the LiDAR, on the left; nearer is larger."""
    cos, sin = np.cos(bearing), np.sin(bearing)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    local = np.array([[10.0, 0.0, 0.0], [9.7, 0.4, 0.6], [10.3, -0.4, -0.6]])
    points = (local @ turn.T)[None].astype(np.float32)
    found = depth_maps(points, np.array([[10 * cos, 10 * sin, 0.0]]), SIZE, 64)[0]
    assert found[32, 32] == 128
    ys, xs = np.nonzero(found > 128)
    assert (ys.mean(), xs.mean()) == pytest.approx((11, 18), abs=2)
    assert found.max() == round(128 + 127 * 0.3 / 0.75)
    ys, xs = np.nonzero((found < 128) & (found > 0))
    assert (ys.mean(), xs.mean()) == pytest.approx((52, 45), abs=2)
    assert np.count_nonzero(found) == 27  # three by three each


def test_the_nearest_return_hides_what_is_behind():
    points = np.array([[[9.8, 0, 0], [10.2, 0, 0]]], np.float32)
    found = depth_maps(points, np.array([[10.0, 0, 0]]), SIZE, 64)
    assert set(np.unique(found)) == {0, round(128 + 127 * 0.2 / 0.75)}


@pytest.mark.parametrize("range_m", [10.0, 30.0])
def test_silhouettes_of_points_are_like_the_cameras(range_m):
    """Overlap of both pictures of simulated walkers; the mask of the simulator is the truth."""
    walk = [sample for sample in generate_walk(7, 0, range_m, 60.0, 6) if sample.silhouette is not None]
    made = prepare(walk, PICTURED)
    points = prepare(walk, dataclasses.replace(PICTURED, silhouette_source="points"))
    assert made.has_silhouette.all()
    assert points.has_silhouette.all()
    one, other = made.silhouettes > 0.5, points.silhouettes > 0.5
    overlap = (one & other).sum(axis=(1, 2)) / (one | other).sum(axis=(1, 2))
    assert np.median(overlap) > (0.55 if range_m < 20 else 0.4)
    assert 0.1 < one.mean() < 0.5


def test_without_returns_or_image_there_is_no_picture():
    sample = dataclasses.replace(generate_walk(7, 0, 10.0, 0.0, 1)[0], points=None, crop=None, silhouette=None)
    made = prepare([sample], PICTURED)
    assert not made.has_silhouette[0]
    assert not made.silhouettes.any()
    assert not made.depth_maps.any()
    assert prepare([], PICTURED).depth_maps.shape == (0, 64, 64)


def test_nothing_is_made_that_nobody_asked_for():
    made = prepare(generate_walk(7, 0, 10.0, 0.0, 2), Preprocessing())
    assert made.silhouettes.shape == made.depth_maps.shape == (2, 0, 0)
    assert set(Preprocessing().to_dict()) == {"crop_height", "crop_width", "points", "points_frame", "view_coordinates"}
    assert Preprocessing.from_dict(PICTURED.to_dict()) == PICTURED


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"silhouette_source": "radar"}, "silhouette_source is 'radar': allowed are camera, points"),
        ({"silhouette_height": 64}, "silhouettes of 64 x 0 px"),
        ({"depth_size": -1}, "depth maps of -1 px"),
    ],
)
def test_impossible_sizes_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        Preprocessing(**changes)


def test_no_points_make_empty_pictures():
    none = np.zeros((0, 8, 3), np.float32)
    assert point_silhouettes(none, np.zeros((0, 3)), np.zeros((0, 3)), 64, 44).shape == (0, 64, 44)
