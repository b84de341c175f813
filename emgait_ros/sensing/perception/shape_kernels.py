"""Compiled inner loops of the shapes: nearest peak of each cell, measures, members."""

from __future__ import annotations

import math

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.sensing.perception.clusters import CELL_M
from emgait_ros.sensing.perception.ground_kernels import median_of_few

CORE_M = 0.6  # a person's returns lie this near to the peak: half a long stride
WINDOW_M = 1.0  # what stands this near to a peak shows what it belongs to
HEAD_BAND_M = 0.4  # head and shoulders: narrow on a person, wide on a hedge, a car or a bicycle
HEAD_RADIUS_M = 0.47  # farther out is a neighbor's arm
TRUNK_LOW_M = 0.9
LOW_M = 1.0
_CELLS = round(WINDOW_M / CELL_M)
HALF_CHORD = np.array([int(math.sqrt(_CELLS**2 - k**2)) for k in range(_CELLS + 1)])  # cells: the window is round

MEASURES = (
    "x",  # middle of the trunk, m, LiDAR frame
    "y",
    "range",  # horizontal, m
    "count",  # returns within CORE_M that are nearest to this peak
    "top",  # highest and lowest of them over the ground, m
    "bottom",
    "head_width",  # horizontal width of those in the upper HEAD_BAND_M, from their spread, m
    "trunk_width",  # extent of those above TRUNK_LOW_M across the line of sight, m
    "trunk_depth",  # ... along the line of sight, m
    "length",  # largest horizontal extent of all, m
    "slices",  # occupied 0.2 m slices between bottom and top
    "clutter",  # returns from CORE_M to WINDOW_M that are nearest to this peak, too
    "structure",  # returns within WINDOW_M that are part of something taller than a person
    "attached",  # those of them within 0.2 m of the peak's own returns
    "low_length",  # largest horizontal extent of what is lower than LOW_M within WINDOW_M: a bicycle is long, m
    "depth_spread",  # standard deviation along the line of sight above TRUNK_LOW_M: a body is a surface, a bush is not, m
    "slice_width",  # median over the slices of their extent across the line of sight, m
    "half_x",  # half extents around x and y, m
    "half_y",
)
MEASURE_COUNT = len(MEASURES)
(
    X, Y, RANGE, COUNT, TOP, BOTTOM, HEAD_WIDTH, TRUNK_WIDTH, TRUNK_DEPTH, LENGTH, OCCUPIED_SLICES, CLUTTER, STRUCTURE,
    ATTACHED, LOW_LENGTH, DEPTH_SPREAD, SLICE_WIDTH, HALF_X, HALF_Y,
) = range(MEASURE_COUNT)  # fmt: skip
SLICES = 12  # of 0.2 m


