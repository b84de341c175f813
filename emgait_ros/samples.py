"""The data that flows through the pipeline: plain arrays in frozen dataclasses, no ROS, no behaviour.

sensor frame -> detections -> pedestrians (one sample each) -> identities
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class CameraModel:
    """A calibrated camera and where it sits.

    Attributes:
        width, height: image size the calibration is for, px.
        K: (3, 3) float64 intrinsic matrix, px.
        distortion: coefficients in ROS order (CameraInfo.d), empty for a rectified image.
        distortion_model: "plumb_bob", "rational_polynomial" or "equidistant" (CameraInfo.distortion_model).
        T_camera_lidar: (4, 4) float64, maps LiDAR coordinates (m) to the camera's optical frame (z forward, m).
    """

    width: int
    height: int
    K: Float64
    distortion: Float64
    distortion_model: str
    T_camera_lidar: Float64


@dataclass(frozen=True)
class Boxes:
    """People that another detector found, as a struct of arrays over B upright boxes, parallel to the frame's axes.

    Attributes:
        center: (B, 3) float64, m.
        size: (B, 3) float64, extents along x, y, z, m.
        score: (B,) float64, 0..1, of that detector's scale.
    """

    center: Float64
    size: Float64
    score: Float64

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class SensorFrame:
    """One LiDAR cloud and, when there is one, the image nearest to it in time.

    Attributes:
        stamp_ns: corrected stamp of the cloud, ns.
        points: (N, 3) float32, m, LiDAR frame, z up, finite.
        image: (H, W, 3) uint8 RGB, or None (LiDAR only).
        image_dt_s: image stamp minus cloud stamp, s; 0 without an image.
        camera: calibration of the image, or None: then no crop can be cut.
        T_fixed_lidar: (4, 4) float64 pose of the LiDAR in a frame that does not move, or None: it stands still.
        T_fixed_lidar_at_image: its pose when the image was taken, or None: as at the cloud.
        boxes: people that a detector of the user's found in this cloud, LiDAR frame, or None: it did not look at it.
    """

    stamp_ns: int
    points: Float32
    image: UInt8 | None = None
    image_dt_s: float = 0.0
    camera: CameraModel | None = None
    T_fixed_lidar: Float64 | None = None
    T_fixed_lidar_at_image: Float64 | None = None
    boxes: Boxes | None = None


@dataclass(frozen=True)
class Detections:
    """People found in one cloud, as a struct of arrays over D detections (LiDAR frame, m).

    Attributes:
        center: (D, 3) float32, centre of the upright box.
        size: (D, 3) float32, extents along x, y, z; the box stands on the ground.
        score: (D,) float32 in 0..1.
        point_index: (M,) int64, indices into the cloud, grouped by detection.
        splits: (D + 1,) int64: detection i owns point_index[splits[i]:splits[i + 1]].
        occlusion: (D,) float32 part of the body that something nearer hides, 0..1; empty: not known.
        group: (D,) bool people so close together that nothing parts them, or one of them; empty: none is.
    """

    center: Float32
    size: Float32
    score: Float32
    point_index: Int64
    splits: Int64
    occlusion: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    group: Bool = field(default_factory=lambda: np.zeros(0, bool))

    def __len__(self) -> int:
        return len(self.center)

    @property
    def point_count(self) -> Int64:
        """(D,) int64 returns on each detection."""
        return np.diff(self.splits)

    def members(self, detection: int) -> Int64:
        """Indices into the cloud of one detection's returns."""
        return self.point_index[self.splits[detection] : self.splits[detection + 1]]


@dataclass(frozen=True)
class Sample:
    """One tracked pedestrian in one frame: a sample. Fields as in ``emgait_msgs/msg/Pedestrian``.

    Attributes:
        track_id: number of the track, unique within its tracker run.
        center: (3,) float64, m, LiDAR frame; center[2] - size[2] / 2 is the ground under the feet.
        size: (3,) float64, m.
        velocity: (3,) float64, m/s, along the LiDAR frame's axes.
        moving: the track walks.
        range_m: horizontal distance from the LiDAR.
        score: detector's trust, 0..1.
        point_count: LiDAR returns before resampling; 0 when the track coasts.
        coasting: there was no detection in this frame; the position is a prediction.
        points: (P, 3) float32, m, LiDAR frame, resampled to a fixed P; None when there are none.
        crop: (H, W, 3) uint8 RGB; None without an image.
        silhouette: (H, W) uint8 mask of the crop, 255 where the body is, where one is known; else None.
        crop_native_height_px: height of the box in the camera image, px.
        image_dt_s: image stamp minus LiDAR stamp, s.
        sharpness: fine detail of the crop over its contrast, before resizing, 0..1; 0: not known.
        occlusion: part of the body that something nearer hides from the LiDAR, 0..1.
        previous_track_id: number this pedestrian was followed under until now, when it is linked to an earlier track
            again; else None.
        group: people so close together that they cannot be told apart: never named.
    """

    track_id: int
    center: Float64
    size: Float64
    velocity: Float64
    moving: bool
    range_m: float
    score: float
    point_count: int
    points: Float32 | None = None
    crop: UInt8 | None = None
    crop_native_height_px: float = 0.0
    image_dt_s: float = 0.0
    sharpness: float = 0.0
    occlusion: float = 0.0
    previous_track_id: int | None = None
    group: bool = False
    coasting: bool = False
    silhouette: UInt8 | None = None


@dataclass(frozen=True)
class PedestrianFrame:
    """All pedestrians in view at one LiDAR frame; ``tracker_id`` names the tracker run."""

    stamp_ns: int
    frame_id: str
    tracker_id: str
    pedestrians: tuple[Sample, ...]


class Status(IntEnum):
    """What is known of a track (values of ``emgait_msgs/msg/Identity``)."""

    PENDING = 0
    UNKNOWN = 1
    KNOWN = 2


class Modality(IntFlag):
    """Which sensors a window rests on (bits of ``emgait_msgs/msg/Identity``)."""

    NONE = 0
    IMAGE = 1
    POINTS = 2
    BOTH = 3


@dataclass(frozen=True)
class Candidate:
    """An enrolled identity a probe was compared with; ``distance`` is the mean over parts of L2."""

    name: str
    distance: float
