"""What the page shows of the live system, as plain data: who is in view, enrolments over time, and health in words."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from emgait_ros.sensing.conversions import stamp_ns

STATUS = ("pending", "unknown", "known")  # values of emgait_msgs/Identity.status
ENROLLMENT = ("collecting", "stored", "refused", "done")  # of emgait_msgs/Enrollment.state
LEVELS = ("ok", "warning", "error", "stale")  # of diagnostic_msgs/DiagnosticStatus.level
HEARD_S = 3.0  # a tracker unheard for so long is not shown
OTHERS_S = 0.5  # one of several in a frame that named people so lately is not the one that sees nobody now
ENROLLMENT_S = 20.0
SILENT_S = 5.0
FASTEST_M_S = 5.0  # what moves faster than that between two frames is another person under the same number
NODES = ("pedestrian_tracker", "gait_recognizer")
PARTS = {  # status of a node: what the page calls it, and what helps where the status itself does not say
    "cloud": ("LiDAR", ""),
    "image": ("Camera", ""),
    "camera_info": ("Camera calibration topic", ""),
    "calibration": ("Where the camera sits", ""),
    "pairing": ("Pairing of clouds and images", "See “LiDAR” and “Camera” first."),
    "worker": ("Speed", "Stop other programs, or lower the LiDAR's rate or the network's cost (engine.clip_stride)."),
    "pedestrians": ("Pedestrians", ""),
    "bad input": ("Messages", "The driver or the node that sends these messages has to be put right."),
    "time": ("Clock", ""),
    "state": ("State", "The log of the node says more."),
    "model": ("Model", "Set decision.threshold, or run: emgait gallery calibrate"),
    "gallery": ("Gallery", ""),
    "tracks": ("Tracks", ""),
}
NOT_HEARD = (
    "Start the nodes: ros2 launch emgait_ros gait.launch.py, or: emgait up. ROS_DOMAIN_ID and namespace must be theirs."
)


class View:
    """Collects messages (duck-typed, as rclpy delivers them) and gives what the page shows. May be called from any thread.

    Args:
        namespace: of the nodes whose statuses count ("" or "/robot1").
        clock_s: monotonic clock, s.
    """

    def __init__(self, namespace: str = "", clock_s: Callable[[], float] = time.monotonic) -> None:
        self._prefix, self._clock_s, self._lock = namespace.strip("/"), clock_s, threading.Lock()
        self._heads: dict[str, dict[str, Any]] = {}
        self._enrollments: dict[tuple[str, int, str], tuple[float, dict[str, Any]]] = {}
        self._statuses: dict[str, tuple[float, dict[str, Any]]] = {}

    # What comes in.

    def take_identities(self, message: Any) -> None:
        """An emgait_msgs/IdentityArray; one tracker's at a time. An empty one does not say whose it is: of the only tracker in its frame,
        or of those that have named nobody lately."""
        stamp, frame, now_s = stamp_ns(message.header), message.header.frame_id, self._clock_s()
        trackers = {identity.tracker_id for identity in message.identities}
        with self._lock:
            if not trackers:
                here = {name: head for name, head in self._heads.items() if head["frame"] == frame}
                quiet = {
                    name for name, head in here.items() if now_s - head["heard_s"] > OTHERS_S or not head["people"]
                }
                trackers = set(here) if len(here) == 1 else quiet
            for tracker in trackers:
                before = self._heads.get(tracker, {"stamp_ns": 0, "people": []})
                people = [_person(identity) for identity in message.identities if identity.tracker_id == tracker]
                _add_velocities(people, before["people"], (stamp - before["stamp_ns"]) * 1e-9)
                self._heads[tracker] = {
                    "tracker": tracker,
                    "frame": frame,
                    "stamp_ns": stamp,
                    "people": people,
                    "model": message.model,
                    "heard_s": now_s,
                }

    def take_enrollment(self, message: Any) -> None:
        """An emgait_msgs/Enrollment."""
        facts = {
            "name": message.name,
            "tracker": message.tracker_id,
            "track": int(message.track_id),
            "state": _named(ENROLLMENT, message.state),
            "remaining_s": _number(message.remaining_s),
            "samples": int(message.samples),
            "samples_needed": int(message.samples_needed),
            "templates": int(message.templates),
            "quality": message.quality,
            "message": message.message,
        }
        with self._lock:
            key = (message.tracker_id, int(message.track_id), message.name)
            before = self._enrollments.get(key)
            if before is not None and not facts["quality"]:
                facts["quality"] = before[1]["quality"]
            self._enrollments[key] = (self._clock_s(), facts)

    def take_diagnostics(self, message: Any) -> None:
        """A diagnostic_msgs/DiagnosticArray; statuses of other programs and other robots are left out."""
        now_s = self._clock_s()
        with self._lock:
            for status in message.status:
                where, _, part = status.name.partition(": ")
                namespace, _, node = where.rpartition("/")
                if status.hardware_id == "emgait_ros" and namespace == self._prefix:
                    level = _named(LEVELS, status.level[0] if isinstance(status.level, bytes) else status.level)
                    facts = {"node": node, "part": part, "level": level, "message": status.message}
                    self._statuses[status.name] = (now_s, facts)

    # What goes out.

    def heads(self) -> list[dict[str, Any]]:
        """One entry a tracker that is heard: ``tracker``, ``frame``, ``stamp_ns``, ``model`` and ``people``."""
        now_s = self._clock_s()
        with self._lock:
            heard = [head for head in self._heads.values() if now_s - head["heard_s"] < HEARD_S]
            self._heads = {head["tracker"]: head for head in heard}
            return [{k: v for k, v in head.items() if k != "heard_s"} for _, head in sorted(self._heads.items())]

    def enrollments(self) -> list[dict[str, Any]]:
        """Enrolments over time of the last 20 s, newest first."""
        now_s = self._clock_s()
        with self._lock:
            self._enrollments = {k: v for k, v in self._enrollments.items() if now_s - v[0] < ENROLLMENT_S}
            return [facts for _, facts in sorted(self._enrollments.values(), key=lambda item: -item[0])]

    def health(self) -> list[dict[str, Any]]:
        """One entry a status, the worst first: ``title``, ``node``, ``level``, ``message`` and ``cure`` (may be empty)."""
        now_s = self._clock_s()
        with self._lock:
            self._statuses = {k: v for k, v in self._statuses.items() if now_s - v[0] < SILENT_S}
            known = [facts for _, facts in self._statuses.values()]
        missing = [node for node in NODES if node not in {facts["node"] for facts in known}]
        found = [_in_words(facts) for facts in known]
        found += [
            {"title": "Node", "node": node, "level": "stale", "message": f"{node} is not heard", "cure": NOT_HEARD}
            for node in missing
        ]
        return sorted(found, key=lambda entry: (-LEVELS.index(entry["level"]), entry["node"], entry["title"]))


def _person(identity: Any) -> dict[str, Any]:
    position, size = identity.position, identity.size
    return {
        "tracker": identity.tracker_id,
        "track": int(identity.track_id),
        "status": _named(STATUS, identity.status),
        "name": identity.name,
        "reason": identity.reason,
        "warnings": list(identity.warnings),
        "range_m": _number(identity.range_m),
        "samples": int(identity.samples),
        "samples_needed": int(identity.samples_needed),
        "distance": _number(identity.distance),
        "threshold": _number(identity.threshold),
        "probability": _number(identity.probability),
        "candidates": [{"name": c.name, "distance": _number(c.distance)} for c in identity.candidates],
        "center": [_number(v) or 0.0 for v in (position.x, position.y, position.z)],
        "size": [_number(v) or 0.0 for v in (size.x, size.y, size.z)],
        "velocity": [0.0, 0.0],
    }


def _add_velocities(people: list[dict[str, Any]], before: list[dict[str, Any]], dt_s: float) -> None:
    """m/s, from where the same track was a frame ago; zero where that is not known."""
    places = {person["track"]: person["center"] for person in before}
    for person in people:
        was = places.get(person["track"])
        if was is not None and 0.0 < dt_s < 1.0:
            velocity = [(person["center"][axis] - was[axis]) / dt_s for axis in (0, 1)]
            if math.hypot(*velocity) <= FASTEST_M_S:
                person["velocity"] = [round(v, 3) for v in velocity]


def _in_words(facts: dict[str, Any]) -> dict[str, Any]:
    title, cure = PARTS.get(facts["part"], (facts["part"], ""))
    message = facts["message"] or "no details are given"
    # Most statuses name what to do themselves, after a colon.
    says_what_to_do = re.search(r": (set|start|check|play|configure|activate|synchronise|raise|let|enrol)", message)
    return {
        "title": title,
        "node": facts["node"],
        "level": facts["level"],
        "message": message,
        "cure": "" if facts["level"] == "ok" or says_what_to_do else cure,
    }


def _named(names: tuple[str, ...], value: int) -> str:
    return names[value] if 0 <= value < len(names) else names[-1]


def _number(value: float) -> float | None:
    """Rounded; None, as JSON has it, for what is no number."""
    return round(float(value), 3) if math.isfinite(value) else None
