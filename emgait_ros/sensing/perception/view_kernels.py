"""Compiled inner loops of the views: returns sorted by direction, and what the sensor sees around each place."""

from __future__ import annotations

import math

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.sensing.perception.clusters import CELL_M
from emgait_ros.sensing.perception.ground_kernels import DIRECTIONS

MOST_RAYS = 1200  # looked at in one view, drawn evenly; fewer than that is rarely more than a person has at 10 m
FRONT_ROWS, FRONT_COLUMNS, FRONT_CHANNELS = 16, 20, 6
FRONT_ROW_M, FRONT_COLUMN_M, FRONT_LOW_M = 0.16, 0.09, -0.16
NEAR_M = 0.6  # returns this near to the place, along the line of sight, are on it
TOP_CELLS, TOP_CELL_M, TOP_CHANNELS = 16, 0.15, 2
TOP_FULL = 32  # returns in a cell that count as many


@njit(error_model="numpy")
def sort_by_direction(points, direction):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Counting sort of the returns by direction: (DIRECTIONS + 1,) starts and (M, 3) x, y, z, m."""
    start = np.zeros(DIRECTIONS + 1, np.int64)
    for s in direction:
        if s >= 0:
            start[s + 1] += 1
    for s in range(DIRECTIONS):
        start[s + 1] += start[s]
    fill = start[:-1].copy()
    out = np.empty((start[DIRECTIONS], 3), np.float32)
    for i in range(len(points)):
        if direction[i] < 0:
            continue
        at = fill[direction[i]]
        fill[direction[i]] += 1
        out[at, 0], out[at, 1], out[at, 2] = points[i, 0], points[i, 1], points[i, 2]
    return start, out


@njit(error_model="numpy", fastmath=True)
def front_views(rays, start, x, y, floor):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """(K, FRONT_CHANNELS, rows, columns) float32: what the lines of sight through each upright window end on.

    Channels: parts of them that end on the place, beyond and before it; depth of the returns on it (mean, spread); whether
    anything is known.
    """
    one, near = np.float32(1.0), np.float32(NEAR_M)
    half, low = np.float32(FRONT_COLUMNS * FRONT_COLUMN_M / 2), np.float32(FRONT_LOW_M)
    rows_per_m, columns_per_m = np.float32(1.0 / FRONT_ROW_M), np.float32(1.0 / FRONT_COLUMN_M)
    height = np.float32(FRONT_ROWS * FRONT_ROW_M)
    out = np.zeros((len(x), FRONT_CHANNELS, FRONT_ROWS, FRONT_COLUMNS), np.float32)
    for k in range(len(x)):
        r = np.float32(math.sqrt(x[k] * x[k] + y[k] * y[k]))
        if r < np.float32(0.5):
            continue
        ux, uy, ground = np.float32(x[k]) / r, np.float32(y[k]) / r, np.float32(floor[k]) + low
        middle = (math.atan2(y[k], x[k]) + math.pi) * DIRECTIONS / (2 * math.pi)
        reach = math.atan(half / r) * DIRECTIONS / (2 * math.pi)
        view = out[k]
        first, last = math.floor(middle - reach), math.floor(middle + reach)
        rays_here = 0
        for step in range(first, last + 1):
            rays_here += start[step % DIRECTIONS + 1] - start[step % DIRECTIONS]
        kept = 65536 * MOST_RAYS // max(rays_here, MOST_RAYS)
        for step in range(first, last + 1):
            s = step % DIRECTIONS
            for i in range(start[s], start[s + 1]):
                if (i * 40503) & 65535 >= kept:
                    continue
                along = rays[i, 0] * ux + rays[i, 1] * uy
                if along < np.float32(0.1):
                    continue
                away = along - r
                on = abs(away) <= near
                scale = one if on else r / along
                u = (rays[i, 1] * ux - rays[i, 0] * uy) * scale + half
                h = rays[i, 2] * scale - ground
                if h < 0 or h >= height or u < 0 or u >= 2 * half:
                    continue
                row, column = int(h * rows_per_m), min(int(u * columns_per_m), FRONT_COLUMNS - 1)
                if on:
                    view[0, row, column] += one
                    view[3, row, column] += away
                    view[4, row, column] += away * away
                elif away > 0:
                    view[1, row, column] += one
                else:
                    view[2, row, column] += one
        for row in range(FRONT_ROWS):
            for column in range(FRONT_COLUMNS):
                seen = view[0, row, column]
                total = seen + view[1, row, column] + view[2, row, column]
                if total == 0.0:
                    continue
                view[5, row, column] = one
                if seen > 0.0:
                    mean = view[3, row, column] / seen
                    view[3, row, column] = mean / near
                    spread = view[4, row, column] / seen - mean * mean
                    view[4, row, column] = np.float32(math.sqrt(max(spread, np.float32(0.0)))) / near
                for channel in range(3):
                    view[channel, row, column] /= total
    return out


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
                out[k, 0, i, j] = math.log1p(out[k, 0, i, j]) / math.log1p(TOP_FULL)
    return out
