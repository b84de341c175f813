"""Single key presses from the terminal, without Return, while something else runs."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

ESCAPES = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[C": "right", b"\x1b[D": "left"}
STEP_S = 0.1


@contextmanager
def pressed_keys(actions: Mapping[str, Callable[[], None]], file: int | None = None) -> Iterator[bool]:
    """Call the action of each key that is pressed, in a thread of its own; the terminal is as before afterwards.

    Yields False, and does nothing, where standard input is no terminal in the foreground (a pipe, a background job).

    Args:
        actions: by key: a character, or "up", "down", "left", "right".
        file: descriptor of the terminal; None: standard input.
    """
    file = _stdin() if file is None else file
    if not _is_ours(file):
        yield False
        return
    before = termios.tcgetattr(file)
    stop = threading.Event()
    thread = threading.Thread(target=_read, args=(file, actions, stop), daemon=True)
    tty.setcbreak(file)  # Ctrl-C stays an interrupt
    thread.start()
    try:
        yield True
    finally:
        stop.set()
        thread.join(2 * STEP_S)
        termios.tcsetattr(file, termios.TCSADRAIN, before)


def _stdin() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, ValueError, OSError):  # none, closed, or replaced by something without a descriptor
        return -1


def _is_ours(file: int) -> bool:
    try:
        return os.isatty(file) and os.tcgetpgrp(file) == os.getpgrp()
    except OSError:
        return False


def _read(file: int, actions: Mapping[str, Callable[[], None]], stop: threading.Event) -> None:
    while not stop.is_set():
        if not select.select([file], [], [], STEP_S)[0]:
            continue
        data = os.read(file, 8)
        if not data:
            return
        names = [ESCAPES[data]] if data in ESCAPES else data.decode(errors="ignore")
        for name in names:
            actions.get(name, _nothing)()


def _nothing() -> None:
    """Of a key that means nothing here."""
