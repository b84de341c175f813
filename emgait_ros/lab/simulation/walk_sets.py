"""Sets of simulated walks on disk: made in parallel, one file a person, read back as samples.

    generate([PlannedWalk(12, 0, 10.0, 90.0, 20), PlannedWalk(12, 1, 30.0, 45.0, 20)], Path("out/walks"), seed=0)

A file ``identity_000012.npz`` holds, over the N samples of all walks of that person:

    joints (N, J, 3) float16   m, relative to ``center``: the true joints ``simulation.walks.JOINTS``
    points (N, P, 3) float16   m, relative to ``center``: float16 in the LiDAR frame would round to 3 cm at 50 m
    crops (N, H, W, 3) uint8   RGB; black where ``has_crop`` is false
    masks (N, H, W / 8) uint8  which pixels of the crop show the walker, packed by numpy.packbits (sets made before lack them)
    center, size, velocity (N, 3) float32; range_m, image_dt_s, crop_native_height_px (N,) float32
    point_count (N,) int32; has_crop (N,) bool
    sequence (N,) int32        number of the walk within the file; rows below describe the S walks
    walk_number (S,) int32, walk_range_m, walk_view_deg (S,) float32, walk_condition (S,) int32 into ``CONDITIONS``

``set.json`` next to them holds the plan; the same plan gives the same bytes of every array.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from emgait_ros.config import SampleConfig
from emgait_ros.lab.simulation.walks import CONDITIONS, generate_walk, walk_joints
from emgait_ros.samples import Sample
from emgait_ros.whole_files import write_text, written_whole


@dataclass(frozen=True)
class PlannedWalk:
    """One sequence to generate; arguments of ``simulation.walks.generate_walk``."""

    identity: int
    walk: int
    range_m: float
    view_deg: float
    frames: int
    condition: str = "normal"


def generate(
    plan: Sequence[PlannedWalk], folder: Path, seed: int, sample: SampleConfig | None = None, workers: int = 2
) -> None:
    """Write a set; files that are there already from the same plan are kept, so an interrupted run goes on.

    Args:
        plan: all walks; those of one identity go into one file.
        folder: made when absent.
        seed: population of the simulated people.
        sample: sizes of crops and clouds.
        workers: processes.

    Raises:
        ValueError: the folder holds a set made from another plan, or the plan is empty.
        OSError: the folder cannot be written or the disk is full; no file is left half-written.
    """
    if not plan:
        raise ValueError("a simulated set needs at least one walk")
    sample = sample or SampleConfig()
    people: dict[int, list[PlannedWalk]] = {}
    for walk in plan:
        people.setdefault(walk.identity, []).append(walk)
    folder.mkdir(parents=True, exist_ok=True)
    _describe(folder, plan, seed, sample)
    tasks = [
        (identity_file(folder, name), walks, seed, sample)
        for name, walks in people.items()
        if not identity_file(folder, name).is_file()
    ]
    if not tasks:
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:  # spawn: the caller may hold threads of torch
        made = pool.map(_write_person, tasks, chunksize=1)
        for _ in track(made, description=f"people of {folder.name}", total=len(tasks)):
            pass


def identity_file(folder: Path, identity: int) -> Path:
    """Where a person's walks lie."""
    return folder / f"identity_{identity:06d}.npz"


def _describe(folder: Path, plan: Sequence[PlannedWalk], seed: int, sample: SampleConfig) -> None:
    """Write set.json, or refuse a folder that holds another set."""
    description = {
        "seed": seed,
        "crop": [sample.crop_height_px, sample.crop_width_px],
        "points": sample.points,
        "plan": [list(asdict(walk).values()) for walk in plan],
    }
    index = folder / "set.json"
    if index.is_file():
        if json.loads(index.read_text(encoding="utf-8")) != description:
            raise ValueError(f"{folder} holds a set made from another plan: remove it or choose another folder")
        return
    write_text(index, json.dumps(description))


