"""Detection on synthetic clouds, where everything is known, and on the real frames."""

from __future__ import annotations

import numpy as np
import pytest
from kitti_frames import FRAMES, load_frame
from synthetic_clouds import SENSOR_HEIGHT_M, crown, person, scan

from emgait_ros.config import DetectorConfig, TrackerConfig
from emgait_ros.lab.simulation.clutter.vehicles import bicycle
from emgait_ros.sensing.perception.candidates import MAX_CANDIDATES
from emgait_ros.sensing.perception.detector import ShapeDetector


@pytest.fixture(scope="module")
def detector() -> ShapeDetector:
    return ShapeDetector(DetectorConfig())


POLE = [("cylinder", (10.0, 3.0, 0.1, 0.0, 4.0))]
WALL = [("box", (15.6, 16.0, -5.0, 5.0, 0.0, 3.0))]
CAR = [("box", (10.0, 14.0, -1.0, 1.0, 0.2, 1.4))]


@pytest.mark.parametrize(
    ("solids", "people"),
    [
        (person(2, 1), [(2, 1)]),  # feet below and head at the edge of the sensor's view
        (person(10, 0), [(10, 0)]),
        (person(-10, 0), [(-10, 0)]),  # on the seam of the turn
        (person(20, 1), [(20, 1)]),
        (person(30, 1), [(30, 1)]),
        (person(12, 0.3) + person(12, -0.3, 1.65), [(12, 0.3), (12, -0.3)]),  # shoulder to shoulder
        (person(20, 0.3) + person(20, -0.3, 1.65), [(20, 0.3), (20, -0.3)]),
        (CAR + person(15, 0), [(15, 0)]),  # head and shoulders over the roof of a car
        ([("cylinder", (15.0, 3.5, 0.08, 0.0, 4.0)), *person(15, 3)], [(15, 3)]),  # beside a pole
        (WALL + person(15, 0), [(15, 0)]),  # before a wall
        (POLE, []),
        ([("cylinder", (10.0, 3.0, 0.1, 0.0, 1.0))], []),  # a bollard
        (WALL, []),
        ([("box", (10.0, 10.2, -5.0, 5.0, 0.0, 1.4))], []),  # a low wall
        (CAR, []),
        ([], []),  # nothing but ground
    ],
)
def test_people_among_things(detector, solids, people):
    found = detector.detect(scan(solids)).center[:, :2]
    assert len(found) == len(people)
    for place in people:
        assert np.hypot(*(found - place).T).min() < 0.15


ACROSS = np.pi / 2
WEAK = TrackerConfig().weak_score


@pytest.fixture(scope="module")
def eager() -> ShapeDetector:
    """Finds whom the tracker goes on with, too."""
    return ShapeDetector(DetectorConfig(), min_score=WEAK)


@pytest.mark.parametrize(
    ("range_m", "height", "heading"),
    [
        *((10, 1.2, heading) for heading in (0.0, ACROSS, np.pi)),  # a child; much farther away they are not looked at
        (8, 1.1, ACROSS),
        (30, 1.75, ACROSS),
        *((range_m, 1.75, heading) for range_m in (35, 40) for heading in (0.0, np.pi)),
        *((50, 1.75, heading) for heading in (0.0, ACROSS, np.pi)),  # five to ten returns
    ],
)
def test_small_and_far_people_carry_on_a_track(eager, range_m, height, heading):
    cloud = scan(person(range_m, 1, height, heading))
    upper = cloud[cloud[:, 2] > 0.1 - SENSOR_HEIGHT_M]
    found = eager.detect(cloud)
    if (np.hypot(*(upper[:, :2] - (range_m, 1)).T) < 0.8).sum() < DetectorConfig().min_points:
        assert len(found) == 0
    else:
        assert np.hypot(*(found.center[:, :2] - (range_m, 1)).T).tolist() == [pytest.approx(0.0, abs=0.2)]


@pytest.mark.parametrize("range_m", [10, 20])
@pytest.mark.parametrize("edge_m", [-0.05, 0.0, 0.05, 0.1])
def test_somebody_of_whom_one_side_is_hidden_carries_on_a_track(eager, range_m, edge_m):
    wall = ("box", (range_m - 1.0, range_m - 0.6, edge_m, edge_m + 2.0, 0.0, 2.2))
    found = eager.detect(scan([wall, *person(range_m, 0)]))
    assert np.hypot(*(found.center[:, :2] - (range_m, 0)).T).min(initial=np.inf) < 0.3


def doorway(x: float) -> list:
    """A wall with an opening 1 m wide and 2.05 m high."""
    return [("box", (x - 0.1, x + 0.1, *side)) for side in ((-5, -0.5, 0, 3), (0.5, 5, 0, 3), (-0.5, 0.5, 2.05, 3))]


