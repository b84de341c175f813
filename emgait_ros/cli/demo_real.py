"""Real KITTI frames through the live tracker node: are people found where they were labelled, and do the crops show them?

  emgait demo-real DATA
  emgait demo-real DATA --frames 000134 --out /tmp/x

DATA holds velodyne/, image_2/, calib/ (and label_2/), or NAME.bin or .pcd, NAME.png and NAME.calib.txt or .json side by side.
Each frame is played as a bag of a few seconds to a real pedestrian_tracker. For each, OUT/NAME.overlay.png shows the boxes and
projected points, OUT/NAME.crops.png the crops that a recognizer would get; OUT/summary.json holds the figures. A single moment
shows no gait: nobody is recognised here. KITTI is CC BY-NC-SA 3.0; keep its pictures out of other people's repositories.

The exit status is 0 if at least three quarters of the labelled people (with 8 LiDAR returns or more) were found within 0.5 m.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.table import Table

from emgait_ros.cli.demo_processes import Playback, compile_kernels, isolate, running, topics_to_play
from emgait_ros.cli.outputs import output_folder, write_json
from emgait_ros.cli.terminal import console_of, table
from emgait_ros.lab.datasets.kitti import KittiFrame, KittiFrames
from emgait_ros.lab.datasets.kitti_bag import PEOPLE, write_bag
from emgait_ros.lab.evaluation.detection_matching import nearest_first
from emgait_ros.samples import PedestrianFrame, UInt8

FOUND_M = 0.5
WANTED_SHARE = 0.75
LEAST_RETURNS = 8


@dataclass(frozen=True)
class FrameFigures:
    """One frame: labelled people (None: no labels), of them found within 0.5 m, mean error (m), reported in all, with crop."""

    frame: str
    labelled: int | None
    found: int
    error_m: float | None
    reported: int
    with_crop: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("data", type=Path, help="folder with KITTI frames")
    parser.add_argument("--frames", nargs="+", metavar="NAME", help="only these frames (default: all)")
    parser.add_argument(
        "--out", type=output_folder, default=Path("out/demo-real"), help="folder to write to (default out/demo-real)"
    )


def run(args: argparse.Namespace) -> int:
    """Play every frame; 0 when enough labelled people were found."""
    frames = KittiFrames(args.data)
    args.out.mkdir(parents=True, exist_ok=True)
    isolate(os.environ)
    console = console_of()
    compile_kernels(console)
    figures = []
    for name in args.frames or frames.names:
        with console.status(f"playing the real frame {name} to the live tracker"):
            figures.append(_play_frame(frames[name], args.out))
    write_json(args.out / "summary.json", [asdict(f) for f in figures])
    console.print(_table(figures))
    console.print(f"pictures and summary.json are in {args.out}")
    labelled = sum(f.labelled or 0 for f in figures)
    return 0 if sum(f.found for f in figures) >= WANTED_SHARE * labelled else 1


def _play_frame(frame: KittiFrame, out: Path) -> FrameFigures:
    from emgait_ros.live.tracker_listener import listen

    path = out / f"{frame.name}.bag"
    shutil.rmtree(path, ignore_errors=True)
    params = write_bag(frame, path, clouds=40)
    command = [sys.executable, "-m", "emgait_ros.nodes.entry", "pedestrian_tracker", "--ros-args"]
    command += ["-p", "camera.overlay:=true", "--params-file", str(params)]
    playback = Playback(path, "--topics", *topics_to_play(path))
    with running(command, out / "tracker.log") as tracker:
        seen, overlay = listen(playback.start, playback.finished, lambda: tracker.poll() is None)
    shutil.rmtree(path)
    last = max(seen, key=lambda f: len(f.pedestrians), default=None)
    if overlay is not None:
        cv2.imwrite(str(out / f"{frame.name}.overlay.png"), cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR))
    crops = [p.crop for p in last.pedestrians if p.crop is not None] if last else []
    if crops:
        cv2.imwrite(str(out / f"{frame.name}.crops.png"), cv2.cvtColor(_row_of(crops), cv2.COLOR_RGB2BGR))
    return _figures(frame, last, len(crops))


def _figures(frame: KittiFrame, seen: PedestrianFrame | None, with_crop: int) -> FrameFigures:
    places = np.array([p.center[:2] for p in seen.pedestrians] if seen else []).reshape(-1, 2)
    if frame.labels is None:
        return FrameFigures(frame.name, None, 0, None, len(places), with_crop)
    people = frame.labels.of_kind(*PEOPLE)
    visible = people.contains(frame.points).sum(axis=1) >= LEAST_RETURNS
    truth = people.center[visible, :2]
    belongs = nearest_first(truth, places, FOUND_M)
    errors = np.linalg.norm(truth - places[belongs], axis=1)[belongs >= 0] if len(places) else np.zeros(0)
    error_m = float(errors.mean()) if len(errors) else None
    return FrameFigures(frame.name, len(truth), len(errors), error_m, len(places), with_crop)


def _row_of(crops: list[UInt8]) -> UInt8:
    """Crops side by side, twice their size."""
    row = np.concatenate([np.pad(crop, ((2, 2), (2, 2), (0, 0)), constant_values=255) for crop in crops], axis=1)
    return np.asarray(cv2.resize(row, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)


def _table(figures: list[FrameFigures]) -> Table:
    rows = []
    for f in figures:
        labelled, found = ("no labels", "-") if f.labelled is None else (str(f.labelled), str(f.found))
        error = "-" if f.error_m is None else f"{f.error_m:.2f} m"
        rows.append((f.frame, labelled, found, error, str(f.reported), str(f.with_crop)))
    caption = (
        f"found: within {FOUND_M} m of a label; reported: all around the LiDAR, labels are for the camera's view only"
    )
    headings = ("frame", "labelled", "found", "mean error", "reported", "with a crop")
    title = "Real KITTI frames through the live tracker"
    return table(title, headings, rows, pad_edge=False, caption=caption, caption_justify="left")
