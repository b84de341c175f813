"""A whole place: ground, sensor, what is built, parked, planted and standing about, then the people."""

from __future__ import annotations

import numpy as np

from emgait_ros.lab.simulation.clutter.buildings import ceiling, fence, front, ramp, stairs
from emgait_ros.lab.simulation.clutter.greenery import GREENERY
from emgait_ros.lab.simulation.clutter.hard_cases import Rehearsal
from emgait_ros.lab.simulation.clutter.layout import Layout
from emgait_ros.lab.simulation.clutter.meshes import Mesh
from emgait_ros.lab.simulation.clutter.people import STANDING, person
from emgait_ros.lab.simulation.clutter.places import (
    Area,
    Catalog,
    Rng,
    draw_ground,
    people_the_place,
    pick,
    row_of_fronts,
    scatter,
)  # fmt: skip
from emgait_ros.lab.simulation.clutter.props import INDOORS, STREET
from emgait_ros.lab.simulation.clutter.sensors import Scanner, draw_scanner
from emgait_ros.lab.simulation.clutter.vehicles import MOTOR, TWO_WHEELED, car

PLACES = ("street", "square", "park", "parking", "hall", "corridor")
_CHANCES = (0.48, 0.14, 0.12, 0.08, 0.12, 0.06)
MIXED: Catalog = {**STREET, **{name: (make, 0.7 * weight) for name, (make, weight) in TWO_WHEELED.items()}}

BUILT: Catalog = {
    "stairs": (stairs, 1),
    "ramp": (ramp, 1),
    "low wall": (lambda rng: Mesh().box((0, -0.15, 0), (rng.uniform(0.8, 5), 0.15, rng.uniform(0.4, 1.4))), 2),
    "fence": (lambda rng: fence(float(rng.uniform(2, 6)), rng), 2),
}


def furnish(rng: Rng) -> tuple[str, Layout, Scanner, tuple[float, float]]:
    """Kind of place, what stands in it, the sensor and where it stands."""
    place = str(rng.choice(PLACES, p=_CHANCES))
    indoors = place in ("hall", "corridor")
    on_car = place in ("street", "parking") and rng.random() < 0.6
    scanner = draw_scanner(rng, on_car, indoors)
    layout, area, fronts, spot = {
        "street": _street, "square": _square, "park": _park, "parking": _parking, "hall": _hall, "corridor": _corridor,
    }[place](rng, scanner, on_car)  # fmt: skip
    if not indoors:
        scatter(layout, BUILT, rng.poisson(1.2), (-18, 18), (-12, 12))
    crowded = rng.random() < 0.12
    count = (
        int(rng.integers(12, 31))
        if crowded
        else int(min(rng.poisson(rng.choice([0.7, 5.0, 9.0, 14.0], p=[0.15, 0.35, 0.3, 0.2])), 40))
    )
    reach = float(
        rng.uniform(3.0, 5.0) if crowded else rng.choice([rng.uniform(4, 12), rng.uniform(10, 28), rng.uniform(25, 50)])
    )
    if not on_car and rng.random() < 0.15:  # who came with the sensor
        turn = scanner.yaw_rad + np.pi + rng.normal(0, 0.8)
        away, yaw = rng.uniform(1.1, 2.2), turn + np.pi + rng.normal(0, 0.5)
        layout.settle(person(rng, STANDING), spot[0] + away * np.cos(turn), spot[1] + away * np.sin(turn), yaw)
    people_the_place(layout, area, count, reach, fronts)
    if rng.random() < 0.6:  # more things close to people
        _crowd_in(layout, INDOORS if indoors else MIXED | GREENERY)
    return place, layout, scanner, spot


def rehearse(rng: Rng) -> tuple[str, Layout, Scanner, tuple[float, float]]:
    """An open place full of ``hard_cases``; the same four as of :func:`furnish`."""
    on_car = rng.random() < 0.4
    scanner = draw_scanner(rng, on_car, False)
    layout, spot = Layout(draw_ground(rng, None, False), rng), (0.0, 0.0)
    _stand(layout, scanner, spot, on_car)
    if rng.random() < 0.6:
        _around(layout, float(rng.uniform(14, 45)), float(rng.uniform(12, 40)), 0.6)
    scatter(layout, MIXED | GREENERY, rng.poisson(12), (-25, 25), (-25, 25))
    Rehearsal(layout, scanner, spot).run(int(rng.integers(25, 55)))
    return "open", layout, scanner, spot


