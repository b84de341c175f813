"""What stamps and arrival times show: offset and arrival lag of two sensors, messages lost on the way, time that jumps back."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from emgait_ros.samples import Float64, Int64

HISTORY = 300
ENOUGH = 30  # pairs before a constant offset is estimated
CONSTANT_S = 0.004  # an offset that varies less (80 % of the pairs) is constant
WORTH_SAYING_S = 0.005  # smaller ones do no harm
LAG_WINDOW_S = 3.0  # the lag of the last seconds: it may fall again
LAG_PERCENTILE = 95
JUMP_RUN = 3  # this many messages in a row, in order but older than before, are a jump; fewer came out of order
LOST = 0.1  # smaller losses are not reported
PAUSE_S = 10.0  # a longer gap is a sensor that paused, or a jump of its clock
LEAST_GAPS, MANY_GAPS = 6, 30
# rms distance of the gaps from multiples of the period, in periods: from so many gaps on
CLOSE_FIT = ((MANY_GAPS, 0.2), (12, 0.15), (LEAST_GAPS, 0.07))
CLOSER_FIT = 0.07


class OffsetEstimate:
    """Collects |image - cloud| of pairs, and how far the nearest image lies from its cloud, whenever that arrives."""

    def __init__(self) -> None:
        self._dt_s: deque[float] = deque(maxlen=HISTORY)
        self._nearest_s: deque[float] = deque(maxlen=HISTORY)
        self._came_late: deque[bool] = deque(maxlen=HISTORY // 3)
        self._open: deque[tuple[int, int | None, int | None]] = deque(maxlen=HISTORY // 3)  # as given to add_cloud

    def clear(self) -> None:
        """Forget everything: time has jumped."""
        self._dt_s.clear()
        self._nearest_s.clear()
        self._came_late.clear()
        self._open.clear()

    def add_pair(self, dt_s: float) -> None:
        """Image minus cloud of a pair, s."""
        self._dt_s.append(dt_s)

    def add_cloud(self, stamp_ns: int, used_ns: int | None, nearest_ns: int | None) -> None:
        """A cloud has gone on with the image at ``used_ns`` after it, ``nearest_ns`` after it is the nearest so far."""
        if nearest_ns is not None and nearest_ns >= 0:
            self._settle(used_ns, nearest_ns, 0)
        else:
            self._open.append((stamp_ns, used_ns, nearest_ns))

    def add_image(self, image_ns: int, max_dt_ns: int) -> None:
        """An image has come: maybe the one nearest to clouds that have gone on. The first one after a cloud decides."""
        for _ in range(len(self._open)):
            stamp_ns, used_ns, nearest_ns = self._open.popleft()
            if nearest_ns is None or abs(image_ns - stamp_ns) < abs(nearest_ns):
                nearest_ns = image_ns - stamp_ns
            if image_ns >= stamp_ns:
                self._settle(used_ns, nearest_ns, max_dt_ns)
            else:
                self._open.append((stamp_ns, used_ns, nearest_ns))

    def _settle(self, used_ns: int | None, nearest_ns: int, max_dt_ns: int) -> None:
        self._nearest_s.append(nearest_ns * 1e-9)
        self._came_late.append(abs(nearest_ns) <= max_dt_ns and used_ns != nearest_ns)

    @property
    def absolute_s(self) -> tuple[float, float, float]:
        """|image - cloud| of the last pair, and their median and 95th percentile, s; NaN before the first."""
        if not self._dt_s:
            return (float("nan"),) * 3
        dt_s = np.abs(np.array(self._dt_s))
        return float(dt_s[-1]), float(np.percentile(dt_s, 50)), float(np.percentile(dt_s, 95))

    @property
    def constant_s(self) -> float:
        """Nearest image minus cloud where that hardly varies, s; else NaN."""
        return constant_offset_s(np.array(self._nearest_s))

    @property
    def late_share(self) -> float:
        """Fraction of the last 100 clouds that went on before their nearest image came, 0..1."""
        return sum(self._came_late) / max(len(self._came_late), ENOUGH)

    def hint(self, configured_s: float) -> str:
        """What to set when the offset is constant, given ``pairing.image_offset_s`` as it is now; empty otherwise."""
        offset_s = self.constant_s
        if not abs(offset_s) > WORTH_SAYING_S:
            return ""
        where = "after" if offset_s > 0 else "before"
        return (
            f"images are constantly {abs(offset_s) * 1e3:.0f} ms {where} their clouds: if both show the same moment, "
            f"set pairing.image_offset_s to {configured_s - offset_s:.3f}"
        )


class ArrivalLag:
    """How much later an image arrives than a cloud with the same stamp: delays on the way, or clocks that differ."""

    def __init__(self) -> None:
        self._ages_ns: dict[str, deque[tuple[int, int]]] = {s: deque(maxlen=HISTORY) for s in ("cloud", "image")}
        self._lags: deque[tuple[int, float]] = deque(maxlen=HISTORY)  # arrival, s

    def start_over(self, keep_lags: bool = True) -> None:
        """Stamps have jumped: earlier ones cannot be compared with; the delays are kept."""
        for ages in self._ages_ns.values():
            ages.clear()
        if not keep_lags:
            self._lags.clear()

    def add(self, sensor: str, stamp_ns: int, now_ns: int) -> None:
        """A message of the "cloud" or the "image" sensor with this corrected stamp arrives now."""
        self._ages_ns[sensor].append((stamp_ns, now_ns - stamp_ns))
        others = self._ages_ns["image" if sensor == "cloud" else "cloud"]
        if not others:
            return
        _, other_age_ns = min(others, key=lambda other: abs(other[0] - stamp_ns))
        lag_s = (now_ns - stamp_ns - other_age_ns) * 1e-9
        self._lags.append((now_ns, lag_s if sensor == "image" else -lag_s))
        while self._lags[0][0] < now_ns - LAG_WINDOW_S * 1e9:
            self._lags.popleft()

    def lag_s(self, percentile: float) -> float:
        """A percentile of the lags of the last 3 s, s; NaN before both sensors' messages have come."""
        return float(np.percentile([lag for _, lag in self._lags], percentile)) if self._lags else float("nan")


