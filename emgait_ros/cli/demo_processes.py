"""Live nodes and a bag player as processes of their own, for commands that show or judge the live system."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from emgait_ros.recordings.rosbag import TRANSFORMS, Rosbag
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing
from emgait_ros.transport import use_shipped_profile

SETTLE_S = 2.0  # after the last message: answers still on their way
STOP_PATIENCE_S = 30.0


def isolate(environ: MutableMapping[str, str]) -> None:
    """A DDS domain of its own on this machine alone, and the shipped transport profile, unless the user chose them."""
    environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 101)))
    environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    use_shipped_profile(environ)


def compile_kernels(console: Console) -> None:
    """Compile the tracker's numeric kernels before a node needs them; done once, then they come from numba's cache."""
    with console.status("compiling numeric kernels (the first time only, up to a minute)"):
        PedestrianSensing()


def emgait(*words: str | Path) -> list[str]:
    """Command line of an `emgait` sub-command in a process of its own."""
    return [sys.executable, "-m", "emgait_ros", *map(str, words)]


def topics_to_play(bag: Path) -> list[str]:
    """All topics of a bag but transforms: demo nodes get their extrinsics from the parameter file beside the bag."""
    with Rosbag(bag) as opened:
        return sorted(topic.name for topic in opened.topics.values() if topic.type != TRANSFORMS)


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in a file, stopped with SIGINT at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=dict(os.environ))
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Playback:
    """`emgait play` of one bag, started when the listeners are ready.

    Args:
        bag: folder of the bag.
        options: further arguments of the command.

    Attributes:
        report: what the player has said of it, once it is finished.
    """

    def __init__(self, bag: Path, *options: str) -> None:
        self._command = emgait("play", bag, *options)
        self._process: subprocess.Popen[str] | None = None
        self.report = ""
        self._ended_s: float | None = None

    def start(self) -> None:
        """Begin to play."""
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True, errors="replace")

    def finished(self) -> bool:
        """Played to the end, and answers have had time to come.

        Raises:
            ValueError: the player ended with an error.
        """
        if self._process is None or self._process.poll() is None:
            return False
        if self._ended_s is None:
            self.report = self._process.communicate()[1].strip()
        if self._process.returncode != 0:
            command = " ".join(self._command[2:])
            raise ValueError(f"`{command}` ended with status {self._process.returncode}: {self.report}")
        if self._ended_s is None:
            self._ended_s = time.monotonic()
        return time.monotonic() - self._ended_s > SETTLE_S
