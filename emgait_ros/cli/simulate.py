"""Writes a rosbag2 (mcap) of simulated people in a street, seen by a spinning LiDAR and a camera.

  emgait simulate out/walk.bag                       the scene of `make demo`: four people, twice, and a stranger
  emgait simulate out/short.bag --scene crossing     ten seconds, two people
  emgait simulate out/crowd.bag --scene crowd --beams 128   twelve people at 9 to 50 m, 128 beams
  emgait simulate out/walk.bag --seconds 20 --seed 3 the first 20 s, other people

Topics: /lidar/points, /camera/image, /camera/camera_info, /tf_static and /ground_truth (where everybody really is).
The camera runs on its own clock rate, so stamps do not coincide. Beside the bag, OUT.params.yaml holds the extrinsics
for the live node: emgait up --params out/walk.bag.params.yaml, then emgait play out/walk.bag.
Images are raw: about 100 MB a second of recording. --jpeg writes /camera/image/compressed instead, a quarter of the size
in all; --compress zips whatever is in the bag, slowly.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict, replace

from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.cli.terminal import progress
from emgait_ros.lab.simulation.recording import record
from emgait_ros.lab.simulation.scene import SCENES, shortened


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("out", type=output_folder, help="folder of the bag to write")
    parser.add_argument("--scene", choices=sorted(SCENES), default="demo", help="who walks where (default demo)")
    parser.add_argument("--beams", type=int, choices=(32, 64, 128), default=64, help="of the LiDAR (default 64)")
    parser.add_argument("--seconds", type=float, metavar="S", help="only the first seconds")
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="which people, and all noise (default 7)")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="kind of rosbag2 (default mcap)")
    parser.add_argument("--compress", action="store_true", help="zstd inside the mcap file")
    parser.add_argument("--jpeg", action="store_true", help="JPEG images on /camera/image/compressed")
    parser.add_argument("--overwrite", action="store_true", help="remove a bag that is there already")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write who walks when to this file")


def run(args: argparse.Namespace) -> int:
    """Simulate and write."""
    if args.seed < 0:
        raise ValueError(f"--seed is {args.seed}: expected 0 or more")
    if args.seconds is not None and args.seconds <= 0:
        raise ValueError(f"--seconds is {args.seconds:g}: expected more than 0")
    if args.overwrite and (args.out / "metadata.yaml").is_file():
        shutil.rmtree(args.out)
    scene = SCENES[args.scene](args.seed)
    scene = replace(scene, head=replace(scene.head, beams=args.beams))
    if args.seconds is not None:
        scene = shortened(scene, args.seconds)
    with progress("simulating", scene.duration_s) as bar:
        recording = record(
            scene, args.out, storage=args.storage, compress=args.compress, jpeg=args.jpeg, on_progress=bar.at
        )
    size_mb = sum(f.stat().st_size for f in args.out.iterdir()) / 1e6
    print(
        f"{args.out}: {recording.clouds} clouds and {recording.images} images of the scene '{scene.name}' (simulated), {size_mb:.0f} MB"
    )
    print(f"extrinsics for the live node: {recording.params}")
    write_json(args.json, asdict(recording))
    return 0