def _crowd_in(layout: Layout, catalog: Catalog) -> None:
    """Things set down within a step of some of the people."""
    rng = layout.rng
    for _, x, y, _, _ in list(layout.people):
        if rng.random() < 0.45:
            name, mesh = pick(catalog, rng)
            for _ in range(4):
                turn, far = rng.uniform(-np.pi, np.pi), rng.uniform(0.4, 1.2)
                if layout.put(
                    name, mesh, x + far * np.cos(turn), y + far * np.sin(turn), rng.uniform(-np.pi, np.pi), margin=0.0
                ):
                    break


def _stand(layout: Layout, scanner: Scanner, spot: tuple[float, float], on_car: bool) -> None:
    half_length, half_width = (2.4, 1.0) if on_car else (0.7, 0.7)
    layout.take(*spot, scanner.yaw_rad, (-half_length, half_length, -half_width, half_width))
    if on_car and layout.rng.random() < 0.6:  # the sensor sees roof, hood and mirrors of its car
        carrier = car(layout.rng)
        roof = carrier.bounds()[1][2]
        lower = (1.0, 1.0, (scanner.height_m - layout.rng.uniform(0.15, 0.4)) / roof)
        layout.put("carrier", carrier.scaled(lower), *spot, scanner.yaw_rad, force=True)


def _street(rng: Rng, scanner: Scanner, on_car: bool) -> tuple[Layout, Area, list[float], tuple[float, float]]:
    half, left, right = float(rng.uniform(2.5, 8.5)), float(rng.uniform(1.5, 6.0)), float(rng.uniform(1.5, 6.0))
    layout = Layout(draw_ground(rng, (half, -half), False), rng)
    y = (
        float(rng.uniform(-0.6, 0.6) * half)
        if on_car
        else float(rng.choice([rng.uniform(-half, half), half + left * 0.6, -half - right * 0.6]))
    )
    spot = (0.0, y)
    _stand(layout, scanner, spot, on_car)
    homes = float(rng.choice([0.95, 0.75, 0.3]))
    density = float(rng.choice([0.4, 1.0, 1.8]))
    for side, walk in ((1, left), (-1, right)):
        kerb, wall = side * half, side * (half + walk)
        row_of_fronts(layout, wall, side, float(rng.uniform(25, 45)), homes)
        if rng.random() < 0.75:
            _parked_row(layout, kerb - side * 1.05, float(rng.uniform(0.2, 0.9)), side)
        low, high = sorted((kerb + side * 0.3, kerb + side * min(1.0, walk * 0.5)))
        yaw = side * np.pi / 2 if rng.random() < 0.6 else None
        scatter(layout, MIXED, rng.poisson(14 * density), (-35, 35), (low, high), yaw)
        scatter(layout, GREENERY, rng.poisson(5 * density * rng.choice([0, 1, 2])), (-35, 35), (low, high), 0.0)
        low, high = sorted((wall - side * 0.9, wall - side * 0.3))
        scatter(layout, MIXED, rng.poisson(5 * density), (-32, 32), (low, high), -side * np.pi / 2)
    if rng.random() < 0.3:
        scatter(layout, {"car": MOTOR["car"]} | TWO_WHEELED, 3, (-25, 25), (-half, half), 0.0)
    if rng.random() < 0.2:
        scatter(layout, {name: STREET[name] for name in ("cone", "beacon", "barrier")}, 8, (3, 14), (-half, half))
    if rng.random() < 0.2:
        layout.put("stairs", stairs(rng), float(rng.uniform(-10, 10)), half + left - 0.5, np.pi / 2)
    walks = [(-40.0, 40.0, half + 0.2, half + left - 0.25), (-40.0, 40.0, -half - right + 0.25, -half - 0.2)]
    road = (-30.0, 30.0, -half, half)
    return layout, Area([*walks * 2, road], True), [half + left, -half - right], spot


