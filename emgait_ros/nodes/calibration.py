"""Where the camera sits and how it projects, from parameters, TF and CameraInfo as they come in."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo

from emgait_ros.camera_info import camera_from_info
from emgait_ros.conversions import Note, rigid_transform, unnoted
from emgait_ros.nodes.transforms import Transforms
from emgait_ros.samples import CameraModel, Float64


class Calibration:
    """The newest CameraInfo joined with the extrinsics.

    Args:
        transforms: TF, asked when no extrinsics are configured.
        info_topic: named in the sentences.
        note: given a sentence on what is wrong in a CameraInfo that can be used all the same.
    """

    def __init__(self, transforms: Transforms, info_topic: str, note: Note = unnoted) -> None:
        self._note = note
        self._transforms, self._info_topic = transforms, info_topic
        self._configured: Float64 | None = None
        self._camera: CameraModel | None = None
        self._key: tuple[Any, ...] = ()
        self.info: CameraInfo | None = None

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
        return "TF" if self._transforms.available else ""

    def problem(self) -> str:
        """What stands in the way of cutting crops, before any image has come; empty when nothing does."""
        if not self.source:
            return (
                "no extrinsics: parameter camera.T_camera_lidar is empty and tf2_ros is not installed here: "
                "set the parameter to the 16 numbers (4x4, row-major) that map LiDAR points into the camera's optical frame"
            )
        return ""

    def camera(
        self, image_shape: tuple[int, ...], camera_frame: str, lidar_frame: str, image_stamp_ns: int | None = None
    ) -> CameraModel:
        """The camera model for an image of this shape and stamp; the same object as long as nothing has changed.

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
        key = (_contents(self.info), T_camera_lidar.tobytes(), image_shape)
        if self._camera is None or key != self._key:
            try:
                self._camera = camera_from_info(
                    self.info, T_camera_lidar, image_shape, lambda s: self._note(f"{self._info_topic}: {s}")
                )
            except ValueError as error:
                raise ValueError(f"{self._info_topic}: {error}; images cannot be used (LiDAR only)") from error
            self._key = key
        return self._camera

    def _from_tf(self, camera_frame: str, lidar_frame: str, stamp_ns: int | None) -> Float64:
        """At the image's stamp; the newest where TF does not reach that far."""
        if not self._transforms.available:
            raise ValueError(self.problem())
        if stamp_ns is not None:
            with suppress(ValueError):
                return self._transforms.matrix(camera_frame, lidar_frame, stamp_ns)
        try:
            return self._transforms.matrix(camera_frame, lidar_frame)
        except ValueError as error:
            raise ValueError(f"no extrinsics: parameter camera.T_camera_lidar is empty and there is {error}") from error


def _contents(info: CameraInfo) -> tuple[Any, ...]:
    """All of a CameraInfo that a camera model depends on."""
    roi = info.roi
    region = (roi.x_offset, roi.y_offset, roi.width, roi.height)
    return (
        info.width,
        info.height,
        tuple(info.k),
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
