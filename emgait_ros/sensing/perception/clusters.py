"""Where people may stand: peaks in a bird's-eye map of upper-body returns.

The map's cells are 0.1 m and its smoothing follows range (the columns of a spinning LiDAR are 0.17 m apart at
50 m), so one rule serves all ranges, and the map has no seam at 360 degrees. Peaks separate people who walk shoulder to
shoulder, and a person from the car in front, where connected components would merge them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.jit import njit
from emgait_ros.samples import Float32, Int64

CELL_M = 0.1
BODY_LOW_M = 0.07  # lower returns are ground
BODY_HIGH_M = 2.15
TALL_LOW_M, TALL_HIGH_M = 2.2, 2.8  # returns here make a cell part of a wall, pole or tree
BRIDGE_LOW_M = (
    1.88  # ... with returns here it reaches up from below: a crown, a ceiling or a lintel hangs over what it hangs over
)
BRIDGE_HIGH_M, NEAR_M = 2.03, 15.0  # nearer, rings are so dense that these show a lintel as one
SPARSE_M = 30.0  # beyond, the rings are too far apart to show that
TALL_NEIGHBOR_M = 1.8  # so do neighboring cells that reach this high
UPPER_LOW_M, UPPER_FULL_M = 0.7, 1.4  # weight of a return in the map: 0 at the hips, 1 at the chest
MIN_WEIGHT = 2.0  # of a peak: two returns from the chest
MIN_WEIGHT_FAR, FAR_M = 1.75, 40.0  # beyond, the rings are so far apart that one may be all that hits the chest
REACH = 3  # of the smoothing, cells
PEAK_DISTANCE_M = 0.35  # closer peaks are one person's shoulders or arms


@dataclass(frozen=True)
class BodyMap:
    """Returns between the ground and 2.15 m, sorted by the cell of a bird's-eye map they fall in.

    Attributes:
        index: (M,) int64 index into the cloud.
        position: (M, 3) float32 x, y (m, LiDAR frame) and height over the ground (m).
        cell: (C, 2) int32 column and row of the occupied cells.
        start: (C + 1,) int64: cell c owns ``index[start[c]:start[c + 1]]``.
        tall: (C,) bool: part of something taller than a person.
        top: (C,) float32 highest return over the ground, m.
        weight: (C,) float32 smoothed upper-body returns; 0 where tall.
        slot: (S, S) int32 from column and row to the cell's number, -1 where empty.
        origin: coordinate of the corner of column 0 and row 0, m.
    """

    index: Int64
    position: Float32
    cell: NDArray[np.int32]
    start: Int64
    tall: NDArray[np.bool_]
    top: Float32
    weight: Float32
    slot: NDArray[np.int32]
    origin: np.float32


class BirdView:
    """Builds bird's-eye maps; keeps the large buffer from cloud to cloud.

    Args:
        max_range_m: half the side of the map.
    """

    def __init__(self, max_range_m: float) -> None:
        half = int(np.ceil(max_range_m / CELL_M)) + 1
        self._slot = np.full((2 * half, 2 * half), -1, np.int32)
        self._origin = np.float32(-half * CELL_M)
        self._grid = np.zeros((2 * half + 2 * REACH + 1,) * 2, np.float32)
        self._kernels = np.stack([_gaussian(max(0.12, 0.004 * r)) for r in (0.0, 37.5, 50.0)])
        self._in_use = np.zeros((0, 2), np.int32)

    def build(self, points: Float32, heights: Float32) -> BodyMap:
        """Sort the returns of one cloud into the map; a map is valid until the next one is built.

        Args:
            points: (N, 3) float32, m, LiDAR frame, within ``max_range_m`` where ``heights`` is below 2.8 m.
            heights: (N,) float32, m over the ground; far larger for points to leave out.
        """
        self._slot[self._in_use[:, 0], self._in_use[:, 1]] = -1
        index, slot_of, cell, tall, top = _occupy(points, heights, self._slot, self._origin)
        self._in_use = cell
        _grow_tall(cell, tall, top, self._slot)
        start, index, position = _sort_by_cell(points, heights, index, slot_of, len(cell))
        weight = _smooth(position, start, cell, tall, self._grid, self._kernels, self._origin)
        return BodyMap(index, position, cell, start, tall, top, weight, self._slot, self._origin)


def peaks(body: BodyMap) -> Float32:
    """Local maxima of the map's weight: (K, 2) float32 x, y, m, nearest to the sensor first."""
    found = _local_maxima(body.weight, body.cell, body.slot, body.origin, PEAK_DISTANCE_M / CELL_M)
    center = (body.cell[found] + np.float32(0.5)) * np.float32(CELL_M) + body.origin
    return center[np.argsort((center**2).sum(1), kind="stable")].astype(np.float32)


def _gaussian(sigma_m: float) -> Float32:
    """(2 REACH + 1, 2 REACH + 2) weights of the cells around one; the last column is 0, for an even number of them."""
    offset = np.arange(-REACH, REACH + 1) * CELL_M
    weights = np.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / (2 * sigma_m**2))
    return np.pad(weights, ((0, 0), (0, 1))).astype(np.float32)


