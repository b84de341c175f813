"""Simulated walks to calibrate a gallery's threshold with: some people who are enrolled, and many who never are.

Every stranger walks past once, so that tracks are independent of each other, as the promise of split-conformal needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from emgait_ros.lab.simulation.walk_sets import PlannedWalk

FIRST_IDENTITY = 900_000
"""Numbers from here on are trained on by no recipe of this package."""


@dataclass(frozen=True)
class CalibrationWalks:
    """How many people walk.

    Attributes:
        members: people enrolled from walk 0 (two passes, 3 s each), who come back for walk 1 in other clothes.
        strangers: people who are not enrolled, one walk each.
        track_s: length of walk 1 and of the strangers' walks, s.
        ranges_m: nearest and farthest of those; enrolment is at 8 to 15 m.
        first_identity: number of the first person.
        rate_hz: samples a second.
    """

    members: int = 200
    strangers: int = 1000
    track_s: float = 5.0
    ranges_m: tuple[float, float] = (8.0, 30.0)
    first_identity: int = FIRST_IDENTITY
    rate_hz: float = 10.0

    def __post_init__(self) -> None:
        if self.members < 2 or self.strangers < 2 or not 3.0 <= self.track_s <= 20.0:
            raise ValueError(
                f"{self.members} members, {self.strangers} strangers, tracks of {self.track_s} s: expected at least 2, 2 and 3 to 20 s"
            )

    @property
    def first_stranger(self) -> int:
        """Number of the first person who is not enrolled."""
        return self.first_identity + self.members


def plan_calibration(walks: CalibrationWalks) -> list[PlannedWalk]:
    """What ``simulation.walk_sets.generate`` is to make; the same person has the same walks whatever the numbers asked for."""
    from emgait_ros.lab.simulation.walk_sets import PlannedWalk  # the simulator's kernels are needed here alone

    frames = round(walks.track_s * walks.rate_hz)
    plan: list[PlannedWalk] = []
    for identity in range(walks.first_identity, walks.first_stranger + walks.strangers):
        random = np.random.default_rng((0, identity, 2))
        view, range_m = float(random.integers(0, 360)), round(float(random.uniform(*walks.ranges_m)), 1)
        if identity < walks.first_stranger:
            near = round(float(random.uniform(8.0, 15.0)), 1)
            first = float(random.integers(0, 360))
            plan += [PlannedWalk(identity, 0, near, (first + turn) % 360, 30) for turn in (0.0, 120.0)]
            plan.append(PlannedWalk(identity, 1, range_m, view, frames))
        else:
            plan.append(PlannedWalk(identity, 0, range_m, view, frames))
    return plan
