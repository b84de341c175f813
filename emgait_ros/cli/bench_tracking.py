"""How well and how fast people are followed: real detections of KITTI tracking, and simulated people who cross.

  emgait bench tracking --kitti ~/kitti_tracking
  emgait bench tracking --kitti DIR --out out/tracks --json f.json     also writes the tracks: frame,id,x,y,z

MOTA, IDF1 and HOTA in percent over the sequences 0016 and 0019 together, pedestrians within 50 m, centre distance at
most 1 m in the ground plane, one set of options for both. `frames_per_s` counts the tracker's CPU time on one core.
`idf1_crossing` is the mean over simulated crossings of twelve people with occlusion (0 to 1; hidden people count, too),
with the options of the live node. DIR needs NNNN.detections.txt and NNNN.label.txt; without --kitti that part is left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.lab.bench.tracking import run_benchmark


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--kitti", type=Path, metavar="DIR", help="KITTI tracking labels and detections")
    parser.add_argument("--crossings", type=int, default=20, metavar="N", help="simulated crossings (default: 20)")
    parser.add_argument(
        "--out", type=output_folder, metavar="DIR", help="write the tracks of the KITTI sequences there"
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.kitti is None and args.crossings < 1:
        raise ValueError("nothing to measure: give --kitti DIR, or --crossings of at least 1")
    figures = run_benchmark(args.kitti, args.crossings, args.out)
    table = Table(box=box.SIMPLE_HEAD, title="tracking", title_justify="left", caption=figures["machine"])
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in figures.items():
        if name != "machine":
            table.add_row(name, str(value))
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    write_json(args.json, figures)
    return 0
