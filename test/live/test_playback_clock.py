"""The time of a recording that is played, on a clock of the test's own."""

from __future__ import annotations

import pytest

from emgait_ros.live.playback_clock import FASTEST, SLOWEST, PlaybackClock

S = 1_000_000_000


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(("rate", "passed_s", "expected_s"), [(1.0, 2.0, 2.0), (2.0, 1.5, 3.0), (0.5, 3.0, 1.5)])
def test_it_runs_at_its_rate(clock: Clock, rate: float, passed_s: float, expected_s: float) -> None:
    playback = PlaybackClock(5 * S, rate, monotonic=clock)
    clock.now_s += passed_s
    assert playback.now_ns() == (5 + expected_s) * S


def test_a_pause_takes_no_time_of_the_recording(clock: Clock) -> None:
    playback = PlaybackClock(0, monotonic=clock)
    clock.now_s += 1
    playback.pause_or_go_on()
    assert playback.paused
    clock.now_s += 60
    assert playback.now_ns() == S
    playback.hold_back(3.0)  # what is held back while it stands still holds nothing back
    playback.pause_or_go_on()
    clock.now_s += 1
    assert playback.now_ns() == 2 * S


def test_a_change_of_rate_does_not_jump(clock: Clock) -> None:
    playback = PlaybackClock(0, monotonic=clock)
    clock.now_s += 4
    playback.change_rate(2.0)
    assert playback.now_ns() == 4 * S
    clock.now_s += 1
    assert playback.now_ns() == 6 * S


@pytest.mark.parametrize(("factor", "limit"), [(0.5, SLOWEST), (2.0, FASTEST)])
def test_the_rate_has_limits(clock: Clock, factor: float, limit: float) -> None:
    playback = PlaybackClock(0, monotonic=clock)
    for _ in range(40):
        playback.change_rate(factor)
    assert playback.rate == limit


def test_steps(clock: Clock) -> None:
    playback = PlaybackClock(0, paused=True, monotonic=clock)
    assert not playback.take_step(S)
    playback.ask_for_a_step()
    playback.ask_for_a_step()
    assert playback.take_step(1 * S)
    assert playback.now_ns() == S
    assert playback.take_step(2 * S)
    assert playback.now_ns() == 2 * S
    assert not playback.take_step(3 * S)
    playback.ask_for_a_step()
    playback.pause_or_go_on()  # going on forgets steps
    playback.ask_for_a_step()
    assert not playback.take_step(3 * S)
    clock.now_s += 1
    assert playback.now_ns() == 3 * S


def test_what_was_late_is_not_caught_up_with(clock: Clock) -> None:
    playback = PlaybackClock(0, 2.0, monotonic=clock)
    clock.now_s += 5
    playback.hold_back(5.0)
    assert playback.now_ns() == 0
    playback.set_to(7 * S)
    assert playback.now_ns() == 7 * S
