"""How many labelled people the pedestrian detector finds in single clouds, why it misses the others, and what it takes for people.

  emgait evaluate detection ~/kitti/training                     KITTI's form: velodyne/, calib/, label_2/
  emgait evaluate detection site_a site_b --json f.json          your own clouds and labels, several folders together
  emgait evaluate detection site_a --pictures out                look at every miss and every false detection
  emgait evaluate detection site_a --params my_robot.yaml        with the detector.* options of your tracker
  emgait evaluate detection sim --clouds 200                     simulated streets that no scorer was trained on

A FOLDER holds one of these; which, is seen from what is in it:
  KITTI   NAME.bin (float32 x y z intensity), NAME.calib.txt and NAME.label.txt, or the official folders. Images are not needed.
          "Pedestrian" is looked for; at "Person_sitting" and in "DontCare" regions a detection is neither right nor false;
          one on a cyclist is false. KITTI labels only what its camera sees.
  .npz    one file a cloud, for instance numpy.savez_compressed("site_0001.npz", xyz=points, boxes=boxes):
          xyz    (N, 3) float, m, LiDAR frame, z up; or xyz_cm2 (N, 3) int16 in 1/500 m
          boxes  (n, 8) float: track, x, y, z of the centre (m), length, width, height (m), yaw (rad) of each person
         night  one bool, if you know: figures by day and at night then stand apart

Every cloud is judged by itself, by the LiDAR alone: no tracker, verifier or image detector, and no learned background. A
person counts within --range and with --returns in the box, and is found when a detection's centre is within --within of the
label's in the ground plane, one to one, the nearest first. Detections of people who do not count, or beyond --range, are neither
right nor false. Intervals (95 %, Wilson) take people as independent; in consecutive clouds of one scene they are not, and
the truth is less certain. `average precision` sweeps the score from 1 to 0.01; `in view` is the camera's view from KITTI's
calibration, and +-45 degrees about the LiDAR's x axis in .npz folders (--view).

The table by range (10 m bands, and beyond 50 m) holds who and what is in view at any range: recall and false detections from
detector.min_score on, and average precision, with centres within 0.5 and 1.0 m and with boxes that overlap by half from above (IoU 0.5).

Why somebody was missed:
  no peak      no peak of upper-body returns was looked at within --within: hidden, too low, part of a wall
  gate         a peak, but too few returns, or nothing like a person at first sight (lower than 0.8 m, a hedge)
  score        the shape scored less than detector.min_score; the score is in the table. The tracker uses it from
               tracker.weak_score on
  suppressed   scored enough, but a better shape overlaps it, or its detection stands for another labelled person
  place        detected, but farther from the label than --within
"(ground +0.8 m)" beside it: under the label's feet the ground was taken 0.8 m too high, which hides legs or the whole person.

--pictures OUT writes OUT/precision_recall.png, the curves by range, and OUT/FOLDER.png (40 cases, then FOLDER_2.png): each case from above, where the line of sight goes up, with
green labels, orange detections and the score of each peak (x), and beside it as the sensor sees it, colored by height over the ground.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from emgait_ros.cli.commands import add_numbers
from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.cli.terminal import console_of, node_options, progress, table
from emgait_ros.lab.datasets.labelled_clouds import LabelledFolder, open_labelled, simulated_streets
from emgait_ros.lab.evaluation.detection import (
    WRONG_GROUND_M,
    CloudResult,
    DetectorEvaluation,
    Rules,
    as_json,
    by_range,
    cloud_as_json,
)
from emgait_ros.lab.evaluation.detection_by_range import draw
from emgait_ros.lab.evaluation.detection_pictures import ContactSheet

MOST_ROWS = 60


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    rules = Rules()
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="labelled clouds, or sim")
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file (YAML) of the nodes: detector.*")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")
    parser.add_argument("--pictures", type=output_folder, metavar="OUT", help="folder for one contact sheet a FOLDER")
    add_numbers(
        parser,
        ("clouds", 100, "N", "sim: how many clouds"),
        ("range", rules.range_m, "M", "people up to there count"),
        ("returns", rules.returns, "N", "a person has at least"),
        ("within", rules.within_m, "M", "largest distance to a label"),
        ("view", rules.view_deg, "DEG", ".npz: half of the view"),
        ("most-pictures", 80, "N", "cases drawn of a FOLDER, misses first"),
    )


def run(args: argparse.Namespace) -> int:
    """Detect, compare, print; 0 when all could be read, whatever was found."""
    rules = _rules(args)
    console = console_of(140)
    options, _ = node_options(args.params, partial(console.print, style="yellow"))
    folders = [
        simulated_streets(args.clouds) if str(folder) == "sim" else open_labelled(folder) for folder in args.folders
    ]
    evaluation = DetectorEvaluation(options.detector, rules)
    results, notes = _evaluate(args, folders, evaluation)
    everything = [result for found in results for result in found]
    if not everything:
        raise ValueError(f"no cloud of {', '.join(str(f.path) for f in folders)} has labels: nothing can be compared")
    figures: dict[str, Any] = as_json(everything, rules)
    figures["by_range"] = by_range(everything, options.detector.min_score)
    figures["view"] = _views(folders, rules)
    figures["rules"], figures["detector"] = asdict(rules), asdict(options.detector)
    figures["folders"] = [
        {
            "folder": str(folder.path),
            "form": folder.form,
            **as_json(found, rules),
            "files": [cloud_as_json(r) for r in found],
        }
        for folder, found in zip(folders, results, strict=True)
    ]
    console.print(_by_cloud(figures["folders"]))
    console.print(_together(figures))
    for light, found in figures["by_range"].items():
        console.print(_ranges(light, found))
    for note in [*_notes(figures, rules, options.tracker.weak_score), *notes]:
        console.print(note, soft_wrap=True)
    write_json(args.json, figures)
    return 0


def _rules(args: argparse.Namespace) -> Rules:
    for name, value, low, high in (
        ("range", args.range, 1.0, 1000.0),
        ("returns", args.returns, 1, 100_000),
        ("within", args.within, 0.05, 10.0),
    ):
        if not low <= value <= high:
            raise ValueError(f"--{name} is {value:g}: expected {low:g} to {high:g}")
    if not 0 < args.view <= 180:
        raise ValueError(f"--view is {args.view:g}: expected more than 0 and at most 180 degrees")
    if args.most_pictures < 1:
        raise ValueError(f"--most-pictures is {args.most_pictures}: expected 1 or more")
    if args.json is not None and not args.json.absolute().parent.is_dir():
        raise FileNotFoundError(f"{args.json.absolute().parent} is missing: {args.json.name} cannot be written there")
    if args.pictures is not None:
        args.pictures.mkdir(parents=True, exist_ok=True)
    return Rules(args.range, args.returns, args.within, args.view)


def _evaluate(
    args: argparse.Namespace, folders: list[LabelledFolder], evaluation: DetectorEvaluation
) -> tuple[list[list[CloudResult]], list[str]]:
    """Results of each folder's clouds that have labels, and sentences about what was left out and drawn."""
    results: list[list[CloudResult]] = []
    notes: list[str] = []
    done = 0
    with progress("detecting", sum(map(len, folders))) as bar:
        for number, folder in enumerate(folders):
            sheet, found = ContactSheet(args.most_pictures), []
            for cloud in folder:
                if cloud is not None:
                    found.append(evaluation.evaluate(cloud, str(folder.path)))
                    if args.pictures:
                        sheet.add(cloud, found[-1], evaluation.detector, evaluation.rules)
                done += 1
                bar.at(done)
            results.append(found)
            if len(found) < len(folder):
                notes.append(
                    f"{folder.path}: {len(folder) - len(found)} of {len(folder)} clouds have no labels and were left out."
                )
            if len(sheet):
                bar.say("drawing")
                same = [f.path.absolute().name for f in folders].count(folder.path.absolute().name) > 1
                path = args.pictures / f"{folder.path.absolute().name}{f'_{number + 1}' if same else ''}.png"
                notes.append(sheet.write(path))
                bar.say("detecting")
    if args.pictures and any(results):
        draw([r.by_range for found in results for r in found], args.pictures / "precision_recall.png")
    return results, notes


