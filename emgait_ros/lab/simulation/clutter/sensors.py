"""LiDARs as they are mounted: beams, place and tilt, field of view, faults, and what the carrier's motion does to a turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.lab.simulation.clutter.meshes import rotation
from emgait_ros.lab.simulation.lidar import LidarModel
from emgait_ros.samples import Float64

DENSE_32 = (
    -25.0, -15.639, -11.31, -8.843, -7.254, -6.148, -5.333, -4.667, -4.0, -3.667, -3.333, -3.0, -2.667, -2.333,
    -2.0, -1.667, -1.333, -1.0, -0.667, -0.333, 0.0, 0.333, 0.667, 1.0, 1.333, 1.667, 2.333, 3.333, 4.667, 7.0, 10.333,
    15.0,
)  # fmt: skip
NAMES = ("16 even", "32 even", "32 dense", "two 32 dense", "40 dense", "64 even", "64 kitti", "128 even", "128 dense", "solid state")  # fmt: skip
_CHANCES = (0.07, 0.08, 0.1, 0.14, 0.13, 0.1, 0.16, 0.06, 0.06, 0.1)
_EVEN: dict[int, tuple[tuple[float, ...], tuple[int, ...]]] = {  # beams: half the field of view, deg; columns of a turn
    16: ((15.0,), (900, 1800, 3600)),
    32: ((10.0, 15.5, 22.5, 45.0), (900, 1024, 1800)),
    64: ((11.25, 16.6, 22.5, 45.0), (1024, 1800, 2048)),
    128: ((20.0, 22.5), (1024, 1800, 2048)),
}


@dataclass(frozen=True)
class Scanner:
    """One LiDAR, or two one above the other.

    Attributes:
        name: one of ``NAMES``.
        models: the beams of each unit.
        offsets: (4, 4) pose of each unit in the LiDAR frame.
        height_m: of the LiDAR frame's origin over the ground below it.
        tilt: (2,) pitch and roll, rad; yaw_rad: its heading in the scene.
        sector: (first, last) azimuth that is seen, rad; a full turn: (-pi, pi).
        velocity: (3,) forward, left m/s and yaw rad/s of the carrier, not compensated in the points; (0, 0, 0) mostly.
        glass: share of the beams that a pane returns; rain: share that ends in the air.
        kept: share of the directions that are measured in one turn: below 1 for scanners that do not repeat themselves.
        ghosts: share of the returns that come mirrored, from too far away, also from below the ground.
        on_car: a car carries it; else a robot, a tripod or a person.
    """

    name: str
    models: tuple[LidarModel, ...]
    offsets: tuple[Float64, ...]
    height_m: float
    tilt: tuple[float, float]
    yaw_rad: float
    sector: tuple[float, float]
    velocity: tuple[float, float, float]
    glass: float
    rain: float
    kept: float
    ghosts: float
    on_car: bool

    @property
    def beams(self) -> int:
        """Rows of all units together."""
        return sum(len(model.elevations_deg) for model in self.models)

    def pose(self, x: float, y: float, ground_z: float) -> Float64:
        """(4, 4) LiDAR frame in the world when it stands at a place."""
        T = np.eye(4)
        T[:3, :3] = rotation(self.yaw_rad, *self.tilt)
        T[:3, 3] = x, y, ground_z + self.height_m
        return T


def draw_scanner(rng: np.random.Generator, on_car: bool, indoors: bool) -> Scanner:
    """A sensor as one meets them: on a car at 1.5 to 2.2 m, on a robot, tripod or mast at 0.5 to 3.1 m."""
    name = str(rng.choice(NAMES, p=_CHANCES))
    height = float(
        rng.normal(1.75, 0.12)
        if on_car
        else rng.uniform(0.5, 1.4)
        if rng.random() < 0.5
        else rng.uniform(0.9, 2.4 if indoors else 3.1)
    )
    tilt = np.radians(rng.normal(0, 0.5, 2) if rng.random() < 0.5 else rng.uniform(-2.8, 2.8, 2))
    faults = {
        "min_range_m": float(rng.choice([0.3, 0.9])), "max_range_m": float(rng.choice([60.0, 80.0, 120.0])),
        "noise_m": float(rng.choice([0.005, 0.01, 0.015, 0.02, 0.04], p=[0.2, 0.3, 0.25, 0.15, 0.1])),
        "noise_per_m": float(rng.uniform(0, 0.0004)), "dropout": float(rng.choice([0.002, 0.01, 0.03, 0.12], p=[0.3, 0.4, 0.2, 0.1])),
        "dropout_far": float(rng.uniform(0.02, 0.2)), "mixed": float(rng.uniform(0.05, 0.35)),
    }  # fmt: skip
    elevations, steps = _layout(name, rng)
    columns = int(rng.choice(steps))
    models = [LidarModel(tuple(float(e) for e in elevations), 360.0 / columns, **faults)]
    offsets = [np.eye(4)]
    if name == "two 32 dense":
        models *= 2
        low = np.eye(4)
        low[:3, :3], low[2, 3] = (
            rotation(float(rng.uniform(-3, 3)), 0.0, float(rng.choice([0.0, np.pi]))),
            -float(rng.uniform(0.15, 0.35)),
        )
        offsets.append(low)
    sector = (-np.pi, np.pi)
    if name == "solid state":
        half = np.radians(rng.uniform(35, 60))
        sector = (-half, half)
    elif rng.random() < 0.15:
        half = np.radians(rng.uniform(45, 130))
        sector = (-half, half)
    moving = rng.random() < (0.5 if on_car else 0.25)
    speed = float(rng.uniform(0.5, 12.0) if on_car else rng.uniform(0.2, 1.8))
    return Scanner(
        name=name, models=tuple(models), offsets=tuple(offsets), height_m=height, tilt=(float(tilt[0]), float(tilt[1])),
        yaw_rad=float(rng.choice([0, np.pi]) + rng.normal(0, 0.1) if on_car else rng.uniform(-np.pi, np.pi)), sector=sector,
        velocity=(speed, 0.0, float(rng.normal(0, 0.2))) if moving else (0.0, 0.0, 0.0),
        glass=float(rng.uniform(0.02, 0.3)), rain=float(rng.choice([0.0, 0.0005, 0.003, 0.012], p=[0.7, 0.14, 0.1, 0.06])) if not indoors else 0.0,
        kept=float(rng.uniform(0.25, 0.7)) if name == "solid state" and rng.random() < 0.5 else 1.0,
        ghosts=float(rng.choice([0.0, 0.0003, 0.0015])), on_car=on_car,
    )  # fmt: skip


def _layout(name: str, rng: np.random.Generator) -> tuple[Float64, tuple[int, ...]]:
    """Elevations, deg ascending, and the numbers of columns that such sensors have."""
    if name == "64 kitti":
        lower, upper = np.linspace(-24.8, -8.9, 32), np.linspace(-8.53, 2.0, 32)
        beams = np.concatenate([lower, upper]) + rng.normal(0, 0.04, 64)
        return np.sort(beams) + rng.normal(0, 0.2), (2000, 2083, 2250)
    if name in ("32 dense", "two 32 dense"):
        return np.array(DENSE_32), (1800, 2000)
    if name == "40 dense":
        beams = np.concatenate([np.arange(-16, -6, 1.0), np.arange(-6, 2.01, 1 / 3), np.arange(3, 8, 1.0)])
        return beams, (1800, 1800, 900)
    if name == "128 dense":
        return np.concatenate([np.linspace(-25, -6.2, 40), np.linspace(-6, 2, 64), np.linspace(2.3, 15, 24)]), (
            1800,
            3600,
        )
    if name == "solid state":
        rows, high = int(rng.choice([96, 128, 160])), float(rng.uniform(22, 28))
        return np.linspace(-high / 2, high / 2, rows) + rng.uniform(-5, 3), (1800, 2400)
    rows = int(name.split()[0])
    halves, columns = _EVEN[rows]
    half = float(rng.choice(halves))
    shift = float(rng.choice([0.0, -5.0])) if half < 30 else 0.0
    return np.linspace(-half, half, rows) + shift, columns
