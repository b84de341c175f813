"""How far apart two sensors stamp the same moment, as far as stamps and arrivals tell. Online, over the last messages."""

from __future__ import annotations

from collections import deque

import numpy as np

HISTORY = 300
ENOUGH = 30  # pairs before a constant offset is estimated
CONSTANT_S = 0.004  # an offset that varies less (80 % of the pairs) is constant
WORTH_SAYING_S = 0.005  # smaller ones do no harm


class OffsetEstimate:
    """Collects signed differences of pairs and the age of messages on arrival."""

    def __init__(self) -> None:
        self._dt_s: deque[float] = deque(maxlen=HISTORY)
        self._age_s: dict[str, deque[float]] = {name: deque(maxlen=HISTORY) for name in ("cloud", "image")}

    def clear(self) -> None:
        """Forget everything: time has jumped."""
        self._dt_s.clear()
        for ages in self._age_s.values():
            ages.clear()

    def add_pair(self, dt_s: float) -> None:
        """Image minus cloud of a pair, s."""
        self._dt_s.append(dt_s)

    def add_arrival(self, sensor: str, age_s: float) -> None:
        """How long after its stamp a message of the "cloud" or the "image" sensor came, s."""
        self._age_s[sensor].append(age_s)

    @property
    def absolute_s(self) -> tuple[float, float, float]:
        """|image - cloud| of the last pair, and their median and 95th percentile, s; NaN before the first."""
        if not self._dt_s:
            return (float("nan"),) * 3
        dt_s = np.abs(np.array(self._dt_s))
        return float(dt_s[-1]), float(np.percentile(dt_s, 50)), float(np.percentile(dt_s, 95))

    @property
    def constant_s(self) -> float:
        """Image minus cloud where that hardly varies, s; else NaN."""
        if len(self._dt_s) < ENOUGH:
            return float("nan")
        low, middle, high = np.percentile(np.array(self._dt_s), [10, 50, 90])
        return float(middle) if high - low <= CONSTANT_S else float("nan")

    @property
    def arrival_s(self) -> float:
        """How much later after its stamp an image arrives than a cloud does, s; NaN before both have come."""
        if not all(self._age_s.values()):
            return float("nan")
        return float(np.median(np.array(self._age_s["image"])) - np.median(np.array(self._age_s["cloud"])))

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
