"""Passes: simulated people seen by several LiDARs at once, points alone, as raw as a recorder keeps them.

What a linear part must weigh down is what differs when the same person is seen by another sensor, or on another day. So every
walk here is one pass before sensors of several kinds: spinning ones of 16 to 128 beams, and solid-state ones whose rosette
never repeats and gathers its returns over the whole frame; 0.5 to 3 m high, from any side, 5 to 52 m away.

A file holds some people; rows are the sequences (a person, a walk and a sensor):

    identity, walk, sensor (S,) int64; rosette (S,) bool; speed (S,) float32 m/s
    n (S, T) returns of each frame; xyz (R, 3) int16 mm about ``truth``, frame by frame
    truth, velocity (S, T, 3) float32 m, m/s: the ground under the pelvis and its motion, LiDAR frame
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from emgait_ros.lab.simulation.lidar import LidarModel, RangeImage, cast_mesh, returns
from emgait_ros.lab.simulation.walker import Path as WalkPath
from emgait_ros.lab.simulation.walker import Walker
from emgait_ros.samples import Float32, Float64
from emgait_ros.whole_files import written_whole

MOST_RETURNS = 256
WALKS = 2
SWEEP_S = 0.03  # a rosette's returns lie this much before and after the stamp
SPINNING = {  # beams: elevations, the range up to which they see enough of a person, how often drawn
    16: (tuple(np.linspace(-15, 15, 16)), 12.0, 0.1),
    32: (LidarModel.beams_32().elevations_deg, 22.0, 0.2),
    64: (LidarModel.beams_64().elevations_deg, 40.0, 0.3),
    128: (LidarModel.beams_128().elevations_deg, 52.0, 0.4),
}


@dataclass(frozen=True)
class PassesConfig:
    """Who passes.

    Attributes:
        first_identity, identities: as ``training.recipe.PeopleConfig``; nobody whom the network is tested on.
        sensors: that see a pass at the same time.
        frames: of a pass, at 10 Hz.
        per_file: people of one file.
    """

    first_identity: int = 400_000
    identities: int = 1500
    sensors: int = 2
    frames: int = 20
    per_file: int = 50

    def __post_init__(self) -> None:
        if min(self.identities, self.sensors, self.frames, self.per_file) < 1 or self.first_identity < 0:
            raise ValueError("passes need at least one identity, sensor and frame, and a first_identity of 0 or more")


class Sensor(NamedTuple):
    """A LiDAR that sees a pass: its beams, whether it is a rosette, range of the middle of the pass and height in m, returns of a frame."""

    model: LidarModel
    rosette: bool
    range_m: float
    height_m: float
    mean_returns: float


class RawPass(NamedTuple):
    """One sequence as it was seen: T clouds (N, 3) float32 m, and ``truth``, ``velocity`` (T, 3) float64, LiDAR frame."""

    clouds: list[Float32]
    truth: Float64
    velocity: Float64


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """Any of the kinds of the module's docstring."""
    height = float(rng.uniform(0.5, 3.0))
    noise = {
        "noise_m": float(rng.uniform(0.008, 0.025)),
        "dropout": float(rng.uniform(0, 0.1)),
        "mixed": float(rng.uniform(0.1, 0.4)),
    }
    if rng.random() < 0.55:
        range_m = float(rng.uniform(5, 25))
        step = 360 / round(360 / min(0.25, max(0.06, 1.6 / range_m)))
        low = np.degrees(np.arctan2(-height - 0.1, range_m - 3)) - 1
        high = np.degrees(np.arctan2(2.1 - height, max(range_m - 3, 1.5))) + 1
        model = LidarModel(tuple(np.arange(max(low, -60), min(high, 60), step)), step, **noise)
        return Sensor(model, True, range_m, height, float(rng.uniform(45, 200)))
    beams = int(rng.choice(list(SPINNING), p=[row[2] for row in SPINNING.values()]))
    elevations, far, _ = SPINNING[beams]
    range_m = float(rng.uniform(5, far)) if rng.random() < 0.5 else float(rng.uniform(min(8, far - 3), far))
    return Sensor(LidarModel(elevations, 0.2 if rng.random() < 0.6 else 0.1, **noise), False, range_m, height, 0.0)


def passes_of(identity: int, sensors: int, frames: int) -> Iterator[tuple[int, int, Sensor, float, RawPass]]:
    """Walk, number of the sensor, the sensor, speed in m/s and what it saw, of all passes of one person of population 0."""
    rng = np.random.default_rng([77, identity])
    for walk in range(WALKS):
        bag = "random" if rng.random() < 0.3 else "none"
        walker = Walker(identity, walk, bag=bag, outfit="random" if rng.random() < 0.7 else "light")
        start_s, heading = float(rng.uniform(1, 12)), rng.uniform(0, 2 * np.pi)
        walker.path = WalkPath.straight((0.0, 0.0), heading)
        if rng.random() < 0.3:  # a bend
            turned, way = heading + rng.uniform(-0.6, 0.6), rng.uniform(1, 3) * walker.speed_m_s
            corner = way * np.array([np.cos(heading), np.sin(heading)])
            end = corner + 30 * np.array([np.cos(turned), np.sin(turned)])
            walker.path = WalkPath(np.array([[0.0, 0.0], corner, end]), turn_m=2.0)
        walker.start_s = start_s - 0.5
        middle = walker.position(start_s + frames / 20)[:2]
        for number in range(sensors):
            sensor, bearing = draw_sensor(rng), rng.uniform(0, 2 * np.pi)
            place = middle - sensor.range_m * np.array([np.cos(bearing), np.sin(bearing)])
            seen = _record(walker, sensor, place, bearing, start_s + np.arange(frames) / 10, rng)
            yield walk, number, sensor, walker.speed_m_s, seen


