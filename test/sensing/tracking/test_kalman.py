"""The filter keeps up with what turns or brakes, and noise of the detector does not make it nervous."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.sensing.tracking.kalman import KalmanBank

DT_S = 0.1


def follow(places: np.ndarray, noise_m: float, seed: int = 0) -> tuple[KalmanBank, np.ndarray]:
    """Errors (frames, T) m of a bank that follows true places (frames, T, 2) measured with noise."""
    random = np.random.default_rng(seed)
    bank, errors = KalmanBank(0.6), []
    for k, place in enumerate(places):
        variance = np.full(len(place), (0.08 * bank.noise) ** 2)
        measured = place + random.normal(0, noise_m, place.shape)
        if k == 0:
            bank.add(measured, variance)
        else:
            bank.predict(DT_S)
            bank.update(np.arange(len(place)), measured, variance)
        errors.append(np.linalg.norm(bank.position - place, axis=1))
    return bank, np.array(errors)


def driven(acceleration_m_s2: float, frames: int = 60) -> np.ndarray:
    """Three standing things before a sensor that speeds up, m in its own frame."""
    time = np.arange(frames) * DT_S
    gone = np.stack([-0.5 * acceleration_m_s2 * time**2, np.zeros(frames)], axis=1)
    return gone[:, None] + np.array([[10.0, 3.0], [20.0, -4.0], [30.0, 8.0]])


@pytest.mark.parametrize(
    ("places", "noise_m", "mean_m", "raised", "noisier"),
    [
        (driven(0.0), 0.08, 0.08, False, False),  # nothing moves
        (driven(0.0), 0.24, 0.18, False, True),  # three times the noise it was told of
        (driven(3.0), 0.08, 0.11, True, False),  # a car drives off
        (driven(-6.0), 0.08, 0.12, True, False),
    ],
    ids=["still", "noisy", "drives off", "brakes"],
)
def test_the_process_noise_follows_the_motion_not_the_noise(places, noise_m, mean_m, raised, noisier):
    bank, errors = follow(places, noise_m)
    assert errors[10:].mean() < mean_m
    assert (bank._all_raised > 1.0) == raised
    assert (bank.noise > 1.5) == noisier


def test_the_sway_of_walkers_raises_no_noise():
    """Twelve people side by side whose trunks sway by 3 cm, seen with less noise than the filter was told of."""
    time = np.arange(85) * DT_S
    walk = np.stack([1.2 * time, 0.03 * np.sin(2 * np.pi * time)], axis=1)
    phases = np.stack([np.roll(walk[:, 1], k) for k in range(12)], axis=1)
    places = np.stack([np.tile(walk[:, :1], (1, 12)), phases + 2.0 * np.arange(12)], axis=2)
    bank, _ = follow(places, 0.02)
    assert bank._all_raised < 0.1
    assert bank._raised.max() < 0.3


def test_a_new_track_begins_with_what_the_others_share():
    time = np.arange(20)[:, None, None] * DT_S
    bank, _ = follow(np.array([[10.0, 3.0], [20.0, -4.0], [30.0, 8.0]]) + time * [-8.0, 0.0], 0.05)
    bank.add(np.array([[25.0, 0.0]]), np.array([0.01]))
    np.testing.assert_allclose(bank.velocity[-1], [-8, 0], atol=0.8)
    alone = KalmanBank(0.6)
    alone.add(np.zeros((1, 2)), np.array([0.01]))
    np.testing.assert_array_equal(alone.velocity, [[0, 0]])
    assert alone.covariance[0, 2] > bank.covariance[-1, 2]  # a sensor may move, nobody knows


def test_rows_stay_together():
    bank, _ = follow(driven(4.0), 0.08)
    before = bank.position[[0, 2]].copy()
    bank.keep(np.array([True, False, True]))
    assert len(bank) == 2
    bank.update(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0))
    np.testing.assert_array_equal(bank.position, before)
    bank.predict(DT_S)
    assert np.isfinite(bank.covariance).all()
