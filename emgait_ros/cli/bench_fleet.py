"""Robots that share a gallery in PostgreSQL: how soon each knows of a change, and what they cost the server.

  emgait bench fleet                                     10 robots, 10,000 people, 100 changes a minute, a server of its own
  emgait bench fleet --robots 20 --seconds 60 --json f.json
  emgait bench fleet --dsn postgresql://user@host/empty  a server that runs already; the database stays filled

Robots are processes that open the gallery, keep their copy and follow changes ten times a second as the recognizer does; there is no
ROS and no network in them. `known_everywhere_ms`: from the answer to an enrolment, renaming or removal until the last robot has it in its matcher.
`change_ms`: from the call to the answer. `follow_ms`: what a frame waits for a change. `server_idle`, `server`: what the server does while nothing
happens, and while changes are made. `storm`: the server is stopped as by a power cut and started again.
"""

from __future__ import annotations

import argparse

from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import print_figures, progress
from emgait_ros.lab.bench.fleet import FleetBenchmark, run_benchmark


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    default = FleetBenchmark()
    for name, text in (
        ("robots", "processes"),
        ("people", "people in the gallery"),
        ("templates", "templates of each, 5 x 64 as the shipped model makes them"),
        ("changes_per_minute", "enrolments, renamings and removals a minute"),
        ("seconds", "changes are made for so long"),
    ):
        value = getattr(default, name)
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=value, metavar="N", help=f"{text} (default: {value})")
    parser.add_argument("--dsn", default="", metavar="URL", help="an empty database; default: a server of its own")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    config = FleetBenchmark(**{name: getattr(args, name) for name in FleetBenchmark.__dataclass_fields__})
    with progress() as bar:
        figures = run_benchmark(config, bar.say)
    print_figures("fleet", figures)
    write_json(args.json, figures)
    return 0
