"""Who is in view in the terms of other packages: identifiers, confidences, matches that end."""

import math
import re

import pytest

from emgait_ros.nodes.bridged import FORGET_S, InView, Seen, body_id, confidence, heading, person_id

NAN = float("nan")


def seen(body="b1", person="", sure=0.0, yaw=None):
    return Seen(body, person, sure, 5.0, 0.0, -1.7, 1.8, yaw)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (body_id("tracker-1a2b", 17), "tracker_1a2b_17"),
        (body_id("", 3), "track_3"),
        (body_id("9front", 1), "id_9front_1"),
        (person_id("Anna"), "Anna"),
        (person_id("anna_2"), "anna_2"),
    ],
)
def test_identifiers(made, expected):
    assert made == expected


NAMES = ["Jürgen Müller", "Jurgen Muller", "J rgen M ller", "李雷", "韩梅梅", "a__b", "a_b", "_a_b", "7", "!", "Anna "]


def test_every_name_has_an_identifier_of_its_own_that_names_topics_and_frames():
    made = [person_id(name) for name in NAMES]
    assert len(set(made)) == len(NAMES)
    assert made == [person_id(name) for name in NAMES]
    for one in made:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*[A-Za-z0-9]", one), one
        assert "__" not in one


@pytest.mark.parametrize(
    ("distance", "threshold", "probability", "expected"),
    [
        (0.5, 1.0, 0.93, 0.93),
        (0.5, 1.0, 0.0, 0.01),  # 0 would take the match back
        (0.0, 1.0, NAN, 1.0),
        (0.5, 1.0, NAN, 0.75),
        (1.0, 1.0, NAN, 0.5),
        (1.1, 1.0, NAN, 0.45),  # a name is kept a bit beyond the threshold
        (9.0, 1.0, NAN, 0.01),
        (NAN, 1.0, NAN, 0.5),
        (0.5, 0.0, NAN, 0.5),
    ],
)
def test_confidence(distance, threshold, probability, expected):
    assert confidence(distance, threshold, probability) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("velocity", "expected"), [(None, None), ((0.1, 0.2), None), ((1.0, 0.0), 0.0), ((0.0, -1.2), -math.pi / 2)]
)
def test_heading(velocity, expected):
    assert heading(velocity) == (None if expected is None else pytest.approx(expected))


def test_who_stops_still_faces_where_it_went():
    view = InView()
    view.update("lidar", [seen(yaw=1.0)], 0.0)
    assert [one.yaw for one in view.update("lidar", [seen(), seen("b2")], 0.1)] == [1.0, None]
    assert [one.yaw for one in view.update("lidar", [seen(yaw=2.0)], 0.2)] == [2.0]


@pytest.mark.parametrize(
    ("frames", "ended", "persons"),
    [
        ([[seen("b1", "Anna", 0.9)]], [], {"Anna": "b1"}),
        ([[seen("b1", "Anna", 0.9)], [seen("b1")]], [("b1", "Anna")], {}),
        ([[seen("b1", "Anna", 0.9)], []], [("b1", "Anna")], {}),
        ([[seen("b1", "Anna", 0.9)], [seen("b1", "Boris", 0.6)]], [("b1", "Anna")], {"Boris": "b1"}),
        ([[seen("b1", "Anna", 0.9)], [seen("b2", "Anna", 0.6)]], [("b1", "Anna")], {"Anna": "b2"}),
        ([[seen("b1", "Anna", 0.6), seen("b2", "Anna", 0.9)]], [], {"Anna": "b2"}),
    ],
)
def test_matches_that_end_are_taken_back_once(frames, ended, persons):
    view = InView()
    for i, frame in enumerate(frames):
        view.update("lidar", frame, 0.1 * i)
    assert view.take_ended() == ended
    assert view.take_ended() == []
    assert view.persons == persons


def test_sensors_are_joined_and_a_silent_one_is_forgotten():
    view = InView()
    view.update("front", [seen("b1", "Anna", 0.9)], 0.0)
    view.update("back", [seen("c1")], 1.0)
    assert {one.body for one in view.all} == {"b1", "c1"}
    assert not view.forget(FORGET_S - 0.1)
    assert view.forget(FORGET_S + 0.1)
    assert {one.body for one in view.all} == {"c1"}
    assert view.take_ended() == [("b1", "Anna")]
