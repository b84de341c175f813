"""What is hidden: how much of each pedestrian, and whether a place can be seen at all.

A place is hidden where the lines of sight to it end nearer and none goes on beyond: what merely hangs over them hides nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float32, Float64
from emgait_ros.sensing.perception.view_kernels import (
    FRONT_COLUMN_M,
    FRONT_COLUMNS,
    FRONT_LOW_M,
    FRONT_ROW_M,
    front_views,
)
from emgait_ros.sensing.perception.views import Rays

NEARER_M = 0.4  # less than this is side by side
HALF_WIDTH_M = 0.27  # of a body
HALF_HEIGHT_M = 0.4  # of what is looked for at a place
HIDDEN = 0.6  # part of the lines of sight that end before a place from which on it is hidden
_MIDDLE = np.abs((np.arange(FRONT_COLUMNS) + 0.5) * FRONT_COLUMN_M - FRONT_COLUMNS * FRONT_COLUMN_M / 2) < HALF_WIDTH_M


def covered_by_nearer(center: Float64, size: Float64) -> Float64:
    """Fraction of each body that nearer bodies cover, as seen from the LiDAR.

    Args:
        center, size: (K, 3) upright boxes, m, LiDAR frame.

    Returns:
        (K,) 0..1: of the angle the body takes up, times the fraction of its height up to where the nearer one reaches.
    """
    distance = np.maximum(np.hypot(center[:, 0], center[:, 1]), 0.3)
    azimuth = np.arctan2(center[:, 1], center[:, 0])
    half = np.arctan2(0.5 * np.minimum(size[:, :2].min(1), 0.5), distance)
    apart = np.abs((azimuth[:, None] - azimuth[None] + np.pi) % (2 * np.pi) - np.pi)  # (K, K)
    common = np.clip(half[:, None] + half[None] - apart, 0.0, 2 * np.minimum(half[:, None], half[None]))
    width = common / (2 * half[:, None])
    bottom = center[:, 2] - size[:, 2] / 2
    top_seen = (center[:, 2] + size[:, 2] / 2)[None] * (distance[:, None] / distance[None])  # its shadow's edge there
    height = np.clip((top_seen - bottom[:, None]) / np.maximum(size[:, 2], 0.1)[:, None], 0.0, 1.0)
    nearer = distance[None] < distance[:, None] - NEARER_M
    return np.asarray(np.where(nearer, width * height, 0.0).max(1, initial=0.0))


def covered_by_others(front: Float32, top: Float32) -> Float64:
    """Part of each body (K,), 0..1, whose lines of sight end nearer.

    Args:
        front: (K, channels, rows, columns) of ``views.Views``.
        top: (K,) height of the body, m.
    """
    low = np.arange(front.shape[2]) * FRONT_ROW_M + FRONT_LOW_M
    body = (low[None] > 0.0) & (low[None] + FRONT_ROW_M <= np.maximum(top, 0.5)[:, None])  # (K, rows)
    view = front[..., _MIDDLE].sum(-1)  # (K, channels, rows)
    hidden = view[:, 2] > np.maximum(view[:, 0] + view[:, 1], 1e-6)
    return np.asarray((hidden & body).sum(1) / np.maximum(body.sum(1), 1), np.float64)


def out_of_sight(rays: Rays, place: Float64) -> NDArray[np.bool_]:
    """Whether the lines of sight to each place (K, 3), m, LiDAR frame, end nearer: (K,)."""
    floor = place[:, 2] - HALF_HEIGHT_M - FRONT_LOW_M  # the view's lowest row begins HALF_HEIGHT_M below the place
    views = front_views(rays.points, rays.direction, place[:, 0], place[:, 1], floor)
    rows = round(2 * HALF_HEIGHT_M / FRONT_ROW_M)
    near = views[:, :3, :rows][..., _MIDDLE].sum((2, 3))  # (K, 3): on the place, beyond, before
    total = near.sum(1)
    return np.asarray((total > 0) & (near[:, 2] > HIDDEN * total), np.bool_)
