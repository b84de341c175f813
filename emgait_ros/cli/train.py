"""Train EMGaitNet, or the network that `architecture` names, by a recipe and write a bundle.

    emgait train config/training/emgait-sim.yaml              the shipped weights, from nothing but the simulator
    emgait train config/training/emgait-sim.yaml --resume     go on where a run was stopped or killed
    emgait train my.yaml --until clip                         only the first stages: data, clip, network, bundle
    torchrun --nproc-per-node 4 -m emgait_ros train my.yaml   on several GPUs

The run's folder (runs/<name>) gets the simulated walks, CLIP, checkpoint.safetensors, log.jsonl (a line a step) and
the same figures for TensorBoard (tensorboard --logdir runs);
the finished bundle goes to models/<name>, with its threshold calibrated on people that were not trained on and its
model card. Ctrl-C ends the current step, writes a checkpoint and stops. The keys of a recipe are explained in
emgait_ros/lab/training/recipe.py; a recipe may leave out what it does not change.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emgait_ros.cli.commands import development_packages
from emgait_ros.cli.outputs import output_file, write_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="recipe (YAML)")
    parser.add_argument("--resume", action="store_true", help="go on from the run folder's checkpoint")
    parser.add_argument(
        "--until",
        choices=("data", "clip", "network", "bundle"),
        default="bundle",
        help="last stage to do (default: %(default)s)",
    )
    parser.add_argument(
        "--json", type=output_file, metavar="FILE", help="also write the figures of the finished bundle to this file"
    )


def run(args: argparse.Namespace) -> int:
    """Train; exit status 0 when all wanted stages are done, 130 when it was stopped."""
    with development_packages("training"):
        from emgait_ros.lab.training.loop import Interrupted
        from emgait_ros.lab.training.recipe_file import load_training_config
        from emgait_ros.lab.training.run import Run
    config = load_training_config(args.config)
    try:
        bundle = Run(config, args.resume, f"emgait train {args.config}").all_stages(args.until)
    except Interrupted as stopped:
        print(f"emgait train: {stopped}", file=sys.stderr)
        return 130
    if bundle is None:
        print(f"{args.until}: done, in {config.run_folder}")
        return 0
    print(f"{bundle.folder}: threshold {bundle.threshold:.3f}, figures in {bundle.folder / 'MODEL_CARD.md'}")
    write_json(args.json, bundle.manifest["training"]["measured"])
    return 0
