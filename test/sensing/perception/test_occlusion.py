"""Who hides whom, and how much of them."""

import numpy as np
import pytest
from synthetic_clouds import SENSOR_HEIGHT_M, crown, person, scan

from emgait_ros.config import DetectorConfig
from emgait_ros.sensing.perception.candidates import CandidateFinder
from emgait_ros.sensing.perception.occlusion import covered_by_nearer, covered_by_others, out_of_sight
from emgait_ros.sensing.perception.views import FRONT_SHAPE


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(10.0, 0.0)], [0.0]),
        ([(10.0, 0.0), (14.0, 0.0)], [0.0, 0.93]),  # right behind: the head shows over the shadow's edge
        ([(10.0, 0.0), (14.0, 3.0)], [0.0, 0.0]),  # apart
        ([(10.0, 0.0), (10.2, 0.4)], [0.0, 0.0]),  # side by side
        ([(10.0, 0.0), (14.0, 0.35)], [0.0, 0.5]),  # half behind
        ([(-10.0, 0.01), (-14.0, -0.01)], [0.0, 0.93]),  # on the seam of the turn
        ([(14.0, 0.0), (10.0, 0.0)], [0.93, 0.0]),  # the order does not matter
    ],
)
def test_cover(places, expected):
    center = np.array([(x, y, -0.85) for x, y in places])
    size = np.tile([0.5, 0.5, 1.7], (len(places), 1))
    np.testing.assert_allclose(covered_by_nearer(center, size), expected, atol=0.08)


def test_nobody():
    assert covered_by_nearer(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)


ON, BEYOND, BEFORE = range(3)
BODY = slice(2, 12)  # rows of a body of 1.76 m


@pytest.mark.parametrize(
    ("before", "expected"),  # rows and columns of the view whose lines of sight end nearer
    [
        ([], 0.0),
        ([(BODY, slice(None))], 1.0),
        ([(slice(2, 7), slice(None))], 0.5),  # a fence
        ([(slice(2, 4), slice(None))], 0.2),
        ([(slice(12, None), slice(None))], 0.0),  # a branch over the head
        ([(slice(0, 2), slice(None))], 0.0),  # grass before the feet
        ([(BODY, slice(0, 6)), (BODY, slice(14, 20))], 0.0),  # beside the body
        ([(BODY, slice(7, 9))], 0.0),  # a post before it: most of each row is seen
        ([(BODY, slice(7, 12))], 1.0),
    ],
)
def test_cover_by_anything(before, expected):
    front = np.zeros((2, *FRONT_SHAPE), np.float32)
    front[:, ON, BODY] = 1.0
    for rows, columns in before:
        front[0, :3, rows, columns] = 0.0
        front[0, BEFORE, rows, columns] = 1.0
    np.testing.assert_allclose(covered_by_others(front, np.float32([1.77, 1.77])), [expected, 0.0], atol=1e-6)


def test_cover_of_nobody():
    assert covered_by_others(np.zeros((0, *FRONT_SHAPE), np.float32), np.zeros(0, np.float32)).shape == (0,)


WALL = [("box", (6.0, 6.4, -5.0, 5.0, 0.0, 3.0))]
FENCE = [("box", (6.0, 6.2, -5.0, 5.0, 0.0, 0.7))]
PLACE = [(12.0, 0.0)]


@pytest.mark.parametrize(
    ("solids", "places", "expected"),
    [
        ([], PLACE, [False]),  # in the open
        (WALL, [(12.0, 0.0), (12.0, 3.0), (4.0, 0.0), (-12.0, 0.0), (2.0, 11.0)], [True, True, False, False, False]),
        (FENCE, PLACE, [False]),  # the chest shows over it
        (crown(12.0, 0.0), PLACE, [False]),  # under a tree
        (crown(8.0, 0.0), PLACE, [False]),  # behind one
        (person(6, 0) + person(6, 0.3), [(7.5, 0.1), (12.0, 5.0)], [True, False]),
        (person(12, 0), PLACE, [False]),  # who stands there hides nothing of themselves
    ],
)
def test_places_out_of_sight(solids, places, expected):
    found = CandidateFinder(DetectorConfig()).find(scan(solids, highest_deg=15.0, beams=96))
    hidden = out_of_sight(found.rays, np.array([(x, y, 1.0 - SENSOR_HEIGHT_M) for x, y in places]))
    assert hidden.tolist() == expected


def test_no_place_and_no_cloud():
    rays = CandidateFinder(DetectorConfig()).find(np.zeros((0, 3), np.float32)).rays
    assert out_of_sight(rays, np.zeros((0, 3))).tolist() == []
    assert out_of_sight(rays, np.array([[12.0, 0.0, 0.0]])).tolist() == [False]
