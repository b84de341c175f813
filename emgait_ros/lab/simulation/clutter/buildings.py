"""House fronts, walls, fences, stairs and ceilings. Fronts run along x from 0 and face -y; what is inside lies at y > 0."""

from __future__ import annotations

import numpy as np

from emgait_ros.lab.simulation.clutter.furniture import mannequin, shelf
from emgait_ros.lab.simulation.clutter.meshes import Mesh

Rng = np.random.Generator
FLOOR_M = 3.0


def front(length: float, height: float, rng: Rng) -> Mesh:
    """A wall with windows, doors, niches, pilasters, pipes, shops and awnings."""
    mesh, x = Mesh(), 0.0
    shops = rng.random() < 0.35
    while x < length - 1e-6:
        kind = str(rng.choice(["plain", "window", "door", "niche", "bay", "shop"], p=_SHOPS if shops else _HOMES))
        width = float(rng.uniform(2.0, 4.5) if kind == "shop" else rng.uniform(0.8, 2.2))
        width = width if length - x - width > 0.8 else length - x
        face = _ground_floor(mesh, kind, x, x + width, min(FLOOR_M, height), rng)
        mesh.footprint.append((x, x + width, face, 4.0))
        if height > FLOOR_M:
            _upper_floors(mesh, x, x + width, height, rng)
        if rng.random() < 0.12:
            y = -float(rng.uniform(0.06, 0.14))
            mesh.bar((x, y, 0), (x, y, height), float(rng.uniform(0.04, 0.08)))
        if rng.random() < 0.1:  # a lamp, letter box or cabinet on the wall
            z, depth = rng.uniform(0.8, 2.3), rng.uniform(0.1, 0.35)
            mesh.box((x, -depth, z), (x + rng.uniform(0.15, 0.5), 0, z + rng.uniform(0.2, 0.6)))
        x += width
    return mesh


_HOMES = (0.3, 0.36, 0.14, 0.07, 0.13, 0.0)
_SHOPS = (0.15, 0.12, 0.15, 0.08, 0.1, 0.4)


def _ground_floor(mesh: Mesh, kind: str, x: float, end: float, high: float, rng: Rng) -> float:
    """One section; returns the y from which on nobody can stand there."""
    face = 0.0
    if kind == "window":
        sill, lintel, side = rng.uniform(0.6, 1.1), min(rng.uniform(2.0, 2.6), high), 0.2 * (end - x)
        mesh.box((x, 0, 0), (end, 0.25, sill)).box((x, 0, lintel), (end, 0.25, high))
        mesh.box((x, 0, sill), (x + side, 0.25, lintel)).box((end - side, 0, sill), (end, 0.25, lintel))
        mesh.box((x + side, 0.15, sill), (end - side, 0.16, lintel), glass=True)
        inside = rng.choice([0.3, 0.6, 3.0])
        mesh.sheet([(x, inside, 0), (end, inside, 0), (end, inside, high), (x, inside, high)])
        if rng.random() < 0.3:
            mesh.box((x + side, -0.15, sill - 0.06), (end - side, 0, sill))
    elif kind in ("door", "niche"):
        face = depth = float(rng.uniform(0.15, 0.4) if kind == "door" else rng.uniform(0.4, 1.5))
        top = min(float(rng.uniform(2.1, 2.7)), high)
        for side in (x, end - 0.08):
            mesh.box((side, 0, 0), (side + 0.08, depth, top))
        mesh.box((x, depth, 0), (end, depth + 0.1, top), glass=bool(rng.random() < 0.15)).box(
            (x, 0, top), (end, 0.3, high)
        )
        mesh.sheet([(x, 0, top), (end, 0, top), (end, depth, top), (x, depth, top)])
        if rng.random() < 0.4:  # steps before the door
            count = int(rng.integers(1, 4))
            face = -0.3 * count
            for k in range(count, 0, -1):
                mesh.box((x, -0.3 * k, 0), (end, depth, 0.17 * (count + 1 - k)))
    elif kind == "bay":
        out = float(rng.uniform(0.1, 0.6))
        mesh.box((x, -out, 0), (end, 0.2, high))
        face = -out
    elif kind == "shop":
        sill, lintel, deep = rng.uniform(0.1, 0.5), 2.5, float(rng.uniform(1.2, 3.5))
        mesh.box((x, 0, 0), (end, 0.15, sill)).box((x, 0, lintel), (end, 0.2, high))
        mesh.box((x, 0.05, sill), (end, 0.06, lintel), glass=True)
        mesh.box((x - 0.05, -0.05, 0), (x + 0.1, 0.2, high))
        mesh.sheet([(x, deep, 0), (end, deep, 0), (end, deep, high), (x, deep, high)])
        for side in (x, end):
            mesh.sheet([(side, 0, 0), (side, deep, 0), (side, deep, high), (side, 0, high)])
        for _ in range(int(rng.integers(0, 4))):
            thing = mannequin(rng) if rng.random() < 0.6 else shelf(rng)
            mesh.join(thing, rng.uniform(x + 0.4, end - 0.4), rng.uniform(0.4, deep - 0.3), sill, rng.uniform(0, 6.3))
        if rng.random() < 0.5:  # an awning
            out, z = float(rng.uniform(0.8, 2.0)), float(rng.uniform(2.2, 2.6))
            mesh.sheet([(x, 0, z + 0.5), (end, 0, z + 0.5), (end, -out, z), (x, -out, z)])
            mesh.sheet([(x, -out, z), (end, -out, z), (end, -out, z - 0.2), (x, -out, z - 0.2)])
    else:
        mesh.sheet([(x, 0, 0), (end, 0, 0), (end, 0, high), (x, 0, high)])
    return face


