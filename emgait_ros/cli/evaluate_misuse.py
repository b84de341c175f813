"""What happens when people move otherwise than the network learnt, and whom the errors fall on: on simulated people.

  emgait evaluate misuse                    with the shipped bundle and its threshold
  emgait evaluate misuse --people 40 --json figures.json

One table by way of moving: swapped clothes, backwards, in haste, with a box, behind a pram, shuffling; in a wheelchair, gliding, standing.
Another by sex, stature, build and age. Named rightly and wrongly: of walks of people who are enrolled; strangers named: of walks of
people who are not. Refused: walks that enrolling refuses as no gait. Running and crutches are not simulated. About six seconds a person.
"""

from __future__ import annotations

import argparse
from typing import Any

from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import console_of, progress, table
from emgait_ros.config import RecognizerNodeConfig
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.lab.evaluation import misuse
from emgait_ros.lab.evaluation.published import as_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--people", type=int, default=60, metavar="N", help="people to simulate (default: %(default)s)")
    parser.add_argument("--bundle", default="", metavar="FOLDER", help="model bundle; default: the shipped one")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Simulate, measure and print."""
    encoder = GaitEncoder(load_bundle(args.bundle), RecognizerNodeConfig().engine)
    with progress("people walking") as bar:
        people = misuse.walk_everybody(encoder, args.people, bar.at)
    ways, groups = misuse.by_way(encoder, people), misuse.by_group(encoder, people)
    if_enrolled, note = misuse.enrolled_without_gait(encoder, people), misuse.how_much(people)
    named = ("named rightly", "named wrongly", "strangers named")
    rows = [(way, *map(str, found.values()), str(if_enrolled.get(way, ""))) for way, found in ways.items()]
    console = console_of(120)
    console.print(table("ways of moving, percent", ("", *named, "refused", "if enrolled"), rows))
    console.print("if enrolled: strangers named when people who move like that are enrolled like that")
    rows = [
        (f"{kind}: {name}", str(count), *map(str, figures.values()))
        for kind, found in groups.items()
        for name, (count, figures) in found.items()
    ]
    console.print(table("groups of people, ordinary walks, percent", ("", "people", *named), rows))
    console.print(note)
    answer: dict[str, Any] = {"note": note, "model": encoder.fingerprint, "threshold": encoder.bundle.threshold}
    answer["ways"] = {way: as_json(figures) for way, figures in ways.items()}
    answer["strangers_named_if_enrolled"] = as_json(if_enrolled)
    answer["groups"] = {
        kind: {name: {"people": count, **as_json(figures)} for name, (count, figures) in found.items()}
        for kind, found in groups.items()
    }
    write_json(args.json, answer)
    return 0
