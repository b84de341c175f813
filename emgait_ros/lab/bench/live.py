"""Times the real nodes over DDS: a cloud and an image ten times a second, and how long their answer takes."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emgait_ros.lab.bench.machine import machine
from emgait_ros.lab.simulation.scene import Scene, SensorHead, WalkPlan
from emgait_ros.lab.soak.robot import NODES, Robot, Street, simulated, wait_until

if TYPE_CHECKING:
    from emgait_ros.lab.soak.graph import Graph

CLIP_S = 4.0  # of street, played forwards and backwards: nobody appears or leaves
PERIOD_S = 0.1
START_S, LATE_S = 120.0, 3.0
ROWS, COLUMNS_M = 8, (-5.4, -1.8, 1.8, 5.4)
STAGES = {
    "pedestrian_tracker: pedestrians": ("convert_ms", "sense_ms", "publish_ms"),
    "gait_recognizer: tracks": ("windows_ms", "encode_ms", "embed_ms", "match_ms", "decide_ms"),
}


def people_walking(count: int, beams: int = 64, width: int = 1280) -> Scene:
    """So many people, at most 32, in rows from 8 to 29 m who walk across the street; the nearest columns are filled first."""
    walks = []
    for number in range(count):
        row, column = number % ROWS, number // ROWS
        x, y = 8.0 + 3.0 * row, COLUMNS_M[(column + row) % 4] + 0.45 * (row % 4) - 0.7
        way = ((x, y - 2.4), (x, y + 5.6))
        walks.append(WalkPlan(number + 1, 0, way if row % 2 else ((x, y + 2.4), (x, y - 5.6)), 0.0))
    head = SensorHead(beams, width=width, height=width * 9 // 16, focal_px=width / 1.28)
    return Scene("people walking", tuple(walks), CLIP_S, head=head)


def run_benchmark(
    people: Sequence[int],
    seconds: float,
    bundle: str = "",
    say: Callable[[str, float], None] = lambda text, done: None,
    beams: int = 64,
    width: int = 1280,
) -> dict[str, Any]:
    """All figures; a row by number of people.

    Args:
        people: numbers of people in view, each 1 to 32.
        seconds: measured for each number, after as long as a window takes.
        bundle: folder of a model bundle; empty: the shipped one.
        say: called with a text and the part done.
        beams, width: of the simulated LiDAR and images.

    Raises:
        ValueError: a number of people that is not possible, others use the same ROS domain, or the nodes did not start.
    """
    from emgait_ros.lab.soak.graph import Graph

    if not people or not all(1 <= count <= ROWS * len(COLUMNS_M) for count in people):
        raise ValueError(f"people are {list(people)}: expected numbers from 1 to {ROWS * len(COLUMNS_M)}")
    rows: dict[str, Any] = {}
    for place, count in enumerate(people):
        say(f"simulating {count} people", place / len(people))
        street = simulated(people_walking(count, beams, width))
        say(f"{count} people at 10 Hz", (place + 0.5) / len(people))
        with tempfile.TemporaryDirectory(prefix="emgait-live-") as folder, Graph() as graph:
            graph.alone()
            with Robot(Path(folder), street.params, bundle) as robot:
                rows[str(count)] = _measured(street, robot, graph, seconds)
    return {
        "points": (len(street.clouds[0]) - 200) // 20,
        "image": f"{width}x{width * 9 // 16}",
        "seconds": seconds,
        "bundle": bundle or "shipped",
        "by_people": rows,
        "simulated": True,
        "machine": machine(),
    }


def _measured(street: Street, robot: Robot, graph: Graph, seconds: float) -> dict[str, Any]:
    if not wait_until(lambda: robot.runs() and graph.ready(), START_S):
        raise ValueError(f"the nodes did not listen within {START_S:.0f} s")
    clip = [*range(len(street.clouds)), *range(len(street.clouds) - 2, 0, -1)]
    deadline, stamp_ns = time.monotonic() + START_S, 0
    while graph.answer(stamp_ns, LATE_S) is None:  # the first clouds come while kernels are loaded
        if time.monotonic() > deadline:
            raise ValueError(f"no cloud was answered within {START_S:.0f} s")
        stamp_ns = time.time_ns()
        graph.send(street.at(0, stamp_ns))
    warm, count = round(4.0 / PERIOD_S), round(seconds / PERIOD_S)
    sent, before, began = [], {}, time.monotonic()
    stages: dict[str, list[float]] = defaultdict(list)
    for number in range(warm + count):
        time.sleep(max(0.0, began + number * PERIOD_S - time.monotonic()))
        if number == warm:
            before, measured_s = {name: robot.usage(name) for name in NODES}, time.monotonic()
        stamp_ns = time.time_ns()
        graph.send(street.at(clip[number % len(clip)], stamp_ns))
        if number >= warm:
            sent.append(stamp_ns)
        if number % 10 == 0 and number > warm:
            for status, names in STAGES.items():
                for name in names:
                    stages[name].append(float(graph.values.get(status, {}).get(name, "nan")))
    passed_s = time.monotonic() - measured_s
    after = {name: robot.usage(name) for name in NODES}
    wait_until(lambda: sent[-1] in graph.answers, LATE_S)
    answered = [stamp for stamp in sent if stamp in graph.answers]
    late_ms = [(graph.answers[stamp][0] - stamp) * 1e-6 for stamp in answered]
    in_view = [len(graph.answers[stamp][1].identities) for stamp in answered]
    p50, p95, p99 = (round(float(np.percentile(late_ms, part)), 1) if late_ms else None for part in (50, 95, 99))
    return {
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "max_ms": round(max(late_ms), 1) if late_ms else None,
        "frames": len(sent),
        "lost": len(sent) - len(answered),
        "people_in_view": round(float(np.mean(in_view)), 1) if in_view else 0.0,
        "cpu": {name: round((after[name].cpu_s - before[name].cpu_s) / passed_s, 2) for name in NODES},
        "memory_mb": {name: round(after[name].memory_mb) for name in NODES},
        "stages_ms": {name: round(float(np.nanmedian(found)), 1) for name, found in stages.items() if found},
    }
