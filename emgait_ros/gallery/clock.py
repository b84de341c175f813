"""Whether the system clock can be trusted before people are deleted by it.

Clocks jump: a flat battery, a bad time server, a wrong year. What is known across restarts is the time of the last check
that was believed, and which boot of the machine it was made in, with the time since that boot.
"""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_HOUR_NS = 3600 * 10**9
_DAY_NS = 24 * _HOUR_NS
SLACK_NS = _HOUR_NS
"""How far clocks of robots that share a gallery, or one before and after it is set, may differ."""
AWAY_NS = 30 * _DAY_NS
"""Longest time between two checks across a restart that is believed at once: longer, it may be a jump."""
WATCHED_NS = 3 * _DAY_NS
"""A clock that seems to have jumped is believed when it has gone on steadily for so long."""


@dataclass(frozen=True)
class Moment:
    """A reading of both clocks: ns since 1970, ns since boot (sleep counted), and which boot."""

    now_ns: int
    boot_ns: int
    boot: str

    @staticmethod
    def read() -> Moment:
        """Now."""
        boot = Path("/proc/sys/kernel/random/boot_id")
        name = boot.read_text(encoding="ascii").strip() if boot.is_file() else ""
        return Moment(time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME), name)


@dataclass(frozen=True)
class ClockState:
    """What is kept between checks.

    Attributes:
        believed_ns: time of the last check that was believed; 0: none yet.
        seen_ns, boot_ns, boot: of the last check, believed or not.
        doubted_since_ns: the clock is doubted since it said this; 0: it is not.
        ignored: number of the last entry of the audit log that was written under a wrong clock.
    """

    believed_ns: int = 0
    seen_ns: int = 0
    boot_ns: int = 0
    boot: str = ""
    doubted_since_ns: int = 0
    ignored: int = 0

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps(dataclasses.asdict(self))

    def checked(self, moment: Moment, newest_ns: int) -> tuple[ClockState, str]:
        """Judge the clock.

        Args:
            moment: now.
            newest_ns: time of the newest entry of the gallery; 0: there is none.

        Returns:
            What to keep, and why the clock is not believed: empty when it is.
        """
        now, latest = moment.now_ns, max(self.believed_ns, newest_ns)
        if now < latest - SLACK_NS:
            return self, f"the clock says {_shown(now)}, and the newest entry is of {_shown(latest)}"
        last = self.believed_ns or newest_ns or now
        if self.doubted_since_ns:
            came_back = now < self.seen_ns - SLACK_NS and now - last <= AWAY_NS
            watched = self._steady(moment) and now - self.doubted_since_ns >= WATCHED_NS
            if came_back or watched:
                return believed(moment, self.ignored), ""
            since = self.doubted_since_ns if self._steady(moment) else now
        elif self._steady(moment) if self.seen_ns else now - last <= AWAY_NS:
            return believed(moment, self.ignored), ""
        else:
            since = now
        kept = dataclasses.replace(self, seen_ns=now, boot_ns=moment.boot_ns, boot=moment.boot, doubted_since_ns=since)
        said = f"the clock went from {_shown(last)} to {_shown(now)}: it may have jumped, and is believed from {_shown(since + WATCHED_NS)} on"
        return kept, said

    def _steady(self, moment: Moment) -> bool:
        """Whether the clock went on since the last check as it should."""
        passed = moment.now_ns - self.seen_ns
        if moment.boot and moment.boot == self.boot:
            return abs(passed - (moment.boot_ns - self.boot_ns)) <= SLACK_NS
        return -SLACK_NS <= passed <= AWAY_NS


def believed(moment: Moment, ignored: int) -> ClockState:
    """What to keep of a clock that is right; entries of the audit log up to number ``ignored`` say nothing of the time."""
    return ClockState(moment.now_ns, moment.now_ns, moment.boot_ns, moment.boot, 0, ignored)


def state_from(text: str | None) -> ClockState:
    """What :meth:`ClockState.to_json` wrote; a new one for None or damaged text."""
    try:
        return ClockState(**json.loads(text)) if text else ClockState()
    except (TypeError, ValueError):
        return ClockState()


def _shown(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9).astimezone().isoformat(timespec="minutes")
