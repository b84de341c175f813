"""Clouds of ground, simulated bodies, cylinders, boxes and meshes, sampled like a spinning 64-beam LiDAR 1.73 m over the ground."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from emgait_ros.lab.simulation.body import Body
from emgait_ros.lab.simulation.clutter import people
from emgait_ros.lab.simulation.clutter.meshes import Mesh, rotation
from emgait_ros.lab.simulation.lidar import LidarModel, RangeImage, cast_mesh
from emgait_ros.lab.simulation.walker import Walker

SENSOR_HEIGHT_M = 1.73
CHILD_M = 1.45  # smaller people have a child's proportions
Solid = tuple[str, Any]
# ("cylinder", (x, y, radius, bottom, top)), ("box", (x0, x1, y0, y1, bottom, top)), ("body", (x, y, height, heading_rad))
# or ("mesh", Mesh)


def person(x: float, y: float, height: float = 1.75, heading_rad: float = 0.0) -> list[Solid]:
    """Somebody in mid-stride with the pelvis over x, y, walking along +x unless said otherwise; m, rad."""
    return [("body", (x, y, height, heading_rad))]


def crown(x: float, y: float) -> list[Solid]:
    """Leaves of a tree that hang 2.3 to 4 m over the ground, within 1.6 m; m."""
    rng = np.random.default_rng(1)
    middle = rng.normal(size=(1500, 1, 3))
    middle *= rng.random((1500, 1, 1)) ** (1 / 3) / np.linalg.norm(middle, axis=2, keepdims=True)
    corners = middle * (1.55, 1.55, 0.8) + (x, y, 3.15) + rng.normal(0, 0.04, (1500, 3, 3)).clip(-0.05, 0.05)
    return [("mesh", Mesh().add(corners.reshape(-1, 3), np.arange(4500, dtype=np.int32).reshape(-1, 3)))]


def scan(
    solids: Sequence[Solid] = (),
    ground: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    azimuth_step_deg: float = 0.2,
    beams: int = 64,
    seed: int = 0,
    max_range_m: float = 70.0,
    highest_deg: float = 2.0,
) -> np.ndarray:
    """One turn: (N, 3) float32, m, LiDAR frame.

    Args:
        solids: what stands on the ground at z = 0 (heights are over the ground under the solid's middle).
        ground: z over (x, y) in the world, 0 by default.
        azimuth_step_deg, beams: angular resolution; 360 is a multiple of the former.
        seed: of the 1.5 cm range noise.
        max_range_m: farther returns are left out.
        highest_deg: the beams lie between -24.8 degrees and this.
    """
    model = LidarModel(tuple(np.linspace(-24.8, highest_deg, beams)), azimuth_step_deg)
    direction, slope = _rays(model)
    floor = ground or (lambda x, y: np.zeros_like(x))
    origin_z = SENSOR_HEIGHT_M + float(floor(np.zeros(1), np.zeros(1))[0])
    if ground is None:
        reach = np.divide(-origin_z, slope, out=np.full(len(slope), np.inf), where=slope < 0)
    else:
        reach = _ground_range(direction, slope, origin_z, floor, max_range_m)
    meshes = [solid for solid in solids if solid[0] in ("body", "mesh")]
    if meshes:
        reach = np.minimum(reach, _meshes(model, meshes, origin_z, floor))
    for kind, numbers in solids:
        if kind in ("cylinder", "box"):
            cut = _cylinder if kind == "cylinder" else _box
            reach = np.minimum(reach, cut(direction, slope, origin_z, floor, numbers))
    reach = reach + np.random.default_rng(seed).normal(0, 0.015, reach.shape)
    hit = reach < max_range_m
    return np.column_stack([direction[hit] * reach[hit, None], slope[hit] * reach[hit]]).astype(np.float32)


@lru_cache(maxsize=8)
def _rays(model: LidarModel) -> tuple[np.ndarray, np.ndarray]:
    """Level direction (R, 2) and slope (R,) of the rays, column after column."""
    azimuth = np.radians(model.azimuth_step_deg * np.arange(model.columns) - 180.0)
    az, el = (a.ravel() for a in np.meshgrid(azimuth, np.radians(model.elevations_deg), indexing="ij"))
    return np.stack([np.cos(az), np.sin(az)], axis=1), np.tan(el)


@lru_cache(maxsize=64)
def _body(height: float) -> np.ndarray:
    """(V, 3) float32 an upright body that walks along +x, its pelvis over the origin, its soles on z = 0, m."""
    if height < CHILD_M:
        vertices = people.person(np.random.default_rng(5), people.CHILD).vertices
    else:
        walker = Walker(3, seed=77, outfit="light")
        vertices = walker.vertices(1.0) - walker.position(1.0)
    low, high = vertices[:, 2].min(), vertices[:, 2].max()
    return ((vertices - (0, 0, low)) * (height / (high - low))).astype(np.float32)


def _meshes(model, solids, origin_z, floor):
    """Level reach (R,) of the rays to the nearest body or mesh."""
    image = RangeImage.empty(model)
    turn = rotation(np.radians(model.azimuth_step_deg / 2)).T  # its columns begin half a step later
    for kind, what in solids:
        if kind == "body":
            x, y, height, heading = what
            place = np.array([x, y, float(floor(np.array([x]), np.array([y]))[0]) - origin_z])
            cast_mesh(
                model, (_body(height) @ rotation(heading).T + place) @ turn, Body.load().faces, image, closed=True
            )
        else:
            for vertices, faces in what.parts:
                middle = vertices[:, :2].mean(0)
                place = np.array([0, 0, float(floor(middle[:1], middle[1:])[0]) - origin_z])
                cast_mesh(model, (vertices + place) @ turn, faces, image)
    return (image.distance * np.cos(np.radians(model.elevations_deg))[:, None]).T.ravel()


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
