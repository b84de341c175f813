"""The launch file, where ROS's own launch is installed (PyPI has none: the pip set-up has `emgait up`)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is on ROS machines only; `emgait up` is tested everywhere")

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription


@pytest.fixture(scope="module")
def file(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("gait_launch", repository / "launch" / "gait.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started(file: ModuleType, **given: str) -> list[Node]:
    """The nodes that would be started with these arguments."""
    description: LaunchDescription = file.generate_launch_description()
    context = LaunchContext()
    context.launch_configurations.update(given)
    for entity in description.entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(context)
    (function,) = [entity for entity in description.entities if isinstance(entity, OpaqueFunction)]
    return function.execute(context)


def test_both_nodes_are_started(file):
    assert [node.node_executable for node in started(file)] == ["pedestrian_tracker", "gait_recognizer"]


@pytest.mark.parametrize(
    ("given", "tracker", "recognizer"),
    [
        # nothing given: nothing overrides the YAML files
        ({}, {}, {"autostart": True}),
        # topics and flags reach the node they are for
        (
            {"cloud_topic": "/points", "image_compressed": "true", "gallery": "/tmp/g.db", "use_sim_time": "true"},
            {"topics.cloud": "/points", "topics.image_compressed": True, "use_sim_time": True},
            {"gallery.path": "/tmp/g.db", "autostart": True, "use_sim_time": True},
        ),
    ],
)
def test_arguments_become_parameters(file, given, tracker, recognizer):
    values = {name: given.get(name, default) for name, (default, _, _) in file.ARGUMENTS.items()}
    assert file.parameters(file.TRACKER_PARAMETERS, values) == tracker
    assert file.parameters(file.RECOGNIZER_PARAMETERS, values) == recognizer


def test_a_missing_parameter_file_is_named(file):
    with pytest.raises(FileNotFoundError, match=r"/nowhere/p\.yaml"):
        started(file, params_file="/nowhere/p.yaml")


def test_rviz_that_is_not_installed_is_said_before_any_node_runs(file, monkeypatch):
    def absent(name: str) -> str:
        raise file.PackageNotFoundError(name)

    monkeypatch.setattr(file, "get_package_prefix", absent)
    with pytest.raises(RuntimeError, match="rviz2 is not installed"):
        started(file, rviz="true")
