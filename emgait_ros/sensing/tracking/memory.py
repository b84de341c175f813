"""Where tracks started and were last seen: whether two track numbers can be one person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emgait_ros.samples import Float64, Int64, Status

FASTEST_M_S = 2.5  # people are recognized by gait while they walk, not run
PLAY_M = 1.0


@dataclass
class _Life:
    """First and last time (ns) and place (m) a track was seen."""

    first_ns: int
    first: Float64
    last_ns: int
    last: Float64


class TrackMemory:
    """First and last sightings of tracks, kept for some time after they were lost.

    Args:
        keep_s: how long after, s.
    """

    def __init__(self, keep_s: float) -> None:
        self._keep_ns = round(keep_s * 1e9)
        self._lives: dict[int, _Life] = {}

    def note(self, stamp_ns: int, track_id: Int64, position: Float64, detection: Int64) -> None:
        """Record the tracks of one frame: (T,) numbers, (T, 2) places m, (T,) detections, -1 where unseen."""
        for row in np.flatnonzero(detection >= 0).tolist():
            number, place = int(track_id[row]), position[row].copy()
            life = self._lives.get(number)
            if life is None:
                self._lives[number] = _Life(stamp_ns, place, stamp_ns, place)
            else:
                life.last_ns, life.last = stamp_ns, place
        if len(self._lives) > 2 * len(track_id) + 50:
            self._lives = {n: life for n, life in self._lives.items() if stamp_ns - life.last_ns <= self._keep_ns}

    def allows(self, track_id: int, lost_id: int) -> bool:
        """Whether a track can be the one lost before: it started later, near enough for the time between."""
        new, old = self._lives.get(track_id), self._lives.get(lost_id)
        if new is None or old is None or track_id == lost_id:
            return False
        gap_ns = new.first_ns - old.last_ns
        apart = float(np.hypot(*(new.first - old.last)))
        return 0 < gap_ns <= self._keep_ns and apart <= PLAY_M + FASTEST_M_S * gap_ns * 1e-9

    def rename(self, track_id: int, lost_id: int) -> None:
        """Continue the track under the number of the lost one."""
        new, old = self._lives.pop(track_id), self._lives[lost_id]
        old.last_ns, old.last = new.last_ns, new.last


class NamedTrack(Protocol):
    """The recognizer's result for one track: an ``IdentityResult`` or an ``emgait_msgs/Identity``."""

    @property
    def track_id(self) -> int:
        """Number of the track."""
        ...

    @property
    def status(self) -> int:
        """Value of ``Status``."""
        ...

    @property
    def name(self) -> str:
        """Who it is, when the status is KNOWN."""
        ...


class GaitLinks:
    """Finds in the recognizer's results new tracks of people who were tracked under another number before.

    Args:
        relink: gives a track (first number) the number of a lost one (second) back; False when that is impossible.
    """

    def __init__(self, relink: Callable[[int, int], bool]) -> None:
        self._relink = relink
        self._track_of: dict[str, int] = {}

    def reset(self) -> None:
        """Forget which track had which name."""
        self._track_of.clear()

    def observe(self, results: Sequence[NamedTrack]) -> list[tuple[int, int]]:
        """Take the results of one frame; returns the pairs (number until now, number it got back)."""
        here = {result.track_id for result in results}
        linked = []
        for result in results:
            if result.status != Status.KNOWN or not result.name:
                continue
            track, before = result.track_id, self._track_of.get(result.name, result.track_id)
            if before not in here and self._relink(track, before):
                linked.append((track, before))
                track = before
            self._track_of[result.name] = track
        return linked
