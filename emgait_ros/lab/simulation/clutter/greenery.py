"""Trees, bushes, hedges and tufts: trunks of triangles, leaves as ellipsoids that beams come some way into."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emgait_ros.lab.simulation.clutter.meshes import Mesh

Rng = np.random.Generator


def tree(rng: Rng) -> Mesh:
    """A tree with a trunk, some branches and a crown in clumps that may hang down to people's heads."""
    height, radius = float(rng.uniform(4.0, 9.0)), float(rng.uniform(0.07, 0.3))
    clear, lean = float(rng.uniform(1.3, 3.0)), rng.normal(0, 0.25, 2)
    mesh = Mesh().bar((0, 0, 0), (lean[0], lean[1], height * 0.7), radius, radius * 0.5, 9)
    mesh.bar((0, 0, 0), (0, 0, 0.3), radius * 1.5, radius, 9)
    spread = float(rng.uniform(1.0, 3.2))
    bare = rng.random() < 0.15
    for _ in range(int(rng.integers(8, 26))):
        turn, out = rng.uniform(0, 2 * np.pi), spread * np.sqrt(rng.random())
        r = rng.uniform(0.35, 0.9)
        z = rng.uniform(clear + r * 0.6, height)
        x, y = lean[0] * z / height + out * np.cos(turn), lean[1] * z / height + out * np.sin(turn)
        if not bare:
            mesh.foliage((x, y, z), (r, r, r * rng.uniform(0.5, 0.9)), rng.uniform(0.8, 3.5))
        if bare or rng.random() < 0.3:
            start = max(clear * 0.8, z - out)
            mesh.bar((lean[0] * start / height, lean[1] * start / height, start), (x, y, z), radius * 0.3, 0.015, 4)
    mesh.footprint = [(-radius - 0.1, radius + 0.1, -radius - 0.1, radius + 0.1)]
    return mesh


def young_tree(rng: Rng) -> Mesh:
    """A young tree between stakes; its trunk, guard and low crown add up to a person's outline."""
    height, crown = float(rng.uniform(2.0, 3.5)), float(rng.uniform(0.3, 0.8))
    mesh = Mesh().column(0, 0, 0, height, float(rng.uniform(0.02, 0.05)))
    for turn in np.arange(int(rng.integers(0, 4))) * 2.1:
        x, y = 0.3 * np.cos(turn), 0.3 * np.sin(turn)
        mesh.bar((x, y, 0), (x * 0.8, y * 0.8, rng.uniform(1.1, 1.9)), 0.035)
    if rng.random() < 0.3:
        mesh.column(0, 0, 0, float(rng.uniform(0.9, 1.8)), float(rng.uniform(0.12, 0.3)))
    for _ in range(int(rng.integers(2, 6))):
        r = crown * rng.uniform(0.4, 0.8)
        x, y, z = *rng.normal(0, crown * 0.4, 2), height - rng.uniform(0.0, 1.0)
        mesh.foliage((x, y, z), (r, r, r * rng.uniform(0.7, 1.6)), rng.uniform(2, 6))
    mesh.footprint = [(-0.35, 0.35, -0.35, 0.35)]
    return mesh


def propped_tree(rng: Rng) -> Mesh:
    """A tree held by three or four splayed poles, as newly planted ones are."""
    mesh, meet, foot = tree(rng), float(rng.uniform(1.3, 2.2)), float(rng.uniform(0.5, 1.3))
    count, first = int(rng.integers(3, 5)), float(rng.uniform(0, 6))
    for k in range(count):
        x, y = np.cos(first + 2 * np.pi * k / count), np.sin(first + 2 * np.pi * k / count)
        mesh.bar((foot * x, foot * y, 0), (0.1 * x, 0.1 * y, meet), float(rng.uniform(0.025, 0.05)))
    mesh.footprint = [(-foot * 0.8, foot * 0.8, -foot * 0.8, foot * 0.8)]
    return mesh


