"""What the sensor sees around each candidate: the input of the learned scorer.

A front view, 1.8 m wide and 2.56 m high, upright at the candidate and facing the sensor: which lines of sight end on the
candidate, beyond it or before it. A view from above, 2.4 m wide, shows what it stands beside. Together they tell apart what is empty
from what is hidden, which the returns on the candidate alone do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float32, Float64
from emgait_ros.sensing.perception.clusters import BodyMap
from emgait_ros.sensing.perception.shape_kernels import MEASURES
from emgait_ros.sensing.perception.view_kernels import (
    FRONT_CHANNELS,
    FRONT_COLUMNS,
    FRONT_ROWS,
    TOP_CELLS,
    TOP_CHANNELS,
    front_views,
    top_views,
)

COUNTS = ("count", "clutter", "structure", "attached")  # of returns: their logarithm is looked at
LEFT_OUT = ("x", "y", "half_x", "half_y")  # the same thing elsewhere looks the same
READ = tuple(name for name in MEASURES if name not in LEFT_OUT)
FRONT_SHAPE = (FRONT_CHANNELS, FRONT_ROWS, FRONT_COLUMNS)
TOP_SHAPE = (TOP_CHANNELS, TOP_CELLS, TOP_CELLS)


@dataclass(frozen=True)
class Rays:
    """The returns of a cloud and their directions.

    Attributes:
        points: (N, 3) float32 m, LiDAR frame.
        direction: (N,) int16 of ``ground.GroundEstimator``.
    """

    points: Float32
    direction: NDArray[np.int16]


@dataclass(frozen=True)
class Views:
    """What is looked at of K candidates.

    Attributes:
        front: (K, 6, 16, 20) float32; rows from the ground upwards, columns across the line of sight. Channels: parts of the
            lines of sight that end on the candidate, beyond it, before it; mean depth and spread of the returns on it over
            0.6 m; 1 where any line of sight passes.
        top: (K, 2, 16, 16) float32; rows along the line of sight. Channels: how many returns, how high (of 2.8 m).
        measures: (K, M) float32: ``READ``, counts as log(1 + n).
    """

    front: Float32
    top: Float32
    measures: Float32


def measures_of(shape: np.ndarray) -> Float32:
    """(K, M) float32 what is read of measures (K,) of dtype ``shapes.SHAPE``."""
    return np.column_stack([np.log1p(shape[name]) if name in COUNTS else shape[name] for name in READ]).astype(
        np.float32
    )


def look(rays: Rays, body: BodyMap, measures: Float32, place: Float32, floor: Float64) -> Views:
    """Views of K candidates.

    Args:
        rays, body: of the cloud.
        measures: (K, M) of :func:`measures_of`.
        place: (K, 2) float32 x, y, m, LiDAR frame.
        floor: (K,) z of the ground under them, m, LiDAR frame.
    """
    x, y = place[:, 0].astype(np.float64), place[:, 1].astype(np.float64)
    return Views(
        front_views(rays.points, rays.direction, x, y, floor),
        top_views(body.start, body.top, body.slot, float(body.origin), x, y),
        measures,
    )
