"""Turns real frames of the KITTI object data set into bags that the live nodes can be tried on.

  emgait kitti-bag ~/kitti/training out/kitti                 a bag for each frame: out/kitti/000000, out/kitti/000134 ...
  emgait kitti-bag ~/kitti/training out/kitti --frames 000134
  emgait up --params out/kitti/000134.params.yaml             in one terminal,
  emgait play out/kitti/000134                                in another: the real frame through the live tracker

DATA holds velodyne/, image_2/, calib/ (and label_2/), or NAME.bin or .pcd, NAME.png and NAME.calib.txt or .json side by side.
A frame is a single moment: it is repeated at 10 Hz so that the tracker confirms people. They stand still, so nobody can be
recognised by gait. Each bag has its own calibration (NAME.params.yaml); labelled people are in /ground_truth.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.lab.datasets.kitti import KittiFrames
from emgait_ros.lab.datasets.kitti_bag import write_bag


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("data", type=Path, help="folder with KITTI frames")
    parser.add_argument("out", type=output_folder, help="folder to write the bags into")
    parser.add_argument("--frames", nargs="+", metavar="NAME", help="only these frames (default: all)")
    parser.add_argument(
        "--clouds", type=int, default=30, metavar="N", help="how often each frame is repeated (default 30: 3 s)"
    )
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="kind of rosbag2 (default mcap)")
    parser.add_argument("--overwrite", action="store_true", help="remove bags that are there already")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write what was written to this file")


def run(args: argparse.Namespace) -> int:
    """Write the bags."""
    frames = KittiFrames(args.data)
    written = []
    for name in track(args.frames or frames.names, "writing", console=Console(stderr=True), transient=True):
        path = args.out / name
        if args.overwrite and (path / "metadata.yaml").is_file():
            shutil.rmtree(path)
        bag = write_bag(frames[name], path, clouds=args.clouds, storage=args.storage)
        labelled = "no labels" if bag.people is None else f"{bag.people} people labelled"
        print(
            f"{bag.path}: {bag.clouds} times frame {name}, {labelled}; parameters for the tracker: {bag.params}",
            file=sys.stderr,
        )
        written.append(
            {"frame": name, "bag": str(bag.path), "params": str(bag.params), "clouds": bag.clouds, "people": bag.people}
        )
    write_json(args.json, written)
    return 0
