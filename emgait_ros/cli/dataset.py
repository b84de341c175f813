"""Checks data sets of gait recordings.

  emgait dataset check ~/SUSTech1K-Released-pkl        what is missing or broken, every file read once
  emgait dataset check ~/LRGait --json findings.json
  emgait dataset check lreid ~/LReID                   train.npz, or bbox_train/ID/IDCxTxxxxFxxx.bin with info/

The kind is found by the layout: SUSTech1K (released pickle tree), FreeGait, MMGait, LRGait (identity/D-20/nm-00/045/lidar/*.npy,
rgb/*.png; see docs/datasets.md), a simulated set, or a bag, in which the live tracker follows people. Pickles are read without
running anything in them: what is not numpy is refused. Problems stop training and evaluation (exit status 1); remarks do not.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import console_of, progress, table
from emgait_ros.lab.datasets.checking import Findings, check_dataset
from emgait_ros.lab.datasets.opening import KINDS

SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="say what is missing or broken",
        description="Read every sequence of a data set once and say what is missing or broken.",
        epilog=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument(
        "folder", nargs="+", metavar="FOLDER", help="folder of the data set, and before it which one it is"
    )
    check.add_argument("--kind", choices=KINDS, default="", help="which data set it is; default: found by its layout")
    check.add_argument("--json", type=output_file, metavar="FILE", help="write all findings to this file")


def run(args: argparse.Namespace) -> int:
    """Check; exit status 1 when there are problems."""
    named, folder = args.folder[:-1], Path(args.folder[-1])
    if len(named) > 1 or (named and named[0] not in KINDS):
        raise ValueError(f"'{' '.join(named)}' is no kind of data set: known are {', '.join(KINDS)}, then one folder")
    with progress("reading", None) as bar:
        findings = check_dataset(folder, args.kind or "".join(named), bar.at)
    _print(findings, console_of())
    write_json(args.json, asdict(findings))
    return 1 if findings.problems else 0


def _print(findings: Findings, console: Console) -> None:
    console.print(
        f"{findings.dataset}: {findings.identities} identities, {findings.sequences} sequences, {findings.frames} frames read, "
        f"{len(findings.views)} views, {len(findings.kinds)} kinds of sequences",
    )
    for title, found in (("problems", findings.problems), ("remarks", findings.remarks)):
        if not found:
            continue
        counts = ", ".join(f"{kind} {count}" for kind, count in Counter(p.kind for p in found).most_common())
        rows = [(problem.kind, problem.sentence) for problem in found[:SHOWN]]
        if len(found) > SHOWN:
            rows.append(("", f"and {len(found) - SHOWN} more (--json writes them all)"))
        console.print(table(f"{len(found)} {title}: {counts}", ("kind", "what"), rows, left=(0, 1)))
    if not findings.problems:
        console.print("nothing that stops training or evaluation")
