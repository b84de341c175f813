"""Scores a model bundle on a data set by its published protocol, with the inference the live system uses.

  emgait evaluate dataset sim --json figures.json --html figures.html
  emgait evaluate dataset sustech1k ~/SUSTech1K-Released-pkl --partition SUSTech1K.json --bundle models/mine
  emgait evaluate dataset freegait ~/FreeGait --partition FreeGait.json --bundle models/mine
  emgait evaluate dataset lrgait ~/LRGait --bundle models/mine
  emgait evaluate dataset lreid ~/LReID --part validation --json figures.json

sim        100 simulated people never trained on, generated from their seed (2 GB, kept in ~/.cache/emgait_ros or --data).
           LRGait's layout: gallery one walk at 10 m, eight views; probes another walk in other clothes at 20 to 50 m by
           day (D-20 .. D-50) and 10 to 40 m at night (N-10 .. N-40), in a coat, with a bag, half hidden.
           --real-walks DIR also verifies real walks: motion-capture takes SUBJECT_TAKE.bvh on simulated bodies, same
           subject or another, against each other and against the simulated strangers.
sustech1k  gallery 00-nm, probes by covariate, Rank-1 to 5. freegait: Rank-1, 5, 10, mAP, mINP.
lrgait     gallery D-10, probes by distance, light and condition. mmgait: gallery NM-01, probes NM-02, BG-01, CL-01.
lreid      real people before four LiDARs, no camera: the official test part where it is there (--part test), else all people
           of the training part (--part all) or 60 of them (validation), one LiDAR against three. Also an open set: four
           enrolled people, the bundle's own threshold, 200 draws.

--clip-stride and bundles exported in INT8 (emgait export --to bundle) show what a faster CLIP costs in Rank-1.
Identical views are never compared (but in freegait, where views are not known). --partition is the JSON file with TRAIN_SET,
TEST_SET (and PROBE_SET) published with the data set; without it everybody in the folder is scored. Trivial baselines are
measured on the same probes. Intervals come from resampling identities.
"""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from emgait_ros.cli.commands import add_numbers, development_packages
from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.cli.terminal import console_of, progress, table
from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import Bundle, load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.segmenter import open_segmenter
from emgait_ros.lab.datasets.lreid import PARTS, LReid
from emgait_ros.lab.datasets.opening import RECORDED
from emgait_ros.lab.datasets.sequences import SequenceSource
from emgait_ros.lab.evaluation import other_lidar, simulated_test
from emgait_ros.lab.evaluation import real_walk_verification as real_walks
from emgait_ros.lab.evaluation.baselines import BASELINES
from emgait_ros.lab.evaluation.embedding import Embedded, embed_source
from emgait_ros.lab.evaluation.page import page
from emgait_ros.lab.evaluation.protocols import Figure, Labels
from emgait_ros.lab.evaluation.published import Partition, Scored, as_json, load_partition, protocol_of
from emgait_ros.lab.simulation.real_walks import Take, load_takes
from emgait_ros.lab.systems.configs import TITLES
from emgait_ros.whole_files import write_text


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("set", choices=("sim", *RECORDED), help="which data set")
    parser.add_argument("folder", type=Path, nargs="?", help="its folder (not for sim)")
    parser.add_argument(
        "--partition", type=Path, metavar="FILE", help="who is tested: JSON with TRAIN_SET and TEST_SET"
    )
    parser.add_argument(
        "--part", choices=PARTS, default="", help="lreid: whom to compare; default: test if it is there"
    )
    parser.add_argument("--bundle", default="", metavar="FOLDER", help="model bundle; default: the shipped one")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="checkpoint.safetensors of a run, instead of a bundle (needs torch)",
    )
    parser.add_argument("--backend", default="onnxruntime", help="inference backend (default: %(default)s)")
    add_numbers(
        parser,
        ("threads", os.cpu_count() or 1, "N", "CPU threads"),
        ("clip-stride", 0, "S", "CLIP looks at every S-th image; 0: the bundle's own"),
        ("identities", simulated_test.IDENTITIES, "N", "sim: test people; fewer than published for a quick look"),
    )
    parser.add_argument("--data", type=output_folder, metavar="FOLDER", help="sim: where the generated set is kept")
    parser.add_argument("--real-walks", type=Path, metavar="DIR", help="sim: folder of motion-capture takes (BVH)")
    parser.add_argument(
        "--skip-damaged", action="store_true", help="leave out sequences that cannot be read, and say so"
    )
    parser.add_argument(
        "--segmenter",
        default="",
        metavar="MODEL",
        help="makes silhouettes where the set brings none: an ONNX or tflite file, or mediapipe",
    )
    parser.add_argument("--json", type=output_file, metavar="FILE", help="write all figures to this file")
    parser.add_argument(
        "--html", type=output_file, metavar="FILE", help="write one page with tables, CMC, ROC and range plots"
    )