def _record(
    walker: Walker, sensor: Sensor, place: Float64, bearing: float, times: Float64, rng: np.random.Generator
) -> RawPass:
    """What a sensor at ``place`` (2,) that looks along ``bearing`` sees at ``times`` (T,)."""
    cos, sin = np.cos(-bearing), np.sin(-bearing)
    turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])  # of row vectors
    origin = np.array([*place, sensor.height_m])
    owner = np.ones(len(walker.faces), np.int32)
    half_way = float(np.hypot(*(walker.position(times[0] + len(times) / 20)[:2] - place)))
    clouds, truth, velocity = [], [], []
    for time in times:
        truth.append((walker.position(time) - origin) @ turn)
        velocity.append(walker.velocity(time) @ turn)
        stamps = (time - SWEEP_S, time + SWEEP_S) if sensor.rosette else (time,)
        seen = []
        for stamp in stamps:
            vertices = ((walker.vertices(stamp) - origin) @ turn).astype(np.float32)
            image = _cast(sensor.model, vertices, walker.faces)
            seen.append(returns(sensor.model, image, walker.face_reflectivity, owner, rng).points)
        if sensor.rosette:
            nearer = half_way / max(float(np.hypot(*truth[-1][:2])), 2.0)
            count = int(sensor.mean_returns * nearer * np.exp(rng.normal(0, 0.25)) / len(stamps)) + 1
            seen = [_some(points, count, rng) for points in seen]
        cloud = np.concatenate(seen)
        clouds.append(_some(cloud, MOST_RETURNS, rng) if len(cloud) > MOST_RETURNS else cloud)
    return RawPass(clouds, np.array(truth), np.array(velocity))


def _cast(model: LidarModel, vertices: Float32, faces: NDArray[np.int32]) -> RangeImage:
    """A body (V, 3) of the LiDAR frame in the sector around it."""
    x, y = float(vertices[:, 0].mean()), float(vertices[:, 1].mean())
    half, step = float(np.arctan2(1.0, max(np.hypot(x, y), 1.5))), float(np.radians(model.azimuth_step_deg))
    first = int(np.floor((np.arctan2(y, x) - half + np.pi) / step))
    image = RangeImage.empty(model, first, int(2 * half / step) + 2)
    cast_mesh(model, vertices, faces, image, closed=True)
    return image


def _some(points: Float32, count: int, rng: np.random.Generator) -> Float32:
    return points[rng.choice(len(points), min(len(points), count), replace=False)] if len(points) else points


class PassFile:
    """The sequences of one file, by number.

    Raises:
        ValueError: it is no such file.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                self.arrays: dict[str, NDArray[Any]] = {name: file[name] for name in file.files}
            count = self.arrays["n"]
            self._end = np.cumsum(count.ravel()).reshape(count.shape)
        except (OSError, EOFError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is no file of passes ({error}): remove it, it is simulated again") from error

    def __len__(self) -> int:
        return len(self.arrays["n"])

    def __getitem__(self, sequence: int) -> RawPass:
        a = self.arrays
        truth = a["truth"][sequence]
        clouds = [
            a["xyz"][end - count : end].astype(np.float32) / 1000 + at
            for count, end, at in zip(a["n"][sequence], self._end[sequence], truth, strict=True)
        ]
        return RawPass(clouds, truth.astype(np.float64), a["velocity"][sequence].astype(np.float64))


def write_passes(config: PassesConfig, folder: Path, workers: int = 1) -> list[Path]:
    """Simulate what is not there yet; returns the files, in order of identities.

    Raises:
        OSError: the folder cannot be written or the disk is full; no file is left half-written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = config.first_identity + config.identities
    firsts = range(config.first_identity, last, config.per_file)
    paths = [folder / f"{first:06d}.npz" for first in firsts]
    tasks = [
        (path, range(first, min(first + config.per_file, last)), config)
        for path, first in zip(paths, firsts, strict=True)
        if not path.is_file()
    ]
    if tasks:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            for _ in track(pool.map(_write, tasks), description="passes", total=len(tasks)):
                pass
    return paths


def _write(task: tuple[Path, range, PassesConfig]) -> None:
    path, people, config = task
    rows: dict[str, list[Any]] = {
        name: [] for name in ("identity", "walk", "sensor", "rosette", "speed", "n", "xyz", "truth", "velocity")
    }
    for identity in people:
        for walk, number, sensor, speed, seen in passes_of(identity, config.sensors, config.frames):
            about = np.concatenate([cloud - at for cloud, at in zip(seen.clouds, seen.truth, strict=True)])
            values = (identity, walk, number, sensor.rosette, np.float32(speed), [len(cloud) for cloud in seen.clouds])
            for name, value in zip(("identity", "walk", "sensor", "rosette", "speed", "n"), values, strict=True):
                rows[name].append(value)
            rows["xyz"].append(np.clip(about * 1000, -32767, 32767).astype(np.int16))
            rows["truth"].append(seen.truth.astype(np.float32))
            rows["velocity"].append(seen.velocity.astype(np.float32))
    arrays: dict[str, Any] = {n: np.concatenate(v) if n == "xyz" else np.array(v) for n, v in rows.items()}
    with written_whole(path) as fresh, fresh.open("wb") as file:
        np.savez(file, **arrays)
