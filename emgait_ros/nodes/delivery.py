"""Waits until what was published has arrived: a reader that hears first that a publisher is gone drops its last messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from rclpy.duration import Duration
from rclpy.publisher import Publisher

STEP_S = 0.005


def delivered(publishers: Iterable[Publisher], patience_s: float, runs: Callable[[], bool] = lambda: True) -> bool:
    """Wait until all reliable subscriptions have acknowledged everything; False after ``patience_s``, or when stopped.

    Fast DDS asks for acknowledgements every 3 s, and with each message where the publisher's depth is full: a publisher
    of depth 1 is answered within milliseconds. No callback need run meanwhile. It looks again and again because rclpy's
    own wait holds the interpreter, and with it all threads of this process.

    Args:
        publishers: best effort ones are not waited for.
        patience_s: for all of them together, s.
        runs: False once nothing is to be waited for any more.
    """
    deadline = time.monotonic() + patience_s
    for publisher in publishers:
        while not publisher.wait_for_all_acked(Duration()):
            if time.monotonic() >= deadline or not runs():
                return False
            time.sleep(STEP_S)
    return True
