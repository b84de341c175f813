"""How late the live nodes answer: a cloud of 130,000 points and a 1280x720 image ten times a second, over DDS.

  emgait bench live                               1, 4, 8, 16 and 32 people, 30 s each, with the shipped bundle
  emgait bench live --people 8 --bundle DIR --json f.json

`p50_ms`, `p95_ms`, `p99_ms`: from the stamp of a cloud, which is when it is sent, to the arrival of its identities. `lost`:
clouds without an answer: above what the machine can do the newest is answered, and those between are left out. `cpu`: cores that
each node takes. `stages_ms`: medians of what /diagnostics says. The player that sends the messages takes part of the machine,
too. Simulated people, sensors and street; real nodes, messages and network.
"""

from __future__ import annotations

import argparse
import os

from emgait_ros.cli.demo_processes import compile_kernels, isolate
from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import console_of, progress, table
from emgait_ros.lab.bench.live import run_benchmark


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--people", type=int, nargs="+", default=[1, 4, 8, 16, 32], metavar="N", help="in view (default: 1 4 8 16 32)"
    )
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="for each number (default: 30)")
    parser.add_argument("--bundle", default="", metavar="DIR", help="model bundle; default: the shipped one")
    parser.add_argument("--beams", type=int, default=64, choices=(32, 64, 128), help="of the LiDAR (default: 64)")
    parser.add_argument("--width", type=int, default=1280, metavar="PX", help="of the images (default: 1280)")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if not args.seconds >= 1:
        raise ValueError(f"--seconds is {args.seconds}: at least 1 is needed")
    isolate(os.environ)
    compile_kernels(console_of(stderr=True))
    with progress() as bar:
        figures = run_benchmark(args.people, args.seconds, args.bundle, bar.say, args.beams, args.width)
    title = f"live nodes, {figures['points']} points, {figures['image']}, 10 Hz"
    flat = [_flat(row) for row in figures["by_people"].values()]
    rows = [(key, *(str(row.get(key)) for row in flat)) for key in flat[0]]
    console_of(120).print(table(title, ("people", *figures["by_people"]), rows, caption=figures["machine"]))
    write_json(args.json, figures)
    return 0


def _flat(row: dict) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in row.items():
        found |= {f"{key} {name}": entry for name, entry in value.items()} if isinstance(value, dict) else {key: value}
    return found
