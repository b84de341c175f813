"""Starts pedestrian_tracker and gait_recognizer: `ros2 launch emgait_ros gait.launch.py --show-args` lists the arguments."""

from __future__ import annotations

import os

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from emgait_ros.shipped import shipped_path
from emgait_ros.transport import use_shipped_profile
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

# name: (default, choices, description); an empty default leaves the parameter to the YAML files and config.py
ARGUMENTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "cloud_topic": ("", (), "sensor_msgs/PointCloud2 of the LiDAR"),
    "image_topic": ("", (), "sensor_msgs/Image of the camera, or CompressedImage with image_compressed:=true"),
    "camera_info_topic": ("", (), "sensor_msgs/CameraInfo of that image"),
    "image_compressed": ("", ("", "true", "false"), "true: the image topic carries sensor_msgs/CompressedImage"),
    "overlay": ("", ("", "true", "false"), "true: publish ~/overlay, the image with what was found"),
    "params_file": ("", (), "YAML with parameters of both nodes, over the shipped config/*.yaml"),
    "bundle": ("", (), "folder of a model bundle; empty: the shipped one"),
    "gallery": ("", (), "gallery file (SQLite) or postgresql:// address, where identities are kept"),
    "autostart": ("true", ("true", "false"), "false: leave configuring and activating to a lifecycle manager"),
    "use_sim_time": ("", ("", "true", "false"), "true: take time from /clock"),
    "namespace": ("", (), "namespace of both nodes"),
    "log_level": ("info", ("debug", "info", "warn", "error"), "of both nodes"),
    "rviz": ("false", ("true", "false"), "true: open RViz with the LiDAR, the boxes and the names"),
}
TRACKER_PARAMETERS = {
    "cloud_topic": "topics.cloud",
    "image_topic": "topics.image",
    "camera_info_topic": "topics.camera_info",
    "image_compressed": "topics.image_compressed",
    "overlay": "camera.overlay",
    "use_sim_time": "use_sim_time",
}
RECOGNIZER_PARAMETERS = {
    "bundle": "engine.bundle",
    "gallery": "gallery.path",
    "autostart": "autostart",
    "use_sim_time": "use_sim_time",
}
FLAGS = ("image_compressed", "overlay", "autostart", "use_sim_time")


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
    """The two nodes, and RViz when asked for."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    files = [existing(given["params_file"])] if given["params_file"] else []
    if given["rviz"] == "true":
        require_rviz()
    namespace = given["namespace"].strip("/")
    tracker, recognizer = parameters(TRACKER_PARAMETERS, given), parameters(RECOGNIZER_PARAMETERS, given)
    if namespace:  # the two listen to each other
        tracker["topics.identities"] = f"/{namespace}/gait_recognizer/identities"
        recognizer["topics.pedestrians"] = f"/{namespace}/pedestrian_tracker/pedestrians"
    started: list[LaunchDescriptionEntity] = [
        Node(
            package="emgait_ros",
            executable=name,
            name=name,
            namespace=namespace,
            output="screen",
            parameters=[str(shipped_path(f"config/{name}.yaml")), *files, values],
            ros_arguments=["--log-level", given["log_level"]],
        )
        for name, values in (
            ("pedestrian_tracker", tracker),
            ("gait_recognizer", recognizer),
        )
    ]
    if given["rviz"] == "true":
        started.append(
            Node(package="rviz2", executable="rviz2", arguments=["-d", str(shipped_path("config/gait.rviz"))])
        )
    return started


def existing(path: str) -> str:
    """The parameter file; launch itself would warn and go on without it."""
    path = os.path.abspath(os.path.expanduser(path))
    if not os.path.isfile(path):
        raise FileNotFoundError(f"params_file:= names {path}: there is no such file")
    return path


def require_rviz() -> None:
    """Said before any node runs: launch would leave the nodes behind that it has started before RViz fails."""
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError as error:
        raise RuntimeError(
            "rviz:=true, but rviz2 is not installed here: install it (ros-<distro>-rviz2) or leave rviz:=true out"
        ) from error


def parameters(names: dict[str, str], given: dict[str, str]) -> dict[str, str | bool]:
    """The arguments that were given, as ROS parameters."""
    return {
        names[name]: value == "true" if name in FLAGS else value
        for name, value in given.items()
        if name in names and value
    }
