"""Parked vehicles, motor and other. x is the way they drive, the middle of the footprint at the origin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emgait_ros.lab.simulation.clutter.meshes import Mesh

Rng = np.random.Generator


def car(rng: Rng) -> Mesh:
    """A car: hatchback, saloon, estate or off-roader; hood, glass, seats seen through it, wheels, mirrors."""
    length, half = float(rng.uniform(3.5, 5.0)), float(rng.uniform(0.8, 0.96))
    belt, roof, floor = float(rng.uniform(0.82, 1.08)), float(rng.uniform(1.38, 1.85)), float(rng.uniform(0.18, 0.3))
    front, back = length / 2, -length / 2
    hood = front - float(rng.uniform(0.85, 1.25))
    trunk = back + float(rng.choice([0.1, 0.25, 0.75]))
    mesh = Mesh()
    mesh.prism(
        [
            (back, floor + 0.1),
            (front - 0.1, floor),
            (front, 0.55),
            (front - 0.15, belt - 0.18),
            (hood, belt),
            (trunk, belt),
            (back, belt - 0.08),
        ],
        -half,
        half,
        0.03,
    )
    top_front, top_back = hood - float(rng.uniform(0.55, 0.9)), trunk + float(rng.uniform(0.1, 0.5))
    inner = half - 0.06
    top = inner - 0.1
    mesh.prism(
        [(top_back, roof - 0.05), (top_front, roof - 0.05), (top_front - 0.2, roof), (top_back + 0.2, roof)], -top, top
    )
    for side in (-1, 1):
        low, high = side * inner, side * top
        mesh.sheet([(trunk, low, belt), (hood, low, belt), (top_front, high, roof), (top_back, high, roof)], glass=True)
        middle = (hood + trunk) / 2
        for x, x_top in ((hood, top_front), (middle, middle), (trunk, top_back)):
            mesh.bar((x, low, belt), (x_top, high, roof - 0.03), 0.035, sides=4)
        mirror = hood - 0.25
        mesh.box((mirror - 0.05, side * (half + 0.02), belt), (mirror + 0.05, side * (half + 0.2), belt + 0.14))
        for x in (front - 0.75, back + 0.75):
            mesh.wheel((x, side * (half - 0.1), 0.31), 0.31, 0.22)
    mesh.sheet([(hood, -inner, belt), (hood, inner, belt), (top_front, top, roof), (top_front, -top, roof)], glass=True)
    mesh.sheet([(trunk, -inner, belt), (trunk, inner, belt), (top_back, top, roof), (top_back, -top, roof)], glass=True)
    for y in (-0.38, 0.38):  # seats and head rests
        for x in ((hood + trunk) / 2 + 0.1, trunk + 0.5):
            mesh.box((x, y - 0.24, belt - 0.1), (x + 0.12, y + 0.24, belt + 0.12)).box(
                (x, y - 0.12, belt + 0.1), (x + 0.1, y + 0.12, belt + 0.3)
            )
    if rng.random() < 0.1:  # a door stands open
        turn = float(rng.uniform(0.7, 1.2))
        door = (
            Mesh().box((0, -0.03, floor + 0.1), (0.95, 0.03, belt)).box((0, -0.02, belt), (0.9, 0.02, roof - 0.1), True)
        )
        mesh.join(door, hood - 0.2, half, 0, np.pi - turn)
    return mesh


def van(rng: Rng) -> Mesh:
    """A delivery van or camper."""
    length, half, roof = float(rng.uniform(4.6, 6.8)), float(rng.uniform(0.92, 1.08)), float(rng.uniform(1.9, 2.75))
    front, back = length / 2, -length / 2
    belt = float(rng.uniform(1.1, 1.3))
    mesh = Mesh().prism(
        [(back, 0.3), (front - 0.1, 0.25), (front, 0.6), (front - 0.3, belt - 0.1), (front - 1.0, belt), (back, belt)],
        -half,
        half,
    )
    cab = front - 1.9
    mesh.prism([(back, belt), (cab, belt), (cab, roof), (back + 0.1, roof)], -half, half, 0.06)
    mesh.prism([(cab, roof - 0.12), (cab + 0.5, roof - 0.2), (cab, roof)], -half + 0.08, half - 0.08)
    mesh.sheet(
        [
            (front - 1.0, -half + 0.1, belt),
            (front - 1.0, half - 0.1, belt),
            (cab + 0.5, half - 0.15, roof - 0.2),
            (cab + 0.5, -half + 0.15, roof - 0.2),
        ],
        glass=True,
    )
    for side in (-1, 1):
        y = side * (half - 0.05)
        mesh.sheet(
            [(cab, y, belt), (front - 1.0, y, belt), (cab + 0.5, y, roof - 0.2), (cab, y, roof - 0.2)], glass=True
        )
        mesh.box((front - 1.15, side * (half + 0.03), belt), (front - 1.0, side * (half + 0.25), belt + 0.3))
        for x in (front - 0.9, back + 1.0):
            mesh.wheel((x, side * (half - 0.12), 0.34), 0.34, 0.24)
    mesh.box((cab - 0.1, -0.8, 0.9), (cab + 0.05, 0.8, 1.7))
    return mesh


def lorry(rng: Rng) -> Mesh:
    """A lorry: cab and a box, a flat bed or a tank behind it."""
    length, half, height = float(rng.uniform(6.5, 11.0)), float(rng.uniform(1.1, 1.27)), float(rng.uniform(2.8, 3.9))
    front, back = length / 2, -length / 2
    cab = front - float(rng.uniform(1.6, 2.2))
    mesh = (
        Mesh()
        .box((cab, -half, 0.5), (front, half, 1.5))
        .box((cab, -half, 2.3), (front - 0.3, half, rng.uniform(2.6, height)))
    )
    mesh.sheet(
        [(front, -half, 1.5), (front, half, 1.5), (front - 0.3, half, 2.4), (front - 0.3, -half, 2.4)], glass=True
    )
    for side in (-1, 1):
        mesh.sheet(
            [
                (cab + 0.4, side * half, 1.5),
                (front, side * half, 1.5),
                (front - 0.3, side * half, 2.4),
                (cab + 0.4, side * half, 2.4),
            ],
            glass=True,
        )
        mesh.box((cab, side * half - 0.02, 1.5), (cab + 0.4, side * half + 0.02, 2.4))
        mesh.box((front - 0.15, side * (half + 0.05), 1.6), (front, side * (half + 0.3), 2.3))
        for x in (front - 1.1, back + 1.2, back + 2.4):
            mesh.wheel((x, side * (half - 0.18), 0.5), 0.5, 0.34)
    kind = int(rng.integers(3))
    if kind == 0:
        mesh.box((back, -half, 1.0), (cab - 0.15, half, height))
    elif kind == 1:
        mesh.box((back, -half, 1.0), (cab - 0.15, half, 1.2)).box((back, -half, 1.2), (back + 0.06, half, 1.7))
        for side in (-1, 1):
            mesh.box((back, side * half - 0.03, 1.2), (cab - 0.15, side * half + 0.03, 1.7))
    else:
        mesh.bar((back, 0, 1.9), (cab - 0.2, 0, 1.9), 1.0, sides=14)
    return mesh.box((back + 0.3, -0.4, 0.6), (cab, 0.4, 1.0))


def bus(rng: Rng) -> Mesh:
    """A bus or tram: rows of windows, seats behind them."""
    length, half, height = float(rng.uniform(9.0, 14.0)), 1.27, float(rng.uniform(2.9, 3.4))
    front, back = length / 2, -length / 2
    mesh = Mesh().box((back, -half, 0.3), (front, half, 1.15)).box((back, -half, 2.2), (front, half, height))
    for x in np.arange(back, front, 1.5):
        for side in (-half, half):
            mesh.box((x, side - 0.03, 1.15), (x + 0.12, side + 0.03, 2.2))
            mesh.box((x + 0.12, side - 0.01, 1.15), (x + 1.5, side + 0.01, 2.2), glass=True)
        if rng.random() < 0.8:
            mesh.box((x + 0.3, -1.1, 1.0), (x + 0.45, -0.2, 1.7)).box((x + 0.3, 0.2, 1.0), (x + 0.45, 1.1, 1.7))
    mesh.box((front - 0.02, -half, 1.0), (front, half, 2.4), glass=True).box(
        (back, -half, 1.1), (back + 0.02, half, 2.2)
    )
    for side in (-1, 1):
        for x in (front - 2.6, back + 3.0):
            mesh.wheel((x, side * (half - 0.1), 0.48), 0.48, 0.3)
    return mesh


def bicycle(rng: Rng) -> Mesh:
    """A bicycle, upright."""
    radius, base = float(rng.uniform(0.27, 0.35)), float(rng.uniform(0.95, 1.12))
    saddle, bars = float(rng.uniform(0.85, 1.02)), float(rng.uniform(0.95, 1.15))
    back, front, crank = (-base * 0.45, 0, radius), (base * 0.55, 0, radius), (-0.03, 0, 0.28)
    mesh = Mesh().wheel(back, radius, 0.05, 0.018).wheel(front, radius, 0.05, 0.018)
    seat, head = (-0.22, 0, saddle - 0.15), (base * 0.55 - 0.2, 0, bars - 0.15)
    for a, b in ((back, crank), (back, seat), (crank, seat), (crank, head), (seat, head), (head, front)):
        mesh.bar(a, b, 0.017, sides=4)
    mesh.bar(seat, (-0.25, 0, saddle), 0.014).box((-0.38, -0.06, saddle - 0.02), (-0.12, 0.06, saddle + 0.05))
    mesh.bar(head, (head[0] - 0.03, 0, bars), 0.014).bar((head[0], -0.28, bars), (head[0], 0.28, bars), 0.014)
    if rng.random() < 0.4:
        mesh.box((head[0] + 0.1, -0.2, bars - 0.25), (head[0] + 0.4, 0.2, bars))
    if rng.random() < 0.4:
        mesh.box((-0.75, -0.07, radius * 2 + 0.06), (-0.35, 0.07, radius * 2 + 0.09))
        for y in (-0.15, 0.15) if rng.random() < 0.5 else ():
            mesh.box((-0.75, y - 0.07, 0.4), (-0.4, y + 0.07, radius * 2 + 0.05))
    return mesh


def motorcycle(rng: Rng) -> Mesh:
    """A motorcycle or scooter on its stand, some with a box or a screen."""
    base, seat = float(rng.uniform(1.2, 1.5)), float(rng.uniform(0.75, 0.85))
    mesh = Mesh().wheel((-base / 2, 0, 0.3), 0.3, 0.14).wheel((base / 2, 0, 0.3), 0.3, 0.12)
    mesh.prism(
        [(-base / 2 - 0.1, seat - 0.15), (-0.3, 0.3), (0.3, 0.25), (0.4, seat - 0.1), (0.1, seat + 0.2), (-0.1, seat)],
        -0.14,
        0.14,
    )
    mesh.bar((base / 2, 0, 0.3), (base / 2 - 0.25, 0, 1.0), 0.05).bar(
        (base / 2 - 0.25, -0.38, 1.02), (base / 2 - 0.25, 0.38, 1.02), 0.02
    )
    if rng.random() < 0.5:
        mesh.sheet(
            [
                (base / 2 - 0.1, -0.18, 0.95),
                (base / 2 - 0.1, 0.18, 0.95),
                (base / 2 - 0.3, 0.12, 1.35),
                (base / 2 - 0.3, -0.12, 1.35),
            ]
        )
    if rng.random() < 0.4:
        mesh.box((-base / 2 - 0.3, -0.22, seat), (-base / 2 + 0.1, 0.22, seat + 0.35))
    return mesh


def bicycle_rack(rng: Rng) -> Mesh:
    """Bicycles side by side, some leaning, between hoops."""
    mesh, pitch = Mesh(), float(rng.uniform(0.35, 0.8))
    for k in range(int(rng.integers(2, 8))):
        y = k * pitch
        mesh.bar((-0.3, y, 0), (-0.3, y, 0.8), 0.02).bar((0.3, y, 0), (0.3, y, 0.8), 0.02).bar(
            (-0.3, y, 0.8), (0.3, y, 0.8), 0.02
        )
        if rng.random() < 0.75:
            leaning = bicycle(rng).at(
                rng.normal(0, 0.1),
                y + 0.12,
                0,
                float(rng.choice([0, np.pi])) + rng.normal(0, 0.08),
                0,
                rng.normal(0, 0.1),
            )
            mesh.join(leaning)
    return mesh


def kick_scooter(rng: Rng) -> Mesh:
    """A scooter standing about."""
    mesh = (
        Mesh()
        .box((-0.4, -0.08, 0.1), (0.4, 0.08, 0.16))
        .wheel((-0.45, 0, 0.1), 0.1, 0.05)
        .wheel((0.5, 0, 0.1), 0.1, 0.05)
    )
    return mesh.bar((0.48, 0, 0.15), (0.36, 0, 1.1), 0.025).bar((0.36, -0.22, 1.1), (0.36, 0.22, 1.1), 0.018)


def wheelchair(rng: Rng) -> Mesh:
    """A wheelchair; who sits in it has the pelvis over the origin."""
    mesh, radius = Mesh(), float(rng.uniform(0.27, 0.32))
    for y in (-0.3, 0.3):
        mesh.wheel((-0.08, y, radius), radius, 0.03, 0.014).wheel((0.36, y * 0.8, 0.09), 0.09, 0.03)
        mesh.bar((-0.25, y * 0.8, 0.3), (-0.28, y * 0.8, 0.95), 0.014).bar(
            (-0.28, y * 0.8, 0.95), (-0.4, y * 0.8, 0.95), 0.018
        )
        mesh.bar((-0.2, y * 0.9, 0.68), (0.2, y * 0.9, 0.68), 0.02).bar(
            (0.2, y * 0.8, 0.5), (0.45, y * 0.5, 0.12), 0.014
        )
    mesh.box((-0.22, -0.23, 0.45), (0.22, 0.23, 0.49)).box((-0.27, -0.22, 0.5), (-0.24, 0.22, 0.9))
    return mesh.box((0.38, -0.2, 0.1), (0.55, 0.2, 0.12))


MOTOR: dict[str, tuple[Callable[[Rng], Mesh], float]] = {
    "car": (car, 10), "van": (van, 3), "lorry": (lorry, 0.8), "bus": (bus, 0.4),
}  # fmt: skip
TWO_WHEELED: dict[str, tuple[Callable[[Rng], Mesh], float]] = {
    "bicycle": (bicycle, 3), "motorcycle": (motorcycle, 2), "bicycle rack": (bicycle_rack, 1.5),
    "kick scooter": (kick_scooter, 1),
}  # fmt: skip
