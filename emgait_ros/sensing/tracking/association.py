"""Association of detections with tracks: gated costs, occlusion, Hungarian assignment in stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emgait_ros.samples import Float64, Int64

FORBIDDEN = 1e6
BODY_RADIUS_M = 0.25  # half the width of a person who hides another
BEHIND_M = 0.3  # nearer people hide those at least this far behind them
HIDDEN_PENALTY = 3.0  # of a cost (-2 log likelihood): a hidden person is detected about four times less often


def gated_cost(
    predicted: Float64, variance: Float64, measured: Float64, noise: Float64, gate_m: Float64, gate_sigma: float
) -> Float64:
    """Cost of every pair, ``FORBIDDEN`` outside the gates.

    The cost is the squared Mahalanobis distance plus the log of its variance (a likelihood), so that an uncertain
    track does not take a detection from a certain one.

    Args:
        predicted: (T, 2) m; variance: (T,) m^2.
        measured: (D, 2) m; noise: (D,) variance, m^2.
        gate_m: (T,) largest distance, m.
        gate_sigma: largest Mahalanobis distance.

    Returns:
        (T, D) float64.
    """
    difference = predicted[:, None, :] - measured[None, :, :]
    squared = difference[..., 0] ** 2 + difference[..., 1] ** 2
    total = variance[:, None] + noise[None, :]
    cost = squared / total
    outside = (squared > gate_m[:, None] ** 2) | (cost > gate_sigma**2)
    cost += 2.0 * np.log(total)
    cost[outside] = FORBIDDEN
    return cost


def hidden_by(predicted: Float64, measured: Float64, sensor: Float64) -> NDArray[np.bool_]:
    """Which tracks are hidden by a person detected now who is nearer to the sensor.

    Args:
        predicted: (T, 2) m; measured: (D, 2) m; sensor: (2,) m, all in one frame.

    Returns:
        (T,) bool.
    """
    place, blocker = predicted - sensor, measured - sensor
    distance, nearer = np.hypot(place[:, 0], place[:, 1]), np.hypot(blocker[:, 0], blocker[:, 1])
    across = place[:, None, 0] * blocker[None, :, 1] - place[:, None, 1] * blocker[None, :, 0]
    along = (place[:, None] * blocker[None]).sum(2)
    half_width = BODY_RADIUS_M * distance[:, None] + 0.5 * BODY_RADIUS_M * nearer[None]
    shadow = (np.abs(across) < half_width) & (along > 0) & (nearer[None] < distance[:, None] - BEHIND_M)
    return np.asarray(shadow.any(1))


def assign(cost: Float64) -> tuple[Int64, Int64]:
    """Row and column of the pairs of the cheapest assignment (Hungarian), as many allowed pairs as possible."""
    if cost.size == 0:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing
    rows, columns = linear_sum_assignment(cost)
    allowed = cost[rows, columns] < FORBIDDEN
    return rows[allowed], columns[allowed]


def cascade(cost: Float64, stages: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> Int64:
    """Matching in stages: each stage assigns those of its tracks and detections that the stages before left over.

    Args:
        cost: (T, D), ``FORBIDDEN`` outside the gates.
        stages: masks of the tracks (T,) and of the detections (D,) of each stage.

    Returns:
        (T,) int64 index of each track's detection, -1 for none.
    """
    match = np.full(cost.shape[0], -1, np.int64)
    free = np.ones(cost.shape[1], bool)
    for tracks, detections in stages:
        rows, columns = np.flatnonzero(tracks & (match < 0)), np.flatnonzero(detections & free)
        row, column = assign(cost[rows[:, None], columns])
        match[rows[row]] = columns[column]
        free[columns[column]] = False
    return match
