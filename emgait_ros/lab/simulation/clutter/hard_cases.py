"""What is easily mistaken: small, far or half hidden people, people under something low, and things of their outline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emgait_ros.lab.simulation.clutter.greenery import bed, bush, conifer, hedge, shrub, young_tree
from emgait_ros.lab.simulation.clutter.layout import Layout
from emgait_ros.lab.simulation.clutter.meshes import Mesh
from emgait_ros.lab.simulation.clutter.people import CARRYING, CHILD, PUSHING, STANDING, WALKER, PosedPerson, person
from emgait_ros.lab.simulation.clutter.places import Catalog, Rng, pick
from emgait_ros.lab.simulation.clutter.props import (
    barrier,
    bollard,
    boxes,
    display_board,
    hydrant,
    litter_bin,
    machine,
    parking_meter,
    planter,
    pole,
    sign,
)  # fmt: skip
from emgait_ros.lab.simulation.clutter.sensors import Scanner
from emgait_ros.lab.simulation.clutter.vehicles import bicycle, car, motorcycle, van

Place = tuple[float, float]
_UPRIGHT = (WALKER, STANDING, CARRYING, PUSHING)
SMALL_M = (0.95, 1.35)  # stature of the smallest who walk alone
NO_PERSON: Catalog = {  # what is taken for one when half of it is seen
    "pole": (pole, 2), "sign": (sign, 2), "litter bin": (litter_bin, 2), "machine": (machine, 2), "shrub": (shrub, 4),
    "bush": (bush, 3), "young tree": (young_tree, 2), "conifer": (conifer, 1), "bicycle": (bicycle, 2), "bollard": (bollard, 1),
    "motorcycle": (motorcycle, 1), "display board": (display_board, 1), "parking meter": (parking_meter, 1),
}  # fmt: skip
LOW: Catalog = {  # as high as children
    "litter bin": (litter_bin, 3), "bollard": (bollard, 2), "hydrant": (hydrant, 1), "parking meter": (parking_meter, 2),
    "planter": (planter, 2), "boxes": (boxes, 1), "bicycle": (bicycle, 2), "bush": (lambda rng: round_bush(rng, 0.7, 1.3), 4),
    "barrier": (barrier, 1), "bed": (bed, 0.5),
}  # fmt: skip
BEFORE: Catalog = {  # what hides the lower part of somebody
    "car": (car, 4), "van": (van, 0.5), "hedge": (hedge, 1.5), "boxes": (boxes, 1), "barrier": (barrier, 0.7),
    "bicycle": (bicycle, 1), "planter": (planter, 0.7), "motorcycle": (motorcycle, 1), "bush": (bush, 1),
    "wall": (lambda rng: Mesh().box((-0.1, -1.2, 0), (0.1, 1.2, rng.uniform(0.6, 1.35))), 2),
}  # fmt: skip


def round_bush(rng: Rng, lowest: float = 0.9, highest: float = 2.0) -> Mesh:
    """A dense bush of one or two round clumps on a narrow foot, of a person's width."""
    height, radius = float(rng.uniform(lowest, highest)), float(rng.uniform(0.2, 0.42))
    mesh = Mesh().column(0, 0, 0, height * 0.5, float(rng.uniform(0.02, 0.08)))
    density, foot = float(rng.uniform(4, 16)), float(rng.uniform(0.0, 0.45)) * height
    for z in np.arange(foot + radius * 0.7, height - radius * 0.3, radius * 0.9):
        r = radius * rng.uniform(0.7, 1.15)
        mesh.foliage((*rng.normal(0, 0.07, 2), z), (r, r, min(r * 1.1, z)), density)
    return mesh


def clumps(rng: Rng) -> Mesh:
    """A few separate clumps of twigs and leaves side by side, their tops uneven: legs, arms and a head for who looks away."""
    mesh, height = Mesh(), float(rng.uniform(1.0, 1.9))
    for _ in range(int(rng.integers(2, 5))):
        x, y = rng.normal(0, 0.18, 2)
        top = height * rng.uniform(0.75, 1.0)
        for z in np.arange(0.12, top, 0.22):
            r = rng.uniform(0.07, 0.17)
            mesh.foliage((x + rng.normal(0, 0.06), y + rng.normal(0, 0.06), z), (r, r, 0.16), rng.uniform(3, 12))
    return mesh


