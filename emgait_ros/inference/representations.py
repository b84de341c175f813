"""What gait networks other than EMGaitNet look at: silhouettes and LiDAR depth maps, of many samples at once.

Live inference, data sets and training call the same code. All pictures are uint8: 0 is background or nothing returned.
Letters in shape comments: B samples, H x W pixels, N points.
"""

from __future__ import annotations

import cv2
import numpy as np

from emgait_ros.samples import Float32, Float64, UInt8

MARGIN = 1 / 32  # of a projected picture's height, above the head and below the feet
DEPTH_M = 0.75  # a return this far before or behind the box's middle gets the largest or smallest value
FOREGROUND = 128  # of a mask
FILL_HIGH, FILL_WIDE = 13, 9  # px of 64: what gaps between the returns of one body are closed over


def scaled(pictures: UInt8) -> Float32:
    """(B, H, W) uint8 -> float32 in 0..1, as networks take them."""
    return pictures.astype(np.float32) * np.float32(1 / 255)


def normalized_silhouettes(masks: UInt8, height: int, width: int) -> UInt8:
    """Masks brought to one size as gait recognition does: the body from head to sole is as high as the picture, its middle in it.

    The middle is the column with half of the body to either side. Proportions are kept; what lies beyond the sides is cut.

    Args:
        masks: (B, H, W) uint8, the body ``FOREGROUND`` or more; of any size.
        height, width: of the silhouettes, px; usual are 64 x 44.

    Returns:
        (B, height, width) uint8; zeros for an empty mask.

    Raises:
        ValueError: masks of another form.
    """
    if masks.ndim != 3 or masks.dtype != np.uint8 or min(masks.shape[1:]) < 2:
        raise ValueError(f"silhouettes have shape {masks.shape} {masks.dtype}: expected (samples, height, width) uint8")
    body = np.asarray(masks >= FOREGROUND)
    rows, columns = np.asarray(body.any(axis=2)), body.sum(axis=1)  # (B, H), (B, W)
    mass = np.cumsum(columns, axis=1)
    top = rows.argmax(axis=1)
    bottom = body.shape[1] - rows[:, ::-1].argmax(axis=1)
    middle = (2 * mass >= mass[:, -1:]).argmax(axis=1) + 0.5
    step = (bottom - top) / height  # (B,) mask pixels per silhouette pixel
    y = top[:, None] + (np.arange(height) + 0.5) * step[:, None] - 0.5  # (B, height)
    x = middle[:, None] + (np.arange(width) + 0.5 - width / 2) * step[:, None] - 0.5  # (B, width)
    made = _sampled(masks, y, x)
    made[mass[:, -1] == 0] = 0
    return made


def _sampled(masks: UInt8, y: Float64, x: Float64) -> UInt8:
    """Bilinear values of masks (B, H, W) at rows (B, h) and columns (B, w); 0 beyond the sides."""
    height, width = masks.shape[1:]
    number = np.arange(len(masks))[:, None]
    y0, x0 = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    down, right = (y - y0).astype(np.float32), (x - x0).astype(np.float32)
    rows = [
        np.where(((row >= 0) & (row < height))[:, :, None], masks[number, row.clip(0, height - 1)], 0)  # (B, h, W)
        for row in (y0, y0 + 1)
    ]
    band = rows[0] * (1 - down[:, :, None]) + rows[1] * down[:, :, None]
    taken = [
        np.take_along_axis(band, column.clip(0, width - 1)[:, None], axis=2)
        * ((column >= 0) & (column < width))[:, None]
        for column in (x0, x0 + 1)
    ]
    return np.rint(taken[0] * (1 - right[:, None]) + taken[1] * right[:, None]).astype(np.uint8)


def projected(points: Float32, center: Float64, size: Float64) -> tuple[Float64, Float64, Float64]:
    """Where the LiDAR sees points (B, N, 3) of its frame on the upright plane through the middle of their box (B, 3).

    Returns:
        (B, N) each: column to the right of the middle and row above the box's bottom, both in box heights, and how much nearer than
        the middle the point is, m.
    """
    range_m = np.maximum(np.hypot(center[:, 0], center[:, 1]), 0.1)[:, None]
    along = center[:, :2] / np.maximum(np.hypot(center[:, 0], center[:, 1]), 1e-6)[:, None]  # (B, 2)
    forward = np.maximum(points[..., 0] * along[:, :1] + points[..., 1] * along[:, 1:], 0.1)
    left = points[..., 1] * along[:, :1] - points[..., 0] * along[:, 1:]
    height = np.maximum(size[:, 2:], 1e-3)
    bottom = center[:, 2:] - size[:, 2:] / 2
    onto = range_m / forward
    return -left * onto / height, (points[..., 2] * onto - bottom) / height, range_m - forward


def depth_maps(points: Float32, center: Float64, size: Float64, side: int) -> UInt8:
    """LiDAR depth maps, as LidarGait projects clouds: from the sensor's view, the nearest return of a pixel counts.

    The box of the pedestrian is as high as the map. A pixel without a return of its own takes that of its nearest neighbour pixel, if one has.

    Args:
        points: (B, N, 3) float32 m, LiDAR frame.
        center, size: (B, 3) m, box of the pedestrian in the LiDAR frame.
        side: px; 0: none are made.

    Returns:
        (B, side, side) uint8: 0 no return, else 1 (``DEPTH_M`` behind the middle of the box) to 255 (as far before it).
    """
    if not side or not len(points):
        return np.zeros((len(points), side, side), np.uint8)
    column, row, nearer = projected(points, center, size)
    value = np.clip(np.rint(128 + 127 * nearer / DEPTH_M), 1, 255).astype(np.uint8)
    made = _drawn(column, row, value, side)
    return np.where(made > 0, made, _grown(made, 3, 3))


def point_silhouettes(points: Float32, center: Float64, size: Float64, height: int, width: int) -> UInt8:
    """Silhouettes of clouds: projected as by :func:`depth_maps`, gaps between the returns closed, brought to one size.

    They are coarser than those of a camera, and at 50 m a body is a few blots; arguments and result as there.
    """
    if not height or not len(points):
        return np.zeros((len(points), height, width), np.uint8)
    column, row, _ = projected(points, center, size)
    made = _drawn(column, row, np.full(column.shape, 255, np.uint8), height)
    high, wide = (max(3, round(px * height / 64) | 1) for px in (FILL_HIGH, FILL_WIDE))
    closed = 255 - _grown(255 - _grown(made, high, wide), high - 2, wide - 2)
    return normalized_silhouettes(closed, height, width)


def _drawn(column: Float64, row: Float64, value: UInt8, side: int) -> UInt8:
    """(B, side, side): the largest value (B, N) of the points in each pixel."""
    x = np.floor((column * (1 - 2 * MARGIN) + 0.5) * side).astype(np.int64)
    y = np.floor((1 - MARGIN - row * (1 - 2 * MARGIN)) * side).astype(np.int64)
    inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
    number = np.broadcast_to(np.arange(len(column))[:, None], column.shape)
    made = np.zeros((len(column), side, side), np.uint8)
    np.maximum.at(made, (number[inside], y[inside], x[inside]), value[inside])
    return made


def _grown(pictures: UInt8, high: int, wide: int) -> UInt8:
    """The largest value within a rectangle around each pixel of (B, H, W)."""
    kernel = np.ones((high, wide), np.uint8)
    return np.array([cv2.dilate(picture, kernel) for picture in pictures], np.uint8).reshape(pictures.shape)
