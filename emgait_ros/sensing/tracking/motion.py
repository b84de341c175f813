"""How tracks have moved over the last second: a velocity smooth enough for a heading, and walking or standing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float64

WINDOW_S = 1.0
LENGTH = 16  # frames remembered: 1.6 s at 10 Hz, 0.8 s at 20 Hz
SETTLED = (
    0.2  # s^2, sum of squared times about their mean from which on a velocity is known to 0.2 m/s: six frames at 10 Hz
)
FAST_MEMORY_S = 3.0  # what was too fast to walk is no walker for this long: a rider who brakes
STOP_RATIO = 0.6  # hysteresis: a walker stands once slower than this fraction of the walking speed


class MotionHistory:
    """The last positions of all tracks.

    Args:
        walking_speed_m_s: slower is standing.
        walking_distance_m: a track has walked once it came this far from where it started.
        fastest_walk_m_s: faster is running or riding.

    Attributes:
        settled: (T,) bool: the velocity that :meth:`motion` told last is known well.
    """

    def __init__(self, walking_speed_m_s: float, walking_distance_m: float, fastest_walk_m_s: float) -> None:
        self._speed, self._distance, self._fastest = walking_speed_m_s, walking_distance_m, fastest_walk_m_s
        self._time = np.full(LENGTH, -np.inf)  # s since the first frame
        self._first_ns: int | None = None
        self._last = -1  # where the newest frame lies in the rings
        self._place = np.full((0, LENGTH, 2), np.nan)
        self._origin = np.full((0, 2), np.nan)
        self._settling = np.zeros(0, np.int64)
        self._walked = np.zeros(0, bool)
        self._moving = np.zeros(0, bool)
        self._fast_at = np.zeros(0)  # s since the first frame, when the track was last too fast
        self.settled = np.zeros(0, bool)

    def add(self, count: int) -> None:
        """Append ``count`` tracks without history."""
        self._place = np.concatenate([self._place, np.full((count, LENGTH, 2), np.nan)])
        self._origin = np.concatenate([self._origin, np.full((count, 2), np.nan)])
        self._settling = np.concatenate([self._settling, np.zeros(count, np.int64)])
        self._walked = np.concatenate([self._walked, np.zeros(count, bool)])
        self._moving = np.concatenate([self._moving, np.zeros(count, bool)])
        self._fast_at = np.concatenate([self._fast_at, np.full(count, -np.inf)])
        self.settled = np.concatenate([self.settled, np.zeros(count, bool)])

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Drop all tracks but those in the boolean mask (T,)."""
        self._place, self._origin, self._settling = self._place[mask], self._origin[mask], self._settling[mask]
        self._walked, self._moving = self._walked[mask], self._moving[mask]
        self._fast_at, self.settled = self._fast_at[mask], self.settled[mask]

    def append(self, stamp_ns: int, position: Float64, seen: NDArray[np.bool_]) -> None:
        """Remember filtered positions (T, 2) in m of one frame; only those of tracks ``seen`` (T,) in it count."""
        if self._first_ns is None:
            self._first_ns = stamp_ns
        self._last = (self._last + 1) % LENGTH
        self._time[self._last] = (stamp_ns - self._first_ns) * 1e-9
        self._place[:, self._last] = np.where(seen[:, None], position, np.nan)
        self._settling[seen] += 1
        begins = seen & (self._settling <= 3)  # the filter needs a few frames: the last of them is the origin
        self._origin[begins] = position[begins]
        far = np.hypot(*(position - self._origin).T) >= self._distance
        self._walked |= far & seen

    def motion(self, fallback: Float64) -> tuple[Float64, NDArray[np.bool_]]:
        """Velocity (T, 2) in m/s by least squares over the last second, ``fallback`` where there are too few positions;
        and whether each track walks (T,).
        """
        if len(self._place) == 0:
            return fallback.copy(), np.zeros(0, bool)
        recent = self._time >= self._time[self._last] - WINDOW_S - 1e-6
        known = np.isfinite(self._place[:, :, 0]) & recent
        count = known.sum(1)
        time = np.where(recent, self._time, 0.0)
        weight = known / np.maximum(count, 1)[:, None]
        centered = np.where(known, time - (weight * time).sum(1)[:, None], 0.0)
        place = np.where(known[:, :, None], self._place, 0.0)
        spread = (centered**2).sum(1)
        slope = np.einsum("tl,tlk->tk", centered, place) / np.maximum(spread, 1e-9)[:, None]
        enough = (count >= 4) & (spread > 0.02)
        velocity = np.where(enough[:, None], slope, fallback)
        speed = np.hypot(velocity[:, 0], velocity[:, 1])
        needed = np.where(self._moving, STOP_RATIO * self._speed, self._speed)
        self.settled = enough & (spread > SETTLED)
        now = float(self._time[self._last])
        self._fast_at[self.settled & (speed > self._fastest)] = now
        self._moving = self._walked & (speed >= needed) & (now - self._fast_at > FAST_MEMORY_S)
        return velocity, self._moving.copy()
