"""Static surroundings of the walkers, seen by both sensors. Cast once, since neither it nor the sensors move.

Frame: z up, ground at z = 0, m. Everything is a box, an upright cylinder, an ellipsoid or the ground plane, with a
procedural texture; no picture or model is shipped.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.samples import Float32, Float64, Int64, UInt8

PLAIN, ASPHALT, PAVING, PLASTER, BRICK, LEAVES, CAR = range(7)
SUN = np.array([-0.45, -0.42, 0.79]) / np.linalg.norm([-0.45, -0.42, 0.79])
AMBIENT = 0.55
FAR_M = 1.0e6
FOLIAGE_DEPTH_M = 0.35


@dataclass(frozen=True)
class Surface:
    """How something looks: RGB 0..255, LiDAR reflectivity 0..1, and which texture lies on it."""

    color: tuple[int, int, int]
    reflectivity: float
    texture: int = PLAIN


@dataclass(frozen=True)
class Picture:
    """The empty scene as a camera sees it: (H, W, 3) uint8 RGB and (H, W) float32 depth along the optical axis, m."""

    image: UInt8
    depth: Float32


class Background:
    """A static scene made of simple solids.

    Args:
        ground: surface of the plane z = 0.

    Solids are added with :meth:`box`, :meth:`cylinder` and :meth:`ellipsoid`, then looked at with :meth:`ranges`
    (LiDAR) and :meth:`picture` (camera).
    """

    def __init__(self, ground: Surface) -> None:
        self._surfaces = [ground]
        self._boxes: list[tuple[float, ...]] = []
        self._cylinders: list[tuple[float, ...]] = []
        self._ellipsoids: list[tuple[float, ...]] = []

    def box(self, low: tuple[float, float, float], high: tuple[float, float, float], surface: Surface) -> None:
        """An axis-aligned box between two corners, m."""
        self._boxes.append((*low, *high, self._surface(surface)))

    def cylinder(self, x: float, y: float, radius: float, height: float, surface: Surface, base: float = 0.0) -> None:
        """An upright cylinder from ``base`` to ``base + height``, m."""
        self._cylinders.append((x, y, radius, base, base + height, self._surface(surface)))

    def ellipsoid(
        self, center: tuple[float, float, float], radii: tuple[float, float, float], surface: Surface
    ) -> None:
        """An ellipsoid along the axes, m."""
        self._ellipsoids.append((*center, *radii, self._surface(surface)))

    def _surface(self, surface: Surface) -> int:
        if surface not in self._surfaces:
            self._surfaces.append(surface)
        return self._surfaces.index(surface)

    def _arrays(self) -> tuple[Float64, Float64, Float64, Float64, Int64]:
        """Boxes (B, 7), cylinders (C, 6), ellipsoids (E, 7), surfaces (S, 4: RGB, reflectivity), textures (S,)."""
        return (
            np.array(self._boxes, np.float64).reshape(-1, 7),
            np.array(self._cylinders, np.float64).reshape(-1, 6),
            np.array(self._ellipsoids, np.float64).reshape(-1, 7),
            np.array([(*s.color, s.reflectivity) for s in self._surfaces], np.float64),
            np.array([s.texture for s in self._surfaces], np.int64),
        )

    def ranges(self, origin: Float64, directions: Float64, max_range_m: float) -> tuple[Float32, Float32]:
        """What a LiDAR at ``origin`` (3,) hits along unit ``directions`` (R, 3), world frame.

        Returns:
            range (R,) float32, m, infinite where nothing is hit; intensity (R,) float32 0..1.
        """
        ranges, intensity = _cast_lidar(
            np.asarray(origin, np.float64), np.asarray(directions, np.float64), *self._arrays()
        )
        beyond = ranges > max_range_m
        ranges[beyond], intensity[beyond] = np.inf, 0.0
        return ranges, intensity

    def picture(self, K: Float64, width: int, height: int, T_world_camera: Float64) -> Picture:
        """The scene seen by a pinhole camera.

        Args:
            K: (3, 3) intrinsics, px; integer coordinates are pixel centers, as in OpenCV.
            T_world_camera: (4, 4) pose of the optical frame in the world frame.
        """
        picture = Picture(np.empty((height, width, 3), np.uint8), np.empty((height, width), np.float32))
        pose, solids = np.asarray(T_world_camera, np.float64), self._arrays()
        inverse = np.asarray(np.linalg.inv(K), np.float64)
        bands = np.linspace(0, height, 9).astype(int)

        def cast(band: int) -> None:
            top, bottom = bands[band], bands[band + 1]
            _cast_camera(inverse, top, pose, *solids, SUN, picture.image[top:bottom], picture.depth[top:bottom])

        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            list(pool.map(cast, range(len(bands) - 1)))
        return picture


@njit(nogil=True)
def _hit(
    o: Float64, d: Float64, boxes: Float64, cylinders: Float64, ellipsoids: Float64, normal: Float64, any_hit: bool
) -> tuple[float, int]:
    """Nearest hit of a ray (or any, for shadows): distance and surface number; writes the unit ``normal``."""
    best, surface = FAR_M, -1
    if d[2] < -1e-9:
        best, surface = -o[2] / d[2], 0
        normal[0], normal[1], normal[2] = 0.0, 0.0, 1.0
    for i in range(len(boxes)):
        near, far, axis = -FAR_M, FAR_M, 0
        for k in range(3):
            step = d[k] if abs(d[k]) > 1e-12 else 1e-12
            a, b = (boxes[i, k] - o[k]) / step, (boxes[i, k + 3] - o[k]) / step
            if a > b:
                a, b = b, a
            if a > near:
                near, axis = a, k
            far = min(far, b)
        if near < far and 1e-4 < near < best:
            best, surface = near, int(boxes[i, 6])
            normal[0] = normal[1] = normal[2] = 0.0
            normal[axis] = -1.0 if d[axis] > 0 else 1.0
            if any_hit:
                return best, surface
    for i in range(len(cylinders)):
        ex, ey = o[0] - cylinders[i, 0], o[1] - cylinders[i, 1]
        a = d[0] * d[0] + d[1] * d[1]
        b = ex * d[0] + ey * d[1]
        root = b * b - a * (ex * ex + ey * ey - cylinders[i, 2] ** 2)
        if root <= 0.0 or a < 1e-12:
            continue
        t = (-b - np.sqrt(root)) / a
        z = o[2] + t * d[2]
        if 1e-4 < t < best and cylinders[i, 3] <= z <= cylinders[i, 4]:
            best, surface = t, int(cylinders[i, 5])
            normal[0] = (ex + t * d[0]) / cylinders[i, 2]
            normal[1] = (ey + t * d[1]) / cylinders[i, 2]
            normal[2] = 0.0
            if any_hit:
                return best, surface
    for i in range(len(ellipsoids)):
        a = b = c = 0.0
        for k in range(3):
            e, f = (o[k] - ellipsoids[i, k]) / ellipsoids[i, k + 3], d[k] / ellipsoids[i, k + 3]
            a, b, c = a + f * f, b + e * f, c + e * e
        root = b * b - a * (c - 1.0)
        if root <= 0.0:
            continue
        t = (-b - np.sqrt(root)) / a
        if 1e-4 < t < best:
            best, surface = t, int(ellipsoids[i, 6])
            length = 0.0
            for k in range(3):
                normal[k] = (o[k] + t * d[k] - ellipsoids[i, k]) / ellipsoids[i, k + 3] ** 2
                length += normal[k] ** 2
            for k in range(3):
                normal[k] /= np.sqrt(length)
            if any_hit:
                return best, surface
    return best, surface


@njit(nogil=True)
def _lattice(i: int, j: int, k: int) -> float:
    """A fixed random number 0..1 for each lattice point."""
    h = (i * 374761393 + j * 668265263 + k * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65535.0


@njit(nogil=True)
def _noise(x: float, y: float, z: float) -> float:
    """Smooth noise 0..1 with a period of about one unit."""
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    u, v, w = x - i, y - j, z - k
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                weight = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
                total += weight * _lattice(i + a, j + b, k + c)
    return total


@njit(nogil=True)
def _texture(kind: int, p: Float64, normal: Float64, distance: float) -> float:
    """Relative brightness of a surface at a point; fine detail fades out with distance, as it does in a picture."""
    fine = min(1.0, 12.0 / max(distance, 1.0))
    if kind == ASPHALT:
        marking = abs(p[1]) < 0.07 and p[0] % 6.0 < 3.0
        grain = 0.16 * fine * (_noise(p[0] * 25, p[1] * 25, 0.0) - 0.5)
        patches = 0.22 * (_noise(p[0] * 0.35, p[1] * 0.7, 3.0) - 0.5)
        return 1.75 if marking else 1.0 + grain + patches
    if kind == PAVING:
        joint = (p[0] % 0.6 < 0.02 or p[1] % 0.6 < 0.02) and normal[2] > 0.5
        return (0.8 if joint else 1.0) + 0.18 * (_noise(p[0] * 1.7, p[1] * 1.7, 9.0) - 0.5)
    if kind in (PLASTER, BRICK) and normal[2] < 0.5:
        along = p[0] if abs(normal[1]) > 0.5 else p[1]
        if 0.9 < p[2] % 3.0 < 2.3 and 0.8 < along % 2.6 < 1.9 and p[2] > 0.6:
            return 0.32 + 0.1 * _noise(np.floor(along / 2.6), np.floor(p[2] / 3.0), 1.0)
        if kind == PLASTER:
            return 1.0 + 0.16 * (_noise(along * 0.8, p[2] * 0.5, 5.0) - 0.5)
        row = np.floor(p[2] / 0.075)
        joint = p[2] % 0.075 < 0.012 or (along + 0.12 * (row % 2)) % 0.24 < 0.012
        return (1.0 + 0.35 * fine if joint else 1.0) + 0.25 * (_noise(np.floor(along / 0.24), row, 2.0) - 0.5) * fine
    if kind == LEAVES:
        return 0.45 + 1.1 * _noise(p[0] * 9, p[1] * 9, p[2] * 9) * (0.4 + 0.6 * _noise(p[0] * 2, p[1] * 2, p[2] * 2))
    if kind == CAR:
        return 0.9 + 0.25 * max(0.0, normal[2])
    return 1.0


@njit(nogil=True)
def _cast_lidar(
    origin: Float64,
    directions: Float64,
    boxes: Float64,
    cylinders: Float64,
    ellipsoids: Float64,
    surfaces: Float64,
    textures: Int64,
) -> tuple[Float32, Float32]:
    ranges = np.empty(len(directions), np.float32)
    intensity = np.zeros(len(directions), np.float32)
    normal = np.zeros(3)
    for r in range(len(directions)):
        t, surface = _hit(origin, directions[r], boxes, cylinders, ellipsoids, normal, False)
        ranges[r] = t
        if surface >= 0:
            facing = abs(normal[0] * directions[r, 0] + normal[1] * directions[r, 1] + normal[2] * directions[r, 2])
            intensity[r] = surfaces[surface, 3] * (0.15 + 0.85 * facing)
            if textures[surface] == LEAVES:  # the beam finds its way between the leaves
                ranges[r] += FOLIAGE_DEPTH_M * _lattice(r, 3, 7)
    return ranges, intensity


@njit(nogil=True)
def _cast_camera(
    K_inverse: Float64,
    top: int,
    pose: Float64,
    boxes: Float64,
    cylinders: Float64,
    ellipsoids: Float64,
    surfaces: Float64,
    textures: Int64,
    sun: Float64,
    image: UInt8,
    depth: Float32,
) -> None:
    """Draw rows from ``top`` on: four rays a pixel for the color, the nearest of them for the depth."""
    origin = pose[:3, 3].copy()
    d, p, normal, shade_normal, color = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for row in range(image.shape[0]):
        for u in range(image.shape[1]):
            color[:] = 0.0
            nearest, last_surface, light = FAR_M, -1, 0.0
            for sample in range(4):
                x, y = u - 0.25 + 0.5 * (sample % 2), top + row - 0.25 + 0.5 * (sample // 2)
                a = K_inverse[0, 0] * x + K_inverse[0, 1] * y + K_inverse[0, 2]
                b = K_inverse[1, 1] * y + K_inverse[1, 2]
                stretch = np.sqrt(a * a + b * b + 1.0)
                for k in range(3):
                    d[k] = (pose[k, 0] * a + pose[k, 1] * b + pose[k, 2]) / stretch
                t, surface = _hit(origin, d, boxes, cylinders, ellipsoids, normal, False)
                nearest = min(nearest, t / stretch)
                if surface < 0:
                    haze = max(0.0, d[2])
                    color[0] += 196 - 120 * haze
                    color[1] += 212 - 90 * haze
                    color[2] += 232 - 40 * haze
                    continue
                for k in range(3):
                    p[k] = origin[k] + t * d[k] + 1e-3 * normal[k]
                if surface != last_surface:  # one shadow ray for the samples of a surface
                    last_surface, light = surface, AMBIENT
                    facing = normal[0] * sun[0] + normal[1] * sun[1] + normal[2] * sun[2]
                    if facing > 0.0:
                        blocked, _ = _hit(p, sun, boxes, cylinders, ellipsoids, shade_normal, True)
                        light += 0.0 if blocked < FAR_M else 0.6 * facing
                shade = light * _texture(textures[surface], p, normal, t)
                fog = 1.0 - np.exp(-t / 260.0)
                for k in range(3):
                    color[k] += min(255.0, surfaces[surface, k] * shade) * (1 - fog) + 205 * fog
            for k in range(3):
                image[row, u, k] = np.uint8(min(255.0, color[k] / 4))
            depth[row, u] = nearest
