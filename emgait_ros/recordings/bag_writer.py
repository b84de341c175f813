"""Writes rosbag2 files (mcap or sqlite3) without ROS: the messages of a LiDAR and a camera, transforms, and any others."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys.store import Typestore
from scipy.spatial.transform import Rotation

from emgait_ros.config import TrackerTopicsConfig, full_name
from emgait_ros.recordings.rosbag import CAMERA_INFO, CLOUD, COMPRESSED_IMAGE, IMAGE, TRANSFORMS, message_types
from emgait_ros.samples import CameraModel, Float32, Float64, UInt8

LIDAR_FRAME, CAMERA_FRAME = "lidar", "camera_optical"
FLOAT32 = 7  # sensor_msgs/PointField.FLOAT32
TIME_ZERO = QosTime(0, 0)


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
        """Write any message made by :meth:`make`."""
        self.write_serialized(topic, type_name, log_time_ns, self._types.serialize_cdr(message, type_name), latched)

    def write_serialized(
        self,
        topic: str,
        type_name: str,
        log_time_ns: int,
        raw: bytes | memoryview,
        latched: bool = False,
        types: Typestore | None = None,
    ) -> None:
        """Write the CDR bytes of a message as they are; ``types`` defines its type where :func:`message_types` does not."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type_name, typestore=types or self._types, offered_qos_profiles=[_offered(latched)]
            )
        self._writer.write(self._connections[topic], log_time_ns, raw)

    def make(self, type_name: str, *values: Any, **named: Any) -> Any:
        """A message of "package/msg/Name" from the values of its fields, in order or by name."""
        return self._types.types[type_name](*values, **named)

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


def _offered(latched: bool) -> Qos:
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, durability,
        TIME_ZERO, TIME_ZERO, QosLiveliness.AUTOMATIC, TIME_ZERO, False,
    )  # fmt: skip
