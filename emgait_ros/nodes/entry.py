"""Starts a node's process: ``python -m emgait_ros.nodes.entry pedestrian_tracker --ros-args ...``, or the installed commands.

Importing a node takes seconds. Until it runs there is nothing to release, so a signal ends the process at once instead of
surfacing as KeyboardInterrupt in the middle of some import.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import NoReturn

NODES = ("pedestrian_tracker", "gait_recognizer", "bridges")


def pedestrian_tracker() -> NoReturn:
    """Run the pedestrian_tracker."""
    start("pedestrian_tracker", sys.argv)


def gait_recognizer() -> NoReturn:
    """Run the gait_recognizer."""
    start("gait_recognizer", sys.argv)


def bridges() -> NoReturn:
    """Run the bridges."""
    start("bridges", sys.argv)


def start(name: str, words: list[str]) -> NoReturn:
    """Import a node and run it until it is asked to stop.

    Args:
        name: one of ``NODES``.
        words: command line, the program first.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    import_module(f"emgait_ros.nodes.{name}").main(words)
    raise AssertionError("main ends the process")


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(0)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in NODES:
        sys.exit(f"usage: python -m emgait_ros.nodes.entry {{{','.join(NODES)}}} [--ros-args ...]")
    start(sys.argv[1], [sys.argv[0], *sys.argv[2:]])