def bed(rng: Rng) -> Mesh:
    """A planted strip along y: low dense shrubs or flowers."""
    length, half, height = float(rng.uniform(2, 9)), float(rng.uniform(0.4, 1.5)), float(rng.uniform(0.25, 0.95))
    mesh, r, density = Mesh(), float(rng.uniform(0.25, 0.4)), float(rng.uniform(4, 15))
    for y in np.arange(-length / 2, length / 2, r * 1.3):
        for x in np.arange(-half, half, r * 1.3):
            top = height * rng.uniform(0.6, 1.2)
            mesh.foliage((x + rng.normal(0, 0.05), y + rng.normal(0, 0.05), top / 2), (r, r, top / 2), density)
    return mesh


def bush(rng: Rng) -> Mesh:
    """A bush of several clumps, from knee to well over head height."""
    height, spread = float(rng.uniform(0.5, 2.4)), float(rng.uniform(0.2, 1.0))
    mesh = Mesh()
    for _ in range(int(rng.integers(2, 9))):
        r = min(rng.uniform(0.2, 0.55), height / 2)
        x, y = rng.normal(0, spread * 0.5, 2)
        mesh.foliage(
            (x, y, rng.uniform(r * 0.6, max(height - r, r))), (r, r, r * rng.uniform(0.7, 1.4)), rng.uniform(3, 14)
        )
    return mesh


def shrub(rng: Rng) -> Mesh:
    """Twigs that spread from one root, with few leaves: a person's width and height; sometimes around a thin pole."""
    height, spread = float(rng.uniform(0.9, 2.1)), float(rng.uniform(0.2, 0.7))
    mesh = Mesh()
    for _ in range(int(rng.integers(8, 30))):
        tip = np.array([*rng.normal(0, spread * 0.5, 2), height * rng.uniform(0.5, 1.0)])
        mesh.bar((*rng.normal(0, 0.06, 2), 0.0), (float(tip[0]), float(tip[1]), float(tip[2])), 0.008)
        if rng.random() < 0.6:
            r = float(rng.uniform(0.08, 0.22))
            mesh.foliage((float(tip[0] * 0.8), float(tip[1] * 0.8), float(tip[2] * 0.8)), (r, r, r), rng.uniform(2, 8))
    if rng.random() < 0.4:
        x, y = rng.normal(0, 0.2, 2)
        mesh.column(float(x), float(y), 0.0, float(rng.uniform(2.0, 5.0)), float(rng.uniform(0.02, 0.07)))
    return mesh


def conifer(rng: Rng) -> Mesh:
    """A cypress or a clipped cone: a standing person's width and height, or a little more."""
    height, radius = float(rng.uniform(1.2, 3.0)), float(rng.uniform(0.2, 0.6))
    mesh = Mesh().column(0, 0, 0, height * 0.8, 0.04)
    for z in np.arange(0.25, height, 0.3):
        r = max(radius * (1.05 - z / height), 0.08) * rng.uniform(0.85, 1.15)
        mesh.foliage((rng.normal(0, 0.03), rng.normal(0, 0.03), z), (r, r, 0.3), rng.uniform(6, 20))
    return mesh


def hedge(rng: Rng) -> Mesh:
    """A clipped hedge along y."""
    length, half, height = float(rng.uniform(1.5, 8.0)), float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.6, 2.2))
    mesh, density = Mesh(), float(rng.uniform(5, 16))
    for y in np.arange(-length / 2, length / 2, half * 0.9):
        for z in np.arange(half * 0.8, height, half * 1.2):
            mesh.foliage((rng.normal(0, 0.04), y, z), (half, half, half), density)
    return mesh


def tuft(rng: Rng) -> Mesh:
    """Grass, weeds or flowers, 0.3 to 1 m high."""
    mesh = Mesh()
    for _ in range(int(rng.integers(1, 5))):
        r, height = rng.uniform(0.1, 0.45), rng.uniform(0.15, 0.5)
        mesh.foliage((*rng.normal(0, 0.3, 2), height * 0.9), (r, r, height), rng.uniform(2, 8))
    return mesh


GREENERY: dict[str, tuple[Callable[[Rng], Mesh], float]] = {
    "tree": (tree, 4), "young tree": (young_tree, 3), "bush": (bush, 5), "shrub": (shrub, 5), "conifer": (conifer, 2), "hedge": (hedge, 2),
    "tuft": (tuft, 3), "propped tree": (propped_tree, 2), "bed": (bed, 1.5),
}  # fmt: skip
