"""How much of each pedestrian the others in front hide."""

from __future__ import annotations

import numpy as np

from emgait_ros.samples import Float64

NEARER_M = 0.4  # less than this is side by side


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
