"""Compiled inner loops of the views: returns sorted by direction, and what the sensor sees around each place."""

from __future__ import annotations

import math

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.sensing.perception.clusters import CELL_M
from emgait_ros.sensing.perception.ground_kernels import DIRECTIONS

MOST_RAYS = 1200  # looked at in one view, drawn evenly; fewer than that is rarely more than a person has at 10 m
DRAW = 40503  # odd, near 65536 times the golden ratio: its multiples are spread evenly
FRONT_ROWS, FRONT_COLUMNS, FRONT_CHANNELS = 16, 20, 6
FRONT_CELLS = FRONT_ROWS * FRONT_COLUMNS
FRONT_ROW_M, FRONT_COLUMN_M, FRONT_LOW_M = 0.16, 0.09, -0.16
NEAR_M = 0.6  # returns this near to the place, along the line of sight, are on it
TOP_CELLS, TOP_CELL_M, TOP_CHANNELS = 16, 0.15, 2
TOP_FULL = 32  # returns in a cell that count as many


@njit(error_model="numpy")
def directions_of(x, y):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """(K, 2) int64 the first and the last direction of the windows at these places; the last is before the first where
    a window lies across the seam of the turn. -1, -1: too near for a view."""
    half, per_radian = np.float32(FRONT_COLUMNS * FRONT_COLUMN_M / 2), DIRECTIONS / (2 * math.pi)
    out = np.full((len(x), 2), -1, np.int64)
    for k in range(len(x)):
        r = np.float32(math.sqrt(x[k] * x[k] + y[k] * y[k]))
        if r < np.float32(0.5):
            continue
        middle, reach = (math.atan2(y[k], x[k]) + math.pi) * per_radian, math.atan(half / r) * per_radian
        out[k, 0], out[k, 1] = math.floor(middle - reach) % DIRECTIONS, math.floor(middle + reach) % DIRECTIONS
    return out


@njit(error_model="numpy")
def sort_by_direction(points, direction, windows):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Counting sort by direction of the returns in the ``windows`` of :func:`directions_of`.

    Returns:
        (DIRECTIONS + 1,) starts in the whole cloud, sorted; (DIRECTIONS,) starts in what is returned, and that: (M, 3) x, y, z, m.
    """
    looked_at = np.zeros(DIRECTIONS + 1, np.bool_)  # the last one: not finite, direction -1
    for first, last in windows:
        if first >= 0:
            looked_at[first : last + 1 if last >= first else DIRECTIONS] = True
            looked_at[: last + 1 if last < first else 0] = True
    kept, index = 0, np.empty(len(direction) + 1, np.int32)
    start, begin = np.zeros(DIRECTIONS + 2, np.int64), np.zeros(DIRECTIONS + 1, np.int64)
    for i in range(len(direction)):
        start[direction[i] + 1] += 1
        index[kept] = i
        kept += looked_at[direction[i]]
    start[0] = 0
    for s in range(DIRECTIONS):
        begin[s + 1] = begin[s] + (start[s + 1] if looked_at[s] else 0)
        start[s + 1] += start[s]
    fill = begin.copy()
    out = np.empty((kept, 3), np.float32)
    for i in index[:kept]:
        at = fill[direction[i]]
        fill[direction[i]] += 1
        out[at, 0], out[at, 1], out[at, 2] = points[i, 0], points[i, 1], points[i, 2]
    return start[:-1], begin[:-1], out


@njit(error_model="numpy")
def front_views(points, direction, x, y, floor):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """(K, FRONT_CHANNELS, rows, columns) float32: what the lines of sight through each upright window end on.

    Channels: parts of them that end on the place, beyond and before it; depth of the returns on it (mean, spread); whether
    anything is known.
    """
    out = np.zeros((len(x), FRONT_CHANNELS, FRONT_ROWS, FRONT_COLUMNS), np.float32)
    sums = np.empty((5, FRONT_CELLS + 1), np.float32)
    windows = directions_of(x, y)
    start, packed, rays = sort_by_direction(points, direction, windows)
    for k in range(len(x)):
        first, last = windows[k]
        if first < 0:
            continue
        begin, end = start[first], start[last + 1]
        seam = end if last >= first else start[DIRECTIONS]  # of the turn: the rest of the window lies beyond
        rays_here = seam - begin + (0 if last >= first else end)
        kept = 65536 * MOST_RAYS // max(rays_here, MOST_RAYS)
        sums[:] = 0.0
        _look(rays[packed[first] :], begin, seam, kept, x[k], y[k], floor[k], sums)
        if last < first:
            _look(rays, 0, end, kept, x[k], y[k], floor[k], sums)
        _shares(sums, out[k].reshape(FRONT_CHANNELS, FRONT_CELLS))
    return out


@njit(error_model="numpy")
def drawn(begin, end, kept):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """(n,) int64 the numbers from ``begin`` to ``end`` whose multiple of DRAW leaves less than ``kept`` of 65536.

    There are but three distances from one to the next (three-gap theorem): what first goes on by less than ``kept``, what
    first goes back by less, and the sum of both.
    """
    out = np.empty(max(end - begin, 0), np.int64)
    count, i, on, back = 0, begin, 1, 1
    while i < end and (i * DRAW) & 65535 >= kept:
        i += 1
    while (on * DRAW) & 65535 >= kept:
        on += 1
    while (-back * DRAW) & 65535 >= kept:
        back += 1
    up, down, left = (on * DRAW) & 65535, (-back * DRAW) & 65535, (i * DRAW) & 65535
    while i < end:
        out[count] = i
        count += 1
        if left + up < kept and (on < back or left < down):
            i, left = i + on, left + up
        elif left >= down:
            i, left = i + back, left - down
        else:
            i, left = i + on + back, left + up - down
    return out[:count]


@njit(error_model="numpy", fastmath=True)
def _look(rays, begin, end, kept, x, y, floor, sums):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Add the drawn of ``rays``, which are those from ``begin`` to ``end``, to the ``sums`` (5, cells + 1) of a view: how many end on the place, beyond and before it, depth, depth squared.

    The last cell takes those that miss the window: no branch, which the processor could not foretell.
    """
    near, half = np.float32(NEAR_M), np.float32(FRONT_COLUMNS * FRONT_COLUMN_M / 2)
    rows_per_m, columns_per_m = np.float32(1.0 / FRONT_ROW_M), np.float32(1.0 / FRONT_COLUMN_M)
    r = np.float32(math.sqrt(x * x + y * y))
    ux, uy, ground = np.float32(x) / r, np.float32(y) / r, np.float32(floor) + np.float32(FRONT_LOW_M)
    for i in drawn(begin, end, kept):
        ray = rays[i - begin]
        along = ray[0] * ux + ray[1] * uy
        away = along - r
        on = abs(away) <= near
        scale = np.float32(1.0) if on else r / max(along, np.float32(0.1))
        row = ((ray[2] * scale) - ground) * rows_per_m
        column = ((ray[1] * ux - ray[0] * uy) * scale + half) * columns_per_m
        inside = (row >= 0) & (row < FRONT_ROWS) & (column >= 0) & (column < FRONT_COLUMNS)
        inside &= along >= np.float32(0.1)
        cell = int(row) * FRONT_COLUMNS + int(column) if inside else FRONT_CELLS
        sums[0 if on else (1 if away > 0 else 2), cell] += np.float32(1.0)
        if on:
            sums[3, cell] += away
            sums[4, cell] += away * away


