"""The time of a recording that is being played: runs at a rate, can be paused, stepped, slowed and held back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

SLOWEST, FASTEST = 0.01, 1000.0


class PlaybackClock:
    """Where in a recording playing has come to. Safe to use from several threads.

    Args:
        start_ns: time of the recording (log time, ns) to begin with.
        rate: seconds of the recording for each second.
        paused: begin standing still.
        monotonic: the time that passes, s.
    """

    def __init__(
        self, start_ns: int, rate: float = 1.0, paused: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._from_ns, self._from_s = start_ns, monotonic()
        self._rate, self._paused, self._steps = rate, paused, 0

    @property
    def rate(self) -> float:
        """Seconds of the recording for each second, when it is not paused."""
        return self._rate

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._paused

    def now_ns(self) -> int:
        """Time of the recording."""
        with self._lock:
            return self._now_ns()

    def _now_ns(self) -> int:
        passed_s = 0.0 if self._paused else self._monotonic() - self._from_s
        return self._from_ns + round(passed_s * self._rate * 1e9)

    def _go_on_from(self, time_ns: int) -> None:
        self._from_ns, self._from_s = time_ns, self._monotonic()

    def set_to(self, time_ns: int) -> None:
        """Go on from this time of the recording: a loop begins again, or what was late is not caught up with."""
        with self._lock:
            self._go_on_from(time_ns)

    def hold_back(self, seconds: float) -> None:
        """So much time has passed without the recording going on."""
        with self._lock:
            if not self._paused:
                self._from_s += seconds

    def pause_or_go_on(self) -> None:
        """Stand still, or go on from where it stands."""
        with self._lock:
            self._go_on_from(self._now_ns())
            self._paused, self._steps = not self._paused, 0

    def change_rate(self, factor: float) -> None:
        """Go on faster (above 1) or slower, between a hundredth and a thousand times as fast as recorded."""
        with self._lock:
            self._go_on_from(self._now_ns())
            self._rate = min(max(self._rate * factor, SLOWEST), FASTEST)

    def ask_for_a_step(self) -> None:
        """While paused: let one more message through."""
        with self._lock:
            self._steps += self._paused

    def take_step(self, time_ns: int) -> bool:
        """Whether a step was asked for; if so it is used up, and the recording stands at this message."""
        with self._lock:
            if not (self._paused and self._steps):
                return False
            self._steps -= 1
            self._from_ns = time_ns
            return True
