"""Which detection belongs to which track."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from emgait_ros.samples import Float64, Int64

FORBIDDEN = 1e6


def gated_cost(
    predicted: Float64, variance: Float64, measured: Float64, noise: Float64, gate_m: Float64, gate_sigma: float
) -> Float64:
    """Cost of every pair, ``FORBIDDEN`` outside the gates.

    The cost is the squared Mahalanobis distance plus the log of its variance (a likelihood), so that an uncertain
    track does not take a detection away from a sure one.

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


def assign(cost: Float64) -> tuple[Int64, Int64]:
    """Row and column of the pairs of the cheapest assignment (Hungarian), as many allowed pairs as possible."""
    if cost.size == 0:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing
    rows, columns = linear_sum_assignment(cost)
    allowed = cost[rows, columns] < FORBIDDEN
    return rows[allowed], columns[allowed]