def _views(folders: list[LabelledFolder], rules: Rules) -> dict[str, str]:
    view = {
        "KITTI": "the camera's view by its calibration",
        "npz": f"+-{rules.view_deg:g} degrees about the LiDAR's x axis",
        "simulated": "all round",
    }
    return {folder.form: view[folder.form] for folder in folders}


def _by_cloud(folders: list[dict[str, Any]]) -> Table:
    """A row for each cloud; of many, only those where most is wrong."""
    rows = [(folder["folder"], cloud) for folder in folders for cloud in folder["files"]]
    title = "each cloud"
    if len(rows) > MOST_ROWS:
        title = f"the {MOST_ROWS} of {len(rows)} clouds with most misses (--json: all)"
        rows = sorted(rows, key=lambda row: (-len(row[1]["missed"]), -row[1]["false_in_view"]))[:MOST_ROWS]
    shown = []
    for folder, cloud in rows:
        name = cloud["name"] if len(folders) == 1 else f"{Path(folder).name}/{cloud['name']}"
        counts = (str(cloud[key]) for key in ("people", "found", "false", "false_in_view"))
        shown.append((name, *counts, "; ".join(_miss(person) for person in cloud["missed"])))
    headings = ("cloud", "people", "found", "false", "in view", "missed: range, returns, why")
    return table(title, headings, shown, left=(0, 5), pad_edge=False)


