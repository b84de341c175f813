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
    """While open, turns SIGINT and SIGTERM into a flag. On leaving, the handlers before it are back.

    rclpy's own handlers shut the context down at once, in the middle of whatever runs, which on Jazzy surfaces as
    KeyboardInterrupt, ExternalShutdownException or RCLError at a random place. A flag leaves the order to us. Python's
    handlers run between two steps of the main thread only, which may be loading a model or building an engine for a
    minute: a thread of its own reads the signals.

    Args:
        ends_process: end the whole process when it has not ended by itself soon after a signal; for a process that is a node.
    """

    def __init__(self, ends_process: bool = False) -> None:
        self.asked = threading.Event()
        self._ends_process = ends_process

    def __enter__(self) -> StopSignals:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, self._ask) for number in STOP_SIGNALS}
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._write)
        if not self.asked.is_set():
            self._thread.join()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked.set()

    def _watch(self) -> None:
        try:
            while (byte := os.read(self._read, 1)) and byte[0] not in STOP_SIGNALS:
                pass
        finally:
            os.close(self._read)
        if not byte:
            return  # closed
        self.asked.set()
        if self._ends_process:
            time.sleep(STOP_WITHIN_S)
            os._exit(0)  # without flushing: whoever hangs may hold the stream's lock
