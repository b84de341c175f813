"""What people sit on, push, carry and sell: furniture, luggage, dogs, dummies; each function makes one, of random size.

Frame of a thing: x forward (the side that people use), y left, z up, ground at z = 0, m.
"""

from __future__ import annotations

import numpy as np

from emgait_ros.lab.simulation.clutter.meshes import Mesh

Rng = np.random.Generator


def figure(rng: Rng, arms: bool = True) -> Mesh:
    """A crude human shape of 1.75 m: mannequin, statue, scarecrow."""
    mesh = Mesh().ball((0, 0, 1.62), (0.1, 0.08, 0.13)).column(0, 0, 1.4, 1.55, 0.05)
    mesh.ball((0, 0, 1.2), (0.13, 0.21, 0.28)).ball((0, 0, 0.9), (0.13, 0.17, 0.18))
    for side in (-1, 1):
        step = rng.uniform(-0.2, 0.2)
        mesh.bar((0, side * 0.1, 0.88), (step * side, side * 0.1, 0.02), 0.085, 0.05, 8)
        if arms:
            x, y = rng.uniform(-0.2, 0.35), side * rng.uniform(0.22, 0.4)
            mesh.bar((0, side * 0.19, 1.4), (x, y, rng.uniform(0.7, 1.2)), 0.05, 0.035)
    return mesh


def mannequin(rng: Rng) -> Mesh:
    """A dummy as stands in shop windows, some without head or legs, on a foot."""
    if rng.random() < 0.5:
        return figure(rng, arms=bool(rng.random() < 0.6)).join(Mesh().column(0, 0, 0, 0.02, 0.25))
    mesh = Mesh().column(0, 0, 0, 0.9, 0.02).column(0, 0, 0, 0.02, 0.2)  # a bust on a rod
    return mesh.ball((0, 0, 1.15), (0.13, 0.2, 0.33)).column(0, 0, 1.4, 1.52, 0.05)


def bench(rng: Rng) -> Mesh:
    """A bench, mostly with a back; people sit facing +x."""
    length = float(rng.uniform(1.2, 2.2))
    mesh = Mesh()
    for x in (-0.15, 0.02, 0.19):
        mesh.box((x - 0.07, -length / 2, 0.41), (x + 0.07, length / 2, 0.45))
    for y in (-length * 0.4, length * 0.4):
        mesh.box((-0.2, y - 0.04, 0), (0.22, y + 0.04, 0.41))
    if rng.random() < 0.7:
        for z in (0.55, 0.72):
            mesh.box((-0.3, -length / 2, z), (-0.26, length / 2, z + 0.1))
        for y in (-length * 0.4, length * 0.4):
            mesh.bar((-0.24, y, 0.4), (-0.3, y, 0.82), 0.025)
    return mesh


def chair(rng: Rng) -> Mesh:
    """A chair as of cafes and gardens; people sit facing +x."""
    half, seat = float(rng.uniform(0.19, 0.26)), float(rng.uniform(0.42, 0.47))
    mesh = Mesh().box((-half, -half, seat - 0.03), (half, half, seat))
    for x in (-half, half):
        for y in (-half, half):
            mesh.bar((x, y, 0), (x, y, seat), 0.016, sides=4)
    top = seat + float(rng.uniform(0.3, 0.5))
    mesh.sheet(
        [(-half, -half, seat + 0.08), (-half, half, seat + 0.08), (-half - 0.06, half, top), (-half - 0.06, -half, top)]
    )
    if rng.random() < 0.4:
        for y in (-half, half):
            mesh.bar((-half, y, seat + 0.2), (half, y, seat + 0.2), 0.02, sides=4)
    return mesh


def table(rng: Rng) -> Mesh:
    """A table: round with one leg, square, or as high as a bar's."""
    half, height = float(rng.uniform(0.3, 0.7)), float(rng.choice([0.72, 0.75, 1.1]))
    if rng.random() < 0.5:
        mesh = Mesh().column(0, 0, height - 0.03, height, half).column(0, 0, 0, height, 0.04)
        return mesh.column(0, 0, 0, 0.03, half * 0.6)
    wide = half * float(rng.uniform(1.0, 1.8))
    mesh = Mesh().box((-half, -wide, height - 0.04), (half, wide, height))
    for x in (-half * 0.9, half * 0.9):
        for y in (-wide * 0.9, wide * 0.9):
            mesh.bar((x, y, 0), (x, y, height), 0.025, sides=4)
    return mesh


def parasol(rng: Rng) -> Mesh:
    """A parasol, open over people's heads or closed: then as wide and tall as a person."""
    height = float(rng.uniform(2.1, 2.8))
    mesh = Mesh().column(0, 0, 0, height, 0.03).column(0, 0, 0, 0.12, 0.3)
    if rng.random() < 0.5:
        return mesh.bar((0, 0, 0.9), (0, 0, height), float(rng.uniform(0.1, 0.2)), 0.05, 10)
    spread = float(rng.uniform(1.0, 2.0))
    mesh.bar((0, 0, height - 0.15), (0, 0, height + 0.35), spread, 0.03, 8)
    mesh.footprint = [(-0.3, 0.3, -0.3, 0.3)]
    return mesh


def boxes(rng: Rng) -> Mesh:
    """A heap of cartons, crates or pallets."""
    mesh, base = Mesh(), 0.0
    for _ in range(int(rng.integers(1, 5))):
        a, b, h = rng.uniform(0.15, 0.4), rng.uniform(0.15, 0.4), rng.uniform(0.15, 0.6)
        mesh.join(
            Mesh().box((-a, -b, 0), (a, b, h)), rng.normal(0, 0.05), rng.normal(0, 0.05), base, rng.normal(0, 0.3)
        )
        base += h
    return mesh


