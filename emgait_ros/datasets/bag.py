"""A recorded drive or a simulated scene as the sensor frames a live node would see, read without ROS."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emgait_ros.config import TrackerNodeConfig, TrackerTopicsConfig, full_name
from emgait_ros.conversions import camera_from_info, cloud_to_points, compressed_to_rgb, image_to_rgb, rigid_transform
from emgait_ros.datasets.rosbag import CAMERA_INFO, CLOUD, COMPRESSED_IMAGE, IMAGE, PEDESTRIANS, BagMessage, Rosbag
from emgait_ros.pairing import Pair, PairingHealth, StampPairer
from emgait_ros.samples import CameraModel, Float64, Int64, SensorFrame

GROUND_TRUTH = "/ground_truth"


@dataclass(frozen=True)
class GroundTruth:
    """Where everybody really was, one row a person: (n,) numbers, (n, 3) box centres (m, LiDAR frame), (n,) LiDAR returns."""

    stamp_ns: int
    walkers: Int64
    centers: Float64
    point_count: Int64


class BagRecording(Rosbag):
    """A rosbag2 of a LiDAR and, maybe, a camera.

    Args:
        path: the bag's folder, or one of its .mcap or .db3 files.

    Attributes:
        problems: sentence -> how often, of messages that could not be used (filled while reading).
        lidar_frame_id: frame of the clouds, known from the first one read on.
        health: how the pairing went, once ``sensor_frames`` has come to its end.
        ground_truth: where everybody was, as far as ``sensor_frames`` has read (simulated or labelled bags).

    Raises:
        FileNotFoundError, ValueError: as :class:`Rosbag`.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.problems: Counter[str] = Counter()
        self.lidar_frame_id = ""
        self.health: PairingHealth | None = None
        self.ground_truth: list[GroundTruth] = []

    def resolve_topics(self, wanted: TrackerTopicsConfig) -> TrackerTopicsConfig:
        """The topics to read: the configured ones where recorded, else the only ones of their type.

        A topic left at its default that is not in the bag is replaced by the bag's own, if there is just one; image and
        camera_info become empty when the bag has none.

        Raises:
            ValueError: a topic that was asked for is missing or has another type, or there are several to choose from.
        """
        wanted, default = _absolute(wanted), _absolute(TrackerTopicsConfig())
        cloud = self._choose("topics.cloud", wanted.cloud, default.cloud, (CLOUD,))
        if not cloud:
            raise ValueError(f"{self.path} has no {CLOUD}: its topics are {self._listed()}")
        image_types = (COMPRESSED_IMAGE,) if wanted.image_compressed else (IMAGE, COMPRESSED_IMAGE)
        image = self._choose("topics.image", wanted.image, default.image, image_types) if wanted.image else ""
        compressed = bool(image) and self.topics[image].type == COMPRESSED_IMAGE
        beside = f"{image.removesuffix('/compressed').rsplit('/', 1)[0]}/camera_info"
        expected = beside if image and wanted.camera_info == default.camera_info else wanted.camera_info
        info = self._choose("topics.camera_info", expected, expected, (CAMERA_INFO,)) if image else ""
        return replace(wanted, cloud=cloud, image=image, camera_info=info, image_compressed=compressed)

    def _choose(self, parameter: str, name: str, default: str, types: tuple[str, ...]) -> str:
        if name in self.topics:
            if self.topics[name].type not in types:
                raise ValueError(
                    f"{parameter} is {name}, which is {self.topics[name].type}: expected {' or '.join(types)}"
                )
            return name
        if name != default:
            raise ValueError(f"{self.path} has no topic {name} ({parameter}): its topics are {self._listed()}")
        for kind in types:
            found = sorted(t.name for t in self.topics.values() if t.type == kind and t.count)
            if len(found) > 1:
                raise ValueError(f"{self.path} has several {kind}: {', '.join(found)}; choose one with {parameter}")
            if found:
                return found[0]
        return ""

    def _listed(self) -> str:
        return ", ".join(f"{t.name} ({t.type})" for t in sorted(self.topics.values(), key=lambda t: t.name))

    def sensor_frames(self, config: TrackerNodeConfig | None = None) -> Iterator[SensorFrame]:
        """Every cloud with its nearest image, as the pedestrian_tracker node pairs them; the same twice.

        Clouds and images that cannot be used are left out or go without image, and are counted in ``problems``.

        Raises:
            ValueError: as :meth:`resolve_topics` and :meth:`messages`.
        """
        config = config or TrackerNodeConfig()
        topics = self.resolve_topics(config.topics)
        if not topics.image:
            self.problems["the bag has no image: everything is judged by LiDAR alone"] += 1
        elif not topics.camera_info:
            self.problems[f"the bag has no CameraInfo for {topics.image}: no crops can be cut"] += 1
        pairer = StampPairer(config.pairing, topics.cloud, topics.image)
        camera = _CameraOfBag(self, config.camera.T_camera_lidar)
        now_ns = self.start_ns
        has_truth = GROUND_TRUTH in self.topics and self.topics[GROUND_TRUTH].type == PEDESTRIANS
        wanted = (topics.cloud, topics.image, topics.camera_info, GROUND_TRUTH if has_truth else "")
        self.ground_truth.clear()
        for message in self.messages([name for name in wanted if name]):
            now_ns = message.log_time_ns
            if message.topic == topics.camera_info:
                camera.info = message
                continue
            if message.topic == GROUND_TRUTH:
                self.ground_truth.append(self._truth(message))
                continue
            try:
                stamp = _peek_stamp_ns(message)
            except ValueError as error:
                self.problems[str(error)] += 1
                continue
            add = pairer.add_cloud if message.topic == topics.cloud else pairer.add_image
            refused = add(stamp, message, now_ns)
            if refused:
                self.problems[refused] += 1
            for pair in pairer.poll(now_ns):
                yield from self._frame(pair, camera)
        for pair in pairer.flush(now_ns):
            yield from self._frame(pair, camera)
        self.health = pairer.health(now_ns)

    def _truth(self, message: BagMessage) -> GroundTruth:
        array = self.deserialize(message)
        centers = np.array([(p.center.x, p.center.y, p.center.z) for p in array.pedestrians]).reshape(-1, 3)
        walkers = np.array([p.track_id for p in array.pedestrians], dtype=np.int64)
        point_count = np.array([p.point_count for p in array.pedestrians], dtype=np.int64)
        return GroundTruth(_peek_stamp_ns(message), walkers, centers, point_count)

    def _frame(self, pair: Pair, camera: _CameraOfBag) -> Iterator[SensorFrame]:
        try:
            cloud = self.deserialize(pair.cloud)
            points = cloud_to_points(cloud)
        except ValueError as error:
            self.problems[f"{pair.cloud.topic}: {error}"] += 1
            return
        self.lidar_frame_id = cloud.header.frame_id
        frame = SensorFrame(pair.cloud_stamp_ns, points)
        if pair.image is not None:
            try:
                message = self.deserialize(pair.image)
                image = compressed_to_rgb(message) if pair.image.type == COMPRESSED_IMAGE else image_to_rgb(message)
                frame = replace(frame, image=image, image_dt_s=pair.image_dt_s)
                frame = replace(frame, camera=camera.model(image.shape, cloud.header.frame_id, message.header.frame_id))
            except ValueError as error:
                self.problems[f"{pair.image.topic}: {error}"] += 1
        yield frame


