"""How fast and how lifelike the simulator is.

  emgait bench simulator                                   samples a second on two processes, repeatability, spread of people
  emgait bench simulator --pictures docs/images/simulator  pictures of walks in all conditions and views, and of a street
  emgait bench simulator --kitti ~/kitti/training --beside beside.png   real pedestrians above, simulated ones below

A sample is one pedestrian in one frame: LiDAR returns and a 128 x 64 crop, at 10 to 50 m, in all conditions, written to
disk. The picture beside KITTI shows real people: KITTI is CC BY-NC-SA 3.0, keep the picture out of this repository.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from emgait_ros.cli.commands import add_numbers
from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.cli.terminal import console_of, print_figures
from emgait_ros.lab.bench.simulator import run_benchmark
from emgait_ros.lab.bench.simulator_pictures import write_beside_kitti, write_pictures


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_numbers(
        parser,
        ("people", 8, "N", "people to generate"),
        ("frames", 24, "N", "samples a walk"),
        ("workers", 2, "N", "processes"),
    )
    parser.add_argument(
        "--pictures", type=output_folder, metavar="FOLDER", help="write pictures there instead of measuring"
    )
    parser.add_argument("--kitti", type=Path, metavar="FOLDER", help="real frames with labels, for --beside")
    parser.add_argument(
        "--beside", type=output_file, metavar="FILE", help="write real and simulated pedestrians side by side"
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure and print, or draw."""
    if (args.kitti is None) != (args.beside is None):
        raise ValueError("--kitti FOLDER and --beside FILE go together")
    if min(args.people, args.frames, args.workers) < 1:
        raise ValueError("--people, --frames and --workers must be at least 1")
    console = console_of(100)
    if args.pictures or args.beside:
        written = write_pictures(args.pictures) if args.pictures else []
        written += [write_beside_kitti(args.kitti, args.beside)] if args.beside else []
        for path in written:
            console.print(f"wrote {path}")
        return 0
    with console.status("") as status:
        figures = run_benchmark(args.people, args.workers, args.frames, status.update)
    shown = {}
    for name, value in figures.items():
        for key, entry in value.items() if isinstance(value, dict) else [("", value)]:
            text = ", ".join(f"{k} {v}" for k, v in entry.items()) if isinstance(entry, dict) else str(entry)
            shown[f"{name} {key}".strip()] = text
    print_figures("simulator", shown)
    write_json(args.json, figures)
    return 0
