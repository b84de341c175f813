"""Trains every system on the same people for the same time and tests it by a data set's protocol.

  emgait evaluate table lrgait --budget 900                       simulated people in LRGait's layout
  emgait evaluate table sustech1k --data DIR --partition FILE     a recorded set; also freegait, lrgait
  emgait evaluate table lrgait --systems gaitbase,emgaitnet --seeds 1
  emgait evaluate table ablation --budget 1500                    EMGaitNet's parts, one after another

Every system and seed is a run in its own folder of --out, seed by seed. Call the same command again to go on with what was stopped; what is
finished is not done again, and the table is written anew after every run, with those that are finished. Recipes: config/tables/small.yaml (small
networks, for one CPU core); with --data config/tables/paper.yaml, at the papers' sizes, for a GPU. --recipes FILE gives others.
EMGaitNet has two rows: the paper's recipe, and the shipped one, which learns poses and traits that only simulated people tell.

--budget S gives each run as many steps as take S seconds of the processor, timed once for each system. Writes OUT/NAME.json, .md, .html and .svg:
mean and standard deviation over the seeds, published figures in grey.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emgait_ros.cli.commands import development_packages
from emgait_ros.cli.outputs import output_folder
from emgait_ros.lab.evaluation.table_report import COLUMNS, gather, markdown, write
from emgait_ros.shipped import shipped_path


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("table", choices=tuple(COLUMNS), help="which table")
    parser.add_argument("--systems", default="all", metavar="all|NAME,NAME", help="rows (default: %(default)s)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder of the recorded set; default: simulated people"
    )
    parser.add_argument("--partition", type=Path, metavar="FILE", help="JSON with TRAIN_SET and TEST_SET of --data")
    parser.add_argument("--segmenter", default="", metavar="MODEL", help="makes silhouettes where the set brings none")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="N", help="default: 1 2 3")
    parser.add_argument(
        "--budget",
        type=float,
        default=0.0,
        metavar="S",
        help="processor seconds of training a run; 0: the recipe's steps",
    )
    parser.add_argument("--recipes", type=Path, metavar="FILE", help="YAML with the recipe of each row")
    parser.add_argument("--out", type=output_folder, metavar="DIR", help="default: runs/table-NAME")


def run(args: argparse.Namespace) -> int:
    """Train, test, write; 130 when it was stopped."""
    with development_packages("training"):
        from emgait_ros.lab.training.loop import Interrupted
        from emgait_ros.lab.training.systems_table import SystemsTable, load_recipes, run_table
    from emgait_ros.lab.bench.machine import machine

    if args.table == "ablation" and args.systems != "all":
        raise ValueError("--systems goes with the other tables: the ablation's rows are parts of EMGaitNet")
    recipes = args.recipes or shipped_path(f"config/tables/{'paper' if args.data else 'small'}.yaml")
    made = load_recipes(recipes, args.table, () if args.systems == "all" else args.systems.split(","))
    folder = args.out or Path("runs") / f"table-{args.table}"
    table = SystemsTable(
        args.table, made, tuple(args.seeds), folder, args.budget, args.data, args.partition, args.segmenter
    )
    first = next(iter(made.values()))
    people = (
        f"TRAIN_SET and TEST_SET of {args.partition.name}"
        if args.partition
        else (f"{first.train.identities} simulated people trained on, {first.test.identities} others tested")
    )
    length = f"{args.budget:g} processor seconds of training a run" if args.budget else "the recipe's steps"
    notes = [
        f"The same people for all ({people}) and {length}, {len(args.seeds)} seeds wanted; percent, mean ± standard deviation over "
        f"those finished. Recipes: {recipes.name}. {machine()}, {first.threads} thread(s)."
    ]

    def report() -> str:
        found = gather(args.table, table.results(), notes, simulated=args.data is None)
        write(found, folder / args.table)
        return markdown(found)

    try:
        for name, seed in run_table(table):
            report()
            print(f"{name}, seed {seed}: done", flush=True)
    except Interrupted as stopped:
        print(f"emgait evaluate table: {stopped}", file=sys.stderr)
        return 130
    print(report())
    print(f"wrote {folder / args.table}.json, .md, .html and .svg")
    return 0
