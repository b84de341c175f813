"""What the views of a place show of a scene whose surfaces are known."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_clouds import SENSOR_HEIGHT_M, scan

from emgait_ros.config import DetectorConfig
from emgait_ros.sensing.perception.candidates import CandidateFinder
from emgait_ros.sensing.perception.shapes import SHAPE
from emgait_ros.sensing.perception.view_kernels import DRAW, drawn
from emgait_ros.sensing.perception.views import COUNTS, FRONT_SHAPE, READ, TOP_SHAPE, Views, look, measures_of

COARSE = {"azimuth_step_deg": 0.4, "beams": 40}  # few enough that no line of sight is left out
BOX = ("box", (9.8, 10.2, -0.3, 0.3, 0.0, 1.2))
WALL = ("box", (13.0, 13.4, -3.0, 3.0, 0.0, 1.8))  # its edge: 1.78 m high at 10 m
FENCE = ("box", (6.0, 6.2, 0.0, 3.0, 0.0, 1.0))  # on the left; its shadow: 0.51 m high at 10 m
OFF_THE_RAYS = 10.0, 0.03  # no ray along the edge between two columns
ON, BEYOND, BEFORE, DEPTH, SPREAD, KNOWN = range(6)


def views_at(cloud: np.ndarray, *places: tuple[float, float]) -> Views:
    found = CandidateFinder(DetectorConfig()).find(cloud.astype(np.float32))
    place = np.array(places, np.float32)
    measures = np.zeros((len(place), len(READ)), np.float32)
    return look(found.rays, found.body, measures, place, np.full(len(place), -SENSOR_HEIGHT_M))


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(points.shape[1])
    turn[:2, :2] = [[c, -s], [s, c]]
    return points @ turn.T


@pytest.fixture(scope="module")
def front() -> np.ndarray:
    return views_at(scan([BOX, WALL, FENCE], **COARSE), (10, 0)).front[0]


@pytest.mark.parametrize(
    ("rows", "columns", "channel"),  # rows of 0.16 m from -0.16 m on, columns of 0.09 m from the right
    [
        (slice(1, 8), slice(7, 10), ON),  # the right half of the box
        (slice(5, 8), slice(10, 13), ON),  # the left half over the fence
        (slice(9, 12), slice(0, 20), BEYOND),  # the wall over the box
        (slice(2, 8), slice(0, 6), BEYOND),  # the wall, and the ground before it, beside the box
        (slice(5, 8), slice(14, 20), BEYOND),
        (slice(0, 4), slice(11, 20), BEFORE),  # the fence, also before the box
        (slice(0, 1), slice(0, 6), ON),  # the ground
        (slice(13, 16), slice(0, 20), None),  # the sky
    ],
)
def test_front_view_of_a_box_between_a_fence_and_a_wall(front, rows, columns, channel):
    expected = np.zeros(3)
    if channel is not None:
        expected[channel] = 1.0
    cells = front[:3, rows, columns]
    np.testing.assert_allclose(cells, np.broadcast_to(expected[:, None, None], cells.shape), atol=1e-6)
    assert (front[KNOWN, rows, columns] == (channel is not None)).all()


def test_depth_and_spread_on_the_box(front):
    """Its face lies 0.2 m before the place and is flat but for the noise; both are parts of 0.6 m."""
    np.testing.assert_allclose(front[DEPTH, 2:8, 7:10], -0.2 / 0.6, atol=0.08)
    assert front[SPREAD, 2:8, 7:10].max() < 0.08
    assert (front[DEPTH][front[ON] == 0] == 0).all()


@pytest.mark.parametrize("degrees", [31.7, 90.1, 179.9, 263.3])
def test_the_front_view_turns_with_the_scene(degrees):
    """Up to rounding at the edges of cells."""
    cloud = scan([BOX, WALL, FENCE], **COARSE)
    expected = views_at(cloud, OFF_THE_RAYS).front[0]
    place = turned(np.array([OFF_THE_RAYS]), degrees)[0]
    found = views_at(turned(cloud, degrees), tuple(place)).front[0]
    assert np.isclose(found, expected, atol=0.01).mean() > 0.99


def test_a_mirrored_scene_gives_a_mirrored_view():
    cloud, (x, y) = scan([BOX, WALL, FENCE], **COARSE), OFF_THE_RAYS
    views, mirrored = views_at(cloud, (x, y)), views_at(cloud * (1, -1, 1), (x, -y))
    assert not np.isclose(mirrored.front, views.front, atol=0.01).mean() > 0.9
    assert np.isclose(mirrored.front, views.front[..., ::-1], atol=0.01).mean() > 0.99


def test_top_view_shows_what_stands_beside():
    """Rows of 0.15 m along the line of sight, the place in the middle; the cells of the map are 0.1 m."""
    post = ("cylinder", (10.0, -0.8, 0.06, 0.0, 2.0))
    wall = ("box", (10.63, 11.0, -3.0, 3.0, 0.0, 1.8))
    count, top = views_at(scan([BOX, post, wall]), (10, 0)).top[0]
    assert (count[6:8, 6:10].max(0) > 0.3).all()
    np.testing.assert_allclose(top[6:8, 6:10].max(0), 1.2 / 2.8, atol=0.05)
    assert top[7:9, 2:4].max() == pytest.approx(2.0 / 2.8, abs=0.05)
    assert (top[11:14, 12:].max(0) > 1.6 / 2.8).all()
    assert not count[:6].any()  # nothing before
    assert not count[8:11, 5:11].any()  # nothing between the box and the wall
    assert count.min() >= 0
    assert count.max() < 3


@pytest.mark.parametrize("kept", [1, 777, 20000, 40503, 65535, 65536])
@pytest.mark.parametrize(("begin", "end"), [(0, 0), (0, 5000), (17, 9000), (100_000, 100_900)])
def test_rays_are_drawn_by_their_number(begin, end, kept):
    """Jumping from one to the next finds those that looking at each would."""
    number = np.arange(begin, end)
    np.testing.assert_array_equal(drawn(begin, end, kept), number[(number * DRAW) % 65536 < kept])


def test_nothing_at_all():
    views = views_at(np.zeros((0, 3)), (10, 0), (-5, 40))
    assert views.front.shape == (2, *FRONT_SHAPE)
    assert views.top.shape == (2, *TOP_SHAPE)
    assert not views.front.any()
    assert not views.top.any()


def test_counts_are_read_as_logarithms():
    shape = np.zeros(3, SHAPE)
    shape["count"], shape["top"] = (0, 9, 99), (0.0, 1.7, 1.8)
    read = measures_of(shape)
    assert read.shape == (3, len(READ))
    assert read.dtype == np.float32
    np.testing.assert_allclose(read[:, READ.index("count")], np.log([1, 10, 100]), rtol=1e-6)
    np.testing.assert_allclose(read[:, READ.index("top")], [0.0, 1.7, 1.8], rtol=1e-6)
    assert set(COUNTS) <= set(READ)
