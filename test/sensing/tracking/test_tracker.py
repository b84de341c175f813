"""Life of tracks: birth, death, coasting, crossing, standing clutter, a moving sensor, time going backwards."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from emgait_ros.config import DetectorConfig, TrackerConfig
from emgait_ros.lab.bench.tracking import crossing_idf1
from emgait_ros.sensing.tracking.association import FORBIDDEN, cascade, hidden_by
from emgait_ros.sensing.tracking.tracker import PedestrianTracker
from emgait_ros.sensing.tracking.tracks import TrackedPedestrians

PERIOD_NS = 100_000_000
BODY = (0.6, 0.6, 1.75)


def step(
    tracker: PedestrianTracker,
    frame: int,
    places: list[tuple[float, float]],
    scores: list[float] | None = None,
    period_ns: int = PERIOD_NS,
) -> TrackedPedestrians:
    """One frame of people on the ground z = -1.7 at places x, y."""
    center = np.array([[x, y, -1.7 + BODY[2] / 2] for x, y in places]).reshape(-1, 3)
    score = np.ones(len(places)) if scores is None else np.array(scores)
    return tracker.update(
        10**18 + frame * period_ns, center, np.tile(BODY, (len(places), 1)), score, np.hypot(center[:, 0], center[:, 1])
    )


def test_a_walker_is_confirmed_followed_and_moving():
    tracker = PedestrianTracker(tracker_id="t")
    random = np.random.default_rng(0)
    reports = [
        step(tracker, k, [(10 + 0.13 * k + random.normal(0, 0.04), 2 + random.normal(0, 0.04))]) for k in range(40)
    ]
    first = next(k for k, report in enumerate(reports) if len(report))
    assert first == TrackerConfig().confirm_hits - 1
    assert {int(i) for report in reports for i in report.track_id} == {1}
    last = reports[-1]
    np.testing.assert_allclose(last.velocity[0], [1.3, 0.0], atol=0.15)
    np.testing.assert_allclose(last.position[0], [10 + 0.13 * 39, 2], atol=0.1)
    assert last.moving[0]
    assert last.bottom[0] == pytest.approx(-1.7, abs=0.01)
    assert last.size[0] == pytest.approx(BODY, abs=0.01)


@pytest.mark.parametrize("noise_m", [0.02, 0.1])  # a pole up close, a post at 50 m
def test_what_stands_never_moves(noise_m):
    tracker = PedestrianTracker()
    random = np.random.default_rng(1)
    moving = [
        step(tracker, k, [(30 + random.normal(0, noise_m), 5 + random.normal(0, noise_m))]).moving.any()
        for k in range(300)
    ]
    assert not any(moving)


def test_a_walker_who_stops_stands():
    tracker = PedestrianTracker()
    reports = [step(tracker, k, [(10 + 0.13 * min(k, 25), 0)]) for k in range(60)]
    assert reports[25].moving[0]
    assert not reports[-1].moving[0]


@pytest.mark.parametrize(
    ("hidden_frames", "same"),
    [
        (5, True),  # behind a pole
        (11, True),  # behind a van: coasted to the end
        (20, True),  # longer than coasting: linked again by place
        (60, False),  # gone for six seconds: somebody new
    ],
)
def test_occlusion(hidden_frames, same):
    tracker = PedestrianTracker()
    numbers, coasting = [], 0
    for k in range(120):
        hidden = 40 <= k < 40 + hidden_frames
        report = step(tracker, k, [] if hidden else [(5 + 0.12 * k, 3.0)])
        numbers += report.track_id.tolist()
        if hidden:
            assert (report.detection == -1).all()
            coasting += len(report)
    assert (len(set(numbers)) == 1) == same
    assert coasting == min(hidden_frames, 3)  # tracker.report_unseen_s


@pytest.mark.parametrize(
    ("score", "hits", "confirmed"),
    [
        (1.0, 1, False),  # a flash
        (1.0, 2, True),  # tracker.confirm_hits
        (0.8, 2, False),  # of less sure ones it takes more
        (0.8, 4, True),
        (0.65, 4, False),
        (0.65, 9, True),
    ],
)
def test_birth(score, hits, confirmed):
    tracker = PedestrianTracker()
    shown = [len(step(tracker, k, [(10, 0)] if k < hits else [], [score] * (k < hits))) for k in range(hits + 10)]
    assert any(shown) == confirmed
    assert shown[hits] == confirmed  # a confirmed one coasts, for a moment
    assert not shown[-1]


@pytest.mark.parametrize(("weak", "least"), [(0.1, 0.2), (0.2, 0.5), (0.7, 0.9)])
def test_scores_count_relative_to_the_options(weak, least):
    """Another detector's scores with the options to fit: the same tracks."""
    scores = np.random.default_rng(3).uniform(0.3, 1.0, 60)
    places = [(10 + 0.1 * k, 2.0) for k in range(60)]
    before, now = PedestrianTracker(), PedestrianTracker(TrackerConfig(weak_score=weak), min_score=least)
    options = (0.0, TrackerConfig.weak_score, DetectorConfig.min_score, 1.0)
    for k, (place, score) in enumerate(zip(places, scores, strict=True)):
        expected, found = (
            step(before, k, [place], [score]),
            step(now, k, [place], [np.interp(score, options, (0.0, weak, least, 1.0))]),
        )
        assert found.track_id.tolist() == expected.track_id.tolist()
        assert found.detection.tolist() == expected.detection.tolist()


