"""Is everything installed that the live system, the simulator and the tools need?"""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

from emgait_ros.doctor.findings import Finding, fail, ok, warn

PYTHON_FROM, PYTHON_TO = (3, 10), (3, 14)
SETUP = "run `make setup` (pip), or `rosdep install` and `pip install -r requirements/ros-machine.txt` on a ROS machine"


@dataclass(frozen=True)
class Package:
    """A package the project imports.

    Attributes:
        module: name it is imported by.
        distribution: name pip knows it by, where that differs.
        minimum: oldest version the code was written for; empty: any.
        purpose: what does not work without it.
        needed: whether the live nodes or the command line as a whole need it.
    """

    module: str
    distribution: str = ""
    minimum: str = ""
    purpose: str = ""
    needed: bool = True


# What requirements/runtime.txt holds, from the versions of Ubuntu 24.04 on; a test compares this with that file and with what
# the nodes import.
PACKAGES = (
    Package("numpy", minimum="1.26"),
    Package("scipy", minimum="1.11"),
    Package("numba", minimum="0.64", purpose="the kernels of detector and gallery search"),
    Package("cv2", "opencv-python-headless", "4.6", "decoding and cutting images"),
    Package("onnxruntime", minimum="1.23", purpose="the default inference backend"),
    Package("yaml", "PyYAML", "6.0"),
    Package("rich", minimum="13.7", purpose="the command line"),
    Package("rosbags", minimum="0.11.6", purpose="reading and playing bags", needed=False),
    Package("cryptography", minimum="41.0", purpose="encrypted galleries and signed exports", needed=False),
    Package("psycopg", minimum="3.1", purpose="galleries in PostgreSQL", needed=False),
    Package("aiohttp", minimum="3.9", purpose="the page of `emgait console`", needed=False),
    Package("matplotlib", minimum="3.6", purpose="pictures in reports", needed=False),
)
ROS_PACKAGES = (
    Package("rclpy"),
    Package("sensor_msgs"),
    Package("visualization_msgs"),
    Package("diagnostic_msgs"),
    Package("lifecycle_msgs"),
    Package("message_filters"),
    Package("tf2_msgs", purpose="extrinsics and frames.fixed from TF (else set camera.T_camera_lidar)", needed=False),
    Package("launch_ros", purpose="`ros2 launch` (else use `emgait up`)", needed=False),
)


def check_interpreter() -> Iterator[Finding]:
    """Python's version, the machine and how busy it is."""
    version = platform.python_version()
    found = f"{version} at {sys.executable} on {platform.system()} {platform.machine()}"
    if not PYTHON_FROM <= sys.version_info[:2] <= PYTHON_TO:
        low, high = (".".join(map(str, v)) for v in (PYTHON_FROM, PYTHON_TO))
        yield fail(
            "Python", found, f"use Python {low} to {high}: ROS 2 and the wheels exist for those", version=version
        )
    else:
        yield ok("Python", found, version=version)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0]
    figures = {"cores": cores, "load": load}
    if load > cores:
        yield warn(
            "CPU",
            f"{cores} cores, load {load:.1f}: others keep the machine busy",
            "frames will be dropped: stop other work",
            **figures,
        )
    else:
        yield ok("CPU", f"{cores} cores, load {load:.1f}", **figures)


def check_packages() -> Iterator[Finding]:
    """Third-party packages: imported for real, because a broken binary is only found that way."""
    for package in PACKAGES:
        yield _check(package, SETUP)


def check_ros() -> Iterator[Finding]:
    """The ROS packages, and whether the project's messages are those this code was written for."""
    fix = "run `make setup`, or source your ROS installation: source /opt/ros/jazzy/setup.bash"
    if find_spec("rclpy") is None:
        yield fail("rclpy", "is not installed: no live nodes (bags, training and the gallery work without)", fix)
        return
    for package in ROS_PACKAGES:
        yield _check(package, fix)
    yield _check_messages()


def _check(package: Package, fix: str) -> Finding:
    without = f": {package.purpose}" if package.purpose else ""
    if find_spec(package.module) is None:
        if package.needed:
            return fail(package.module, f"is not installed{without}", fix)
        return ok(package.module, f"is not installed, and only needed for {package.purpose}")
    try:
        module = import_module(package.module)
    except Exception as error:  # a binary for another numpy, a missing system library ...
        reason = f"{type(error).__name__}: {error}"
        return (fail if package.needed else warn)(
            package.module, f"is installed but cannot be imported{without}: {reason}", "install it again"
        )
    version = _version(package, module)
    if package.minimum and version and _numbers(version) < _numbers(package.minimum):
        return warn(package.module, f"{version}, tested from {package.minimum}{without}", "update it", version=version)
    stand_in = " (stand-in from ros_compat)" if (module.__doc__ or "").startswith("Stand-in") else ""
    return ok(package.module, f"{version or 'installed'}{stand_in}", version=version)


def _version(package: Package, module: Any) -> str:
    for name in (package.distribution or package.module, f"ros-{package.module.replace('_', '-')}"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return str(getattr(module, "__version__", ""))


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split("+")[0].split(".") if part.isdigit()]


NOT_SENT = {"silhouette"}  # made from the crop by who needs it


def _check_messages() -> Finding:
    from emgait_ros.samples import Sample

    try:
        message = import_module("emgait_msgs.msg").Pedestrian
        fields = set(message.get_fields_and_field_types())
    except Exception as error:
        return fail(
            "emgait_msgs",
            f"cannot be imported: {error}",
            "build it: `make setup`, or `colcon build --base-paths . emgait_msgs` and source install/setup.bash",
        )
    missing = {item.name for item in dataclasses.fields(Sample)} - fields - NOT_SENT
    if missing:
        return fail(
            "emgait_msgs",
            f"is older than this code: Sample has no {', '.join(sorted(missing))}",
            "build both packages again",
        )
    return ok("emgait_msgs", "built for this Python, fields as this code expects")
