"""The messages of a pair become a sensor frame: the same for the pedestrian_tracker node and for a bag."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emgait_ros.config import TrackerNodeConfig
from emgait_ros.samples import Boxes, CameraModel, Float64, SensorFrame, UInt8
from emgait_ros.sensing.boxes import BoxReader
from emgait_ros.sensing.camera_calibration import CameraCalibration
from emgait_ros.sensing.conversions import Note, cloud_to_points, picture_to_rgb, unnoted
from emgait_ros.sensing.frames import Lookup
from emgait_ros.sensing.image_encodings import SignificantBits
from emgait_ros.sensing.pairing import Pair


class FrameAssembler:
    """Points, pixels, calibration and places. TF is always asked at the corrected stamps of the pair.

    Args:
        config: topics (as they are read), extrinsics and the fixed frame.
        lookup: TF.
        report: called with each sentence about a message that cannot be used, and whether its cloud is left out.
        no_tf: why TF cannot be asked here; empty where it can.
        note: given a sentence on what is wrong in messages that can be used all the same.

    Attributes:
        calibration: of the camera; its ``info`` is to be kept up to date.
        boxes: reads boxes of another detector, and counts what is left out.
        camera_problem: why the last image was not used; empty when it was.

    Raises:
        ValueError: configured extrinsics that are no rigid transform.
    """

    def __init__(
        self,
        config: TrackerNodeConfig,
        lookup: Lookup,
        report: Callable[[str, bool], None],
        no_tf: str = "",
        note: Note = unnoted,
    ) -> None:
        self._lookup, self._report, self._note = lookup, report, note
        self.calibration = CameraCalibration(lookup, no_tf, config.topics.camera_info, note, config.topics.image)
        self.boxes = BoxReader(config.boxes, lookup)
        self.camera_problem = ""
        self._lidar_frame = ""
        self._bits = SignificantBits()
        self.configure(config)

    def configure(self, config: TrackerNodeConfig) -> None:
        """Use other options from now on.

        Raises:
            ValueError: extrinsics that are no rigid transform.
        """
        self.calibration.configure(config.camera.T_camera_lidar)
        if config.boxes != self.boxes.config:
            self.boxes.configure(config.boxes)
        self._config = config

    def frame(
        self, pair: Pair, cloud: Any, image: Any | None, boxes: Any | None = None, boxes_dt_s: float = 0.0
    ) -> SensorFrame | None:
        """What sensing takes; None when the cloud has to be left out.

        Args:
            pair: corrected stamps.
            cloud, image: its messages, from rclpy or rosbags.
            boxes: vision_msgs/Detection3DArray with the people in the cloud, if there is one.
            boxes_dt_s: its stamp minus that of the cloud, s.
        """
        topic, lidar_frame, fixed = self._config.topics.cloud, cloud.header.frame_id, self._config.frames.fixed
        image_stamp_ns = pair.cloud_stamp_ns + round(pair.image_dt_s * 1e9)
        try:
            points = cloud_to_points(cloud, lambda s: self._note(f"{topic}: {s}"))
        except ValueError as error:
            self._report(f"{topic}: {error}; the cloud is left out", True)
            return None
        if self._lidar_frame not in ("", lidar_frame) and not fixed:
            frames = " and ".join(sorted((self._lidar_frame, lidar_frame)))
            self._report(
                f"{topic}: clouds come in the frames {frames}, and nobody can be followed from one to the other: give each LiDAR a topic "
                "and a pedestrian_tracker of its own",
                False,
            )
        self._lidar_frame = lidar_frame
        if len(points) == 0:
            self._report(f"{topic}: the cloud has no finite points: nobody can be seen", False)
        T_fixed_lidar: Float64 | None = None
        if fixed:
            try:
                T_fixed_lidar = self._lookup(fixed, lidar_frame, pair.cloud_stamp_ns)
            except ValueError as error:
                self._report(f"{error}; clouds are left out until it comes (parameter frames.fixed)", True)
                return None
        pixels, camera = (None, None) if image is None else self._image(image, lidar_frame, image_stamp_ns)
        at_image = None
        if fixed and pixels is not None:
            try:
                at_image = self._lookup(fixed, lidar_frame, image_stamp_ns)
            except ValueError as error:
                self._report(f"{error}; the image is used as if the sensor had not moved since the cloud", False)
        dt_s = pair.image_dt_s if pixels is not None else 0.0
        people = None if boxes is None else self._boxes(boxes, lidar_frame, pair.cloud_stamp_ns, boxes_dt_s)
        return SensorFrame(pair.cloud_stamp_ns, points, pixels, dt_s, camera, T_fixed_lidar, at_image, people)

    def _boxes(self, message: Any, lidar_frame: str, stamp_ns: int, dt_s: float) -> Boxes | None:
        topic = self._config.topics.boxes
        try:
            people, sentences = self.boxes.read(message, lidar_frame, self._config.frames.fixed, stamp_ns, dt_s)
        except ValueError as error:
            self._report(f"{topic}: {error}", False)
            return None
        for sentence in sentences:
            self._report(f"{topic}: {sentence}", False)
        return people

    def _image(self, image: Any, lidar_frame: str, stamp_ns: int) -> tuple[UInt8 | None, CameraModel | None]:
        """Pixels and camera; both None when either is not usable: then the cloud goes on alone."""
        topics = self._config.topics
        try:
            pixels = picture_to_rgb(
                image, topics.image_compressed, lambda s: self._note(f"{topics.image}: {s}"), self._bits
            )
        except ValueError as error:
            self._report(f"{topics.image}: {error}; the cloud goes on without it", False)
            return None, None
        try:
            camera = self.calibration.camera(pixels.shape, image.header.frame_id, lidar_frame, stamp_ns)
        except ValueError as error:
            self.camera_problem = str(error)
            self._report(self.camera_problem, False)
            return None, None
        self.camera_problem = ""
        return pixels, camera
