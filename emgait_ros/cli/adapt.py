"""Fits a bundle to a place from recordings of its people, of whom nobody is named.

  emgait adapt monday.bag tuesday.bag --out models --name lobby     rosbag2 recordings, through the live tracker
  emgait adapt ~/LReID --out models --name lreid                    a data set, every sequence a track; its labels are not read

Windows of one track are one person: the traits that waver within tracks are turned down, and the place's people are
centred. 40 tracks of 3 s are the least, several hundred of many people are good. What other clothes, another day or another
sensor change is not seen within a track and cannot be learnt from it. The new bundle has a fingerprint of its own: people
enrolled with another one walk past again, or `emgait gallery reembed` makes their templates anew. Needs requirements/dev.txt;
robots run the result without torch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from emgait_ros.cli.commands import development_packages
from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.cli.terminal import node_options, progress
from emgait_ros.inference.bundle import Bundle, load_bundle
from emgait_ros.lab.datasets.lreid import LReid, passes
from emgait_ros.lab.datasets.opening import kind_of, open_dataset
from emgait_ros.lab.datasets.sequences import SequenceSource
from emgait_ros.lab.datasets.tracked_bag import BagSequences
from emgait_ros.lab.evaluation.published import load_partition


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "recordings", type=Path, nargs="+", metavar="BAG", help="rosbag2 recordings, or folders of data sets"
    )
    parser.add_argument(
        "--out", type=output_folder, required=True, metavar="FOLDER", help="folder of bundles the new one goes into"
    )
    parser.add_argument("--name", default="adapted", help="of the new bundle (default: %(default)s)")
    parser.add_argument("--bundle", default="", metavar="FOLDER", help="bundle to start from; default: the shipped one")
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file (YAML) of the nodes, for the bags")
    parser.add_argument(
        "--partition",
        type=Path,
        metavar="FILE",
        help="of data sets only the people of TRAIN_SET in this JSON file, to measure on others",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: %(default)s)")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write what was found to this file")


def run(args: argparse.Namespace) -> int:
    """Adapt and say what it rests on."""
    if args.threads < 1:
        raise ValueError(f"--threads is {args.threads}: expected 1 or more")
    if Path(args.name).name != args.name or not args.name:
        raise ValueError(f"--name is '{args.name}': expected a plain folder name")
    with development_packages("emgait adapt"):
        from emgait_ros.lab.adaptation.adapted_bundle import adapt
        from emgait_ros.lab.adaptation.tracks import TraitReader
    bundle = load_bundle(args.bundle)
    if (args.out / args.name).resolve() == bundle.folder.resolve():
        raise ValueError(f"{args.out / args.name} is the bundle that is adapted: give another --name or --out")
    kinds = {path: kind_of(path) for path in args.recordings}
    reader = TraitReader(bundle, args.threads)
    with progress("tracks", None) as bar:
        tracks = reader.read(_opened(args, bundle, kinds), bar.at)
    source = ", ".join(sorted({kind for kind in kinds.values()})) + f" ({len(kinds)} recordings)"
    local_only = "adapted to LReID, which states no licence" if "lreid" in kinds.values() else ""
    made, found = adapt(bundle, reader, tracks, args.out, args.name, source, local_only)
    print(
        f"{made.folder}: {found['tracks']} tracks, {found['seconds']:g} s, {found['sensors']}; fingerprint {made.fingerprint[:12]}"
    )
    if made.threshold is None:
        print(f"no threshold: {found['no_threshold_because']}")
    else:
        print(
            f"threshold {made.threshold:.3f}, smallest margin {made.min_margin:.3f}, from these tracks, each taken for another person"
        )
    for sentence in tracks.problems[:3]:
        print(f"left out: {sentence}")
    print(f"galleries of '{bundle.name}' are not compared with it: enrol again, or `emgait gallery reembed`")
    write_json(args.json, {"bundle": made.name, **found, "left_out": list(tracks.problems)})
    return 0


def _opened(args: argparse.Namespace, bundle: Bundle, kinds: dict[Path, str]) -> Iterator[SequenceSource]:
    """One recording after the other, so that one is in memory at a time."""
    tracker, _ = node_options(args.params, partial(print, file=sys.stderr))
    people = load_partition(args.partition).train if args.partition else None
    for path, kind in kinds.items():
        if kind == "bag":
            yield BagSequences(path, bundle.preprocessing, tracker)
        elif kind == "lreid":
            yield LReid(
                path, bundle.preprocessing, people or {one.identity for one in passes(path) if one.part == "train"}
            )
        else:
            yield open_dataset(path, bundle.preprocessing, kind, people)
