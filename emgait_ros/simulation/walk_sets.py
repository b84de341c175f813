"""Sets of simulated walks on disk: made in parallel, one file a person, read back as samples.

    generate_set(range(100), walks_per_identity=4, ranges=(10, 20, 30), views=(0, 90), frames=20, out_dir="out/walks")

A file ``identity_000012.npz`` holds, over the N samples of all walks of that person:

    points (N, P, 3) float16   m, relative to ``center``: float16 in the LiDAR frame would round to 3 cm at 50 m
    crops (N, H, W, 3) uint8   RGB; black where ``has_crop`` is false
    center, size, velocity (N, 3) float32; range_m, image_dt_s, crop_native_height_px (N,) float32
    point_count, frame (N,) int32; has_crop (N,) bool
    sequence (N,) int32        number of the walk within the file; rows below describe the S walks
    walk_number (S,) int32, walk_range_m, walk_view_deg (S,) float32, walk_condition (S,) int32 into ``CONDITIONS``

``set.json`` beside them says how the set was made; the same arguments give the same bytes of every array.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emgait_ros.config import SampleConfig
from emgait_ros.samples import Pedestrian
from emgait_ros.simulation.lidar import LidarModel
from emgait_ros.simulation.walks import CONDITIONS, generate_walk


@dataclass(frozen=True)
class WalkPlan:
    """What every person of a set does: each walk at each range, view and condition.

    Attributes:
        walks: walk numbers; a number is one day's gait and clothes.
        ranges, views, conditions: metres, degrees and names; the set holds every combination.
        frames, rate_hz: samples of a walk.
        seed: population and noise.
        lidar: fixed sensor; None: drawn per walk among usual ones.
        sample: crop size and number of points.
    """

    walks: tuple[int, ...]
    ranges: tuple[float, ...]
    views: tuple[float, ...]
    conditions: tuple[str, ...] = ("normal",)
    frames: int = 20
    rate_hz: float = 10.0
    seed: int = 0
    lidar: LidarModel | None = None
    sample: SampleConfig = field(default_factory=SampleConfig)

    def __post_init__(self) -> None:
        if not (self.walks and self.ranges and self.views and self.conditions):
            raise ValueError("a set needs at least one walk, range, view and condition")
        unknown = [c for c in self.conditions if c not in CONDITIONS]
        if unknown:
            raise ValueError(f"conditions {unknown} are unknown: allowed are {', '.join(CONDITIONS)}")

    def combinations(self) -> Iterator[tuple[int, float, float, str]]:
        """(walk, range, view, condition) in the order of the files."""
        for walk in self.walks:
            for condition in self.conditions:
                for range_m in self.ranges:
                    for view in self.views:
                        yield walk, range_m, view, condition


def generate_set(
    identities: Sequence[int],
    walks_per_identity: int,
    ranges: Sequence[float],
    views: Sequence[float],
    frames: int,
    out_dir: str | Path,
    workers: int = 2,
    *,
    conditions: Sequence[str] = ("normal",),
    first_walk: int = 0,
    rate_hz: float = 10.0,
    seed: int = 0,
    lidar: LidarModel | None = None,
    sample: SampleConfig | None = None,
    progress: bool = True,
) -> list[Path]:
    """Generate a set with a progress bar; files that are already there are kept, so an interrupted run goes on.

    Returns:
        The files, in the order of ``identities``.

    Raises:
        ValueError: nothing to do, an unknown condition, or ``out_dir`` holds a set made with other arguments.
        OSError: the folder cannot be written.
    """
    if walks_per_identity < 1 or frames < 1 or workers < 1 or not len(identities):
        raise ValueError("a set needs identities, and walks_per_identity, frames and workers of at least 1")
    plan = WalkPlan(
        walks=tuple(range(first_walk, first_walk + walks_per_identity)),
        ranges=tuple(float(r) for r in ranges),
        views=tuple(float(v) for v in views),
        conditions=tuple(conditions),
        frames=frames,
        rate_hz=rate_hz,
        seed=seed,
        lidar=lidar,
        sample=sample or SampleConfig(),
    )
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    _describe(folder, plan)
    files = [folder / f"identity_{identity:06d}.npz" for identity in identities]
    todo = [(i, f) for i, f in zip(identities, files, strict=True) if not f.is_file()]
    with _progress_bar(progress, len(todo)) as advance:
        if workers == 1 or len(todo) <= 1:
            for identity, file in todo:
                _generate_file(int(identity), plan, file)
                advance()
        else:
            context = multiprocessing.get_context("spawn")  # the caller may hold threads of torch or ROS
            with ProcessPoolExecutor(min(workers, len(todo)), mp_context=context) as pool:
                for future in as_completed([pool.submit(_generate_file, int(i), plan, f) for i, f in todo]):
                    future.result()
                    advance()
    return files


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

    def pedestrian(self, row: int) -> Pedestrian:
        """One sample as the live system would hand it on."""
        a = self.arrays
        center = a["center"][row].astype(np.float64)
        count = int(a["point_count"][row])
        return Pedestrian(
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


def _generate_file(identity: int, plan: WalkPlan, file: Path) -> None:
    """All walks of one person into one file, whole or not at all."""
    samples: list[Pedestrian] = []
    sequence: list[int] = []
    walks = list(plan.combinations())
    for number, (walk, range_m, view, condition) in enumerate(walks):
        made = generate_walk(
            identity, walk, range_m, view, plan.frames, rate_hz=plan.rate_hz, lidar=plan.lidar,
            condition=condition, seed=plan.seed, sample=plan.sample,
        )  # fmt: skip
        samples += made
        sequence += [number] * len(made)
    temporary = file.with_suffix(f".{os.getpid()}.part")
    arrays: dict[str, Any] = {
        "identity": np.array(identity),
        "sequence": np.array(sequence, np.int32),
        "walk_number": np.array([w[0] for w in walks], np.int32),
        "walk_range_m": np.array([w[1] for w in walks], np.float32),
        "walk_view_deg": np.array([w[2] for w in walks], np.float32),
        "walk_condition": np.array([CONDITIONS.index(w[3]) for w in walks], np.int32),
        "frame": np.tile(np.arange(plan.frames, dtype=np.int32), len(walks)),
        **pack(samples, plan.sample),
    }
    try:
        with temporary.open("wb") as stream:
            np.savez(stream, **arrays)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def pack(samples: Sequence[Pedestrian], sample: SampleConfig) -> dict[str, np.ndarray]:
    """The arrays of a file for N samples (see the module's docstring)."""
    no_points = np.zeros((sample.points, 3))
    no_crop = np.zeros((sample.crop_height_px, sample.crop_width_px, 3), np.uint8)
    points = [no_points if p.points is None else p.points - p.center for p in samples]
    return {
        "points": np.array(points, np.float16),
        "crops": np.array([no_crop if p.crop is None else p.crop for p in samples]),
        "has_crop": np.array([p.crop is not None for p in samples]),
        "center": np.array([p.center for p in samples], np.float32),
        "size": np.array([p.size for p in samples], np.float32),
        "velocity": np.array([p.velocity for p in samples], np.float32),
        "range_m": np.array([p.range_m for p in samples], np.float32),
        "image_dt_s": np.array([p.image_dt_s for p in samples], np.float32),
        "crop_native_height_px": np.array([p.crop_native_height_px for p in samples], np.float32),
        "point_count": np.array([p.point_count for p in samples], np.int32),
    }


def _describe(folder: Path, plan: WalkPlan) -> None:
    """Write set.json, or refuse a folder whose set was made otherwise."""
    lidar = None if plan.lidar is None else [len(plan.lidar.elevations_deg), plan.lidar.azimuth_step_deg]
    text: dict[str, Any] = {
        "walks": plan.walks, "ranges_m": plan.ranges, "views_deg": plan.views, "conditions": plan.conditions,
        "frames": plan.frames, "rate_hz": plan.rate_hz, "seed": plan.seed, "lidar": lidar,
        "points": plan.sample.points, "crop": [plan.sample.crop_height_px, plan.sample.crop_width_px],
    }  # fmt: skip
    wanted = json.loads(json.dumps(text))
    file = folder / "set.json"
    if file.is_file():
        found = json.loads(file.read_text())
        if found != wanted:
            differing = sorted(k for k in wanted if found.get(k) != wanted[k])
            raise ValueError(
                f"{folder} holds a set made with other {', '.join(differing)}: choose another folder or remove it"
            )
    else:
        file.write_text(json.dumps(wanted, indent=1) + "\n")


class _progress_bar:
    """A rich bar over people; nothing when switched off."""

    def __init__(self, shown: bool, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("people"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, disable=not shown)
        self._task = self._bar.add_task("people", total=total)

    def __enter__(self) -> Any:
        self._bar.start()
        return lambda: self._bar.advance(self._task)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
