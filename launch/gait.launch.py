"""Starts pedestrian_tracker and gait_recognizer: `ros2 launch emgait_ros gait.launch.py --show-args` lists the arguments.

An argument that is given wins over params_file, and that over the defaults; one that is not given changes nothing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, RegisterEventHandler, SetEnvironmentVariable
from launch.event_handlers import OnShutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

from emgait_ros.config import TrackerNodeConfig, with_options
from emgait_ros.parameter_file import load_parameters
from emgait_ros.shipped import shipped_path
from emgait_ros.starting import NAMESPACED_TF, NODES, nodes_of, parameters_of, rviz_config, write_parameters
from emgait_ros.transport import use_shipped_profile
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

NOT_GIVEN = (
    "<params_file>"  # default of what params_file can say as well; '' is a value that an including file can give
)
FLAG = (NOT_GIVEN, "true", "false")
RESPAWN_DELAY_S = 2.0
# name: (default, choices, description)
ARGUMENTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "cloud_topic": (NOT_GIVEN, (), "sensor_msgs/PointCloud2 of the LiDAR; relative names follow the namespace"),
    "image_topic": (
        NOT_GIVEN,
        (),
        "sensor_msgs/Image of the camera, or CompressedImage with image_compressed:=true; none: the LiDAR alone",
    ),
    "camera_info_topic": (NOT_GIVEN, (), "sensor_msgs/CameraInfo of that image"),
    "image_compressed": (NOT_GIVEN, FLAG, "true: the image topic carries sensor_msgs/CompressedImage"),
    "boxes_topic": (NOT_GIVEN, (), "vision_msgs/Detection3DArray of a detector of yours, instead of ours (boxes.use)"),
    "overlay": (NOT_GIVEN, FLAG, "true: publish ~/overlay, the image with what was found"),
    "params_file": ("", (), "YAML with parameters of both nodes; config/*.yaml are templates for it"),
    "bundle": (NOT_GIVEN, (), "folder of a model bundle, in place of the shipped one"),
    "gallery": (NOT_GIVEN, (), "gallery file (SQLite) or postgresql:// address, where identities are kept"),
    "autostart": (NOT_GIVEN, FLAG, "false: leave configuring and activating both nodes to a lifecycle manager"),
    "respawn": ("false", ("true", "false"), "true: start a node again, 2 s after it has ended"),
    "use_sim_time": (NOT_GIVEN, FLAG, "true: take time from /clock"),
    "namespace": ("", (), "namespace of both nodes and of all relative topics, below that of an including launch file"),
    "namespaced_tf": (
        "false",
        ("true", "false"),
        "true: read tf and tf_static of the namespace, not /tf and /tf_static",
    ),
    "log_level": ("info", ("debug", "info", "warn", "error"), "of both nodes"),
    "bridges": ("", (), "vision, people, hri, with commas between: also publish messages of other packages"),
    "console": ("false", ("true", "false"), "true: serve the page of `emgait console` on http://127.0.0.1:8899"),
    "console_host": ("127.0.0.1", (), "address of the page; another one asks for a token, which the log shows once"),
    "rviz": ("false", ("true", "false"), "true: open RViz with the LiDAR, the boxes and the names"),
    "rviz_frame": ("", (), "fixed frame of RViz, such as the LiDAR's; '': frames.fixed of params_file, else lidar"),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, the Fast DDS profile unless the user has one, and the nodes."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, choices=list(choices) or None, description=text)
        for name, (default, choices, text) in ARGUMENTS.items()
    ]
    profile = use_shipped_profile(dict(os.environ))
    environment = [SetEnvironmentVariable(name, value) for name, value in profile.items()]
    return LaunchDescription([*arguments, *environment, OpaqueFunction(function=nodes)])


def nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The nodes, and RViz when asked for."""
    given = arguments_given(context)
    if given["rviz"]:
        require_rviz()
    namespace = given["namespace"].strip("/")
    full_namespace = f"{context.launch_configurations.get('ros_namespace', '')}/{namespace}"
    files, tracker, sentences = read_parameters(given["params_file"], full_namespace)
    folder = Path(mkdtemp(prefix="emgait_launch_"))
    common = {
        "namespace": namespace,
        "output": "screen",
        "remappings": list(NAMESPACED_TF.items()) if given["namespaced_tf"] else [],
    }
    lasting = {**common, "respawn": given["respawn"], "respawn_delay": RESPAWN_DELAY_S}
    tidy = OnShutdown(on_shutdown=lambda event, context: shutil.rmtree(folder, ignore_errors=True))
    started: list[LaunchDescriptionEntity] = [RegisterEventHandler(tidy)]
    started += [LogInfo(msg=f"[WARN] {sentence}") for sentence in sentences]
    for name in nodes_of(given):
        values = parameters_of(name, given)
        explicit = [write_parameters(folder / f"{name}.yaml", name, values)] if values else []
        level = ["--log-level", given["log_level"]]
        kind = LifecycleNode if name in NODES else Node
        started.append(
            kind(
                package="emgait_ros",
                executable=name,
                name=name,
                parameters=[*files, *explicit],
                ros_arguments=level,
                **lasting,
            )
        )
    if given["console"]:
        words = ["console", "--host", given["console_host"]]
        started.append(
            Node(package="emgait_ros", executable="emgait", name="emgait_console", arguments=words, **lasting)
        )
    if given["rviz"]:
        started.append(rviz(given, tracker, full_namespace, folder, common))
    return started


def rviz(
    given: dict[str, str | bool | None],
    tracker: TrackerNodeConfig,
    namespace: str,
    folder: Path,
    common: dict[str, Any],
) -> Node:
    """RViz with the topics and the fixed frame of this robot."""
    if given["cloud_topic"] is not None:
        tracker = with_options(tracker, {"topics.cloud": given["cloud_topic"]})
    template = shipped_path("config/gait.rviz").read_text(encoding="utf-8")
    file = folder / "gait.rviz"
    file.write_text(rviz_config(template, tracker, namespace, given["rviz_frame"]), encoding="utf-8")
    clock = [{"use_sim_time": given["use_sim_time"]}] if given["use_sim_time"] is not None else []
    return Node(package="rviz2", executable="rviz2", arguments=["-d", str(file)], parameters=clock, **common)


def arguments_given(context: LaunchContext) -> dict[str, str | bool | None]:
    """Value of each argument, flags as booleans; None where it is left to params_file."""
    given: dict[str, str | bool | None] = {}
    for name, (_, choices, _) in ARGUMENTS.items():
        value = LaunchConfiguration(name).perform(context)
        given[name] = None if value == NOT_GIVEN else value == "true" if "true" in choices else value
    return given


def read_parameters(path: str, namespace: str) -> tuple[list[Path], TrackerNodeConfig, list[str]]:
    """The parameter file (none or one), the tracker's settings in it, and what in it does nothing.

    Raises:
        FileNotFoundError: there is no such file; launch itself would warn and go on without it.
    """
    if not path:
        return [], TrackerNodeConfig(), []
    file = Path(os.path.abspath(os.path.expanduser(path)))
    if not file.is_file():
        raise FileNotFoundError(f"params_file:= names {file}: there is no such file")
    tracker, _, sentences = load_parameters(file, namespace)
    return [file], tracker, sentences


def require_rviz() -> None:
    """Said before any node runs: launch would leave the nodes behind that it has started before RViz fails."""
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError as error:
        raise RuntimeError(
            "rviz:=true, but rviz2 is not installed here: install it (ros-<distro>-rviz2) or leave rviz:=true out"
        ) from error