@pytest.mark.parametrize(("seen_frames", "sensor_m_s", "shown_frames"), [(20, 0.0, 33), (4, 0.0, 9), (20, 10.0, 4)])
def test_how_long_the_hidden_are_reported(seen_frames, sensor_m_s, shown_frames):
    """Up to max_hidden_s; twice the time they were seen; while the sensor has not come far since."""
    tracker, shown = PedestrianTracker(), []
    for k in range(seen_frames + 60):
        count = int(k < seen_frames)
        report = tracker.update(
            k * PERIOD_NS, np.array([[14.0, 0.12 * k, -0.8]])[:count], np.array([BODY])[:count], np.ones(count),
            np.full(count, 14.0), (0.1 * sensor_m_s * k, 0.0), lambda place: np.ones(len(place), bool),
        )  # fmt: skip
        if k >= seen_frames:
            assert (report.detection == -1).all()
            shown.append(len(report))
    assert sum(shown) == pytest.approx(shown_frames, abs=1)


@pytest.mark.parametrize(
    ("speed_m_s", "moving"),
    [(0.2, False), (1.3, True), (2.5, True), (3.6, False), (5.0, False), (8.0, False)],
    ids=["stands", "walks", "hurries", "jogs", "rides", "drives"],
)
def test_who_is_too_fast_does_not_walk(speed_m_s, moving):
    tracker = PedestrianTracker()
    random = np.random.default_rng(0)
    said = [step(tracker, k, [(5 + 0.1 * speed_m_s * k + random.normal(0, 0.04), 3.0)]).moving.any() for k in range(40)]
    assert said[-1] == moving
    if not moving:
        assert sum(said) <= 3  # frames before the speed is known


def test_a_rider_who_brakes_walks_only_after_a_while():
    tracker = PedestrianTracker()
    place, said = 0.0, []
    for k in range(100):
        place += max(0.13, 0.5 - 0.03 * max(0, k - 20))
        said.append(bool(step(tracker, k, [(5 + place, 3.0)]).moving.any()))
    assert not any(said[10:48])
    assert said[-1]


def test_doubtful_detections_carry_a_track_but_never_begin_one():
    tracker = PedestrianTracker()
    assert not any(len(step(tracker, k, [(10, 0)], [0.4])) for k in range(40))
    tracker = PedestrianTracker()
    for k in range(10):
        step(tracker, k, [(10 + 0.1 * k, 0)])
    reports = [step(tracker, k, [(10 + 0.1 * k, 0)], [0.4]) for k in range(10, 20)]
    assert all(report.detection.tolist() == [0] for report in reports)


