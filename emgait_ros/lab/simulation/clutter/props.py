"""What stands in streets, squares and rooms: each function makes one thing, of random size and shape.

Frame of a thing: x forward (the side that people use), y left, z up, ground at z = 0, m.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emgait_ros.lab.simulation.clutter.furniture import (
    bench,
    boxes,
    chair,
    coat_rack,
    figure,
    luggage,
    mannequin,
    parasol,
    shelf,
    shopping_cart,
    table,
)  # fmt: skip
from emgait_ros.lab.simulation.clutter.meshes import Mesh

Rng = np.random.Generator


def pole(rng: Rng) -> Mesh:
    """A lamp post, mast or post, with whatever hangs on it."""
    radius, height = float(rng.choice([0.03, 0.05, 0.07, 0.1, 0.16])), float(rng.uniform(2.2, 8.0))
    mesh = Mesh().column(0, 0, 0, height, radius, radius * float(rng.uniform(0.6, 1.0)))
    if rng.random() < 0.4:
        mesh.column(0, 0, 0, float(rng.uniform(0.3, 1.2)), radius * float(rng.uniform(1.3, 2.2)))
    if height > 4 and rng.random() < 0.6:
        reach = float(rng.uniform(0.6, 2.0))
        mesh.bar((0, 0, height), (reach, 0, height + 0.2), 0.04)
        mesh.box((reach - 0.3, -0.12, height + 0.1), (reach + 0.3, 0.12, height + 0.25))
    if rng.random() < 0.35:  # a sign or box on the post, at any height
        z, w, h = rng.uniform(0.9, 2.6), rng.uniform(0.1, 0.35), rng.uniform(0.15, 0.8)
        mesh.box((radius, -w, z), (radius + rng.uniform(0.02, 0.25), w, z + h))
    if rng.random() < 0.25:  # a bin on it
        mesh.column(radius + 0.2, 0, 0.5, float(rng.uniform(0.9, 1.1)), 0.18)
    return mesh


def sign(rng: Rng) -> Mesh:
    """A traffic sign: a plate on a thin post."""
    height, size = float(rng.uniform(1.9, 3.2)), float(rng.uniform(0.25, 0.45))
    mesh = Mesh().column(0, 0, 0, height, 0.035)
    corners = int(rng.choice([3, 4, 8, 16]))
    for k in range(int(rng.integers(1, 3))):
        z = height - size - k * 2.1 * size
        angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + (np.pi / 4 if corners == 4 else np.pi / 2)
        mesh.sheet([(0.05, size * np.cos(a), z + size * np.sin(a)) for a in angle])
    return mesh


def traffic_light(rng: Rng) -> Mesh:
    """A signal on a post, some with a pedestrian's button and a second signal."""
    height = float(rng.uniform(2.6, 3.6))
    mesh = Mesh().column(0, 0, 0, height, float(rng.uniform(0.05, 0.1)))
    mesh.box((0.08, -0.15, height - 0.9), (0.32, 0.15, height))
    mesh.box((-0.12, 0.1, 2.0), (0.12, 0.3, 2.5))
    if rng.random() < 0.6:
        mesh.box((0.08, -0.07, 0.9), (0.18, 0.07, 1.15))
    if rng.random() < 0.3:
        mesh.column(0, 0, 0, 1.0, 0.16)
    return mesh


def bollard(rng: Rng) -> Mesh:
    """A bollard or a short stone post."""
    height, radius = float(rng.uniform(0.5, 1.2)), float(rng.uniform(0.05, 0.2))
    mesh = Mesh().column(0, 0, 0, height, radius, radius * float(rng.uniform(0.6, 1.0)))
    return mesh.ball((0, 0, height), (radius, radius, radius)) if rng.random() < 0.4 else mesh


