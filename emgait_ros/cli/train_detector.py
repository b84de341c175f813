"""Train the scorer that judges what the detector sees, on simulated clouds alone.

    emgait train-detector my_scorer                     4,750 simulated clouds: three quarters of an hour on two cores
    emgait train-detector my_scorer --clouds 500 --hard-clouds 100    a quick one
    emgait train-detector my_scorer --shards runs/here  keep the examples there, and use those that are there

The clouds are streets, squares, parks and rooms with people and clutter, before sensors of many kinds
(emgait_ros/lab/simulation/cluttered_scenes.py). What is learned from each: what the sensor sees around every place where somebody may
stand, from the front and from above (emgait_ros/sensing/perception/views.py), and whether it was a person.
After the passes over these come some steps in which a fifth of each batch is from clouds full of what is easily mistaken
(emgait_ros/lab/simulation/clutter/hard_cases.py). Use the result with the option detector.scorer, and see what it finds with `emgait evaluate detection FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from emgait_ros.cli.commands import add_numbers, development_packages
from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.cli.terminal import progress


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", type=output_folder, metavar="DIR", help="where the scorer goes (two ONNX files)")
    add_numbers(
        parser,
        ("clouds", 3750, "N", "simulated clouds"),
        ("hard-clouds", 1000, "N", "of what is easily mistaken; 0: none"),
        ("epochs", 5, "N", "passes over them"),
        ("seed", 0, "N", "of the training"),
        ("processes", os.cpu_count() or 1, "N", "that simulate"),
    )
    parser.add_argument(
        "--shards",
        type=output_folder,
        default=Path("runs/detector"),
        metavar="DIR",
        help="examples (default: %(default)s)",
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="also write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Simulate, train, write; exit status 0."""
    with development_packages("training"):
        from emgait_ros.lab.detection import training
        from emgait_ros.lab.detection.examples import read_shard

    options = training.ScorerTraining(
        args.clouds, args.hard_clouds, epochs=args.epochs, seed=args.seed, processes=args.processes
    )
    args.folder.mkdir(parents=True, exist_ok=True)
    with progress() as bar:
        shards, hard_shards = training.write_shards(args.shards, options, bar.say)
        first, network, figures = training.train(shards, hard_shards, options, bar.say)
    training.export(first, network, read_shard(shards[0]), args.folder)
    write_json(args.json, figures)
    print(json.dumps(figures, indent=2))
    print(f"written: {args.folder}; use it with the option detector.scorer")
    return 0
