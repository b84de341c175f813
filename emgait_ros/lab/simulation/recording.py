"""Simulates a scene into a rosbag2 that any ROS tool reads: clouds, images, calibration, transforms, ground truth."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from heapq import merge
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emgait_ros.config import TrackerTopicsConfig
from emgait_ros.lab.simulation.scene import Scene
from emgait_ros.lab.simulation.simulator import StreetSimulator, Truth
from emgait_ros.recordings.bag import GROUND_TRUTH
from emgait_ros.recordings.bag_writer import CAMERA_FRAME, LIDAR_FRAME, BagWriter
from emgait_ros.recordings.rosbag import PEDESTRIANS
from emgait_ros.recordings.walks import RecordedWalk
from emgait_ros.samples import CameraModel, UInt8

START_S = 1_750_000_000  # stamps begin here (2025-06-15)
JPEG_QUALITY = 90  # what camera drivers use


@dataclass(frozen=True)
class Recording:
    """What was written.

    Attributes:
        path: the bag's folder.
        params: YAML with the extrinsics for the live pedestrian_tracker node.
        clouds, images: numbers of messages.
        walks: all walks of the scene; probes_from_ns: the scene's ``probes_from_s`` as a stamp.
    """

    path: Path
    params: Path
    clouds: int
    images: int
    walks: tuple[RecordedWalk, ...]
    probes_from_ns: int


def record(
    scene: Scene,
    path: str | Path,
    *,
    storage: str = "mcap",
    compress: bool = False,
    jpeg: bool = False,
    workers: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Recording:
    """Simulate a scene into a rosbag2, and write ``<path>.params.yaml`` next to it.

    The bag's content does not depend on ``workers``.

    Args:
        scene: what to simulate.
        path: folder of the bag, must not exist.
        storage, compress: as for :class:`BagWriter`.
        jpeg: images go to ``<image topic>/compressed`` as JPEG, a twentieth of the size; the parameter file says so.
        workers: threads; default: the cores of this machine, at most 4.
        on_progress: called with the simulated seconds done.

    Raises:
        FileExistsError, ValueError: as :class:`BagWriter` and :class:`StreetSimulator`.
    """
    path = Path(path)
    workers = min(4, os.cpu_count() or 1) if workers is None else workers
    topics = TrackerTopicsConfig()
    if jpeg:
        topics = replace(topics, image=f"{topics.image}/compressed", image_compressed=True)
    with BagWriter(path, storage, compress, topics) as writer, ThreadPoolExecutor(workers) as pool:
        simulator = StreetSimulator(scene)
        first_ns = stamp_ns(0.0)
        writer.static_transform(
            first_ns, {(LIDAR_FRAME, CAMERA_FRAME): np.asarray(np.linalg.inv(simulator.camera.T_camera_lidar))}
        )
        for log_time_s, kind, number, result in _in_order(simulator, pool, 3 * workers, jpeg):
            log_ns = stamp_ns(log_time_s)
            if kind == "cloud":
                scan, truth = result
                stamp = stamp_ns(simulator.cloud_time_s(number))
                # As drivers do: the time of each return relative to the stamp, for whoever corrects the motion.
                relative_s = (scan.time_s - 0.5 / simulator.lidar.rate_hz).astype(np.float32)
                x, y, z = scan.points.T
                write_ground_truth(writer, stamp, log_ns, truth)
                writer.cloud(stamp, log_ns, {"x": x, "y": y, "z": z, "intensity": scan.intensity, "time": relative_s})
            else:
                stamp = stamp_ns(simulator.image_time_s(number))
                writer.camera_info(stamp, log_ns, simulator.camera)
                (writer.jpeg if jpeg else writer.image)(stamp, log_ns, result)
            if on_progress is not None:
                on_progress(log_time_s)
    params = Path(f"{path}.params.yaml")
    params.write_text(_parameters(simulator.camera, topics), encoding="utf-8")
    walks = tuple(
        RecordedWalk(p.identity, p.walk, p.name, stamp_ns(begin_s), stamp_ns(min(end_s, scene.duration_s)), p.is_probe)
        for p, begin_s, end_s in simulator.plans
    )
    return Recording(path, params, simulator.cloud_count, simulator.image_count, walks, stamp_ns(scene.probes_from_s))


def write_ground_truth(
    writer: BagWriter, stamp_ns: int, log_time_ns: int, truth: Truth, frame_id: str = LIDAR_FRAME
) -> None:
    """A PedestrianArray on /ground_truth, without points and crops; track_id is the walker's identity number."""
    pedestrians = []
    for row, identity in enumerate(truth.identity):
        center, size, velocity = truth.center[row], truth.size[row], truth.velocity[row]
        pedestrians.append(
            writer.make(
                "emgait_msgs/msg/Pedestrian", int(identity),
                writer.make("geometry_msgs/msg/Point", *(float(v) for v in center)),
                writer.make("geometry_msgs/msg/Vector3", *(float(v) for v in size)),
                writer.make("geometry_msgs/msg/Vector3", *(float(v) for v in velocity)),
                True, float(np.hypot(center[0], center[1])), 1.0, int(truth.point_count[row]), False,
                np.zeros(0, np.float32), 0, 0, np.zeros(0, np.uint8), 0.0, 0.0, 0.0, False, 0, False, 0.0,
            )
        )  # fmt: skip
    message = writer.make(PEDESTRIANS, writer.header(stamp_ns, frame_id), "ground_truth", pedestrians)
    writer.write(GROUND_TRUTH, PEDESTRIANS, log_time_ns, message)


def stamp_ns(scene_time_s: float) -> int:
    """Header stamp of a time from the beginning of a scene."""
    return START_S * 10**9 + round(scene_time_s * 1e9)


def _in_order(
    simulator: StreetSimulator, pool: ThreadPoolExecutor, ahead: int, jpeg: bool
) -> Iterator[tuple[float, str, int, Any]]:
    """(log time, "cloud" or "image", number, result) in order of log time, computed a few ahead."""
    head = simulator.scene.head
    clouds = ((simulator.cloud_time_s(n) + head.lidar_delay_s, "cloud", n) for n in range(simulator.cloud_count))
    images = ((simulator.image_time_s(n) + head.image_delay_s, "image", n) for n in range(simulator.image_count))
    started: deque[tuple[float, str, int, Future[Any]]] = deque()
    for log_time_s, kind, number in merge(clouds, images):
        image = _jpeg_of if jpeg else StreetSimulator.image
        work = pool.submit(simulator.cloud, number) if kind == "cloud" else pool.submit(image, simulator, number)
        started.append((log_time_s, kind, number, work))
        if len(started) > ahead:
            done = started.popleft()
            yield (*done[:3], done[3].result())
    for done in started:
        yield (*done[:3], done[3].result())


def _jpeg_of(simulator: StreetSimulator, number: int) -> UInt8:
    """(n,) bytes of one image as a JPEG file."""
    bgr = cv2.cvtColor(simulator.image(number), cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1], np.uint8).reshape(-1)


def _parameters(camera: CameraModel, topics: TrackerTopicsConfig) -> str:
    """Parameters of the live node, for whoever plays the sensors without the transforms."""
    rows = ",\n        ".join(", ".join(f"{float(v):.9f}" for v in row) for row in camera.T_camera_lidar)
    image = f"    topics.image: {topics.image}\n    topics.image_compressed: true\n" if topics.image_compressed else ""
    return (
        "# The live node's parameters for the bag beside this file (offline readers take the extrinsics from /tf_static).\n"
        f"/**/pedestrian_tracker:\n  ros__parameters:\n{image}    camera.T_camera_lidar: [\n        {rows}]\n"
    )
