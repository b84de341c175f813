"""A lost pedestrian gets the number back when the gait says so, and only when that is possible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from emgait_ros.config import TrackerConfig
from emgait_ros.samples import Status
from emgait_ros.sensing.tracking.memory import GaitLinks
from emgait_ros.sensing.tracking.tracker import PedestrianTracker
from emgait_ros.sensing.tracking.tracks import TrackedPedestrians

BODY = np.array([[0.6, 0.6, 1.75]])


@dataclass
class Answer:
    """What the recognizer says of one track."""

    track_id: int
    name: str
    status: int = Status.KNOWN


def walk(tracker: PedestrianTracker, begin: int, frames: int, x: float, y: float = 0.0) -> TrackedPedestrians:
    """A walker from frame ``begin`` on, 0.12 m a frame along x; nobody where frames is negative."""
    for k in range(abs(frames)):
        seen = np.array([[x + 0.12 * k, y, -0.8]]) if frames > 0 else np.zeros((0, 3))
        report = tracker.update(
            10**18 + (begin + k) * 10**8, seen, BODY[: len(seen)], np.ones(len(seen)), np.hypot(seen[:, 0], seen[:, 1])
        )
    return report


@pytest.mark.parametrize(
    ("gap", "x", "linked"),
    [
        (100, 16.0, True),  # ten seconds behind a house
        (100, 60.0, False),  # nobody runs 47 m in ten seconds
        (700, 16.0, False),  # longer than gait_relink_s
    ],
)
def test_relinking_by_gait(gap, x, linked):
    tracker = PedestrianTracker(tracker_id="t")
    first = int(walk(tracker, 0, 20, 10.0).track_id[0])
    walk(tracker, 20, -60, 0.0)
    second = int(walk(tracker, 20 + gap, 10, x).track_id[0])
    assert second != first
    assert tracker.relink(second, first) == linked
    report = walk(tracker, 30 + gap, 1, x + 1.2)
    assert report.track_id.tolist() == [first if linked else second]
    assert report.previous_id.tolist() == [second if linked else 0]
    assert walk(tracker, 31 + gap, 1, x + 1.32).previous_id.tolist() == [0]  # said once


def test_two_in_view_are_never_one():
    tracker = PedestrianTracker()
    for k in range(10):
        center = np.array([[10.0, 0, -0.8], [12.0, 3, -0.8]])
        report = tracker.update(10**18 + k * 10**8, center, np.tile(BODY, (2, 1)), np.ones(2), np.full(2, 11.0))
    one, other = report.track_id.tolist()
    assert not tracker.relink(other, one)
    assert not tracker.relink(one, 99)
    assert not tracker.relink(99, one)


def test_links_follow_names():
    asked: list[tuple[int, int]] = []
    links = GaitLinks(lambda now, before: asked.append((now, before)) is None)
    assert links.observe([Answer(1, "Anna"), Answer(2, "Boris"), Answer(3, "", Status.UNKNOWN)]) == []
    assert links.observe([Answer(5, "Anna"), Answer(2, "Boris")]) == [(5, 1)]
    assert links.observe([Answer(1, "Anna")]) == []  # it bears its number again
    assert asked == [(5, 1)]


def test_a_refused_link_is_not_asked_for_again():
    asked: list[tuple[int, int]] = []
    links = GaitLinks(lambda now, before: bool(asked.append((now, before))))
    links.observe([Answer(1, "Anna")])
    for _ in range(3):
        assert links.observe([Answer(5, "Anna")]) == []
    assert asked == [(5, 1)]


def test_a_name_that_moves_to_another_track_in_view_links_nothing():
    links = GaitLinks(lambda now, before: pytest.fail("nothing is to be linked"))
    links.observe([Answer(1, "Anna"), Answer(2, "", Status.UNKNOWN)])
    assert links.observe([Answer(1, "", Status.UNKNOWN), Answer(2, "Anna")]) == []


def test_memory_does_not_grow():
    tracker = PedestrianTracker(TrackerConfig(gait_relink_s=1.0))
    for visit in range(200):
        walk(tracker, visit * 50, 6, 5.0 + visit % 7)
    assert len(tracker._linked._lives) < 60
