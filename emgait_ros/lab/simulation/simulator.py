"""A street with people walking through it, as a LiDAR and a camera at its near end see it.

Everything follows from the :class:`~emgait_ros.lab.simulation.scene.Scene`: the same description gives the same clouds and
images, bit for bit. Frames as in ``scene.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emgait_ros.lab.simulation.camera_rendering import Light, Surface, render, window_matrix
from emgait_ros.lab.simulation.lidar import LidarModel, LidarScan, RangeImage, cast, returns
from emgait_ros.lab.simulation.scene import Scene, SensorHead, WalkPlan
from emgait_ros.lab.simulation.street import street
from emgait_ros.lab.simulation.surroundings import AMBIENT, SUN, Background
from emgait_ros.lab.simulation.walker import Path, Walker
from emgait_ros.samples import CameraModel, Float32, Float64, Int64, UInt8

REFLECTIVITY_LEVELS = 256
OVERSAMPLING = 2  # walkers are drawn at this many px per px, then averaged: that is what blurs them far away


@dataclass(frozen=True)
class Truth:
    """Where all walkers are, LiDAR frame, m; one row a walker.

    Attributes:
        identity: (n,) int64.
        center, size, velocity: (n, 3) float64; upright boxes that stand on the ground.
        point_count: (n,) int64 LiDAR returns on each.
    """

    identity: Int64
    center: Float64
    size: Float64
    velocity: Float64
    point_count: Int64


class StreetSimulator:
    """Clouds and images of a scene, each computed from its number alone: any order, any thread.

    Args:
        scene: what to simulate.

    Attributes:
        camera: calibration of the images (integer coordinates are pixel centers, as in OpenCV and ROS).
        plans: walks with the time they end, ``(WalkPlan, begin_s, end_s)``.

    Raises:
        ValueError: an unknown number of beams.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene, head = scene, scene.head
        models = {32: LidarModel.beams_32, 64: LidarModel.beams_64, 128: LidarModel.beams_128}
        if head.beams not in models:
            raise ValueError(f"a LiDAR of {head.beams} beams is unknown: known are {', '.join(map(str, models))}")
        self.lidar = models[head.beams]()
        self.T_street_lidar = _pose(
            head.lidar_tilt_deg[0], head.lidar_tilt_deg[1], 0.0, (0.0, 0.0, head.lidar_height_m)
        )
        K = np.array([[head.focal_px, 0, head.width / 2 - 0.5], [0, head.focal_px, head.height / 2 - 0.5], [0, 0, 1.0]])
        self.camera = CameraModel(head.width, head.height, K, np.zeros(5), "plumb_bob", _mount(head))
        self.T_camera_street = self.camera.T_camera_lidar @ np.linalg.inv(self.T_street_lidar)
        self._K_raster = window_matrix(K, -0.5, -0.5, 1.0)  # the rasterizer's pixel centers are at half integers
        self._light = Light(tuple(SUN), AMBIENT)
        self._walkers = [self._walker(plan) for plan in scene.walks]
        self.plans = [
            (plan, plan.begin_s, walker.time_at(walker.path.length_m))
            for plan, walker in zip(scene.walks, self._walkers, strict=True)
        ]
        for walker, (_, _, end_s) in zip(self._walkers, self.plans, strict=True):
            walker.vertices(end_s + 1.0)  # computes the steps once, so that threads only read them
        background = street(scene.seed)
        self._range_image = self._cast_background(background)
        picture = background.picture(K, head.width, head.height, np.linalg.inv(self.T_camera_street))
        self._empty_image, self._empty_depth = picture.image, picture.depth
        self._noise = _noise_tiles(np.random.default_rng([scene.seed, 1]), head.height + 64, head.width + 64)

    @property
    def cloud_count(self) -> int:
        """Turns of the LiDAR in the scene."""
        return int(self.scene.duration_s * self.lidar.rate_hz)

    @property
    def image_count(self) -> int:
        """Images of the camera in the scene."""
        return int((self.scene.duration_s - self.scene.head.camera_phase_s) * self.scene.head.camera_rate_hz)

    def cloud_time_s(self, number: int) -> float:
        """Stamp of a cloud, from the beginning of the scene: the moment at which the sweep faces the camera."""
        return (number + 0.5) / self.lidar.rate_hz

    def image_time_s(self, number: int) -> float:
        """Stamp of an image, from the beginning of the scene: mid-exposure."""
        head = self.scene.head
        jitter = np.random.default_rng([self.scene.seed, 2, number]).normal(0, head.camera_jitter_s)
        return max(0.0, head.camera_phase_s + number / head.camera_rate_hz + float(jitter))

    def cloud(self, number: int) -> tuple[LidarScan, Truth]:
        """One turn of the LiDAR, and where all walkers were at its stamp."""
        start_s = number / self.lidar.rate_hz
        rng = np.random.default_rng([self.scene.seed, 3, number])
        stamp_s = self.cloud_time_s(number)
        present = self._present(stamp_s)
        image = self._range_image.copy()
        levels = np.linspace(0, 1, REFLECTIVITY_LEVELS, dtype=np.float32)
        reflectivity, owner = [levels], [np.zeros(len(levels), np.int32)]
        first = len(levels)
        for walker in present:
            sweep_s = start_s + self._sweep_part(walker.position(stamp_s)) / self.lidar.rate_hz
            vertices = self._to_lidar(walker.vertices(sweep_s))
            cast(self.lidar, vertices[walker.faces], image, first)
            first += len(walker.faces)
            reflectivity.append(walker.face_reflectivity)
            owner.append(np.full(len(walker.faces), walker.identity, np.int32))
        scan = returns(self.lidar, image, np.concatenate(reflectivity), np.concatenate(owner), rng)
        return scan, self._truth(stamp_s, present, scan)

    def image(self, number: int) -> UInt8:
        """One image, (H, W, 3) uint8 RGB."""
        time_s = self.image_time_s(number)
        image, depth = self._empty_image.copy(), self._empty_depth.copy()
        present = self._present(time_s)
        present.sort(key=lambda walker: -float(np.linalg.norm(walker.position(time_s))))
        for walker in present:
            vertices = walker.vertices(time_s)
            _shadow(image, depth, self._K_raster, self.T_camera_street, walker.position(time_s))
            self._draw(Surface(vertices, walker.faces, walker.face_colors), image, depth)
        return self._expose(image, np.random.default_rng([self.scene.seed, 4, number]))

    def truth(self, time_s: float) -> Truth:
        """Where all walkers are at a time; without LiDAR returns."""
        return self._truth(time_s, self._present(time_s), None)

    def _walker(self, plan: WalkPlan) -> Walker:
        path = Path(np.array(plan.points))
        return Walker(plan.identity, plan.walk, path, seed=self.scene.seed, bag=plan.bag, start_s=plan.begin_s)

    def _present(self, time_s: float) -> list[Walker]:
        planned = zip(self._walkers, self.plans, strict=True)
        return [walker for walker, (_, begin_s, end_s) in planned if begin_s <= time_s <= end_s]

    def _to_lidar(self, points: Float32) -> Float32:
        rotation = self.T_street_lidar[:3, :3].astype(np.float32)
        return (points - self.T_street_lidar[:3, 3].astype(np.float32)) @ rotation

    def _sweep_part(self, position: Float64) -> float:
        """Which fraction of a turn has passed when the beam is over a place."""
        x, y, _ = np.linalg.inv(self.T_street_lidar)[:3] @ np.append(position, 1.0)
        return float(np.arctan2(y, x)) / (2 * np.pi) + 0.5

    def _truth(self, time_s: float, present: list[Walker], scan: LidarScan | None) -> Truth:
        T = np.linalg.inv(self.T_street_lidar)
        stature = np.array([w.stature_m for w in present])
        ground = np.array([w.position(time_s) for w in present]).reshape(-1, 3)
        center = (ground + np.stack([0 * stature, 0 * stature, stature / 2], axis=-1)) @ T[:3, :3].T + T[:3, 3]
        velocity = np.array([w.velocity(time_s) for w in present]).reshape(-1, 3) @ T[:3, :3].T
        identity = np.array([w.identity for w in present], np.int64)
        hits = np.zeros(0, np.int64) if scan is None else scan.object_id
        count = np.array([np.count_nonzero(hits == i) for i in identity], np.int64)
        size = np.stack([np.full_like(stature, 0.7), np.full_like(stature, 0.7), stature], axis=-1)
        return Truth(identity, center, size, velocity, count)

    def _cast_background(self, background: Background) -> RangeImage:
        """The street's range image; "triangle" is its reflectivity in ``REFLECTIVITY_LEVELS`` steps."""
        model = self.lidar
        azimuth = np.radians((np.arange(model.columns) + 0.5) * model.azimuth_step_deg - 180.0)
        elevation = np.radians(np.asarray(model.elevations_deg))[:, None]
        directions = np.stack(
            [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation) + 0 * azimuth],
            -1,
        )
        directions = directions.reshape(-1, 3) @ self.T_street_lidar[:3, :3].T
        ranges, reflectivity = background.ranges(self.T_street_lidar[:3, 3], directions, model.max_range_m)
        image = RangeImage.empty(model)
        image.distance[:] = ranges.reshape(image.distance.shape)
        levels = np.round(reflectivity * (REFLECTIVITY_LEVELS - 1)).astype(np.int32)
        image.triangle[:] = np.where(np.isfinite(ranges), levels, -1).reshape(image.triangle.shape)
        return image

    def _draw(self, surface: Surface, image: UInt8, depth: Float32) -> None:
        """Draw a walker into the part of the image they cover, oversampled."""
        window = _window(surface.vertices, self._K_raster, self.T_camera_street, image.shape)
        if window is None:
            return
        left, top, right, bottom = window
        part, part_depth = image[top:bottom, left:right], depth[top:bottom, left:right]
        fine = np.repeat(np.repeat(part, OVERSAMPLING, 0), OVERSAMPLING, 1)
        fine_depth = np.repeat(np.repeat(part_depth, OVERSAMPLING, 0), OVERSAMPLING, 1)
        K = window_matrix(self._K_raster, left, top, OVERSAMPLING)
        render(K, self.T_camera_street, [surface], fine, self._light, fine_depth)
        size = (right - left, bottom - top)
        part[:] = cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
        part_depth[:] = fine_depth[::OVERSAMPLING, ::OVERSAMPLING]

    def _expose(self, image: UInt8, rng: np.random.Generator) -> UInt8:
        """Blur of the optics and noise of the sensor."""
        blurred = cv2.GaussianBlur(image, (3, 3), 0.5)
        y, x = (int(n) for n in rng.integers(0, 64, 2))
        brighter, darker = (tile[y : y + image.shape[0], x : x + image.shape[1]] for tile in self._noise)
        return np.asarray(cv2.subtract(cv2.add(blurred, brighter), darker), np.uint8)


