import numpy as np
import pytest

from emgait_ros.inference.preprocessing import Preprocessing, prepare, resample
from emgait_ros.samples import Sample

EAST, NORTH = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def pedestrian(center=(10.0, 0.0, 0.2), velocity=(0.0, 0.0, 0.0), points=None, crop=None):
    return Sample(
        track_id=7, center=np.array(center), size=np.array([0.6, 0.6, 1.8]), velocity=np.array(velocity), moving=True,
        range_m=10.0, score=1.0, point_count=0 if points is None else len(points), points=points, crop=crop,
    )  # fmt: skip


def pair(center, toward):
    """Two points 0.2 m apart along ``toward`` through a pedestrian's centre: the mean is the centre."""
    center, offset = np.array(center, float), 0.1 * np.array(toward)
    return np.array([center + offset, center - offset], np.float32)


DIAGONAL = (0.6, 0.8, 0.0)
CASES = [
    # points_frame, centre, velocity, direction of the two points, where the first one must lie (x, y)
    ("sensor", (10, 0, 0.2), EAST, NORTH, (0.0, 0.1)),
    ("sensor", (0, 10, 0.2), EAST, NORTH, (0.0, 0.1)),  # no rotation wherever the pedestrian is
    ("ray", (10, 0, 0.2), EAST, NORTH, (0.0, 0.1)),  # straight ahead: the ray is x already
    ("ray", (0, 10, 0.2), EAST, NORTH, (0.1, 0.0)),  # to the left: away from the LiDAR becomes +x
    ("ray", (-10, 0, 0.2), EAST, NORTH, (0.0, -0.1)),  # behind
    ("ray", (6, 8, 0.2), EAST, DIAGONAL, (0.1, 0.0)),
    ("heading", (10, 0, 0.2), NORTH, NORTH, (0.1, 0.0)),  # walking across: its direction becomes +x
    ("heading", (10, 0, 0.2), (-1.2, 0, 0), NORTH, (0.0, -0.1)),  # walking towards the LiDAR
    ("heading", (0, 10, 0.2), (0.01, 0, 0), NORTH, (0.1, 0.0)),  # standing: as "ray"
    ("heading", (0, 10, 0.2), (np.nan, 0, 0), NORTH, (0.1, 0.0)),  # unknown velocity: as "ray"
]


@pytest.mark.parametrize(("points_frame", "center", "velocity", "toward", "expected"), CASES)
def test_axes_of_the_points(points_frame, center, velocity, toward, expected):
    batch = prepare(
        [pedestrian(center, velocity, pair(center, toward))], Preprocessing(points=2, points_frame=points_frame)
    )
    # the centre is 0.2 m up and the box 1.8 m high: the ground is at -0.7, the points 0.9 m above it
    np.testing.assert_allclose(batch.points[0, 0], [*expected, 0.9], atol=1e-5)
    np.testing.assert_allclose(batch.points[0, 1], [-expected[0], -expected[1], 0.9], atol=1e-5)


def test_the_same_walker_looks_the_same_all_around_the_lidar():
    rng = np.random.default_rng(0)
    body = rng.normal([12, 0, 0], 0.3, (64, 3))
    turned = []
    for angle in (0.0, 1.0, 2.5, -2.0):
        rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        turned.append(
            pedestrian(rotation @ [12, 0, 0.2], rotation @ [0, 1.3, 0], (body @ rotation.T).astype(np.float32))
        )
    for points_frame in ("ray", "heading"):
        points = prepare(turned, Preprocessing(points=64, points_frame=points_frame)).points
        np.testing.assert_allclose(points, points[:1].repeat(4, axis=0), atol=1e-4)


IN_CROP = [
    # centre of the box (0.6 x 0.6 x 1.8 m), a point, its column and row in box heights
    ((10, 0, 0.2), (10, 0, -0.7), (0.0, 0.0)),  # the middle of the feet
    ((10, 0, 0.2), (10, -0.45, 0.2), (0.25, 0.5)),  # to the right as seen from the LiDAR
    ((10, 0, 0.2), (9.9, 0.45, 1.1), (-0.25, 1.0)),  # to the left, at the top
    ((0, 10, 0.2), (0.45, 10, 0.2), (0.25, 0.5)),  # looking along +y, right is +x
    ((-10, 0, 0.2), (-10.2, 0.9, 0.2), (0.5, 0.5)),
]


@pytest.mark.parametrize(("center", "point", "place"), IN_CROP)
def test_points_know_their_place_in_the_crop(center, point, place):
    cloud = np.array([point], np.float32)
    for points_frame in ("sensor", "ray", "heading"):
        preprocessing = Preprocessing(points=1, points_frame=points_frame, view_coordinates=True)
        points = prepare([pedestrian(center, NORTH, cloud)], preprocessing).points
        assert points.shape == (1, 1, 7)
        np.testing.assert_allclose(points[0, 0, 3:5], place, atol=1e-5)


