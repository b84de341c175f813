"""Measures sensing on simulated streets: time per frame, people found by range, false tracks, and peers' times.

The scene has houses, parked cars, bushes and poles; eight people cross it at 9 to 50 m. What runs is PedestrianSensing,
as in the node. Peers get the same clouds in the same run.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from emgait_ros.config import SensingConfig
from emgait_ros.samples import Float32, PedestrianFrame, SensorFrame
from emgait_ros.sensing import PedestrianSensing
from emgait_ros.simulation.scene import Scene, SensorHead, WalkPlan
from emgait_ros.simulation.simulator import StreetSimulator, Truth

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


@dataclass
class _Tally:
    """Running counts over the frames of all scenes."""

    found: dict[str, list[bool]] = field(default_factory=lambda: {name: [] for name in BANDS})
    total_ms: list[float] = field(default_factory=list)
    false_tracks: int = 0
    moving_false_tracks: int = 0
    seconds: float = 0.0


def run_benchmark(scenes: int, beams: int, peers: bool, report: Callable[[str, float], None]) -> dict[str, Any]:
    """All figures; times are CPU times of the one thread that senses, ms.

    Args:
        scenes: streets with other bushes, people and noise.
        beams: 32, 64 or 128.
        peers: also time Patchwork++ with connected components, and Open3D where it is installed.
        report: called with a text and the part done.
    """
    sensing = PedestrianSensing(SensingConfig(), "bench")
    tally, clouds, memory = _Tally(), [], 0.0
    for number in range(scenes):
        simulator = StreetSimulator(crowded_street(number, beams))
        clouds += _run_scene(sensing, simulator, tally, lambda part: report("streets", (number + part) / scenes))  # noqa: B023
        memory = memory or _peak_mb()
    figures: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "points": int(np.median([len(c) for c in clouds])),
        "frames": len(tally.total_ms),
        "p50_ms": round(float(np.percentile(tally.total_ms, 50)), 2),
        "p99_ms": round(float(np.percentile(tally.total_ms, 99)), 2),
        **{name: round(float(np.mean(hits)), 4) if hits else None for name, hits in tally.found.items()},
        "false_tracks_per_s": round(tally.moving_false_tracks / tally.seconds, 4),
        "false_standing_tracks_per_s": round((tally.false_tracks - tally.moving_false_tracks) / tally.seconds, 4),
        "warm_up_s": round(sensing.warm_up_s, 2),
        "memory_growth_mb": round(_peak_mb() - memory, 1),
    }
    if peers:
        report("peers", 0.0)
        figures.update(_peers(clouds[:PEER_CLOUDS], sensing))
    return figures


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _run_scene(
    sensing: PedestrianSensing, simulator: StreetSimulator, tally: _Tally, report: Callable[[float], None]
) -> list[Float32]:
    """Senses one scene; returns a few of its clouds."""
    sensing.reset()
    appeared: dict[int, float] = {}
    visited: dict[int, tuple[bool, bool]] = {}  # track: was it ever on a walker, did it ever move
    clouds: list[Float32] = []
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
            clouds.append(frame.points)
        report((k + 1) / simulator.cloud_count)
    tally.seconds += simulator.scene.duration_s
    wrong = [moved for right, moved in visited.values() if not right]
    tally.false_tracks += len(wrong)
    tally.moving_false_tracks += sum(wrong)
    return clouds


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


def _peers(clouds: list[Float32], sensing: PedestrianSensing) -> dict[str, Any]:
    """Times of other ways from cloud to clusters on the same clouds, and how many times faster ours is."""
    ours = _median_ms(lambda cloud: sensing.detector.detect(cloud), clouds)
    figures: dict[str, Any] = {"detector_ms": round(ours, 2), "ratio_patchwork": None, "ratio_open3d": None}
    for name, make in (("patchwork", _patchwork_components), ("open3d", _open3d_dbscan)):
        try:
            peer = make()
        except ImportError:
            continue
        spent = _median_ms(peer, clouds)
        figures[f"{name}_ms"], figures[f"ratio_{name}"] = round(spent, 1), round(spent / ours, 1)
    return figures


def _median_ms(work: Callable[[Float32], object], clouds: list[Float32]) -> float:
    work(clouds[0])
    spent = []
    for cloud in clouds:
        begun = time.process_time()
        work(cloud)
        spent.append(time.process_time() - begun)
    return float(np.median(spent)) * 1e3


def _patchwork_components() -> Callable[[Float32], object]:
    """Patchwork++, then connected components of the 10-nearest-neighbour graph within 0.5 m."""
    import pypatchworkpp

    parameters = pypatchworkpp.Parameters()
    parameters.verbose = False
    ground = pypatchworkpp.patchworkpp(parameters)

    def work(cloud: Float32) -> object:
        ground.estimateGround(np.column_stack([cloud, np.zeros(len(cloud), np.float32)]))
        rest = np.asarray(ground.getNongroundIndices())
        near, index = map(np.asarray, cKDTree(cloud[rest]).query(cloud[rest], k=10, distance_upper_bound=0.5))
        row, column = np.nonzero(np.isfinite(near))
        graph = coo_matrix((np.ones(len(row), bool), (row, index[row, column])), shape=(len(rest), len(rest)))
        return connected_components(graph, directed=False)

    return work


def _open3d_dbscan() -> Callable[[Float32], object]:
    """Open3D: one plane, then DBSCAN with 0.5 m."""
    import open3d

    def work(cloud: Float32) -> object:
        points = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(cloud.astype(np.float64)))
        _, plane = points.segment_plane(0.2, 3, 200)
        return points.select_by_index(plane, invert=True).cluster_dbscan(0.5, 10)

    return work
