"""Simulated walks as a data set: planned, generated one file a person, read back as a ``SequenceSet``.

The files are those of ``simulation.walk_sets`` (its ``generate_set`` makes full grids of ranges and views; the plans here
draw them per person, which trains better from the same number of walks). They keep points around the box a tracker gave,
in the LiDAR's axes, so that one set serves every ``points_frame``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from emgait_ros.config import SampleConfig
from emgait_ros.datasets.sequences import FRAME_FIELDS, SEQUENCE_FIELDS, SequenceSet
from emgait_ros.inference.preprocessing import Preprocessing, normalise_points
from emgait_ros.simulation.walk_sets import WalkFile, pack
from emgait_ros.simulation.walks import CONDITIONS, generate_walk

VIEWS_DEG = tuple(range(0, 360, 45))
OTHER_CONDITIONS = {"bag": 0.1, "clothing": 0.1, "night": 0.07, "occlusion": 0.07}


@dataclass(frozen=True)
class PlannedWalk:
    """One sequence to generate; arguments of ``simulation.walks.generate_walk``."""

    identity: int
    walk: int
    range_m: float
    view_deg: float
    frames: int
    condition: str = "normal"


def plan_training(
    first_identity: int,
    identities: int,
    walks: int,
    sequences: int,
    frames: int,
    ranges_m: tuple[float, float],
    seed: int,
) -> list[PlannedWalk]:
    """Every walk of every identity at ``sequences`` views and ranges; a person's views are spread over the circle."""
    rng = np.random.default_rng((seed, first_identity))
    names, shares = ["normal", *OTHER_CONDITIONS], [1 - sum(OTHER_CONDITIONS.values()), *OTHER_CONDITIONS.values()]
    plan = []
    for identity in range(first_identity, first_identity + identities):
        count = walks * sequences
        views = (rng.uniform(0, 360) + 360 / count * rng.permutation(count)) % 360
        for number, view in enumerate(views):
            condition = str(rng.choice(names, p=shares))
            range_m = round(float(rng.uniform(*ranges_m)), 1)
            plan.append(PlannedWalk(identity, number // sequences, range_m, float(round(view)), frames, condition))
    return plan


def plan_protocol(
    first_identity: int,
    identities: int,
    frames: int,
    gallery_views: Sequence[int] = (0, 90, 180, 270),
    probe_ranges_m: Sequence[float] = (20.0, 30.0, 40.0, 50.0),
    probes_per_range: int = 2,
    seed: int = 0,
) -> list[PlannedWalk]:
    """Walk 0 at 10 m from ``gallery_views``; walk 1 (other clothes, another day) at each range from drawn views of eight."""
    rng = np.random.default_rng((seed, first_identity, 1))
    plan = []
    for identity in range(first_identity, first_identity + identities):
        plan += [PlannedWalk(identity, 0, 10.0, float(view), frames) for view in gallery_views]
        for range_m in probe_ranges_m:
            views = rng.choice(VIEWS_DEG, probes_per_range, replace=False)
            plan += [PlannedWalk(identity, 1, float(range_m), float(view), frames) for view in views]
    return plan


def generate(
    plan: Sequence[PlannedWalk], folder: Path, seed: int, preprocessing: Preprocessing, workers: int = 2
) -> None:
    """Write a set; files that are there already from the same plan are kept, so an interrupted run goes on.

    Args:
        plan: all walks; those of one identity go into one file.
        folder: made when absent.
        seed: population of the simulated people.
        preprocessing: sizes of crops and clouds.
        workers: processes.

    Raises:
        ValueError: the folder holds a set made from another plan, or the plan is empty.
        OSError: the folder cannot be written or the disk is full; no file is left half-written.
    """
    if not plan:
        raise ValueError("a simulated set needs at least one walk")
    people: dict[int, list[PlannedWalk]] = {}
    for walk in plan:
        people.setdefault(walk.identity, []).append(walk)
    folder.mkdir(parents=True, exist_ok=True)
    _describe(folder, plan, seed, preprocessing)
    sample = SampleConfig(preprocessing.points, preprocessing.crop_height, preprocessing.crop_width)
    tasks = [
        (_file(folder, name), walks, seed, sample)
        for name, walks in people.items()
        if not _file(folder, name).is_file()
    ]
    if not tasks:
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:  # spawn: the caller may hold threads of torch
        made = pool.map(_write_person, tasks, chunksize=4)
        for _ in track(made, description=f"people of {folder.name}", total=len(tasks)):
            pass


def _file(folder: Path, identity: int) -> Path:
    return folder / f"identity_{identity:06d}.npz"


def _describe(folder: Path, plan: Sequence[PlannedWalk], seed: int, preprocessing: Preprocessing) -> None:
    """Write set.json, or refuse a folder that holds another set."""
    description = {
        "seed": seed,
        "crop": [preprocessing.crop_height, preprocessing.crop_width],
        "points": preprocessing.points,
        "plan": [list(asdict(walk).values()) for walk in plan],
    }
    index = folder / "set.json"
    if index.is_file():
        if json.loads(index.read_text(encoding="utf-8")) != description:
            raise ValueError(f"{folder} holds a set made from another plan: remove it or choose another folder")
        return
    index.write_text(json.dumps(description), encoding="utf-8")


def _write_person(task: tuple[Path, list[PlannedWalk], int, SampleConfig]) -> None:
    """Generate one person's file (in a worker process) and move it into place when it is complete."""
    path, plan, seed, sample = task
    walks = [
        generate_walk(
            w.identity, w.walk, w.range_m, w.view_deg, w.frames, condition=w.condition, seed=seed, sample=sample
        )
        for w in plan
    ]
    arrays: dict[str, Any] = {
        "identity": np.int64(plan[0].identity),
        "sequence": np.repeat(np.arange(len(walks), dtype=np.int32), [len(walk) for walk in walks]),
        "walk_number": np.array([w.walk for w in plan], np.int32),
        "walk_range_m": np.array([w.range_m for w in plan], np.float32),
        "walk_view_deg": np.array([w.view_deg for w in plan], np.float32),
        "walk_condition": np.array([CONDITIONS.index(w.condition) for w in plan], np.int32),
        **pack([pedestrian for walk in walks for pedestrian in walk], sample),
    }
    unfinished = path.with_suffix(".unfinished")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def load_simulated(
    folder: str | Path, preprocessing: Preprocessing, crop_size: tuple[int, int] | None = None
) -> SequenceSet:
    """Read a set whole into memory, points normalised as the live system does.

    Args:
        folder: as written by :func:`generate` or by ``simulation.walk_sets.generate_set``.
        preprocessing: size of crops and clouds, axes of the points.
        crop_size: (height, width) to shrink crops to by whole factors, e.g. to what the gait branch sees; a 2 x 2 mean
            is what the network's own resize gives for half the size. None: as stored.

    Raises:
        FileNotFoundError: not a set, or people are missing.
        ValueError: a file is damaged, or sizes are not those of ``preprocessing``.
    """
    folder = Path(folder)
    index = folder / "set.json"
    if not index.is_file():
        raise FileNotFoundError(f"{folder} is no simulated set: it has no set.json. `emgait train` generates one")
    description = json.loads(index.read_text(encoding="utf-8"))
    made = (description.get("crop"), description.get("points"))
    wanted = ([preprocessing.crop_height, preprocessing.crop_width], preprocessing.points)
    if made != wanted:
        raise ValueError(
            f"{folder} holds crops and points of {made}, the network takes {wanted}: generate the set anew"
        )
    paths = sorted(folder.glob("identity_*.npz"))
    if "plan" in description:
        paths = [_file(folder, name) for name in sorted({entry[0] for entry in description["plan"]})]
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        raise FileNotFoundError(
            f"{folder} lacks {len(missing) or 'all'} of its files"
            + (f", the first is {missing[0]}" if missing else "")
            + ": generate the set again, it goes on where it stopped"
        )
    people = [_read_person(path, preprocessing, crop_size) for path in paths]
    whole = {name: np.concatenate([person[name] for person in people]) for name in people[0]}
    start = np.concatenate([[0], np.cumsum(whole.pop("lengths"))]).astype(np.int64)
    return SequenceSet(start=start, **whole)


def _read_person(
    path: Path, preprocessing: Preprocessing, crop_size: tuple[int, int] | None
) -> dict[str, NDArray[Any]]:
    """Arrays of one person, named as in ``SequenceSet``, and ``lengths`` of the sequences."""
    try:
        file = WalkFile.read(path)
        arrays = file.arrays
        lengths = np.bincount(arrays["sequence"], minlength=file.sequences)
        center, size, velocity = (arrays[name].astype(np.float64) for name in ("center", "size", "velocity"))
        has_points = arrays["point_count"] > 0
        points = (arrays["points"].astype(np.float64) + center[:, None]).astype(np.float32)
        points = normalise_points(points, center, size, velocity, preprocessing.points_frame)
        found: dict[str, NDArray[Any]] = {
            "identity": np.full(len(lengths), file.identity, np.int64),
            "walk": arrays["walk_number"].astype(np.int64),
            "view_deg": arrays["walk_view_deg"],
            "range_m": arrays["walk_range_m"],
            "condition": np.array(CONDITIONS)[arrays["walk_condition"]],
            "lengths": lengths.astype(np.int64),
            "crops": arrays["crops"] if crop_size is None else shrink(arrays["crops"], crop_size),
            "points": points * has_points[:, None, None].astype(np.float32),
            "point_count": arrays["point_count"].astype(np.int64),
            "has_image": arrays["has_crop"],
            "has_points": has_points,
        }
    except (KeyError, ValueError, IndexError, OSError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({error}): remove it and generate the set again") from error
    frames = int(lengths.sum())
    uneven = [name for name in FRAME_FIELDS if len(found[name]) != frames]
    uneven += [name for name in SEQUENCE_FIELDS if len(found[name]) != len(lengths)]
    if uneven or not lengths.all():
        raise ValueError(
            f"{path} is damaged: {', '.join(uneven) or 'a sequence'} does not fit its {frames} samples; remove it and generate the set again"
        )
    return found


def shrink(crops: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(F, H, W, 3) -> (F, *size, 3) by the mean over whole blocks; unchanged when the factors are not whole."""
    height, width = crops.shape[1:3]
    if height % size[0] or width % size[1] or size == (height, width):
        return crops
    rows, columns = height // size[0], width // size[1]
    blocks = crops.reshape(len(crops), size[0], rows, size[1], columns, 3)
    return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