ROOF = [("box", (-20.0, 20.0, -8.0, 8.0, 2.6, 2.8))]


@pytest.mark.parametrize("range_m", [8, 10, 15])
@pytest.mark.parametrize(
    "things",
    [
        lambda r: [("mesh", bicycle(np.random.default_rng(2)).at(r, 0.6, 0, 0.0))],
        lambda r: [("mesh", bicycle(np.random.default_rng(2)).at(r, -0.6, 0, ACROSS))],
        lambda r: [("cylinder", (r, 0.5, 0.08, 0.0, 4.0))],
        lambda r: doorway(r + 0.4),
        lambda r: crown(r, 0.0),
        lambda r: ROOF,
    ],
    ids=[
        "beside a bicycle",
        "beside a bicycle, seen from its end",
        "beside a pole",
        "before a door",
        "under a crown",
        "under a ceiling",
    ],
)
def test_a_person_close_to_things(detector, things, range_m):
    found = detector.detect(scan([*things(float(range_m)), *person(range_m, 0)], highest_deg=15.0, beams=96))
    assert np.hypot(*(found.center[:, :2] - (range_m, 0)).T).tolist() == [pytest.approx(0.0, abs=0.2)]
    assert detector.ground_z(found.center.astype(np.float64)) == pytest.approx([-SENSOR_HEIGHT_M], abs=0.15)


@pytest.mark.parametrize(
    "range_m", [8, 10]
)  # directly under a lintel of 2.05 m nobody is found, and few behind it farther out
def test_a_person_behind_a_doorway(detector, range_m):
    found = detector.detect(scan([*doorway(range_m - 0.6), *person(range_m, 0)], highest_deg=15.0, beams=96))
    assert np.hypot(*(found.center[:, :2] - (range_m, 0)).T).tolist() == [pytest.approx(0.0, abs=0.2)]


@pytest.mark.parametrize("range_m", [10, 15])
def test_the_ground_of_somebody_behind_a_car_is_not_the_lowest_return_on_them(detector, range_m):
    """Only the upper 0.8 m show over the roof."""
    found = detector.detect(scan([("box", (range_m - 3.2, range_m - 0.6, -2.0, 2.0, 0.2, 1.0)), *person(range_m, 0)]))
    assert np.hypot(*(found.center[:, :2] - (range_m, 0)).T).tolist() == [pytest.approx(0.0, abs=0.2)]
    assert detector.ground_z(np.array([[range_m, 0.0, 0.0]])) == pytest.approx([-SENSOR_HEIGHT_M], abs=0.15)
    assert found.center[0, 2] - found.size[0, 2] / 2 == pytest.approx(-SENSOR_HEIGHT_M, abs=0.15)


def couple(range_m: float, apart_m: float) -> list:
    """Two people side by side, seen from behind."""
    return person(range_m, apart_m / 2) + person(range_m, -apart_m / 2, 1.65, 0.3)


@pytest.mark.parametrize("range_m", [10, 15, 20])
@pytest.mark.parametrize("apart_m", [0.6, 0.8, 1.2])
def test_couples_are_two_people(detector, range_m, apart_m):
    found = detector.detect(scan(couple(range_m, apart_m))).center[:, :2]
    assert len(found) == 2
    for side in (apart_m / 2, -apart_m / 2):
        assert np.hypot(*(found - (range_m, side)).T).min() < 0.15


@pytest.mark.parametrize("range_m", [15, 20])
def test_people_arm_in_arm_are_two_or_a_group(detector, range_m):
    found = detector.detect(scan(couple(range_m, 0.4)))
    assert len(found) >= 1
    assert len(found) == 2 or found.group.all()
    assert np.hypot(*(found.center[:, :2] - (range_m, 0)).T).max() < 0.35


@pytest.mark.parametrize(
    ("ground", "place"),
    [
        (lambda x, y: 0.10 * x, (-15.0, 5.0)),  # a ramp, seen from above
        (lambda x, y: 0.07 * y, (12.0, 6.0)),  # a slope across
        (lambda x, y: 0.15 * (y > 5), (20.0, 8.0)),  # beyond a kerb
        (lambda x, y: 0.03 * x + 0.05 * np.sin(x / 3), (25.0, -4.0)),  # rolling
    ],
)
def test_boxes_stand_on_uneven_ground(detector, ground, place):
    found = detector.detect(scan(person(*place), ground=ground))
    assert len(found) == 1
    assert np.hypot(*(found.center[0, :2] - place)) < 0.15
    here = np.array([place[0]]), np.array([place[1]])
    floor = float(ground(*here)[0] - ground(np.zeros(1), np.zeros(1))[0]) - SENSOR_HEIGHT_M
    assert found.center[0, 2] - found.size[0, 2] / 2 == pytest.approx(floor, abs=0.08)
    assert found.size[0, 2] == pytest.approx(1.75, abs=0.2)


