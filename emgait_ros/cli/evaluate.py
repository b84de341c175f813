"""Measures recognition and detection, without ROS: on recordings by the live nodes' pipeline, on data sets by their protocols.

  emgait evaluate bag BAG        who was recognised in a rosbag2, from when on, at what range
  emgait evaluate dataset sim    Rank-1, mAP, EER and more of a bundle on simulated people it never saw
  emgait evaluate table lrgait   the paper's tables: every system trained alike and tested by a data set's protocol
  emgait evaluate detection DIR  labelled people that the detector finds in clouds, and why it misses the others
  emgait evaluate misuse         backwards, in swapped clothes, in a wheelchair; who is misnamed or missed

`emgait evaluate bag --help` and its like say more.
"""

from __future__ import annotations

import argparse

from emgait_ros.cli.commands import add_commands

KINDS = {
    "bag": ("emgait_ros.cli.evaluate_bag", "a rosbag2 of your sensors or of simulated people"),
    "dataset": ("emgait_ros.cli.evaluate_dataset", "a data set, by its published protocol"),
    "table": ("emgait_ros.cli.evaluate_table", "every system trained and tested alike: the paper's tables"),
    "detection": ("emgait_ros.cli.evaluate_detection", "clouds in which people are labelled: the detector alone"),
    "misuse": (
        "emgait_ros.cli.evaluate_misuse",
        "simulated people who move in other ways, and errors by groups of people",
    ),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of recordings, each with its own arguments."""
    add_commands(parser, KINDS, "kind", "KIND")
