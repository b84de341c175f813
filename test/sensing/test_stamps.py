"""Losses are told from the holes in stamps, and only where they can be."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.sensing.stamps import lost_share

START_NS = 1_700_000_000_000_000_000


def stamps(rate_hz: float, jitter: float, kept: np.ndarray) -> list[int]:
    """Stamps (ns) of the messages kept (N,) bool; jitter is in periods, rms."""
    times_s = (np.arange(len(kept)) + np.random.default_rng(3).normal(0, jitter, len(kept))) / rate_hz
    return (START_NS + np.round(times_s[kept] * 1e9).astype(np.int64)).tolist()


def all_but(share: float, count: int = 300) -> np.ndarray:
    return np.random.default_rng(4).random(count) >= share


@pytest.mark.parametrize("rate_hz", [10.0, 29.97])
@pytest.mark.parametrize(
    ("lost", "jitter", "count"),
    [(0.15, 0.03, 300), (0.5, 0.0, 30), (0.5, 0.1, 300), (0.66, 0.05, 100), (0.9, 0.03, 300), (0.95, 0.0, 300)],
)
def test_losses_are_measured(rate_hz: float, lost: float, jitter: float, count: int) -> None:
    kept = all_but(lost, count)
    assert lost_share(stamps(rate_hz, jitter, kept)) == pytest.approx(1 - kept.mean(), abs=0.06)


def test_a_pause_is_no_loss() -> None:
    """A bag that starts over a minute earlier, and some messages lost on the way."""
    kept = all_but(0.2, 800)
    kept[60:700] = False
    lost = 1 - np.delete(kept, np.s_[60:700]).mean()
    assert lost_share(stamps(10.0, 0.0, kept)) == pytest.approx(lost, abs=0.03)


def every(keep: float, count: int = 300) -> np.ndarray:
    """A rate reduced to this part of it, as evenly as may be."""
    return np.diff(np.floor(np.arange(count + 1) * keep)) > 0


PAUSED = np.ones(300, bool)
PAUSED[100:200] = False
SLOWER_AT_NIGHT = np.arange(300) % 2 == 0
SLOWER_AT_NIGHT[:150] = True


@pytest.mark.parametrize(
    ("jitter", "kept"),
    [
        (0.0, all_but(0.0)),
        (0.1, all_but(0.0)),
        (0.3, all_but(0.0)),  # stamps on arrival, on a busy machine
        (0.02, all_but(0.03)),  # too few to speak of
        (0.0, all_but(0.9, 20)),  # too few to say
        (0.0, every(2 / 3)),
        (0.0, every(0.4)),
        (0.01, PAUSED),
        (0.01, SLOWER_AT_NIGHT),
    ],
)
def test_nothing_is_said_of_other_gaps(jitter: float, kept: np.ndarray) -> None:
    assert lost_share(stamps(30.0, jitter, kept)) == 0.0


def test_a_sensor_without_a_period_is_not_judged() -> None:
    gaps_ns = np.random.default_rng(5).exponential(5e7, 200)
    assert lost_share((START_NS + np.cumsum(gaps_ns).astype(np.int64)).tolist()) == 0.0


@pytest.mark.parametrize(
    ("kept", "beside", "lost"),
    [
        (np.arange(300) % 3 == 0, all_but(0.0), 2 / 3),  # regular losses: the CameraInfo tells
        (all_but(0.0), all_but(0.0), 0.0),
        (all_but(0.0), all_but(0.5), 0.0),  # the CameraInfo is lost
        (np.arange(300) % 3 == 0, np.zeros(300, bool), 0.0),  # there is none
    ],
)
def test_losses_show_in_what_comes_beside(kept: np.ndarray, beside: np.ndarray, lost: float) -> None:
    assert lost_share(stamps(30.0, 0.02, kept), stamps(30.0, 0.02, beside)) == pytest.approx(lost, abs=0.02)
