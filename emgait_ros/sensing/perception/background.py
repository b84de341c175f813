"""Static background of a sensor that stands still: places where returns keep coming from, as against people who walk.

Optional (``detector.static_sensor``). It needs no training: after a minute poles, bushes and parked cars are known, and a
shape whose cells have been occupied most of that time is no pedestrian. A person who stands for long becomes background,
too, and is detected again two steps later.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Detections, Float32

CELL_M = 0.2
OCCUPIED = 0.5  # fraction of the time from which on a cell is background
SHARE = 0.6  # of a shape's returns in such cells
EVERY_S = 0.25  # static things need not be observed in every turn
LOW_M = 0.3  # over the box's bottom: lower returns are ground as often as feet


class StaticBackground:
    """Occupancy over time of a bird's-eye grid, each cell decayed only when it is read.

    Args:
        max_range_m: half the side of the grid.
        learn_s: memory: a cell's occupancy is the mean over about this long, s.
    """

    def __init__(self, max_range_m: float, learn_s: float) -> None:
        side = 2 * (int(np.ceil(max_range_m / CELL_M)) + 1)
        self._half = side // 2
        self._learn_s = learn_s
        self._share = np.zeros((side, side), np.float32)
        self._seen_s = np.zeros((side, side), np.float32)
        self._begun_ns: int | None = None
        self._last_ns = 0

    def reset(self) -> None:
        """Forget the scene: the sensor was moved, or time jumped."""
        self._begun_ns = None
        self._share[:] = 0.0

    def observe(self, stamp_ns: int, points: Float32, ground_z: float) -> None:
        """Note where returns came from.

        Args:
            stamp_ns: of the cloud; a jump back starts over.
            points: (N, 3) m, LiDAR frame.
            ground_z: height of the ground at the sensor, m: returns from knee to head height over it count.
        """
        if self._begun_ns is None or stamp_ns < self._last_ns:
            self.reset()
            self._begun_ns = self._last_ns = stamp_ns
        step_s = (stamp_ns - self._last_ns) * 1e-9
        if 0.0 < step_s < EVERY_S:
            return
        self._last_ns = stamp_ns
        now_s = np.float32((stamp_ns - self._begun_ns) * 1e-9)
        height = points[:, 2] - ground_z
        cell = self._cells(points[(height > LOW_M) & (height < 2.2)])
        rows, columns = cell[:, 0], cell[:, 1]
        gain = 1.0 - np.exp(-min(max(step_s, 0.0), 1.0) / self._learn_s)
        aged = self._share[rows, columns] * np.exp(-(now_s - self._seen_s[rows, columns]) / self._learn_s)
        # A cell hit again in the next turn has decayed by one turn and gains the same: always hit means 1.
        self._share[rows, columns] = np.minimum(aged + gain, 1.0)
        self._seen_s[rows, columns] = now_s

    def is_background(self, detections: Detections, points: Float32) -> NDArray[np.bool_]:
        """(D,) whether each detection consists of returns from where returns always come."""
        out = np.zeros(len(detections), bool)
        if self._begun_ns is None:
            return out
        now_s = (self._last_ns - self._begun_ns) * 1e-9
        known = 1.0 - np.exp(-now_s / self._learn_s)  # what a cell occupied from the beginning has reached
        if now_s < 0.2 * self._learn_s:
            return out
        for i in range(len(detections)):
            own = points[detections.members(i)]
            own = own[own[:, 2] > detections.center[i, 2] - detections.size[i, 2] / 2 + LOW_M]
            if len(own) == 0:
                continue
            cell = self._cells(own, unique=False)
            aged = self._share[cell[:, 0], cell[:, 1]] * np.exp(
                -(now_s - self._seen_s[cell[:, 0], cell[:, 1]]) / self._learn_s
            )
            out[i] = (aged > OCCUPIED * known).mean() > SHARE
        return out

    def _cells(self, points: Float32, unique: bool = True) -> NDArray[np.int64]:
        """(n, 2) rows and columns of the points inside the grid."""
        place = np.floor(points[:, :2] / np.float32(CELL_M)).astype(np.int64) + self._half
        inside = ((place >= 0) & (place < len(self._share))).all(1)
        if not unique:
            return np.clip(place, 0, len(self._share) - 1)
        flat = np.unique(place[inside, 0] * len(self._share) + place[inside, 1])
        return np.column_stack([flat // len(self._share), flat % len(self._share)])
