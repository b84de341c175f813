"""What a sensor returns of a furnished place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.lab.simulation.body import Body
from emgait_ros.lab.simulation.clutter.kernels import cast_ground_surface, cast_leaves, drops_in_the_air, see_glass
from emgait_ros.lab.simulation.clutter.layout import Ground, Layout
from emgait_ros.lab.simulation.clutter.meshes import merged, rotation
from emgait_ros.lab.simulation.clutter.sensors import Scanner
from emgait_ros.lab.simulation.lidar import LidarModel, LidarScan, RangeImage, cast_mesh, returns
from emgait_ros.samples import Float32, Float64

OFFSET = 1 << 20  # owners in range images are 0 or more: a thing's number is this much higher there
AIR_DEPTH_M = 4.0  # mean distance of a return in the air


@dataclass(frozen=True)
class Scenery:
    """Everything of a place as a few large meshes in the world.

    Attributes:
        ground: what they stand on.
        solid, bodies, glass: vertices (V, 3) float32 m, faces (F, 3) int32, owners (F,) int32 of the faces.
        leaves: (L, 7) float64 ellipsoids, their owners (L,) int32.
        owners: how many people and things there are; the air is one thing more.
    """

    ground: Ground
    solid: tuple[Float32, np.ndarray, np.ndarray]
    bodies: tuple[Float32, np.ndarray, np.ndarray]
    glass: tuple[Float32, np.ndarray, np.ndarray]
    leaves: tuple[Float64, np.ndarray]
    people: int
    things: int

    @staticmethod
    def of(layout: Layout) -> Scenery:
        """A layout's meshes, put together."""
        solid = [(part, -1 - number) for number, (_, mesh) in enumerate(layout.things) for part in mesh.parts]
        glass = [(part, -1 - number) for number, (_, mesh) in enumerate(layout.things) for part in mesh.glass]
        leaves = [(leaf, -1 - number) for number, (_, mesh) in enumerate(layout.things) for leaf in mesh.leaves]
        bodies = []
        for number, (person, x, y, z, yaw) in enumerate(layout.people):
            solid += [(part, number + 1) for part in person.worn.at(x, y, z, yaw).parts]
            standing = person.vertices @ rotation(yaw).T + (x, y, z)
            bodies.append(((standing, Body.load().faces), number + 1))
        return Scenery(
            layout.ground,
            _owned(solid),
            _owned(bodies),
            _owned(glass),
            (np.array([leaf for leaf, _ in leaves]).reshape(-1, 7), np.array([o for _, o in leaves], np.int32)),
            len(layout.people),
            len(layout.things),
        )


def _owned(parts: list[tuple[tuple[Float64, np.ndarray], int]]) -> tuple[Float32, np.ndarray, np.ndarray]:
    owners = [np.full(len(faces), owner, np.int32) for (_, faces), owner in parts]
    return *merged([part for part, _ in parts]), np.concatenate([np.zeros(0, np.int32), *owners])


def scan(scenery: Scenery, scanner: Scanner, model: LidarModel, T: Float64, rng: np.random.Generator) -> LidarScan:
    """A turn of one unit at ``T`` (4, 4); ``object_id`` is 0 for the ground, p + 1 for a person, -1 - t for a thing."""
    turn, origin = np.ascontiguousarray(T[:3, :3]), np.ascontiguousarray(T[:3, 3])
    first = int((scanner.sector[0] + np.pi) / (2 * np.pi) * model.columns)
    width = round((scanner.sector[1] - scanner.sector[0]) / (2 * np.pi) * model.columns)
    image, panes = RangeImage.empty(model, first, width), RangeImage.empty(model, first, width)
    elevations, step = np.radians(np.asarray(model.elevations_deg)), np.radians(model.azimuth_step_deg)
    ground, seeds = scenery.ground, [int(seed) for seed in rng.integers(2**32, size=3)]
    cast_ground_surface(
        elevations, step, first, turn, origin, np.array(ground.slope), np.array(ground.kerb), ground.bumps,
        ground.cell_m, image.distance,
    )  # fmt: skip
    used, owners = 0, []
    meshes = ((scenery.solid, image, False), (scenery.bodies, image, True), (scenery.glass, panes, False))
    for (vertices, faces, owner), target, closed in meshes:
        local = ((vertices - origin) @ turn).astype(np.float32)
        cast_mesh(model, local, faces, target, used, closed)
        owners.append(owner)
        used += len(faces)
    leaves = scenery.leaves[0].copy()
    leaves[:, :3] = (leaves[:, :3] - origin) @ turn
    numbers = used + np.arange(len(leaves))
    cast_leaves(leaves, numbers, elevations, step, model.columns, first, image.distance, image.triangle, seeds[0])
    see_glass(image.distance, image.triangle, panes.distance, panes.triangle, scanner.glass, seeds[1])
    air = used + len(leaves)
    if scanner.rain:
        drops_in_the_air(image.distance, image.triangle, scanner.rain, AIR_DEPTH_M, air, seeds[2])
    owner = np.concatenate([*owners, scenery.leaves[1], [-1 - scenery.things]]).astype(np.int32)
    brightness = rng.uniform(0.08, 0.8, scenery.people + scenery.things + 2).astype(np.float32)
    found = returns(model, image, brightness[owner + scenery.things + 1], owner + OFFSET, rng)
    object_id = np.where(found.object_id == 0, 0, found.object_id - OFFSET).astype(np.int32)
    kept = rng.random(len(object_id)) < scanner.kept * (1 - _darkness(scenery, rng)[object_id + scenery.things + 1])
    points, object_id = found.points[kept], object_id[kept]
    ghosts = rng.random(len(points)) < scanner.ghosts
    points[ghosts] *= rng.uniform(1.1, 2.5, (int(ghosts.sum()), 1)).astype(np.float32)
    object_id[ghosts] = -1 - scenery.things
    return LidarScan(points, found.intensity[kept], object_id, found.time_s[kept])


def _darkness(scenery: Scenery, rng: np.random.Generator) -> Float64:
    """Share of the returns that each owner, from the air on, swallows: black paint, wet surfaces, dark clothes."""
    share = np.where(rng.random(scenery.things + 1) < 0.15, rng.uniform(0.1, 0.6, scenery.things + 1), 0.0)
    clothes = np.where(rng.random(scenery.people) < 0.12, rng.uniform(0.1, 0.5, scenery.people), 0.0)
    return np.concatenate([share, [0.0], clothes])