@njit(error_model="numpy")
def nearest_peaks(cell, slot, origin, peaks):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Nearest peak within WINDOW_M of every cell, or -1, and the squared distance to it, m^2."""
    reach = math.ceil(WINDOW_M / CELL_M)
    owner = np.full(len(cell), -1, np.int64)
    nearest = np.full(len(cell), np.float32(WINDOW_M * WINDOW_M))
    for k in range(len(peaks)):
        px, py = peaks[k, 0] - origin, peaks[k, 1] - origin
        column, row = int(px / CELL_M), int(py / CELL_M)
        for c in range(max(column - reach, 0), min(column + reach + 1, slot.shape[0])):
            dx = (c + np.float32(0.5)) * np.float32(CELL_M) - px
            for r in range(max(row - reach, 0), min(row + reach + 1, slot.shape[1])):
                s = slot[c, r]
                if s < 0:
                    continue
                dy = (r + np.float32(0.5)) * np.float32(CELL_M) - py
                squared = dx * dx + dy * dy
                if squared < nearest[s]:
                    owner[s], nearest[s] = k, squared
    return owner, nearest


@njit(error_model="numpy")
def measure_peaks(position, cell_start, cell, tall, cell_top, slot, origin, peaks, owner, nearest, min_points):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    reach = math.ceil(WINDOW_M / CELL_M)
    lists = np.empty((3, (2 * reach + 1) ** 2), np.int64)
    core, rest, high = lists[0], lists[1], lists[2]
    kept = np.empty(len(peaks), np.int64)
    values = np.zeros((len(peaks), MEASURE_COUNT), np.float32)
    room = np.empty((3, len(position)), np.float32)
    used = 0
    for k in range(len(peaks)):
        px, py = peaks[k, 0] - origin, peaks[k, 1] - origin
        column, row = int(px / CELL_M), int(py / CELL_M)
        cores, rests, highs, count, clutter, structure = 0, 0, 0, 0, 0, 0
        top = np.float32(0.0)
        for c in range(max(column - reach, 0), min(column + reach + 1, slot.shape[0])):
            half = HALF_CHORD[abs(c - column)]
            for r in range(max(row - half, 0), min(row + half + 1, slot.shape[1])):
                s = slot[c, r]
                if s < 0:
                    continue
                inside = cell_start[s + 1] - cell_start[s]
                if tall[s]:
                    structure += inside
                    high[highs] = s
                    highs += 1
                elif owner[s] == k:
                    if nearest[s] <= CORE_M * CORE_M:
                        core[cores] = s
                        cores += 1
                        count += inside
                        top = max(top, cell_top[s])
                    elif cell_top[s] > 0.3:
                        clutter += inside
                        rest[rests] = s
                        rests += 1
        if count < min_points or top < 0.8:
            continue
        kept[used] = k
        out = values[used]
        out[COUNT], out[CLUTTER], out[STRUCTURE] = count, clutter, structure
        out[ATTACHED] = _attached(cell_start, cell, core[:cores], high[:highs], column - reach, row - reach)
        _core_shape(position, cell_start, core[:cores], rest[:rests], peaks[k, 0], peaks[k, 1], room, out)
        used += 1
    return kept[:used].copy(), values[:used].copy()


@njit(error_model="numpy")
def _attached(cell_start, cell, core, high, first_column, first_row):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Returns in those of the ``high`` cells that lie within two cells of a ``core`` cell; the window begins at the firsts."""
    side = 2 * math.ceil(WINDOW_M / CELL_M) + 5
    near = np.zeros((side, side), np.bool_)
    if len(high) > 0:
        for s in core:
            column, row = cell[s, 0] - first_column, cell[s, 1] - first_row
            near[column : column + 5, row : row + 5] = True
    returns = 0
    for s in high:
        if near[cell[s, 0] - first_column + 2, cell[s, 1] - first_row + 2]:
            returns += cell_start[s + 1] - cell_start[s]
    return returns


