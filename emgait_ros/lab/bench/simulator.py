"""How fast the simulator makes pedestrian samples and street scenes, that it repeats itself, and how people spread."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from emgait_ros.lab.bench.machine import machine
from emgait_ros.lab.datasets.plans import plan_protocol
from emgait_ros.lab.simulation.lidar import LidarModel
from emgait_ros.lab.simulation.scene import SCENES
from emgait_ros.lab.simulation.simulator import StreetSimulator
from emgait_ros.lab.simulation.walk_sets import WalkFile, generate
from emgait_ros.lab.simulation.walker import Walker
from emgait_ros.lab.simulation.walks import generate_walk

FIRST_IDENTITY = 300_000
RANGES_M = (10, 20, 30, 50)
SPREAD_PEOPLE = 60


def run_benchmark(people: int, workers: int, frames: int, report: Callable[[str], None]) -> dict[str, Any]:
    """All figures.

    Args:
        people: simulated people whose walks of the published test's layout are generated.
        workers: processes.
        frames: samples a walk.
        report: told what is measured now.
    """
    report("samples")
    figures = _samples(people, workers, frames)
    report("street")
    figures |= _street()
    report("returns by range")
    figures["returns"] = {name: _returns(model) for name, model in _models().items()}
    report("spread of people")
    figures["spread"] = _spread()
    figures["machine"] = machine()
    return figures


def _samples(people: int, workers: int, frames: int) -> dict[str, Any]:
    """Points and crops of walks, written to disk: samples a second (start of the processes included) and a CPU second, and
    whether a second run gives the same arrays."""
    plan = plan_protocol(FIRST_IDENTITY, people, frames)
    with TemporaryDirectory(prefix="emgait-") as name:
        folder = Path(name)
        generate(plan_protocol(FIRST_IDENTITY - workers, workers, 1), folder / "warm", 0, workers=workers)
        began, began_cpu = time.perf_counter(), _children_cpu_s()
        generate(plan, folder / "one", 0, workers=workers)
        seconds, cpu_s = time.perf_counter() - began, _children_cpu_s() - began_cpu
        few = [walk for walk in plan if walk.identity == FIRST_IDENTITY]
        generate(few, folder / "two", 0, workers=1)
        file = f"identity_{FIRST_IDENTITY:06d}.npz"
        one, two = (WalkFile.read(folder / run / file).arrays for run in ("one", "two"))
        size = sum(path.stat().st_size for path in (folder / "one").iterdir())
    samples = len(plan) * frames
    return {
        "samples": samples,
        "samples_per_s": round(samples / seconds, 1),
        "samples_per_cpu_s": round(samples / cpu_s, 1),
        "workers": workers,
        "repeats_itself": all(np.array_equal(one[key], two[key]) for key in one),
        "bytes_per_sample": round(size / samples),
    }


def _children_cpu_s() -> float:
    """CPU time of the processes that have ended: tells how fast the simulator is on a machine that is busy otherwise."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _street() -> dict[str, float]:
    """Time of a turn of the LiDAR and of an image of the demo's street, ms, one thread."""
    simulator = StreetSimulator(SCENES["demo"](7))
    found = {}
    for name, make, count in (
        ("cloud_ms", simulator.cloud, simulator.cloud_count),
        ("image_ms", simulator.image, simulator.image_count),
    ):
        numbers = np.linspace(0, count - 1, 12).astype(int)
        make(int(numbers[0]))
        times = []
        for number in numbers:
            began = time.perf_counter()
            make(int(number))
            times.append(1e3 * (time.perf_counter() - began))
        found[f"street_{name}"] = round(float(np.median(times)), 1)
    return found


def _models() -> dict[str, LidarModel]:
    return {
        "128 beams, 0.1 deg": LidarModel.beams_128(0.1),
        "128 beams, 0.2 deg": LidarModel.beams_128(0.2),
        "64 beams": LidarModel.beams_64(),
        "32 beams": LidarModel.beams_32(),
    }


def _returns(model: LidarModel) -> dict[str, int]:
    """Median returns on a person by range."""
    counts = {}
    for range_m in RANGES_M:
        walks = [generate_walk(FIRST_IDENTITY + i, 0, range_m, 60.0 * i, 4, lidar=model) for i in range(6)]
        counts[f"{range_m} m"] = int(np.median([s.point_count for walk in walks for s in walk]))
    return counts


def _spread() -> dict[str, dict[str, float]]:
    """Mean and standard deviation between people, and within a person between two walks."""
    days = [[Walker(FIRST_IDENTITY + i, walk) for walk in (0, 1)] for i in range(SPREAD_PEOPLE)]
    measures: dict[str, Callable[[Walker], float]] = {
        "stature_m": lambda w: w.stature_m,
        "cadence_steps_min": lambda w: w.gait.cadence_steps_min,
        "stride_m": lambda w: w.stride_m,
        "speed_m_s": lambda w: w.speed_m_s,
    }
    found = {}
    for name, measure in measures.items():
        values = np.array([[measure(walker) for walker in pair] for pair in days])
        within = float(np.square(np.diff(values, axis=1)).mean() / 2)
        between = max(float(values.mean(axis=1).var(ddof=1)) - within / 2, 0.0)
        found[name] = {
            "mean": round(float(values.mean()), 3),
            "between": round(between**0.5, 3),
            "within": round(within**0.5, 3),
        }
    return found