def shopping_cart(rng: Rng) -> Mesh:
    """A wire cart: mostly gaps. Its handle is at -x."""
    mesh = Mesh()
    for side in (-0.25, 0.25):
        for z in (0.5, 0.65, 0.8, 0.95):
            mesh.bar((-0.35, side, z), (0.45, side * 0.8, z), 0.006, sides=3)
        for x in np.linspace(-0.35, 0.45, 7):
            mesh.bar((x, side * (1 - 0.2 * (x + 0.35)), 0.45), (x, side, 0.95), 0.005, sides=3)
        mesh.bar((-0.4, side, 0.08), (-0.4, side, 1.02), 0.012).bar((-0.4, side, 0.1), (0.45, side * 0.7, 0.1), 0.012)
    mesh.box((-0.35, -0.22, 0.45), (0.42, 0.22, 0.46)).bar((-0.42, -0.26, 1.03), (-0.42, 0.26, 1.03), 0.018)
    if rng.random() < 0.6:
        mesh.box((-0.25, -0.18, 0.46), (rng.uniform(0.0, 0.35), 0.18, rng.uniform(0.6, 1.0)))
    return mesh


def pram(rng: Rng) -> Mesh:
    """A pram or pushchair: handle at -x, 1.0 m high."""
    mesh = Mesh()
    for y in (-0.27, 0.27):
        mesh.bar((-0.5, y, 1.02), (0.3, y, 0.25), 0.014).bar((-0.2, y, 0.15), (0.1, y, 0.6), 0.014)
        for x in (-0.28, 0.38):
            mesh.wheel((x, y, 0.14), 0.14, 0.04)
    mesh.bar((-0.5, -0.27, 1.02), (-0.5, 0.27, 1.02), 0.016)
    mesh.prism([(-0.25, 0.42), (0.3, 0.38), (0.35, 0.6), (-0.25, 0.62)], -0.2, 0.2)
    if rng.random() < 0.7:
        mesh.ball((-0.1, 0, 0.72), (0.26, 0.22, 0.28))
    return mesh


def suitcase(rng: Rng) -> Mesh:
    """A trolley suitcase, its handle drawn out."""
    half, height = float(rng.uniform(0.18, 0.26)), float(rng.uniform(0.5, 0.78))
    mesh = Mesh().box((-0.13, -half, 0.05), (0.13, half, height))
    for y in (-0.1, 0.1):
        mesh.bar((-0.12, y, height), (-0.2, y, 1.0), 0.008, sides=3)
    return mesh.bar((-0.2, -0.1, 1.0), (-0.2, 0.1, 1.0), 0.015)


def dog(rng: Rng) -> Mesh:
    """A dog, standing."""
    size = float(rng.uniform(0.3, 1.0))
    mesh = Mesh().ball((0, 0, 0.5), (0.38, 0.13, 0.15)).ball((0.42, 0, 0.68), (0.17, 0.09, 0.11))
    for x in (-0.25, 0.25):
        for y in (-0.09, 0.09):
            mesh.bar((x, y, 0.45), (x + rng.normal(0, 0.05), y, 0), 0.035)
    return mesh.bar((-0.35, 0, 0.55), (-0.55, 0, rng.uniform(0.4, 0.8)), 0.025).scaled(size)


def shelf(rng: Rng) -> Mesh:
    """A rack of shelves with goods."""
    length, depth, height = rng.uniform(0.8, 2.4), rng.uniform(0.15, 0.3), rng.uniform(1.2, 2.2)
    mesh = Mesh().box((-depth, -length / 2, 0), (-depth + 0.03, length / 2, height))
    for z in np.arange(0.1, height, rng.uniform(0.3, 0.5)):
        mesh.box((-depth, -length / 2, z), (depth, length / 2, z + 0.03))
        for _ in range(int(rng.integers(0, 5))):
            y, half = rng.uniform(-0.45, 0.45) * length, rng.uniform(0.04, 0.15)
            mesh.box(
                (-depth + 0.05, y - half, z + 0.03),
                (depth * rng.uniform(0.2, 0.9), y + half, z + rng.uniform(0.1, 0.28)),
            )
    return mesh


def coat_rack(rng: Rng) -> Mesh:
    """Clothes on a stand: a garment's shape and height, nobody in it."""
    mesh = Mesh().column(0, 0, 0, 1.75, 0.025).column(0, 0, 0, 0.04, 0.25)
    for _ in range(int(rng.integers(1, 4))):
        turn = rng.uniform(0, 2 * np.pi)
        high, low = rng.uniform(1.4, 1.65), rng.uniform(0.5, 0.9)
        coat = Mesh().prism([(-0.06, low), (0.06, low), (0.05, high), (-0.05, high)], -0.2, 0.2, 0.08)
        mesh.join(coat, 0.15 * np.cos(turn), 0.15 * np.sin(turn), 0, turn)
    return mesh


def luggage(rng: Rng) -> Mesh:
    """Bags and cases standing about."""
    mesh = Mesh()
    for _ in range(int(rng.integers(1, 4))):
        x, y, turn = rng.normal(0, 0.3), rng.normal(0, 0.3), rng.uniform(0, 6)
        low = Mesh().ball((0, 0, 0.2), (0.3, 0.16, 0.2)) if rng.random() < 0.5 else suitcase(rng)
        mesh.join(low, x, y, 0, turn)
    return mesh
