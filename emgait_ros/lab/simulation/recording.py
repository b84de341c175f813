"""Writes sensor data as a rosbag2 that any ROS tool reads: clouds, images, calibration, transforms, ground truth."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from heapq import merge
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from scipy.spatial.transform import Rotation

from emgait_ros.config import TrackerTopicsConfig, full_name
from emgait_ros.lab.simulation.scene import Scene
from emgait_ros.lab.simulation.simulator import StreetSimulator, Truth
from emgait_ros.recordings.bag import GROUND_TRUTH
from emgait_ros.recordings.rosbag import (
    CAMERA_INFO,
    CLOUD,
    COMPRESSED_IMAGE,
    IMAGE,
    PEDESTRIANS,
    TRANSFORMS,
    message_types,
)
from emgait_ros.recordings.walks import RecordedWalk
from emgait_ros.samples import CameraModel, Float32, Float64, UInt8

LIDAR_FRAME, CAMERA_FRAME = "lidar", "camera_optical"
START_S = 1_750_000_000  # stamps begin here (2025-06-15)
FLOAT32 = 7  # sensor_msgs/PointField.FLOAT32
TIME_ZERO = QosTime(0, 0)
JPEG_QUALITY = 90  # what camera drivers use


class BagWriter:
    """A rosbag2 with the topics of a LiDAR and a camera; a context manager.

    Args:
        path: folder to make.
        storage: "mcap" or "sqlite3".
        compress: zstd inside the storage file (mcap only): smaller, several times slower.
        topics: names of the sensor topics, without a namespace; ``image_compressed`` makes the images CompressedImage (JPEG).

    Raises:
        FileExistsError: the folder is there already.
        ValueError: an unknown storage, or compression that it does not have.
    """

    def __init__(
        self, path: str | Path, storage: str = "mcap", compress: bool = False, topics: TrackerTopicsConfig | None = None
    ) -> None:
        self.path = Path(path)
        if storage not in ("mcap", "sqlite3"):
            raise ValueError(f"storage is '{storage}': allowed are mcap, sqlite3")
        if compress and storage != "mcap":
            raise ValueError("only mcap compresses inside the file: leave compression off for sqlite3")
        if self.path.exists():
            raise FileExistsError(f"{self.path} exists already: remove it or choose another place")
        self._topics = topics or TrackerTopicsConfig()
        self._types = message_types()
        self._writer = Writer(self.path, version=9, storage_plugin=StoragePlugin[storage.upper()])
        if compress:
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, value, trace)
        if kind is not None:
            shutil.rmtree(self.path)  # an incomplete bag is removed

    def write(self, topic: str, type_name: str, log_time_ns: int, message: Any, latched: bool = False) -> None:
        """Write any message made from :meth:`make`."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=self._types, offered_qos_profiles=[_offered(latched)]
            )
        self._writer.write(self._connections[topic], log_time_ns, self._types.serialize_cdr(message, type_name))

    def make(self, type_name: str, *values: Any) -> Any:
        """A message of "package/msg/Name" from the values of its fields, in order."""
        return self._types.types[type_name](*values)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """A std_msgs/Header."""
        stamp = self.make("builtin_interfaces/msg/Time", stamp_ns // 10**9, stamp_ns % 10**9)
        return self.make("std_msgs/msg/Header", stamp, frame_id)

    def cloud(self, stamp_ns: int, log_time_ns: int, columns: dict[str, Float32], frame_id: str = LIDAR_FRAME) -> None:
        """A PointCloud2 from float32 columns (N,) by field name, in order: x, y, z and any others."""
        data = np.stack(list(columns.values()), axis=1).astype("<f4")
        fields = [self.make("sensor_msgs/msg/PointField", name, 4 * i, FLOAT32, 1) for i, name in enumerate(columns)]
        step, count = 4 * len(columns), len(data)
        message = self.make(
            CLOUD,
            self.header(stamp_ns, frame_id),
            1,
            count,
            fields,
            False,
            step,
            step * count,
            data.reshape(-1).view(np.uint8),
            True,
        )
        self.write(full_name(self._topics.cloud), CLOUD, log_time_ns, message)

    def image(self, stamp_ns: int, log_time_ns: int, image: UInt8, frame_id: str = CAMERA_FRAME) -> None:
        """An rgb8 Image from (H, W, 3) uint8."""
        height, width, _ = image.shape
        pixels = np.ascontiguousarray(image).reshape(-1)
        message = self.make(IMAGE, self.header(stamp_ns, frame_id), height, width, "rgb8", 0, 3 * width, pixels)
        self.write(full_name(self._topics.image), IMAGE, log_time_ns, message)

    def jpeg(self, stamp_ns: int, log_time_ns: int, jpeg: UInt8, frame_id: str = CAMERA_FRAME) -> None:
        """A CompressedImage from the (n,) bytes of a JPEG file."""
        message = self.make(COMPRESSED_IMAGE, self.header(stamp_ns, frame_id), "rgb8; jpeg compressed bgr8", jpeg)
        self.write(full_name(self._topics.image), COMPRESSED_IMAGE, log_time_ns, message)

    def camera_info(self, stamp_ns: int, log_time_ns: int, camera: CameraModel, frame_id: str = CAMERA_FRAME) -> None:
        """The CameraInfo of an image with that stamp."""
        P = np.column_stack([camera.K, np.zeros(3)])
        region = self.make("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
        message = self.make(
            CAMERA_INFO, self.header(stamp_ns, frame_id), camera.height, camera.width, camera.distortion_model,
            np.asarray(camera.distortion, np.float64), camera.K.reshape(-1), np.eye(3).reshape(-1), P.reshape(-1), 0, 0, region,
        )  # fmt: skip
        self.write(full_name(self._topics.camera_info), CAMERA_INFO, log_time_ns, message)

    def static_transform(self, stamp_ns: int, poses: dict[tuple[str, str], Float64]) -> None:
        """/tf_static from (parent, child) -> (4, 4) pose of the child in the parent."""
        self.write("/tf_static", TRANSFORMS, stamp_ns, self._transforms(stamp_ns, poses), latched=True)

    def transform(self, stamp_ns: int, log_time_ns: int, poses: dict[tuple[str, str], Float64]) -> None:
        """/tf from (parent, child) -> (4, 4) pose of the child in the parent at that stamp."""
        self.write("/tf", TRANSFORMS, log_time_ns, self._transforms(stamp_ns, poses))

    def _transforms(self, stamp_ns: int, poses: dict[tuple[str, str], Float64]) -> Any:
        stamped = []
        for (parent, child), pose in poses.items():
            translation = self.make("geometry_msgs/msg/Vector3", *(float(v) for v in pose[:3, 3]))
            x, y, z, w = (float(v) for v in Rotation.from_matrix(pose[:3, :3]).as_quat())
            rotation = self.make("geometry_msgs/msg/Quaternion", x, y, z, w)
            transform = self.make("geometry_msgs/msg/Transform", translation, rotation)
            stamped.append(
                self.make("geometry_msgs/msg/TransformStamped", self.header(stamp_ns, parent), child, transform)
            )
        return self.make(TRANSFORMS, stamped)

    def ground_truth(self, stamp_ns: int, log_time_ns: int, truth: Truth, frame_id: str = LIDAR_FRAME) -> None:
        """A PedestrianArray without points and crops; track_id is the walker's identity number."""
        pedestrians = []
        for row, identity in enumerate(truth.identity):
            center, size, velocity = truth.center[row], truth.size[row], truth.velocity[row]
            pedestrians.append(
                self.make(
                    "emgait_msgs/msg/Pedestrian", int(identity),
                    self.make("geometry_msgs/msg/Point", *(float(v) for v in center)),
                    self.make("geometry_msgs/msg/Vector3", *(float(v) for v in size)),
                    self.make("geometry_msgs/msg/Vector3", *(float(v) for v in velocity)),
                    True, float(np.hypot(center[0], center[1])), 1.0, int(truth.point_count[row]), False,
                    np.zeros(0, np.float32), 0, 0, np.zeros(0, np.uint8), 0.0, 0.0, 0.0, False, 0, False, 0.0,
                )
            )  # fmt: skip
        message = self.make(PEDESTRIANS, self.header(stamp_ns, frame_id), "ground_truth", pedestrians)
        self.write(GROUND_TRUTH, PEDESTRIANS, log_time_ns, message)


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
                writer.ground_truth(stamp, log_ns, truth)
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


def _offered(latched: bool) -> Qos:
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, durability,
        TIME_ZERO, TIME_ZERO, QosLiveliness.AUTOMATIC, TIME_ZERO, False,
    )  # fmt: skip
