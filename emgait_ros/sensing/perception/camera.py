"""From LiDAR coordinates to pixels: the three distortion models of CameraInfo, and boxes in the image."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import CameraModel, Float32, Float64

MODELS = ("plumb_bob", "rational_polynomial", "equidistant")
NEAREST_M = 0.2  # nearer to the camera's plane nothing is projected


def check_model(camera: CameraModel) -> None:
    """Refuse a calibration with which nothing can be projected.

    Raises:
        ValueError: unknown distortion model, too few coefficients, or a K or T of another shape; says what to do.
    """
    if camera.distortion_model not in MODELS and len(camera.distortion):
        raise ValueError(
            f"CameraInfo has distortion_model '{camera.distortion_model}': known are {', '.join(MODELS)}; "
            "publish a rectified image with an empty d instead"
        )
    needed = {"plumb_bob": 4, "rational_polynomial": 8, "equidistant": 4}.get(camera.distortion_model, 0)
    if 0 < len(camera.distortion) < needed:
        raise ValueError(
            f"CameraInfo has {len(camera.distortion)} coefficients in d: '{camera.distortion_model}' takes {needed}"
        )
    if camera.K.shape != (3, 3) or camera.T_camera_lidar.shape != (4, 4):
        raise ValueError(
            f"camera K has shape {camera.K.shape} and T_camera_lidar {camera.T_camera_lidar.shape}: "
            "expected (3, 3) and (4, 4)"
        )


def project(points: Float32 | Float64, camera: CameraModel) -> tuple[Float64, NDArray[np.bool_]]:
    """Pixels of points in LiDAR coordinates.

    Args:
        points: (N, 3) m, LiDAR frame.
        camera: calibration with extrinsics.

    Returns:
        (N, 2) float64 u, v in px, and (N,) bool: in front of the camera and where the distortion model holds
        (beyond its turning point a polynomial folds far points back into the picture). Pixels of other points are
        meaningless; pixels may lie outside the image.
    """
    T = camera.T_camera_lidar
    inside = np.asarray(points, np.float64) @ T[:3, :3].T + T[:3, 3]
    depth = inside[:, 2]
    valid = depth > NEAREST_M
    safe = np.where(valid, depth, 1.0)
    x, y = inside[:, 0] / safe, inside[:, 1] / safe
    radius = np.hypot(x, y)
    if len(camera.distortion):
        valid &= radius < _turning_radius(camera.distortion.astype(np.float64).tobytes(), camera.distortion_model)
        x, y = distort(np.where(valid, x, 0.0), np.where(valid, y, 0.0), camera)
    K = camera.K
    return np.stack([K[0, 0] * x + K[0, 1] * y + K[0, 2], K[1, 1] * y + K[1, 2]], axis=1), valid


def distort(x: Float64, y: Float64, camera: CameraModel) -> tuple[Float64, Float64]:
    """Distorted normalised image coordinates (x/z, y/z) after CameraInfo's model."""
    d = np.zeros(14)
    d[: min(len(camera.distortion), 14)] = camera.distortion[:14]
    squared = x * x + y * y
    scale = _radial(np.sqrt(squared), camera.distortion_model, d)
    if camera.distortion_model == "equidistant":
        return x * scale, y * scale
    prism_x = d[8] * squared + d[9] * squared**2
    prism_y = d[10] * squared + d[11] * squared**2
    dx = 2 * d[2] * x * y + d[3] * (squared + 2 * x * x) + prism_x
    dy = d[2] * (squared + 2 * y * y) + 2 * d[3] * x * y + prism_y
    return x * scale + dx, y * scale + dy


def _radial(radius: Float64, model: str, d: Float64) -> Float64:
    """Distorted over undistorted radius; d as in OpenCV, padded with zeros."""
    if model == "equidistant":
        angle = np.arctan(radius)
        bent = angle * (1 + angle**2 * (d[0] + angle**2 * (d[1] + angle**2 * (d[2] + angle**2 * d[3]))))
        return np.where(radius > 1e-9, bent / np.maximum(radius, 1e-9), 1.0)
    squared = radius**2
    upper = 1 + squared * (d[0] + squared * (d[1] + squared * d[4]))
    return upper / (1 + squared * (d[5] + squared * (d[6] + squared * d[7])))


@lru_cache
def _turning_radius(distortion: bytes, model: str) -> float:
    """Radius x/z up to which the radial distortion, float64, grows with the radius."""
    d = np.zeros(14)
    coefficients = np.frombuffer(distortion)[:14]
    d[: len(coefficients)] = coefficients
    radius = np.tan(np.linspace(0.0, 1.54, 400))
    bent = radius * _radial(radius, model, d)
    falls = np.flatnonzero(np.diff(bent) <= 0)
    return float(radius[falls[0]]) if len(falls) else np.inf


def box_rectangles(center: Float64, size: Float64, camera: CameraModel) -> tuple[Float64, NDArray[np.bool_]]:
    """Image rectangles around upright boxes.

    Args:
        center, size: (D, 3) m, LiDAR frame.
        camera: calibration with extrinsics.

    Returns:
        (D, 4) float64 left, top, right, bottom in px (may reach beyond the image), and (D,) bool: the whole box is
        in front of the camera and its rectangle touches the image.
    """
    corner = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
    corners = np.asarray(center, np.float64)[:, None, :] + corner[None] * np.asarray(size, np.float64)[:, None, :]
    pixel, valid = project(corners.reshape(-1, 3), camera)
    pixel, whole = pixel.reshape(-1, 8, 2), np.logical_and.reduce(valid.reshape(-1, 8), axis=1)
    rectangle = np.concatenate([pixel.min(1), pixel.max(1)], axis=1)
    touches = (rectangle[:, 2] > 0) & (rectangle[:, 0] < camera.width)
    touches &= (rectangle[:, 3] > 0) & (rectangle[:, 1] < camera.height)
    return rectangle, whole & touches
