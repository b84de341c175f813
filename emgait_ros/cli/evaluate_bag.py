"""Runs detection, tracking and recognition over a bag: the same code as the live nodes, the same answer every time.

  emgait evaluate bag walk.bag                            who is recognised with the gallery of the live node
  emgait evaluate bag walk.bag --gallery people.db        with another gallery
  emgait evaluate bag walk.bag --params my_robot.yaml     with the nodes' parameter file (topics, extrinsics, options)
  emgait evaluate bag walk.bag --mcap seen                a copy with boxes, names and pictures (Foxglove: config/gait.foxglove.json)
  emgait evaluate bag walk.bag --walks walk.json          a simulated bag: enrol people on their first walk, judge the second

The gallery is copied first and never changed. Topics that the parameters leave at their default are found in the bag
when there is only one of their type. A bag with /ground_truth (`emgait simulate`) is scored: tracks
are matched to people by place. --walks takes the file that `emgait simulate --json` wrote. Extrinsics and the pose in
frames.fixed come from the bag's /tf and /tf_static, as live.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sqlite3
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.cli.terminal import console_of, node_options, progress, table
from emgait_ros.config import with_options
from emgait_ros.gallery.database import is_url, open_database
from emgait_ros.gallery.disk import made_private
from emgait_ros.lab.demo.report import judge, summary
from emgait_ros.lab.demo.report import table as verdicts_table
from emgait_ros.pipeline import GaitPipeline
from emgait_ros.recordings.annotated_bag import AnnotatedBag
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.evaluation import BagEvaluation, TrackReport, evaluate_bag
from emgait_ros.recordings.walks import RecordedWalk

HEADINGS = ("track", "seen", "range", "samples", "walking", "decided", "after", "at", "distance (threshold)", "really")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bag", type=Path, help="folder of the bag, or a .mcap or .db3 file")
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file (YAML) of the nodes")
    parser.add_argument("--gallery", metavar="PLACE", help="gallery to recognise with (it is not changed)")
    parser.add_argument("--bundle", type=Path, metavar="FOLDER", help="model bundle; default: the shipped one")
    parser.add_argument(
        "--walks", type=Path, metavar="FILE", help="who walks when, as `emgait simulate --json` wrote it"
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")
    parser.add_argument(
        "--mcap",
        type=output_folder,
        metavar="OUT",
        help="copy the bag with boxes, names and pictures, for Foxglove or RViz",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate and print; 0 when the bag could be read to its end, whatever was recognised."""
    console = console_of(120)
    tracker, recognizer = node_options(args.params, partial(console.print, style="yellow"))
    walks = read_walks(args.walks) if args.walks else ()
    with TemporaryDirectory(prefix="emgait-") as folder, BagRecording(args.bag) as bag:
        gallery = Path(folder) / "gallery.db"
        source = args.gallery or (None if args.walks else recognizer.gallery.path)
        if not copy_gallery(source, gallery, required=args.gallery is not None) and not walks:
            console.print(f"there is no gallery at {source}: nobody can be recognised", style="yellow")
        options: dict[str, Any] = {"gallery.path": str(gallery)}
        if args.bundle:
            options["engine.bundle"] = str(args.bundle)
        pipeline = GaitPipeline(tracker, with_options(recognizer, options))
        with progress("evaluating", bag.duration_s) as bar:
            copy = AnnotatedBag(args.mcap, bag, pipeline.recognizer.fingerprint) if args.mcap else None
            with copy or nullcontext():
                result = evaluate_bag(bag, pipeline, tracker, walks, bar.at, copy.add if copy else None)
        figures = {"bag": str(args.bag), "model": pipeline.recognizer.fingerprint, **result.as_dict()}
    verdicts = [judge(walk, result.sightings) for walk in walks if walk.is_probe]
    _print(result, console)
    if walks:
        verdict_table = verdicts_table(verdicts, result.enrollments)
        verdict_table.title = "Who walked, and what was said"
        console.print(verdict_table)
        figures |= summary(verdicts, result.enrollments, {})
    write_json(args.json, figures)
    return 0


def read_walks(path: Path) -> tuple[RecordedWalk, ...]:
    """The walks of a simulated scene, from the file of ``emgait simulate --json``.

    Raises:
        OSError, ValueError: the file cannot be read, or is not of that kind.
    """
    try:
        walks = json.loads(path.read_text(encoding="utf-8"))["walks"]
        return tuple(RecordedWalk(**walk) for walk in walks)
    except (ValueError, KeyError, TypeError) as error:
        names = ", ".join(f.name for f in dataclasses.fields(RecordedWalk))
        raise ValueError(f"{path} does not say who walks when ({error}): expected 'walks' with {names}") from error


def copy_gallery(source: str | Path | None, target: Path, required: bool) -> bool:
    """Copy a gallery, also one that a node has open; returns whether there was one.

    Raises:
        FileNotFoundError: it is required and not there.
        ValueError: it is no gallery, or damaged, or out of reach.
    """
    if source is not None and is_url(source):
        with closing(open_database(source, create=False)) as database:
            database.copy_to(target)
        made_private(target)
        return True
    path = None if source is None else Path(source).expanduser()
    if path is None or not path.is_file():
        if required:
            raise FileNotFoundError(f"there is no gallery at {path}")
        return False
    try:
        address = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise ValueError(f"{path} cannot be read as a gallery: {error}") from error
    made_private(target)
    return True


def _print(result: BagEvaluation, console: Console) -> None:
    tracks = sorted(result.tracks, key=lambda t: (t.restart, t.first_s, t.track_id))
    rows = [_row(track, result.truth is not None) for track in tracks]
    console.print(table("Tracks, and what was decided", HEADINGS, rows, left=(1, 5, 9)))
    for note in result.notes:
        console.print(note, style="yellow", soft_wrap=True)
    for problem, count in result.problems.items():
        console.print(f"{count} x {problem}", style="yellow")
    print(
        f"{result.frames} clouds, {result.with_image} with an image; {result.timings['frame_p50_ms']:.0f} ms a cloud (median)"
    )
    if result.truth is not None:
        t = result.truth
        print(
            f"against the ground truth: {t.found} of {t.people} people x clouds tracked ({_percent(t.recall)}), "
            f"{_metres(t.error_m)} off on average, {t.switches} switches of a track number, "
            f"{t.strays} pedestrians where nobody is ({t.moving_strays} said to walk)"
        )


def _row(track: TrackReport, has_truth: bool) -> list[str]:
    others = [name for name in track.names if name != track.decided]
    return [
        str(track.track_id),
        f"{track.first_s:.1f}-{track.last_s:.1f} s",
        f"{track.ranges_m[0]:.0f}-{track.ranges_m[1]:.0f} m",
        str(track.samples),
        f"{track.moving}/{track.frames}",
        track.decided + (f" (also: {', '.join(others)})" if others else ""),
        "-" if track.decided_after_s is None else f"{track.decided_after_s:.1f} s",
        "-" if track.decided_range_m is None else f"{track.decided_range_m:.0f} m",
        "-" if track.distance is None else f"{track.distance:.3f} ({_number(track.threshold)})",
        "" if not has_truth else "nobody" if track.walker is None else f"person {track.walker}",
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _metres(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} m"