SIGHT = [  # axes, centre, velocity, direction of sight in them
    ("sensor", (0, 10, 0.2), NORTH, (0, 1)),
    ("ray", (0, 10, 0.2), EAST, (1, 0)),  # always ahead
    ("heading", (0, 10, 0.2), NORTH, (1, 0)),  # goes away from the LiDAR
    ("heading", (0, 10, 0.2), (0, -1, 0), (-1, 0)),  # comes towards it
    ("heading", (0, 10, 0.2), EAST, (0, 1)),  # shows its right side: the LiDAR looks along its +y
]


@pytest.mark.parametrize(("points_frame", "center", "velocity", "direction"), SIGHT)
def test_points_know_where_they_are_seen_from(points_frame, center, velocity, direction):
    preprocessing = Preprocessing(points=2, points_frame=points_frame, view_coordinates=True)
    points = prepare([pedestrian(center, velocity, pair(center, NORTH))], preprocessing).points
    np.testing.assert_allclose(points[0, :, 5:], [direction, direction], atol=1e-6)


def test_a_manifest_of_before_has_points_of_three_values():
    values = Preprocessing(points_frame="heading").to_dict()
    del values["view_coordinates"]
    assert Preprocessing.from_dict(values) == Preprocessing(points_frame="heading")


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (np.arange(4), [0, 1, 2, 3]),
        (np.arange(2), [0, 0, 1, 1]),  # fewer than asked: repeated evenly
        (np.arange(8), [0, 2, 4, 6]),  # more than asked: thinned evenly
        ([np.nan, 1, np.inf, 2, 3, 4], [1, 2, 3, 4]),  # not finite: left out
        ([np.nan], []),
        ([], []),
    ],
)
def test_resampling_to_a_fixed_number(found, kept):
    cloud = np.repeat(np.asarray(found, np.float32)[:, None], 3, axis=1)
    assert resample(cloud, 4)[:, 0].tolist() == kept


def test_missing_modalities_are_flagged_and_zero():
    crop = np.full((128, 64, 3), 255, np.uint8)
    cloud = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    people = [
        pedestrian(points=cloud, crop=crop),
        pedestrian(points=cloud),
        pedestrian(crop=crop),
        pedestrian(points=cloud[:0], crop=crop[:0]),
        pedestrian(points=np.full((5, 3), np.nan, np.float32)),
        pedestrian(center=(np.nan, 0, 0), points=cloud),  # a box that is nowhere has no axes
    ]
    batch = prepare(people, Preprocessing(points=16))
    assert batch.has_image.tolist() == [True, False, True, False, False, False]
    assert batch.has_points.tolist() == [True, True, False, False, False, False]
    assert batch.crops.dtype == batch.points.dtype == np.float32
    assert batch.crops[0].min() == 1.0
    assert not batch.crops[~batch.has_image].any()
    assert not batch.points[~batch.has_points].any()
    np.testing.assert_allclose(batch.points[0, :, :2].mean(axis=0), 0, atol=1e-5)


def test_nobody_in_view_is_an_empty_batch():
    batch = prepare([], Preprocessing())
    assert (len(batch), batch.crops.shape, batch.points.shape) == (0, (0, 3, 128, 64), (0, 128, 3))


@pytest.mark.parametrize("size", [(64, 32), (256, 128), (100, 90)])
def test_crops_of_another_size_are_resized(size):
    crop = np.zeros((*size, 3), np.uint8)
    crop[: size[0] // 2, :, 0] = 255  # red above, black below
    image = prepare([pedestrian(crop=crop)], Preprocessing()).crops[0]
    assert image.shape == (3, 128, 64)
    assert image[0, :60].min() == 1.0
    assert image[0, 68:].max() == 0.0
    assert image[1:].max() == 0.0


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (pedestrian(crop=np.zeros((128, 64), np.uint8)), r"the crop of track 7 is \(128, 64\) uint8"),
        (pedestrian(crop=np.zeros((128, 64, 3), np.float32)), "float32: expected"),
        (pedestrian(points=np.zeros((5, 4), np.float32)), r"points of track 7 have shape \(5, 4\)"),
    ],
)
def test_arrays_of_another_kind_are_named(sample, words):
    with pytest.raises(ValueError, match=words):
        prepare([sample], Preprocessing())


@pytest.mark.parametrize("values", [{"points_frame": "moon"}, {"points": 0}, {"crop_width": 6.5}])
def test_impossible_preprocessing_is_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        Preprocessing(**values)