@pytest.mark.parametrize("height_m", [0.6, 1.2, 2.5])
def test_sensor_height_is_found(detector, height_m):
    cloud = scan(person(10, 0))
    cloud[:, 2] += SENSOR_HEIGHT_M - height_m
    found = detector.detect(cloud)
    assert len(found) == 1
    assert found.center[0, 2] - found.size[0, 2] / 2 == pytest.approx(-height_m, abs=0.05)


def test_members_are_the_returns_on_the_person(detector):
    cloud = scan(person(12, 0.3) + person(12, -0.3, 1.65) + WALL)
    found = detector.detect(cloud)
    for i in range(len(found)):
        own = cloud[found.members(i)]
        assert len(own) == found.point_count[i] > 80
        assert (np.hypot(*(own[:, :2] - found.center[i, :2]).T) < 0.7).all()
    assert len(np.unique(found.point_index)) == len(found.point_index)


def test_what_was_looked_at_is_told(detector):
    """Every peak of the last cloud with its score: a person, a post, and a person whom a gate leaves out for few returns."""
    people = ShapeDetector(DetectorConfig(min_points=60))
    places = np.array([(10.0, 0.0), (10.0, 4.0), (35.0, -5.0)])
    found = people.detect(scan([*person(10, 0), ("cylinder", (10.0, 4.0, 0.1, 0.0, 1.1)), *person(35, -5)]))
    assert people.examined_xy.dtype == people.examined_score.dtype == np.float32
    near = [np.hypot(*(people.examined_xy - place).T).argmin() for place in places]
    assert np.hypot(*(people.examined_xy[near] - places).T).max() < 0.4
    assert people.examined_score[near[0]] == found.score[0] >= 0.6
    assert people.examined_score[near[1]] < 0.6
    assert np.isnan(people.examined_score[near[2]])
    people.detect(scan())
    assert len(people.examined_xy) == len(people.examined_score) == 0


def test_twice_the_same(detector):
    cloud = scan(person(10, 0) + WALL)
    first, second = detector.detect(cloud), detector.detect(cloud)
    np.testing.assert_array_equal(first.center, second.center)
    np.testing.assert_array_equal(first.point_index, second.point_index)


def test_order_of_the_returns_does_not_matter(detector):
    cloud = scan(person(10, 0) + person(14, 4))
    mixed = cloud[np.random.default_rng(0).permutation(len(cloud))]
    np.testing.assert_allclose(detector.detect(cloud).center, detector.detect(mixed).center, atol=1e-4)


def rain() -> np.ndarray:
    drops = np.random.default_rng(4).uniform([-40, -40, -1.7], [40, 40, 3], (4000, 3))
    return np.concatenate([scan(person(10, 0)), drops.astype(np.float32)])


def test_rain_and_duplicated_returns(detector):
    assert any(np.hypot(*(c - (10, 0))) < 0.15 for c in detector.detect(rain()).center[:, :2])
    cloud = scan(person(10, 0))
    assert len(detector.detect(np.concatenate([cloud, cloud]))) == 1


@pytest.mark.parametrize(
    "cloud",
    [
        np.zeros((0, 3), np.float32),  # empty
        np.ones((3, 3), np.float32),
        np.full((100, 3), np.nan, np.float32),
        np.full((100, 3), np.inf, np.float32),
        np.full((100, 3), 1e30, np.float32),
        np.zeros((1000, 3), np.float32),  # everything at the sensor
        np.tile(np.float32([[5, 0, 0.3]]), (5000, 1)),  # one point, many times
        np.random.default_rng(0).uniform(-60, 60, (20000, 3)).astype(np.float32),  # no scene at all
        np.random.default_rng(0).uniform(-0.9, 0.9, (20000, 3)).astype(np.float32),  # a hand before the sensor
    ],
    ids=["empty", "three", "nan", "inf", "huge", "origin", "same", "chaos", "close"],
)
def test_strange_clouds_do_not_raise(detector, cloud):
    found = detector.detect(cloud)
    assert np.isfinite(found.center).all()


@pytest.mark.parametrize("cut_deg", [0.0, 37.0, 90.0, 180.0, 271.3])
def test_a_turn_may_begin_anywhere(detector, cut_deg):
    """A rolling cloud is cut where the driver likes, also through a person: the order of the returns says nothing."""
    cloud = scan(person(12, 0) + person(0.5, 15) + person(-14, 0.3))
    azimuth = np.degrees(np.arctan2(cloud[:, 1], cloud[:, 0]))
    rolled = cloud[np.argsort((azimuth - cut_deg) % 360.0, kind="stable")]
    np.testing.assert_allclose(detector.detect(rolled).center, detector.detect(cloud).center, atol=1e-4)
    assert len(detector.detect(rolled)) == 3


