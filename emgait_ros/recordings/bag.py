"""A recorded drive or a simulated scene as the sensor frames a live node would see, read without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emgait_ros.config import TrackerNodeConfig, TrackerTopicsConfig, full_name
from emgait_ros.recordings.bag_frames import BagFrames, BoxFinder, Problems, kind_of
from emgait_ros.recordings.rosbag import (
    BOXES,
    CAMERA_INFO,
    CLOUD,
    COMPRESSED_IMAGE,
    IMAGE,
    PEDESTRIANS,
    Rosbag,
)
from emgait_ros.recordings.serialized_header import stamp_of
from emgait_ros.samples import Float64, Int64, SensorFrame
from emgait_ros.sensing.conversions import stamp_ns
from emgait_ros.sensing.pairing import PairingHealth, StampPairer

GROUND_TRUTH = "/ground_truth"
OTHER_CLOCK_NS = 10**9  # between a stamp and its log time


@dataclass(frozen=True)
class GroundTruth:
    """Where everybody really was, one row a person: (n,) numbers, (n, 3) box centres (m, LiDAR frame), (n,) LiDAR returns."""

    stamp_ns: int
    walkers: Int64
    centers: Float64
    point_count: Int64

    @classmethod
    def of(cls, message: Any) -> GroundTruth:
        """The people of an emgait_msgs/PedestrianArray."""
        people = message.pedestrians
        walkers, point_count = (
            np.array([getattr(p, n) for p in people], np.int64) for n in ("track_id", "point_count")
        )
        centers = np.array([(p.center.x, p.center.y, p.center.z) for p in people]).reshape(-1, 3)
        return cls(stamp_ns(message.header), walkers, centers, point_count)


class BagRecording(Rosbag):
    """A rosbag2 of a LiDAR and, maybe, a camera.

    Args:
        path: the bag's folder, or one of its .mcap or .db3 files.

    Attributes:
        problems: sentence -> how often, of messages that could not be used (filled while ``sensor_frames`` reads).
        notes: as of :class:`Rosbag`; and while reading, what is wrong in messages that could be used all the same.
        read_to_ns: log time up to which ``sensor_frames`` has read; a live node has heard as much.
        begin_ns: when the bag begins by the clock of the clouds' stamps, which may be another than that of the log times
            (since boot, TAI); known once ``sensor_frames`` has handed out a frame.
        health: how the pairing went, once ``sensor_frames`` has come to its end.
        ground_truth: where everybody was, as far as ``sensor_frames`` has read (simulated or labelled bags).

    Raises:
        FileNotFoundError, ValueError: as :class:`Rosbag`.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.problems = Problems()
        self._noted: set[str] = set()
        self._frames: BagFrames | None = None
        self.read_to_ns = self.begin_ns = self.start_ns
        self.health: PairingHealth | None = None
        self.ground_truth: list[GroundTruth] = []

    @property
    def lidar_frame_id(self) -> str:
        """Frame of the newest cloud that ``sensor_frames`` has handed out."""
        return self._frames.lidar_frame_id if self._frames else ""

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
        boxes = self._choose("topics.boxes", wanted.boxes, "", (BOXES,)) if wanted.boxes else ""
        return replace(wanted, cloud=cloud, image=image, camera_info=info, image_compressed=compressed, boxes=boxes)

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
        """Every cloud with its nearest image, and its boxes, as the pedestrian_tracker node pairs them; the same twice.

        Clouds and images that cannot be used are left out or go without image, and are counted in ``problems``.

        Raises:
            ValueError: as :meth:`resolve_topics` and :meth:`messages`; the bag never connects the fixed frame to the LiDAR's.
        """
        config = config or TrackerNodeConfig()
        topics = self.resolve_topics(config.topics)
        self.problems.clear()
        if not topics.image:
            self.problems.add("the bag has no image: everything is judged by LiDAR alone")
        elif not topics.camera_info:
            self.problems.add(f"the bag has no CameraInfo for {topics.image}: no crops can be cut")
        pairer = StampPairer(config.pairing, topics.cloud, topics.image, offline=True)
        finder = BoxFinder(config.boxes, topics.boxes)
        frames = self._frames = BagFrames(self, replace(config, topics=topics), self.problems, self.note)
        self.begin_ns, now_ns = 0, self.start_ns
        has_truth = GROUND_TRUTH in self.topics and self.topics[GROUND_TRUTH].type == PEDESTRIANS
        truth = GROUND_TRUTH if has_truth else ""
        wanted = (topics.cloud, topics.image, topics.camera_info, topics.boxes, truth, *frames.topics)
        self.ground_truth.clear()
        for message in self.messages([name for name in wanted if name]):
            self.read_to_ns = now_ns = message.log_time_ns
            if message.topic == topics.camera_info or message.topic in frames.topics:
                frames.note(message)
                yield from frames.ready(now_ns)
                continue
            if message.topic == GROUND_TRUTH:
                self.ground_truth.append(GroundTruth.of(self.deserialize(message)))
                continue
            try:
                stamp = stamp_of(message.raw, f"a message on {message.topic}")
            except ValueError as error:
                self.problems.add(str(error))
                continue
            if not self.begin_ns and stamp > 0 and message.topic == topics.cloud:
                ahead_ns = stamp - now_ns
                self.begin_ns = self.start_ns + (ahead_ns if abs(ahead_ns) > OTHER_CLOCK_NS else 0)
            adders = {topics.cloud: pairer.add_cloud, topics.boxes: finder.add_boxes}
            refused = adders.get(message.topic, pairer.add_image)(stamp, message, now_ns)
            if refused:
                self.problems.add(refused)
            frames.take(finder.jobs(pairer.poll(now_ns), now_ns), now_ns)
            yield from frames.ready(now_ns)
        frames.take(finder.jobs(pairer.flush(now_ns), now_ns, is_end=True), now_ns)
        yield from frames.rest()
        self.health = pairer.health(now_ns)

    def note(self, sentence: str) -> None:
        """Keep a note on messages: sentences that differ in numbers only are one."""
        kind = kind_of(sentence)
        if kind not in self._noted:
            self._noted.add(kind)
            self.notes.append(sentence)


def _absolute(topics: TrackerTopicsConfig) -> TrackerTopicsConfig:
    """A bag holds full names; relative ones are looked for without a namespace."""
    full: dict[str, Any] = {
        name: full_name(getattr(topics, name)) for name in ("cloud", "image", "camera_info", "boxes")
    }
    return replace(topics, **full)
