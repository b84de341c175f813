"""Reads a ROS parameter file as the nodes will, without ROS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emgait_ros.config import (
    BridgesNodeConfig,
    RecognizerNodeConfig,
    TrackerNodeConfig,
    full_name,
    options_of,
    with_options,
)
from emgait_ros.foreign import parsed_yaml

Blocks = list[tuple[str, dict[str, Any]]]
DEFAULTS = {
    "pedestrian_tracker": TrackerNodeConfig(),
    "gait_recognizer": RecognizerNodeConfig(),
    "bridges": BridgesNodeConfig(),
}
NOT_OURS = ("use_sim_time", "qos_overrides", "start_type_description_service")  # parameters every ROS node has


def load_parameters(
    path: str | Path, namespace: str | None = None
) -> tuple[TrackerNodeConfig, RecognizerNodeConfig, list[str]]:
    """The configs of both nodes as a parameter file sets them; what it sets for the bridges is checked.

    Args:
        path: of the file.
        namespace: the nodes' namespace ("robot1", "" for none); None: whatever namespace the file is for.

    Returns:
        tracker config, recognizer config, and a sentence for everything in the file that does nothing, which ROS
        ignores silently: a name that no node has, or a node's settings that are not for this namespace.

    Raises:
        OSError: the file cannot be read, or there is none.
        ValueError: it is no parameter file, or a value is not allowed; the sentence names the file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no parameter file {path}")
    try:
        content = parsed_yaml(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    blocks = list(_blocks(content, "")) if isinstance(content, dict) else []
    if not blocks:
        raise ValueError(f"{path} is no ROS parameter file: it has no 'ros__parameters' under a node's name")
    sentences = [] if namespace is None else _not_for_this_namespace(blocks, namespace, path)
    applied = {node: _applied(blocks, node, namespace, path) for node in DEFAULTS}
    unknowns = [unknown for _, unknown in applied.values()]
    # A name under /** is meant for whichever node has it.
    general = set().union(*[values for name, values in blocks if name.endswith("*")])
    known_by_one = {n for n in general if not all(n in unknown for unknown in unknowns)}
    unknown = sorted(set().union(*unknowns) - known_by_one)
    sentences += [f"{path}: no node has a parameter '{name}', so it does nothing" for name in unknown]
    return applied["pedestrian_tracker"][0], applied["gait_recognizer"][0], sentences


def _blocks(content: dict[Any, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(pattern of full node names, {"group.option": value}) for each ros__parameters block, namespaces nested or not."""
    for key, value in content.items():
        if key == "ros__parameters":
            yield name or "/**", dict(_flattened(value if isinstance(value, dict) else {}, ""))
        elif isinstance(value, dict):
            yield from _blocks(value, f"{name}/{str(key).strip('/')}")


def _flattened(values: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_for(pattern: str, node: str, namespace: str | None) -> bool:
    """Whether ROS applies a block to a node: ``*`` stands for one part of its full name, ``**`` for any number."""
    if namespace is None:
        return pattern.rsplit("/", 1)[-1] in (node, "*", "**")
    regex = re.sub(r"/\*\*|/\*", lambda wild: r"(/\w+)*" if wild[0] == "/**" else r"/\w+", pattern)
    return re.fullmatch(regex, full_name(node, namespace)) is not None


def _not_for_this_namespace(blocks: Blocks, namespace: str, path: str | Path) -> list[str]:
    """A sentence for each node that the file names, but never with a name that fits this namespace."""
    found = []
    for node in DEFAULTS:
        meant = [pattern for pattern, _ in blocks if pattern.endswith(f"/{node}")]
        if meant and not any(_is_for(pattern, node, namespace) for pattern in meant):
            name = full_name(node, namespace)
            found.append(
                f"{path}: what it sets for {', '.join(meant)} does nothing, because the node is {name}: "
                f"write /**/{node} (any namespace) or {name}"
            )
    return found


def _applied(blocks: Blocks, node: str, namespace: str | None, path: str | Path) -> tuple[Any, set[str]]:
    known = options_of(DEFAULTS[node])
    chosen: dict[str, Any] = {}
    unknown: set[str] = set()
    for pattern, values in blocks:
        if not _is_for(pattern, node, namespace):
            continue
        chosen |= {key: value for key, value in values.items() if key in known}
        unknown |= {key for key in values if key not in known and not key.startswith(NOT_OURS)}
    try:
        return with_options(DEFAULTS[node], chosen), unknown
    except ValueError as error:
        raise ValueError(f"{path}, {node}: {error}") from error
