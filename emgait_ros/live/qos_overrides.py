"""Quality of service by topic, from a YAML file in the form that `ros2 bag play --qos-profile-overrides-path` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

POLICIES: dict[str, Any] = {
    "history": HistoryPolicy,
    "reliability": ReliabilityPolicy,
    "durability": DurabilityPolicy,
    "liveliness": LivelinessPolicy,
}
DURATIONS = ("deadline", "lifespan", "liveliness_lease_duration")
PLAIN: dict[str, type] = {"depth": int, "avoid_ros_namespace_conventions": bool}
KEYS = (*POLICIES, *DURATIONS, *PLAIN)


def read_qos_overrides(file: Path) -> dict[str, dict[str, Any]]:
    """By topic, the policies that the file sets, as arguments of a QoSProfile.

    Raises:
        ValueError: the file cannot be read, or a topic, key or value in it is not what is expected.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"the QoS overrides in {file} cannot be read: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
        raise ValueError(f"{file} holds no QoS overrides: expected topics with policies, /points: {{depth: 10}}")
    return {str(topic): _policies(f"{file}: {topic}", given) for topic, given in content.items()}


def _policies(where: str, given: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in given.items():
        if key in POLICIES:
            names = [name for name in POLICIES[key].short_keys() if name != "unknown"]
            if value not in names:
                raise ValueError(f"{where}: {key} is '{value}': expected {', '.join(names)}")
            found[key] = POLICIES[key].get_from_short_key(value)
        elif key in DURATIONS:
            found[key] = _duration(f"{where}: {key}", value)
        elif key in PLAIN:
            if type(value) is not PLAIN[key] or given[key] < 0:
                expected = "a number, 0 or more" if key == "depth" else "true or false"
                raise ValueError(f"{where}: {key} is '{value}': expected {expected}")
            found[key] = value
        else:
            raise ValueError(f"{where}: '{key}' is no policy: expected {', '.join(KEYS)}")
    return found


def _duration(where: str, value: Any) -> Duration:
    if (
        not isinstance(value, dict)
        or set(value) != {"sec", "nsec"}
        or not all(type(n) is int and n >= 0 for n in value.values())
    ):
        raise ValueError(f"{where} is '{value}': expected {{sec: 0, nsec: 100000000}}")
    return Duration(seconds=value["sec"], nanoseconds=value["nsec"])


def overridden(profile: QoSProfile, policies: dict[str, Any]) -> QoSProfile:
    """A copy of the profile with these policies in it."""
    every = {name.removeprefix("_"): getattr(profile, name) for name in QoSProfile.__slots__}
    return QoSProfile(**{**every, **policies})
