"""Where one walk is seen from: sensors and their mounting, light, backdrop, and occluders."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emgait_ros.lab.simulation.camera_rendering import Exposure, Light, Surface, looking_along_x, pinhole
from emgait_ros.lab.simulation.lidar import LidarModel
from emgait_ros.samples import CameraModel, Float32, Float64, UInt8

PANORAMA_SHAPE = (120, 360)  # px, rows of which half lie below the horizon
PANORAMA_PX = 120.0  # per unit of tangent


@dataclass(frozen=True)
class Station:
    """Sensors and surroundings of one walk.

    Attributes:
        lidar, camera: the sensors; camera.T_camera_lidar includes its mounting.
        height_m: LiDAR above the ground.
        bearing_rad: direction from the LiDAR to the middle of the walk.
        light, exposure: of the camera.
        panorama: (H, W, 3) uint8 backdrop in the tangent plane of the camera, horizon in the middle.
        ground_cut_m: returns lower than this are lost to the ground removal.
    """

    lidar: LidarModel
    camera: CameraModel
    height_m: float
    bearing_rad: float
    light: Light
    exposure: Exposure
    panorama: UInt8
    ground_cut_m: float


def draw_station(
    rng: np.random.Generator, lidar: LidarModel | None, camera: CameraModel | None, night: bool
) -> Station:
    """Sensors (unless given), mounting, light and backdrop of one walk."""
    if lidar is None:
        lidar = (LidarModel.beams_128(0.1), LidarModel.beams_128(0.2), LidarModel.beams_64())[
            rng.choice(3, p=(0.4, 0.4, 0.2))
        ]
    if camera is None:
        offset = tuple(rng.uniform((-0.15, -0.2, -0.35), (0.25, 0.2, 0.05)))
        camera = pinhole(1280, 720, float(rng.uniform(58, 78)), looking_along_x(offset))
    half_view = np.arctan(camera.width / 2 / camera.K[0, 0])
    if night:
        light = Light(
            _direction(rng),
            float(rng.uniform(0.2, 0.5)),
            (1.0, float(rng.uniform(0.8, 0.95)), float(rng.uniform(0.5, 0.85))),
        )
        exposure = Exposure(
            float(rng.uniform(0.14, 0.4)),
            float(rng.uniform(0.4, 0.9)),
            float(rng.uniform(0, 3)),
            float(rng.uniform(3, 7)),
            0.5,
        )
    else:
        light = Light(_direction(rng), float(rng.uniform(0.35, 0.75)), tuple(rng.uniform(0.92, 1.0, 3)))
        exposure = Exposure(
            float(rng.uniform(0.75, 1.25)),
            float(rng.uniform(0.3, 0.7)),
            float(rng.uniform(0, 0.8)),
            float(rng.uniform(1, 2.5)),
            0.25,
        )
    return Station(
        lidar=lidar,
        camera=camera,
        height_m=float(rng.uniform(1.5, 2.0)),
        bearing_rad=float(rng.uniform(-0.55, 0.55) * half_view),
        light=light,
        exposure=exposure,
        panorama=_panorama(rng),
        ground_cut_m=float(rng.uniform(0.05, 0.10)),
    )


def _direction(rng: np.random.Generator) -> tuple[float, float, float]:
    around, up = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.2)
    return float(np.cos(around) * np.cos(up)), float(np.sin(around) * np.cos(up)), float(np.sin(up))


def _panorama(rng: np.random.Generator) -> UInt8:
    """Walls, trees or sky over ground: random blocks and blotches, some with hard edges."""
    height, width = PANORAMA_SHAPE

    def tone(low: float, high: float) -> Float32:
        return np.asarray(rng.uniform(low, high) * rng.uniform(0.85, 1.1, 3), np.float32)

    canvas = np.empty((height, width, 3), np.float32)
    canvas[: height // 2], canvas[height // 2 :] = tone(70, 220), tone(60, 150)
    for _ in range(int(rng.integers(4, 16))):
        x, w = int(rng.integers(0, width)), int(rng.integers(3, 60))
        top, bottom = sorted(int(v) for v in rng.integers(0, height // 2 + 9, 2))
        canvas[top:bottom, x : x + w] = tone(25, 215)
    for cells, amount in ((24, 18.0), (120, 16.0)):
        grain = np.float32(amount * rng.uniform(0.2, 1)) * rng.standard_normal((max(cells // 3, 2), cells), np.float32)
        canvas += cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    return np.clip(canvas, 0, 255).astype(np.uint8)


def draw_occluder(station: Station, range_m: float, rng: np.random.Generator) -> Surface:
    """A post, a low wall or a parked car's corner between the sensors and the middle of the walk."""
    size = np.array(((0.3, 0.3, 2.2), (0.3, 1.6, 0.5), (0.8, 0.5, 1.2))[rng.integers(3)]) * rng.uniform(0.8, 1.2, 3)
    at = range_m * rng.uniform(0.72, 0.9)
    center = np.array([at * np.cos(station.bearing_rad), at * np.sin(station.bearing_rad), size[2] / 2])
    center[1] += rng.uniform(-0.5, 0.5)
    corner = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
    faces = [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6), (1, 5, 7), (1, 7, 3),
        (0, 2, 6), (0, 6, 4),
    ]  # fmt: skip
    colors = np.tile(rng.uniform(30, 200, 3), (12, 1)).astype(np.uint8)
    return Surface((corner * size + center).astype(np.float32), np.array(faces, np.int32), colors)


def backdrop_window(panorama: UInt8, K: Float64, size: tuple[int, int]) -> UInt8:
    """The part of the panorama behind a window with intrinsics ``K`` and ``size`` (width, height), px."""
    # Window pixel -> tangent (u - cx) / f -> panorama pixel.
    map_x, map_y = PANORAMA_PX / K[0, 0], PANORAMA_PX / K[1, 1]
    inverse = np.array(
        [[map_x, 0, panorama.shape[1] / 2 - map_x * K[0, 2]], [0, map_y, panorama.shape[0] / 2 - map_y * K[1, 2]]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(panorama, inverse, size, flags=flags, borderMode=cv2.BORDER_REFLECT))
