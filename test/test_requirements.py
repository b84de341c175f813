"""The lists of packages agree with each other."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# package -> who brings it on a ROS machine
FROM_THE_DISTRIBUTION = {
    "numpy": "python3-numpy",
    "scipy": "python3-scipy",
    "opencv-python-headless": "python3-opencv",
    "PyYAML": "python3-yaml",
    "matplotlib": "python3-matplotlib",
}


def pins(text: str) -> dict[str, str]:
    """Name -> version of the lines that pin one."""
    return dict(re.findall(r"^([A-Za-z0-9_.-]+(?:\[\w+\])?)==(\S+)", text, re.MULTILINE))


@pytest.fixture(scope="module")
def runtime(repository):
    return pins((repository / "requirements" / "runtime.txt").read_text())


def test_a_ros_machine_gets_all_of_the_run_time(repository, runtime):
    text = (repository / "requirements" / "ros-machine.txt").read_text()
    assert pins(text) == {name: version for name, version in runtime.items() if name not in FROM_THE_DISTRIBUTION}
    package = (repository / "package.xml").read_text()
    assert all(f"<exec_depend>{key}</exec_depend>" in package for key in FROM_THE_DISTRIBUTION.values())


def test_a_ros_machine_keeps_its_numpy(repository):
    assert re.search(r"^numpy<2\b", (repository / "requirements" / "ros-machine.txt").read_text(), re.MULTILINE)


# module -> who brings it, where the two names differ
BROUGHT_BY = {
    "cryptography": "python3-cryptography",
    "cv2": "python3-opencv",
    "llvmlite": "numba",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "psycopg": "psycopg[binary]",
    "scipy": "python3-scipy",
    "tf2_ros": "tf2_ros_py",
    "yaml": "python3-yaml",
}
# Training, export, other backends and benchmarks: not part of a robot's installation, each says so when it is asked for.
NOT_ON_A_ROBOT = {
    "ai_edge_litert", "cuda", "faiss", "mediapipe", "onnx", "open_clip", "safetensors", "tensorboardX", "tensorrt",
    "threadpoolctl", "torch",
}  # fmt: skip
OURS = {"emgait_ros"}


def imported(file: Path) -> Iterator[str]:
    """Top-level modules that a file imports, ``import_module("...")`` included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            yield from (a.value.split(".")[0] for a in node.args if isinstance(a, ast.Constant))


def test_package_xml_brings_every_import(repository):
    """rosdep installs what package.xml names, pip what ros-machine.txt pins: together all that is imported, and no more."""
    files = [*(repository / "emgait_ros").rglob("*.py"), *(repository / "launch").rglob("*.py")]
    modules = {name for file in files for name in imported(file)} - set(sys.stdlib_module_names) - OURS - NOT_ON_A_ROBOT
    needed = {BROUGHT_BY.get(module, module) for module in modules}
    named = set(re.findall(r"<exec_depend>(\S+)</exec_depend>", (repository / "package.xml").read_text()))
    brought = named | set(pins((repository / "requirements" / "ros-machine.txt").read_text()))
    assert needed - brought == set()
    played_or_measured = {"tf2_msgs", "sensor_msgs_py"}  # by name only: messages in bags, a peer of the benchmark
    assert named - needed - played_or_measured == set()
