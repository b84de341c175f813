"""Whether the sensor moves although its pose is not given, told from the tracks alone.

Before a moving sensor everything that stands moves as one rigid body, from poles to parked cars, and nothing stands still.
People who walk the same way before a sensor that stands differ in speed, or keep close together, or poles stand among them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float64
from emgait_ros.sensing.tracking.motion import WINDOW_S

FEWEST = 6  # tracks to judge by
ALIKE_M_S = 0.2  # a second of one track is measured to about 0.1 m/s; the speeds of walkers differ by 0.2 m/s
ALIKE_SHARE = 0.7  # the others are people who walk, and badly measured
STANDING_M_S, STANDING_SHARE = 0.2, 0.1  # somebody may walk beside the robot
SPREAD_M = 4.0  # standard deviation of the places: a school class that passes is closer together
MEMORY_S = 3.0  # time constant of the mean over frames
SAID, SILENT = 0.7, 0.4  # share of the frames from which on it is said, below which no longer


class SensorMotionWatch:
    """Watches how all tracks move.

    Attributes:
        moves: the sensor seems to move.
        alike, judged: tracks that moved as one, of so many, in the last frame that spoke for it.
        speed_m_s: how fast.
    """

    def __init__(self) -> None:
        self.moves = False
        self.alike, self.judged, self.speed_m_s = 0, 0, 0.0
        self._share = 0.0

    def observe(self, dt_s: float, place: Float64, velocity: Float64) -> None:
        """Take the tracks followed for a second by now, confirmed or not; frames with too few say nothing.

        Args:
            dt_s: time since the last frame.
            place: (T, 2) m from the sensor.
            velocity: (T, 2) m/s over the last second.
        """
        if len(place) < FEWEST:
            return
        place = place - velocity * WINDOW_S / 2  # where the tracks were when they had this velocity: a turn bends it
        common, alike = rigid_motion(place, velocity)
        speed = float(np.median(np.hypot(*common.T)))
        standing = float(np.mean(np.hypot(*velocity.T) < STANDING_M_S))
        spread = float(np.sqrt(place[alike].var(0).sum())) if alike.any() else 0.0
        vote = alike.mean() >= ALIKE_SHARE and standing <= STANDING_SHARE
        vote = bool(vote and speed >= 2 * STANDING_M_S and spread >= SPREAD_M)
        if vote:
            self.alike, self.judged, self.speed_m_s = int(alike.sum()), len(place), speed
        self._share += (vote - self._share) * min(1.0, dt_s / MEMORY_S)
        self.moves = self._share > (SILENT if self.moves else SAID)


def rigid_motion(place: Float64, velocity: Float64) -> tuple[Float64, NDArray[np.bool_]]:
    """The motion of a rigid body that most places share.

    Args:
        place: (T, 2) m; velocity: (T, 2) m/s.

    Returns:
        (T, 2) m/s velocity of that body at the places, and (T,) which places move with it, to ``ALIKE_M_S``.
    """
    p, v = place @ (1, 1j), velocity @ (1, 1j)  # x + iy: a turn is a product
    common = np.full(len(p), complex(*np.median(velocity, axis=0)))
    for _ in range(8):  # least squares, weighted down by the distance from the last solution
        weight = 1.0 / (ALIKE_M_S**2 + np.abs(v - common) ** 2)
        weight /= weight.sum()
        arm, rest = p - weight @ p, v - weight @ v
        turn_rate = (weight @ (arm.conj() * rest).imag) / (weight @ np.abs(arm) ** 2 + 1e-9)
        common = weight @ v + 1j * turn_rate * arm
    return np.column_stack([common.real, common.imag]), np.abs(v - common) < ALIKE_M_S
