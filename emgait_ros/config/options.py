"""What an option is: a dataclass field with a default, a range and a reason; reading and checking nested options by name."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any


def option(
    default: Any,
    why: str,
    *,
    within: tuple[float | None, float | None] | tuple[float | None, float | None, str] = (None, None),
    choices: tuple[str, ...] = (),
    topic: str = "",
) -> Any:
    """A dataclass field with a default and the reason for it.

    Args:
        default: the value; a tuple for an array parameter.
        why: one sentence: what it does and why this default.
        within: inclusive range of allowed values, ``None`` where open, and the unit ("m", "s", "px", ...) of what is not a count or share.
        choices: allowed strings, empty for any.
        topic: "needed" or "optional" (may be empty) where the string names a topic; relative names follow the node's namespace.
    """
    low, high, unit = (*within, "")[:3]
    metadata = {"why": why, "unit": unit, "low": low, "high": high, "choices": choices, "topic": topic}
    return field(default=default, metadata=metadata)


def options_of(config: Any, prefix: str = "") -> dict[str, tuple[Any, dict[str, Any]]]:
    """All options of a nested config as ``{"group.name": (value, metadata)}``, in order of declaration."""
    found: dict[str, tuple[Any, dict[str, Any]]] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            found.update(options_of(value, f"{prefix}{item.name}."))
        else:
            found[prefix + item.name] = (value, dict(item.metadata))
    return found


def with_options(config: Any, values: dict[str, Any]) -> Any:
    """A copy of a nested config with ``{"group.name": value}`` replaced.

    Raises:
        ValueError: an unknown option, a value of another type, out of range or not among the choices;
            the sentence names the option, what was found and what is allowed.
    """
    known = options_of(config)
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"unknown parameter '{name}': known are {', '.join(sorted(known))}")
        check_option(name, value, *known[name])
    return _replaced(config, values, "")


def check_option(name: str, value: Any, default: Any, metadata: dict[str, Any]) -> None:
    """Raise ``ValueError`` with a full sentence unless ``value`` is allowed for this option."""
    number = isinstance(default, (int, float)) and not isinstance(default, bool)
    if (number and isinstance(value, bool)) or not isinstance(value, _accepted_types(default)):
        raise ValueError(f"parameter '{name}' is {value!r}: expected {type(default).__name__}")
    unit = f" {metadata['unit']}" if metadata.get("unit") else ""
    low, high = metadata.get("low"), metadata.get("high")
    if number and ((low is not None and not value >= low) or (high is not None and not value <= high)):
        raise ValueError(
            f"parameter '{name}' is {value}{unit}: allowed is {low} to {'any' if high is None else high}{unit}"
        )
    choices = metadata.get("choices")
    if choices and value not in choices:
        raise ValueError(f"parameter '{name}' is '{value}': allowed are {', '.join(choices)}")
    names = isinstance(default, tuple) and any(isinstance(v, str) for v in default)
    if names and not (isinstance(value, (tuple, list)) and value and all(isinstance(v, str) and v for v in value)):
        raise ValueError(f"parameter '{name}' is {value!r}: expected at least one name, and no empty one")
    if name.endswith("T_camera_lidar") and isinstance(value, (tuple, list)) and len(value) not in (0, 16):
        raise ValueError(f"parameter '{name}' has {len(value)} numbers: expected 16 (4x4, row-major) or none")


def _accepted_types(default: Any) -> tuple[type, ...]:
    if isinstance(default, float):
        return (float, int)
    if isinstance(default, tuple):
        return (tuple, list)
    return (type(default),)


def _replaced(config: Any, values: dict[str, Any], prefix: str) -> Any:
    changes: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        current, name = getattr(config, item.name), prefix + item.name
        if dataclasses.is_dataclass(current):
            changes[item.name] = _replaced(current, values, f"{name}.")
        elif name in values:
            new = values[name]
            changes[item.name] = tuple(new) if isinstance(current, tuple) else type(current)(new)
    return dataclasses.replace(config, **changes)
