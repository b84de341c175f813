"""A copy of a bag with what was found in it: identities, boxes with names and pictures, for Foxglove, Rerun or RViz.

The topics are those of the live nodes, so that `config/gait.foxglove.json` and `config/gait.rviz` fit both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from emgait_ros.recognition.identity_results import STATUS_COLORS, IdentityResult
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.bag_writer import BagWriter
from emgait_ros.recordings.rosbag import COMPRESSED_IMAGE, BagMessage, Rosbag
from emgait_ros.samples import PedestrianFrame, SensorFrame, Status
from emgait_ros.sensing.perception.overlay import draw_overlay, jpeg_of

IDENTITIES, IDENTITY_ARRAY = "/gait_recognizer/identities", "emgait_msgs/msg/IdentityArray"
MARKERS, MARKER_ARRAY = "/gait_recognizer/markers", "visualization_msgs/msg/MarkerArray"
OVERLAY = "/pedestrian_tracker/overlay/compressed"
CUBE, TEXT, ADD, DELETE_ALL = 1, 9, 0, 3  # visualization_msgs/Marker
TEXT_HEIGHT_M = 0.35


class AnnotatedBag:
    """Writes the messages of a bag as they are and, between them, what was found; a context manager.

    Pictures hold boxes and names; they are people's pictures as those of the bag itself are.

    Args:
        path: folder of the new bag (mcap).
        bag: the recording that is evaluated; it is opened a second time to be copied.
        model: fingerprint of the bundle.

    Raises:
        FileExistsError: the folder is there already.
        FileNotFoundError, ValueError: as :class:`Rosbag`.
    """

    def __init__(self, path: Path, bag: BagRecording, model: str) -> None:
        self._bag, self._model = bag, model
        self._source = Rosbag(bag.path)
        self._writer = BagWriter(path, compress=True)
        self._left = self._messages()
        self._ahead: BagMessage | None = None

    def _messages(self) -> Iterator[BagMessage]:
        """The bag's own, without what an earlier copy added and without types that nobody can define."""
        mine = {IDENTITIES, MARKERS, OVERLAY}
        topics = [t.name for t in self._source.topics.values() if t.name not in mine and self._source.types_of(t.type)]
        return self._source.messages(topics)

    def __enter__(self) -> AnnotatedBag:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._copy_to(None)
        except BaseException as error:
            self._writer.__exit__(type(error), error, error.__traceback__)
            raise
        else:
            self._writer.__exit__(kind, value, trace)
        finally:
            self._source.close()

    def add(self, frame: SensorFrame, pedestrians: PedestrianFrame, results: Sequence[IdentityResult]) -> None:
        """What was found in one frame, at the log time up to which the recording has been read."""
        at_ns = self._bag.read_to_ns
        self._copy_to(at_ns)
        header = self._writer.header(frame.stamp_ns, self._bag.lidar_frame_id)
        make = self._writer.make
        identities = make(IDENTITY_ARRAY, header, self._model, [self._identity(result) for result in results])
        self._writer.write(IDENTITIES, IDENTITY_ARRAY, at_ns, identities)
        numbers = count(1)
        everything = [self._marker(header, 0, CUBE, DELETE_ALL)]
        for result in results:
            everything += [self._box(header, next(numbers), result), self._text(header, next(numbers), result)]
        self._writer.write(MARKERS, MARKER_ARRAY, at_ns, make(MARKER_ARRAY, everything))
        self._picture(frame, pedestrians, results, header, at_ns)

    def _copy_to(self, log_time_ns: int | None) -> None:
        """Copy the messages up to this log time; None: all that are left."""
        while (message := self._ahead or next(self._left, None)) is not None:
            self._ahead = None
            if log_time_ns is not None and message.log_time_ns > log_time_ns:
                self._ahead = message
                return
            latched, types = message.topic in self._source.latched_topics, self._source.types_of(message.type)
            self._writer.write_serialized(message.topic, message.type, message.log_time_ns, message.raw, latched, types)

    def _identity(self, result: IdentityResult) -> Any:
        make = self._writer.make
        candidates = [make("emgait_msgs/msg/Candidate", c.name, float(c.distance)) for c in result.decision.candidates]
        return make(
            "emgait_msgs/msg/Identity",
            **result.plain_fields(),
            position=self._point(result, 0.0),
            size=self._size(result),
            candidates=candidates,
        )

    def _box(self, header: Any, number: int, result: IdentityResult) -> Any:
        place = self._point(result, 0.0)
        return self._marker(header, number, CUBE, ADD, "box", place, self._size(result), (*_color(result), 0.35))

    def _text(self, header: Any, number: int, result: IdentityResult) -> Any:
        place = self._point(result, float(result.size[2]) / 2 + 1.2 * TEXT_HEIGHT_M)
        size = self._writer.make("geometry_msgs/msg/Vector3", 0.0, 0.0, TEXT_HEIGHT_M)
        return self._marker(header, number, TEXT, ADD, "name", place, size, (*_color(result), 1.0), result.label)

    def _marker(
        self,
        header: Any,
        number: int,
        kind: int,
        action: int,
        namespace: str = "",
        place: Any = None,
        size: Any = None,
        color: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0),
        text: str = "",
    ) -> Any:
        make = self._writer.make
        point, vector = "geometry_msgs/msg/Point", "geometry_msgs/msg/Vector3"
        turn = make("geometry_msgs/msg/Quaternion", 0.0, 0.0, 0.0, 1.0)
        return make(
            "visualization_msgs/msg/Marker",
            header=header,
            ns=namespace,
            id=number,
            type=kind,
            action=action,
            pose=make("geometry_msgs/msg/Pose", place or make(point, 0.0, 0.0, 0.0), turn),
            scale=size or make(vector, 0.0, 0.0, 0.0),
            color=make("std_msgs/msg/ColorRGBA", *color),
            lifetime=make("builtin_interfaces/msg/Duration", 1, 0),
            frame_locked=False,
            points=[],
            colors=[],
            texture_resource="",
            texture=make("sensor_msgs/msg/CompressedImage", header, "", np.zeros(0, np.uint8)),
            uv_coordinates=[],
            text=text,
            mesh_resource="",
            mesh_file=make("visualization_msgs/msg/MeshFile", "", np.zeros(0, np.uint8)),
            mesh_use_embedded_materials=False,
        )

    def _picture(
        self,
        frame: SensorFrame,
        pedestrians: PedestrianFrame,
        results: Sequence[IdentityResult],
        header: Any,
        at_ns: int,
    ) -> None:
        if frame.image is None or frame.camera is None:
            return
        names = {result.track_id: result.label.split("\n")[0] for result in results}
        rgb = draw_overlay(frame.image, frame.camera, pedestrians.pedestrians, names, None, frame.image_dt_s)
        picture = self._writer.make(COMPRESSED_IMAGE, header, "jpeg", jpeg_of(rgb))
        self._writer.write(OVERLAY, COMPRESSED_IMAGE, at_ns, picture)

    def _point(self, result: IdentityResult, above_m: float) -> Any:
        x, y, z = (float(v) for v in result.center)
        return self._writer.make("geometry_msgs/msg/Point", x, y, z + above_m)

    def _size(self, result: IdentityResult) -> Any:
        return self._writer.make("geometry_msgs/msg/Vector3", *(float(v) for v in result.size))


def _color(result: IdentityResult) -> tuple[float, float, float]:
    return STATUS_COLORS[Status(result.status)]
