"""SIGINT and SIGTERM as a flag, for everything that finishes its current step before it stops."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOP_WITHIN_S = (
    1.5  # what is still compiled, loaded or built by then is not waited for; files are written so that they survive it
)


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, instead of what they did before; never set outside the main thread."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals are somebody else's business
        yield asked
        return
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in STOP_SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopSignals:
    """Turns SIGINT and SIGTERM into a flag, and ends the process when it has not ended by itself soon after.

    rclpy's own handlers shut the context down at once, in the middle of whatever runs, which on Jazzy surfaces as
    KeyboardInterrupt, ExternalShutdownException or RCLError at a random place. A flag leaves the order to us. Python's
    handlers run between two steps of the main thread only, which may be loading a model or building an engine for a
    minute: a thread of its own reads the signals.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._signals, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._ask)
        threading.Thread(target=self._watch, name="signals", daemon=True).start()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked.set()

    def _watch(self) -> None:
        while os.read(self._signals, 1)[0] not in STOP_SIGNALS:
            pass
        self.asked.set()
        time.sleep(STOP_WITHIN_S)
        os._exit(0)  # without flushing: whoever hangs may hold the stream's lock
