"""The lists of packages agree with each other."""

from __future__ import annotations

import re

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
