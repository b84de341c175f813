"""Where `emgait gallery calibrate` gets its strangers from: the simulator, or recordings."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from functools import partial
from typing import Any

import numpy as np

from emgait_ros.cli.terminal import node_options, progress
from emgait_ros.config import RecognizerNodeConfig, with_options
from emgait_ros.gallery.records import Calibration
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.lab.datasets.simulated import SimulatedSet
from emgait_ros.lab.evaluation.calibration_walks import CalibrationWalks, plan_calibration
from emgait_ros.lab.evaluation.gallery_calibration import (
    calibrate_with_tracks,
    checked_on_strangers,
    embed_tracks,
    gallery_in_memory,
    gallery_of,
    naming_thresholds,
    strangers_calibration,
)
from emgait_ros.lab.simulation.walk_sets import generate
from emgait_ros.recognition.replay import Replay
from emgait_ros.recognition.windows import window_for
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.evaluation import evaluate_bag
from emgait_ros.recordings.strangers import StrangersPipeline

SEED = 7  # population of the simulated people


def from_simulation(gallery: Gallery, args: argparse.Namespace) -> tuple[list[Calibration], dict[str, Any]]:
    """A calibration for each rate from simulated strangers, and what is reported of it."""
    walks = CalibrationWalks(members=args.members, strangers=args.strangers)
    folder = args.walks.expanduser() / f"{args.members}-members-{args.strangers}-strangers"
    generate(plan_calibration(walks), folder, SEED)
    encoder = GaitEncoder(load_bundle(args.bundle), RecognizerNodeConfig().engine)
    config = RecognizerNodeConfig()
    data, margin = SimulatedSet(folder, encoder.preprocessing), encoder.bundle.min_margin or 0.0
    bundle = encoder.bundle
    window = window_for(config.window, bundle.min_frames, bundle.max_frames, f"the bundle in {bundle.folder}")
    with progress("walks through the network") as bar:
        tracks = embed_tracks(encoder, data, window, bar.at)
    enrolled = gallery.templates_for(encoder.fingerprint)
    members = np.arange(walks.first_identity, walks.first_stranger)
    kept_back = tracks.identity >= walks.first_stranger + walks.strangers // 2
    source = f"simulated walks of {walks.track_s:g} s, population {SEED}"
    found: list[Calibration] = []
    checks: list[dict[str, Any]] = []
    said: list[str] = []
    report: dict[str, Any] = {}
    identified: dict[str, Any] = {}
    for rate in args.far:
        calibration, report = calibrate_with_tracks(
            tracks.select(~kept_back), rate, members, enrolled, source, config.decision, margin
        )
        against = (
            gallery_in_memory(enrolled, config.decision)
            if len(enrolled.embedding)
            else gallery_of(tracks, members, config.decision)
        )
        others = [tracks.windows[row] for row in np.flatnonzero(kept_back)]
        replay = Replay(against, config.decision, margin, encoder.sensors)
        check = checked_on_strangers(calibration, naming_thresholds(replay, others))
        found.append(calibration)
        checks.append(check)
        low, high = check["interval"]
        said.append(
            f"checked on {check['strangers']} other simulated strangers: {check['accepted']} would get a name at {rate:.2%} "
            f"asked for ({check['rate']:.2%}, {low:.2%} to {high:.2%})"
        )
        steps = report["identified_by_samples"]
        first, last = next(iter(steps)), list(steps)[-1]
        said.append(
            f"DIR at {rate:.2%}: {steps[first]['dir']:.1%} when named at once ({int(first) / walks.rate_hz:g} s), "
            f"{steps[last]['dir']:.1%} after {int(last) / walks.rate_hz:g} s ({len(members)} simulated people enrolled)"
        )
        identified[f"{rate:g}"] = report.pop("identified_by_samples")
    if not len(enrolled.embedding):
        said.append(
            f"nobody is enrolled with this model: {args.members} simulated people stood in; calibrate again once people are"
        )
    said.append("all of these walks are simulated; recordings of your own sensors (--bags) promise more")
    return found, {
        "model": encoder.fingerprint,
        "checked": checks,
        "identified_by_samples": identified,
        "said": said,
        **report,
    }


def from_bags(gallery: Gallery, args: argparse.Namespace) -> tuple[list[Calibration], dict[str, Any]]:
    """A calibration for each rate from recordings of strangers, and what is reported of it."""
    tracker, recognizer = node_options(args.params, partial(print, file=sys.stderr))
    options = {"gallery.path": args.gallery, "gallery.key_file": args.key_file, "engine.bundle": args.bundle}
    options = {name: value for name, value in options.items() if value}
    thresholds: list[float] = []
    ranges: list[tuple[float, float]] = []
    problems: Counter[str] = Counter()
    people, model = 0, ""
    for path in args.bags:
        pipeline = StrangersPipeline(tracker, with_options(recognizer, options))
        people, model = pipeline.recognizer.identities, pipeline.recognizer.fingerprint
        try:
            with BagRecording(path) as bag, progress(path.name, bag.duration_s) as bar:
                result = evaluate_bag(bag, pipeline, tracker, (), bar.at)
        finally:
            pipeline.recognizer.close()
        problems.update(result.problems)
        enrolled = gallery_in_memory(gallery.templates_for(model), recognizer.decision)
        against = pipeline.recognizer.replay(enrolled)
        thresholds += [track.naming_threshold(against) for track in pipeline.tracks()] if people else []
        ranges += [track.ranges_m for track in pipeline.tracks()]
    if not thresholds:
        raise ValueError(
            "no walk in these bags could be compared: "
            + ("nobody is enrolled with this model" if not people else "nobody walks in them for a second")
        )
    reach = (min(near for near, _ in ranges), max(far for _, far in ranges))
    source = f"{len(args.bags)} recordings"
    found = [strangers_calibration(thresholds, rate, people, reach, source) for rate in args.far]
    said = [f"{count} x {problem}" for problem, count in problems.items()]
    said.append(
        "each track counts as one stranger: people who walk past again and again make the promise weaker than it says"
    )
    return found, {"model": model, "said": said}