class StampOrder:
    """Distinguishes messages that come out of order from a stream that has jumped back in time (a bag starts over).

    Attributes:
        newest_ns: newest stamp so far, ns; None before the first.
        back: the messages in a row older than that, as (stamp, arrival, message): kept until it is clear what they are.
    """

    def __init__(self) -> None:
        self.newest_ns: int | None = None
        self._before_newest_ns: int | None = None
        self.back: list[tuple[int, int, Any]] = []

    def is_new(self, stamp_ns: int, now_ns: int, message: Any) -> bool:
        """Whether a message is newer than all before; else it is kept in ``back``."""
        if self.newest_ns is None or stamp_ns > self.newest_ns:
            self._before_newest_ns, self.newest_ns = self.newest_ns, stamp_ns
            self.back.clear()
            return True
        if self.back and stamp_ns <= self.back[-1][0]:
            self.back.clear()
        if stamp_ns < self.newest_ns:
            self.back.append((stamp_ns, now_ns, message))
        return False

    def has_jumped(self, clock_went_back: bool) -> bool:
        """Whether the older messages mean that time has jumped back, rather than that they came out of order."""
        return len(self.back) >= (1 if clock_went_back else JUMP_RUN)

    def newest_was_wrong(self) -> bool:
        """Whether the older messages go on where the stream was before its newest one: that alone was far ahead."""
        before_ns = self._before_newest_ns
        return len(self.back) >= JUMP_RUN and before_ns is not None and self.back[0][0] > before_ns

    def forget_newest(self) -> list[tuple[int, int, Any]]:
        """Take back the newest one and the older ones, which are returned."""
        back, self.back, self.newest_ns = self.back, [], self._before_newest_ns
        return back