@njit(error_model="numpy")
def _core_shape(position, cell_start, core, rest, px, py, room, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Measures over the returns in the core cells (and the other cells nearest to the peak); ``room``: (3, N) float32."""
    trunk, sum_x, sum_y = 0, 0.0, 0.0
    for s in core:
        for i in range(cell_start[s], cell_start[s + 1]):
            x, y = position[i, 0], position[i, 1]
            if position[i, 2] > np.float32(0.7) and (x - px) ** 2 + (y - py) ** 2 < 0.16:
                sum_x, sum_y, trunk = sum_x + x, sum_y + y, trunk + 1
    cx = np.float32(sum_x / trunk) if trunk > 0 else px
    cy = np.float32(sum_y / trunk) if trunk > 0 else py
    distance = np.float32(math.sqrt(cx * cx + cy * cy))
    out[X], out[Y], out[RANGE] = cx, cy, distance
    count = _gather(position, cell_start, core, cx, cy, room, 0)
    total = _gather(position, cell_start, rest, cx, cy, room, count)
    dx, dy, height = room[0, :total], room[1, :total], room[2, :total]
    out[TOP], out[BOTTOM] = height[:count].max(), height[:count].min()
    diagonal, head_variance = np.float32(0.70710678), 0.0
    for d in range(4):
        ax = np.float32(1.0) if d == 0 else (np.float32(0.0) if d == 1 else diagonal)
        ay = np.float32(0.0) if d == 0 else (np.float32(1.0) if d == 1 else (diagonal if d == 2 else -diagonal))
        low, high, low_length, variance = _along(dx, dy, height, count, out[TOP], ax, ay)
        out[LENGTH], out[LOW_LENGTH] = max(out[LENGTH], high - low), max(out[LOW_LENGTH], low_length)
        head_variance = max(head_variance, variance)
        if d < 2:
            out[HALF_X + d] = max(high, -low)
    out[HEAD_WIDTH] = math.sqrt(12.0 * head_variance)  # exact for an even spread, and a neighbor's arm hardly counts
    scale = np.float32(1.0) / max(distance, np.float32(0.1))
    _trunk(dx[:count], dy[:count], height[:count], cx * scale, cy * scale, out)
    _slices(dx[:count], dy[:count], height[:count], cx * scale, cy * scale, out)


@njit(error_model="numpy")
def _gather(position, cell_start, cells, cx, cy, room, used):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Append x, y from the middle and height of the returns in the cells to the ``used`` ones in ``room``; how many it then has."""
    for s in cells:
        for i in range(cell_start[s], cell_start[s + 1]):
            room[0, used], room[1, used], room[2, used] = position[i, 0] - cx, position[i, 1] - cy, position[i, 2]
            used += 1
    return used


@njit(error_model="numpy", fastmath=True)
def _along(dx, dy, height, count, top, ax, ay):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Along (ax, ay): lowest and highest of the first ``count`` returns; extent of all that are low; variance of head and shoulders.

    Without branches, so that the compiler takes eight returns at a time.
    """
    nine, nothing = np.float32(9.0), np.float32(0.0)
    low, high, low_low, low_high = nine, -nine, nine, -nine
    heads, total, squares = 0.0, 0.0, 0.0
    head_from, near = top - np.float32(HEAD_BAND_M), np.float32(HEAD_RADIUS_M * HEAD_RADIUS_M)
    for i in range(count):
        v, h = dx[i] * ax + dy[i] * ay, height[i]
        low, high = min(low, v), max(high, v)
        low_low = min(low_low, v if h < np.float32(LOW_M) else nine)
        low_high = max(low_high, v if h < np.float32(LOW_M) else -nine)
        head = (h > head_from) & (dx[i] * dx[i] + dy[i] * dy[i] < near)
        part = np.float64(v if head else nothing)
        heads += 1.0 if head else 0.0
        total += part
        squares += part * part
    for i in range(count, len(dx)):
        v, beside = dx[i] * ax + dy[i] * ay, (height[i] > np.float32(0.2)) & (height[i] < np.float32(LOW_M))
        low_low, low_high = min(low_low, v if beside else nine), max(low_high, v if beside else -nine)
    mean = total / max(heads, 1.0)
    return low, high, low_high - low_low, squares / max(heads, 1.0) - mean * mean


@njit(error_model="numpy", fastmath=True)
def _trunk(dx, dy, height, ux, uy, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Extents of the trunk across and along the line of sight (ux, uy), and its spread along it."""
    nine = np.float32(9.0)
    left, right, front, back = nine, -nine, nine, -nine
    count, total, squares = 0.0, 0.0, 0.0
    for i in range(len(dx)):
        across, depth, here = dy[i] * ux - dx[i] * uy, dx[i] * ux + dy[i] * uy, height[i] > np.float32(TRUNK_LOW_M)
        left, right = min(left, across if here else nine), max(right, across if here else -nine)
        front, back = min(front, depth if here else nine), max(back, depth if here else -nine)
        part = np.float64(depth if here else np.float32(0.0))
        count += 1.0 if here else 0.0
        total += part
        squares += part * part
    out[TRUNK_WIDTH], out[TRUNK_DEPTH] = max(right - left, np.float32(0.0)), max(back - front, np.float32(0.0))
    if count > 1.0:
        out[DEPTH_SPREAD] = math.sqrt(max(squares / count - (total / count) ** 2, 0.0))


@njit(error_model="numpy")
def _slices(dx, dy, height, ux, uy, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """How many slices of 0.2 m have returns, and the median of their extents across the line of sight (ux, uy)."""
    low, high = np.full(SLICES, np.float32(9.0)), np.full(SLICES, np.float32(-9.0))
    for i in range(len(dx)):
        across, layer = dy[i] * ux - dx[i] * uy, min(int(height[i] * np.float32(5.0)), SLICES - 1)
        low[layer], high[layer] = min(low[layer], across), max(high[layer], across)
    used = 0
    for layer in range(SLICES):
        if high[layer] >= low[layer]:
            low[used] = high[layer] - low[layer]  # the slots up to here are read
            used += 1
    out[OCCUPIED_SLICES] = used
    if used > 0:
        out[SLICE_WIDTH] = median_of_few(low, used)


@njit(error_model="numpy")
def collect_members(index, cell_start, tall, slot, origin, peaks, owner, chosen):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    reach = math.ceil(CORE_M / CELL_M)
    splits = np.zeros(len(chosen) + 1, np.int64)
    out = np.empty(len(index), np.int64)
    used = 0
    for n in range(len(chosen)):
        px, py = peaks[chosen[n], 0] - origin, peaks[chosen[n], 1] - origin
        column, row = int(px / CELL_M), int(py / CELL_M)
        for c in range(max(column - reach, 0), min(column + reach + 1, slot.shape[0])):
            for r in range(max(row - reach, 0), min(row + reach + 1, slot.shape[1])):
                s = slot[c, r]
                if s < 0 or tall[s] or owner[s] != chosen[n]:
                    continue
                dx, dy = (c + 0.5) * CELL_M - px, (r + 0.5) * CELL_M - py
                if dx * dx + dy * dy <= CORE_M * CORE_M:
                    for i in range(cell_start[s], cell_start[s + 1]):
                        out[used] = index[i]
                        used += 1
        splits[n + 1] = used
    return out[:used].copy(), splits
