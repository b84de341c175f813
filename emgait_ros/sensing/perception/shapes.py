"""What the returns around each peak look like: the measures that distinguish a person from a post, a bush or a car."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float32, Int64
from emgait_ros.sensing.perception.clusters import BodyMap
from emgait_ros.sensing.perception.shape_kernels import MEASURES, collect_members, measure_peaks, nearest_peaks

SHAPE = np.dtype([(name, np.float32) for name in MEASURES])


@dataclass(frozen=True)
class Candidates:
    """Peaks that may be people.

    Attributes:
        peak: (J,) int64 index of the peak.
        shape: (J,) measures, dtype ``SHAPE``.
        owner: (C,) int64 nearest peak of every map cell, -1 where none is near.
    """

    peak: Int64
    shape: NDArray[np.void]
    owner: Int64


def measure(body: BodyMap, peaks: Float32, min_points: int) -> Candidates:
    """Measures of every peak that has enough returns.

    Args:
        body: the map.
        peaks: (K, 2) float32 x, y, m.
        min_points: returns a peak must have.
    """
    owner, distance = nearest_peaks(body.cell, body.slot, body.origin, peaks)
    peak, values = measure_peaks(
        body.position, body.start, body.cell, body.tall, body.top, body.slot, body.origin,
        peaks, owner, distance, min_points,
    )  # fmt: skip
    shape = np.zeros(len(peak), SHAPE)
    for name, column in zip(MEASURES, values.T, strict=True):
        shape[name] = column
    return Candidates(peak, shape, owner)


def members(body: BodyMap, peaks: Float32, owner: Int64, chosen: Int64) -> tuple[Int64, Int64]:
    """Returns of the chosen peaks: those within ``CORE_M`` that are nearest to the peak and not part of a structure.

    Returns:
        (M,) int64 indices into the cloud grouped by peak, and (len(chosen) + 1,) int64 group starts.
    """
    return collect_members(body.index, body.start, body.tall, body.slot, body.origin, peaks, owner, chosen)
