"""Compiled inner loops of cluttered scenes: rays against uneven ground and against leaves, glass, and drops in the air."""

# ruff: noqa: NPY002 - compiled code has no Generator that could be seeded inside it

from __future__ import annotations

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.samples import Float32, Float64

FARTHEST_GROUND_M = 130.0


@njit(nogil=True)
def _bump(bumps: Float32, cell_m: float, x: float, y: float) -> float:
    """Height of the uneven ground at a place: bilinear in a square grid around the origin, which repeats."""
    size = len(bumps)
    u, v = x / cell_m, y / cell_m
    i, j = int(np.floor(u)), int(np.floor(v))
    a, b = u - i, v - j
    i, j = i % size, j % size
    k, n = (i + 1) % size, (j + 1) % size
    return (1 - a) * ((1 - b) * bumps[i, j] + b * bumps[i, n]) + a * ((1 - b) * bumps[k, j] + b * bumps[k, n])


@njit(nogil=True)
def cast_ground_surface(
    elevations: Float64,
    step: float,
    first_column: int,
    turn: Float64,
    origin: Float64,
    slope: Float64,
    kerb: Float64,
    bumps: Float32,
    cell_m: float,
    distance: Float32,
) -> None:
    """Range to the ground along every ray, where it is nearer than ``distance``.

    Args:
        turn, origin: (3, 3) LiDAR axes in the world, (3,) its place.
        slope: (2,) rise of the ground along x and y.
        kerb: (left, right, rise): the ground is higher by ``rise`` where y > left or y < right.
        bumps: (G, G) heights on a grid of ``cell_m``, m.
    """
    beams, columns = distance.shape
    for column in range(columns):
        azimuth = (first_column + column + 0.5) * step - np.pi
        cosine, sine = np.cos(azimuth), np.sin(azimuth)
        for beam in range(beams):
            level = np.cos(elevations[beam])
            a, b, c = level * cosine, level * sine, np.sin(elevations[beam])
            dx = turn[0, 0] * a + turn[0, 1] * b + turn[0, 2] * c
            dy = turn[1, 0] * a + turn[1, 1] * b + turn[1, 2] * c
            dz = turn[2, 0] * a + turn[2, 1] * b + turn[2, 2] * c
            fall = dz - slope[0] * dx - slope[1] * dy
            if fall > -0.008:
                continue
            height = origin[2] - slope[0] * origin[0] - slope[1] * origin[1]
            upper = (kerb[2] - height) / fall
            lower = -height / fall
            y = origin[1] + upper * dy
            if y > kerb[0] or y < kerb[1]:
                t, raised = upper, kerb[2]
            else:
                y = origin[1] + lower * dy
                t, raised = lower, 0.0
                if y > kerb[0] or y < kerb[1]:  # the face of the kerb
                    edge = kerb[0] if y > kerb[0] else kerb[1]
                    t, raised = (edge - origin[1]) / dy, -1.0
            if raised >= 0.0:
                for _ in range(3):
                    bump = _bump(bumps, cell_m, origin[0] + t * dx, origin[1] + t * dy)
                    new = (raised + bump - height) / fall
                    t = min(max(new, 0.8 * t), 1.25 * t)
            if 0.0 < t < min(distance[beam, column], FARTHEST_GROUND_M):
                distance[beam, column] = t


@njit(nogil=True)
def cast_leaves(
    leaves: Float64,
    owners: np.ndarray,
    elevations: Float64,
    step: float,
    turn_columns: int,
    first_column: int,
    distance: Float32,
    triangle: np.ndarray,
    seed: int,
) -> None:
    """Draw ellipsoids of leaves (L, 7; centers in the LiDAR frame) with numbers ``owners`` (L,) into a range image.

    Each ray goes through a random length of leaves, exponential with the density, before it hits one.
    """
    np.random.seed(seed)
    width = distance.shape[1]
    for number in range(len(leaves)):
        cx, cy, cz, rx, ry, rz, density = leaves[number]
        level = np.sqrt(cx * cx + cy * cy)
        reach = max(rx, ry)
        if level < reach * 1.02:
            half, low, high = np.pi, -np.pi / 2, np.pi / 2
        else:
            half = np.arcsin(reach / level)
            near = level - reach
            far = level + reach
            low = np.arctan2(cz - rz, near if cz - rz < 0 else far)
            high = np.arctan2(cz + rz, near if cz + rz > 0 else far)
        beam_from, beam_to = np.searchsorted(elevations, low), np.searchsorted(elevations, high)
        middle = np.arctan2(cy, cx)
        column_from = int(np.ceil((middle - half + np.pi) / step - 0.5))
        column_to = int(np.floor((middle + half + np.pi) / step - 0.5)) + 1
        column_to = min(column_to, column_from + turn_columns)
        for column in range(column_from, column_to):
            inside = (column - first_column) % turn_columns
            if inside >= width:
                continue
            azimuth = (column + 0.5) * step - np.pi
            cosine, sine = np.cos(azimuth), np.sin(azimuth)
            for beam in range(beam_from, beam_to):
                flat = np.cos(elevations[beam])
                dx, dy, dz = flat * cosine / rx, flat * sine / ry, np.sin(elevations[beam]) / rz
                ex, ey, ez = cx / rx, cy / ry, cz / rz
                a = dx * dx + dy * dy + dz * dz
                b = dx * ex + dy * ey + dz * ez
                root = b * b - a * (ex * ex + ey * ey + ez * ez - 1.0)
                if root <= 0.0:
                    continue
                root = np.sqrt(root)
                t = max((b - root) / a, 0.0) - np.log(1.0 - np.random.random()) / density
                if 0.3 < t < min((b + root) / a, distance[beam, inside]):
                    distance[beam, inside] = t
                    triangle[beam, inside] = owners[number]


@njit(nogil=True)
def see_glass(
    distance: Float32, triangle: np.ndarray, glass: Float32, glass_triangle: np.ndarray, share: float, seed: int
) -> None:
    """Put the panes of a range image of glass into the scene's: a beam is returned by the share of them, else passes."""
    np.random.seed(seed)
    beams, columns = distance.shape
    for beam in range(beams):
        for column in range(columns):
            if glass[beam, column] < distance[beam, column] and np.random.random() < share:
                distance[beam, column] = glass[beam, column]
                triangle[beam, column] = glass_triangle[beam, column]


@njit(nogil=True)
def drops_in_the_air(
    distance: Float32, triangle: np.ndarray, share: float, depth_m: float, number: int, seed: int
) -> None:
    """Rain, snow or dust: a share of the rays ends in the air, nearby more often than far off."""
    np.random.seed(seed)
    beams, columns = distance.shape
    for beam in range(beams):
        for column in range(columns):
            if np.random.random() < share:
                t = 0.8 - depth_m * np.log(1.0 - np.random.random())
                if t < distance[beam, column]:
                    distance[beam, column] = t
                    triangle[beam, column] = number
