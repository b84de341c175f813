"""EdgeConv's two memory-bound steps for training on a CPU, compiled with numba.

Per 192 clouds of 128 points, k = 8 and 64 channels, one core: neighbours 14 ms (``torch.topk`` 28 ms), largest neighbour
with its number 2.3 ms (gathering and ``torch.max`` 39 ms).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float32, Int64


@numba.njit(parallel=True, nogil=True, cache=True)
def nearest(similarity: Float32, count: int) -> Int64:
    """(B, N, N) similarity of the points of B clouds -> (B, N, count) the most similar others of each, best first."""
    batch, points, _ = similarity.shape
    found = np.zeros((batch, points, count), np.int64)
    for row in numba.prange(batch * points):
        cloud, point = row // points, row % points
        best = np.full(count, -np.inf, np.float32)
        for other in range(points):
            value = similarity[cloud, point, other]
            if value <= best[count - 1] or other == point:
                continue
            place = count - 1
            while place > 0 and best[place - 1] < value:
                best[place] = best[place - 1]
                found[cloud, point, place] = found[cloud, point, place - 1]
                place -= 1
            best[place] = value
            found[cloud, point, place] = other
    return found


@numba.njit(parallel=True, nogil=True, cache=True)
def largest(values: Float32, rows: Int64) -> tuple[Float32, NDArray[np.int64]]:
    """values (M, C), rows (R, k) -> (R, C) the maximum over the gathered rows, and (R, C) the row it came from."""
    count, channels = rows.shape[0], values.shape[1]
    found = np.empty((count, channels), np.float32)
    source = np.empty((count, channels), np.int64)
    for i in numba.prange(count):
        row = rows[i, 0]
        for c in range(channels):
            found[i, c] = values[row, c]
            source[i, c] = row
        for j in range(1, rows.shape[1]):
            row = rows[i, j]
            for c in range(channels):
                if values[row, c] > found[i, c]:
                    found[i, c] = values[row, c]
                    source[i, c] = row
    return found, source
