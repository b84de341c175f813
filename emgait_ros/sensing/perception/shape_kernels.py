"""Compiled inner loops of the shapes: nearest peak of each cell, measures, members."""

from __future__ import annotations

import math

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.sensing.perception.clusters import CELL_M

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
    core = np.empty((2 * reach + 1) ** 2, np.int64)
    rest = np.empty((2 * reach + 1) ** 2, np.int64)
    high = np.empty((2 * reach + 1) ** 2, np.int64)
    kept = np.empty(len(peaks), np.int64)
    values = np.empty((len(peaks), MEASURE_COUNT), np.float32)
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
        values[used] = _core_shape(position, cell_start, core[:cores], rest[:rests], peaks[k, 0], peaks[k, 1])
        attached = 0
        for s in high[:highs]:
            if _touches(k, cell[s, 0], cell[s, 1], slot, tall, owner, nearest):
                attached += cell_start[s + 1] - cell_start[s]
        values[used, COUNT], values[used, CLUTTER], values[used, STRUCTURE], values[used, ATTACHED] = (
            count,
            clutter,
            structure,
            attached,
        )
        used += 1
    return kept[:used].copy(), values[:used].copy()


@njit(error_model="numpy")
def _touches(k, column, row, slot, tall, owner, nearest):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Whether a core cell of peak k lies within two cells."""
    for c in range(max(column - 2, 0), min(column + 3, slot.shape[0])):
        for r in range(max(row - 2, 0), min(row + 3, slot.shape[1])):
            s = slot[c, r]
            if s >= 0 and not tall[s] and owner[s] == k and nearest[s] <= CORE_M * CORE_M:
                return True
    return False


@njit(error_model="numpy")
def _core_shape(position, cell_start, core, rest, px, py):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Measures over the returns in the core cells (and the other cells nearest to the peak), in the order of MEASURES."""
    out = np.zeros(MEASURE_COUNT, np.float32)
    top, bottom = np.float32(0.0), np.float32(9.0)
    sum_x, sum_y, trunk = 0.0, 0.0, 0
    for s in core:
        for i in range(cell_start[s], cell_start[s + 1]):
            x, y, h = position[i, 0], position[i, 1], position[i, 2]
            top, bottom = max(top, h), min(bottom, h)
            if h > np.float32(0.7) and (x - px) ** 2 + (y - py) ** 2 < 0.16:
                sum_x += x
                sum_y += y
                trunk += 1
    cx = np.float32(sum_x / trunk) if trunk > 0 else px
    cy = np.float32(sum_y / trunk) if trunk > 0 else py
    distance = np.float32(math.sqrt(cx * cx + cy * cy))
    ux, uy = cx / max(distance, np.float32(0.1)), cy / max(distance, np.float32(0.1))
    # extents in 4 directions of: 0-3 all, 8-11 what is low; 12 trunk across, 13 trunk along
    low, high = np.full(14, np.float32(9.0)), np.full(14, np.float32(-9.0))
    slice_low, slice_high = np.full(SLICES, np.float32(9.0)), np.full(SLICES, np.float32(-9.0))
    along = np.zeros(4, np.float32)
    diagonal = np.float32(0.70710678)
    depth_sum, depth_squares, trunk = 0.0, 0.0, 0
    head_sum, head_squares, heads = np.zeros(4), np.zeros(4), 0
    for s in core:
        for i in range(cell_start[s], cell_start[s + 1]):
            dx, dy, h = position[i, 0] - cx, position[i, 1] - cy, position[i, 2]
            across, depth = dy * ux - dx * uy, dx * ux + dy * uy
            layer = min(int(h * np.float32(5.0)), SLICES - 1)
            slice_low[layer], slice_high[layer] = min(slice_low[layer], across), max(slice_high[layer], across)
            along[0], along[1] = dx, dy
            along[2], along[3] = (dx + dy) * diagonal, (dx - dy) * diagonal
            head = h > top - np.float32(HEAD_BAND_M) and dx * dx + dy * dy < np.float32(HEAD_RADIUS_M * HEAD_RADIUS_M)
            heads += head
            for d in range(4):
                low[d], high[d] = min(low[d], along[d]), max(high[d], along[d])
                if head:
                    head_sum[d] += along[d]
                    head_squares[d] += along[d] * along[d]
                if h < np.float32(LOW_M):
                    low[8 + d], high[8 + d] = min(low[8 + d], along[d]), max(high[8 + d], along[d])
            if h > np.float32(TRUNK_LOW_M):
                low[12], high[12] = min(low[12], across), max(high[12], across)
                low[13], high[13] = min(low[13], depth), max(high[13], depth)
                depth_sum += depth
                depth_squares += depth * depth
                trunk += 1
    out[HALF_X], out[HALF_Y] = max(high[0], -low[0]), max(high[1], -low[1])
    for s in rest:
        for i in range(cell_start[s], cell_start[s + 1]):
            if np.float32(0.2) < position[i, 2] < np.float32(LOW_M):
                dx, dy = position[i, 0] - cx, position[i, 1] - cy
                along[0], along[1] = dx, dy
                along[2], along[3] = (dx + dy) * diagonal, (dx - dy) * diagonal
                for d in range(4):
                    low[8 + d], high[8 + d] = min(low[8 + d], along[d]), max(high[8 + d], along[d])
    extent = np.maximum(high - low, np.float32(0.0))
    used = slice_high >= slice_low
    out[X], out[Y], out[RANGE] = cx, cy, distance
    out[TOP], out[BOTTOM] = top, bottom
    spread = head_squares / max(heads, 1) - (head_sum / max(heads, 1)) ** 2
    out[HEAD_WIDTH] = math.sqrt(
        12.0 * max(spread.max(), 0.0)
    )  # exact for an even spread, and a neighbor's arm hardly counts
    out[TRUNK_WIDTH], out[TRUNK_DEPTH], out[LENGTH] = extent[12], extent[13], extent[:4].max()
    out[OCCUPIED_SLICES] = used.sum()
    out[LOW_LENGTH] = extent[8:12].max()
    if trunk > 1:
        out[DEPTH_SPREAD] = math.sqrt(max(depth_squares / trunk - (depth_sum / trunk) ** 2, 0.0))
    if used.any():
        out[SLICE_WIDTH] = np.median((slice_high - slice_low)[used])
    return out


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
