"""What the returns around each peak look like: the measures that distinguish a person from a post, a bush or a car."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float32, Int64
from emgait_ros.sensing.perception.clusters import BodyMap
from emgait_ros.sensing.perception.shape_kernels import (
    HORIZON_SECTORS,
    HORIZON_STEP_M,
    MEASURES,
    collect_members,
    measure_peaks,
    nearest_peaks,
    steepest_lines,
    widest_gaps,
)

SHAPE = np.dtype([(name, np.float32) for name in MEASURES])


@dataclass(frozen=True)
class Candidates:
    """Peaks that may be people.

    Attributes:
        peak: (J,) int64 index of the peak.
        shape: (J,) measures, dtype ``SHAPE``.
        beside: (P,) int64 candidate and ``other``: (P,) int64 peak that has returns in the candidate's ring.
        ring_returns: (P,) float32 how many.
        owner: (C,) int64 nearest peak of every map cell, -1 where none is near.
    """

    peak: Int64
    shape: NDArray[np.void]
    beside: Int64
    other: Int64
    ring_returns: Float32
    owner: Int64


def measure(body: BodyMap, peaks: Float32, min_points: int) -> Candidates:
    """Measures of every peak that is not clearly something else.

    Args:
        body: the map.
        peaks: (K, 2) float32 x, y, m.
        min_points: returns a peak must have.
    """
    owner, distance = nearest_peaks(body.cell, body.slot, body.origin, peaks)
    peak, values, beside, other, ring_returns = measure_peaks(
        body.position, body.start, body.cell, body.tall, body.top, body.slot, body.origin,
        peaks, owner, distance, min_points,
    )  # fmt: skip
    shape = np.zeros(len(peak), SHAPE)
    for name, column in zip(MEASURES, values.T, strict=True):
        shape[name] = column
    return Candidates(peak, shape, beside, other, ring_returns, owner)


def members(body: BodyMap, peaks: Float32, owner: Int64, chosen: Int64) -> tuple[Int64, Int64]:
    """Returns of the chosen peaks: those within ``CORE_M`` that are nearest to the peak and not part of a structure.

    Returns:
        (M,) int64 indices into the cloud grouped by peak, and (len(chosen) + 1,) int64 group starts.
    """
    return collect_members(body.index, body.start, body.tall, body.slot, body.origin, peaks, owner, chosen)


def gaps(body: BodyMap, peaks: Float32, owner: Int64, first: Int64, second: Int64, band_m: float) -> Float32:
    """Widest free stretch between the peaks ``first[p]`` and ``second[p]``, at the height of head and shoulders or of heads.

    Args:
        body: the map.
        peaks: (K, 2) float32 x, y, m.
        owner: (C,) int64 nearest peak of every map cell.
        first, second: (P,) int64 indices of peaks.
        band_m: how far below the lower one's top a return counts, m.

    Returns:
        (P,) float32, m.
    """
    return np.asarray(
        widest_gaps(
            body.position, body.start, body.tall, body.top, body.slot, body.origin, peaks, owner, first, second, band_m
        ),
        np.float32,
    )


def horizon(body: BodyMap) -> Float32:
    """(sectors, steps) float32: steepest line of sight, z over range, that ends nearer than each step of range."""
    return np.asarray(steepest_lines(body.cell, body.top_z, body.origin), np.float32)


def hidden_below(steepest: Float32, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """z (m, LiDAR frame) below which something at least half a meter nearer hides the places x, y (m).

    Args:
        steepest: of :func:`horizon`.
        x, y: (K,) m, LiDAR frame.

    Returns:
        (K,): the median of five lines of sight over the width of a person.
    """
    distance = np.hypot(x, y)
    sector = ((np.arctan2(y, x) + np.pi) * (HORIZON_SECTORS / (2 * np.pi))).astype(np.int64)
    step = np.clip(((distance - 0.5) / HORIZON_STEP_M).astype(np.int64), 0, steepest.shape[1] - 1)
    reach = np.clip(0.25 / np.maximum(distance, 0.5) * (HORIZON_SECTORS / (2 * np.pi)), 1, 20)
    offsets = np.rint(reach[:, None] * np.linspace(-1, 1, 5)).astype(np.int64)
    slope = steepest[(sector[:, None] + offsets) % HORIZON_SECTORS, step[:, None]]
    return np.asarray(np.median(slope, axis=1) * distance)
