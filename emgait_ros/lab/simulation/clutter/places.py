"""Kinds of places and how they are furnished and peopled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from emgait_ros.lab.simulation.clutter.buildings import fence, front
from emgait_ros.lab.simulation.clutter.furniture import bench, chair, table
from emgait_ros.lab.simulation.clutter.greenery import GREENERY
from emgait_ros.lab.simulation.clutter.layout import Ground, Layout
from emgait_ros.lab.simulation.clutter.meshes import Mesh
from emgait_ros.lab.simulation.clutter.people import (
    CARRYING,
    CHILD,
    CROUCHING,
    LEANING,
    PUSHING,
    RIDER,
    SITTING,
    STANDING,
    WALKER,
    WHEELCHAIR,
    person,
)  # fmt: skip

Rng = np.random.Generator
Catalog = dict[str, tuple[Callable[[Rng], Mesh], float]]
_KINDS = {
    WALKER: 0.36, STANDING: 0.15, CHILD: 0.08, CARRYING: 0.08, PUSHING: 0.12, RIDER: 0.11, WHEELCHAIR: 0.04, CROUCHING: 0.03,
    SITTING: 0.05, LEANING: 0.02,
}  # fmt: skip


def draw_ground(rng: Rng, kerb: tuple[float, float] | None, indoors: bool) -> Ground:
    """The ground of a place, with kerbs at y = left and right."""
    if indoors:
        return Ground((0.0, 0.0), (1e6, -1e6, 0.0), np.zeros((4, 4), np.float32))
    roughness = float(rng.choice([0.0, 0.01, 0.02, 0.04]))
    bumps = roughness * 5 * gaussian_filter(rng.standard_normal((160, 160)), 3.0, mode="wrap")
    bumps += roughness * 0.3 * rng.standard_normal((160, 160))
    slope = rng.normal(0, 0.012, 2) if rng.random() < 0.7 else rng.normal(0, 0.035, 2)
    left, right = kerb if kerb is not None else (1e6, -1e6)
    rise = float(rng.uniform(0.03, 0.18)) if kerb is not None and rng.random() < 0.85 else 0.0
    return Ground((float(slope[0]), float(slope[1])), (left, right, rise), bumps.astype(np.float32))


def pick(catalog: Catalog, rng: Rng) -> tuple[str, Mesh]:
    """A thing of a catalog."""
    names = list(catalog)
    weights = np.array([catalog[name][1] for name in names])
    name = str(rng.choice(names, p=weights / weights.sum()))
    return name, catalog[name][0](rng)


def draw_kind(rng: Rng) -> str:
    """What somebody does."""
    return str(rng.choice(list(_KINDS), p=np.array(list(_KINDS.values())) / sum(_KINDS.values())))


class Area:
    """Where people go in a place: rectangles (x low, x high, y low, y high), and the usual heading in them."""

    def __init__(self, rectangles: list[tuple[float, float, float, float]], along: bool) -> None:
        self.rectangles, self.along = rectangles, along

    def draw(self, rng: Rng, reach: float) -> tuple[float, float]:
        """A place, more often near the sensor, which is near the origin."""
        for _ in range(12):
            low_x, high_x, low_y, high_y = self.rectangles[int(rng.integers(len(self.rectangles)))]
            x = (
                float(np.clip(rng.normal(0, reach), low_x, high_x))
                if rng.random() < 0.8
                else float(rng.uniform(low_x, high_x))
            )
            y = float(rng.uniform(low_y, high_y))
            if np.hypot(x, y) < 3.2 * reach:
                break
        return x, y

    def heading(self, rng: Rng) -> float:
        """Mostly along, sometimes across."""
        if self.along and rng.random() < 0.55:
            return float(rng.choice([0, np.pi]) + rng.normal(0, 0.25))
        return float(rng.uniform(-np.pi, np.pi))


def people_the_place(layout: Layout, area: Area, count: int, reach: float, fronts: list[float]) -> None:
    """Let ``count`` people in: alone, side by side, in circles, in queues, beside things, at walls and in chairs."""
    rng = layout.rng
    tries = 0
    while len(layout.people) < count and tries < 12 * count + 20:
        tries += 1
        left = count - len(layout.people)
        way = rng.random()
        x, y = area.draw(rng, reach)
        heading = area.heading(rng)
        if way < 0.2 and left >= 2:
            _side_by_side(layout, x, y, heading, min(left, int(rng.choice([2, 2, 2, 3, 4]))))
        elif way < 0.27 and left >= 2:
            _circle(layout, x, y, min(left, int(rng.integers(2, 7))))
        elif way < 0.31 and left >= 3:
            _queue(layout, x, y, heading, min(left, int(rng.integers(3, 8))))
        elif way < 0.5 and layout.things:
            _beside(layout, area, reach)
        elif way < 0.55:
            _seated(layout, x, y)
        elif way < 0.65 and fronts:
            _at_a_wall(layout, x, float(rng.choice(fronts)))
        else:
            one = person(rng, draw_kind(rng))
            for _ in range(4):
                if layout.settle(one, x, y, heading):
                    break
                x, y = area.draw(rng, reach)


def _side_by_side(layout: Layout, x: float, y: float, heading: float, count: int) -> None:
    rng = layout.rng
    gap, abreast = float(rng.uniform(0.36, 0.8)), rng.random() < 0.85
    kind = WALKER if rng.random() < 0.75 else STANDING
    place = np.array([x, y])
    across = np.array([-np.sin(heading), np.cos(heading)]) if abreast else np.array([np.cos(heading), np.sin(heading)])
    for _ in range(count):
        one = CHILD if rng.random() < 0.12 else kind
        close = person(rng, one, alone=False)
        spot = place + rng.normal(0, 0.1, 2) * (1 - abs(across))
        layout.settle(close, float(spot[0]), float(spot[1]), heading + rng.normal(0, 0.12), close=0.3)
        place = place + across * (gap if abreast else gap + 0.25)


def _circle(layout: Layout, x: float, y: float, count: int) -> None:
    rng = layout.rng
    radius = max(0.35, 0.62 * count / (2 * np.pi) * rng.uniform(1.0, 1.7))
    for k in range(count):
        turn = 2 * np.pi * k / count + rng.normal(0, 0.2)
        kind = STANDING if rng.random() < 0.9 else CHILD
        layout.settle(
            person(rng, kind, alone=False),
            x + radius * np.cos(turn),
            y + radius * np.sin(turn),
            turn + np.pi + rng.normal(0, 0.4),
            close=0.25,
        )


def _queue(layout: Layout, x: float, y: float, heading: float, count: int) -> None:
    rng = layout.rng
    for _ in range(count):
        layout.settle(person(rng, STANDING, alone=False), x, y, heading + rng.normal(0, 0.5))
        step = rng.uniform(0.55, 1.0)
        x, y = x - step * np.cos(heading) + rng.normal(0, 0.08), y - step * np.sin(heading) + rng.normal(0, 0.08)


def _beside(layout: Layout, area: Area, reach: float) -> None:
    """Next to a thing that stands within reach, or a thing next to the person: a gap of 0.02 to 0.4 m."""
    rng = layout.rng
    kind = LEANING if rng.random() < 0.1 else draw_kind(rng)
    for _ in range(6):
        _, mesh = layout.things[int(rng.integers(len(layout.things)))]
        plans = mesh.ground_plan()
        if not plans or max(plans[0][1] - plans[0][0], plans[0][3] - plans[0][2]) > 7:
            continue
        plan = plans[0]
        x, y = rng.uniform(plan[0] - 0.7, plan[1] + 0.7), rng.uniform(plan[2] - 0.7, plan[3] + 0.7)
        if np.hypot(x, y) < 3 * reach and layout.settle(
            person(rng, kind, alone=False), x, y, area.heading(rng), margin=-0.04
        ):
            return


def _at_a_wall(layout: Layout, x: float, wall_y: float) -> None:
    rng = layout.rng
    toward = 1.0 if wall_y > 0 else -1.0
    kind = str(rng.choice([LEANING, STANDING, WALKER, CROUCHING], p=[0.35, 0.35, 0.25, 0.05]))
    yaw = -toward * np.pi / 2 + rng.normal(0, 0.4) if kind != WALKER else float(rng.choice([0, np.pi]))
    away = (
        rng.uniform(0.28, 0.6 if kind != WALKER else 1.3) if rng.random() < 0.75 else rng.uniform(-1.0, 0.3)
    )  # a niche
    layout.settle(person(rng, kind), x, wall_y - toward * away, yaw, margin=-0.05)


def _seated(layout: Layout, x: float, y: float) -> None:
    """A bench with people on it, or a table with chairs, taken and free."""
    rng = layout.rng
    if rng.random() < 0.5:
        yaw, seat = float(rng.uniform(0, 2 * np.pi)), bench(rng)
        if not layout.put("bench", seat, x, y, yaw):
            return
        for side in rng.permutation([-0.55, 0.0, 0.55])[: int(rng.integers(1, 3))]:
            sx, sy = x - np.sin(yaw) * side, y + np.cos(yaw) * side
            layout.settle(person(rng, SITTING, alone=False, seated=True), sx, sy, yaw + rng.normal(0, 0.15), force=True)
        return
    if not layout.put("table", table(rng), x, y, rng.uniform(0, 3)):
        return
    for k in range(int(rng.integers(2, 5))):
        turn = k * np.pi / 2 + rng.normal(0, 0.15)
        cx, cy = x + 0.85 * np.cos(turn), y + 0.85 * np.sin(turn)
        if layout.put("chair", chair(rng), cx, cy, turn + np.pi, margin=-0.05) and rng.random() < 0.5:
            layout.settle(
                person(rng, SITTING, alone=False, seated=True),
                cx + 0.03 * np.cos(turn),
                cy + 0.03 * np.sin(turn),
                turn + np.pi,
                force=True,
            )


def scatter(
    layout: Layout,
    catalog: Catalog,
    count: int,
    x: tuple[float, float],
    y: tuple[float, float],
    yaw: float | None = None,
) -> None:
    """Put things of a catalog down in a rectangle."""
    rng = layout.rng
    for _ in range(count):
        name, mesh = pick(catalog, rng)
        for _ in range(3):
            turn = float(rng.uniform(-np.pi, np.pi)) if yaw is None else yaw + float(rng.normal(0, 0.15))
            px, py = float(rng.uniform(*x)), float(rng.uniform(*y))
            if layout.put(name, mesh, px, py, turn):
                if rng.random() < 0.25:  # another touches it: a bicycle at a pole, a bin before a bush
                    name, mesh = pick(catalog, rng)
                    where, away = rng.uniform(-np.pi, np.pi), rng.uniform(0.2, 0.6)
                    layout.put(name, mesh, px + away * np.cos(where), py + away * np.sin(where), turn, margin=-0.15)
                break


def row_of_fronts(layout: Layout, y: float, side: int, reach: float, homes: float) -> None:
    """Houses, gardens, walls and gaps along a street at y, facing it."""
    rng = layout.rng
    x = -reach
    while x < reach:
        length = float(rng.uniform(5, 18))
        back = float(rng.choice([0.0, 0.0, rng.uniform(0, 1.5), rng.uniform(2, 6)]))
        yaw, start = (0.0, x) if side > 0 else (np.pi, x + length)
        draw = rng.random()
        if draw < homes:
            height = float(rng.uniform(3, 14))
            house = front(length, height, rng)
            house.join(Mesh().box((0, 6, 0), (length, 7, height)))
            for end in (0.0, length):
                house.sheet([(end, 0, 0), (end, 7, 0), (end, 7, height), (end, 0, height)])
            house.footprint.append((0.0, length, 3.5, 7.0))
            layout.put("house", house, start, y + side * back, yaw, force=True)
        if draw >= homes or back > 1.5:
            if rng.random() < 0.7:
                boundary = fence(length, rng)
                layout.put("fence", boundary, start, y, yaw, force=True)
            low, high = sorted((y + side * 0.4, y + side * (back + 0.5 if draw < homes else 8)))
            scatter(layout, GREENERY, int(rng.integers(1, 6)), (x, x + length), (low, high), side * np.pi / 2)
        x += length + (float(rng.uniform(1, 6)) if rng.random() < 0.25 else 0.0)
