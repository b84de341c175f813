"""Legs that swing, as an enrolment asks for: of simulated people who walk, glide or are wheeled along, and of real people who walk."""

from pathlib import Path

import numpy as np
import pytest
from made_up_street import STEP_NS, BuildEncoder

from emgait_ros.config import EnrollmentConfig, RecognitionConfig
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.datasets.lreid import LReid
from emgait_ros.lab.datasets.recorded import velocities
from emgait_ros.lab.evaluation.other_lidar import GROUND_Z_M
from emgait_ros.lab.simulation.real_walks import load_takes
from emgait_ros.lab.simulation.unusual_walks import UnusualWalker
from emgait_ros.lab.simulation.walker import Walker
from emgait_ros.lab.simulation.walks import generate_walk
from emgait_ros.recognition.quality import leg_spread, leg_swing
from emgait_ros.recognition.recognizer import GaitRecognizer
from emgait_ros.samples import PedestrianFrame, Sample

REAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
LEAST = EnrollmentConfig().min_leg_swing_m
FIRST = 950_000  # people nobody looked at when the limit was chosen


def sample(points, **changes):
    values = {
        "track_id": 1, "center": np.array([10.0, 0.0, 0.9]), "size": np.array([0.6, 0.6, 1.8]), "velocity": np.array([0.0, 1.3, 0.0]),
        "moving": True, "range_m": 10.0, "score": 0.9, "point_count": 20, "points": None if points is None else np.asarray(points, np.float32),
    }  # fmt: skip
    return Sample(**{**values, **changes})


def two_legs(apart_m, count=20):
    """Returns of two shins, one so far ahead of the other."""
    height = np.repeat(np.linspace(0.2, 0.7, count // 2), 2)
    return np.column_stack([np.full(count, 10.0), np.tile([-apart_m / 2, apart_m / 2], count // 2), height])


@pytest.mark.parametrize(
    ("points", "changes", "spread"),
    [
        (two_legs(0.6), {}, 0.3),
        (np.concatenate([two_legs(0.6)] * 3), {}, 0.3),  # resampled
        (
            np.concatenate([two_legs(0.6), [[10, 2.0, 0.5], [10, 0.0, 1.2]]]),
            {},
            0.3,
        ),  # a stray return, and one of the trunk
        (two_legs(0.6), {"velocity": np.array([1.3, 0.0, 0.0])}, 0.0),  # apart across the way
        (two_legs(0.6), {"velocity": np.zeros(3)}, 0.3),  # who does not move: in any direction
        (two_legs(0.6, 6), {}, np.nan),  # too few
        (None, {}, np.nan),
        (two_legs(0.6) + np.array([50, 0, 0]), {}, np.nan),  # not in the box
    ],
)
def test_how_far_legs_are_apart(points, changes, spread):
    found = np.mean(leg_spread(sample(points, **changes)))
    assert found == pytest.approx(spread, abs=0.03, nan_ok=True)


def test_swing_is_what_both_halves_agree_on():
    random, phase = np.random.default_rng(0), np.arange(300) * 1.1
    chance = random.normal(0.2, 0.05, (300, 2))
    assert leg_swing(chance) < 0.015
    assert leg_swing(chance + 0.05 * np.sqrt(2) * np.sin(phase)[:, None]) == pytest.approx(0.05, abs=0.01)
    assert np.isnan(leg_swing([(0.2, 0.2)] * 9 + [(np.nan, np.nan)] * 20))


def walked(walker, range_m, view_deg=90.0):
    return generate_walk(walker.identity, walker.walk, range_m, view_deg, 30, walker=walker)


@pytest.mark.parametrize(
    ("way", "stored"), [("normal", True), ("wheelchair", False), ("gliding", False), ("standing", False)]
)
def test_what_is_no_gait_is_not_enrolled(tmp_path, way, stored):
    with Gallery(tmp_path / "gallery.db") as gallery:
        recognizer = GaitRecognizer(RecognitionConfig(), BuildEncoder(), gallery)
        samples = walked(UnusualWalker(FIRST, 1, way), 10.0)
        for number, pedestrian in enumerate(samples):
            recognizer.process(PedestrianFrame(STEP_NS * (number + 1), "lidar", "t", (pedestrian,)))
        result = recognizer.enroll("Anna", samples[0].track_id)
        assert result.success == stored, result.message
        assert [person.name for person in gallery.identities()] == (["Anna"] if stored else [])
        assert ("this is no gait, the legs hardly swing" in result.message) != stored
        assert ("legs swing by 0.0" in result.quality) == stored


@pytest.mark.parametrize("range_m", [8.0, 12.0, 18.0, 25.0, 32.0, 38.0, 45.0])
def test_walkers_are_not_refused_at_any_range(range_m):
    """Far away too few returns show the legs: then nothing is asked."""
    swings = [
        leg_swing([leg_spread(s) for s in walked(Walker(FIRST + person, outfit="light"), range_m, 72.0 * person)])
        for person in range(5)
    ]
    assert not [swing for swing in swings if swing < LEAST]
    assert range_m > 25 or np.isfinite(swings).all()


@pytest.mark.skipif(
    not (REAL / "cmu_walk").is_dir(), reason=f"{REAL}/cmu_walk is missing: motion capture is not part of the repository"
)
def test_real_gaits_on_simulated_bodies_are_not_refused():
    swings = [
        leg_swing(
            [
                leg_spread(s)
                for s in walked(Walker(FIRST + number, outfit="light", steps=take.steps), 12.0, 60.0 * number)
            ]
        )
        for number, take in enumerate(load_takes(REAL / "cmu_walk"))
    ]
    assert min(swings) > LEAST


@pytest.mark.skipif(
    not (REAL / "lreid" / "train.npz").is_file(), reason=f"{REAL}/lreid is missing: LReID is not part of the repository"
)
def test_real_walkers_are_not_refused():
    """Windows of 30 clouds of real people on the move; in a few the legs are hidden or hardly move."""
    data = LReid(REAL / "lreid", Preprocessing())
    refused = []
    for entry in data.entries[1::12]:  # the limit was set with every fourth pass from the first on
        clouds = [cloud for cloud in data.clouds(entry) if len(cloud)]
        places = np.array([cloud.mean(axis=0) for cloud in clouds], np.float64)
        way, size = velocities(places, np.arange(len(clouds)) / 10), np.array([0.7, 0.7, 0.0])
        size[2] = np.percentile(np.concatenate(clouds)[:, 2], 99.5) - GROUND_Z_M
        spreads = [
            leg_spread(
                sample(cloud, center=np.array([*place[:2], GROUND_Z_M + size[2] / 2]), size=size, velocity=velocity)
            )
            for cloud, place, velocity in zip(clouds, places, way, strict=True)
        ]
        for start in range(0, len(clouds) - 29, 30):
            if np.linalg.norm(places[start + 29] - places[start]) > 1.5:
                refused.append(leg_swing(spreads[start : start + 30]) < LEAST)
    assert len(refused) > 100
    assert np.mean(refused) <= 0.01
