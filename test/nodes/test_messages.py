"""Our messages to plain data and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from live_graph import pedestrian, pedestrians
from sensor_msgs_py import point_cloud2
from visualization_msgs.msg import Marker

from emgait_ros.nodes.markers import TrackMarkers
from emgait_ros.nodes.messages import (
    frame_to_message,
    header_of,
    identities_to_message,
    message_to_frame,
    returns_to_message,
)
from emgait_ros.recognition.decision import Decision, Vote, Why
from emgait_ros.recognition.identity_results import IdentityResult
from emgait_ros.recognition.windows import MOST_TRACKERS
from emgait_ros.samples import Candidate, Modality, PedestrianFrame, Sample, Status

pytestmark = pytest.mark.ros
STAMP_NS = 1_700_000_000_123_456_789


def sample(**changes) -> Sample:
    rng = np.random.default_rng(1)
    values = {
        "track_id": 7, "center": np.array([10.0, 1.0, -0.8]), "size": np.array([0.6, 0.7, 1.8]), "velocity": np.array([1.0, -0.2, 0.0]),
        "moving": True, "range_m": 10.05, "score": 0.8, "point_count": 90, "points": rng.random((128, 3), dtype=np.float32),
        "crop": rng.integers(0, 255, (128, 64, 3), np.uint8), "crop_native_height_px": 120.0, "image_dt_s": -0.01,
    }  # fmt: skip
    return Sample(**(values | changes))


@pytest.mark.parametrize(
    "item",
    [
        sample(),
        # a coasting track of a LiDAR without a camera
        sample(points=None, point_count=0, coasting=True, crop=None, crop_native_height_px=0.0, image_dt_s=0.0, moving=False),
        # numpy numbers, as a pipeline makes them
        sample(track_id=np.int64(4_000_000_000), range_m=np.float32(3.5), moving=np.bool_(True), point_count=np.int32(5)),
        # not contiguous
        sample(points=np.zeros((128, 4), np.float32)[:, :3], crop=np.zeros((128, 64, 4), np.uint8)[:, :, :3]),
    ],
)  # fmt: skip
def test_a_frame_survives_the_way_there_and_back(item):
    frame = PedestrianFrame(STAMP_NS, "lidar", "front-1", (item,))
    back, problems = message_to_frame(frame_to_message(frame))
    assert problems == []
    assert (back.stamp_ns, back.frame_id, back.tracker_id) == (STAMP_NS, "lidar", "front-1")
    for name, value in vars(item).items():
        found = getattr(back.pedestrians[0], name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found, value)
        else:
            assert found is None if value is None else found == pytest.approx(value, rel=1e-6)


def test_the_header_of_the_cloud_is_carried_through():
    header = header_of(STAMP_NS + 5, "os_lidar")
    message = frame_to_message(PedestrianFrame(STAMP_NS, "lidar", "t", ()), header)
    assert message.header == header


@pytest.mark.parametrize(
    ("changes", "field", "left"),
    [
        ({"crop_width": 63}, "crop", None),
        ({"range_m": float("nan")}, "range_m", 8.0),
        ({"score": float("nan")}, "score", 0.0),
    ],
)
def test_what_does_not_fit_is_taken_away(changes, field, left):
    frame, _ = message_to_frame(pedestrians(STAMP_NS, pedestrian(1, **changes)))
    assert getattr(frame.pedestrians[0], field) == left


def test_a_frame_without_stamp_is_refused():
    with pytest.raises(ValueError, match="stamp of zero"):
        message_to_frame(pedestrians(0))


def result(status: Status, tracker_id="t", track_id=5, why=Why.NEAR_ENOUGH, **changes) -> IdentityResult:
    values = {
        "name": "Anna" if status == Status.KNOWN else "", "identity": int(status == Status.KNOWN), "distance": 0.82,
        "threshold": 1.2, "margin": 0.3, "samples": 12, "samples_needed": 10, "modalities": Modality.BOTH,
        "candidates": (Candidate("Anna", 0.82), Candidate("Bert", 1.5)), "probability": 0.75, "outside": ("far off",),
    }  # fmt: skip
    decision = Decision(status, Vote(why, 1, "Anna", 0.82, "Bert", 0.3), **(values | changes))
    center, size = np.array([10.0, 1.0, -0.8]), np.array([0.6, 0.7, 1.8])
    return IdentityResult(track_id, tracker_id, center, size, 10.05, decision)


def test_identities_carry_everything():
    header = header_of(STAMP_NS, "lidar")
    message = identities_to_message(
        [result(Status.KNOWN), result(Status.PENDING, distance=math.nan, margin=math.nan)], header, "abc"
    )
    known, pending = message.identities
    assert (message.header, message.model, known.name, known.status, known.modalities) == (header, "abc", "Anna", 2, 3)
    assert (known.position.x, known.size.z, known.samples, known.samples_needed) == (10.0, 1.8, 12, 10)
    assert known.reason == "'Anna' at 0.82, threshold 1.20, margin 0.30, probability 75%; far off"
    assert (known.probability, known.warnings, known.track_id, known.tracker_id) == (0.75, ["far off"], 5, "t")
    assert (known.distance, known.threshold, known.margin, known.range_m) == pytest.approx((0.82, 1.2, 0.3, 10.05))
    assert [(c.name, round(c.distance, 2)) for c in known.candidates] == [("Anna", 0.82), ("Bert", 1.5)]
    assert math.isnan(pending.distance)
    assert math.isnan(pending.margin)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (result(Status.KNOWN), "Anna (0.82)\n10 m"),
        (result(Status.UNKNOWN), "unknown (0.82)\n10 m"),
        # the gallery is empty: nothing was compared
        (result(Status.UNKNOWN, distance=math.nan), "unknown\n10 m"),
        (result(Status.PENDING, samples=4), "4/10\n10 m"),
        (result(Status.PENDING, samples=0, why=Why.GROUP), "a group\n10 m"),
    ],
)
def test_markers_show_a_box_and_a_text(item, text):
    assert item.label == text
    box, name = TrackMarkers().update("t", [item], header_of(STAMP_NS, "lidar")).markers
    assert (box.type, name.type, name.text) == (1, 9, text)
    assert (box.scale.z, box.pose.position.z) == (1.8, -0.8)
    assert name.pose.position.z > -0.8 + 0.9
    assert box.lifetime.sec >= 1
    assert (box.ns, box.id) != (name.ns, name.id)


def test_each_trackers_markers_stand_for_themselves():
    markers, header = TrackMarkers(), header_of(STAMP_NS, "lidar")

    def update(tracker, *tracks):
        items = [result(Status.PENDING, tracker_id=tracker, track_id=track) for track in tracks]
        return [(m.action, m.ns, m.id) for m in markers.update(tracker, items, header).markers]

    add, delete = Marker.ADD, Marker.DELETE
    assert update("a", 0) == [(add, "a/box", 0), (add, "a/name", 0)]
    assert update("b", 0) == [(add, "b/box", 0), (add, "b/name", 0)]
    assert update("a", 2**32 - 1) == [
        (delete, "a/box", 0), (delete, "a/name", 0), (add, "a/box", -1), (add, "a/name", -1)
    ]  # fmt: skip
    assert update("a") == [(delete, "a/box", -1), (delete, "a/name", -1)]
    assert update("a") == []
    assert update("b") == [(delete, "b/box", 0), (delete, "b/name", 0)]


def test_markers_of_trackers_that_are_not_heard_again_are_forgotten():
    markers = TrackMarkers()
    for number in range(1000):
        item = result(Status.PENDING, tracker_id=f"{number}")
        markers.update(f"{number}", [item], header_of(STAMP_NS, "lidar"))
    assert len(markers._shown) <= MOST_TRACKERS


@pytest.mark.parametrize("sizes", [{7: 3, 4_000_000_000: 2}, {7: 1}, {}])
def test_returns_become_one_cloud_with_the_number_of_their_track(sizes):
    rng = np.random.default_rng(2)
    returns = {track: rng.random((size, 3), dtype=np.float32) for track, size in sizes.items()}
    message = returns_to_message(returns, header_of(STAMP_NS, "lidar"))
    points = point_cloud2.read_points(message)
    assert (message.width, message.height, message.point_step) == (sum(sizes.values()), 1, 16)
    assert message.header == header_of(STAMP_NS, "lidar")
    assert points["track_id"].tolist() == [track for track, size in sizes.items() for _ in range(size)]
    for track, own in returns.items():
        assert np.column_stack([points[points["track_id"] == track][n] for n in "xyz"]).tolist() == own.tolist()
