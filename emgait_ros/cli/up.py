"""Starts the same two nodes as `ros2 launch emgait_ros gait.launch.py`, where there is no ROS launch (a pip set-up):

    emgait up                                                the topics of a simulated recording
    emgait up --cloud /ouster/points --image /cam/image_raw --camera-info /cam/camera_info
    emgait up --params my_robot.yaml --gallery ~/people.db
    emgait up --namespace robot1 --namespaced-tf             one robot of several: /robot1/lidar/points, /robot1/tf ...

The options given here take precedence over your --params file, and that over the defaults. The nodes' output appears with
their name in front. Ctrl-C stops both; when one of them ends, the other is stopped too and its exit status is returned:
nothing is restarted, so that a fault is seen.

Large best-effort messages need the shipped Fast DDS profile in the process that *sends* them: `emgait play` sets it, for a
driver set FASTRTPS_DEFAULT_PROFILES_FILE (Jazzy) or FASTDDS_DEFAULT_PROFILES_FILE (Kilted) to the file that is printed at start.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from emgait_ros.gallery.database import is_url
from emgait_ros.parameter_file import load_parameters
from emgait_ros.starting import NAMESPACED_TF, nodes_of, parameters_of, write_parameters
from emgait_ros.stop_signals import asked_to_stop
from emgait_ros.transport import profile_in_use, use_shipped_profile

STOP_PATIENCE_S = 15.0
LOOK_S = 0.1


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `emgait up`."""
    parser.add_argument("--params", type=Path, metavar="FILE", help="YAML with parameters of one or both nodes")
    parser.add_argument("--cloud", metavar="TOPIC", help="sensor_msgs/PointCloud2 of the LiDAR")
    parser.add_argument("--image", metavar="TOPIC", help="image of the camera; none: the LiDAR alone")
    parser.add_argument("--camera-info", metavar="TOPIC", help="sensor_msgs/CameraInfo of that image")
    parser.add_argument("--compressed", action="store_true", help="the image topic carries sensor_msgs/CompressedImage")
    parser.add_argument("--boxes", metavar="TOPIC", help="vision_msgs/Detection3DArray of a detector of yours")
    parser.add_argument("--overlay", action="store_true", help="publish pedestrian_tracker/overlay")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="model bundle; default: the shipped one")
    parser.add_argument("--gallery", metavar="PLACE", help="gallery file, or postgresql://user@host/name")
    parser.add_argument("--namespace", metavar="NAME", default="", help="of both nodes and all relative topics")
    parser.add_argument("--namespaced-tf", action="store_true", help="read tf and tf_static of that namespace")
    parser.add_argument("--bridges", metavar="PARTS", help="vision,people,hri: also publish messages of other packages")
    parser.add_argument(
        "--console", action="store_true", help="start `emgait console` with them: http://127.0.0.1:8899"
    )
    parser.add_argument("--use-sim-time", action="store_true", help="take time from /clock (emgait play --clock)")


def run(args: argparse.Namespace) -> int:
    """Start both nodes and wait; returns 0 after Ctrl-C, else the exit status of the node that ended first."""
    if args.params is not None:
        for sentence in load_parameters(args.params, args.namespace)[2]:
            print(f"[up] {sentence}", file=sys.stderr, flush=True)
    if not re.fullmatch(r"/?([A-Za-z_][A-Za-z0-9_]*/?)*", args.namespace):
        raise ValueError(
            f"--namespace is '{args.namespace}': expected letters, digits and _, such as robot1 or fleet/robot1"
        )
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    use_shipped_profile(environment)
    print(f"[up] Fast DDS profile: {profile_in_use(environment)}", flush=True)
    with TemporaryDirectory(prefix="emgait-up-") as folder:
        commands = {name: command_of(name, args, Path(folder)) for name in nodes_of(_given(args))}
        if args.console:
            commands["console"] = [sys.executable, "-m", "emgait_ros", "console", "--namespace", args.namespace]
        return supervise(commands, environment)


def command_of(node: str, args: argparse.Namespace, folder: Path) -> list[str]:
    """The command line of one node; the options that were given go into a parameter file in ``folder``."""
    words = [sys.executable, "-m", "emgait_ros.nodes.entry", node, "--ros-args"]
    if args.params:
        words += ["--params-file", str(args.params.absolute())]
    if values := parameters_of(node, _given(args)):
        words += ["--params-file", str(write_parameters(folder / f"{node}.yaml", node, values))]
    if namespace := args.namespace.strip("/"):
        words += ["-r", f"__ns:=/{namespace}"]
    for name, relative in NAMESPACED_TF.items() if args.namespaced_tf else ():
        words += ["-r", f"{name}:={relative}"]
    return words


def _given(args: argparse.Namespace) -> dict[str, str | bool | None]:
    """The options by the names of the launch file's arguments; None where one was not given."""
    return {
        "cloud_topic": args.cloud,
        "image_topic": args.image,
        "camera_info_topic": args.camera_info,
        "image_compressed": args.compressed or None,
        "boxes_topic": args.boxes,
        "overlay": args.overlay or None,
        "bridges": args.bridges,
        "bundle": str(args.bundle.absolute()) if args.bundle else None,
        "gallery": _gallery_place(args.gallery),
        "use_sim_time": args.use_sim_time or None,
    }


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
