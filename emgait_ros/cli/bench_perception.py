"""How fast and how well people are found: simulated streets with eight walkers, through the code of the live node.

  emgait bench perception                      three streets, 64 beams (130,000 points), 1280x720 images
  emgait bench perception --scenes 1 --json f.json

`p50_ms` and `p99_ms` are CPU times of one thread for detection, tracking, crops and points of one cloud with its image.
`recall_30m`, `recall_40m` and `recall_50m` say how often a walker with at least 8 returns has a track within 0.6 m, from
one second after appearing, up to 30 m, from 30 to 42 m and from 42 m on. `false_tracks_per_s` counts tracks that are
said to walk and never were at a walker; those that stand carry no gait and are counted apart. `ratio_patchwork` and
`ratio_open3d` say how many times faster the detector is than Patchwork++ with connected components and than Open3D's
plane and DBSCAN on the same clouds (null where not installed). Simulated sensors only: real frames are tested in
test/perception.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from emgait_ros.evaluation.bench_perception import run_benchmark


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--scenes", type=int, default=3, metavar="N", help="streets, 9 s each (default: 3)")
    parser.add_argument("--beams", type=int, default=64, choices=(32, 64, 128), help="of the LiDAR (default: 64)")
    parser.add_argument("--no-peers", action="store_true", help="leave out Patchwork++ and Open3D")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.scenes < 1:
        raise ValueError(f"--scenes is {args.scenes}: at least one street is needed")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=1.0)
        figures = run_benchmark(
            args.scenes,
            args.beams,
            not args.no_peers,
            lambda text, done: progress.update(task, description=text, completed=done),
        )
    table = Table(box=box.SIMPLE_HEAD, title="perception", title_justify="left", caption=figures["machine"])
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in figures.items():
        if name != "machine":
            table.add_row(name, "not installed" if value is None else str(value))
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0
