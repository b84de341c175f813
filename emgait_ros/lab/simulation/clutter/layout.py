"""Where things and people stand: free places are looked for, so that nobody stands inside a thing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.lab.simulation.clutter.meshes import Mesh, Rectangle
from emgait_ros.lab.simulation.clutter.people import RIDER, WHEELCHAIR, PosedPerson
from emgait_ros.samples import Float64


@dataclass(frozen=True)
class Ground:
    """Sloping, bumpy ground with a higher strip beyond each kerb.

    Attributes:
        slope: (2,) rise along x and y.
        kerb: (left, right, rise): higher by ``rise`` where y > left or y < right, m.
        bumps: (G, G) float32 heights, m, on a grid of ``cell_m``, repeated.
    """

    slope: tuple[float, float]
    kerb: tuple[float, float, float]
    bumps: np.ndarray
    cell_m: float = 0.5

    def height(self, x: float, y: float) -> float:
        """Without the bumps, m."""
        raised = self.kerb[2] if y > self.kerb[0] or y < self.kerb[1] else 0.0
        return self.slope[0] * x + self.slope[1] * y + raised


class Layout:
    """A scene while it is furnished. World: x along the street, z up, m.

    Attributes:
        things: (name, mesh in the world).
        people: (person, x, y, ground z, yaw).
    """

    def __init__(self, ground: Ground, rng: np.random.Generator) -> None:
        self.ground, self.rng = ground, rng
        self.things: list[tuple[str, Mesh]] = []
        self.people: list[tuple[PosedPerson, float, float, float, float]] = []
        self._taken = np.zeros((256, 7))  # x, y, cosine, sine, half length, half width; 1 for a person
        self._count = 0

    def free(self, discs: Float64, near_people_m: float = 0.0) -> bool:
        """Whether none of the discs (D, 3: x, y, radius) touches what stands already.

        ``near_people_m``: by how much they may come closer to people than to things.
        """
        taken = self._taken[: self._count]
        if not len(taken):
            return True
        dx = discs[:, :1] - taken[None, :, 0]
        dy = discs[:, 1:2] - taken[None, :, 1]
        along = np.abs(dx * taken[:, 2] + dy * taken[:, 3]) - taken[:, 4]
        across = np.abs(dy * taken[:, 2] - dx * taken[:, 3]) - taken[:, 5]
        distance = np.hypot(np.maximum(along, 0), np.maximum(across, 0))
        return bool(np.all(distance >= np.maximum(discs[:, 2:] - near_people_m * taken[:, 6], 0.01)))

    def take(self, x: float, y: float, yaw: float, plan: Rectangle, person: bool = False) -> None:
        """Nothing else may stand on this rectangle of a thing (or a person) at a place."""
        if self._count == len(self._taken):
            self._taken = np.concatenate([self._taken, np.zeros_like(self._taken)])
        a, b, c, s = (plan[0] + plan[1]) / 2, (plan[2] + plan[3]) / 2, np.cos(yaw), np.sin(yaw)
        place = x + c * a - s * b, y + s * a + c * b, c, s
        self._taken[self._count] = *place, (plan[1] - plan[0]) / 2, (plan[3] - plan[2]) / 2, person
        self._count += 1

    def put(
        self, name: str, mesh: Mesh, x: float, y: float, yaw: float = 0.0, margin: float = 0.05, force: bool = False
    ) -> bool:
        """Set a thing down where it has room; False where not. ``force``: even where something stands."""
        plans = mesh.ground_plan()
        if plans and not force and not self.free(np.concatenate([_discs(plan, x, y, yaw, margin) for plan in plans])):
            return False
        for plan in plans:
            self.take(x, y, yaw, plan)
        self.things.append((name, mesh.at(x, y, self.ground.height(x, y) - 0.01, yaw)))
        return True

    def settle(
        self,
        person: PosedPerson,
        x: float,
        y: float,
        yaw: float,
        *,
        margin: float = 0.0,
        close: float = 0.0,
        force: bool = False,
    ) -> bool:
        """Let a person, with what goes along, stand at a place; False where there is no room.

        ``margin``: to things, m; ``close``: how much nearer people may be; ``force``: on a bench or chair.
        """
        low, high = person.box()
        half = float(np.clip((high[1] - low[1]) / 2 * 0.8, 0.24, 0.36))
        deep = float(np.clip((high[0] - low[0]) / 2 * 0.6, 0.17, 0.28))
        plan = (-deep, deep, -half, half)
        if person.kind in (RIDER, WHEELCHAIR):
            plan = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
        plans = [part for _, mesh in person.companions for part in mesh.ground_plan()]
        discs = [_discs(plan, x, y, yaw, margin), *(_discs(part, x, y, yaw, 0.03) for part in plans)]
        if not force and not self.free(np.concatenate(discs), close):
            return False
        z = self.ground.height(x, y)
        self.take(x, y, yaw, plan, person=True)
        for part in plans:
            self.take(x, y, yaw, part)
        self.people.append((person, x, y, z, yaw))
        self.things += [(name, mesh.at(x, y, z, yaw)) for name, mesh in person.companions]
        return True


def _discs(plan: Rectangle, x: float, y: float, yaw: float, margin: float) -> Float64:
    """(D, 3) discs that cover a rectangle, turned and moved."""
    length, width = plan[1] - plan[0], plan[3] - plan[2]
    step = max(min(length, width), 0.15)
    along = np.linspace(plan[0], plan[1], 2 * int(np.ceil(length / step)) + 1)[1::2]
    across = np.linspace(plan[2], plan[3], 2 * int(np.ceil(width / step)) + 1)[1::2]
    if len(along) * len(across) > 60:
        step = np.sqrt(length * width / 60)
        along, across = np.arange(plan[0], plan[1] + step, step), np.arange(plan[2], plan[3] + step, step)
    a, b = np.meshgrid(along, across)
    c, s = np.cos(yaw), np.sin(yaw)
    radius = np.full(a.size, 0.6 * step + margin)
    return np.stack([x + c * a.ravel() - s * b.ravel(), y + s * a.ravel() + c * b.ravel(), radius], axis=1)
