"""The ground under a cloud: a robust plane first, then a polar height map that follows slopes and kerbs.

The lowest return of each polar cell is a ground candidate. A RANSAC plane over the candidates near the sensor
finds height and tilt of the sensor; from there every sector is walked outwards and a candidate is accepted when
a passable slope leads to it. Holes (shadows, gaps between rings) are filled from their neighbors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emgait_ros.samples import Float32
from emgait_ros.sensing.perception.ground_kernels import (
    NO_GROUND,
    heights_over,
    plane_ransac,
    polar_minima,
    walk_outwards,
)

SECTORS = 180  # 2 degrees: a sector at 50 m is as wide as a car
RING_WIDTH_NEAR_M = 0.5
RING_GROWTH = 0.04  # ring width grows with range, as the spacing of the beams on the ground does
MAX_TILT = math.tan(math.radians(15.0))  # of the sensor against the ground
MAX_SLOPE = 0.12  # of the ground against the plane under the sensor
MAX_STEP_M = 0.16  # a kerb
UPRIGHT_M = 0.3  # height within a cell from which on something stands in it
SEED_RANGE_M = 20.0
SEED_TRIALS = 160


@dataclass(frozen=True)
class GroundSurface:
    """Height of the ground in the LiDAR frame.

    Attributes:
        plane: (3,) float64 a, b, c of z = a x + b y + c: the ground near the sensor, m.
        offset: (sectors, rings) float32 height of the ground over that plane, m.
        ring_centers: (rings,) float32, m.
    """

    plane: np.ndarray
    offset: Float32
    ring_centers: Float32

    def height_at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Ground z (m, LiDAR frame) at positions x, y (m), arrays of one shape; float64."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        distance = np.hypot(x, y)
        sector = ((np.arctan2(y, x) + np.pi) * (SECTORS / (2 * np.pi))).astype(np.int64) % SECTORS
        right = np.clip(np.searchsorted(self.ring_centers, distance), 1, len(self.ring_centers) - 1)
        near, far = self.ring_centers[right - 1], self.ring_centers[right]
        part = np.clip((distance - near) / (far - near), 0.0, 1.0)
        offset = self.offset[sector, right - 1] * (1 - part) + self.offset[sector, right] * part
        return self.plane[0] * x + self.plane[1] * y + self.plane[2] + offset


class GroundEstimator:
    """Finds the ground of one cloud after another; keeps no state between clouds.

    Args:
        min_range_m, max_range_m: horizontal ranges looked at.
        sensor_height_m: height of the LiDAR over the ground, or 0 to find it from the cloud.

    Attributes:
        direction: (N,) int16 azimuth of every point of the last cloud, in 1440 steps from -180 degrees; -1: not finite.
    """

    def __init__(self, min_range_m: float, max_range_m: float, sensor_height_m: float = 0.0) -> None:
        edges = [min_range_m]
        while edges[-1] < max_range_m:
            edges.append(edges[-1] + RING_WIDTH_NEAR_M + RING_GROWTH * (edges[-1] - min_range_m))
        self._edges = np.array(edges, np.float32)
        self._centers = ((self._edges[1:] + self._edges[:-1]) / 2).astype(np.float32)
        steps = np.arange(0, edges[-1] + 0.25, 0.25, dtype=np.float32)
        self._ring_of_step = np.clip(np.searchsorted(self._edges, steps, side="right") - 1, 0, len(self._centers) - 1)
        self._ring_of_step = self._ring_of_step.astype(np.int32)
        self._min_range, self._max_range = np.float32(min_range_m), np.float32(max_range_m)
        self._sensor_height = float(sensor_height_m)
        self.direction = np.zeros(0, np.int16)
        azimuth = (np.arange(SECTORS) + 0.5) * (2 * np.pi / SECTORS) - np.pi
        self._cell_x = np.outer(np.cos(azimuth), self._centers)
        self._cell_y = np.outer(np.sin(azimuth), self._centers)

    def estimate(self, points: Float32) -> tuple[GroundSurface, Float32]:
        """Ground surface and the height of every point over it.

        Args:
            points: (N, 3) float32, m, LiDAR frame, z up; rows with NaN are tolerated.

        Returns:
            The surface, and heights (N,) float32, m; ``NO_GROUND`` for points out of range or not finite.
        """
        rings = len(self._centers)
        cell, self.direction, distance, lowest, highest = polar_minima(
            points, self._ring_of_step, self._min_range, self._max_range, SECTORS, rings
        )
        upright = (highest - lowest > UPRIGHT_M).reshape(SECTORS, rings)
        lowest = lowest.reshape(SECTORS, rings)
        plane = self._seed_plane(lowest)
        residual = lowest - (plane[0] * self._cell_x + plane[1] * self._cell_y + plane[2])
        offset = walk_outwards(residual, upright, self._centers, self._edges, MAX_SLOPE, MAX_STEP_M)
        surface = GroundSurface(plane, offset, self._centers)
        return surface, heights_over(points, cell, distance, plane, offset, self._centers)

    def _seed_plane(self, lowest: np.ndarray) -> np.ndarray:
        """(3,) plane a, b, c through the lowest cells within ``SEED_RANGE_M`` that has the least below it."""
        near = (lowest < NO_GROUND) & (self._centers[None, :] < SEED_RANGE_M)
        guess = -self._sensor_height if self._sensor_height > 0 else 0.0
        if near.sum() < 3:
            if self._sensor_height <= 0 and near.any():
                guess = float(lowest[near].min())
            return np.array([0.0, 0.0, guess])
        x, y, z = self._cell_x[near], self._cell_y[near], lowest[near].astype(np.float64)
        triples = np.random.default_rng(1).integers(0, len(x), (SEED_TRIALS, 3))  # the same cloud gives the same plane
        return plane_ransac(x, y, z, guess, triples, MAX_TILT)