def doorway(rng: Rng) -> Mesh:
    """A wall along y with an opening in it, or only the frame: a gate, a portal; who goes through goes along x."""
    half, top = float(rng.uniform(0.4, 0.85)), float(rng.uniform(1.95, 2.45))
    thick, high = float(rng.uniform(0.03, 0.25)), top + float(rng.uniform(0.08, 1.0))
    mesh = Mesh()
    for side in (-1, 1):
        wide = float(rng.uniform(0.06, 0.2) if rng.random() < 0.4 else rng.uniform(0.5, 3.5))
        low, far = sorted((side * half, side * (half + wide)))
        mesh.box((-thick, low, 0), (thick, far, high))
        mesh.footprint.append((-thick, thick, low, far))
    mesh.box((-thick, -half, top), (thick, half, high))
    if rng.random() < 0.25:  # the door stands open
        leaf = Mesh().box((0, -0.02, 0), (2 * half - 0.05, 0.02, top - 0.05))
        mesh.join(leaf, thick, half - 0.03, 0, float(rng.uniform(-0.3, 0.5)))
    return mesh


def low_roof(rng: Rng) -> Mesh:
    """An awning, a canopy, a board or a branch that hangs just over people's heads; nothing keeps one from standing under it."""
    z, deep, half = float(rng.uniform(1.95, 2.5)), float(rng.uniform(0.2, 1.5)), float(rng.uniform(0.5, 2.5))
    mesh = Mesh()
    way = int(rng.integers(4))
    if way == 0:  # an awning with its valance
        mesh.sheet([(-deep, -half, z + 0.4), (-deep, half, z + 0.4), (deep, half, z), (deep, -half, z)])
        mesh.box((deep - 0.02, -half, z - 0.18), (deep, half, z))
    elif way == 1:  # a flat canopy on posts
        mesh.box((-deep, -half, z), (deep, half, z + rng.uniform(0.05, 0.3)))
        for x in (-deep, deep):
            for y in (-half, half):
                mesh.bar((x, y, 0), (x, y, z), 0.04)
                mesh.footprint.append((x - 0.05, x + 0.05, y - 0.05, y + 0.05))
    elif way == 2:  # a board across
        mesh.box((-0.05, -half, z), (0.05, half, z + rng.uniform(0.15, 0.9)))
    else:
        for _ in range(int(rng.integers(3, 9))):
            r = float(rng.uniform(0.2, 0.5))
            center = (rng.normal(0, deep * 0.5), rng.normal(0, half * 0.4), z + r * 0.7 + rng.exponential(0.3))
            mesh.foliage(center, (r, r, r * 0.8), rng.uniform(1, 6))
    return mesh


