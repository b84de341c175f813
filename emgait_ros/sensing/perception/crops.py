"""What is cut out for one pedestrian: an RGB crop of the image and a fixed number of points."""

from __future__ import annotations

import cv2
import numpy as np

from emgait_ros.config import SampleConfig
from emgait_ros.samples import Float32, Float64, UInt8

LEAST_VISIBLE = 0.35  # fraction of the crop that must lie inside the image


def cut_crop(image: UInt8, rectangle: Float64, config: SampleConfig) -> UInt8 | None:
    """The pedestrian in the image, whole body, aspect kept.

    The cut is as high as the projected box plus margins and its width follows from the crop's shape, so that the
    scale does not jump with the length of the stride. Beyond the image's border it is black.

    Args:
        image: (H, W, 3) uint8 RGB.
        rectangle: (4,) left, top, right, bottom of the projected box, px.
        config: size of the crop and margin.

    Returns:
        (crop_height_px, crop_width_px, 3) uint8, contiguous; None when too little of it lies inside the image.
    """
    left, top, right, bottom = rectangle
    height = (bottom - top) * (1 + 2 * config.crop_margin)
    width = height * config.crop_width_px / config.crop_height_px
    if not (2 <= height < 20000):
        return None
    x0, y0 = round((left + right - width) / 2), round((top + bottom - height) / 2)
    x1, y1 = x0 + max(round(width), 1), y0 + max(round(height), 1)
    inside_x0, inside_x1 = max(x0, 0), min(x1, image.shape[1])
    inside_y0, inside_y1 = max(y0, 0), min(y1, image.shape[0])
    visible = max(inside_x1 - inside_x0, 0) * max(inside_y1 - inside_y0, 0)
    if visible < LEAST_VISIBLE * (x1 - x0) * (y1 - y0):
        return None
    part = image[inside_y0:inside_y1, inside_x0:inside_x1]
    if part.shape[:2] != (y1 - y0, x1 - x0):
        borders = (inside_y0 - y0, y1 - inside_y1, inside_x0 - x0, x1 - inside_x1)
        part = np.asarray(cv2.copyMakeBorder(part, *borders, cv2.BORDER_CONSTANT, value=(0, 0, 0)), np.uint8)
    shrinks = y1 - y0 > config.crop_height_px
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(part, (config.crop_width_px, config.crop_height_px), interpolation=interpolation)
    return np.asarray(resized, np.uint8)


def sharpness(crop: UInt8, native_height_px: float, margin: float) -> float:
    """How much of a crop's contrast is fine detail: the power of its Laplacian over that of white noise of the same contrast.

    Measured in the image's own pixels, so that enlarging a small picture does not count as blur.

    Args:
        crop: (H, W, 3) uint8 RGB.
        native_height_px: height of the person's box in the image.
        margin: of the crop above and below the box, as a fraction of its height.

    Returns:
        0..1: sharp crops have 0.006 to 0.06, one blurred over two pixels (sigma) 0.0004 to 0.004; at least 0.0001.
    """
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    native = native_height_px * (1 + 2 * margin)
    if native < 0.8 * len(gray):
        size = (max(round(native * gray.shape[1] / len(gray)), 4), max(round(native), 8))
        gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
    contrast, detail = (float(cv2.meanStdDev(a)[1][0, 0]) ** 2 for a in (gray, cv2.Laplacian(gray, cv2.CV_32F)))
    return float(np.clip(detail / (20.0 * max(contrast, 4.0)), 1e-4, 1.0))  # 20: sum of the squared kernel


def resample(points: Float32, count: int, stamp_ns: int, number: int) -> Float32 | None:
    """A fixed number of points: drawn without repetition when there are enough, else all and some of them again.

    Args:
        points: (N, 3) float32 m.
        count: how many to return.
        stamp_ns, number: seed, so that a replay gives the same samples.

    Returns:
        (count, 3) float32, or None when there are no points.
    """
    if len(points) == 0:
        return None
    random = np.random.default_rng((stamp_ns & (2**63 - 1), number))
    if len(points) >= count:
        return points[random.choice(len(points), count, replace=False)]
    again = random.integers(0, len(points), count - len(points))
    return points[np.concatenate([np.arange(len(points)), again])]
