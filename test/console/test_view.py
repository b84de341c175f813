"""What the page is told: people of each tracker, enrolments, and health in words."""

from types import SimpleNamespace as Message

import pytest

from emgait_ros.console.view import ENROLLMENT_S, HEARD_S, SILENT_S, View

NAN = float("nan")


def identity(track=1, status=2, name="Anna", x=10.0, tracker="front", **changes):
    values = {
        "tracker_id": tracker, "track_id": track, "status": status, "name": name, "reason": "near enough", "warnings": [],
        "range_m": x, "samples": 30, "samples_needed": 10, "distance": 0.31, "threshold": 0.49, "probability": NAN,
        "candidates": [Message(name="Anna", distance=0.31)], "position": Message(x=x, y=0.0, z=-0.8),
        "size": Message(x=0.6, y=0.6, z=1.8),
    }  # fmt: skip
    return Message(**{**values, **changes})


def identities(stamp_s, *items, frame="lidar"):
    stamp = Message(sec=int(stamp_s), nanosec=round(stamp_s % 1 * 1e9))
    return Message(header=Message(stamp=stamp, frame_id=frame), identities=list(items), model="f" * 64)


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def view(clock):
    return View("robot1", clock_s=lambda: clock[0])


def test_people_of_each_tracker_with_their_velocity(view):
    view.take_identities(identities(1.0, identity(x=10.0)))
    view.take_identities(identities(1.0, identity(7, 0, "", tracker="rear"), frame="rear_lidar"))
    view.take_identities(identities(1.1, identity(x=10.12), identity(2, 1, "", x=NAN)))
    front, rear = view.heads()
    assert [head["tracker"] for head in (front, rear)] == ["front", "rear"]
    assert [(p["status"], p["name"]) for p in front["people"]] == [("known", "Anna"), ("unknown", "")]
    assert front["people"][0]["velocity"] == pytest.approx([1.2, 0.0])
    assert front["people"][0]["probability"] is None, "JSON has no NaN"
    assert front["people"][1]["range_m"] is None
    assert rear["people"][0]["status"] == "pending"


@pytest.mark.parametrize(
    ("then_s", "then_x"),
    [
        # another person under the number, a gap, a bag that starts over
        (1.1, 13.0), (4.0, 10.1), (0.5, 10.1), (1.0, 10.1),
    ],
)  # fmt: skip
def test_no_velocity_is_made_up(view, then_s, then_x):
    view.take_identities(identities(1.0, identity(x=10.0)))
    view.take_identities(identities(then_s, identity(x=then_x)))
    assert view.heads()[0]["people"][0]["velocity"] == [0.0, 0.0]


def test_nobody_in_view_and_trackers_that_fell_silent(view, clock):
    view.take_identities(identities(1.0, identity()))
    view.take_identities(identities(1.0, identity(tracker="rear"), frame="rear_lidar"))
    view.take_identities(identities(1.1))
    assert [len(head["people"]) for head in view.heads()] == [0, 1]
    clock[0] = HEARD_S + 0.1
    assert view.heads() == []


def test_an_empty_frame_of_one_tracker_leaves_the_people_of_another_in_the_same_frame(view, clock):
    seen = []
    for tenth in range(12):
        clock[0] = tenth / 10
        view.take_identities(identities(clock[0], identity(tracker="wide")))
        view.take_identities(identities(clock[0], *([identity(tracker="long")] if tenth < 3 else [])))
        seen.append([len(head["people"]) for head in view.heads()])  # of long, of wide
    assert seen[0] == [1, 1]
    assert seen[-1] == [0, 1]
    assert all(people[1] for people in seen)


def test_enrolments_keep_their_quality_and_go(view, clock):
    news = Message(
        name="Anna", tracker_id="front", track_id=1, state=1, remaining_s=4.0, samples=0, samples_needed=30, templates=2,
        quality="30 samples at 9-12 m", message="2 templates",
    )  # fmt: skip
    view.take_enrollment(news)
    view.take_enrollment(Message(**{**vars(news), "state": 3, "quality": "", "message": "over"}))
    (told,) = view.enrollments()
    assert (told["state"], told["message"], told["quality"]) == ("done", "over", "30 samples at 9-12 m")
    clock[0] = ENROLLMENT_S + 0.1
    assert view.enrollments() == []


def status(name, level, message, hardware="emgait_ros"):
    return Message(name=name, level=bytes([level]), message=message, hardware_id=hardware)


def test_health_is_of_this_robot_and_the_worst_comes_first(view, clock):
    view.take_diagnostics(
        Message(
            status=[
                status("robot1/pedestrian_tracker: cloud", 0, "10.0 Hz on /robot1/points"),
                status("robot1/pedestrian_tracker: worker", 1, "30% of the last clouds were dropped"),
                status("robot1/gait_recognizer: model", 2, "no threshold: set decision.threshold"),
                status("robot2/gait_recognizer: gallery", 2, "of another robot"),
                status("gait_recognizer: gallery", 2, "of a robot without a namespace"),
                status("robot1/driver: fan", 2, "of another program", hardware="ouster"),
            ]
        )
    )
    entries = view.health()
    assert [(e["title"], e["level"]) for e in entries] == [("Model", "error"), ("Speed", "warning"), ("LiDAR", "ok")]
    assert [bool(e["cure"]) for e in entries] == [False, True, False], "a cure where the status names none"
    clock[0] = SILENT_S + 0.1
    assert [(e["node"], e["level"]) for e in view.health()] == [
        ("gait_recognizer", "stale"),
        ("pedestrian_tracker", "stale"),
    ]
    assert all("emgait up" in e["cure"] for e in view.health())
