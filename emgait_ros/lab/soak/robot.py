"""Both nodes as processes, what they take of the machine, and the messages of a simulated street that they are fed."""

from __future__ import annotations

import dataclasses
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emgait_ros.config import TrackerTopicsConfig, full_name
from emgait_ros.lab.simulation.recording import record
from emgait_ros.lab.simulation.scene import Scene
from emgait_ros.recordings.rosbag import Rosbag

TRACKER, RECOGNIZER = NODES = ("pedestrian_tracker", "gait_recognizer")
STOP_PATIENCE_S = 10.0
_TICK_HZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Street:
    """Serialized messages (CDR) of a simulated street, one set a cloud.

    Attributes:
        clouds, images, infos: of each cloud, its image and that image's CameraInfo.
        pixels: bytes of an image's pixels, which are the end of its message.
        params: the tracker's parameter file.
    """

    clouds: tuple[bytes, ...]
    images: tuple[bytes, ...]
    infos: tuple[bytes, ...]
    pixels: int
    params: str

    def at(self, number: int, stamp_ns: int, light: float = 1.0) -> tuple[bytes, bytes, bytes]:
        """CameraInfo, image and cloud number ``number`` with this stamp; pixels are multiplied by ``light``, 0..1."""
        info, image, cloud = (bytearray(kind[number]) for kind in (self.infos, self.images, self.clouds))
        for message in (info, image, cloud):
            struct.pack_into("<iI", message, 4, *divmod(stamp_ns, 10**9))
        if light < 1.0:
            end = np.frombuffer(image, np.uint8)[len(image) - self.pixels :]
            end[:] = (end * np.float32(light)).astype(np.uint8)
        return bytes(info), bytes(image), bytes(cloud)


def simulated(scene: Scene) -> Street:
    """Simulates a scene with an image for every cloud, at the same time."""
    head = dataclasses.replace(scene.head, camera_rate_hz=10.0, camera_phase_s=0.05, camera_jitter_s=0.0)
    topics = TrackerTopicsConfig()
    with tempfile.TemporaryDirectory(prefix="emgait-street-") as folder:
        made = record(dataclasses.replace(scene, head=head), Path(folder) / "bag", workers=1)
        found: dict[str, list[bytes]] = {full_name(t): [] for t in (topics.cloud, topics.image, topics.camera_info)}
        with Rosbag(made.path) as bag:
            for message in bag.messages(list(found)):
                found[message.topic].append(bytes(message.raw))
        clouds, images, infos = (tuple(messages) for messages in found.values())
        count = min(len(clouds), len(images), len(infos))
        params = made.params.read_text(encoding="utf-8")
    return Street(clouds[:count], images[:count], infos[:count], head.width * head.height * 3, params)


@dataclass(frozen=True)
class Usage:
    """What a process takes.

    Attributes:
        memory_mb: resident memory.
        own_mb: of that, what belongs to the process alone: neither files nor shared memory, which the middleware's settings bound.
        cpu_s: CPU time so far.
        files: file descriptors.
    """

    memory_mb: float
    own_mb: float
    cpu_s: float
    files: int
    threads: int


class Robot:
    """Starts both nodes, and starts them again when they were killed; a context manager.

    Args:
        folder: of gallery, parameter file and logs.
        params: content of the tracker's parameter file.
        bundle: folder of a model bundle; empty: the shipped one.

    Attributes:
        gallery: the gallery's file.
    """

    def __init__(self, folder: Path, params: str, bundle: str = "") -> None:
        self.folder, self.gallery = folder, folder / "gallery.db"
        self._params = folder / "params.yaml"
        self._params.write_text(params, encoding="utf-8")
        self._words = {
            TRACKER: ["--params-file", str(self._params)],
            RECOGNIZER: ["-p", f"gallery.path:={self.gallery}"],
        }
        if bundle:
            self._words[RECOGNIZER] += ["-p", f"engine.bundle:={Path(bundle).absolute()}"]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Robot:
        for name in NODES:
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGINT)
        for process in self._processes.values():
            try:
                process.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name: str) -> None:
        """Start a node; what it prints goes on in its log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", "emgait_ros.nodes.entry", name, "--ros-args", *self._words[name]]
            self._processes[name] = subprocess.Popen(  # a session of its own: Ctrl-C is for who started this
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def kill(self, name: str) -> None:
        """kill -9, and start it again."""
        self._processes[name].kill()
        self._processes[name].wait()
        self.start(name)

    def runs(self) -> bool:
        """True.

        Raises:
            ValueError: a node has ended by itself; the sentence holds the end of its log.
        """
        for name, process in self._processes.items():
            if process.poll() is not None:
                log = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
                raise ValueError(f"{name} ended with status {process.returncode}: {log[-500:]}")
        return True

    def usage(self, name: str) -> Usage:
        """Of one node now."""
        place = Path(f"/proc/{self._processes[name].pid}")
        fields = (place / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        memory_mb = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        status = dict(line.split(":", 1) for line in (place / "status").read_text(encoding="utf-8").splitlines())
        own_mb = int(status["RssAnon"].split()[0]) * 1024 / 1e6
        cpu_s = (int(fields[11]) + int(fields[12])) / _TICK_HZ
        return Usage(memory_mb, own_mb, cpu_s, len(list((place / "fd").iterdir())), int(fields[17]))

    def size_mb(self, ending: str) -> float:
        """Of the files in the folder with this ending, MB."""
        return sum(file.stat().st_size for file in self.folder.glob(f"*{ending}")) / 1e6


def wait_until(happened: Callable[[], bool], timeout_s: float, poll_s: float = 0.01) -> bool:
    """Look every ``poll_s`` whether ``happened()``; False after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True