def test_numbers_are_never_used_again():
    tracker = PedestrianTracker(dataclasses.replace(TrackerConfig(), confirm_hits=1, max_coast_s=0.2, relink_s=0.0))
    seen: list[int] = []
    frame = 0
    for visit in range(20):
        for _ in range(3):
            seen += step(tracker, frame, [(5 + visit, 0)]).track_id.tolist()
            frame += 1
        frame += 20
        if visit == 10:
            tracker.reset()
    assert len(set(seen)) == 20


def test_time_going_backwards_forgets_tracks_but_not_numbers():
    tracker = PedestrianTracker(tracker_id="t")
    for k in range(10):
        before = step(tracker, k, [(10, 0)])
    assert len(before) == 1
    assert len(step(tracker, 3, [(10, 0)])) == 0
    for k in range(4, 10):
        after = step(tracker, k, [(10, 0)])
    assert after.track_id[0] > before.track_id[0]
    assert tracker.tracker_id == "t"


def test_the_same_stamp_twice_and_empty_frames_are_harmless():
    tracker = PedestrianTracker()
    for k in (0, 0, 1, 1, 2, 3, 4):
        report = step(tracker, k, [(10, 0)])
    assert len(report) == 1
    assert np.isfinite(report.position).all()
    assert np.isfinite(report.velocity).all()
    for k in range(5, 60):
        report = step(tracker, k, [])
    assert len(report) == 0


def test_runs_have_names_of_their_own():
    assert PedestrianTracker().tracker_id != PedestrianTracker().tracker_id


def test_two_who_cross_keep_their_numbers():
    tracker = PedestrianTracker()
    random = np.random.default_rng(5)
    start: dict[str, int] = {}
    for k in range(60):
        places = {"east": (10 + 0.12 * (k - 30), 0.25), "west": (10 - 0.12 * (k - 30), -0.25)}
        noisy = [(x + random.normal(0, 0.04), y + random.normal(0, 0.04)) for x, y in places.values()]
        report = step(tracker, k, noisy)
        if k == 10:
            start = {name: _number_at(report, place) for name, place in places.items()}
    assert {name: _number_at(report, place) for name, place in places.items()} == start


def _number_at(report: TrackedPedestrians, place: tuple[float, float]) -> int:
    distance = np.hypot(*(report.position - place).T)
    assert distance.min() < 0.3
    return int(report.track_id[distance.argmin()])


@pytest.mark.parametrize(
    ("blocker", "hidden"),
    [
        ((6.0, 0.0), True),  # right in front
        ((6.0, 0.15), True),  # covers two thirds
        ((6.0, 0.6), False),  # beside the line of sight
        ((-6.0, 0.0), False),  # on the other side of the sensor
        ((9.9, 0.0), False),  # side by side
        ((14.0, 0.0), False),  # behind
    ],
)
@pytest.mark.parametrize("sensor", [(0.0, 0.0), (100.0, -40.0)])
def test_who_stands_behind_somebody(blocker, hidden, sensor):
    place = np.array([[10.0, 0.0]]) + sensor
    assert hidden_by(place, np.array([blocker]) + sensor, np.array(sensor)).tolist() == [hidden]
    assert hidden_by(place, np.zeros((0, 2)), np.array(sensor)).tolist() == [False]


@pytest.mark.parametrize(
    ("cost", "first_tracks", "first_detections", "match"),
    [
        ([[1.0, 2.0], [2.0, 9.0]], [1, 1], [1, 1], [1, 0]),  # one stage: the cheapest sum
        ([[1.0, 2.0], [2.0, 9.0]], [1, 0], [1, 1], [0, 1]),  # the first stage takes what it likes best
        ([[1.0, 2.0], [2.0, 9.0]], [1, 1], [1, 0], [0, 1]),  # only detection 0 is in the first stage
        ([[1.0, FORBIDDEN], [2.0, FORBIDDEN]], [1, 1], [1, 1], [0, -1]),
        ([[], []], [1, 1], [], [-1, -1]),
    ],
)
def test_stages_of_the_association(cost, first_tracks, first_detections, match):
    tracks, detections = np.array(first_tracks, bool), np.array(first_detections, bool)
    everything = np.ones(2, bool), np.ones(len(detections), bool)
    assert cascade(np.array(cost), [(tracks, detections), everything]).tolist() == match