def run(args: argparse.Namespace) -> int:
    """Read or generate, embed, compare, print."""
    _check(args)
    console = console_of(160)
    began = time.monotonic()
    bundle = _bundle(args)
    partition = load_partition(args.partition) if args.partition else None
    takes = load_takes(args.real_walks) if args.real_walks else []
    data = _open(args, bundle, partition)
    opened = time.monotonic()
    encoder = GaitEncoder(
        bundle,
        EngineConfig(
            backend=args.backend, threads=args.threads, clip_stride=args.clip_stride, segmenter=args.segmenter
        ),
    )
    walks = _embed_walks(args, encoder, data) if isinstance(data, LReid) else None
    embedded = walks.embedded if walks else _embed(args, encoder, data)
    real = _verify(encoder, takes, data, embedded, console) if takes else {}
    encoded = time.monotonic()
    protocol = protocol_of(args.set, set(partition.probes) if partition and partition.probes is not None else None)
    ours = TITLES[bundle.architecture]
    with console.status("comparing"):
        methods = {
            name: Scored.of(protocol, data, values, embedded.read)
            for name, values in {ours: embedded.embedding, **embedded.measured}.items()
        }
        headline = other_lidar.figures if walks else Scored.figures
        figures = {name: headline(scored) for name, scored in methods.items()}
        by_group = methods[ours].by_group() if args.json or args.html else {}
    seconds = {"data": opened - began, "encode": encoded - opened, "compare": time.monotonic() - encoded}
    facts = _facts(args, bundle, methods[ours], embedded, encoder.description, seconds)
    _print(figures, console)
    notes = [*_notes(args, protocol.description, facts, partition), *_real_notes(real, takes)]
    if walks and isinstance(data, LReid):
        facts |= {"people": facts["identities"], "part": data.part, "protocol": other_lidar.SENTENCE, "open_set": None}
        notes += [f"Protocol: {other_lidar.SENTENCE}."]
        if bundle.threshold:
            strangers = other_lidar.open_set(walks, data, bundle.threshold, bundle.min_margin or 0.0)
            facts["open_set"] = strangers.to_dict()
            notes += [str(strangers)]
        else:
            notes += ["No open set: the weights have no threshold."]
    for note in notes:
        console.print(note)
    if args.json:
        text = {**as_json(figures[ours]), **facts, **_nested(figures, by_group), **_real_json(real, takes)}
        write_json(args.json, text)
    if args.html:
        write_text(args.html, page(f"{bundle.name} on {protocol.name}", notes, methods, figures, by_group))
    return 0


