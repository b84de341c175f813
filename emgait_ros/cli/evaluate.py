"""Measures recognition, without ROS: on recordings by the live nodes' pipeline, on data sets by their protocols.

  emgait evaluate bag BAG        who was recognised in a rosbag2, from when on, at what range
  emgait evaluate dataset sim    Rank-1, mAP, EER and more of a bundle on simulated people it never saw

`emgait evaluate bag --help` and `emgait evaluate dataset --help` say more.
"""

from __future__ import annotations

import argparse
from importlib import import_module

KINDS: dict[str, tuple[str, str]] = {
    # name: (module with configure(parser) and run(args) -> exit status, one line of help)
    "bag": ("emgait_ros.cli.evaluate_bag", "a rosbag2 of your sensors or of simulated people"),
    "dataset": ("emgait_ros.cli.evaluate_dataset", "a data set, by its published protocol"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of recordings, each with its own arguments."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name, (module, summary) in KINDS.items():
        part = import_module(module)
        sub = kinds.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=part.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        part.configure(sub)


def run(args: argparse.Namespace) -> int:
    """Run the chosen evaluation."""
    return int(import_module(KINDS[args.kind][0]).run(args))