def litter_bin(rng: Rng) -> Mesh:
    """A litter bin: round, square or wheeled."""
    kind, height, half = int(rng.integers(4)), float(rng.uniform(0.7, 1.25)), float(rng.uniform(0.18, 0.36))
    if kind == 0:
        return Mesh().column(0, 0, 0, height, half * 0.9, half)
    if kind == 1:
        mesh = Mesh().box((-half, -half, 0), (half, half, height))
        return mesh.box((-half, -half, height + 0.2), (half, half, height + 0.25)).bar(
            (-half, 0, height), (-half, 0, height + 0.2), 0.03
        )
    if kind == 2:  # wheeled, lid sloping
        mesh = Mesh().prism([(-half, 0.05), (half * 0.8, 0.05), (half, height), (-half, height * 1.08)], -half, half)
        return mesh.bar((-half - 0.06, -half, height), (-half - 0.06, half, height), 0.02)
    width = float(rng.uniform(0.6, 0.75))  # a large container
    mesh = Mesh().prism([(-0.4, 0.15), (0.35, 0.15), (0.55, 1.15), (0.0, 1.4), (-0.5, 1.2)], -width, width)
    return mesh


def letter_box(rng: Rng) -> Mesh:
    """A letter box, round or on a post."""
    if rng.random() < 0.4:
        mesh = Mesh().column(0, 0, 0, 1.5, 0.24)
        return mesh.ball((0, 0, 1.5), (0.26, 0.26, 0.12))
    mesh = Mesh().column(0, 0, 0, 1.0, 0.05)
    return mesh.box((-0.2, -0.25, 0.8), (0.2, 0.25, 1.45))


def machine(rng: Rng) -> Mesh:
    """A ticket or vending machine, parking meter or cabinet: as tall as people, often as wide."""
    width, depth, height = rng.uniform(0.2, 0.5), rng.uniform(0.15, 0.4), rng.uniform(1.2, 2.0)
    mesh = Mesh().box((-depth, -width, 0), (depth, width, height))
    if rng.random() < 0.5:
        mesh.box((depth, -0.6 * width, 0.9), (depth + 0.1, 0.6 * width, 1.2))
    if rng.random() < 0.3:
        mesh.column(0, 0, height, height + 0.5, 0.05).box((-0.2, -0.2, height + 0.5), (0.2, 0.2, height + 0.8))
    return mesh


def parking_meter(rng: Rng) -> Mesh:
    """A post with a head at the height of a person's chest or face."""
    height = float(rng.uniform(1.0, 1.6))
    mesh = Mesh().column(0, 0, 0, height, float(rng.uniform(0.04, 0.12)))
    return mesh.box((-0.1, -rng.uniform(0.1, 0.22), height), (0.12, rng.uniform(0.1, 0.22), height + 0.4))


def display_board(rng: Rng) -> Mesh:
    """A board on feet, an advertising pillar or an A-board before a shop."""
    kind = int(rng.integers(3))
    if kind == 0:
        half, low, high = rng.uniform(0.4, 1.2), rng.uniform(0.3, 0.9), rng.uniform(1.7, 2.6)
        mesh = Mesh().box((-0.06, -half, low), (0.06, half, high))
        for y in (-half * 0.9, half * 0.9):
            mesh.bar((0, y, 0), (0, y, low), 0.04)
        return mesh
    if kind == 1:
        return Mesh().column(0, 0, 0, float(rng.uniform(2.4, 3.4)), float(rng.uniform(0.4, 0.7)))
    half, height, foot = rng.uniform(0.25, 0.4), rng.uniform(0.8, 1.2), rng.uniform(0.2, 0.35)
    front = [(foot, -half, 0), (foot, half, 0), (0, half, height), (0, -half, height)]
    return Mesh().sheet(front).sheet([(-x, y, z) for x, y, z in front])


def hydrant(rng: Rng) -> Mesh:
    """A hydrant."""
    height = float(rng.uniform(0.6, 0.95))
    mesh = Mesh().column(0, 0, 0, height, 0.13).ball((0, 0, height), (0.14, 0.14, 0.1))
    return mesh.bar((0, -0.22, height * 0.7), (0, 0.22, height * 0.7), 0.06)


