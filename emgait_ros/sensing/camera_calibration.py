"""Where the camera sits and how it projects, from parameters, TF and CameraInfo as they come in; the same live and offline."""

from __future__ import annotations

from typing import Any

import numpy as np

from emgait_ros.samples import CameraModel, Float64
from emgait_ros.sensing.camera_info import camera_from_info, is_rectified
from emgait_ros.sensing.conversions import Note, rigid_transform, unnoted
from emgait_ros.sensing.frames import Lookup

SAME = 1e-5  # rad and m: less than what can be seen, more than what rounding makes of equal transforms on /tf


class CameraCalibration:
    """The newest CameraInfo joined with the extrinsics.

    Args:
        lookup: TF, asked when no extrinsics are configured.
        no_tf: why TF cannot be asked here; empty where it can.
        info_topic: named in the sentences.
        note: given a sentence on what is wrong in a CameraInfo that can be used all the same.
        image_topic: whose name says whether images are rectified.

    Attributes:
        info: the newest sensor_msgs/CameraInfo, from rclpy or rosbags.
        rectified: images are, by their topic's name.
    """

    def __init__(
        self, lookup: Lookup, no_tf: str, info_topic: str, note: Note = unnoted, image_topic: str = ""
    ) -> None:
        self._lookup, self._no_tf, self._info_topic, self._note = lookup, no_tf, info_topic, note
        self.rectified = is_rectified(image_topic)
        self._configured: Float64 | None = None
        self._frames = ""
        self._camera: CameraModel | None = None
        self._key: tuple[Any, ...] = ()
        self.info: Any = None

    def configure(self, T_camera_lidar: tuple[float, ...]) -> None:
        """Use these extrinsics (16 numbers, row-major), or TF when there are none.

        Raises:
            ValueError: no rigid transform.
        """
        self._configured = checked_extrinsics(T_camera_lidar)

    @property
    def source(self) -> str:
        """Where the extrinsics come from, in words."""
        if self._configured is not None:
            return "parameter camera.T_camera_lidar"
        return "" if self._no_tf else f"TF{self._frames}"

    def problem(self) -> str:
        """Why crops cannot be cut, known before any image has come; empty when they can."""
        if not self.source:
            return (
                f"no extrinsics: parameter camera.T_camera_lidar is empty and {self._no_tf}: "
                "set the parameter to the 16 numbers (4x4, row-major) that map LiDAR points into the camera's optical frame"
            )
        return ""

    def camera(
        self, image_shape: tuple[int, ...], camera_frame: str, lidar_frame: str, image_stamp_ns: int
    ) -> CameraModel:
        """The camera model for an image of this shape and corrected stamp; the same object as long as nothing has changed.

        Raises:
            ValueError: no CameraInfo yet or one that does not fit, no extrinsics; the sentence says what to do.
        """
        if self.info is None:
            raise ValueError(
                f"no CameraInfo on {self._info_topic} yet: images cannot be used (LiDAR only until it comes)"
            )
        T_camera_lidar = self._configured
        if T_camera_lidar is None:
            T_camera_lidar = self._from_tf(camera_frame or self.info.header.frame_id, lidar_frame, image_stamp_ns)
        if self._camera is not None and np.allclose(T_camera_lidar, self._camera.T_camera_lidar, rtol=0.0, atol=SAME):
            T_camera_lidar = self._camera.T_camera_lidar
        key = (_contents(self.info), T_camera_lidar.tobytes(), image_shape)
        if self._camera is None or key != self._key:
            try:
                self._camera = camera_from_info(
                    self.info,
                    T_camera_lidar,
                    image_shape,
                    lambda s: self._note(f"{self._info_topic}: {s}"),
                    self.rectified,
                )
            except ValueError as error:
                raise ValueError(f"{self._info_topic}: {error}; images cannot be used (LiDAR only)") from error
            self._key = key
        return self._camera

    def _from_tf(self, camera_frame: str, lidar_frame: str, stamp_ns: int) -> Float64:
        """At the image's stamp; the newest where TF does not reach that far."""
        if self._no_tf:
            raise ValueError(self.problem())
        self._frames = f", '{lidar_frame}' to '{camera_frame}'"
        try:
            try:
                return self._lookup(camera_frame, lidar_frame, stamp_ns)
            except ValueError:
                return self._lookup(camera_frame, lidar_frame, None)
        except ValueError as error:
            raise ValueError(
                f"no extrinsics: parameter camera.T_camera_lidar is empty and there is {error}: "
                "set the parameter (4x4, row-major), or publish the transform"
            ) from error


def _contents(info: Any) -> tuple[Any, ...]:
    """All of a CameraInfo that a camera model depends on."""
    roi = info.roi
    region = (roi.x_offset, roi.y_offset, roi.width, roi.height)
    return (
        info.width,
        info.height,
        tuple(info.k),
        tuple(info.p),
        tuple(info.d),
        info.distortion_model,
        info.binning_x,
        info.binning_y,
        region,
    )


def checked_extrinsics(T_camera_lidar: tuple[float, ...]) -> Float64 | None:
    """(4, 4) float64 of the parameter, or None when it is empty.

    Raises:
        ValueError: no rigid transform.
    """
    if not T_camera_lidar:
        return None
    return rigid_transform(np.array(T_camera_lidar, dtype=np.float64), "parameter 'camera.T_camera_lidar'")