def _write_person(task: tuple[Path, list[PlannedWalk], int, SampleConfig]) -> None:
    """Generate one person's file (in a worker process) and move it into place when it is complete."""
    path, plan, seed, sample = task
    walks, joints = [], []
    for w in plan:
        which = (w.identity, w.walk, w.range_m, w.view_deg, w.frames)
        walks.append(generate_walk(*which, condition=w.condition, seed=seed, sample=sample))
        centers = np.array([pedestrian.center for pedestrian in walks[-1]])
        joints.append(walk_joints(*which, condition=w.condition, seed=seed) - centers[:, None])
    arrays: dict[str, Any] = {
        "identity": np.int64(plan[0].identity),
        "sequence": np.repeat(np.arange(len(walks), dtype=np.int32), [len(walk) for walk in walks]),
        "walk_number": np.array([w.walk for w in plan], np.int32),
        "walk_range_m": np.array([w.range_m for w in plan], np.float32),
        "walk_view_deg": np.array([w.view_deg for w in plan], np.float32),
        "walk_condition": np.array([CONDITIONS.index(w.condition) for w in plan], np.int32),
        "joints": np.concatenate(joints).astype(np.float16),
        **pack([pedestrian for walk in walks for pedestrian in walk], sample),
    }
    with written_whole(path) as fresh, fresh.open("wb") as file:
        np.savez(file, **arrays)


@dataclass(frozen=True)
class WalkFile:
    """One person's walks, read back. ``arrays`` are those of the module's docstring."""

    identity: int
    arrays: dict[str, np.ndarray]

    @staticmethod
    def read(path: str | Path) -> WalkFile:
        """Raises ValueError when the file is not of a walk set."""
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        missing = {"identity", "points", "crops", "center", "sequence", "walk_condition"} - set(arrays)
        if missing:
            raise ValueError(f"{path} is not a file of a walk set: it lacks {', '.join(sorted(missing))}")
        return WalkFile(int(arrays.pop("identity")), arrays)

    @property
    def sequences(self) -> int:
        """Number of walks."""
        return len(self.arrays["walk_condition"])

    def rows(self, sequence: int) -> np.ndarray:
        """Sample numbers of one walk, in time order."""
        return np.flatnonzero(self.arrays["sequence"] == sequence)

    def pedestrian(self, row: int) -> Sample:
        """One sample as the live system would hand it on."""
        a = self.arrays
        center = a["center"][row].astype(np.float64)
        count = int(a["point_count"][row])
        return Sample(
            track_id=self.identity,
            center=center,
            size=a["size"][row].astype(np.float64),
            velocity=a["velocity"][row].astype(np.float64),
            moving=True,
            range_m=float(a["range_m"][row]),
            score=1.0,
            point_count=count,
            points=(a["points"][row].astype(np.float64) + center).astype(np.float32) if count else None,
            crop=a["crops"][row] if a["has_crop"][row] else None,
            crop_native_height_px=float(a["crop_native_height_px"][row]),
            image_dt_s=float(a["image_dt_s"][row]),
        )


def pack(samples: Sequence[Sample], sample: SampleConfig) -> dict[str, np.ndarray]:
    """The arrays of a file for N samples (see the module's docstring)."""
    no_points = np.zeros((sample.points, 3))
    no_crop = np.zeros((sample.crop_height_px, sample.crop_width_px, 3), np.uint8)
    no_mask = no_crop[:, :, 0]
    points = [no_points if p.points is None else p.points - p.center for p in samples]
    return {
        "points": np.array(points, np.float16),
        "crops": np.array([no_crop if p.crop is None else p.crop for p in samples]),
        "masks": np.packbits([(no_mask if p.silhouette is None else p.silhouette) >= 128 for p in samples], axis=-1),
        "has_crop": np.array([p.crop is not None for p in samples]),
        "center": np.array([p.center for p in samples], np.float32),
        "size": np.array([p.size for p in samples], np.float32),
        "velocity": np.array([p.velocity for p in samples], np.float32),
        "range_m": np.array([p.range_m for p in samples], np.float32),
        "image_dt_s": np.array([p.image_dt_s for p in samples], np.float32),
        "crop_native_height_px": np.array([p.crop_native_height_px for p in samples], np.float32),
        "point_count": np.array([p.point_count for p in samples], np.int32),
    }