def _miss(person: dict[str, Any]) -> str:
    score = "" if person["score"] is None else f" {person['score']:.2f}"
    wrong = person["ground_m"] is not None and abs(person["ground_m"]) > WRONG_GROUND_M
    ground = f" (ground {person['ground_m']:+.1f} m)" if wrong else ""
    return f"{person['range_m']:.1f} m, {person['returns']}, {person['reason']}{score}{ground}"


def _together(figures: dict[str, Any]) -> Table:
    rows = []
    for name, row in {"all": figures, **figures["by"]}.items():
        if row["people"]:
            low, high = row["recall_ci95"]
            recall = f"{100 * row['recall']:.1f} % ({100 * low:.0f}-{100 * high:.0f})"
            rows.append((name, str(row["people"]), str(row["found"]), recall))
        else:
            rows.append((name, "0", "", ""))
    return table("all clouds together", ("", "people", "found", "recall, 95 % interval"), rows, pad_edge=False)


def _ranges(light: str, found: dict[str, Any]) -> Table:
    """A row for each band of range that holds somebody or something."""
    title = "by range, in view" if light == "all" else f"by range, in view, {light}"
    headings = ("", "people", *(f"{what}, {name}" for name in found for what in ("recall", "AP")), "false a cloud")
    first, rows = next(iter(found)), []
    for band, row in found[first].items():
        values = [found[name][band][key] for name in found for key in ("recall", "average_precision")]
        shown = ["-" if value is None else f"{100 * value:.1f} %" for value in values]
        rows.append((band, str(row["people"]), *shown, f"{row['false_per_cloud']:.2f}"))
    return table(title, headings, rows, pad_edge=False)


def _notes(figures: dict[str, Any], rules: Rules, weak_score: float) -> list[str]:
    views = "; ".join(f"{form}: {view}" for form, view in figures["view"].items())
    why = ", ".join(f"{reason} {count}" for reason, count in figures["missed"].items() if count)
    gone = [person for folder in figures["folders"] for cloud in folder["files"] for person in cloud["missed"]]
    weak = sum(person["reason"] == "score" and person["score"] >= weak_score for person in gone)
    precision = [figures["average_precision"], figures["average_precision_in_view"]]
    shown = ["-" if value is None else f"{100 * value:.1f} %" for value in precision]
    wrong = figures["missed_with_wrong_ground"]
    ground = (
        f"; under {wrong} of them the ground is taken more than {WRONG_GROUND_M:g} m too high or too low"
        if wrong
        else ""
    )
    notes = [
        f"missed: {why or 'nobody'}{ground}",
        f"false detections a cloud: {figures['false_per_cloud']:.2f} all round, {figures['false_in_view_per_cloud']:.2f} in view ({views})",
        f"average precision within {rules.within_m:g} m: {shown[0]} all round, {shown[1]} in view",
    ]
    if weak:
        notes.insert(
            1,
            f"{weak} of the missed scored at least tracker.weak_score ({weak_score:g}): the tracker uses them, single clouds do not",
        )
    if "KITTI" in figures["view"]:
        notes.append("KITTI labels only what its camera sees: all round, people outside its view count as false.")
    if figures["peaks_left_out"]:
        notes.append(
            f"{figures['peaks_left_out']} peaks were not looked at, because a cloud had too many: who stood there is 'no peak'."
        )
    if rules.range_m > figures["detector"]["max_range_m"]:
        notes.append(
            f"the detector looks up to detector.max_range_m, {figures['detector']['max_range_m']:g} m: who is farther away is 'no peak'."
        )
    return notes
