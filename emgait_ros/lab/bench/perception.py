"""Measures sensing: time per frame, people found by range, false tracks, identities kept in a crowd, and peers.

Simulated streets have houses, parked cars, bushes and poles; eight people cross them at 9 to 50 m, or twelve cross each
other at 18 m. What runs is PedestrianSensing, as in the node. Peers get the same clouds in the same run. Real KITTI frames
are counted when they are given.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from emgait_ros.config import SensingConfig
from emgait_ros.lab.bench.machine import machine
from emgait_ros.lab.bench.perception_peers import decoding_figures, median_ms, peers
from emgait_ros.lab.bench.tracking_metrics import TrackingFrame, tracking_scores
from emgait_ros.lab.datasets.kitti import KittiFrames
from emgait_ros.lab.evaluation.detection_matching import nearest_first
from emgait_ros.lab.simulation.scene import Scene, SensorHead, WalkPlan
from emgait_ros.lab.simulation.simulator import StreetSimulator, Truth
from emgait_ros.samples import CameraModel, Float32, Float64, PedestrianFrame, SensorFrame
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing
from emgait_ros.sensing.perception.camera import project

FOUND_M = 0.6
SETTLE_S = 1.0  # a walker is asked for from this long after appearing
BANDS = {"recall_30m": (0.0, 30.0), "recall_40m": (30.0, 42.0), "recall_50m": (42.0, 55.0)}
PEER_CLOUDS = 3
KEPT_CLOUDS = 40  # one of so many is kept for the peers


def crowded_street(seed: int, beams: int = 64) -> Scene:
    """Eight people who cross the street at 9 to 50 m, from both sides in turn."""
    walks = []
    for number, distance in enumerate((9.0, 13.0, 18.0, 24.0, 31.0, 37.0, 44.0, 50.0)):
        way = ((distance - 0.7, -5.0), (distance + 0.7, 5.0))
        walks.append(WalkPlan(number + 1, 0, way if number % 2 else way[::-1], 0.9 * (number % 4)))
    return Scene("crowded street", tuple(walks), duration_s=9.0, seed=seed, head=SensorHead(beams=beams))


def crowd_crossing(seed: int, beams: int = 64) -> Scene:
    """Twelve people who walk through each other 18 m away, from all sides at once; nobody leaves before the end."""
    random = np.random.default_rng(seed)
    walks = []
    for number in range(12):
        angle = 2 * np.pi * number / 12 + random.normal(0, 0.12)
        begin = np.array([18.0, 0.0]) + 7.2 * np.array([np.cos(angle), np.sin(angle)])
        way = np.array([18.0, 0.0]) + random.uniform(-2.0, 2.0, 2) - begin
        end = begin + way / np.linalg.norm(way) * 14.4
        points = tuple((float(x), float(np.clip(y, -7.4, 7.4))) for x, y in (begin, end))
        walks.append(WalkPlan(number + 1, 0, points, 0.0))
    return Scene("twelve people crossing", tuple(walks), duration_s=8.5, seed=seed, head=SensorHead(beams=beams))


@dataclass
class _Tally:
    """Running counts over the frames of all scenes."""

    found: dict[str, list[bool]] = field(default_factory=lambda: {name: [] for name in BANDS})
    total_ms: list[float] = field(default_factory=list)
    false_tracks: int = 0
    moving_false_tracks: int = 0
    seconds: float = 0.0


def run_benchmark(
    scenes: int, beams: int, with_peers: bool, report: Callable[[str, float], None], kitti: Path | None = None
) -> dict[str, Any]:
    """All figures; times are CPU times of the one thread that senses, ms.

    Args:
        scenes: streets with other bushes, people and noise; as many crossings of twelve.
        beams: 32, 64 or 128.
        with_peers: also time and count Patchwork++ with connected components, Open3D and scikit-learn, as installed.
        report: called with a text and the part done.
        kitti: folder of real KITTI frames, counted per frame; None leaves that out.

    Raises:
        OSError, ValueError: the KITTI folder cannot be read.
    """
    sensing = PedestrianSensing(SensingConfig(), "bench")
    tally, frames, crossings = _Tally(), [], []
    for number in range(scenes):
        simulator = StreetSimulator(crowded_street(number, beams))
        frames += _run_scene(sensing, simulator, tally, _share_of(report, "streets", number, scenes))
    for number in range(scenes):
        part = _share_of(report, "crossings", number, scenes)
        crossings.append(_crossing_idf1(sensing, crowd_crossing(number, beams), part))
    figures: dict[str, Any] = {
        "machine": machine(),
        "points": int(np.median([len(f.points) for f in frames])),
        "frames": len(tally.total_ms),
        "p50_ms": round(float(np.percentile(tally.total_ms, 50)), 2),
        "p99_ms": round(float(np.percentile(tally.total_ms, 99)), 2),
        **{name: round(float(np.mean(hits)), 4) if hits else None for name, hits in tally.found.items()},
        "false_tracks_per_s": round(tally.moving_false_tracks / tally.seconds, 4),
        "false_standing_tracks_per_s": round((tally.false_tracks - tally.moving_false_tracks) / tally.seconds, 4),
        "idf1_crossing": round(float(np.mean(crossings)), 4),
        "idf1_crossing_worst": round(float(np.min(crossings)), 4),
        "warm_up_s": round(sensing.warm_up_s, 2),
        "memory_growth_mb": round(_memory_growth_mb(sensing, frames, lambda part: report("memory", part)), 1),
        **decoding_figures(frames[0].points, np.zeros((720, 1280, 3), np.uint8)),
    }
    report("peers", 0.0)
    figures.update(_compared([f.points for f in frames[:PEER_CLOUDS]], sensing, with_peers, kitti))
    return figures


def _share_of(report: Callable[[str, float], None], text: str, number: int, count: int) -> Callable[[float], None]:
    """Tells how far one of several parts is as how far all of them are."""
    return lambda part: report(text, (number + part) / count)


def _memory_growth_mb(sensing: PedestrianSensing, frames: list[SensorFrame], report: Callable[[float], None]) -> float:
    """How much more memory this process holds after 400 more frames than after the first 100 of them."""
    held = 0.0
    for k in range(500):
        stamp = round((1000 + k * 0.1) * 1e9)
        sensing.process(replace(frames[k % len(frames)], stamp_ns=stamp), "lidar")
        if k == 99:
            held = _held_mb()
        report((k + 1) / 500)
    return _held_mb() - held


def _held_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _crossing_idf1(sensing: PedestrianSensing, scene: Scene, report: Callable[[float], None]) -> float:
    """IDF1, 0..1, of a scene seen by the LiDAR alone; people who are hidden count, too."""
    sensing.reset()
    simulator, frames = StreetSimulator(scene), []
    for k in range(simulator.cloud_count):
        scan, truth = simulator.cloud(k)
        stamp = round((simulator.cloud_time_s(k) + 1) * 1e9)
        seen = sensing.process(SensorFrame(stamp, np.ascontiguousarray(scan.points)), "lidar")
        place = np.array([p.center[:2] for p in seen.pedestrians]).reshape(-1, 2)
        number = np.array([p.track_id for p in seen.pedestrians], np.int64)
        frames.append(TrackingFrame(truth.identity, truth.center[:, :2], number, place))
        report((k + 1) / simulator.cloud_count)
    return tracking_scores([frames])["IDF1"] / 100


def _run_scene(
    sensing: PedestrianSensing, simulator: StreetSimulator, tally: _Tally, report: Callable[[float], None]
) -> list[SensorFrame]:
    """Senses one scene; returns a few of its frames."""
    sensing.reset()
    appeared: dict[int, float] = {}
    visited: dict[int, tuple[bool, bool]] = {}  # track: was it ever on a walker, did it ever move
    kept: list[SensorFrame] = []
    image, shown = None, -1
    for k in range(simulator.cloud_count):
        scan, truth = simulator.cloud(k)
        now = simulator.cloud_time_s(k)
        nearest = min(range(simulator.image_count), key=lambda i: abs(simulator.image_time_s(i) - now))
        if nearest // 10 != shown:  # a fresh picture a second: drawing them is what takes long here
            image, shown = simulator.image(nearest), nearest // 10
        dt_s = simulator.image_time_s(nearest) - now
        frame = SensorFrame(round((now + 1) * 1e9), np.ascontiguousarray(scan.points), image, dt_s, simulator.camera)
        begun = time.thread_time()
        seen = sensing.process(frame, "lidar")
        if k:
            tally.total_ms.append((time.thread_time() - begun) * 1e3)
        _compare(seen, truth, now, appeared, visited, tally)
        if k % KEPT_CLOUDS == 0:
            kept.append(frame)
        report((k + 1) / simulator.cloud_count)
    tally.seconds += simulator.scene.duration_s
    wrong = [moved for right, moved in visited.values() if not right]
    tally.false_tracks += len(wrong)
    tally.moving_false_tracks += sum(wrong)
    return kept


def _compare(
    seen: PedestrianFrame,
    truth: Truth,
    now_s: float,
    appeared: dict[int, float],
    visited: dict[int, tuple[bool, bool]],
    tally: _Tally,
) -> None:
    place = np.array([p.center[:2] for p in seen.pedestrians]).reshape(-1, 2)
    apart = np.linalg.norm(truth.center[:, None, :2] - place[None], axis=2)
    for row, identity in enumerate(truth.identity.tolist()):
        if truth.point_count[row] < SensingConfig().detector.min_points:
            continue
        if now_s - appeared.setdefault(identity, now_s) < SETTLE_S:
            continue
        distance = float(np.hypot(*truth.center[row, :2]))
        for name, (low, high) in BANDS.items():
            if low <= distance < high:
                tally.found[name].append(bool((apart[row] < FOUND_M).any()))
    for column, pedestrian in enumerate(seen.pedestrians):
        right, moved = visited.get(pedestrian.track_id, (False, False))
        right = right or bool((apart[:, column] < 2 * FOUND_M).any())
        visited[pedestrian.track_id] = (right, moved or pedestrian.moving)


def _compared(
    clouds: list[Float32], sensing: PedestrianSensing, with_peers: bool, kitti: Path | None
) -> dict[str, Any]:
    """Times of other ways from cloud to people on the same clouds, how many times faster ours is, and who finds whom."""
    others, missing = peers() if with_peers else ({}, {})
    ours = median_ms(sensing.detector.detect, clouds, 5)
    figures: dict[str, Any] = {"detector_ms": round(ours, 2), "ratio_patchwork": None, "ratio_open3d": None}
    for name, peer in others.items():
        spent = median_ms(peer, clouds)
        figures[f"{name}_ms"], figures[f"ratio_{name}"] = round(spent, 1), round(spent / ours, 1)
    figures.update({f"{name}_skipped": reason for name, reason in missing.items()})
    if kitti is None:
        return figures
    frames = KittiFrames(kitti)
    for frame in (frames[k] for k in range(len(frames))):
        if frame.labels is None:
            continue
        people = frame.labels.of_kind("Pedestrian").center[:, :2]
        own = sensing.detector.detect(frame.points)
        found = {"ours": own.center[:, :2].astype(np.float64)} | {
            name: peer(frame.points) for name, peer in others.items()
        }
        for name, places in found.items():
            hits, false = _counted(places, people, frame.camera)
            figures[f"kitti_{frame.name}_{name}"] = f"{hits} of {len(people)}, {false} false"
    return figures


def _counted(places: Float64, people: Float64, camera: CameraModel) -> tuple[int, int]:
    """People found within 0.5 m, one to one, nearest first; and what else is said to be one in the camera's view."""
    belongs = nearest_first(people, places, 0.5)
    free = ~np.isin(np.arange(len(places)), belongs)
    pixel, valid = project(np.column_stack([places, np.full(len(places), -0.8)]), camera)
    return int((belongs >= 0).sum()), int((free & valid & (pixel[:, 0] >= 0) & (pixel[:, 0] < camera.width)).sum())
