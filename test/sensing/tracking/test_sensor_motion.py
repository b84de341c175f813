"""A sensor that moves without a pose is recognized by the tracks; people who walk the same way are not taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.config import TrackerConfig
from emgait_ros.sensing.tracking.sensor_motion import rigid_motion
from emgait_ros.sensing.tracking.tracker import PedestrianTracker

FRAMES = 80
BODY = (0.6, 0.6, 1.75)


def things(random: np.random.Generator, count: int, spread_m: float = 15.0) -> np.ndarray:
    """(count, 2) m, around the sensor, none of them on another."""
    grid = np.stack(np.meshgrid(np.arange(-8, 9), np.arange(-8, 9)), -1).reshape(-1, 2) * spread_m / 8
    return random.permutation(grid[np.hypot(*grid.T) > 0.15 * spread_m])[:count] + random.normal(0, 0.1, (count, 2))


def scene(name: str, seed: int) -> np.ndarray:
    """(FRAMES, N, 2) m in the sensor's frame at 10 Hz."""
    random = np.random.default_rng(seed)
    time = np.arange(FRAMES)[:, None, None] * 0.1
    poles, walkers = things(random, 21), things(random, 24) * 0.5
    speed = random.normal(1.35, 0.22, (24, 1)) * [1, 0] + random.normal(0, 0.12, (24, 1)) * [0, 1]
    if name == "robot drives":  # and three people walk
        return np.concatenate([poles - time * [1.2, 0.0], things(random, 3) + time * [[-0.1, 1.0]]], 1)
    if name == "robot turns":
        angle = -0.3 * time[..., 0]
        turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
        return np.einsum("fij,nj->fni", turn, poles) - time * [0.5, 0]
    if name == "companion":  # somebody walks beside the robot
        return np.concatenate([poles - time * [1.2, 0.0], np.array([[0.0, 1.5]]) + 0 * time], 1)
    if name == "crowd":  # on a pavement without a pole
        return walkers + time * speed
    if name == "crowd and poles":
        return np.concatenate([walkers + time * speed, poles[:3] + 0 * time], 1)
    if name == "march and poles":  # all at exactly the same speed
        return np.concatenate([walkers + time * [1.3, 0.0], poles[:3] + 0 * time], 1)
    if name == "school class":  # close together, at the same speed, nothing else about
        return np.array([[8.0, 3.0]]) + things(random, 10, 2.0) + time * [1.1, 0.0]
    if name == "few":
        return poles[:4] - time * [1.2, 0.0]
    return poles + 0 * time  # "still"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("score", [0.9, 0.4], ids=["confirmed", "doubtful"])
@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("robot drives", True),
        ("robot turns", True),
        ("companion", True),
        ("crowd", False),
        ("crowd and poles", False),
        ("march and poles", False),
        ("school class", False),
        ("few", False),
        ("still", False),
    ],
)
def test_what_moves_alike(name, moves, score, seed):
    tracker = PedestrianTracker(TrackerConfig())
    random = np.random.default_rng(seed)
    for k, place in enumerate(scene(name, seed)):
        place = place[np.hypot(*place.T) > 1.0]
        distance = np.hypot(*place.T)
        center = np.column_stack([place + random.normal(0, 0.05, place.shape), np.full(len(place), -0.8)])
        tracker.update(k * 10**8, center, np.tile(BODY, (len(place), 1)), np.full(len(place), score), distance)
    watch = tracker.sensor_motion
    assert watch.moves == moves, watch._share
    if moves:
        assert watch.alike >= 0.75 * watch.judged
        assert watch.speed_m_s > 0.5
    tracker.reset()
    assert not tracker.sensor_motion.moves


def test_the_rigid_motion_is_that_of_most():
    place = things(np.random.default_rng(0), 20)
    turning = np.stack([0.2 * place[:, 1] - 1.0, -0.2 * place[:, 0]], 1)
    velocity = turning.copy()
    velocity[:4] = [[1.0, 1.0], [0.0, -1.4], [-1.3, 0.9], [0.8, 0.0]]
    common, alike = rigid_motion(place, velocity)
    assert alike.tolist()[4:] == [True] * 16
    np.testing.assert_allclose(common[4:], turning[4:], atol=0.1)