def cone(rng: Rng) -> Mesh:
    """A traffic cone or a stack of them."""
    height, radius = float(rng.uniform(0.45, 1.0)), float(rng.uniform(0.13, 0.2))
    return Mesh().column(0, 0, 0.03, height, radius, 0.03).box((-0.2, -0.2, 0), (0.2, 0.2, 0.03))


def beacon(rng: Rng) -> Mesh:
    """A road-works beacon: a plate on a foot, with a lamp."""
    mesh = Mesh().box((-0.2, -0.3, 0), (0.2, 0.3, 0.1)).box((-0.03, -0.125, 0.15), (0.03, 0.125, 1.15))
    return mesh.ball((0, 0, 1.27), (0.08, 0.1, 0.1)) if rng.random() < 0.5 else mesh


def barrier(rng: Rng) -> Mesh:
    """A road-works or crowd barrier."""
    length, height = float(rng.uniform(1.0, 2.5)), float(rng.uniform(0.9, 1.15))
    mesh = Mesh()
    for x in (-length / 2, length / 2):
        mesh.bar((x, 0, 0), (x, 0, height), 0.022).bar((x, -0.3, 0.02), (x, 0.3, 0.02), 0.025)
    mesh.bar((-length / 2, 0, height), (length / 2, 0, height), 0.022)
    if rng.random() < 0.5:
        mesh.bar((-length / 2, 0, 0.2), (length / 2, 0, 0.2), 0.02)
        for x in np.arange(-length / 2, length / 2, 0.12):
            mesh.bar((x, 0, 0.2), (x, 0, height), 0.008, sides=3)
        return mesh
    for z in (0.35, height - 0.25):
        mesh.box((-length / 2, -0.02, z), (length / 2, 0.02, z + 0.2))
    return mesh


def concrete_block(rng: Rng) -> Mesh:
    """A concrete barrier, planter or stone block."""
    length, half, height = rng.uniform(0.5, 3.0), rng.uniform(0.2, 0.45), rng.uniform(0.35, 1.0)
    profile = [(-half, 0), (half, 0), (half * 0.5, height * 0.4), (half * 0.4, height), (-half * 0.5, height)]
    block = Mesh().prism(profile, -length / 2, length / 2)
    return block if rng.random() < 0.6 else Mesh().box((-half, -length / 2, 0), (half, length / 2, height))


def planter(rng: Rng) -> Mesh:
    """A tub with a plant in it, of a person's height together."""
    half, height = float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.3, 0.7))
    mesh = Mesh().column(0, 0, 0, height, half * 0.8, half)
    for _ in range(int(rng.integers(1, 5))):
        r, z = rng.uniform(0.12, 0.4), height + rng.uniform(0.1, 0.9)
        mesh.foliage((rng.normal(0, 0.08), rng.normal(0, 0.08), z), (r, r, r * rng.uniform(0.8, 1.8)), 8.0)
    return mesh


def statue(rng: Rng) -> Mesh:
    """A figure on a pedestal: nearly a person, too high up or too thick."""
    base = float(rng.uniform(0.3, 1.6))
    half, size = float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.9, 1.5))
    mesh = Mesh().box((-half, -half, 0), (half, half, base))
    return mesh.join(figure(rng, arms=bool(rng.random() < 0.7)).scaled(size), 0, 0, base)


def bus_shelter(rng: Rng) -> Mesh:
    """A roof on posts with glass at the back and sides and a bench in it."""
    length = float(rng.uniform(2.5, 4.5))
    mesh = Mesh().box((-0.8, -length / 2, 2.35), (0.9, length / 2, 2.45))
    for y in (-length / 2, 0.0, length / 2):
        mesh.bar((-0.7, y, 0), (-0.7, y, 2.35), 0.04)
    mesh.box((-0.72, -length / 2, 0.15), (-0.7, length / 2, 2.1), glass=True)
    for y in (-length / 2, length / 2):
        mesh.box((-0.7, y - 0.01, 0.15), (0.5, y + 0.01, 2.1), glass=bool(rng.random() < 0.7))
    mesh.box((-0.6, -length * 0.35, 0.42), (-0.25, length * 0.2, 0.47))
    mesh.footprint = [(-0.85, -0.2, -length / 2, length / 2)]
    return mesh


