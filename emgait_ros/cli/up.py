"""Starts the same two nodes as `ros2 launch emgait_ros gait.launch.py`, where there is no ROS launch (a pip set-up):

    emgait up                                                the topics of the simulated recording
    emgait up --cloud /ouster/points --image /cam/image_raw --camera-info /cam/camera_info
    emgait up --params my_robot.yaml --gallery ~/people.db

Both nodes read the shipped config/*.yaml, then your --params file, then the options given here. Their output appears with
the node's name in front. Ctrl-C stops both; when one of them ends, the other is stopped too and its exit status is returned:
nothing is restarted, so that a fault is seen.

Large best-effort messages need the shipped Fast DDS profile in the process that *sends* them: `emgait play` sets it, for a
driver set FASTRTPS_DEFAULT_PROFILES_FILE (Jazzy) or FASTDDS_DEFAULT_PROFILES_FILE (Kilted) to the file that is printed at start.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from emgait_ros.gallery.database import is_url
from emgait_ros.shipped import shipped_path
from emgait_ros.transport import profile_in_use, use_shipped_profile

NODES = ("pedestrian_tracker", "gait_recognizer")
STOP_PATIENCE_S = 15.0
LOOK_S = 0.1


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `emgait up`."""
    parser.add_argument("--params", type=Path, metavar="FILE", help="YAML with parameters of one or both nodes")
    parser.add_argument("--cloud", metavar="TOPIC", help="sensor_msgs/PointCloud2 of the LiDAR")
    parser.add_argument("--image", metavar="TOPIC", help="image of the camera; '' works with the LiDAR alone")
    parser.add_argument("--camera-info", metavar="TOPIC", help="sensor_msgs/CameraInfo of that image")
    parser.add_argument("--compressed", action="store_true", help="the image topic carries sensor_msgs/CompressedImage")
    parser.add_argument("--overlay", action="store_true", help="publish /pedestrian_tracker/overlay")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="model bundle; default: the shipped one")
    parser.add_argument("--gallery", metavar="PLACE", help="gallery file, or postgresql://user@host/name")
    parser.add_argument("--use-sim-time", action="store_true", help="take time from /clock (emgait play --clock)")


def run(args: argparse.Namespace) -> int:
    """Start both nodes and wait; returns 0 after Ctrl-C, else the exit status of the node that ended first."""
    if args.params is not None and not args.params.is_file():
        raise FileNotFoundError(f"there is no parameter file {args.params}")
    commands = {name: command_of(name, args) for name in NODES}
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    use_shipped_profile(environment)
    print(f"[up] Fast DDS profile: {profile_in_use(environment)}", flush=True)
    return supervise(commands, environment)


def command_of(node: str, args: argparse.Namespace) -> list[str]:
    """The command line of one node, with the parameters that were given."""
    files = [shipped_path(f"config/{node}.yaml"), *([args.params.absolute()] if args.params else [])]
    values: dict[str, str | bool | None] = {"use_sim_time": True if args.use_sim_time else None}
    if node == "pedestrian_tracker":
        values |= {
            "topics.cloud": args.cloud,
            "topics.image": args.image,
            "topics.camera_info": args.camera_info,
            "topics.image_compressed": True if args.compressed else None,
            "camera.overlay": True if args.overlay else None,
        }
    else:
        values |= {
            "engine.bundle": str(args.bundle.absolute()) if args.bundle else None,
            "gallery.path": _gallery_place(args.gallery),
        }
    words = [sys.executable, "-m", "emgait_ros.nodes.entry", node, "--ros-args"]
    for file in files:
        words += ["--params-file", str(file)]
    for name, value in values.items():
        if value is not None:
            words += ["-p", f"{name}:={json.dumps(value)}"]  # a JSON string is a YAML string, whatever is in it
    return words


def supervise(commands: Mapping[str, list[str]], environment: Mapping[str, str]) -> int:
    """Run the commands side by side until one ends or a signal comes; stops the others and returns the exit status."""
    processes: dict[str, subprocess.Popen[str]] = {}
    printers: list[threading.Thread] = []
    with asked_to_stop() as asked:
        try:
            for name, command in commands.items():
                process = subprocess.Popen(
                    command,
                    env=dict(environment),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                )
                processes[name] = process
                assert process.stdout is not None  # noqa: S101
                printers.append(threading.Thread(target=_print_lines, args=(name, process.stdout), daemon=True))
                printers[-1].start()
            ended = None
            while not asked.is_set() and ended is None:
                ended = next((name for name, process in processes.items() if process.poll() is not None), None)
                asked.wait(LOOK_S)
        finally:
            _stop(processes)
            for printer in printers:
                printer.join(timeout=2.0)
    if ended is None:
        return 0
    status = _status(processes[ended].returncode)
    print(f"[up] {ended} ended with status {status}: stopped the rest", file=sys.stderr, flush=True)
    return status


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, instead of what they did before."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(processes: Mapping[str, subprocess.Popen[str]]) -> None:
    """SIGINT to all that run; what is still there after 15 s is killed."""
    for process in processes.values():
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + STOP_PATIENCE_S
    for name, process in processes.items():
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            print(f"[up] {name} did not stop within {STOP_PATIENCE_S:.0f} s: killed", file=sys.stderr, flush=True)
            process.kill()
            process.wait()


def _print_lines(name: str, stream: IO[str]) -> None:
    for line in stream:
        print(f"[{name}] {line}", end="", flush=True)


def _status(returncode: int) -> int:
    """As a shell says it: 128 + signal for a process that was killed."""
    return 128 - returncode if returncode < 0 else returncode


def _gallery_place(given: str | None) -> str | None:
    """The nodes run elsewhere than this command: a file's path is made absolute."""
    if not given or is_url(given):
        return given
    return str(Path(given).expanduser().absolute())
