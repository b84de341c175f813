"""Boxes joined with a cloud: the returns on people, alone and beside our own detector."""

import numpy as np
import pytest
from synthetic_clouds import SENSOR_HEIGHT_M, person, scan

from emgait_ros.config import SensingConfig, with_options
from emgait_ros.samples import Boxes, SensorFrame
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing
from emgait_ros.sensing.perception.box_detector import BoxDetector

STEP_NS = 100_000_000


def boxes(*places, height=1.75, score=0.9):
    center = np.array([(x, y, height / 2 - SENSOR_HEIGHT_M) for x, y in places]).reshape(-1, 3)
    scores = np.full(len(places), score) if np.isscalar(score) else np.array(score)
    return Boxes(center, np.tile([0.7, 0.7, height], (len(places), 1)), scores)


def detector(use="instead", **options):
    made = BoxDetector(with_options(SensingConfig(), {"boxes.use": use, **options}))
    return lambda cloud, given: (setattr(made, "boxes", given), made.detect(cloud))[1]


@pytest.fixture(scope="module")
def street():
    return scan(person(8, 0) + person(8, 3))


@pytest.mark.parametrize("offset_m", [(0.0, 0.0), (0.2, -0.15), (-0.25, 0.1)])
def test_returns_decide_where_somebody_is(street, offset_m):
    found = detector()(street, boxes((8 + offset_m[0], offset_m[1])))
    assert len(found) == 1
    assert found.center[0, :2] == pytest.approx((8, 0), abs=0.15)
    assert found.center[0, 2] - found.size[0, 2] / 2 == pytest.approx(-SENSOR_HEIGHT_M, abs=0.08)
    assert found.size[0, 2] == pytest.approx(1.75, abs=0.08)
    assert found.point_count[0] > 100
    own = street[found.members(0)]
    assert np.hypot(own[:, 0] - 8, own[:, 1]).max() < 1.0
    assert (own[:, 2] > -SENSOR_HEIGHT_M + 0.02).mean() > 0.9, "the ground is nobody's"


def test_a_couple_is_two_people():
    cloud = scan(person(10, -0.28) + person(10, 0.28))
    found = detector()(cloud, boxes((10, -0.28), (10, 0.28)))
    assert len(found) == 2
    assert not found.group.any()
    assert sorted(found.center[:, 1]) == pytest.approx([-0.28, 0.28], abs=0.12)
    assert not set(found.members(0)) & set(found.members(1))


def test_an_umbrella_does_not_make_anybody_taller():
    cloud = scan([*person(9, 0), ("cylinder", (9, 0, 0.5, 2.0, 2.15))])
    found = detector()(cloud, boxes((9, 0)))
    assert found.size[0, 2] == pytest.approx(1.75, abs=0.2)


def test_who_has_no_returns_is_where_the_box_says(street):
    found = detector()(street, boxes((20, 5), (8, 0)))
    bare = found.point_count == 0
    assert list(bare) == [False, True]
    assert found.center[1] == pytest.approx((20, 5, 1.75 / 2 - SENSOR_HEIGHT_M))
    assert len(found.members(1)) == 0


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (None, 0),
        (boxes(), 0),
        (boxes((8, 0), (8.2, 0.1)), 1),  # twice the same person
        (boxes((8, 0), (8, 3)), 2),
        (boxes((80, 0)), 0),  # out of range
    ],
)
def test_how_many(street, given, count):
    assert len(detector()(street, given)) == count


@pytest.mark.parametrize(("theirs", "ours"), [(0.5, 0.5), (0.2, 0.2), (1.0, 1.0), (0.35, 0.35), (0.0, 0.0)])
def test_the_default_scale_is_ours(street, theirs, ours):
    assert detector()(street, boxes((8, 0), score=theirs)).score == pytest.approx([ours], abs=1e-6)


@pytest.mark.parametrize(("theirs", "ours"), [(0.1, 0.2), (0.3, 0.5), (0.2, 0.35), (0.05, 0.1), (0.65, 0.75)])
def test_scores_come_onto_the_trackers_scale(street, theirs, ours):
    look = detector(**{"boxes.weak_score": 0.1, "boxes.sure_score": 0.3})
    assert look(street, boxes((8, 0), score=theirs)).score == pytest.approx([ours], abs=1e-6)


def test_beside_our_own_detector(street):
    """Both find one, the boxes find another whom it misses, and it finds a third."""
    look = detector("beside")
    alone = look(street, None)
    assert len(alone) == 2
    both = look(street, boxes((8.1, 0), (15, -4), score=0.6))
    assert sorted(both.center[:, 1].round()) == [-4, 0, 3]
    agreed = both.score[np.abs(both.center[:, 1]).argmin()]
    assert agreed > 0.75, "two detectors that agree are believed more"
    assert len(both.splits) == 4
    assert both.splits[-1] == len(both.point_index)


@pytest.mark.parametrize("use", ["instead", "beside"])
def test_somebody_who_walks_is_tracked_with_samples(use):
    sensing = PedestrianSensing(with_options(SensingConfig(), {"boxes.use": use}), "test", with_boxes=True)
    rng = np.random.default_rng(3)
    places, ids = [], set()
    for step in range(14):
        x = 8 + 0.13 * step
        noisy = boxes((x + rng.normal(0, 0.08), rng.normal(0, 0.08)))
        frame = SensorFrame(1 + step * STEP_NS, scan(person(x, 0), azimuth_step_deg=0.4, beams=40), boxes=noisy)
        found = sensing.process(frame, "lidar").pedestrians
        ids |= {p.track_id for p in found}
        places += [(p.center[0] - x, p.center[1], p.points is not None) for p in found]
    assert len(ids) == 1
    assert len(places) >= 11
    assert np.abs([p[:2] for p in places]).max() < 0.25
    assert all(p[2] for p in places)
    assert found[0].moving


def test_without_boxes_nobody_is_seen_and_tracks_end():
    sensing = PedestrianSensing(SensingConfig(), "test", with_boxes=True)
    for step in range(24):
        given = boxes((8 + 0.13 * step, 0)) if step < 8 else None
        cloud = scan(person(8 + 0.13 * step, 0), azimuth_step_deg=0.4, beams=40)
        frame = sensing.process(SensorFrame(1 + step * STEP_NS, cloud, boxes=given), "lidar")
        if step == 7:
            assert len(frame.pedestrians) == 1
    assert len(frame.pedestrians) == 0
