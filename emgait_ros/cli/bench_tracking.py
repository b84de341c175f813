"""How well and how fast people are followed: real detections of KITTI tracking, and simulated people who cross.

  emgait bench tracking --kitti ~/kitti_tracking
  emgait bench tracking --kitti DIR --out out/tracks --json f.json     also writes the tracks: frame,id,x,y,z
  emgait bench tracking --kitti DIR --sequences 0015                   others than 0016 and 0019, scored together

MOTA, IDF1 and HOTA in percent, pedestrians within 50 m, centre distance at most 1 m in the ground plane, with the options of
the live node; all that it would publish counts. `coasting_share`: part of it without a detection in the frame. `frames_per_s`
counts the tracker's CPU time on one core. `idf1_crossing` is the mean over simulated crossings of twelve people with
occlusion (0 to 1; hidden people count, too). DIR needs NNNN.detections.txt and NNNN.label.txt; without --kitti that part is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.cli.terminal import print_figures
from emgait_ros.lab.bench.tracking import SEQUENCES, run_benchmark


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--kitti", type=Path, metavar="DIR", help="KITTI tracking labels and detections")
    parser.add_argument("--sequences", nargs="+", default=SEQUENCES, metavar="NNNN", help="of DIR (default: 0016 0019)")
    parser.add_argument("--crossings", type=int, default=20, metavar="N", help="simulated crossings (default: 20)")
    parser.add_argument(
        "--out", type=output_folder, metavar="DIR", help="write the tracks of the KITTI sequences there"
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.kitti is None and args.crossings < 1:
        raise ValueError("nothing to measure: give --kitti DIR, or --crossings of at least 1")
    figures = run_benchmark(args.kitti, args.crossings, args.out, args.sequences)
    print_figures("tracking", figures)
    write_json(args.json, figures)
    return 0
