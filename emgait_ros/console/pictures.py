"""What the page draws: camera pictures as JPEG with the boxes of people in them, and clouds as seen from above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from emgait_ros.samples import CameraModel, Float32, Float64, UInt8
from emgait_ros.sensing.perception.camera import box_rectangles
from emgait_ros.sensing.perception.overlay import jpeg_of

JPEG_QUALITY = 75
REACH_M = 60.0  # people are recognised to 50 m
CELL_M = 0.15
CELLS = round(2 * REACH_M / CELL_M)
GROUND, LOWEST, HIGHEST = 28, 70, 255  # grey of a flat cell, and of those that something stands in
FLAT_M, TALL_M = 0.2, 2.5
PNG_FAST = 1


def small_jpeg_of(pixels: UInt8, width: int) -> bytes:
    """A JPEG of (H, W, 3) uint8 RGB pixels, made smaller to at most ``width`` px; never made larger."""
    scale = width / pixels.shape[1]
    if scale < 1.0:
        size = (width, max(round(pixels.shape[0] * scale), 1))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return jpeg_of(pixels, JPEG_QUALITY).tobytes()


def boxes_in(camera: CameraModel, center: Float64, size: Float64) -> list[list[float] | None]:
    """Where upright boxes lie in the camera's picture.

    Args:
        camera: its calibration with extrinsics.
        center, size: (D, 3) m, LiDAR frame.

    Returns:
        For each box left, top, width, height as parts of the picture (0..1, cut at its edges); None where it is not seen.
    """
    if not len(center):
        return []
    rectangle, visible = box_rectangles(center, size, camera)
    whole = np.array([camera.width, camera.height, camera.width, camera.height], np.float64)
    cut = np.clip(rectangle / whole, 0.0, 1.0)
    cut[:, 2:] -= cut[:, :2]
    return [[round(v, 4) for v in row] if seen else None for row, seen in zip(cut.tolist(), visible, strict=True)]


def seen_from_above(points: Float32) -> bytes:
    """A cloud as a grey PNG, ``CELLS`` x ``CELLS``, 60 m to each side: how tall what stands in a cell is, black where nothing is.

    Args:
        points: (N, 3) float32 m, LiDAR frame, z up. Row 0 of the picture is the farthest in front (+x), column 0 the
            farthest to the left (+y).
    """
    near = points[(np.abs(points[:, :2]) < REACH_M).all(axis=1)]
    index = np.minimum(((REACH_M - near[:, :2]) * (1.0 / CELL_M)).astype(np.int32), CELLS - 1)
    cell, height = index[:, 0] * CELLS + index[:, 1], near[:, 2]
    top = np.full(CELLS * CELLS, -np.inf, np.float32)
    bottom = np.full(CELLS * CELLS, np.inf, np.float32)
    np.maximum.at(top, cell, height)
    np.minimum.at(bottom, cell, height)
    occupied = np.flatnonzero(top >= bottom)
    extent = top[occupied] - bottom[occupied]
    shade = LOWEST + (HIGHEST - LOWEST) * np.minimum(extent / TALL_M, 1.0)
    grey = np.zeros(CELLS * CELLS, np.uint8)
    grey[occupied] = np.where(extent < FLAT_M, GROUND, shade)
    done, data = cv2.imencode(".png", grey.reshape(CELLS, CELLS), [cv2.IMWRITE_PNG_COMPRESSION, PNG_FAST])
    if not done:
        raise ValueError("the bird's-eye view could not be encoded")
    return data.tobytes()


def places_of(people: Sequence[dict[str, Any]], dt_s: float) -> tuple[Float64, Float64]:
    """(D, 3) centers, moved on by ``dt_s`` at each person's velocity, and (D, 3) sizes, m, of people as the page gets them."""
    facts = np.array([(*p["center"], *p["size"], *p["velocity"]) for p in people], np.float64).reshape(-1, 8)
    center = facts[:, :3].copy()
    center[:, :2] += facts[:, 6:] * dt_s
    return center, facts[:, 3:6]
