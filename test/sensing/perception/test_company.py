"""People beside people and things, and small people: the simulator's bodies through detector and tracker."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_people import Block, Person, couple, nearest_m, watch, way

from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing

SETTLED_S = 2.2  # a slow child has walked far enough by then


@pytest.fixture(scope="module")
def sensing() -> PedestrianSensing:
    return PedestrianSensing(tracker_id="test")


@pytest.mark.parametrize(("direction", "range_m"), [("away", 10), ("away", 20), ("away", 30), ("across", 15)])
@pytest.mark.parametrize("apart_m", [0.4, 0.5, 0.6, 0.8])
def test_two_who_walk_side_by_side_are_a_group_or_two_never_nothing(sensing, apart_m, direction, range_m):
    seed = range_m // 10
    people = couple(range_m, direction, apart_m, seed)
    seen, named, found = [], [], []
    for t, frame in watch(sensing, people, 3.2, seed):
        if t > SETTLED_S:
            distance = [nearest_m(frame, p.position(t)) for p in people]
            seen.append(min(distance) < 0.6)
            found.append(sum(d < 0.4 for d in distance))
            named.append(sum(not p.group for p in frame.pedestrians))
    assert np.mean(seen) == 1.0
    if direction == "away":  # both in view
        if apart_m < 0.5:
            assert max(named) == 0, "a name could be given to two people"
        if apart_m >= 0.6:
            assert np.mean(found) > 1.8


@pytest.mark.parametrize(("stature_m", "range_m"), [(1.0, 10), (1.1, 15), (1.2, 10), (1.2, 20), (1.3, 20), (1.3, 25)])
@pytest.mark.parametrize("direction", ["across", "away"])
def test_children_are_tracked_to_the_ranges_the_documentation_states(sensing, stature_m, range_m, direction):
    start, heading = way(range_m, direction)
    child = Person(1, 50, start, heading, stature_m)
    seen = [nearest_m(f, child.position(t)) < 0.5 for t, f in watch(sensing, [child], 3.2) if t > SETTLED_S]
    assert np.mean(seen) == 1.0


@pytest.mark.parametrize("seed", [0, 1])
def test_a_walker_beside_a_display_board_is_tracked(sensing, seed):
    start, heading = np.array([12.0, -2.0]), np.pi / 2
    person = Person(seed + 1, 50 + seed, start, heading)
    boards = [Block((12.55, y, 0.1), (12.65, y + 1.6, 1.9)) for y in (-3.0, -1.2, 0.6, 2.4)]
    seen = [nearest_m(f, person.position(t)) < 0.5 for t, f in watch(sensing, [person, *boards], 3.2, seed) if t > 1.8]
    assert np.mean(seen) > 0.9


@pytest.mark.parametrize(
    "low_high",
    [
        ((12.0, 3.0, 0.0), (12.3, 3.8, 1.7)),  # a board as wide as two people
        ((12.0, 3.0, 0.0), (12.6, 3.6, 1.1)),  # a litter bin, as high as a child
        ((12.0, 3.0, 0.0), (12.2, 3.2, 1.05)),  # a bollard
        ((12.0, 3.0, 0.0), (12.8, 3.8, 1.2)),
    ],
)
def test_what_stands_and_might_be_a_couple_or_a_child_is_no_track(sensing, low_high):
    assert all(not frame.pedestrians for _, frame in watch(sensing, [Block(*low_high)], 2.5))