class Rehearsal:
    """Puts hard cases where the sensor sees them: each with a person, and often enough with something else in their place.

    Args:
        layout: a furnished place.
        scanner: that looks at it.
        spot: where it stands, m, world.
    """

    def __init__(self, layout: Layout, scanner: Scanner, spot: Place) -> None:
        self.layout, self.rng, self.scanner, self.spot = layout, layout.rng, scanner, spot
        self._around = (self.small, self.under, self.half_hidden, self.behind_another, self.greenery, self.far_off)

    def run(self, count: int) -> None:
        """Add about ``count`` cases."""
        for number in self.rng.choice(6, count, p=(0.2, 0.17, 0.21, 0.1, 0.2, 0.12)).tolist():
            self._around[number]()

    def _draw(self, nearest: float, farthest: float) -> tuple[float, float, float]:
        """A place x, y and the direction in which it is seen."""
        turn = self.scanner.yaw_rad + self.rng.uniform(*self.scanner.sector)
        away = self.rng.uniform(nearest, farthest)
        return self.spot[0] + away * np.cos(turn), self.spot[1] + away * np.sin(turn), float(turn)

    def _someone(self) -> PosedPerson:
        if self.rng.random() < 0.12:
            return self._child()
        return person(self.rng, str(self.rng.choice(_UPRIGHT, p=(0.5, 0.3, 0.1, 0.1))), alone=False)

    def _child(self) -> PosedPerson:
        stature, head = float(self.rng.uniform(*SMALL_M)), float(self.rng.uniform(0.0, 0.35))
        return person(self.rng, CHILD, alone=False, stature_m=stature, larger_head=head)

    def _heading(self, seen: float) -> float:
        """Any, more often across the line of sight or along it."""
        return float(seen + self.rng.integers(4) * np.pi / 2 + self.rng.normal(0, 0.4))

    def _somebody_or_something(self, x: float, y: float, seen: float, share: float, margin: float = -0.04) -> bool:
        """A person with that probability, else a thing of similar outline."""
        rng = self.rng
        if rng.random() < share:
            return self.layout.settle(self._someone(), x, y, self._heading(seen), margin=margin, close=0.2)
        name, mesh = pick(NO_PERSON, rng)
        return self.layout.put(name, mesh, x, y, float(rng.uniform(-np.pi, np.pi)), margin=max(margin, 0.0))

    def small(self) -> None:
        """A child alone or with somebody, or a thing as high."""
        x, y, seen = self._draw(2.5, 22.0)
        rng = self.rng
        if rng.random() < 0.55:
            if self.layout.settle(self._child(), x, y, self._heading(seen)) and rng.random() < 0.3:
                side = seen + np.pi / 2 + rng.normal(0, 0.5)
                away = rng.uniform(0.4, 0.8)
                self.layout.settle(
                    self._someone(), x + away * np.cos(side), y + away * np.sin(side), self._heading(seen), close=0.3
                )
        else:
            name, mesh = pick(LOW, rng)
            self.layout.put(name, mesh, x, y, float(rng.uniform(-np.pi, np.pi)))

    def under(self) -> None:
        """In a doorway or under something low; or only the doorway, or with a thing in it."""
        x, y, seen = self._draw(3.0, 25.0)
        rng = self.rng
        turn = seen + np.pi + rng.normal(0, 0.5)
        made: Callable[[Rng], Mesh] = doorway if rng.random() < 0.6 else low_roof
        if not self.layout.put("doorway" if made is doorway else "roof", made(rng), x, y, turn):
            return
        if rng.random() < 0.7:
            inside = float(rng.normal(0, 0.12) if rng.random() < 0.6 else rng.uniform(-1.2, 1.2))
            aside = float(rng.normal(0, 0.12))
            at = (x + inside * np.cos(turn) - aside * np.sin(turn), y + inside * np.sin(turn) + aside * np.cos(turn))
            self._somebody_or_something(*at, seen, 0.75, margin=-0.08)

    def half_hidden(self) -> None:
        """Only the upper part shows over something nearer, or one side beside it."""
        x, y, seen = self._draw(5.0, 38.0)
        rng = self.rng
        if not self._somebody_or_something(x, y, seen, 0.6):
            return
        c, s = np.cos(seen), np.sin(seen)
        name, mesh = pick(BEFORE, rng)
        turn = float(seen + rng.choice([0.0, np.pi / 2, np.pi / 2]) + rng.normal(0, 0.25))
        aside = float(rng.uniform(-0.3, 0.3))
        if rng.random() < 0.4:  # beside: something high covers a side
            name, high, wide = "pillar", float(rng.uniform(1.6, 3.0)), float(rng.uniform(0.1, 0.8))
            mesh, turn = Mesh().box((-0.15, -wide, 0), (0.15, wide, high)), float(seen)
            aside = float(rng.choice([-1, 1])) * (wide + rng.uniform(-0.15, 0.12))
        low, high_corner = mesh.bounds()
        reach = 0.5 * float(np.hypot(*(high_corner - low)[:2])) if turn != seen else 0.15
        before = reach + float(rng.uniform(0.35, 2.5))
        nearer = 1 - before / max(float(np.hypot(x - self.spot[0], y - self.spot[1])), 1.0)
        self.layout.put(name, mesh, x - before * c - aside * nearer * s, y - before * s + aside * nearer * c, turn)

    def behind_another(self) -> None:
        """Two or three in a row away from the sensor."""
        x, y, seen = self._draw(4.0, 35.0)
        rng, layout = self.rng, self.layout
        for _ in range(int(rng.choice([2, 2, 3]))):
            layout.settle(self._someone(), x, y, self._heading(seen), close=0.25)
            gap, aside = rng.uniform(0.4, 1.3), rng.normal(0, 0.25)
            x, y = x + gap * np.cos(seen) - aside * np.sin(seen), y + gap * np.sin(seen) + aside * np.cos(seen)

    def greenery(self) -> None:
        """A bush of a person's outline, often with a thin pole before or in it; now and then somebody beside it."""
        x, y, seen = self._draw(3.5, 30.0)
        rng, layout = self.rng, self.layout
        name, make = (("bush", round_bush), ("shrub", shrub), ("bush", clumps))[int(rng.integers(3))]
        if not layout.put(name, make(rng), x, y, float(rng.uniform(-np.pi, np.pi))):
            return
        if rng.random() < 0.6:
            post = Mesh().column(0, 0, 0, float(rng.uniform(1.6, 4.5)), float(rng.uniform(0.02, 0.06)))
            turn, away = seen + np.pi + rng.normal(0, 0.8), rng.uniform(0.0, 0.7)
            layout.put("pole", post, x + away * np.cos(turn), y + away * np.sin(turn), 0.0, force=True)
        if rng.random() < 0.25:
            turn, away = rng.uniform(-np.pi, np.pi), rng.uniform(0.4, 0.9)
            layout.settle(
                self._someone(), x + away * np.cos(turn), y + away * np.sin(turn), self._heading(seen), margin=-0.04
            )

    def far_off(self) -> None:
        """30 to 50 m away, mostly across the line of sight."""
        x, y, seen = self._draw(28.0, 50.0)
        if self.rng.random() < 0.55:
            heading = seen + self.rng.choice([-1, 1, 1, 0]) * np.pi / 2 + self.rng.normal(0, 0.2)
            self.layout.settle(person(self.rng, WALKER), x, y, float(heading))
        else:
            name, mesh = pick(NO_PERSON, self.rng)
            self.layout.put(name, mesh, x, y, float(self.rng.uniform(-np.pi, np.pi)))