def stall(rng: Rng) -> Mesh:
    """A market stall or kiosk: counter, roof, goods."""
    length, roof = float(rng.uniform(1.5, 3.5)), float(rng.uniform(2.1, 2.7))
    mesh = Mesh().box((-0.4, -length / 2, 0), (0.4, length / 2, rng.uniform(0.8, 1.05)))
    for x in (-0.9, 0.9):
        for y in (-length / 2, length / 2):
            mesh.bar((x, y, 0), (x, y, roof), 0.03)
    mesh.prism([(-1.1, roof), (1.1, roof), (0, roof + 0.5)], -length / 2 - 0.1, length / 2 + 0.1)
    for _ in range(int(rng.integers(0, 6))):
        y, x = rng.uniform(-0.45, 0.45) * length, rng.uniform(-0.3, 0.3)
        mesh.box((x - 0.1, y - 0.15, 1.0), (x + 0.1, y + 0.15, rng.uniform(1.1, 1.5)))
    return mesh


def pillar(rng: Rng) -> Mesh:
    """A column of a building, round or square."""
    half, height = float(rng.uniform(0.12, 0.5)), float(rng.uniform(2.6, 5.0))
    if rng.random() < 0.5:
        return Mesh().column(0, 0, 0, height, half)
    return Mesh().box((-half, -half, 0), (half, half, height))


def flag_banner(rng: Rng) -> Mesh:
    """A roll-up or beach-flag advertisement: a narrow sheet as tall as a person."""
    half, height = float(rng.uniform(0.2, 0.45)), float(rng.uniform(1.6, 2.6))
    bend = float(rng.uniform(-0.15, 0.15))
    corners = [(0.0, -half, 0.1), (0.0, half, 0.1), (bend, half, height), (bend, -half, height)]
    return Mesh().sheet(corners).box((-0.15, -half, 0), (0.15, half, 0.08)).bar((-0.03, 0, 0), (-0.03, 0, height), 0.02)


STREET: dict[str, tuple[Callable[[Rng], Mesh], float]] = {
    "pole": (pole, 5), "sign": (sign, 4), "traffic light": (traffic_light, 1.5), "bollard": (bollard, 3),
    "litter bin": (litter_bin, 4), "letter box": (letter_box, 1), "machine": (machine, 2),
    "parking meter": (parking_meter, 1.5), "display board": (display_board, 2), "hydrant": (hydrant, 1),
    "cone": (cone, 1.5), "beacon": (beacon, 1), "barrier": (barrier, 2), "concrete block": (concrete_block, 1.5),
    "planter": (planter, 2.5), "statue": (statue, 1), "bench": (bench, 1.5), "chair": (chair, 0.7),
    "parasol": (parasol, 1), "boxes": (boxes, 1), "bus shelter": (bus_shelter, 0.6), "stall": (stall, 0.5),
    "flag banner": (flag_banner, 1), "shopping cart": (shopping_cart, 0.4), "luggage": (luggage, 0.3),
}  # fmt: skip
INDOORS: dict[str, tuple[Callable[[Rng], Mesh], float]] = {
    "chair": (chair, 5), "table": (table, 4), "shelf": (shelf, 3), "coat rack": (coat_rack, 2), "machine": (machine, 2),
    "display board": (display_board, 2), "litter bin": (litter_bin, 2), "boxes": (boxes, 2), "planter": (planter, 2.5),
    "mannequin": (mannequin, 2), "statue": (statue, 0.5), "pillar": (pillar, 2), "flag banner": (flag_banner, 1.5),
    "shopping cart": (shopping_cart, 1), "luggage": (luggage, 1), "bench": (bench, 1), "barrier": (barrier, 1),
    "bollard": (bollard, 1), "parking meter": (parking_meter, 0.7),
}  # fmt: skip