@njit(error_model="numpy")
def _shares(sums, view):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """What :func:`_look` added up as the channels of a view (FRONT_CHANNELS, cells)."""
    for cell in range(FRONT_CELLS):
        seen = sums[0, cell]
        total = seen + sums[1, cell] + sums[2, cell]
        if total == 0.0:
            continue
        for channel in range(3):
            view[channel, cell] = sums[channel, cell] / total
        view[5, cell] = 1.0
        if seen > 0.0:
            mean = sums[3, cell] / seen
            view[3, cell] = mean / np.float32(NEAR_M)
            spread = sums[4, cell] / seen - mean * mean
            view[4, cell] = np.float32(math.sqrt(max(spread, np.float32(0.0)))) / np.float32(NEAR_M)


@njit(error_model="numpy")
def top_views(start, top, slot, origin, x, y):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """(K, TOP_CHANNELS, cells, cells) float32: occupancy (log of the returns) and highest return (of 2.8 m) around each place.

    Rows along the line of sight, columns across it, the place in the middle.
    """
    out = np.zeros((len(x), TOP_CHANNELS, TOP_CELLS, TOP_CELLS), np.float32)
    half = TOP_CELLS * TOP_CELL_M / 2
    reach = math.ceil(half * 1.4143 / CELL_M)
    for k in range(len(x)):
        r = max(math.sqrt(x[k] * x[k] + y[k] * y[k]), 0.1)
        ux, uy = x[k] / r, y[k] / r
        column, row = int((x[k] - origin) / CELL_M), int((y[k] - origin) / CELL_M)
        for c in range(max(column - reach, 0), min(column + reach + 1, slot.shape[0])):
            dx = (c + 0.5) * CELL_M + origin - x[k]
            for q in range(max(row - reach, 0), min(row + reach + 1, slot.shape[1])):
                s = slot[c, q]
                if s < 0:
                    continue
                dy = (q + 0.5) * CELL_M + origin - y[k]
                along, across = (
                    math.floor((dx * ux + dy * uy + half) / TOP_CELL_M),
                    math.floor((dy * ux - dx * uy + half) / TOP_CELL_M),
                )
                if along < 0 or along >= TOP_CELLS or across < 0 or across >= TOP_CELLS:
                    continue
                out[k, 0, along, across] += start[s + 1] - start[s]
                out[k, 1, along, across] = max(out[k, 1, along, across], top[s] / 2.8)
        for i in range(TOP_CELLS):
            for j in range(TOP_CELLS):
                if out[k, 0, i, j] > 0.0:
                    out[k, 0, i, j] = math.log1p(out[k, 0, i, j]) / math.log1p(TOP_FULL)
    return out