class _CameraOfBag:
    """Makes the camera model of a bag once, again only when CameraInfo or the frames change."""

    def __init__(self, bag: BagRecording, T_camera_lidar: tuple[float, ...]) -> None:
        self._bag, self._configured = bag, T_camera_lidar
        self._key: Any = None
        self._model: CameraModel | ValueError | None = None
        self.info: BagMessage | None = None

    def model(self, shape: tuple[int, ...], lidar_frame: str, image_frame: str) -> CameraModel | None:
        if self.info is None:
            return None
        # The stamp (bytes 4 to 12) changes with every CameraInfo, the rest does not.
        key = (self.info.raw[12:], shape, lidar_frame, image_frame)
        if key != self._key:
            self._key = key
            try:
                self._model = self._make(shape, lidar_frame, image_frame)
            except ValueError as error:
                self._model = error
        if isinstance(self._model, ValueError):
            raise ValueError(str(self._model))
        return self._model

    def _make(self, shape: tuple[int, ...], lidar_frame: str, image_frame: str) -> CameraModel:
        if self.info is None:
            raise ValueError("no CameraInfo yet")
        info = self._bag.deserialize(self.info)
        if self._configured:
            transform = rigid_transform(self._configured, "camera.T_camera_lidar")
        else:
            transform = self._bag.transform(image_frame or info.header.frame_id, lidar_frame)
        return camera_from_info(info, transform, shape)


def _absolute(topics: TrackerTopicsConfig) -> TrackerTopicsConfig:
    """A bag holds full names; relative ones are looked for without a namespace."""
    cloud, image, camera_info = (full_name(name) for name in (topics.cloud, topics.image, topics.camera_info))
    return replace(topics, cloud=cloud, image=image, camera_info=camera_info)


def _peek_stamp_ns(message: BagMessage) -> int:
    """header.stamp of a serialized message whose first field is a std_msgs/Header, without decoding the rest."""
    if len(message.raw) < 12:
        raise ValueError(f"a message on {message.topic} has only {len(message.raw)} bytes: it holds no header")
    order = "<" if message.raw[1] & 1 else ">"  # second byte of the CDR encapsulation: 1 little-endian, 0 big-endian
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", message.raw, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
