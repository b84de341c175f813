"""Keys pressed in a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import signal
import sys
import termios
import time
from pathlib import Path

import pytest

from emgait_ros.live.keys import pressed_keys

PROGRAM = """
import time
from emgait_ros.live.keys import pressed_keys
pressed = []
actions = {key: lambda key=key: pressed.append(key) for key in (" ", "up", "right", "s")}
with pressed_keys(actions) as ours:
    print("ready", ours, flush=True)
    end = time.monotonic() + 120
    while time.monotonic() < end and "s" not in pressed:
        time.sleep(0.01)
print("pressed", "|".join(pressed), flush=True)
"""


def test_keys_of_a_terminal() -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM])
    try:
        before = termios.tcgetattr(terminal)
        output = _read_until(terminal, b"ready True")
        assert not termios.tcgetattr(terminal)[3] & termios.ICANON
        for keys in (b" ", b"\x1b[A", b"x", b"\x1b[C", b"\xff", b"s"):
            os.write(terminal, keys)
            time.sleep(0.1)
        output = _read_until(terminal, b"pressed")
        assert b"pressed  |up|right|s" in output
        assert termios.tcgetattr(terminal)[3] == before[3]  # the terminal is as it was
    finally:
        os.close(terminal)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _read_until(terminal: int, phrase: bytes) -> bytes:
    output = b""
    while phrase not in output or not output.endswith(b"\n"):
        output += os.read(terminal, 1024)
    return output


@pytest.mark.parametrize("kind", ["file", "pipe", "closed"])
def test_what_is_no_terminal_is_left_alone(tmp_path: Path, kind: str) -> None:
    if kind == "file":
        (tmp_path / "input").touch()
        file = os.open(tmp_path / "input", os.O_RDONLY)
    elif kind == "pipe":
        file, other = os.pipe()
        os.close(other)
    else:
        file = -1
    with pressed_keys({}, file) as ours:
        assert not ours
    if file >= 0:
        os.close(file)
