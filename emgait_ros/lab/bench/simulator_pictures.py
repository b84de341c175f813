"""Pictures of what the simulator makes, and beside real frames of KITTI: crops, returns and a whole street."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from emgait_ros.config import SampleConfig
from emgait_ros.lab.datasets.kitti import KittiFrames
from emgait_ros.lab.simulation.lidar import LidarModel
from emgait_ros.lab.simulation.scene import SCENES
from emgait_ros.lab.simulation.simulator import StreetSimulator
from emgait_ros.lab.simulation.walks import CONDITIONS, generate_walk
from emgait_ros.samples import CameraModel, Float32, Float64, Sample, UInt8
from emgait_ros.sensing.perception.crops import cut_crop

RANGES_M = (10, 20, 30, 40, 50)
VIEWS_DEG = tuple(range(0, 360, 45))
PERSON = 200_001
REAL_SHOWN = 6
DPI = 90
ALL_RETURNS = SampleConfig(points=1024)  # more than anybody has: repeated ones are dropped again


def write_pictures(folder: Path) -> list[Path]:
    """``conditions.jpg``, ``views.jpg`` and ``street.jpg`` of simulated people only."""
    folder.mkdir(parents=True, exist_ok=True)
    grid = [(c, [(PERSON + i, float(r), 90.0, c) for i, r in enumerate(RANGES_M)]) for c in CONDITIONS]
    by_view = [("10 m", [(PERSON, 10.0, float(v), "normal") for v in VIEWS_DEG])]
    by_view += [("30 m", [(PERSON, 30.0, float(v), "normal") for v in VIEWS_DEG])]
    return [
        _walks(folder / "conditions.jpg", grid, [f"{r} m" for r in RANGES_M]),
        _walks(folder / "views.jpg", by_view, [f"{v}°" for v in VIEWS_DEG]),
        _street(folder / "street.jpg"),
    ]


def write_beside_kitti(frames: Path, path: Path) -> Path:
    """Real pedestrians above, simulated ones at the same ranges, by the same camera and 64 beams, below.

    The picture shows real people and is CC BY-NC-SA 3.0 like KITTI: it must not be put into this repository.

    Raises:
        FileNotFoundError, ValueError: no frames there, or no labelled pedestrian in them.
    """
    real = _real_pedestrians(KittiFrames(frames))
    if not real:
        raise ValueError(f"{frames} has no frame with a labelled pedestrian in full view")
    real.sort(key=lambda one: one[0])
    real = [real[i] for i in np.unique(np.linspace(0, len(real) - 1, REAL_SHOWN).round().astype(int))]
    canvas = Canvas(figsize=(2.6 * len(real), 5.4), layout="constrained")
    axes = canvas.subplots(2, 2 * len(real), squeeze=False)
    for column, (range_m, crop, points, camera) in enumerate(real):
        walk = generate_walk(
            PERSON + column,
            0,
            range_m,
            70.0 * column,
            3,
            lidar=LidarModel.beams_64(),
            camera=camera,
            sample=ALL_RETURNS,
        )
        _show(axes[0, 2 * column], axes[0, 2 * column + 1], crop, points, f"real, {range_m:.0f} m")
        _show_sample(axes[1, 2 * column], axes[1, 2 * column + 1], walk[-1], "simulated")
    canvas.savefig(path, dpi=DPI)
    return path


def _real_pedestrians(frames: KittiFrames) -> list[tuple[float, UInt8, Float32, CameraModel]]:
    """Range, crop, points seen along the ray, camera; of labelled pedestrians nobody stands before."""
    found = []
    for number in range(len(frames)):
        frame = frames[number]
        if frame.labels is None:
            continue
        people = frame.labels.of_kind("Pedestrian")
        inside = people.contains(frame.points, 0.1)
        for person in range(len(people)):
            crop = cut_crop(frame.image, people.rectangle[person], SampleConfig())
            range_m = float(np.hypot(*people.center[person, :2]))
            if crop is None or people.occlusion[person] > 0 or not 4 < range_m < 60:
                continue
            center, size = people.center[person], people.size[person]
            ground = float(center[2] - size[2] / 2)
            found.append((range_m, crop, _across(frame.points[inside[person]], center, ground), frame.camera))
    return found


def _across(points: Float32, center: Float64, ground: float) -> Float32:
    """(N, 2) points as the sensor sees them: to its right, and above the ground, m."""
    bearing = np.arctan2(center[1], center[0])
    right = (points[:, 0] - center[0]) * np.sin(bearing) - (points[:, 1] - center[1]) * np.cos(bearing)
    return np.column_stack([right, points[:, 2] - ground]).astype(np.float32)


def _walks(path: Path, rows: list[tuple[str, list[tuple[int, float, float, str]]]], columns: list[str]) -> Path:
    """Rows of walks, for each a crop and its returns."""
    canvas = Canvas(figsize=(1.9 * len(columns), 2.35 * len(rows)), layout="constrained")
    axes = canvas.subplots(len(rows), 2 * len(columns), squeeze=False)
    for row, (name, walks) in enumerate(rows):
        for column, (identity, range_m, view, condition) in enumerate(walks):
            sample = generate_walk(identity, 0, range_m, view, 4, condition=condition, sample=ALL_RETURNS)[-1]
            title = f"{name}, {columns[column]}"
            _show_sample(axes[row, 2 * column], axes[row, 2 * column + 1], sample, title)
    canvas.savefig(path, dpi=DPI, pil_kwargs={"quality": 85})
    return path


def _show_sample(left: Axes, right: Axes, sample: Sample, title: str) -> None:
    ground = float(sample.center[2] - sample.size[2] / 2)
    points = np.zeros((0, 3), np.float32) if sample.points is None else np.unique(sample.points, axis=0)
    crop = np.zeros((128, 64, 3), np.uint8) if sample.crop is None else sample.crop
    _show(left, right, crop, _across(points, sample.center, ground), title)


def _show(left: Axes, right: Axes, crop: UInt8, points: Float32, title: str) -> None:
    left.imshow(crop, aspect="equal")
    left.set_title(title, fontsize=7, loc="left")
    right.scatter(points[:, 0], points[:, 1], s=3, c=points[:, 1], cmap="viridis", vmin=0, vmax=1.9)
    right.set(xlim=(-0.6, 0.6), ylim=(-0.15, 2.25), aspect="equal")
    right.set_title(f"{len(points)} returns", fontsize=7)
    for axes in (left, right):
        axes.set_xticks([])
        axes.set_yticks([])


def _street(path: Path) -> Path:
    """The demo's street: an image, and the cloud of the same moment from above."""
    simulator = StreetSimulator(SCENES["demo"](7))
    number = simulator.cloud_count // 8
    scan, _ = simulator.cloud(number)
    time_s = simulator.cloud_time_s(number)
    nearest = min(range(simulator.image_count), key=lambda i: abs(simulator.image_time_s(i) - time_s))
    canvas = Canvas(figsize=(11, 4), layout="constrained")
    left, right = canvas.subplots(1, 2, width_ratios=(1.75, 1))
    left.imshow(simulator.image(nearest))
    left.set_axis_off()
    people = scan.object_id > 0
    for mask, color, size in ((~people, "#9aa4b0", 0.1), (people, "#c8553d", 2.0)):
        right.scatter(scan.points[mask, 0], scan.points[mask, 1], s=size, c=color, rasterized=True)
    right.set(xlim=(0, 55), ylim=(-16, 16), aspect="equal", title=f"{len(scan.points):,} returns, people red")
    canvas.savefig(path, dpi=DPI, pil_kwargs={"quality": 85})
    return path