def constant_offset_s(dt_s: Float64) -> float:
    """The median of differences (N,) that hardly vary, s; NaN where they do or there are too few."""
    if len(dt_s) < ENOUGH:
        return float("nan")
    low, middle, high = np.percentile(dt_s, [10, 50, 90])
    return float(middle) if high - low <= CONSTANT_S else float("nan")


def lost_share(stamps_ns: Sequence[int], beside_ns: Sequence[int] = ()) -> float:
    """Fraction of a sensor's messages that were lost on the way, 0..1, estimated from the gaps in its stamps.

    A sensor with a steady period whose gaps are irregular multiples of it has lost messages; so has a camera whose
    CameraInfo comes with stamps that no image has. 0 where neither can be said: no steady period, too few messages, a
    loss under 10 %, or a regular pattern (a rate that was reduced on purpose).

    Args:
        stamps_ns: of the messages that came, in any order.
        beside_ns: of small messages that the sensor sends with each of them, under the same stamp; empty: none.
    """
    stamps = np.unique(np.array(stamps_ns, dtype=np.int64))
    stamps = stamps[stamps > 0]
    gaps_s = np.asarray(np.diff(stamps), np.float64) * 1e-9
    steps = _periods_between(gaps_s[gaps_s < PAUSE_S])
    share = 0.0
    if steps is not None and np.count_nonzero(steps > 1) >= 3 and np.count_nonzero(np.diff(steps)) >= 4:
        regular = np.ptp(np.cumsum(steps - steps.mean())) <= 2
        share = 0.0 if regular else 1.0 - len(steps) / float(steps.sum())
    share = max(share, _missing_share(stamps, np.unique(np.array(beside_ns, dtype=np.int64))))
    return share if share >= LOST else 0.0


def _missing_share(stamps: Int64, beside: Int64) -> float:
    """Fraction of the stamps ``beside`` (M,) that are missing in ``stamps`` (N,); 0 where the two do not belong together."""
    if len(stamps) < 2 or len(beside) < MANY_GAPS:
        return 0.0
    first, last = max(stamps[0], beside[0]), min(stamps[-1], beside[-1])
    stamps, beside = stamps[(stamps >= first) & (stamps <= last)], beside[(beside >= first) & (beside <= last)]
    if np.isin(stamps, beside).sum() < 0.8 * len(stamps) or len(beside) < LEAST_GAPS:
        return 0.0
    return max(0.0, 1.0 - len(stamps) / len(beside))


def _periods_between(gaps_s: Float64) -> Float64 | None:
    """(N,) whole numbers: how many periods each gap holds; None where the gaps are too few or no multiples of a period."""
    if len(gaps_s) < LEAST_GAPS:
        return None
    middle, smallest = float(np.median(gaps_s)), float(np.median(np.sort(gaps_s)[: max(3, len(gaps_s) // 20)]))
    close = next(limit for count, limit in CLOSE_FIT if len(gaps_s) >= count)
    # After heavy losses even the smallest gap may be two or three periods: then the fit must be closer.
    for period_s, limit, kinds in (
        (middle, close, 1),
        (smallest, close, 1),
        (smallest / 2, CLOSER_FIT, 3),
        (smallest / 3, CLOSER_FIT, 3),
    ):
        for most in (2.5, 5.0, 15.0, 50.0, np.inf):  # short gaps first: a period a bit off miscounts the long ones
            near = gaps_s[gaps_s <= most * period_s]
            period_s = float(near.sum() / max(np.round(near / period_s).sum(), 1)) or period_s
        steps = np.round(gaps_s / period_s)
        misfit = float(np.sqrt(np.mean((gaps_s / period_s - steps) ** 2)))
        if misfit <= limit and len(np.unique(steps)) >= kinds:
            return np.asarray(steps, np.float64)
    return None
