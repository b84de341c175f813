"""How fast the gallery is searched here: the nearest 5 of 100,000 templates (16 parts of 64) for 8 people in view.

  emgait bench gallery                          one thread, as the live node is set by default
  emgait bench gallery --threads 2 --json f.json

All methods take turns on the same made-up embeddings; times are medians. `numpy` is exhaustive search by BLAS in
float32, `faiss` an IndexFlatL2 over the concatenated parts (which ranks differently: it is there for its speed),
`nearest people` is the whole search a recognizer makes: the mean over
each person's nearest 3 templates, for as many people as a joint decision needs. `floor` the time to read all templates once as float32. `enrolment visible` is from calling enrol on a gallery file of
that size until the matcher has the person. Close other programs first: a busy machine slows the methods unevenly.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from emgait_ros.evaluation.bench_gallery import GalleryBenchmark, run_benchmark

ROWS = (
    # key, words, unit
    ("index_ms", "this index", "ms"),
    ("live_ms", "nearest people, as a recognizer asks", "ms"),
    ("numpy_ms", "exhaustive numpy", "ms"),
    ("faiss_ms", "faiss IndexFlatL2", "ms"),
    ("floor_ms", "reading float32 once (floor)", "ms"),
    ("ratio_numpy", "faster than numpy", "x"),
    ("ratio_faiss", "faster than faiss", "x"),
    ("floor_distance", "times the floor", "x"),
    ("memory_ratio", "memory over raw float16", "x"),
    ("top1_agreement", "same first place as exhaustive", ""),
    ("enrolment_visible_ms", "enrolment visible after", "ms"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    default = GalleryBenchmark()
    for name, text in (
        ("templates", "templates in the gallery"),
        ("probes", "people in view at once"),
        ("nearest", "how many nearest are asked for"),
        ("threads", "threads of every method"),
        ("rounds", "timed rounds"),
        ("agreement-probes", "probes whose first place is compared with exhaustive search"),
        ("seed", "of the made-up embeddings"),
    ):
        value = getattr(default, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"{text} (default: {value})")
    parser.add_argument("--no-store", action="store_true", help="leave out the gallery file and the time to enrol")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    config = GalleryBenchmark(
        templates=args.templates,
        probes=args.probes,
        nearest=args.nearest,
        threads=args.threads,
        rounds=args.rounds,
        agreement_probes=args.agreement_probes,
        seed=args.seed,
        store=not args.no_store,
    )
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=1.0)
        figures = run_benchmark(config, lambda text, done: progress.update(task, description=text, completed=done))
    _print(figures)
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def _print(figures: dict[str, Any]) -> None:
    title = f"nearest {figures['nearest']} of {figures['templates']} templates for {figures['probes']} probes, {figures['threads']} threads"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", caption=figures["machine"])
    table.add_column("")
    table.add_column("", justify="right")
    for key, words, unit in ROWS:
        if key in figures:
            table.add_row(words, f"{figures[key]} {unit}".strip())
    Console(width=None if sys.stdout.isatty() else 100).print(table)
