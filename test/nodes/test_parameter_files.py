"""Parameter files as ROS applies them: what is read of them without ROS, and what is given at start, must agree with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import rclpy
from rclpy.context import Context

from emgait_ros.config import TrackerNodeConfig, full_name
from emgait_ros.nodes.parameters import NodeParameters
from emgait_ros.parameter_file import load_parameters
from emgait_ros.starting import write_parameters

pytestmark = pytest.mark.ros

ANY = "/**:\n  ros__parameters: {topics.cloud: any}\n"
NAME = "pedestrian_tracker:\n  ros__parameters: {topics.cloud: name}\n"
NAME_ANYWHERE = "/**/pedestrian_tracker:\n  ros__parameters: {topics.cloud: anywhere}\n"
ROBOT = "/robot1/pedestrian_tracker:\n  ros__parameters: {topics.cloud: robot}\n"
NESTED = "robot1:\n  pedestrian_tracker:\n    ros__parameters: {topics: {cloud: nested}}\n"
ONE_LEVEL = "/*/pedestrian_tracker:\n  ros__parameters: {topics.cloud: level}\n"
ROOT, ROBOT1, FLEET = "", "robot1", "fleet/robot1"
FILES = {  # content, and the namespaces in which what it sets for the tracker by name does nothing
    "any": (ANY, set()),
    "name": (NAME, {ROBOT1, FLEET}),
    "anywhere": (NAME_ANYWHERE, set()),
    "robot": (ROBOT, {ROOT, FLEET}),
    "nested": (NESTED, {ROOT, FLEET}),
    "level": (ONE_LEVEL, {ROOT, FLEET}),
    "any, name": (ANY + NAME, {ROBOT1, FLEET}),
    "name, any": (NAME + ANY, {ROBOT1, FLEET}),
    "any, anywhere, robot": (ANY + NAME_ANYWHERE + ROBOT, set()),
}


def config_of(context: Context, namespace: str, *files: Path) -> TrackerNodeConfig:
    """The config of a real node that is started with these files."""
    words = [word for file in files for word in ("--params-file", str(file))]
    node = rclpy.create_node(
        "pedestrian_tracker", namespace=namespace, context=context, cli_args=["--ros-args", *words]
    )
    try:
        return NodeParameters(node, TrackerNodeConfig()).config
    finally:
        node.destroy_node()


@pytest.mark.parametrize("namespace", [ROOT, ROBOT1, FLEET])
@pytest.mark.parametrize(("content", "useless_in"), FILES.values(), ids=FILES)
def test_a_file_is_read_as_ros_reads_it(context, tmp_path, content, useless_in, namespace):
    file = tmp_path / "params.yaml"
    file.write_text(content)
    tracker, _, sentences = load_parameters(file, namespace)
    applied = config_of(context, namespace, file).topics.cloud
    assert full_name(tracker.topics.cloud, namespace) == applied
    assert len(sentences) == (namespace in useless_in)


@pytest.mark.parametrize("namespace", [ROOT, ROBOT1, FLEET])
@pytest.mark.parametrize("content", [content for content, _ in FILES.values()], ids=FILES)
def test_what_is_given_at_start_wins_over_any_file(context, tmp_path, content, namespace):
    file = tmp_path / "params.yaml"
    file.write_text(content)
    values = {"topics.cloud": "/given", "topics.image": "", "camera.overlay": True}
    given = write_parameters(tmp_path / "given.yaml", "pedestrian_tracker", values)
    config = config_of(context, namespace, file, given)
    assert (config.topics.cloud, config.topics.image, config.camera.overlay) == ("/given", "", True)


@pytest.mark.parametrize("text", ["", "true", "1e5", "007", "/data/my: people.db", "a'b\"c", "é\n#x"])
def test_a_string_stays_what_it_is(context, tmp_path, text):
    file = write_parameters(tmp_path / "given.yaml", "pedestrian_tracker", {"frames.fixed": text})
    assert config_of(context, "", file).frames.fixed == text