@pytest.mark.parametrize(
    ("by", "confirmed"),
    [
        ("somebody", True),  # two walk abreast, one of them in the other's shadow for 2.5 s
        ("something", True),  # behind a parked van
        ("nothing", False),  # simply gone
    ],
)
def test_hidden_pedestrians_are_followed_longer(by, confirmed):
    tracker = PedestrianTracker()
    for k in range(50):
        gone = k >= 20
        y = -3 + 0.12 * k
        places = [] if gone else [(14.0, y)]
        if by == "somebody":
            places.append((7.0, y / 2))
        center = np.array([[*p, -0.8] for p in places]).reshape(-1, 3)
        report = tracker.update(
            10**18 + k * PERIOD_NS, center, np.tile(BODY, (len(center), 1)), np.ones(len(center)),
            np.hypot(center[:, 0], center[:, 1]), hides=lambda p: np.full(len(p), by == "something"),
        )  # fmt: skip
    far = np.flatnonzero(report.position[:, 0] > 10)
    assert (len(far) == 1) == confirmed
    if confirmed:
        assert report.position[far[0]] == pytest.approx((14.0, y), abs=0.5)


def test_twelve_people_crossing():
    values = [crossing_idf1(seed) for seed in range(10)]
    assert np.mean(values) >= 0.97
    assert min(values) >= 0.95


@pytest.mark.parametrize(
    ("score", "speed_m_s", "confirmed"),
    [(0.4, 1.2, True), (0.4, 0.0, False), (0.4, 4.0, False), (0.15, 1.2, False), (1.0, 0.0, True)],
    ids=["doubtful and walks", "doubtful and stands", "too fast", "too weak", "sure and stands"],
)
def test_what_is_doubtful_is_confirmed_once_it_walks(score, speed_m_s, confirmed):
    tracker = PedestrianTracker()
    reports = [step(tracker, k, [(10 + 0.1 * speed_m_s * k, 2)], [score]) for k in range(30)]
    assert [len(report) for report in reports][-1] == confirmed


@pytest.mark.parametrize("others", [0, 6])
def test_what_is_doubtful_is_not_confirmed_when_the_sensor_moves(others):
    """Without the sensor's pose all that stands seems to walk; then walking is no evidence."""
    tracker = PedestrianTracker()
    for k in range(30):
        places = [(10 + 0.12 * k, 2.0), *[(12 + 0.12 * k, 5.0 + 3 * i) for i in range(others)]]
        report = step(tracker, k, places, [0.4] * len(places))
    assert len(report) == (1 if others == 0 else 0)


def test_a_group_is_flagged_after_two_frames_and_no_longer_after_six_without():
    tracker = PedestrianTracker()
    flags = [False] * 8 + [True] + [False] * 3 + [True] * 3 + [False, True] * 3 + [False] * 9
    seen = []
    for k, flag in enumerate(flags):
        center = np.array([[10 + 0.12 * k, 2.0, -0.8]])
        report = tracker.update(
            10**18 + k * PERIOD_NS, center, np.array([BODY]), np.ones(1), np.array([10.0]), group=np.array([flag])
        )
        seen.append(bool(report.group.any()))
    assert not any(seen[:13])  # one frame is not enough
    assert all(seen[14:24])  # nor does one without end it
    assert not seen[-1]


def test_a_detection_of_two_hardly_bends_the_track_that_takes_it():
    """Somebody walks up to one who stands and is no longer seen; then the detector sees both as one in the middle."""
    tracker = PedestrianTracker()
    for k in range(20):
        walker, stander = (18.0, 0.1 * k), (18.1, 1.9)
        middle = (18.05, (walker[1] + stander[1]) / 2)
        report = step(tracker, k, [walker, stander] if k < 13 else [walker] if k < 16 else [middle])
    (row,) = np.flatnonzero(report.track_id == 1)
    assert abs(report.position[row, 1] - walker[1]) < 0.04  # 0.055 with the noise of one person
