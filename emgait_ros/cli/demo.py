"""The whole product in a minute, on real ROS 2: simulated people walk past a simulated LiDAR and camera, real nodes
track them over DDS, the enrol service is called for each of them, and on their second walk, in other clothes and at other
ranges, they are to be recognised. A stranger among them is to stay unknown.

  emgait demo                         writes out/demo/: summary.json, recognised.webm, strip.png, gallery.db and nodes.log
  emgait demo --out /tmp/x --seed 3   other people

The exit status is 0 only if every enrolled walker was recognised on the second walk, nobody was named wrongly, and the
stranger was called unknown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from emgait_ros.cli.demo_processes import Playback, compile_kernels, emgait, isolate, running, topics_to_play
from emgait_ros.cli.outputs import output_folder, write_json
from emgait_ros.cli.terminal import console_of, progress
from emgait_ros.lab.demo.film import write_film
from emgait_ros.lab.demo.report import judge, summary, table
from emgait_ros.lab.simulation.recording import Recording, record
from emgait_ros.lab.simulation.scene import SCENES

if TYPE_CHECKING:
    from emgait_ros.lab.demo.observer import DemoNotes

IDENTITIES = "/gait_recognizer/identities"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--out",
        type=output_folder,
        default=Path("out/demo"),
        help="folder to write to, emptied first (default out/demo)",
    )
    parser.add_argument("--seed", type=int, default=7, help="who the people are (default 7)")
    parser.add_argument("--bundle", type=Path, help="model bundle; default: the shipped one")
    parser.add_argument(
        "--rate", type=float, default=1.0, help="speed of playing; below 1 on a slow machine (default 1)"
    )
    parser.add_argument("--keep-bag", action="store_true", help="do not delete the bag (1 GB) at the end")


def run(args: argparse.Namespace) -> int:
    """Simulate, play, enrol, judge; 0 when everything was decided rightly."""
    began = time.monotonic()
    console = console_of()
    out: Path = args.out
    _empty(out)
    isolate(os.environ)
    recording = _simulate(args.seed, out / "walk")
    simulated = time.monotonic()
    compile_kernels(console)
    log = out / "nodes.log"
    console.print(f"starting the nodes (their output: {log})")
    with console.status("people walk past the sensors, are enrolled, and come again"):
        notes = play_live(recording, out / "gallery.db", log, args.bundle, args.rate, lambda text: _say(console, text))
    played = time.monotonic()
    with console.status("drawing the film"):
        pictures = write_film(recording.path, notes.sightings, recording.walks, out)
    verdicts = [judge(walk, notes.sightings) for walk in recording.walks if walk.is_probe]
    seconds = {"simulate": simulated - began, "live": played - simulated, "film": time.monotonic() - played}
    result = summary(verdicts, notes.enrollments, {"seed": args.seed, "seconds": seconds, "simulated": True})
    write_json(out / "summary.json", result)
    if not args.keep_bag:
        shutil.rmtree(recording.path)
    console.print(table(verdicts, notes.enrollments))
    for enrollment in notes.enrollments:
        if not enrollment.success:
            console.print(f"enrolling {enrollment.name}: {enrollment.message}", style="yellow")
    console.print(f"written: {', '.join(str(path) for path in [out / 'summary.json', *pictures])}")
    console.print("simulated people, simulated sensors; real ROS 2 nodes, messages and services", style="dim")
    return 0 if result["passed"] else 1


def _empty(out: Path) -> None:
    """Make the output folder, without what an earlier demo left there; nothing else is touched."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "walk", ignore_errors=True)
    leftover = (
        "walk.params.yaml", "summary.json", "recognised.webm", "strip.png", "nodes.log", "gallery.db",
        "gallery.db-wal", "gallery.db-shm",
    )  # fmt: skip
    for name in leftover:
        (out / name).unlink(missing_ok=True)


def _simulate(seed: int, path: Path) -> Recording:
    scene = SCENES["demo"](seed)
    with progress("simulating the street", scene.duration_s) as bar:
        return record(scene, path, jpeg=True, on_progress=bar.at)


def _say(console: Console, text: str) -> None:
    console.print(f"  {text}")


def play_live(
    recording: Recording,
    gallery: Path,
    log: Path,
    bundle: Path | None = None,
    rate: float = 1.0,
    say: Callable[[str], None] = print,
) -> DemoNotes:
    """Start both nodes, play the bag to them, enrol and listen; returns the observer's notes."""
    from emgait_ros.lab.demo.observer import observe

    up = emgait("up", "--params", recording.params, "--gallery", gallery, "--use-sim-time")
    up += ["--bundle", str(bundle)] if bundle else []
    # A machine slower than the recording plays it more slowly, rather than losing other frames each time.
    options = ("--clock", "--rate", str(rate), "--follow", IDENTITIES)
    playback = Playback(recording.path, "--topics", *topics_to_play(recording.path), *options)
    with running(up, log) as nodes:
        notes = observe(recording.walks, playback.start, playback.finished, lambda: nodes.poll() is None, say)
    say(playback.report)
    return notes
