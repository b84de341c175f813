"""How fast and how well people are found: simulated streets with eight walkers, through the code of the live node.

  emgait bench perception                      three streets, 64 beams (130,000 points), 1280x720 images
  emgait bench perception --scenes 1 --json f.json
  emgait bench perception --kitti DIR          also counts real KITTI frames (`emgait demo-real --help` says which folder)

`p50_ms` and `p99_ms` are CPU times of one thread for detection, tracking, crops and points of one cloud with its image.
`recall_30m`, `recall_40m` and `recall_50m` say how often a walker with at least 8 returns has a track within 0.6 m, from
one second after appearing, up to 30 m, from 30 to 42 m and from 42 m on. `false_tracks_per_s` counts tracks that are
said to walk and never were at a walker; those that stand are counted separately. `idf1_crossing` is the mean
(and `_worst` the least) over crossings of twelve people, rendered like the streets; hidden people count, too.
`ratio_patchwork`, `ratio_open3d` and `ratio_sklearn` say how many times faster the detector is than Patchwork++ with
connected components, Open3D's plane and DBSCAN, and Patchwork++ with scikit-learn's DBSCAN on the same clouds in the same
run; a peer that is not installed is skipped and says why. `kitti_...` lines: labelled pedestrians found within 0.5 m, and
false detections in the camera's view. All but the KITTI lines are simulated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import print_figures, progress
from emgait_ros.lab.bench.perception import run_benchmark


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--scenes", type=int, default=3, metavar="N", help="streets, 9 s each (default: 3)")
    parser.add_argument("--beams", type=int, default=64, choices=(32, 64, 128), help="of the LiDAR (default: 64)")
    parser.add_argument("--kitti", type=Path, metavar="DIR", help="folder with real KITTI frames")
    parser.add_argument("--no-peers", action="store_true", help="leave out Patchwork++, Open3D and scikit-learn")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.scenes < 1:
        raise ValueError(f"--scenes is {args.scenes}: at least one street is needed")
    with progress() as bar:
        figures = run_benchmark(args.scenes, args.beams, not args.no_peers, bar.say, args.kitti)
    print_figures("perception", figures)
    write_json(args.json, figures)
    return 0
