"""Reads a ROS parameter file as the nodes will, without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml

from emgait_ros.config import RecognizerNodeConfig, TrackerNodeConfig, options_of, with_options

Config = TypeVar("Config")
ANY_NODE = ("**", "*", "")
NOT_OURS = ("use_sim_time", "qos_overrides", "start_type_description_service")  # parameters every ROS node has


def load_parameters(path: str | Path) -> tuple[TrackerNodeConfig, RecognizerNodeConfig, list[str]]:
    """The configs of both nodes as a parameter file sets them.

    Returns:
        tracker config, recognizer config, and a sentence for every name that no node knows: ROS ignores those silently.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no parameter file, or a value is not allowed; the sentence names the file.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    blocks = list(_blocks(content, "")) if isinstance(content, dict) else []
    if not blocks:
        raise ValueError(f"{path} is no ROS parameter file: it has no 'ros__parameters' under a node's name")
    tracker, unknown_tracker = _applied(TrackerNodeConfig(), blocks, "pedestrian_tracker", path)
    recognizer, unknown_recognizer = _applied(RecognizerNodeConfig(), blocks, "gait_recognizer", path)
    # A name under /** is meant for whichever node has it.
    general = set().union(*[values for node, values in blocks if node in ANY_NODE])
    known_by_one = {n for n in general if n not in unknown_tracker or n not in unknown_recognizer}
    unknown = sorted((unknown_tracker | unknown_recognizer) - known_by_one)
    return tracker, recognizer, [f"{path}: no node has a parameter '{name}', so it does nothing" for name in unknown]


def _blocks(content: dict[Any, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(last part of the node's name, {"group.option": value}) for each ros__parameters block, namespaces nested or not."""
    for key, value in content.items():
        if key == "ros__parameters":
            yield name.rsplit("/", 1)[-1], dict(_flattened(value or {}, ""))
        elif isinstance(value, dict):
            yield from _blocks(value, f"{name}/{str(key).strip('/')}")


def _flattened(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _applied(
    defaults: Config, blocks: list[tuple[str, dict[str, Any]]], node: str, path: str | Path
) -> tuple[Config, set[str]]:
    known = options_of(defaults)
    chosen: dict[str, Any] = {}
    unknown: set[str] = set()
    for name, values in blocks:
        if name != node and name not in ANY_NODE:
            continue
        chosen |= {key: value for key, value in values.items() if key in known}
        unknown |= {key for key in values if key not in known and not key.startswith(NOT_OURS)}
    try:
        return with_options(defaults, chosen), unknown
    except ValueError as error:
        raise ValueError(f"{path}, {node}: {error}") from error