def _pose(roll_deg: float, pitch_deg: float, yaw_deg: float, at: tuple[float, float, float]) -> Float64:
    """(4, 4) pose from angles about x, y, z (applied in that order) and a place."""
    (cr, cp, cy), (sr, sp, sy) = (
        np.cos(np.radians([roll_deg, pitch_deg, yaw_deg])),
        np.sin(np.radians([roll_deg, pitch_deg, yaw_deg])),
    )
    T = np.eye(4)
    T[:3, :3] = (
        np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        @ np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
        @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    )
    T[:3, 3] = at
    return T


def _mount(head: SensorHead) -> Float64:
    """(4, 4) LiDAR to camera optical frame (x right, y down, z forward)."""
    pitch_deg, yaw_deg = head.camera_turn_deg
    body = _pose(0.0, pitch_deg, yaw_deg, head.camera_offset_m)
    optical = np.eye(4)
    optical[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    return np.asarray(optical @ np.linalg.inv(body))


def _window(vertices: Float32, K: Float64, T: Float64, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom (exclusive) pixels around a mesh; None when it is out of view or too near."""
    seen = vertices @ T[:3, :3].T + T[:3, 3]
    if seen[:, 2].min() < 0.5:
        return None
    u = K[0, 0] * seen[:, 0] / seen[:, 2] + K[0, 2]
    v = K[1, 1] * seen[:, 1] / seen[:, 2] + K[1, 2]
    left, top = max(int(u.min()) - 1, 0), max(int(v.min()) - 1, 0)
    right, bottom = min(int(u.max()) + 2, shape[1]), min(int(v.max()) + 2, shape[0])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _shadow(image: UInt8, depth: Float32, K: Float64, T: Float64, feet: Float64) -> None:
    """Darken the ground along the shadow a person of average size throws."""
    along = -SUN[:2] / SUN[2]
    reach = 1.7 * float(np.hypot(*along))
    way = along / np.hypot(*along)
    aside = np.array([-way[1], way[0]])
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    middle = feet[:2] + way * reach / 2
    outline = middle + np.outer(np.cos(turn) * (reach / 2 + 0.1), way) + np.outer(np.sin(turn) * 0.22, aside)
    seen = np.column_stack([outline, np.full(len(outline), 0.01)]) @ T[:3, :3].T + T[:3, 3]
    if seen[:, 2].min() < 0.5:
        return
    pixels = seen[:, :2] / seen[:, 2:] * [K[0, 0], K[1, 1]] + [K[0, 2], K[1, 2]]
    (left, top), (right, bottom) = np.floor(pixels.min(0)).astype(int), np.ceil(pixels.max(0)).astype(int) + 1
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, image.shape[1]), min(bottom, image.shape[0])
    if left >= right or top >= bottom:
        return
    mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [np.round((pixels - [left, top]) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    mask[depth[top:bottom, left:right] < seen[:, 2].min() - 0.5] = 0  # something stands in front
    factor = 1.0 - 0.38 * mask[:, :, None].astype(np.float32) / 255
    image[top:bottom, left:right] = (image[top:bottom, left:right] * factor).astype(np.uint8)


def _noise_tiles(rng: np.random.Generator, height: int, width: int) -> tuple[UInt8, UInt8]:
    """What is added to and taken from the pixels; images take it from different places."""
    noise = np.round(rng.standard_normal((height, width, 3), np.float32) * 2.2)
    return np.clip(noise, 0, 255).astype(np.uint8), np.clip(-noise, 0, 255).astype(np.uint8)
