"""How long the network takes here: an identity from scratch, an identity updated by one new frame, and where the time goes.

  emgait bench model                               the paper's scale with CLIP ViT-B/16, random weights
  emgait bench model --clip ViT-B-32 --people 1
  emgait bench model --bundle                      the shipped bundle; --bundle DIR: another one
  emgait bench model --approximate                 CLIP in INT8 and on every 5th image too: faster, not exact
  emgait bench model --systems all                 EMGaitNet, GaitBase, LidarGait++, LiCAF and HMRNet side by side
  emgait bench model --json figures.json

`plain` is the paper's forward, step by step: every frame of the window encoded again, all 77 tokens of every prompt, edges
gathered before they are multiplied. `stream` is what the live node does when one new frame arrives: encode that frame,
run the sequence head on the window. `CLIP tower` is CLIP's image encoder alone as open_clip computes it; `as run` without
the unused part of its last block. All take turns in one process; p50 and p95 over the rounds. `MB` is how much the
peak of resident memory rose during the first call. Speed does not depend on the weights, so random ones will do.
Close other programs first: a busy machine slows the contestants unevenly. Needs torch and open_clip (requirements/dev.txt).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from emgait_ros.cli.commands import add_numbers, development_packages
from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import console_of, progress, table
from emgait_ros.lab.bench.machine import machine


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--clip",
        default="ViT-B-16",
        metavar="NAME",
        help="open_clip architecture of a network at the paper's scale (default: %(default)s)",
    )
    parser.add_argument(
        "--bundle", nargs="?", const="", metavar="DIR", help="measure a bundle instead; without DIR the shipped one"
    )
    parser.add_argument(
        "--systems",
        default="",
        metavar="all|NAME,NAME",
        help="compare architectures at their papers' scale, random weights, by onnxruntime",
    )
    parser.add_argument(
        "--people", type=_numbers, default=(1, 8), metavar="N,N", help="pedestrians in view (default: 1,8)"
    )
    add_numbers(
        parser,
        ("frames", 10, "N", "frames of a window"),
        ("threads", 2, "N", "CPU threads of torch and of onnxruntime"),
        ("rounds", 7, "N", "timed turns of everything"),
    )
    parser.add_argument("--approximate", action="store_true", help="measure CLIP in INT8 and with a stride of 5 too")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.systems:
        return _run_systems(args)
    try:
        from emgait_ros.lab.bench.model import ModelBenchmark, run_benchmark
    except ImportError as error:
        raise ValueError(
            f"measuring the plain forward needs torch, open_clip and onnx ({error}): install requirements/dev.txt"
        ) from error
    from emgait_ros.inference.bundle import default_bundle_path

    bundle = None if args.bundle is None else Path(args.bundle) if args.bundle else default_bundle_path()
    config = ModelBenchmark(
        args.clip, bundle, args.people, args.frames, args.threads, args.rounds, approximate=args.approximate
    )
    with progress() as bar:
        figures = run_benchmark(config, bar.say)
    figures["machine"] = machine()
    _print(figures)
    write_json(args.json, figures)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers such as 1,8") from error


def _run_systems(args: argparse.Namespace) -> int:
    """All architectures that are asked for, in one run."""
    with development_packages("--systems"):
        from emgait_ros.lab.bench.systems import SystemsBenchmark, run_benchmark
    from emgait_ros.inference.bundle import ARCHITECTURES

    if args.bundle is not None or args.approximate:
        raise ValueError("--systems measures random weights at the papers' scale: leave out --bundle and --approximate")
    systems = ARCHITECTURES if args.systems == "all" else tuple(args.systems.split(","))
    config = SystemsBenchmark(systems, args.clip, args.people, args.frames, args.threads, args.rounds)
    with progress() as bar:
        figures = run_benchmark(config, bar.say)
    figures["machine"] = machine()
    console = console_of(130)
    title = f"windows of {args.frames} frames, {args.threads} threads, onnxruntime, ms a person, p50"
    people = [str(result["people"]) for result in figures["results"]]
    headings = (
        "",
        "M parameters",
        "GFLOP a frame",
        "kB kept a frame",
        *(f"new frame, {n} in view" for n in people),
        "new identity",
        "processor: frame",
        "identity",
    )
    rows = [
        (
            row["title"],
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['gflop_per_frame']:.2f}",
            f"{row['kept_bytes_per_frame'] / 1e3:.0f}",
            *(f"{row['ms_per_pedestrian_frame_by_people'][n]:.1f}" for n in people),
            f"{row['ms_per_new_identity']:.0f}",
            f"{row['cpu_ms_per_pedestrian_frame']:.1f}",
            f"{row['cpu_ms_per_new_identity']:.0f}",
        )
        for row in figures["systems"].values()
    ]
    console.print(table(title, headings, rows))
    console.print(
        f"{figures['machine']}; load average {figures['load_average']:.1f}; EMGaitNet with CLIP {args.clip}",
        style="dim",
    )
    write_json(args.json, figures)
    return 0


def _print(figures: dict[str, Any]) -> None:
    console = console_of(110)
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    for result in figures["results"]:
        title = f"{result['people']} in view, {figures['bundle']}, windows of {figures['frames']} frames, {figures['threads']} threads"
        rows = [
            (
                name,
                *(f"{x:.1f}" for x in (row["p50"], row["p95"])),
                f"{row['p50'] / result['people']:.2f}",
                f"{row['peak_mb']:.0f}",
            )
            for name, row in result["ms"].items()
        ]
        console.print(table(title, ("", "p50 ms", "p95 ms", "ms a person", "MB"), rows))
    for name, row in figures["engines"].items():
        console.print(_sentence(name, row), soft_wrap=True)
    peers = "; ".join(f"{name} {ms:.0f} ms" for name, ms in figures["peers_ms_per_sequence"].items())
    console.print(
        f"beside it, one 10-frame sequence from scratch, measured elsewhere on such a machine: {peers}",
        soft_wrap=True,
    )
    console.print(
        f"{figures['machine']}; {versions}; load average {figures['load_average']:.1f}; weights: {figures['weights']}",
        soft_wrap=True,
        style="dim",
    )


def _sentence(name: str, row: dict[str, Any]) -> str:
    """What one way of streaming brings."""
    kind = "embeddings differ by" if row["exact"] else "not exact, embeddings of noise differ by"
    text = f"{name}: an identity updated by one frame {row['speedup_plain_over_stream']:.1f}x faster than the plain torch forward"
    if row["overhead_over_clip_tower"] is not None:
        overhead = ", ".join(
            f"{100 * share:+.1f} % with {people} in view"
            for people, share in row["overhead_over_clip_tower_by_people"].items()
        )
        text += f"; on top of the CLIP tower alone: {overhead} ({100 * row['overhead_over_clip_tower_as_run']:+.1f} % of the tower as run)"
    return f"{text}; {kind} {row['max_abs_diff']:.1e} at most"
