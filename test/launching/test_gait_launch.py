"""The launch file, where ROS's own launch is installed (PyPI has none: the pip set-up has `emgait up`)."""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

pytest.importorskip("launch_ros", reason="launch_ros is on ROS machines only; `emgait up` is tested everywhere")

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch_ros.actions import LifecycleNode, Node

from emgait_ros.starting import NODES
from launch import LaunchContext, LaunchDescription

TWO_ROBOTS = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace

def robot(name):
    arguments = {"gallery": f"{sys.argv[2]}/{name}.db", "image_topic": "none", "namespaced_tf": "true"}
    source = PythonLaunchDescriptionSource(sys.argv[1])
    return GroupAction([PushRosNamespace(name), IncludeLaunchDescription(source, launch_arguments=arguments.items())])

service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([robot("robot1"), robot("robot2")]))
sys.exit(service.run())
"""


@pytest.fixture(scope="module")
def file(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    spec = importlib.util.spec_from_file_location("gait_launch", repository / "launch" / "gait.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.mkdtemp = lambda prefix: str(tmp_path_factory.mktemp(prefix))
    return module


def entities(file: ModuleType, pushed: str = "", **given: str) -> tuple[list[Any], LaunchContext]:
    """What would be started with these arguments, below a pushed namespace."""
    description: LaunchDescription = file.generate_launch_description()
    context = LaunchContext()
    context.launch_configurations.update(given)
    if pushed:
        context.launch_configurations["ros_namespace"] = pushed
    for entity in description.entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(context)
    (function,) = [entity for entity in description.entities if isinstance(entity, OpaqueFunction)]
    return function.execute(context), context


def started(file: ModuleType, pushed: str = "", **given: str) -> dict[str, list[str]]:
    """Command line of each process that would be started."""
    found, context = entities(file, pushed, **given)
    words = {}
    for node in (entity for entity in found if isinstance(entity, Node)):
        node._perform_substitutions(context)
        context.extend_locals({"ros_specific_arguments": {"name": "__node:=?", "ns": f"__ns:={node.node_name}"}})
        words[node.node_executable] = ["".join(part.perform(context) for part in word) for word in node.cmd[1:]]
    return words


def following(words: list[str], flag: str) -> list[str]:
    return [word for before, word in itertools.pairwise(words) if before == flag]


def parameters(words: list[str]) -> dict[str, Any]:
    """What the last parameter file sets."""
    files = following(words, "--params-file")
    return next(iter(yaml.safe_load(Path(files[-1]).read_text()).values()))["ros__parameters"] if files else {}


@pytest.mark.parametrize(
    ("given", "tracker", "recognizer"),
    [
        # nothing given: nothing overrides the defaults and params_file
        ({}, {}, {}),
        # topics and flags reach the node they are for
        (
            {"cloud_topic": "/points", "image_compressed": "true", "gallery": "/tmp/g.db", "use_sim_time": "true"},
            {"topics.cloud": "/points", "topics.image_compressed": True, "use_sim_time": True},
            {"gallery.path": "/tmp/g.db", "use_sim_time": True},
        ),
        # no camera
        ({"image_topic": "none", "autostart": "false"}, {"topics.image": "", "autostart": False}, {"autostart": False}),
        # a namespace changes no parameter
        ({"namespace": "robot1", "namespaced_tf": "true"}, {}, {}),
    ],
)
def test_arguments_become_parameters(file, given, tracker, recognizer):
    words = started(file, **given)
    assert [parameters(words[name]) for name in NODES] == [tracker, recognizer]


@pytest.mark.parametrize(
    ("pushed", "given", "namespace", "remapped"),
    [
        ("", {}, "/", []),
        ("", {"namespace": "robot1"}, "/robot1/", []),
        ("/fleet", {"namespace": "/robot1"}, "/fleet/robot1/", []),
        ("/robot1", {"namespaced_tf": "true"}, "/robot1/", ["/tf:=tf", "/tf_static:=tf_static"]),
    ],
)
def test_namespaces_and_tf(file, pushed, given, namespace, remapped):
    words = started(file, pushed, **given)
    for name in NODES:
        rules = [rule for rule in following(words[name], "-r") if not rule.startswith("__node")]
        assert rules == [f"__ns:={namespace}{name}", *remapped]


@pytest.mark.parametrize(
    ("key", "namespace", "warned"),
    [
        ("pedestrian_tracker", "", 0),
        ("pedestrian_tracker", "robot1", 1),
        ("/robot1/pedestrian_tracker", "robot1", 0),
        ("/**/pedestrian_tracker", "robot1", 0),
        ("/**", "robot1", 0),
    ],
)
def test_a_parameter_file_for_another_namespace_is_named(file, tmp_path, key, namespace, warned):
    params = tmp_path / "params.yaml"
    params.write_text(f"{key}:\n  ros__parameters: {{use_sim_time: true}}\n")
    found, _ = entities(file, params_file=str(params), namespace=namespace)
    assert len([entity for entity in found if isinstance(entity, LogInfo)]) == warned


def test_rviz_follows_the_robot(file, tmp_path, monkeypatch):
    monkeypatch.setattr(file, "get_package_prefix", lambda name: "/usr")
    params = tmp_path / "params.yaml"
    params.write_text("/**/pedestrian_tracker:\n  ros__parameters: {topics.cloud: points, frames.fixed: odom}\n")
    words = started(file, "/robot1", rviz="true", params_file=str(params), namespaced_tf="true")["rviz2"]
    config = Path(following(words, "-d")[0])
    shown = yaml.safe_load(config.read_text())["Visualization Manager"]
    topics = [display["Topic"]["Value"] for display in shown["Displays"] if "Topic" in display]
    ours = ("pedestrian_tracker/points", "gait_recognizer/markers", "pedestrian_tracker/overlay")
    assert topics == ["/robot1/points", *(f"/robot1/{name}" for name in ours)]
    assert shown["Global Options"]["Fixed Frame"] == "odom"
    assert following(words, "-r")[1:] == ["/tf:=tf", "/tf_static:=tf_static"]


def test_a_missing_parameter_file_is_named(file):
    with pytest.raises(FileNotFoundError, match=r"/nowhere/p\.yaml"):
        started(file, params_file="/nowhere/p.yaml")


def test_rviz_that_is_not_installed_is_said_before_any_node_runs(file, monkeypatch):
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(file, "get_package_prefix", absent)
    with pytest.raises(RuntimeError, match="rviz2 is not installed"):
        started(file, rviz="true")


@pytest.mark.ros
def test_two_robots_stay_apart(repository, tmp_path):
    """Real launch, real nodes: what robot1's LiDAR sees reaches robot1's recognizer and nothing of robot2."""
    try:
        get_package_prefix("emgait_ros")
    except PackageNotFoundError:
        pytest.skip("emgait_ros is not installed here (colcon build, source install/setup.bash): launch cannot find it")
    from live_graph import LiveGraph, cloud, street, topics_outside

    from emgait_msgs.msg import IdentityArray, PedestrianArray

    graph = LiveGraph()
    words = [sys.executable, "-c", TWO_ROBOTS, str(repository / "launch" / "gait.launch.py"), str(tmp_path)]
    environment = dict(os.environ, PYTHONPATH=f"{repository}:{os.environ.get('PYTHONPATH', '')}")
    log = tmp_path / "launch.log"
    with log.open("w") as out:
        process = subprocess.Popen(words, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        found, count = {}, itertools.count(1)
        for robot in ("robot1", "robot2"):
            found[robot] = graph.collect(PedestrianArray, f"/{robot}/pedestrian_tracker/pedestrians")
            found[f"{robot} answers"] = graph.collect(IdentityArray, f"/{robot}/gait_recognizer/identities")
            assert graph.wait(lambda robot=robot: graph.node.count_subscribers(f"/{robot}/lidar/points"), 90.0)
            assert graph.wait(
                lambda robot=robot: graph.node.count_subscribers(f"/{robot}/pedestrian_tracker/pedestrians") > 1, 90.0
            )
        send = lambda: graph.publish("/robot1/lidar/points", cloud(street(), next(count) * 100_000_000))  # noqa: E731
        assert graph.wait(lambda: found["robot1 answers"], 120.0, send), log.read_text()
        assert graph.wait(lambda: found["robot1"])
        assert (found["robot2"], found["robot2 answers"]) == ([], [])
        outside = {f"/{r}/{n}": topics_outside(graph, n, f"/{r}") for r in ("robot1", "robot2") for n in NODES}
        assert not any(outside.values()), outside
    finally:
        process.send_signal(signal.SIGINT)
        status = process.wait(60)
        graph.close()
    assert status == 0, log.read_text()
    assert "process has died" not in log.read_text()


def test_the_console_is_started_when_asked_for(file):
    assert "emgait" not in started(file)
    words = started(file, console="true", console_host="::1")["emgait"]
    assert words[:3] == ["console", "--host", "::1"]


@pytest.mark.parametrize(("given", "respawns"), [({}, False), ({"respawn": "true"}, True)])
def test_both_are_lifecycle_nodes_that_can_be_started_again(file, given, respawns):
    found, _ = entities(file, bridges="vision", console="true", **given)
    kinds = {entity.node_executable: type(entity) for entity in found if isinstance(entity, Node)}
    assert kinds == {**dict.fromkeys(NODES, LifecycleNode), "bridges": Node, "emgait": Node}
    # launch has no public way to ask
    assert {entity._ExecuteLocal__respawn for entity in found if isinstance(entity, Node)} == {respawns}
