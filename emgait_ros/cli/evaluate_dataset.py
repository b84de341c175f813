"""Scores a model bundle on a data set by its published protocol, with the inference the live system uses.

  emgait evaluate dataset sim                      100 simulated people never trained on, generated from their seed
  emgait evaluate dataset sim --json figures.json  also write every figure, in percent, with 95 % intervals

sim: LRGait's layout. Gallery: one walk at 10 m, eight views. Probes: another walk, other clothes, at 20 to 50 m by day
(D-20 .. D-50) and 10 to 40 m at night (N-10 .. N-40), in a coat of other colours, with a bag, half hidden; never compared
with the same view. Trivial baselines are measured on the same probes. The set (2 GB) is kept in ~/.cache/emgait_ros or
--data FOLDER, so that a second run only scores. Intervals come from resampling identities.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from emgait_ros.config import EngineConfig
from emgait_ros.evaluation import simulated_test
from emgait_ros.evaluation.baselines import BASELINES
from emgait_ros.evaluation.embedding import embed_source
from emgait_ros.evaluation.protocols import Figure, Labels
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder

OURS = "EMGaitNet"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("set", choices=("sim",), help="which data set")
    parser.add_argument("--bundle", default="", metavar="FOLDER", help="model bundle; default: the shipped one")
    parser.add_argument("--backend", default="onnxruntime", help="inference backend (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="CPU threads (default: all)"
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the generated set is kept")
    parser.add_argument(
        "--identities",
        type=int,
        default=simulated_test.IDENTITIES,
        metavar="N",
        help="test people; fewer for a quick look (default: the published %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Generate, embed, compare, print."""
    if args.identities < 4:
        raise ValueError(f"--identities is {args.identities}: expected at least 4, half of them are strangers")
    began = time.monotonic()
    bundle = load_bundle(args.bundle)
    data = simulated_test.published_set(bundle.preprocessing, args.data, args.identities, args.threads)
    generated = time.monotonic()
    encoder = GaitEncoder(bundle, EngineConfig(backend=args.backend, threads=args.threads))
    with _progress() as progress:
        task = progress.add_task(f"encoding with {encoder.backend}", total=len(data))
        embedding, measured = embed_source(encoder, data, BASELINES, lambda n: progress.update(task, completed=n))
    encoded = time.monotonic()
    labels = Labels.of(data)
    found = {
        name: simulated_test.figures(simulated_test.compare(values, data.walk, labels))
        for name, values in {OURS: embedding, **measured}.items()
    }
    seconds = {"generate": generated - began, "encode": encoded - generated, "compare": time.monotonic() - encoded}
    console = Console(width=None if sys.stdout.isatty() else 160)
    _print(found, console)
    console.print(
        f"simulated people; {args.identities} identities, {int((data.walk != 0).sum())} probes, {encoder.description}; "
        + ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items()),
        highlight=False,
    )
    if args.json:
        best = max(found[name]["rank1_overall"].value for name in measured)
        text: dict[str, Any] = {
            **simulated_test.as_json(found[OURS]),
            "identities": args.identities,
            "probes": int((data.walk != 0).sum()),
            "gallery_sequences": int((data.walk == 0).sum()),
            "lead_over_best_baseline": round(100 * (found[OURS]["rank1_overall"].value - best), 2),
            "baselines": {name: simulated_test.as_json(found[name]) for name in measured},
            "simulated": True,
            "bundle": bundle.name,
            "fingerprint": bundle.fingerprint,
            "inference": encoder.description,
            "seconds": {name: round(value, 1) for name, value in seconds.items()},
        }
        args.json.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")
    return 0


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _print(found: dict[str, dict[str, Figure]], console: Console) -> None:
    """One row a figure, one column a method."""
    table = Table(title="percent, with 95 % interval over identities")
    table.add_column("")
    for name in found:
        table.add_column(name, justify="right")
    for key in found[OURS]:
        table.add_row(key, *(str(figures[key]) for figures in found.values()))
    console.print(table)
