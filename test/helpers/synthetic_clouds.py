"""Clouds built from ground, cylinders and boxes, sampled like a spinning 64-beam LiDAR 1.73 m over the ground."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

SENSOR_HEIGHT_M = 1.73
Solid = tuple[
    str, tuple[float, ...]
]  # ("cylinder", (x, y, radius, bottom, top)) or ("box", (x0, x1, y0, y1, bottom, top))


def person(x: float, y: float, height: float = 1.75) -> list[Solid]:
    """Two legs, a trunk and a head; metres over the ground."""
    hip, shoulder = 0.48 * height, 0.83 * height
    return [
        ("cylinder", (x - 0.1, y - 0.1, 0.08, 0.0, hip)),
        ("cylinder", (x + 0.1, y + 0.1, 0.08, 0.0, hip)),
        ("cylinder", (x, y, 0.2, hip, shoulder)),
        ("cylinder", (x, y, 0.1, shoulder, height)),
    ]


def scan(
    solids: Sequence[Solid] = (),
    ground: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    azimuth_step_deg: float = 0.2,
    beams: int = 64,
    seed: int = 0,
    max_range_m: float = 70.0,
) -> np.ndarray:
    """One turn: (N, 3) float32, m, LiDAR frame.

    Args:
        solids: what stands on the ground at z = 0 (heights are over the ground under the solid's middle).
        ground: z over (x, y) in the world, 0 by default.
        azimuth_step_deg, beams: angular resolution; elevations from -24.8 to 2 degrees.
        seed: of the 1.5 cm range noise.
        max_range_m: farther returns are left out.
    """
    azimuth = np.radians(np.arange(-180.0, 180.0, azimuth_step_deg))
    elevation = np.radians(np.linspace(-24.8, 2.0, beams))
    az, el = (a.ravel() for a in np.meshgrid(azimuth, elevation, indexing="ij"))
    direction = np.stack([np.cos(az), np.sin(az)], axis=1)
    slope = np.tan(el)
    floor = ground or (lambda x, y: np.zeros_like(x))
    origin_z = SENSOR_HEIGHT_M + float(floor(np.zeros(1), np.zeros(1))[0])
    reach = _ground_range(direction, slope, origin_z, floor, max_range_m)
    for kind, numbers in solids:
        reach = np.minimum(
            reach, (_cylinder if kind == "cylinder" else _box)(direction, slope, origin_z, floor, numbers)
        )
    reach = reach + np.random.default_rng(seed).normal(0, 0.015, reach.shape)
    hit = reach < max_range_m
    return np.column_stack([direction[hit] * reach[hit, None], slope[hit] * reach[hit]]).astype(np.float32)


def _ground_range(direction, slope, origin_z, floor, max_range_m):
    """Marches outwards until the beam is under the ground, then interpolates."""
    reach = np.full(len(slope), np.inf)
    before = np.full(len(slope), origin_z)
    steps = np.arange(0.5, max_range_m, 0.5)
    for r in steps:
        over = origin_z + slope * r - floor(direction[:, 0] * r, direction[:, 1] * r)
        crossed = (over <= 0) & np.isinf(reach)
        reach[crossed] = r - 0.5 * (-over[crossed]) / np.maximum(before[crossed] - over[crossed], 1e-9)
        before = over
    return reach


def _between(reach, slope, origin_z, base, bottom, top):
    z = origin_z + slope * reach - base
    return np.where((z >= bottom) & (z <= top), reach, np.inf)


def _cylinder(direction, slope, origin_z, floor, numbers):
    x, y, radius, bottom, top = numbers
    along = direction @ [x, y]
    inside = radius**2 - (x * x + y * y - along**2)
    reach = np.where((inside > 0) & (along > 0), along - np.sqrt(np.maximum(inside, 0)), np.inf)
    base = float(floor(np.array([x]), np.array([y]))[0])
    return _between(np.where(reach > 0, reach, np.inf), slope, origin_z, base, bottom, top)


def _box(direction, slope, origin_z, floor, numbers):
    x0, x1, y0, y1, bottom, top = numbers
    with np.errstate(divide="ignore", invalid="ignore"):
        tx = np.sort(np.stack([x0 / direction[:, 0], x1 / direction[:, 0]]), axis=0)
        ty = np.sort(np.stack([y0 / direction[:, 1], y1 / direction[:, 1]]), axis=0)
    near, far = np.maximum(tx[0], ty[0]), np.minimum(tx[1], ty[1])
    reach = np.where((near < far) & (near > 0), near, np.inf)
    base = float(floor(np.array([(x0 + x1) / 2]), np.array([(y0 + y1) / 2]))[0])
    with np.errstate(invalid="ignore"):
        return _between(reach, slope, origin_z, base, bottom, top)
