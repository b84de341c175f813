"""How fast the gallery is searched here: 10,000 people with three templates (16 parts of 64) for 8 people in view.

  emgait bench gallery                          one thread, as the live node is set by default
  emgait bench gallery --people 1000 --threads 2 --json f.json

It times the whole search that a recognizer makes: distances to all templates, the mean over each person's nearest, and the people
that a joint decision needs. A pass of one picture through ViT-B/16 (torch, as many threads) takes turns with it. `enrolment visible`
is from calling enroll on a gallery file of that size until the matcher has the person.
"""

from __future__ import annotations

import argparse

from emgait_ros.cli.commands import add_numbers
from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import print_figures, progress
from emgait_ros.lab.bench.gallery import GalleryBenchmark, run_benchmark

ROWS = (
    # key, words, unit
    ("search_ms", "search, median", "ms"),
    ("search_min_ms", "search, fastest", "ms"),
    ("search_max_ms", "search, slowest", "ms"),
    ("vit_b16_min_ms", "a pass of ViT-B/16, fastest", "ms"),
    ("search_over_vit_b16", "search over a pass, fastest", "x"),
    ("memory_mib", "memory", "MiB"),
    ("memory_ratio", "memory over float16", "x"),
    ("enrolment_visible_ms", "enrolment visible after", "ms"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    default = GalleryBenchmark()
    add_numbers(
        parser,
        ("people", default.people, "N", "people in the gallery"),
        ("templates", default.templates, "N", "templates of each"),
        ("parts", default.parts, "N", "parts of an embedding"),
        ("dimensions", default.dimensions, "N", "numbers of a part"),
        ("probes", default.probes, "N", "people in view at once"),
        ("threads", default.threads, "N", "threads that share a search"),
        ("rounds", default.rounds, "N", "timed rounds"),
        ("seed", default.seed, "N", "of the made-up people"),
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    config = GalleryBenchmark(**{name: getattr(args, name) for name in GalleryBenchmark.__dataclass_fields__})
    with progress() as bar:
        figures = run_benchmark(config, bar.say)
    title = f"{figures['people']} people, {figures['templates']} templates each, {figures['probes']} probes, {figures['threads']} threads"
    shown = {
        key: "needs torch and open_clip" if figures[key] is None else f"{figures[key]} {unit}" for key, _, unit in ROWS
    }
    print_figures(title, {**{words: shown[key] for key, words, _ in ROWS}, "machine": figures["machine"]})
    write_json(args.json, figures)
    return 0