@njit(error_model="numpy")
def _occupy(points, heights, slot, origin):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Number the cells with returns; per cell: part of something tall, highest return over the ground."""
    low, high = np.float32(BODY_LOW_M), np.float32(TALL_HIGH_M)
    count = 0
    for i in range(len(heights)):
        if low < heights[i] < high:
            count += 1
    index = np.empty(count, np.int64)
    slot_of = np.empty(count, np.int32)
    cell = np.empty((count, 2), np.int32)
    tall, bridged = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    top = np.zeros(count, np.float32)
    used, kept = 0, 0
    scale = np.float32(1.0 / CELL_M)
    for i in range(len(heights)):
        h = heights[i]
        if not (low < h < high):
            continue
        column = int((points[i, 0] - origin) * scale)
        row = int((points[i, 1] - origin) * scale)
        s = slot[column, row]
        if s < 0:
            s = used
            slot[column, row] = s
            cell[s, 0], cell[s, 1] = column, row
            used += 1
        if h > np.float32(TALL_LOW_M):
            tall[s] = True
            continue
        if h > np.float32(BRIDGE_LOW_M) and (
            h < np.float32(BRIDGE_HIGH_M)
            or points[i, 0] * points[i, 0] + points[i, 1] * points[i, 1] > np.float32(NEAR_M * NEAR_M)
        ):
            bridged[s] = True
        if h > top[s]:
            top[s] = h
        if h < np.float32(BODY_HIGH_M):
            index[kept] = i
            slot_of[kept] = s
            kept += 1
    for s in range(used):
        if tall[s]:
            x, y = cell[s, 0] * CELL_M + origin, cell[s, 1] * CELL_M + origin
            tall[s] = bridged[s] or x * x + y * y > SPARSE_M * SPARSE_M
            if tall[s]:
                top[s] = np.float32(TALL_HIGH_M)
    return index[:kept], slot_of[:kept], cell[:used].copy(), tall[:used].copy(), top[:used].copy()


@njit(error_model="numpy")
def _grow_tall(cell, tall, top, slot):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Neighbors of a tall cell that reach nearly as high belong to it: a ring of the LiDAR may just miss the 2.2 m."""
    seeds = tall.copy()
    for c in range(len(cell)):
        if seeds[c] or top[c] < np.float32(TALL_NEIGHBOR_M):
            continue
        for dc in range(-1, 2):
            for dr in range(-1, 2):
                column, row = cell[c, 0] + dc, cell[c, 1] + dr
                if 0 <= column < slot.shape[0] and 0 <= row < slot.shape[1]:
                    other = slot[column, row]
                    if other >= 0 and seeds[other]:
                        tall[c] = True


@njit(error_model="numpy")
def _sort_by_cell(points, heights, index, slot_of, cells):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Counting sort: (cells + 1,) starts, sorted indices into the cloud and their x, y, height."""
    start = np.zeros(cells + 1, np.int64)
    for s in slot_of:
        start[s + 1] += 1
    for s in range(cells):
        start[s + 1] += start[s]
    fill = start[:-1].copy()
    order = np.empty(len(index), np.int64)
    position = np.empty((len(index), 3), np.float32)
    for m in range(len(index)):
        s, i = slot_of[m], index[m]
        at = fill[s]
        fill[s] += 1
        order[at] = i
        position[at, 0], position[at, 1], position[at, 2] = points[i, 0], points[i, 1], heights[i]
    return start, order, position


@njit(error_model="numpy")
def _smooth(position, start, cell, tall, grid, kernels, origin):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """(C,) float32 upper-body weight of the cells after smoothing; 0 for cells of tall things.

    ``grid``: zeros, REACH wider than the map at each side, and left so: in it neighbors lie beside each other.
    """
    out = np.zeros(len(cell), np.float32)
    for c in range(len(cell)):
        if tall[c]:
            continue
        for i in range(start[c], start[c + 1]):
            part = (position[i, 2] - np.float32(UPPER_LOW_M)) / np.float32(UPPER_FULL_M - UPPER_LOW_M)
            out[c] += min(max(part, np.float32(0.0)), np.float32(1.0))
        if out[c] == np.float32(0.0):
            continue
        x, y = cell[c, 0] * CELL_M + origin, cell[c, 1] * CELL_M + origin
        squared = x * x + y * y
        kernel = kernels[0] if squared < 900.0 else (kernels[1] if squared < 2025.0 else kernels[2])
        for i in range(2 * REACH + 1):
            line, row = grid[cell[c, 0] + i], cell[c, 1]
            for j in range(2 * REACH + 2):
                line[row + j] += out[c] * kernel[i, j]
    for c in range(len(cell)):
        if not tall[c]:
            out[c] = grid[cell[c, 0] + REACH, cell[c, 1] + REACH]
    for c in range(len(cell)):
        grid[cell[c, 0] : cell[c, 0] + 2 * REACH + 1, cell[c, 1] : cell[c, 1] + 2 * REACH + 2] = 0.0
    return out


@njit(error_model="numpy")
def _local_maxima(weight, cell, slot, origin, radius):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Cells whose weight is the largest within a radius in cells."""
    reach, radius_squared = int(radius), radius * radius
    found = np.empty(len(cell), np.int64)
    count = 0
    for c in range(len(cell)):
        column, row = cell[c, 0], cell[c, 1]
        if weight[c] < np.float32(MIN_WEIGHT_FAR):
            continue
        x, y = (column + 0.5) * CELL_M + origin, (row + 0.5) * CELL_M + origin
        if weight[c] < np.float32(MIN_WEIGHT) and x * x + y * y < FAR_M * FAR_M:
            continue
        largest = True
        for cc in range(max(column - reach, 0), min(column + reach + 1, slot.shape[0])):
            for rr in range(max(row - reach, 0), min(row + reach + 1, slot.shape[1])):
                if (cc - column) ** 2 + (rr - row) ** 2 > radius_squared:
                    continue
                other = slot[cc, rr]
                if other >= 0 and (weight[other] > weight[c] or (weight[other] == weight[c] and other < c)):
                    largest = False
                    break
            if not largest:
                break
        if largest:
            found[count] = c
            count += 1
    return found[:count]
