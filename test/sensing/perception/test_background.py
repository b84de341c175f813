"""What stands still before a still sensor is learned; who walks is not."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_clouds import SENSOR_HEIGHT_M, person, scan

from emgait_ros.config import DetectorConfig
from emgait_ros.sensing.perception.background import StaticBackground
from emgait_ros.sensing.perception.detector import ShapeDetector

STEP_NS = 100_000_000
DUMMY = (9.0, 3.0)  # shaped like a person, never moves


@pytest.fixture(scope="module")
def learned():
    """Background and detector after 12 s of a shop window's dummy and a passer-by."""
    background, detector = StaticBackground(55.0, 10.0), ShapeDetector(DetectorConfig())
    flags: dict[str, list[bool]] = {"dummy": [], "walker": []}
    for k in range(120):
        place = (12.0, -6.0 + 0.1 * k)
        cloud = scan(person(*DUMMY) + person(*place), azimuth_step_deg=0.4, beams=48, seed=k)
        background.observe(k * STEP_NS, cloud, -SENSOR_HEIGHT_M)
        found = detector.detect(cloud)
        known = background.is_background(found, cloud)
        for name, where in (("dummy", DUMMY), ("walker", place)):
            near = np.flatnonzero(np.hypot(*(found.center[:, :2] - where).T) < 0.4)
            flags[name] += known[near].tolist()
    return flags


def test_the_dummy_is_background_after_some_seconds_and_stays_it(learned):
    assert not any(learned["dummy"][:15])  # too early to say
    assert all(learned["dummy"][40:])


def test_the_walker_never_is(learned):
    assert len(learned["walker"]) > 110
    assert not any(learned["walker"])


def test_a_jump_back_in_time_starts_over():
    background, detector = StaticBackground(55.0, 2.0), ShapeDetector(DetectorConfig())
    cloud = scan(person(*DUMMY), azimuth_step_deg=0.4, beams=48)
    for k in range(40):
        background.observe(10**9 + k * STEP_NS, cloud, -SENSOR_HEIGHT_M)
    found = detector.detect(cloud)
    assert background.is_background(found, cloud).tolist() == [True]
    background.observe(0, cloud, -SENSOR_HEIGHT_M)
    assert background.is_background(found, cloud).tolist() == [False]


def test_returns_outside_the_grid_are_harmless():
    background = StaticBackground(10.0, 5.0)
    background.observe(0, np.array([[500.0, 0, 0], [np.inf, 0, 0], [3, 3, 0]], np.float32)[[0, 2]], -1.7)
