"""What clouds contain, over some seconds: nothing but zeros, one plane, parts of a turn or of a pattern, or other units than metres
are named."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from emgait_ros.samples import Float32

CLOUDS = 20  # history: two seconds at 10 Hz, whole turns several times over
SAMPLE = 1000  # returns looked at in a cloud: 28 for each direction of a full turn
AT_SENSOR_M = 0.3  # returns nearer than this are the sensor's own housing, a cover, or (0, 0, 0) for "nothing"
EMPTY_SHARE = 0.01  # of returns farther away, below which a cloud shows nothing
SECTORS = 36
IN_SECTOR = 3  # returns from which on a direction counts as seen
ENOUGH = 100  # returns looked at before directions are compared
APART = (
    0.5  # directions seen by two clouds, as a fraction of those seen by either, below which they are different parts
)
WIDER = 1.3  # how much more all clouds see than one
FLAT_M = 0.02  # between the lowest and the highest return of a 2D scanner
FAR_M = 300.0  # no LiDAR has half its returns beyond; in millimetres a room has
PART_NS, PART_RETURNS = 40_000_000, 10_000  # clouds that come faster and hold less are parts of a pattern that fills up


@dataclass(frozen=True)
class _Look:
    """One cloud: its stamp, returns, those away from the sensor (fraction), their median range and extent in z (m), directions seen (bits)."""

    stamp_ns: int
    count: int
    away: float
    range_m: float
    high_m: float
    sectors: int

    @property
    def is_scene(self) -> bool:
        """Whether it can be one in metres, and of more than one plane."""
        return self.range_m <= FAR_M and (self.high_m > FLAT_M or self.away < EMPTY_SHARE)


class CloudWatch:
    """Looks at a sample of each cloud and says what is wrong with all the last ones."""

    def __init__(self) -> None:
        self._looks: deque[_Look] = deque(maxlen=CLOUDS)

    def reset(self) -> None:
        """Forget what was seen."""
        self._looks.clear()

    @property
    def shows_scene(self) -> bool:
        """Whether the last cloud can be one in metres, and of more than one plane."""
        return bool(self._looks) and self._looks[-1].is_scene

    def observe(self, points: Float32, stamp_ns: int) -> None:
        """Look at a cloud: (N, 3) m, finite, LiDAR frame; and its stamp."""
        # An odd step does not meet the same beam again and again.
        some = points[:: len(points) // SAMPLE | 1]
        distance = np.hypot(some[:, 0], some[:, 1])
        away = (distance > AT_SENSOR_M) | (np.abs(some[:, 2]) > AT_SENSOR_M)
        if not away.any():
            self._looks.append(_Look(stamp_ns, len(points), 0.0, 0.0, 0.0, 0))
            return
        far, distance = some[away], distance[away]
        sectors = 0
        if len(far) >= ENOUGH:
            angle = np.arctan2(far[:, 1], far[:, 0]) * np.float32(SECTORS / (2 * np.pi)) + SECTORS
            seen = np.flatnonzero(np.bincount(angle.astype(np.int64) % SECTORS, minlength=SECTORS) >= IN_SECTOR)
            sectors = int(np.left_shift(1, seen).sum())
        share, high_m = len(far) / len(some), float(np.ptp(far[:, 2]))
        self._looks.append(_Look(stamp_ns, len(points), share, float(np.median(distance)), high_m, sectors))

    def problem(self) -> str:
        """What is wrong with every one of the last clouds, in a sentence; empty when nothing is, or too few came."""
        looks = self._looks
        if len(looks) < CLOUDS:
            return ""
        if all(look.away < EMPTY_SHARE for look in looks):
            return _nothing(looks)
        shown = [look for look in looks if look.away >= EMPTY_SHARE]
        middle = float(np.median([look.range_m for look in shown]))
        if len(shown) > CLOUDS // 2 and middle > FAR_M:
            return (
                f"half of the returns lie farther than {middle:.0f} m: the clouds seem to be in millimetres; "
                "let the driver publish metres (REP 103)"
            )
        if all(look.high_m <= FLAT_M for look in shown):
            return (
                f"all returns of the last {CLOUDS} clouds lie at one height, as those of a 2D scanner do: nobody can be recognized "
                "from them, a LiDAR with several beams (16 or more) is needed"
            )
        return _parts([look.sectors for look in looks if look.sectors]) or _thin(looks)


def _nothing(looks: deque[_Look]) -> str:
    count = float(np.median([look.count for look in looks]))
    what = (
        f"the last {CLOUDS} clouds hold {count:.0f} returns each, all at the sensor itself (0, 0, 0)"
        if count
        else f"the last {CLOUDS} clouds are empty"
    )
    return f"{what}: nobody can be seen; does the sensor turn and send, is it covered, is its driver set to its model?"


def _parts(sectors: list[int]) -> str:
    """Whether successive clouds look into different directions, as parts of a turn do and narrow sensors do not."""
    if len(sectors) < CLOUDS:
        return ""
    shared = [(a & b).bit_count() / (a | b).bit_count() for a, b in pairwise(sectors)]
    together = 0
    for seen in sectors:
        together |= seen
    one, all_ = float(np.median([seen.bit_count() for seen in sectors])), together.bit_count()
    if float(np.median(shared)) >= APART or all_ < WIDER * one:
        return ""
    degrees = 360 // SECTORS
    return (
        f"each cloud covers {one * degrees:.0f} of the {all_ * degrees} degrees that the sensor looks into, the next another "
        "part: people are lost between them; let the driver publish whole turns"
    )


def _thin(looks: deque[_Look]) -> str:
    """Whether clouds follow each other so fast, with so few returns, that each is a part of a pattern that does not repeat."""
    gap_ns = float(np.median([after.stamp_ns - before.stamp_ns for before, after in pairwise(looks)]))
    count = float(np.median([look.count for look in looks]))
    if not 0 < gap_ns < PART_NS or count >= PART_RETURNS:
        return ""
    return (
        f"clouds come {1e9 / gap_ns:.0f} times a second with {count:.0f} returns each, too few to show people: let the driver join "
        "0.1 s (Livox: publish_freq 10)"
    )
