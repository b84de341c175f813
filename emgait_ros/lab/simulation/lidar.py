"""A spinning LiDAR: rays against triangles by a z-buffer in (beam, azimuth), then what a real sensor does to them.

LiDAR frame: x forward, y left, z up. A turn starts at azimuth -180 deg and runs counter-clockwise, so the column of a
return gives its time within the turn: moving bodies are posed at the time the beam sweeps over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from emgait_ros.lab.simulation.lidar_kernels import cast_triangles, report_returns
from emgait_ros.samples import Float32, Float64

NO_HIT = -1


@dataclass(frozen=True)
class LidarModel:
    """Beam layout and imperfections of a sensor.

    Attributes:
        elevations_deg: B beam elevations, ascending.
        azimuth_step_deg: between columns; 360 must be a multiple of it.
        rate_hz: turns per second.
        min_range_m, max_range_m: what is returned at all.
        noise_m, noise_per_m: standard deviation of the range, at 0 m and its growth.
        dropout, dropout_far: probability that a return is lost, near and in addition at 50 m (quadratic between).
        mixed: probability that a beam split by an edge returns a range between the two surfaces.
    """

    elevations_deg: tuple[float, ...]
    azimuth_step_deg: float = 0.2
    rate_hz: float = 10.0
    min_range_m: float = 0.9
    max_range_m: float = 120.0
    noise_m: float = 0.012
    noise_per_m: float = 0.0003
    dropout: float = 0.01
    dropout_far: float = 0.08
    mixed: float = 0.25

    def __post_init__(self) -> None:
        elevations = np.asarray(self.elevations_deg)
        if len(elevations) < 2 or np.any(np.diff(elevations) <= 0) or np.abs(elevations).max() > 89:
            raise ValueError("elevations_deg must be at least 2 ascending angles within +-89 deg")
        columns = 360.0 / self.azimuth_step_deg if self.azimuth_step_deg > 0 else 0.0
        if columns < 4 or abs(columns - round(columns)) > 1e-6:
            raise ValueError(
                f"azimuth_step_deg is {self.azimuth_step_deg}: 360 must be a multiple of it, at least 4 times"
            )
        if self.rate_hz <= 0 or not 0 <= self.min_range_m < self.max_range_m:
            raise ValueError("rate_hz must be positive and 0 <= min_range_m < max_range_m")

    @property
    def columns(self) -> int:
        """Columns of a full turn."""
        return round(360.0 / self.azimuth_step_deg)

    @staticmethod
    def beams_128(azimuth_step_deg: float = 0.1) -> LidarModel:
        """128 beams evenly over 40 degrees."""
        return LidarModel(tuple(np.linspace(-25.0, 15.0, 128)), azimuth_step_deg)

    @staticmethod
    def beams_64(azimuth_step_deg: float = 360 / 2083) -> LidarModel:
        """64 beams as in KITTI: 1/3 deg apart above -8.33 deg, 1/2 deg below."""
        upper, lower = np.linspace(-8.33, 2.0, 32), np.linspace(-24.33, -8.83, 32)
        return LidarModel((*lower, *upper), azimuth_step_deg)

    @staticmethod
    def beams_32(azimuth_step_deg: float = 0.2) -> LidarModel:
        """32 beams, dense around the horizon."""
        middle = np.linspace(-4.67, 2.0, 21)
        return LidarModel(
            (-25.0, -20.0, -15.5, -12.0, -9.5, -7.5, -6.0, *middle, 3.5, 6.0, 10.0, 15.0), azimuth_step_deg
        )


@dataclass(frozen=True)
class LidarScan:
    """One turn (or a sector of it).

    Attributes:
        points: (N, 3) float32, LiDAR frame, m.
        intensity: (N,) float32 0..255.
        object_id: (N,) int32 what was hit; the ground is 0 unless a scene says otherwise.
        time_s: (N,) float32 after the start of the turn.
    """

    points: Float32
    intensity: Float32
    object_id: np.ndarray
    time_s: Float32


@dataclass
class RangeImage:
    """Nearest surface along each ray of a sector of columns.

    Attributes:
        distance: (B, C) float32, m, inf where nothing is hit.
        triangle: (B, C) int32 index of the triangle, -1 where nothing or the ground is hit.
        first_column: column of the turn that the sector starts with.
    """

    distance: Float32
    triangle: np.ndarray
    first_column: int

    @staticmethod
    def empty(model: LidarModel, first_column: int = 0, columns: int | None = None) -> RangeImage:
        """Nothing hit yet; default: the full turn."""
        shape = (len(model.elevations_deg), model.columns if columns is None else columns)
        return RangeImage(np.full(shape, np.inf, np.float32), np.full(shape, NO_HIT, np.int32), first_column)

    def copy(self) -> RangeImage:
        """An own copy to draw moving things into."""
        return RangeImage(self.distance.copy(), self.triangle.copy(), self.first_column)


def cast(model: LidarModel, corners: Float32, image: RangeImage, first_triangle: int = 0) -> None:
    """Draw triangles (T, 3, 3) of the LiDAR frame (m) into a range image; they are numbered from ``first_triangle``."""
    faces = np.arange(3 * len(corners), dtype=np.int32).reshape(-1, 3)
    cast_mesh(model, np.asarray(corners, np.float32).reshape(-1, 3), faces, image, first_triangle)


def cast_mesh(
    model: LidarModel,
    vertices: Float32,
    faces: np.ndarray,
    image: RangeImage,
    first_triangle: int = 0,
    closed: bool = False,
) -> None:
    """Draw a mesh, vertices (V, 3) in the LiDAR frame (m), into a range image, its faces numbered from ``first_triangle``.

    ``closed``: a closed surface with its corners counter-clockwise seen from outside; its far side is left out.
    """
    cast_triangles(
        np.ascontiguousarray(vertices, np.float32),
        np.ascontiguousarray(faces, np.int32),
        closed,
        _angles(model)[1],
        np.radians(model.azimuth_step_deg),
        model.columns,
        image.first_column,
        image.distance,
        image.triangle,
        first_triangle,
    )


def returns(
    model: LidarModel, image: RangeImage, reflectivity: Float32, object_id: np.ndarray, rng: np.random.Generator
) -> LidarScan:
    """What the sensor reports of a range image: mixed pixels, noise, dropout, intensity.

    Args:
        reflectivity, object_id: (T,) of the triangles drawn; what carries no triangle is ground.
    """
    beam, column, found, reflected, owner = report_returns(
        image.distance,
        image.triangle,
        np.ascontiguousarray(reflectivity, np.float32),
        np.ascontiguousarray(object_id, np.int32),
        (
            model.min_range_m,
            model.max_range_m,
            model.mixed,
            model.dropout,
            model.dropout_far,
            model.noise_m,
            model.noise_per_m,
        ),
        int(rng.integers(2**32)),
    )
    turn_column = (column + image.first_column) % model.columns
    azimuth, elevation = _angles(model)
    level = found * np.cos(elevation)[beam]
    points = np.empty((len(found), 3), np.float32)
    points[:, 0] = level * np.cos(azimuth)[turn_column]
    points[:, 1] = level * np.sin(azimuth)[turn_column]
    points[:, 2] = found * np.sin(elevation)[beam]
    return LidarScan(
        points=points,
        intensity=np.clip(255 * reflected, 0, 255).astype(np.float32),
        object_id=owner,
        time_s=(turn_column / (model.columns * model.rate_hz)).astype(np.float32),
    )


@lru_cache(maxsize=16)
def _angles(model: LidarModel) -> tuple[Float64, Float64]:
    """Azimuth of each column and elevation of each beam, rad."""
    azimuth = np.radians((np.arange(model.columns) + 0.5) * model.azimuth_step_deg - 180.0)
    return azimuth, np.radians(np.asarray(model.elevations_deg))