def _parked_row(layout: Layout, y: float, share: float, side: int) -> None:
    rng, x = layout.rng, -35.0
    slanting = float(rng.choice([0.0, 0.0, 0.0, np.pi / 2, 0.9]))
    while x < 35.0:
        name, mesh = pick(MOTOR, rng)
        low, high = mesh.bounds()
        pace = (high[0] - low[0]) if slanting == 0 else 2.6
        if rng.random() < share and (slanting == 0 or name == "car"):
            yaw = float(rng.choice([0, np.pi])) + (side * slanting) + rng.normal(0, 0.03)
            layout.put(
                name,
                mesh,
                x + pace / 2,
                y - side * (0.0 if slanting == 0 else 1.3) + rng.normal(0, 0.1),
                yaw,
                margin=0.0,
            )
        x += pace + float(rng.uniform(0.3, 1.5))


def _around(layout: Layout, half_x: float, half_y: float, homes: float) -> None:
    """Fronts and fences on the four sides of a place."""
    rng = layout.rng
    for yaw, far, across in (
        (0.0, half_y, half_x),
        (np.pi, half_y, half_x),
        (np.pi / 2, half_x, half_y),
        (-np.pi / 2, half_x, half_y),
    ):
        if rng.random() < 0.15:
            continue
        along = -across
        while along < across:
            length = float(rng.uniform(6, 16))
            wall = front(length, float(rng.uniform(3, 12)), rng) if rng.random() < homes else fence(length, rng)
            c, s = np.cos(yaw), np.sin(yaw)
            layout.put(
                "house" if len(wall.glass) else "fence", wall, c * along - s * far, s * along + c * far, yaw, force=True
            )
            along += length + float(rng.choice([0.0, 0.0, 3.0]))


def _square(rng: Rng, scanner: Scanner, on_car: bool) -> tuple[Layout, Area, list[float], tuple[float, float]]:
    layout = Layout(draw_ground(rng, None, False), rng)
    spot = (0.0, 0.0)
    _stand(layout, scanner, spot, on_car)
    a, b = float(rng.uniform(8, 35)), float(rng.uniform(8, 30))
    _around(layout, a, b, 0.8)
    density = float(rng.choice([0.5, 1.0, 2.0]))
    near = min(a, b, 18.0)
    scatter(layout, MIXED, rng.poisson(28 * density), (-near, near), (-near, near))
    scatter(layout, GREENERY, rng.poisson(8 * density), (-a, a), (-b, b))
    if rng.random() < 0.5:
        scatter(
            layout,
            {name: STREET[name] for name in ("chair", "parasol", "planter")} | {"table": INDOORS["table"]},
            20,
            (2, near),
            (-near, near),
        )
    if rng.random() < 0.3:
        layout.put("ramp", ramp(rng), float(rng.uniform(4, 9)), float(rng.uniform(-6, 6)), float(rng.uniform(0, 6)))
    if rng.random() < 0.4:
        layout.put(
            "stairs", stairs(rng), float(rng.uniform(-9, -4)), float(rng.uniform(-6, 6)), float(rng.uniform(0, 6))
        )
    return layout, Area([(-a, a, -b, b)], False), [b, -b], spot


def _park(rng: Rng, scanner: Scanner, on_car: bool) -> tuple[Layout, Area, list[float], tuple[float, float]]:
    layout = Layout(draw_ground(rng, None, False), rng)
    spot = (0.0, 0.0)
    _stand(layout, scanner, spot, on_car)
    path = float(rng.uniform(1.0, 3.0))
    if rng.random() < 0.5:
        _around(layout, 35, 30, 0.5)
    density = float(rng.choice([0.6, 1.2, 2.0]))
    for side in (-1, 1):
        low, high = sorted((side * path, side * 14.0))
        scatter(layout, GREENERY, rng.poisson(22 * density), (-25, 25), (low, high))
        scatter(layout, MIXED, rng.poisson(5), (-18, 18), (low, high), -side * np.pi / 2)
    if rng.random() < 0.5:
        for x in (-16.0, -8.0, 0.0, 8.0):
            layout.put("fence", fence(8.0, rng), x, path + 0.4, 0.0, force=False)
    return layout, Area([(-30, 30, -path, path), (-30, 30, -path, path), (-15, 15, -12, 12)], True), [], spot


