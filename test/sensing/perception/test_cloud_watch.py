"""Clouds that hold nothing, parts of a turn or millimetres are named after two seconds; what a sound sensor sends never is."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from kitti_frames import FRAMES, load_frame
from synthetic_clouds import person, scan

from emgait_ros.config import SensingConfig
from emgait_ros.lab.simulation.scene import Scene, SensorHead, WalkPlan
from emgait_ros.lab.simulation.simulator import StreetSimulator
from emgait_ros.samples import SensorFrame
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing
from emgait_ros.sensing.perception.cloud_watch import CLOUDS, CloudWatch

STREET = scan([*person(10, 0), ("box", (15.6, 16.0, -5.0, 5.0, 0.0, 3.0)), ("box", (-8.0, -4.0, 6.0, 8.0, 0.2, 1.5))])
AZIMUTH = np.degrees(np.arctan2(STREET[:, 1], STREET[:, 0]))
ANGLE = np.linspace(-np.pi, np.pi, 720, endpoint=False)
Clouds = Callable[[int], np.ndarray]


def said(clouds: Iterable[np.ndarray], rate_hz: float = 10.0) -> list[str]:
    """What is said after each cloud."""
    watch, sentences = CloudWatch(), []
    for number, points in enumerate(clouds):
        watch.observe(points, round(number / rate_hz * 1e9))
        sentences.append(watch.problem())
    return sentences


def between(begin_deg: float, end_deg: float) -> np.ndarray:
    """The returns of the street in these directions, counted on beyond 180 degrees."""
    return STREET[(AZIMUTH - begin_deg) % 360 < end_deg - begin_deg]


def flat(z: float) -> np.ndarray:
    """The scan of a 2D scanner in a room, as laser_geometry makes a cloud of it."""
    reach = 4.0 + np.sin(3 * ANGLE)
    return np.column_stack([reach * np.cos(ANGLE), reach * np.sin(ANGLE), np.full(720, z)]).astype(np.float32)


@pytest.mark.parametrize(
    ("cloud", "words"),
    [
        (lambda number: flat(0.0), "2D scanner"),
        (lambda number: flat(0.2), "2D scanner"),
        (lambda number: np.zeros((0, 3), np.float32), "are empty"),
        (lambda number: np.zeros((60_000, 3), np.float32), r"\(0, 0, 0\)"),
        (lambda number: np.full((500, 3), 0.05, np.float32), "at the sensor itself"),
        (lambda number: between(180 * number, 180 * number + 180), "180 of the 360 degrees"),
        (lambda number: between(240 * number, 240 * number + 240), "whole turns"),
        (lambda number: between(36 * number, 36 * number + 36), "whole turns"),
        (lambda number: between(0, 60) if number % 2 else between(60, 120), "whole turns"),  # a narrow sensor's halves
        (lambda number: STREET * 1000, "millimetres"),
    ],
)
def test_clouds_that_cannot_be_used_are_named(cloud: Clouds, words: str) -> None:
    sentences = said(cloud(number) for number in range(60))
    assert not any(sentences[: CLOUDS - 1])
    assert all(re.search(words, sentence) for sentence in sentences[CLOUDS - 1 :]), set(sentences)


@pytest.mark.parametrize(
    ("rate_hz", "returns", "named"),
    [
        (100.0, 2000, True),  # Livox Mid-360 at its fastest
        (50.0, 4000, True),
        (20.0, 10_000, False),  # a person 10 m away has 20 returns and more
        (10.0, 2000, False),  # a sensor with few returns, in whole frames
        (30.0, 30_000, False),  # a flash LiDAR
    ],
)
def test_parts_of_a_pattern_that_does_not_repeat_are_named(rate_hz: float, returns: int, named: bool) -> None:
    rng = np.random.default_rng(0)
    sentences = said((STREET[rng.integers(len(STREET), size=returns)] for _ in range(CLOUDS)), rate_hz)
    assert ("publish_freq" in sentences[-1]) == named


def test_the_first_good_cloud_ends_the_complaint() -> None:
    sentences = said(itertools.chain([np.zeros((900, 3), np.float32)] * 30, [STREET] * 2))
    assert sentences[29]
    assert not sentences[30]


@pytest.mark.parametrize("head", [SensorHead(beams=32), SensorHead(lidar_tilt_deg=(5.0, 10.0))])
def test_simulated_sensors_are_not_complained_of(head: SensorHead) -> None:
    """Neither the whole turn nor what a sensor with a narrower view would see of it."""
    walks = (WalkPlan(1, 0, ((9.0, -4.0), (9.0, 4.0)), 0.0), WalkPlan(2, 0, ((4.0, 3.0), (25.0, 3.0)), 0.0))
    simulator = StreetSimulator(Scene("street", walks, duration_s=2.5, seed=3, head=head))
    clouds = [simulator.cloud(number)[0].points[:, :3] for number in range(simulator.cloud_count)]
    assert len(clouds) > CLOUDS
    for view_deg in (360.0, 120.0, 40.0, 15.0):
        half = np.radians(view_deg) / 2
        assert not any(said(c[np.abs(np.arctan2(c[:, 1], c[:, 0])) <= half] for c in clouds)), view_deg


@pytest.mark.parametrize("frame", FRAMES)
def test_real_clouds_are_not_complained_of(request: pytest.FixtureRequest, frame: str) -> None:
    points = load_frame(request.getfixturevalue("shared_data"), frame).points
    rng = np.random.default_rng(0)
    assert not any(said(points[rng.random(len(points)) > 0.1] for _ in range(30)))


@pytest.mark.parametrize(
    "cloud",
    [
        lambda number: np.concatenate([STREET, np.zeros((3 * len(STREET), 3), np.float32)]),  # zeros for no return
        lambda number: between(0, 360) if number % 5 else STREET[:0],  # an empty one now and then
        lambda number: between(7 * number, 7 * number + 330),  # a turn with a gap that wanders
        lambda number: STREET[number % 2 :: 2],  # every other beam
        lambda number: STREET[
            (AZIMUTH > 0) | (np.hypot(*STREET[:, :2].T) < 5.0 + number)
        ],  # somebody stands in the way
    ],
)
def test_odd_but_sound_clouds_are_not_complained_of(cloud: Clouds) -> None:
    assert not any(said(cloud(number) for number in range(40)))


@pytest.mark.parametrize(
    ("cloud", "words"),
    [(STREET * np.float32(1000.0), "millimetres"), (flat(0.0), "2D scanner"), (flat(0.2), "2D scanner")],
)
def test_they_are_not_called_upside_down_as_well(cloud: np.ndarray, words: str) -> None:
    sensing = PedestrianSensing(SensingConfig(), "test")
    sentences = set()
    for number in range(60):
        sensing.process(SensorFrame(10**9 + number * 10**8, cloud), "lidar")
        sentences |= set(sensing.problems)
    assert len(sentences) == 1
    assert words in sentences.pop()