@pytest.mark.parametrize("distance", [0.3, 0.6, 0.9])
def test_a_person_closer_than_a_metre_hides_what_is_behind_and_nothing_else(detector, distance):
    cloud = scan(person(distance + 0.2, 0) + person(10, 5) + person(-9, 2))
    found = detector.detect(cloud).center[:, :2]
    for place in ((10, 5), (-9, 2)):
        assert np.hypot(*(found - place).T).min() < 0.15
    assert (np.hypot(*found.T) > 0.5).all()


def test_upside_down_sensor_does_not_raise(detector):
    cloud = scan(person(10, 0) + WALL)
    detector.detect(cloud * np.float32([1, -1, -1]))


def test_far_more_shapes_than_people_are_bounded_nearest_first_and_said(detector):
    """A thousand posts: only the nearest 400 peaks are looked at."""
    posts = np.random.default_rng(0).uniform(-40, 40, (1500, 2))
    posts = posts[np.hypot(*posts.T) > 3]
    angle, height = np.meshgrid(np.linspace(0, 2 * np.pi, 7), np.linspace(0.1, 1.7, 10))
    one = np.column_stack([0.2 * np.cos(angle).ravel(), 0.2 * np.sin(angle).ravel(), height.ravel() - 1.7])
    ground = np.column_stack([np.random.default_rng(1).uniform(-45, 45, (40000, 2)), np.full(40000, -1.7)])
    cloud = np.concatenate([ground, *[one + np.array([x, y, 0]) for x, y in posts]]).astype(np.float32)
    found = detector.detect(cloud)
    assert detector.left_out > 200
    edge = np.sort(np.hypot(*posts.T))[MAX_CANDIDATES]
    assert np.hypot(found.center[:, 0], found.center[:, 1]).max(initial=0.0) < edge + 1.5
    detector.detect(scan(person(10, 0)))
    assert detector.left_out == 0


def test_what_hides_a_place(detector):
    detector.detect(scan(WALL + person(10, 3)))
    place = np.array([[20.0, 0.0, -0.5], [12.0, 0.0, -0.5], [14.0, 4.2, -0.5], [20.0, 0.0, 5.0], [500.0, 0.0, 0.0]])
    assert detector.hides(place).tolist() == [True, False, True, False, False]
    assert ShapeDetector().hides(place).tolist() == [False] * 5  # before the first cloud


def test_two_hundred_people_nearest_first(detector):
    solids = [s for i in range(200) for s in person(4 + 2.1 * (i // 20) + 0.3 * (i % 2), -24 + 2.4 * (i % 20))]
    found = detector.detect(scan(solids))
    distance = np.hypot(found.center[:, 0], found.center[:, 1])
    assert len(found) > 50  # the others stand behind them
    assert (np.diff(distance) > -0.2).all()


TURNS = (0.0, 51.0, 136.0, 221.0, 289.0)  # other cells, other sectors: nothing may hang on the grid


@pytest.mark.parametrize("turn_deg", TURNS)
@pytest.mark.parametrize(
    ("frame", "people", "found_at_least", "false_near", "false_all"),
    [
        ("000000", 1, 1, 1, 1),  # one man; a bush behind a thin pole at 13 m
        ("000001", 0, 0, 0, 1),  # nobody but a cyclist at 46 m
        ("000134", 7, 4, 1, 3),  # seven, one of them behind a car, two 0.57 m apart; cyclists do not count
        ("000070", 1, 1, 2, 2),  # the same bush
        ("000074", 3, 2, 1, None),  # a couple and one more; unlabelled people sit from 19 m on
    ],
)
def test_real_frames(detector, shared_data, frame, people, found_at_least, false_near, false_all, turn_deg):
    data = load_frame(shared_data, frame)
    assert len(data.people) == people == FRAMES[frame]
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    cloud = data.points.copy()
    cloud[:, :2] = cloud[:, :2] @ turn.T
    found = detector.detect(cloud)
    place = found.center[:, :2] @ turn
    free = data.in_view(np.column_stack([place, found.center[:, 2]]))
    hits = 0
    for person_place in data.people:
        distance = np.hypot(*(place - person_place).T)
        if distance.min() < 0.5:
            hits += 1
            free[distance.argmin()] = False
    assert hits >= found_at_least
    assert (free & (np.hypot(*place.T) < 20)).sum() <= false_near
    if false_all is not None:
        assert free.sum() <= false_all
