"""Compiled inner loops of the LiDAR: rays against triangles, and imperfections of each return."""

# ruff: noqa: NPY002 - compiled code has no Generator that could be seeded inside it

from __future__ import annotations

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.samples import Float32, Float64


@njit(nogil=True)
def report_returns(
    distance: Float32,
    triangle: np.ndarray,
    reflectivity: Float32,
    object_id: np.ndarray,
    sensor: tuple[float, float, float, float, float, float, float],
    seed: int,
) -> tuple[np.ndarray, np.ndarray, Float64, Float64, np.ndarray]:
    """Beam, column, range, reflected fraction and owner of each return, with the sensor's imperfections.

    Where a ray's right neighbor lies 0.15 to 2.5 m in front or behind, the beam may return something in between;
    wider gaps give two separate echoes, of which the nearer counts.
    """
    nearest, farthest, mixed, dropout, dropout_far, noise, noise_per_m = sensor
    np.random.seed(seed)  # numba knows no Generator that is seeded inside compiled code
    beams, columns = distance.shape
    total = 0
    for beam in range(beams):
        for column in range(columns):
            if distance[beam, column] < np.inf:
                total += 1
    at_beam, at_column = np.empty(total, np.int64), np.empty(total, np.int64)
    found, reflected, owner = np.empty(total), np.empty(total), np.empty(total, np.int32)
    used = 0
    for beam in range(beams):
        for column in range(columns):
            r = float(distance[beam, column])
            if not (nearest <= r <= farthest):
                continue
            if mixed > 0 and column + 1 < columns:
                gap = abs(float(distance[beam, column + 1]) - r)
                if 0.15 < gap < 2.5 and np.random.random() < mixed:
                    r += (float(distance[beam, column + 1]) - r) * np.random.random() ** 2
            hit = triangle[beam, column]
            reflects = 0.22 if hit < 0 else float(reflectivity[hit])
            lost = dropout + dropout_far * (r / 50.0) ** 2 * (0.5 / min(max(reflects, 0.1), 1.0))
            if lost > 0 and np.random.random() < lost:
                continue
            if noise > 0:
                r += np.random.normal() * (noise + noise_per_m * r)
                reflects *= 1 + 0.08 * np.random.normal()
            at_beam[used], at_column[used], found[used], reflected[used] = beam, column, r, reflects
            owner[used] = 0 if hit < 0 else object_id[hit]
            used += 1
    return at_beam[:used], at_column[:used], found[:used], reflected[:used], owner[:used]


@njit(nogil=True)
def _horizontal_distance(ax: float, ay: float, bx: float, by: float) -> float:
    """Distance of the origin from the segment a-b in the plane."""
    dx, dy = bx - ax, by - ay
    length = dx * dx + dy * dy
    part = 0.0 if length < 1e-12 else min(max(-(ax * dx + ay * dy) / length, 0.0), 1.0)
    x, y = ax + part * dx, ay + part * dy
    return np.sqrt(x * x + y * y)


@njit(nogil=True)
def cast_triangles(
    vertices: Float32,
    faces: np.ndarray,
    closed: bool,
    elevations: Float64,
    step: float,
    columns: int,
    first_column: int,
    distance: Float32,
    triangle: np.ndarray,
    first_triangle: int,
) -> None:
    width = distance.shape[1]
    tangents = np.tan(elevations)
    cosines, sines = np.cos(elevations), np.sin(elevations)
    for number in range(len(faces)):
        ax, ay, az = vertices[faces[number, 0]]
        bx, by, bz = vertices[faces[number, 1]]
        cx, cy, cz = vertices[faces[number, 2]]
        e1x, e1y, e1z = bx - ax, by - ay, bz - az
        e2x, e2y, e2z = cx - ax, cy - ay, cz - az
        nx, ny, nz = e1y * e2z - e1z * e2y, e1z * e2x - e1x * e2z, e1x * e2y - e1y * e2x
        plane = nx * ax + ny * ay + nz * az
        if closed and plane >= 0:
            continue
        s1, s2, s3 = ax * by - ay * bx, bx * cy - by * cx, cx * ay - cy * ax
        around = (s1 >= 0 and s2 >= 0 and s3 >= 0) or (s1 <= 0 and s2 <= 0 and s3 <= 0)
        farthest = np.sqrt(max(ax * ax + ay * ay, bx * bx + by * by, cx * cx + cy * cy))
        nearest = 0.0
        if not around:
            nearest = min(
                _horizontal_distance(ax, ay, bx, by),
                _horizontal_distance(bx, by, cx, cy),
                _horizontal_distance(cx, cy, ax, ay),
            )
        high, low = max(az, bz, cz), min(az, bz, cz)
        top = high / max(nearest if high > 0 else farthest, 1e-6)
        bottom = low / max(nearest if low < 0 else farthest, 1e-6)
        beam_from = np.searchsorted(tangents, bottom - 1e-6)
        beam_to = np.searchsorted(tangents, top + 1e-6)
        if beam_from >= beam_to:
            continue
        if around:
            column_from, column_to = 0, columns
        else:
            start = np.arctan2(ay, ax)
            to_b = np.arctan2(by, bx) - start
            to_c = np.arctan2(cy, cx) - start
            to_b -= 2 * np.pi * np.round(to_b / (2 * np.pi))
            to_c -= 2 * np.pi * np.round(to_c / (2 * np.pi))
            left = (start + min(0.0, to_b, to_c) + np.pi) / step - 0.5
            right = (start + max(0.0, to_b, to_c) + np.pi) / step - 0.5
            column_from, column_to = int(np.ceil(left - 1e-6)), int(np.floor(right + 1e-6)) + 1
        if column_from >= column_to:
            continue
        for column in range(column_from, column_to):
            inside = (column - first_column) % columns
            if inside >= width:
                continue
            azimuth = (column + 0.5) * step - np.pi
            forward, left_part = np.cos(azimuth), np.sin(azimuth)
            for beam in range(beam_from, beam_to):
                dx, dy, dz = cosines[beam] * forward, cosines[beam] * left_part, sines[beam]
                facing = nx * dx + ny * dy + nz * dz
                if facing == 0.0:
                    continue
                t = plane / facing
                if t <= 0.0 or t >= distance[beam, inside]:
                    continue
                # Inside test by the signs of the triple products d . (p x q) over the three edges.
                u = dx * (ay * bz - az * by) + dy * (az * bx - ax * bz) + dz * (ax * by - ay * bx)
                v = dx * (by * cz - bz * cy) + dy * (bz * cx - bx * cz) + dz * (bx * cy - by * cx)
                w = dx * (cy * az - cz * ay) + dy * (cz * ax - cx * az) + dz * (cx * ay - cy * ax)
                if (u >= 0 and v >= 0 and w >= 0) or (u <= 0 and v <= 0 and w <= 0):
                    distance[beam, inside] = t
                    triangle[beam, inside] = first_triangle + number
