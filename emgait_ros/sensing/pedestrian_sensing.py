"""Cloud and image in, tracked pedestrians out: all that the pedestrian_tracker node computes, without ROS."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emgait_ros.config import ImageDetectorConfig, SensingConfig, TrackerNodeConfig, VerifierConfig
from emgait_ros.samples import (
    Bool,
    Boxes,
    CameraModel,
    Detections,
    Float32,
    Float64,
    PedestrianFrame,
    Sample,
    SensorFrame,
    UInt8,
)
from emgait_ros.sensing.perception.agreement import ProjectionWatch
from emgait_ros.sensing.perception.background import StaticBackground
from emgait_ros.sensing.perception.box_detector import BoxDetector
from emgait_ros.sensing.perception.camera import box_rectangles, check_model
from emgait_ros.sensing.perception.cloud_watch import CloudWatch
from emgait_ros.sensing.perception.crops import cut_crop, resample, sharpness
from emgait_ros.sensing.perception.detector import Detector, ShapeDetector, without
from emgait_ros.sensing.perception.ground import GroundEstimator
from emgait_ros.sensing.perception.image_detector import ImageDetector, fuse, make_image_detector
from emgait_ros.sensing.perception.occlusion import covered_by_nearer
from emgait_ros.sensing.perception.orientation import orientation_problem
from emgait_ros.sensing.perception.verifier import TrackVerdicts, Verifier, make_verifier
from emgait_ros.sensing.tracking.memory import GaitLinks, NamedTrack
from emgait_ros.sensing.tracking.tracker import PedestrianTracker
from emgait_ros.sensing.tracking.tracks import TrackedPedestrians

log = logging.getLogger(__name__)

SLOW_WARM_UP_S = 3.0
WARM_UP_BOXES = Boxes(np.array([[6.0, 0.0, -0.8]]), np.array([[0.6, 0.6, 1.8]]), np.array([0.9]))
LOOK_EVERY = 50  # clouds between two checks of the orientation of the sensor


@dataclass(frozen=True)
class Models:
    """The optional models that the options name; None where they name none."""

    options: tuple[ImageDetectorConfig, VerifierConfig]
    image_detector: ImageDetector | None
    verifier: Verifier | None


def load_models(config: SensingConfig, loaded: Models | None = None) -> Models:
    """Load the models the options name; those whose options have not changed are taken from ``loaded``.

    Raises:
        ValueError: one cannot be used; the sentence names the option and says what to do.
    """
    wanted = (config.image_detector, config.verifier)
    before = loaded or Models((ImageDetectorConfig(), VerifierConfig()), None, None)  # the defaults name none
    image_detector = before.image_detector if before.options[0] == wanted[0] else make_image_detector(wanted[0])
    verifier = before.verifier if before.options[1] == wanted[1] else make_verifier(wanted[1])
    return Models(wanted, image_detector, verifier)


class PedestrianSensing:
    """Detection, tracking and cutting out of samples, frame by frame.

    Construction compiles the numeric kernels (half a minute, once per installation) or loads them from numba's cache
    (about a second), so that the first live frame does not wait.

    Args:
        config: detector, tracker and sample options.
        tracker_id: fixed name of this run; empty: a random one.
        detector: another detector than the one that ships (see ``Detector`` for what it is asked).
        image_detector, verifier: others than the options ask for.
        models: of these options, when they are loaded already.
        with_boxes: people come as boxes of another detector with the frames (``SensorFrame.boxes``); see ``BoxesConfig``. They do
            as well when the config names a topic of boxes.

    Raises:
        ValueError: a model the options name is not there or not usable.

    Attributes:
        returns: track -> (M, 3) float32, m, LiDAR frame: all returns on the pedestrian in the last frame.
        timings: ms per stage of the last frame: detect, track, cut, total.
        problems: what is wrong with the input or had to be left out, in sentences; empty when all is well.
        warm_up_s: time the kernels took to compile or load.
    """

    def __init__(
        self,
        config: SensingConfig | None = None,
        tracker_id: str = "",
        detector: Detector | None = None,
        image_detector: ImageDetector | None = None,
        verifier: Verifier | None = None,
        models: Models | None = None,
        with_boxes: bool = False,
    ) -> None:
        self.config = config or SensingConfig()
        options = self.config.detector
        with_boxes |= isinstance(self.config, TrackerNodeConfig) and bool(self.config.topics.boxes)
        self._least_score = min(options.min_score, self.config.tracker.weak_score)
        self.detector: Detector = detector or (
            BoxDetector(self.config) if with_boxes else ShapeDetector(options, self._least_score)
        )
        models = models or load_models(self.config)
        self._image_detector = image_detector or models.image_detector
        verifier = verifier or models.verifier
        self._verdicts = TrackVerdicts(self.config.verifier, verifier) if verifier is not None else None
        self._background = StaticBackground(options.max_range_m, options.learn_s) if options.static_sensor else None
        self._ground = GroundEstimator(options.min_range_m, options.max_range_m)
        self._watch = ProjectionWatch()
        self._clouds = CloudWatch()
        self.tracker = PedestrianTracker(self.config.tracker, tracker_id, options.min_score)
        self._links = GaitLinks(self.tracker.relink)
        self.returns: dict[int, Float32] = {}
        self.timings: dict[str, float] = {}
        self.problems: tuple[str, ...] = ()
        self._frames = self._looks = 0
        self._orientation = ""
        self._checked: CameraModel | None = None
        self._usable = False
        started = time.perf_counter()
        self._detections_of(cloud := _warm_up_cloud(), WARM_UP_BOXES)
        self._ground_z(cloud, cloud[:1])
        self.detector.hides(np.zeros((1, 3)))
        self.warm_up_s = time.perf_counter() - started
        if self.warm_up_s > SLOW_WARM_UP_S:
            log.info("perception kernels compiled in %.0f s; later starts load them from numba's cache", self.warm_up_s)

    def reset(self) -> None:
        """Forget all tracks (a bag starts over)."""
        self.tracker.reset()
        self._links.reset()
        self._watch.reset()
        self._clouds.reset()
        if self._verdicts is not None:
            self._verdicts.reset()
        if self._background is not None:
            self._background.reset()

    @property
    def calibration_problem(self) -> str:
        """What is wrong with the extrinsics, judged by where people project into the images; empty when nothing is."""
        return self._watch.problem()

    def recognized(self, results: Sequence[NamedTrack]) -> list[tuple[int, int]]:
        """Take the recognizer's results for these tracks: a lost one that reappeared gets its number back in the next frame.

        Returns:
            Pairs (number until now, number it got back).
        """
        return self._links.observe(results)

    def process(self, frame: SensorFrame, frame_id: str) -> PedestrianFrame:
        """Pedestrians at one cloud, with or without its image.

        Args:
            frame: cloud, and image with calibration when there is one.
            frame_id: name of the LiDAR frame, passed on.

        Returns:
            Confirmed tracks only; a hidden one coasts with ``point_count`` 0 and no points.
        """
        begun = time.perf_counter()
        detections = self._detect(frame)
        detected = time.perf_counter()
        tracks = self._track(frame, detections)
        tracked = time.perf_counter()
        pedestrians = self._cut(frame, detections, tracks)
        if self._verdicts is not None:
            pedestrians = self._verdicts.sift(pedestrians)
        self.problems = tuple(self._problems(frame))
        done = time.perf_counter()
        self.timings = {
            "detect": (detected - begun) * 1e3,
            "track": (tracked - detected) * 1e3,
            "cut": (done - tracked) * 1e3,
            "total": (done - begun) * 1e3,
        }
        return PedestrianFrame(frame.stamp_ns, frame_id, self.tracker.tracker_id, pedestrians)

    def _detect(self, frame: SensorFrame) -> Detections:
        """People in the cloud, without known static objects, joined with those in the image."""
        detections = self._detections_of(frame.points, frame.boxes)
        detections = without(detections, detections.score < self._least_score)
        if self._background is not None and frame.T_fixed_lidar is None:
            below = self._ground_z(frame.points, np.zeros((1, 3), np.float32))
            self._background.observe(frame.stamp_ns, frame.points, float(below[0]))
            detections = without(detections, self._background.is_background(detections, frame.points))
        picture = self._picture(frame)
        if self._image_detector is not None and picture is not None:
            boxes, scores = self._image_detector.detect(picture[0])
            ground_z = self._ground_z(frame.points, frame.points)
            detections = fuse(detections, boxes, scores, frame.points, ground_z, picture[1])
        return detections

    def _detections_of(self, cloud: Float32, boxes: Boxes | None) -> Detections:
        if isinstance(self.detector, BoxDetector):
            self.detector.boxes = boxes
        return self.detector.detect(cloud)

    def _ground_z(self, cloud: Float32, places: Float32) -> Float64:
        """z of the ground under each of the places (N, 3), m: from the detector, else estimated from the cloud."""
        known = self.detector.ground_z(places)
        if known is None:
            known = self._ground.estimate(np.ascontiguousarray(cloud, np.float32))[0].height_at(
                places[:, 0], places[:, 1]
            )
        return known

    def _picture(self, frame: SensorFrame) -> tuple[UInt8, CameraModel] | None:
        """Image and calibration, when there are both and they fit."""
        if frame.image is None or frame.camera is None or not self._camera_usable(frame.camera, frame.image):
            return None
        return frame.image, frame.camera

    def _problems(self, frame: SensorFrame) -> Iterator[str]:
        if self.detector.left_out:
            from_m = self.detector.left_out_from_m
            which = f", those from {from_m:.0f} m on" if np.isfinite(from_m) else ""
            yield f"{self.detector.left_out} of the shapes in a cloud were not looked at: too many at once{which}"
        if self._background is not None and frame.T_fixed_lidar is not None:
            yield "detector.static_sensor is set, but the sensor moves (frames.fixed): no background is learned"
        watch = self.tracker.sensor_motion
        if watch.moves and frame.T_fixed_lidar is None:
            yield (
                f"the sensor moves: {watch.alike} of {watch.judged} tracks move alike, at {watch.speed_m_s:.1f} m/s, and things "
                "that stand are taken for walkers: set frames.fixed to the odometry frame"
            )
        self._clouds.observe(frame.points, frame.stamp_ns)
        unusable = self._clouds.problem()
        if self._frames % LOOK_EVERY == 0:
            usual = self._clouds.shows_scene
            self._orientation = orientation_problem(frame.points, self._ground, self._looks) if usual else ""
            self._looks += not self._orientation
        self._frames += 1
        for sentence in (unusable or self._orientation, self._watch.problem()):
            if sentence:
                yield sentence

    def _hides(self, frame: SensorFrame) -> Callable[[Float64], Bool]:
        """The detector's view of what is hidden, for places in the frame that does not move."""
        hides, T = self.detector.hides, frame.T_fixed_lidar
        return hides if T is None else lambda place: hides((place - T[:3, 3]) @ T[:3, :3])

    def _track(self, frame: SensorFrame, detections: Detections) -> TrackedPedestrians:
        """Tracks in the frame that does not move."""
        center = detections.center.astype(np.float64)
        distance = np.hypot(center[:, 0], center[:, 1])
        sensor = np.zeros(2)
        if frame.T_fixed_lidar is not None:
            center = center @ frame.T_fixed_lidar[:3, :3].T + frame.T_fixed_lidar[:3, 3]
            sensor = frame.T_fixed_lidar[:2, 3]
        return self.tracker.update(
            frame.stamp_ns, center, detections.size, detections.score, distance, sensor, self._hides(frame),
            detections.group,
        )  # fmt: skip

    def _cut(self, frame: SensorFrame, detections: Detections, tracks: TrackedPedestrians) -> tuple[Sample, ...]:
        """One sample for each track, in LiDAR coordinates."""
        self.returns = {}
        if len(tracks) == 0:
            return ()
        center = np.column_stack([tracks.position, tracks.bottom + tracks.size[:, 2] / 2])
        velocity = np.column_stack([tracks.velocity, np.zeros(len(tracks))])
        if frame.T_fixed_lidar is not None:
            rotation, place = frame.T_fixed_lidar[:3, :3], frame.T_fixed_lidar[:3, 3]
            center, velocity = (center - place) @ rotation, velocity @ rotation
        crops, heights = self._crops(frame, center, tracks.size, velocity, tracks.moving)
        counts = detections.point_count
        hidden = covered_by_nearer(center, tracks.size)
        if len(detections.occlusion):
            seen_now = tracks.detection >= 0
            hidden[seen_now] = np.maximum(hidden[seen_now], detections.occlusion[tracks.detection[seen_now]])
        pedestrians = []
        for i, detection in enumerate(tracks.detection):
            track_id = int(tracks.track_id[i])
            seen = detection >= 0
            members = frame.points[detections.members(int(detection)), :3] if seen else None
            if members is not None:
                self.returns[track_id] = members
            pedestrians.append(
                Sample(
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
                    # not by track number: a bag in a loop is answered alike each time
                    else resample(members, self.config.sample.points, frame.stamp_ns, len(members)),
                    crop=crops[i],
                    crop_native_height_px=float(heights[i]) if crops[i] is not None else 0.0,
                    image_dt_s=frame.image_dt_s if frame.image is not None else 0.0,
                    sharpness=self._sharpness(crops[i], float(heights[i])),
                    occlusion=float(hidden[i]),
                    previous_track_id=int(tracks.previous_id[i]) if tracks.previous_id[i] else None,
                    group=bool(tracks.group[i]),
                    coasting=not seen,
                )
            )
        return tuple(pedestrians)

    def _crops(
        self, frame: SensorFrame, center: Float64, size: Float64, velocity: Float64, moving: Bool
    ) -> tuple[list[UInt8 | None], Float64]:
        """Crop and native height (px) of every box, moved to where it is when the image is taken."""
        nothing: list[UInt8 | None] = [None] * len(center)
        picture = self._picture(frame)
        if picture is None:
            return nothing, np.zeros(len(center))
        image, camera = picture
        center = center + velocity * frame.image_dt_s
        if frame.T_fixed_lidar is not None and frame.T_fixed_lidar_at_image is not None:
            moved = np.linalg.inv(frame.T_fixed_lidar_at_image) @ frame.T_fixed_lidar
            center = center @ moved[:3, :3].T + moved[:3, 3]
        self._watch.observe(center[moving], size[moving], camera, frame.points)
        rectangles, visible = box_rectangles(center, size, camera)
        crops = [cut_crop(image, rectangles[i], self.config.sample) if visible[i] else None for i in range(len(center))]
        return crops, rectangles[:, 3] - rectangles[:, 1]

    def _sharpness(self, crop: UInt8 | None, native_height_px: float) -> float:
        return 0.0 if crop is None else sharpness(crop, native_height_px, self.config.sample.crop_margin)

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
