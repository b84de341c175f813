"""What `ros2 launch emgait_ros gait.launch.py` and `emgait up` share: their arguments as parameters of the nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from emgait_ros.config import TrackerNodeConfig, full_name

NODES = ("pedestrian_tracker", "gait_recognizer")
PARAMETERS = {  # argument of the launch file: the parameter it sets, of each node that has it
    "pedestrian_tracker": {
        "cloud_topic": "topics.cloud",
        "image_topic": "topics.image",
        "camera_info_topic": "topics.camera_info",
        "image_compressed": "topics.image_compressed",
        "boxes_topic": "topics.boxes",
        "overlay": "camera.overlay",
        "autostart": "autostart",
        "use_sim_time": "use_sim_time",
    },
    "gait_recognizer": {
        "bundle": "engine.bundle",
        "gallery": "gallery.path",
        "autostart": "autostart",
        "use_sim_time": "use_sim_time",
    },
    "bridges": {"use_sim_time": "use_sim_time"},
}
BRIDGES = ("vision", "people", "hri")  # parts of the bridges node, which is started when one is asked for
NO_CAMERA = "none"  # for image_topic: `ros2 launch` refuses an empty value
NAMESPACED_TF = {"/tf": "tf", "/tf_static": "tf_static"}  # remappings: each robot has a tree of its own
SIMULATED_FRAME = "lidar"


def nodes_of(given: Mapping[str, Any]) -> tuple[str, ...]:
    """The nodes to start."""
    return (*NODES, "bridges") if given.get("bridges") else NODES


def parameters_of(node: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that were given, as parameters of a node; ``bridges`` is a list with commas: "vision,people".

    Args:
        node: one of ``nodes_of``.
        given: value by argument; an argument that was not given is absent or None, and leaves the parameter as it is.

    Raises:
        ValueError: there is no such bridge.
    """
    values = {parameter: given[name] for name, parameter in PARAMETERS[node].items() if given.get(name) is not None}
    if values.get("topics.image") == NO_CAMERA:
        values["topics.image"] = ""
    if node == "bridges":
        parts = [part.strip() for part in str(given.get("bridges") or "").split(",") if part.strip()]
        if wrong := [part for part in parts if part not in BRIDGES]:
            raise ValueError(
                f"bridges is '{given['bridges']}', but there is no '{wrong[0]}': expected some of {', '.join(BRIDGES)}"
            )
        values |= dict.fromkeys(parts, True)
    return values


def write_parameters(file: Path, node: str, values: Mapping[str, Any]) -> Path:
    """Write a parameter file whose values win over those of all files before it; returns ``file``.

    ROS does not apply parameter files and ``-p`` in their order, but by where the node's name was first written: after
    a file with ``/**`` and then ``pedestrian_tracker``, a ``-p`` (which stands for ``/**``) changes nothing. A name
    that no other file has comes last. JSON is YAML in which a string stays a string.
    """
    content = {f"/**/**/{node}": {"ros__parameters": dict(values)}}
    file.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return file


def rviz_config(template: str, config: TrackerNodeConfig, namespace: str = "", frame: str = "") -> str:
    """The shipped RViz configuration for a robot.

    Args:
        template: content of config/gait.rviz.
        config: of the tracker: its cloud topic, and frames.fixed.
        namespace: of both nodes.
        frame: RViz's fixed frame; empty: frames.fixed, or the frame of the simulated LiDAR.
    """
    content = yaml.safe_load(template)
    manager = content["Visualization Manager"]
    topics = {
        "LiDAR": config.topics.cloud,
        "Pedestrians": "pedestrian_tracker/points",
        "Who is walking": "gait_recognizer/markers",
        "Overlay": "pedestrian_tracker/overlay",
    }
    for display in manager["Displays"]:
        if display["Name"] in topics:
            display["Topic"]["Value"] = full_name(topics[display["Name"]], namespace)
    frame = frame or config.frames.fixed or SIMULATED_FRAME
    manager["Global Options"]["Fixed Frame"] = frame
    manager["Views"]["Current"]["Target Frame"] = frame
    return yaml.safe_dump(content, sort_keys=False)
