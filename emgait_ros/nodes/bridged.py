"""Who is in view, in the terms of other packages: identifiers, confidences, frames. No ROS.

Sources are LiDAR frames: each tracker has one, and what is published is the union over all of them.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

KNOWN_CONFIDENCE = 0.5  # of a name at its threshold, where the gallery gives no probability: what REP-155 calls a match
HIPS, HEAD = 0.53, 0.93  # of a body's height
WALKS_M_S = 0.3  # slower says nothing about where somebody faces
FORGET_S = 2.0  # who has not been heard of for so long is not in view


@dataclass(frozen=True)
class Seen:
    """One tracked pedestrian.

    Attributes:
        body: identifier of the track.
        person: identifier of who it is; empty when not known.
        confidence: that it is that person, 0..1; 0 when not known.
        x, y, bottom, height: m, in the sensor's frame: its box, upright.
        yaw: rad, where it faces, about z of that frame; None when not known.
    """

    body: str
    person: str
    confidence: float
    x: float
    y: float
    bottom: float
    height: float
    yaw: float | None


def body_id(tracker_id: str, track_id: int) -> str:
    """An identifier for a track, unique over all trackers and valid in names of topics and frames."""
    return _identifier(f"{tracker_id}_{track_id}" if tracker_id else f"track_{track_id}")


def person_id(name: str) -> str:
    """An identifier for an enrolled name: always the same, different for different names, valid in names of topics and frames."""
    made = _identifier(name)
    return made if made == name else f"{made}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _identifier(text: str) -> str:
    made = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", text)).strip("_")  # ROS allows no two of them in a row
    return made if made[:1].isalpha() else f"id_{made}".rstrip("_")


def confidence(distance: float, threshold: float, probability: float) -> float:
    """How sure a name is, 0..1: its probability, else 1 at distance 0 and 0.5 at the threshold."""
    if math.isfinite(probability):
        return min(max(probability, 0.01), 1.0)  # 0 would mean that it is somebody else
    if not math.isfinite(distance) or not threshold > 0:
        return KNOWN_CONFIDENCE
    return min(max(1.0 - (1.0 - KNOWN_CONFIDENCE) * distance / threshold, 0.01), 1.0)


class InView:
    """Who is in view, over all sources.

    Attributes:
        ended: (body, person) of matches that no longer hold since the last :meth:`take_ended`.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, dict[str, Seen]]] = {}
        self._matched: dict[str, str] = {}
        self.ended: list[tuple[str, str]] = []

    def update(self, source: str, seen: Iterable[Seen], now_s: float) -> list[Seen]:
        """Take in one frame of a source; returns it, facing as before who stands now.

        Args:
            source: name of the LiDAR frame.
            seen: all in view there.
            now_s: steady time.
        """
        before = self._seen.get(source, (0.0, {}))[1]
        now = {one.body: _facing(one, before.get(one.body)) for one in seen}
        self._seen[source] = now_s, now
        self.forget(now_s)
        return list(now.values())

    def forget(self, now_s: float) -> bool:
        """Drop sources that have fallen silent; whether there were any."""
        silent = [source for source, (at_s, _) in self._seen.items() if now_s - at_s > FORGET_S]
        for source in silent:
            del self._seen[source]
        matched = {one.body: one.person for one in self.all if one.person}
        self.ended += [(b, p) for b, p in self._matched.items() if matched.get(b) != p]
        self._matched = matched
        return bool(silent)

    def take_ended(self) -> list[tuple[str, str]]:
        """``ended``, which is emptied."""
        ended, self.ended = self.ended, []
        return ended

    @property
    def all(self) -> list[Seen]:
        """Everybody in view."""
        return [one for _, seen in self._seen.values() for one in seen.values()]

    @property
    def persons(self) -> dict[str, str]:
        """Person -> body of everybody known in view; the surest body where one is in view of two sensors."""
        ordered = sorted((one for one in self.all if one.person), key=lambda one: one.confidence)
        return {one.person: one.body for one in ordered}


def _facing(one: Seen, before: Seen | None) -> Seen:
    if one.yaw is not None or before is None or before.yaw is None:
        return one
    return Seen(one.body, one.person, one.confidence, one.x, one.y, one.bottom, one.height, before.yaw)


def heading(velocity: tuple[float, float] | None) -> float | None:
    """Yaw (rad) of who walks with this velocity (m/s); None of who stands or is not known to walk."""
    if velocity is None or math.hypot(*velocity) < WALKS_M_S:
        return None
    return math.atan2(velocity[1], velocity[0])