def _bundle(args: argparse.Namespace) -> Bundle:
    """The bundle that is asked for, or one made of a checkpoint; that one goes with the process."""
    if args.weights is None:
        return load_bundle(args.bundle)
    with development_packages("--weights"):
        from emgait_ros.lab.training.checkpoint_bundle import bundle_of_checkpoint
    folder = Path(tempfile.mkdtemp(prefix="emgait-weights-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return bundle_of_checkpoint(args.weights, folder)


def _embed(args: argparse.Namespace, encoder: GaitEncoder, data: SequenceSource) -> Embedded:
    with progress(f"encoding with {encoder.backend}", len(data)) as bar:
        return embed_source(encoder, data, BASELINES, args.skip_damaged, bar.at)


def _embed_walks(args: argparse.Namespace, encoder: GaitEncoder, data: LReid) -> other_lidar.Walks:
    with progress(f"encoding with {encoder.backend}", len(data)) as bar:
        return other_lidar.embed_walks(encoder, data, args.skip_damaged, bar.at)


def _verify(
    encoder: GaitEncoder, takes: list[Take], data: SequenceSource, embedded: Embedded, console: Console
) -> dict[str, dict[str, Figure]]:
    strangers = real_walks.Strangers.of(Labels.of(data), data.walk, embedded.embedding)
    with console.status("real walks"):
        return real_walks.verify(encoder, takes, simulated_test.FRAMES, strangers)


def _check(args: argparse.Namespace) -> None:
    if args.set == "sim" and args.folder is not None:
        raise ValueError("sim takes no folder: --data FOLDER says where the generated set is kept")
    if args.set != "sim" and args.real_walks:
        raise ValueError("--real-walks goes with sim: the takes are seen by the simulated sensors")
    if args.set != "sim" and args.folder is None:
        raise ValueError(f"the folder of the data set is missing: emgait evaluate dataset {args.set} FOLDER")
    if args.set != "lreid" and args.part:
        raise ValueError(f"--part goes with lreid: {args.set} has no parts, --partition names who is tested")
    if args.weights is not None and args.bundle:
        raise ValueError("--weights and --bundle exclude each other: give the one that is to be measured")
    if args.identities < 4:
        raise ValueError(f"--identities is {args.identities}: expected at least 4, half of them are strangers")
    if args.threads < 1 or args.clip_stride < 0:
        raise ValueError(
            f"--threads is {args.threads}, --clip-stride {args.clip_stride}: expected 1 or more, 0 or more"
        )


def _open(args: argparse.Namespace, bundle: Bundle, partition: Partition | None) -> SequenceSource:
    if args.set == "sim":
        return simulated_test.published_set(bundle.preprocessing, args.data, args.identities, args.threads)
    if args.set == "lreid":
        part = args.part or ("test" if (args.folder / "bbox_test").is_dir() else "all")
        return LReid(args.folder, bundle.preprocessing, partition.test if partition else None, part)
    data = RECORDED[args.set](args.folder, bundle.preprocessing, partition.test if partition else None)
    data.segmenter = open_segmenter(args.segmenter) if args.segmenter else None
    return data


def _facts(
    args: argparse.Namespace,
    bundle: Bundle,
    scored: Scored,
    embedded: Embedded,
    inference: str,
    seconds: dict[str, float],
) -> dict[str, Any]:
    probes, gallery = scored.comparison.probes, scored.comparison.gallery
    return {
        "identities": len(np.unique(np.concatenate([probes.identity, gallery.identity]))),
        "probes": len(probes),
        "gallery_sequences": len(gallery),
        "frames": embedded.frames,
        "left_out": list(embedded.problems),
        "simulated": args.set == "sim",
        "bundle": bundle.name,
        "fingerprint": bundle.fingerprint,
        "inference": inference,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def _nested(figures: dict[str, dict[str, Figure]], by_group: dict[str, dict[str, Figure]]) -> dict[str, Any]:
    ours = next(iter(figures))
    first = next(iter(figures[ours]))  # Rank-1 over all
    best = max(found[first].value for name, found in figures.items() if name != ours)
    return {
        "lead_over_best_baseline": round(100 * (figures[ours][first].value - best), 2),
        "baselines": {name: as_json(found) for name, found in figures.items() if name != ours},
        "by_group": {name: as_json(row, counts=True) for name, row in by_group.items()},
    }


def _notes(args: argparse.Namespace, description: str, facts: dict[str, Any], partition: Partition | None) -> list[str]:
    counts = (
        f"{facts['identities']} identities, {facts['probes']} probes, {facts['gallery_sequences']} gallery sequences"
    )
    times = ", ".join(f"{name} {value:.0f} s" for name, value in facts["seconds"].items())
    notes = [
        f"{description}. {counts}.",
        f"Bundle {facts['bundle']} ({facts['fingerprint'][:12]}), {facts['inference']}; {times}.",
    ]
    if args.set == "sim":
        notes.append("Simulated people, sensors and gait: how well real people are distinguished is not known.")
    elif partition is None and args.set != "lreid":
        notes.append(
            "No --partition: everybody in the folder was scored, also people the bundle may have been trained on."
        )
    if facts["left_out"]:
        notes.append(
            f"{len(facts['left_out'])} sequences could not be read and were left out; the first: {facts['left_out'][0]}"
        )
    return notes


def _real_json(real: dict[str, dict[str, Figure]], takes: list[Take]) -> dict[str, Any]:
    if not real:
        return {}
    found = {name.replace(" ", "_"): as_json(row, counts=True) for name, row in real.items()}
    return {"real_walks": {**found, "takes": [take.name for take in takes]}}


def _real_notes(real: dict[str, dict[str, Figure]], takes: list[Take]) -> list[str]:
    """EER of real walks in words."""
    subjects = len({take.subject for take in takes})
    return [
        f"Real walks ({len(takes)} takes of {subjects} subjects, {name}, simulated sensors): "
        + ", ".join(f"{key} {figure}" for key, figure in row.items())
        for name, row in real.items()
    ]


def _print(found: dict[str, dict[str, Figure]], console: Console) -> None:
    """One row a figure, one column a method."""
    rows = [(key, *(str(figures[key]) for figures in found.values())) for key in next(iter(found.values()))]
    console.print(table("percent, with 95 % interval over identities", ("", *found), rows))
