"""Simulated hours through the real nodes over DDS, as fast as they answer.

  emgait soak                                an hour: 36,000 clouds, 1,000 people in the gallery, ten kills at the end
  emgait soak --minutes 480 --kills 200      eight hours (two cores do 20 to 35 clouds a second); Ctrl-C goes on to the kills at once

People come and go, are enrolled and removed, the light changes, the gallery is backed up, and each hour the stamps start over as
of a bag that is played again. `soak_slope_mb_per_h` is the slope of both nodes' own memory (without files and shared memory) over
the later two thirds of the simulated time, with twice its standard error; usage.jsonl in `--out` has a line a round. `files`,
`threads`: at first, at most, at last. `left_out`: clouds that were overtaken by the next while a node was busy; `unanswered`:
those that nothing came of. `identical_answers`: the same input was answered alike at the beginning and at the end.
`lost_answers`: people whose enrolment was answered and who were not in the gallery after the nodes had been killed. The exit
status is 1 when an answer was lost or differed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from emgait_ros.cli.commands import add_numbers
from emgait_ros.cli.demo_processes import compile_kernels, isolate
from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.cli.terminal import console_of, print_figures, progress
from emgait_ros.lab.soak.soak import SoakPlan, run_soak

PLAN = (
    ("minutes", "M", "simulated"),
    ("kills", "N", "times a node is killed at the end"),
    ("people", "N", "made-up people in the gallery"),
    ("walkers", "N", "people who cross the street in 20 s"),
    ("beams", "N", "of the simulated LiDAR: 32, 64 or 128"),
    ("width", "N", "of the simulated images, px"),
    ("seed", "N", "of the street and of chance"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    default = SoakPlan()
    add_numbers(parser, *((name, getattr(default, name), metavar, text) for name, metavar, text in PLAN))
    parser.add_argument("--bundle", default="", metavar="DIR", help="model bundle; default: the shipped one")
    parser.add_argument("--out", type=output_folder, help="keep the gallery and the logs in this folder")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Soak and print; 1 when an answer was lost or differed."""
    if args.minutes <= 0 or min(args.kills, args.people) < 0:
        raise ValueError("--minutes must be above 0, --kills and --people at least 0")
    isolate(os.environ)
    compile_kernels(console_of(stderr=True))
    plan = SoakPlan(**{name: getattr(args, name) for name, _, _ in PLAN})
    with tempfile.TemporaryDirectory(prefix="emgait-soak-") as made, progress() as bar:
        folder = args.out or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        figures = run_soak(plan, folder, bar.say, args.bundle)
    print_figures("soak", figures)
    write_json(args.json, figures)
    return int(bool(figures["lost_answers"]) or not figures["identical_answers"])