def _upper_floors(mesh: Mesh, x: float, end: float, height: float, rng: Rng) -> None:
    """A recessed window on the next floor, plain above; now and then a balcony."""
    z, side, top = FLOOR_M, 0.2 * (end - x), min(FLOOR_M + 2.2, height)
    mesh.sheet([(x, 0, z), (end, 0, z), (end, 0, z + 0.8), (x, 0, z + 0.8)])
    for a, b in ((x, x + side), (end - side, end)):
        mesh.sheet([(a, 0, z + 0.8), (b, 0, z + 0.8), (b, 0, top), (a, 0, top)])
    mesh.sheet([(x, 0.2, z), (end, 0.2, z), (end, 0.2, top), (x, 0.2, top)])
    mesh.sheet([(x, 0, top), (end, 0, top), (end, 0, height), (x, 0, height)])
    if rng.random() < 0.1:
        mesh.box((x, -1.1, z - 0.15), (end, 0, z)).box((x, -1.1, z), (end, -1.05, z + 1.0))


def fence(length: float, rng: Rng) -> Mesh:
    """A boundary along x: bars, rails, boards with gaps, wire, a railing or a wall."""
    kind, height = int(rng.integers(6)), float(rng.uniform(0.8, 2.0))
    mesh = Mesh()
    for x in np.arange(0.0, length + 0.1, 2.0):
        if kind != 5:
            mesh.bar((x, 0, 0), (x, 0, height + 0.05), float(rng.uniform(0.025, 0.06)))
    if kind == 0:  # upright bars
        for z in (0.12, height - 0.08):
            mesh.bar((0, 0, z), (length, 0, z), 0.02, sides=4)
        for x in np.arange(0.0, length, max(float(rng.uniform(0.1, 0.16)), length / 90)):
            mesh.bar((x, 0, 0.1), (x, 0, height), 0.01, sides=3)
    elif kind == 1:  # rails
        for z in np.linspace(0.3, height, int(rng.integers(2, 5))):
            mesh.box((0, -0.02, z - 0.06), (length, 0.02, z + 0.03))
    elif kind == 2:  # boards
        width = float(rng.uniform(0.08, 0.16))
        for x in np.arange(0.0, length, width + float(rng.choice([0.0, 0.03, 0.08]))):
            mesh.sheet([(x, 0, 0.05), (x + width, 0, 0.05), (x + width, 0, height), (x, 0, height)])
    elif kind == 3:  # wire mesh returns little: as glass does
        mesh.sheet([(0, 0, 0.05), (length, 0, 0.05), (length, 0, height), (0, 0, height)], glass=True)
        mesh.bar((0, 0, height), (length, 0, height), 0.02, sides=4)
    elif kind == 4:  # a railing
        for z in (0.5, 0.95):
            mesh.bar((0, 0, z), (length, 0, z), 0.025)
    else:
        thick = float(rng.uniform(0.15, 0.4))
        mesh.box((0, 0, 0), (length, thick, height * 0.8))
        for x in np.arange(0.0, length, 3.0):
            mesh.box((x, -0.06, 0), (x + 0.4, thick + 0.06, height))
    return mesh


def stairs(rng: Rng) -> Mesh:
    """A flight of steps going up along x, with or without rails."""
    half, rise, run = float(rng.uniform(0.7, 2.0)), float(rng.uniform(0.14, 0.18)), float(rng.uniform(0.28, 0.36))
    steps, mesh = int(rng.integers(3, 10)), Mesh()
    for k in range(steps):
        mesh.box((k * run, -half, 0), (steps * run + 0.8, half, (k + 1) * rise))
    for side in (-half, half) if rng.random() < 0.6 else ():
        mesh.bar((0, side, 0.9), (steps * run, side, steps * rise + 0.9), 0.025)
        for k in range(0, steps + 1, 2):
            mesh.bar((k * run, side, k * rise), (k * run, side, k * rise + 0.9), 0.02)
    return mesh


def ramp(rng: Rng) -> Mesh:
    """A ramp going up along x."""
    half, length, rise = float(rng.uniform(0.7, 2.0)), float(rng.uniform(2.0, 6.0)), float(rng.uniform(0.2, 0.6))
    return Mesh().prism([(0, 0), (length, 0), (length, rise), (length - 0.01, rise)], -half, half)


def ceiling(x_low: float, x_high: float, y_low: float, y_high: float, height: float, rng: Rng) -> Mesh:
    """A ceiling with lamps, ducts and beams hanging from it."""
    mesh = Mesh()
    for x in np.arange(x_low, x_high, 4.0):
        for y in np.arange(y_low, y_high, 4.0):
            a, b = min(x + 4.0, x_high), min(y + 4.0, y_high)
            mesh.sheet([(x, y, height), (a, y, height), (a, b, height), (x, b, height)])
    for _ in range(int(rng.integers(0, 12))):
        x, y, drop = rng.uniform(x_low, x_high), rng.uniform(y_low, y_high), rng.uniform(0.1, 0.5)
        mesh.box((x - 0.6, y - 0.15, height - drop), (x + 0.6, y + 0.15, height - drop + 0.1))
    if rng.random() < 0.4:
        y = rng.uniform(y_low, y_high)
        mesh.bar((x_low, y, height - 0.35), (x_high, y, height - 0.35), 0.2, sides=8)
    return mesh
