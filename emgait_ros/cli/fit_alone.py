"""Fit what tells people apart by LiDAR alone, on simulated people before LiDARs of many kinds; the network stays as it is.

    emgait fit-alone models/emgait-sim --out models          the shipped bundle's: 1,500 people
    emgait fit-alone my/bundle --out models --people 200     a quick one

The bundle gets further vectors in its embedding, which windows without a picture are matched by; with pictures every distance
stays what it was, and so does the threshold. Templates of the older bundle are of another model: enrol again. See how it does with
`emgait evaluate dataset sim` and, on recordings of real people, `emgait evaluate dataset lreid DIR`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from emgait_ros.cli.commands import add_numbers, development_packages
from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.inference.bundle import default_bundle_path, load_bundle, refuse_local_only


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", nargs="?", default="", help="folder of the bundle (default: the shipped one)")
    parser.add_argument(
        "--out", type=output_folder, required=True, metavar="DIR", help="folder the new bundle goes into"
    )
    add_numbers(
        parser,
        ("vectors", 1, "N", "of the embedding"),
        ("people", 1500, "N", "fitted to"),
        ("strangers", 200, "N", "who scale them to the threshold"),
        ("processes", os.cpu_count() or 1, "N", "that simulate"),
    )
    parser.add_argument(
        "--runs",
        type=output_folder,
        default=Path("runs/points-alone"),
        metavar="DIR",
        help="where simulated passes are kept (default: %(default)s)",
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="also write what was found to this file")


def run(args: argparse.Namespace) -> int:
    """Simulate, fit, write; exit status 0."""
    with development_packages("training"):
        from emgait_ros.lab.simulated_supervision.alone_bundle import bundle_with_points_alone
        from emgait_ros.lab.simulated_supervision.alone_discriminant import STRANGERS
        from emgait_ros.lab.simulated_supervision.passes import PassesConfig
    import dataclasses

    folder = Path(args.bundle or default_bundle_path())
    refuse_local_only(folder)
    bundle = load_bundle(folder)
    people = PassesConfig(identities=args.people)
    strangers = dataclasses.replace(STRANGERS, identities=args.strangers)
    command = f"emgait fit-alone {args.bundle} --vectors {args.vectors} --people {args.people}".replace("  ", " ")
    made = bundle_with_points_alone(
        bundle, args.out, args.vectors, people, args.runs, strangers, args.processes, command
    )
    facts = made.manifest["training"]["points_alone"]
    write_json(args.json, facts)
    print(
        f"written: {made.folder}; gain {facts['gain']:.3f}, walks of enrolled people recognised {facts['true_accept_rate']:.0%}"
    )
    return 0
