"""A pinhole camera: triangles by a z-buffer with simple light, and what a real camera adds.

Optical frame: x right, y down, z forward. Colors are RGB; light is computed on the sRGB values directly, which is
what surfaces of these few pixels need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from emgait_ros.jit import njit
from emgait_ros.samples import CameraModel, Float32, Float64, UInt8

NEAR_M = 0.1


@dataclass(frozen=True)
class Light:
    """How a scene is lit.

    Attributes:
        direction: (3,) world vector towards the sun or lamp.
        ambient: fraction of the light that comes from everywhere, 0..1.
        tint: RGB factors.
    """

    direction: tuple[float, float, float] = (0.4, 0.5, 0.8)
    ambient: float = 0.5
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Exposure:
    """Exposure, blur and noise of the sensor.

    Attributes:
        gain: brightness factor; night is 0.1 to 0.25.
        blur_px: standard deviation of the optics' blur, px of the native image.
        motion_px: horizontal smear, px.
        read_noise, shot_noise: noise in gray levels: constant, and times the square root of the signal.
    """

    gain: float = 1.0
    blur_px: float = 0.4
    motion_px: float = 0.0
    read_noise: float = 1.5
    shot_noise: float = 0.25


@dataclass(frozen=True)
class Surface:
    """A mesh to be drawn.

    Attributes:
        vertices: (V, 3) float32 world, m.
        faces: (F, 3) int32; colors: (F, 3) uint8 RGB.
        closed: the corners run counter-clockwise seen from outside, and the far side need not be drawn.
    """

    vertices: Float32
    faces: np.ndarray
    colors: UInt8
    closed: bool = False


def pinhole(width: int, height: int, horizontal_fov_deg: float, T_camera_lidar: Float64 | None = None) -> CameraModel:
    """An undistorted camera with the principal point in the middle.

    Raises:
        ValueError: no image, or a field of view outside 1..170 deg.
    """
    if width < 1 or height < 1 or not 1 <= horizontal_fov_deg <= 170:
        raise ValueError(f"camera {width}x{height} px, {horizontal_fov_deg} deg: expected a size and 1..170 deg")
    focal = width / 2 / np.tan(np.radians(horizontal_fov_deg) / 2)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    transform = looking_along_x() if T_camera_lidar is None else np.asarray(T_camera_lidar, np.float64)
    return CameraModel(width, height, K, np.zeros(0), "plumb_bob", transform)


def looking_along_x(offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Float64:
    """(4, 4) from a frame with x forward, z up to an optical frame at ``offset_m`` in it, looking along +x."""
    T = np.eye(4)
    T[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    T[:3, 3] = -T[:3, :3] @ np.asarray(offset_m)
    return T


def window_matrix(K: Float64, x: float, y: float, scale: float) -> Float64:
    """Intrinsics of the window that begins at pixel (x, y) of the image, drawn at ``scale`` px per px."""
    shift = np.array([[scale, 0, -scale * x], [0, scale, -scale * y], [0, 0, 1.0]])
    return np.asarray(shift @ K)


def render(
    K: Float64,
    T_camera_world: Float64,
    surfaces: Sequence[Surface],
    image: UInt8,
    light: Light,
    depth: Float32 | None = None,
) -> Float32:
    """Draw surfaces over ``image`` (H, W, 3) uint8 in place.

    Args:
        K: (3, 3) intrinsics of exactly this image (pixel centers at half integers), px.
        T_camera_world: (4, 4) world to optical frame.
        depth: (H, W) float32 of what the image shows already, m; default: infinitely far.

    Returns:
        (H, W) float32 depth along the optical axis, m, inf where nothing was drawn.
    """
    if depth is None:
        depth = np.full(image.shape[:2], np.inf, np.float32)
    towards = np.asarray(light.direction, np.float64)
    sun = (T_camera_world[:3, :3] @ towards / np.linalg.norm(towards)).astype(np.float32)
    for surface in surfaces:
        seen = surface.vertices @ T_camera_world[:3, :3].T.astype(np.float32) + T_camera_world[:3, 3].astype(np.float32)
        faces, colors = surface.faces, surface.colors
        if seen[:, 2].min() < NEAR_M:
            corners, colors = _clip_near(seen[faces], colors)
            seen, faces = corners.reshape(-1, 3), np.arange(3 * len(corners), dtype=np.int32).reshape(-1, 3)
        tint = np.asarray(light.tint, np.float32)
        _raster(
            seen,
            faces,
            colors,
            surface.closed,
            K[0, 0],
            K[1, 1],
            K[0, 2],
            K[1, 2],
            sun,
            light.ambient,
            tint,
            depth,
            image,
        )
    return depth


def expose(image: UInt8, exposure: Exposure, rng: np.random.Generator, scale: float = 1.0) -> UInt8:
    """Blur, gain and noise of the sensor on an image drawn at ``scale`` px per native px; returns a new image.

    Noise belongs to native pixels: call it after resizing to native size, or with the scale 1.
    """
    out = image
    if exposure.blur_px * scale > 0.15:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), exposure.blur_px * scale), np.uint8)
    if exposure.motion_px * scale >= 1:
        out = np.asarray(cv2.blur(out, (1 + round(exposure.motion_px * scale), 1)), np.uint8)
    gray = np.arange(256) * exposure.gain
    deviation = np.sqrt(exposure.read_noise**2 + exposure.shot_noise**2 * gray)
    offsets = rng.integers(len(_noise_bank()) - 3 * out.shape[1], size=out.shape[0])
    return np.asarray(_develop(out, gray.astype(np.float32), deviation.astype(np.float32), _noise_bank(), offsets))


@lru_cache(maxsize=1)
def _noise_bank() -> Float32:
    """Normal numbers of which image rows take slices: drawing fresh ones costs more than the rest of a frame."""
    return np.random.default_rng(7).standard_normal(1 << 20, np.float32)


@njit(nogil=True)
def _develop(image: UInt8, gray: Float32, deviation: Float32, bank: Float32, offsets: np.ndarray) -> UInt8:
    height, width = image.shape[:2]
    out = np.empty_like(image)
    for y in range(height):
        at = offsets[y]
        for x in range(width):
            for c in range(3):
                value = image[y, x, c]
                signal = gray[value] + deviation[value] * bank[at]
                out[y, x, c] = np.uint8(min(max(signal, np.float32(0)), np.float32(255)))
                at += 1
    return out


def _clip_near(corners: Float32, colors: UInt8) -> tuple[Float32, UInt8]:
    """Cut the triangles (T, 3, 3) that cross the near plane; those behind it vanish."""
    crossing = corners[:, :, 2].min(1) < NEAR_M
    kept_corners, kept_colors = [corners[~crossing]], [colors[~crossing]]
    for triangle, color in zip(corners[crossing], colors[crossing], strict=True):
        polygon = []
        for i in range(3):
            a, b = triangle[i], triangle[(i + 1) % 3]
            if a[2] >= NEAR_M:
                polygon.append(a)
            if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
                polygon.append(a + (NEAR_M - a[2]) / (b[2] - a[2]) * (b - a))
        for i in range(1, len(polygon) - 1):
            kept_corners.append(np.array([[polygon[0], polygon[i], polygon[i + 1]]], np.float32))
            kept_colors.append(color[None])
    return np.concatenate(kept_corners), np.concatenate(kept_colors)


@njit(nogil=True)
def _raster(
    vertices: Float32,
    faces: np.ndarray,
    colors: UInt8,
    closed: bool,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    sun: Float32,
    ambient: float,
    tint: Float32,
    depth: Float32,
    image: UInt8,
) -> None:
    height, width = depth.shape
    p = np.empty((3, 3), np.float32)
    for number in range(len(faces)):
        for i in range(3):
            p[i] = vertices[faces[number, i]]
        e1x, e1y, e1z = p[1, 0] - p[0, 0], p[1, 1] - p[0, 1], p[1, 2] - p[0, 2]
        e2x, e2y, e2z = p[2, 0] - p[0, 0], p[2, 1] - p[0, 1], p[2, 2] - p[0, 2]
        nx, ny, nz = e1y * e2z - e1z * e2y, e1z * e2x - e1x * e2z, e1x * e2y - e1y * e2x
        away = nx * p[0, 0] + ny * p[0, 1] + nz * p[0, 2] > 0
        if closed and away:
            continue
        ia, ib, ic = 1 / p[0, 2], 1 / p[1, 2], 1 / p[2, 2]
        ax, ay = fx * p[0, 0] * ia + cx - 0.5, fy * p[0, 1] * ia + cy - 0.5
        bx, by = fx * p[1, 0] * ib + cx - 0.5, fy * p[1, 1] * ib + cy - 0.5
        gx, gy = fx * p[2, 0] * ic + cx - 0.5, fy * p[2, 1] * ic + cy - 0.5
        left, right = max(np.ceil(min(ax, bx, gx)), 0.0), min(np.floor(max(ax, bx, gx)), width - 1.0)
        top, bottom = max(np.ceil(min(ay, by, gy)), 0.0), min(np.floor(max(ay, by, gy)), height - 1.0)
        if left > right or top > bottom:
            continue
        area = (bx - ax) * (gy - ay) - (by - ay) * (gx - ax)
        if abs(area) < 1e-9:
            continue
        size = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
        if away:  # seen from behind: light the visible side
            size = -size
        lambert = max((nx * sun[0] + ny * sun[1] + nz * sun[2]) / size, 0.0)
        shade = ambient + (1 - ambient) * lambert
        red = np.uint8(min(shade * tint[0] * colors[number, 0], 255.0))
        green = np.uint8(min(shade * tint[1] * colors[number, 1], 255.0))
        blue = np.uint8(min(shade * tint[2] * colors[number, 2], 255.0))
        for y in range(int(top), int(bottom) + 1):
            for x in range(int(left), int(right) + 1):
                u = ((gx - bx) * (y - by) - (gy - by) * (x - bx)) / area
                v = ((ax - gx) * (y - gy) - (ay - gy) * (x - gx)) / area
                w = 1 - u - v
                if u < -1e-6 or v < -1e-6 or w < -1e-6:
                    continue
                z = 1 / (u * ia + v * ib + w * ic)
                if z < depth[y, x]:
                    depth[y, x] = z
                    image[y, x, 0], image[y, x, 1], image[y, x, 2] = red, green, blue
