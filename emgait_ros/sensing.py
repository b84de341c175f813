"""Cloud and image in, tracked pedestrians out: all that the pedestrian_tracker node computes, without ROS."""

from __future__ import annotations

import logging
import time

import numpy as np

from emgait_ros.config import SensingConfig
from emgait_ros.perception.camera import box_rectangles, check_model
from emgait_ros.perception.crops import cut_crop, resample
from emgait_ros.perception.detector import Detector, GeometricDetector
from emgait_ros.samples import CameraModel, Detections, Float64, Pedestrian, PedestrianFrame, SensorFrame, UInt8
from emgait_ros.tracking.tracker import PedestrianTracker, TrackedPedestrians

log = logging.getLogger(__name__)

SLOW_WARM_UP_S = 3.0


class PedestrianSensing:
    """Detection, tracking and cutting out of samples, frame by frame.

    Construction compiles the numeric kernels (half a minute, once per installation) or loads them from numba's cache
    (about a second), so that the first live frame does not wait.

    Args:
        config: detector, tracker and sample options.
        tracker_id: fixed name of this run; empty: a random one.
        detector: another detector than the geometric one that ships.

    Attributes:
        timings: ms per stage of the last frame: detect, track, cut, total.
        warm_up_s: time the kernels took to compile or load.
    """

    def __init__(
        self, config: SensingConfig | None = None, tracker_id: str = "", detector: Detector | None = None
    ) -> None:
        self.config = config or SensingConfig()
        self.detector: Detector = detector or GeometricDetector(self.config.detector)
        self.tracker = PedestrianTracker(self.config.tracker, tracker_id)
        self.timings: dict[str, float] = {}
        self._checked: CameraModel | None = None
        self._usable = False
        started = time.perf_counter()
        self.detector.detect(_warm_up_cloud())
        self.warm_up_s = time.perf_counter() - started
        if self.warm_up_s > SLOW_WARM_UP_S:
            log.info("perception kernels compiled in %.0f s; later starts load them from numba's cache", self.warm_up_s)

    def reset(self) -> None:
        """Forget all tracks (a bag starts over)."""
        self.tracker.reset()

    def process(self, frame: SensorFrame, frame_id: str) -> PedestrianFrame:
        """Pedestrians at one cloud, with or without its image.

        Args:
            frame: cloud, and image with calibration when there is one.
            frame_id: name of the LiDAR frame, passed on.

        Returns:
            Believed tracks only; a hidden one coasts with ``point_count`` 0 and no points.
        """
        begun = time.perf_counter()
        points = frame.points
        detections = self.detector.detect(points)
        detected = time.perf_counter()
        tracks = self._track(frame, detections)
        tracked = time.perf_counter()
        pedestrians = self._cut(frame, detections, tracks)
        done = time.perf_counter()
        self.timings = {
            "detect": (detected - begun) * 1e3,
            "track": (tracked - detected) * 1e3,
            "cut": (done - tracked) * 1e3,
            "total": (done - begun) * 1e3,
        }
        return PedestrianFrame(frame.stamp_ns, frame_id, self.tracker.tracker_id, pedestrians)

    def _track(self, frame: SensorFrame, detections: Detections) -> TrackedPedestrians:
        """Tracks in the frame that does not move."""
        center = detections.center.astype(np.float64)
        distance = np.hypot(center[:, 0], center[:, 1])
        if frame.T_fixed_lidar is not None:
            center = center @ frame.T_fixed_lidar[:3, :3].T + frame.T_fixed_lidar[:3, 3]
        return self.tracker.update(frame.stamp_ns, center, detections.size, detections.score, distance)

    def _cut(self, frame: SensorFrame, detections: Detections, tracks: TrackedPedestrians) -> tuple[Pedestrian, ...]:
        """One sample for each track, in LiDAR coordinates."""
        if len(tracks) == 0:
            return ()
        center = np.column_stack([tracks.position, tracks.bottom + tracks.size[:, 2] / 2])
        velocity = np.column_stack([tracks.velocity, np.zeros(len(tracks))])
        if frame.T_fixed_lidar is not None:
            rotation, place = frame.T_fixed_lidar[:3, :3], frame.T_fixed_lidar[:3, 3]
            center, velocity = (center - place) @ rotation, velocity @ rotation
        crops, heights = self._crops(frame, center, tracks.size, velocity)
        counts = detections.point_count
        pedestrians = []
        for i, detection in enumerate(tracks.detection):
            track_id = int(tracks.track_id[i])
            seen = detection >= 0
            members = frame.points[detections.members(int(detection)), :3] if seen else None
            pedestrians.append(
                Pedestrian(
                    track_id=track_id,
                    center=center[i],
                    size=tracks.size[i],
                    velocity=velocity[i],
                    moving=bool(tracks.moving[i]),
                    range_m=float(np.hypot(center[i, 0], center[i, 1])),
                    score=float(tracks.score[i]),
                    point_count=int(counts[detection]) if seen else 0,
                    points=None
                    if members is None
                    else resample(members, self.config.sample.points, frame.stamp_ns, track_id),
                    crop=crops[i],
                    crop_native_height_px=float(heights[i]) if crops[i] is not None else 0.0,
                    image_dt_s=frame.image_dt_s if frame.image is not None else 0.0,
                )
            )
        return tuple(pedestrians)

    def _crops(
        self, frame: SensorFrame, center: Float64, size: Float64, velocity: Float64
    ) -> tuple[list[UInt8 | None], Float64]:
        """Crop and native height (px) of every box, moved to where it is when the image is taken."""
        nothing: list[UInt8 | None] = [None] * len(center)
        if frame.image is None or frame.camera is None or not self._camera_usable(frame.camera, frame.image):
            return nothing, np.zeros(len(center))
        rectangles, visible = box_rectangles(center + velocity * frame.image_dt_s, size, frame.camera)
        crops = [
            cut_crop(frame.image, rectangles[i], self.config.sample) if visible[i] else None for i in range(len(center))
        ]
        return crops, rectangles[:, 3] - rectangles[:, 1]

    def _camera_usable(self, camera: CameraModel, image: UInt8) -> bool:
        """Whether crops can be cut; says once why not."""
        if camera is self._checked:
            return self._usable
        self._checked, self._usable = camera, False
        try:
            check_model(camera)
        except ValueError as error:
            log.error("no crops: %s", error)
            return False
        if image.shape[:2] != (camera.height, camera.width):
            log.error(
                "no crops: the image is %d x %d px, its calibration is for %d x %d",
                *image.shape[1::-1], camera.width, camera.height,
            )  # fmt: skip
            return False
        self._usable = True
        return True


def _warm_up_cloud() -> np.ndarray:
    """Flat ground and one upright body: every kernel runs once."""
    x, y = np.meshgrid(np.arange(-12.0, 12.0, 0.4), np.arange(-12.0, 12.0, 0.4))
    ground = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, -1.7)])
    angle, height = np.meshgrid(np.linspace(0, 2 * np.pi, 12), np.arange(0.1, 1.75, 0.1))
    body = np.column_stack([6 + 0.22 * np.cos(angle).ravel(), 0.22 * np.sin(angle).ravel(), height.ravel() - 1.7])
    return np.concatenate([ground, body]).astype(np.float32)