def _parking(rng: Rng, scanner: Scanner, on_car: bool) -> tuple[Layout, Area, list[float], tuple[float, float]]:
    layout = Layout(draw_ground(rng, None, False), rng)
    spot = (0.0, 0.0)
    _stand(layout, scanner, spot, on_car)
    _around(layout, 40, 32, 0.5)
    share = float(rng.uniform(0.3, 0.9))
    for y in (-14.0, -8.5, 5.5, 11.0):
        x = -26.0
        while x < 26.0:
            if rng.random() < share:
                name, mesh = pick(MOTOR if rng.random() < 0.2 else {"car": MOTOR["car"]}, rng)
                layout.put(
                    name,
                    mesh,
                    x,
                    y + rng.normal(0, 0.2),
                    float(rng.choice([-1, 1])) * np.pi / 2 + rng.normal(0, 0.04),
                    margin=0.0,
                )
            x += 2.6
    scatter(layout, MIXED | GREENERY, rng.poisson(15), (-25, 25), (-18, 18))
    return layout, Area([(-25, 25, -5, 3), (-25, 25, -16, 14)], False), [], spot


def _walls(layout: Layout, x: tuple[float, float], y: tuple[float, float], high: float) -> None:
    rng = layout.rng
    for yaw, corner, length in (
        (0.0, (x[0], y[1]), x[1] - x[0]),
        (np.pi, (x[1], y[0]), x[1] - x[0]),
        (np.pi / 2, (x[0], y[0]), y[1] - y[0]),
        (-np.pi / 2, (x[1], y[1]), y[1] - y[0]),
    ):
        layout.put("wall", front(length, high, rng), *corner, yaw, force=True)
    if rng.random() < 0.85:
        layout.put("ceiling", ceiling(*x, *y, high, rng), 0, 0)


def _hall(rng: Rng, scanner: Scanner, on_car: bool) -> tuple[Layout, Area, list[float], tuple[float, float]]:
    layout = Layout(draw_ground(rng, None, True), rng)
    spot = (0.0, 0.0)
    _stand(layout, scanner, spot, False)
    x, y = (
        (-float(rng.uniform(2, 15)), float(rng.uniform(4, 25))),
        (-float(rng.uniform(2, 12)), float(rng.uniform(2, 12))),
    )
    _walls(layout, x, y, float(rng.uniform(max(2.4, scanner.height_m + 0.3), 5.5)))
    pitch = float(rng.uniform(4, 8))
    if rng.random() < 0.6:
        name, mesh = "pillar", INDOORS["pillar"][0](rng)
        for px in np.arange(x[0] + 2, x[1] - 1, pitch):
            for py in np.arange(y[0] + 2, y[1] - 1, pitch):
                layout.put(name, mesh, float(px), float(py))
    space = (x[1] - x[0]) * (y[1] - y[0])
    scatter(
        layout,
        INDOORS,
        rng.poisson(min(space * 0.12, 45) * rng.choice([0.5, 1.0, 1.8])),
        (x[0] + 0.4, x[1] - 0.4),
        (y[0] + 0.4, y[1] - 0.4),
    )
    area = Area([(x[0] + 0.5, x[1] - 0.5, y[0] + 0.5, y[1] - 0.5)], False)
    return layout, area, [y[0], y[1]], spot


def _corridor(rng: Rng, scanner: Scanner, on_car: bool) -> tuple[Layout, Area, list[float], tuple[float, float]]:
    layout = Layout(draw_ground(rng, None, True), rng)
    spot = (0.0, float(rng.uniform(-0.3, 0.3)))
    _stand(layout, scanner, spot, False)
    half = float(rng.uniform(1.0, 2.5))
    x, y = (-float(rng.uniform(2, 15)), float(rng.uniform(8, 35))), (-half, half)
    _walls(layout, x, y, float(rng.uniform(max(2.3, scanner.height_m + 0.2), 3.2)))
    for side in (-1, 1):
        low, high = sorted((side * half * 0.6, side * (half - 0.2)))
        scatter(layout, INDOORS, rng.poisson(6), x, (low, high), -side * np.pi / 2)
    return layout, Area([(x[0] + 0.5, x[1] - 0.5, y[0] + 0.35, y[1] - 0.35)], True), [y[0], y[1]], spot
