"""The threshold keeps what it promises."""

import dataclasses

import numpy as np
import pytest

from emgait_ros.gallery.records import Calibration
from emgait_ros.recognition.calibration import calibrate_threshold, fit_probability, share_interval


@pytest.mark.parametrize(
    ("tracks", "rate", "rank"),
    [
        (99, 0.01, 1),  # 1 / 100
        (199, 0.01, 2),
        (150, 0.01, 1),  # rounded to the safe side
        (999, 0.001, 1),
        (19, 0.5, 10),
    ],
)
def test_threshold_is_the_conformal_order_statistic(tracks, rate, rank):
    impostor = np.random.default_rng(0).permutation(np.arange(1.0, tracks + 1))
    found = calibrate_threshold(np.array([0.5, 1e6]), impostor, rate)
    assert found.threshold == rank
    assert found.false_accepts == rank - 1  # strictly below
    assert found.true_accept_rate == 0.5
    assert found.impostor_tracks == tracks


def test_tracks_that_no_threshold_names_count_as_tracks():
    found = calibrate_threshold(np.array([0.5, np.inf]), np.array([1.0, 2.0] + [np.inf] * 17), 0.1)
    assert (found.threshold, found.false_accepts, found.true_accept_rate) == (2.0, 1, 0.5)
    assert calibrate_threshold(np.zeros(0), np.array([1.0] + [np.inf] * 18), 0.5).threshold == 1.0
    assert np.isfinite(fit_probability(np.array([0.5, np.inf]), np.array([2.0, np.inf]))).all()


def test_promise_holds_on_new_strangers():
    """Over 400 repeats with new data: the mean rate is at most the one asked for, the interval covers as often as said."""
    random = np.random.default_rng(1)
    rates, covered = [], []
    for _ in range(400):
        found = calibrate_threshold(np.zeros(0), random.gumbel(size=200), 0.05)
        rate = float(np.exp(-np.exp(-found.threshold)))  # the Gumbel distribution function
        rates.append(rate)
        covered.append(found.false_accept_interval[0] <= rate <= found.false_accept_interval[1])
    assert 0.044 < np.mean(rates) <= 0.0515  # 10 / 201 = 0.0498; standard error 0.0008
    assert 0.92 < np.mean(covered) < 0.98


@pytest.mark.parametrize(
    ("genuine", "impostor", "rate", "said"),
    [
        ([0.1], np.ones(98), 0.01, "98 impostor tracks cannot promise a false-accept rate of 0.01: 99 are needed"),
        ([0.1], [], 0.01, "0 impostor tracks"),
        ([0.1], np.ones(500), 0.001, "999 are needed; the smallest rate they can promise is 0.002"),
        ([np.nan], np.ones(500), 0.01, "1 of 1 genuine distances are NaN"),
        ([0.1], [np.nan, 1.0], 0.5, "1 of 2 impostor distances"),
        ([0.1], [np.inf] * 99, 0.01, "none of 99 impostor tracks is given a name at any threshold"),
        ([0.1], np.ones(500), 0.0, "must lie between 0 and 1"),
    ],
)
def test_refused(genuine, impostor, rate, said):
    with pytest.raises(ValueError, match=said):
        calibrate_threshold(np.array(genuine), np.array(impostor), rate)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 0, 0.0, 1.0),  # nothing known
        (0, 10, 0.0, 0.3085),  # 1 - 0.025 ** (1 / 10)
        (10, 10, 0.6915, 1.0),
        (5, 10, 0.1871, 0.8129),
    ],
)
def test_share_interval(successes, trials, low, high):
    assert share_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_probability_follows_the_data():
    """Gaussian distances 1 apart at both sides of 2: the curve is 1 / (1 + exp(2 (d - 2) / spread^2)) in theory."""
    random = np.random.default_rng(0)
    genuine, impostor = (
        random.normal(1.5, 0.5, 4000),
        random.normal(2.5, 0.5, 500),
    )  # the numbers differ, the weights not
    slope, offset = fit_probability(genuine, impostor)
    assert slope == pytest.approx(4.0, rel=0.1)
    assert offset == pytest.approx(-8.0, rel=0.1)
    found = calibrate_threshold(genuine, impostor, 0.01)
    found = dataclasses.replace(found, probability=(slope, offset))
    assert found.chance_of(2.0) == pytest.approx(0.5, abs=0.05)
    assert found.chance_of(0.0) > 0.99
    assert np.isnan(found.chance_of(float("nan")))


def test_separable_data_gives_no_certainty():
    slope, offset = fit_probability(np.array([0.1, 0.2]), np.array([1.0, 1.1, 1.2]))
    chances = 1 / (1 + np.exp(slope * np.array([0.1, 1.2]) + offset))
    assert 0.6 < chances[0] < 0.99
    assert 0.01 < chances[1] < 0.4
    assert fit_probability(np.zeros(0), np.ones(3)) is None


def test_what_is_stored_comes_back():
    found = calibrate_threshold(np.array([0.1]), np.linspace(1, 2, 99), 0.01)
    found = dataclasses.replace(found, probability=(1.0, -2.0), ranges_m=(10.0, 30.0), distances=((0.1,), (1.0, 2.0)))
    assert Calibration.from_json(found.to_json()) == found
    for text in ("", "{}", '{"threshold": 1}', "[]"):
        with pytest.raises(ValueError, match=r"stored calibration is damaged .*: calibrate again"):
            Calibration.from_json(text)
