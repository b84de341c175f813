"""Parameters declared from the config dataclasses: descriptors, overrides, what is refused and with which words."""

from __future__ import annotations

import pytest
import rclpy
from rcl_interfaces.msg import ParameterType
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2

from emgait_ros.config import BridgesNodeConfig, RecognizerNodeConfig, TrackerNodeConfig, options_of
from emgait_ros.nodes.parameters import NodeParameters
from emgait_ros.nodes.topic_watch import TopicWatch

pytestmark = pytest.mark.ros


@pytest.fixture
def make(context):
    nodes = []

    def make_node(overrides=(), **options):
        node = rclpy.create_node(
            f"parameters_{len(nodes)}",
            context=context,
            parameter_overrides=[Parameter(n, value=v) for n, v in dict(overrides).items()],
        )
        nodes.append(node)
        return node, NodeParameters(node, TrackerNodeConfig(), **options)

    yield make_node
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize("config", [TrackerNodeConfig(), RecognizerNodeConfig(), BridgesNodeConfig()])
def test_every_option_is_a_parameter_with_its_reason(context, config):
    node = rclpy.create_node("describe", context=context)
    NodeParameters(node, config)
    for name, (value, metadata) in options_of(config).items():
        descriptor = node.describe_parameter(name)
        assert descriptor.description.startswith(metadata["why"])
        assert not metadata["unit"] or metadata["unit"] in descriptor.description
        assert all(choice in descriptor.additional_constraints for choice in metadata["choices"])
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        closed = metadata["low"] is not None and metadata["high"] is not None
        assert [(r.from_value, r.to_value) for r in ranges] == ([(metadata["low"], metadata["high"])] if closed else [])
        assert descriptor.type == type_of(value)
        assert node.get_parameter(name).value == (list(value) if isinstance(value, tuple) else value)
    node.destroy_node()


def type_of(value: object) -> int:
    types = {
        bool: ParameterType.PARAMETER_BOOL,
        int: ParameterType.PARAMETER_INTEGER,
        float: ParameterType.PARAMETER_DOUBLE,
        str: ParameterType.PARAMETER_STRING,
        tuple: ParameterType.PARAMETER_DOUBLE_ARRAY,
    }
    if isinstance(value, tuple) and any(isinstance(v, str) for v in value):
        return ParameterType.PARAMETER_STRING_ARRAY
    return types[type(value)]


@pytest.mark.parametrize(
    ("namespace", "given", "cloud", "image"),
    [
        ("", {}, "/lidar/points", "/camera/image"),
        ("/robot1", {}, "/robot1/lidar/points", "/robot1/camera/image"),
        ("/fleet/robot1", {"topics.cloud": "points"}, "/fleet/robot1/points", "/fleet/robot1/camera/image"),
        ("/robot1", {"topics.cloud": "/points", "topics.image": ""}, "/points", ""),
        ("/robot1", {"topics.cloud": "~/points"}, "/robot1/named/points", "/robot1/camera/image"),
    ],
)
def test_relative_topics_follow_the_namespace(context, namespace, given, cloud, image):
    overrides = [Parameter(name, value=value) for name, value in given.items()]
    node = rclpy.create_node("named", namespace=namespace, context=context, parameter_overrides=overrides)
    topics = NodeParameters(node, TrackerNodeConfig()).config.topics
    assert (topics.cloud, topics.image, topics.identities) == (cloud, image, "")
    node.destroy_node()


@pytest.mark.parametrize(
    ("namespace", "rule", "topic"),
    [
        ("", "lidar/points:=/ouster/points", "/ouster/points"),
        ("/robot1", "lidar/points:=points", "/robot1/points"),
        ("/robot1", "/robot1/lidar/points:=/points", "/points"),
        # once, as everywhere in ROS: what is swapped is not swapped back
        ("", "/lidar/points:=/other -r /other:=/lidar/points", "/other"),
    ],
)
def test_topics_can_be_remapped(context, namespace, rule, topic):
    words = ["--ros-args", "-r", *rule.split()]
    node = rclpy.create_node("remapped", namespace=namespace, context=context, cli_args=words)
    name = NodeParameters(node, TrackerNodeConfig()).config.topics.cloud
    assert node.create_subscription(PointCloud2, name, print, 1).topic_name == topic
    assert TopicWatch(node, name, "sensor_msgs/msg/PointCloud2", QoSProfile(depth=1), "topics.cloud").topic == topic
    node.destroy_node()


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("detector.max_range_m", 40.5, 40.5),
        # people write 40 for 40.0
        ("detector.max_range_m", 40, 40.0),
        ("topics.depth", 3, 3),
        ("camera.overlay", True, True),
        ("topics.image", "", ""),
        ("camera.T_camera_lidar", [0.5] * 16, (0.5,) * 16),
        # all whole numbers: ROS reads an integer array
        ("camera.T_camera_lidar", [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], tuple(float(i % 5 == 0) for i in range(16))),
    ],
)  # fmt: skip
def test_what_is_given_at_start_is_read(make, name, given, read):
    _, parameters = make({name: given})
    assert options_of(parameters.config)[name][0] == read


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("detector.max_range_m", "far", "parameter 'detector.max_range_m' is 'far': expected float"),
        ("detector.max_range_m", 4000.0, "is 4000.0 m: allowed is 5 to 200 m"),
        ("topics.depth", 2.5, "parameter 'topics.depth' is 2.5: expected int"),
        ("topics.depth", True, "parameter 'topics.depth' is True: expected int"),
        ("topics.reliability", "sometimes", "allowed are best_effort, reliable"),
        ("camera.T_camera_lidar", [1.0, 2.0], "has 2 numbers: expected 16"),
        ("topics.cloud", "", "parameter 'topics.cloud' is '', which is no topic name"),
        ("topics.image", "/two words", "parameter 'topics.image' is '/two words', which is no topic name"),
        ("topics.camera_info", "/a//b", "parameter 'topics.camera_info' is '/a//b', which is no topic name"),
    ],
)
def test_what_is_wrong_at_start_is_one_sentence(make, name, given, words):
    with pytest.raises(ValueError, match="parameter") as error:
        make({name: given})
    assert words in str(error.value)


@pytest.mark.parametrize("is_humble", [False, True])
@pytest.mark.parametrize(
    ("name", "value", "successful", "words"),
    [
        ("detector.max_range_m", 30.0, True, ""),
        ("detector.max_range_m", 1.0, False, "out of range"),
        ("topics.cloud", "/other", False, "read-only"),
        ("camera.T_camera_lidar", [1.0] * 15, False, "has 15 numbers: expected 16"),
        ("camera.T_camera_lidar", [1.0] * 16, True, ""),
        # the node's own check
        ("tracker.gate_m", 3.0, False, "too wide for this node"),
        # no option of ours, but a parameter of every node
        ("use_sim_time", False, True, ""),
    ],
)
def test_setting_while_it_runs(make, monkeypatch, name, value, successful, words, is_humble):
    if is_humble:  # its rclpy has no such callback
        monkeypatch.delattr(rclpy.node.Node, "add_post_set_parameters_callback")

    def accept(config, names):
        if config.tracker.gate_m > 2:
            raise ValueError("too wide for this node")

    changes = []
    node, parameters = make(read_only=("topics.",), accept=accept, changed=lambda config, names: changes.append(names))
    before = parameters.config
    result = node.set_parameters([Parameter(name, value=value)])[0]
    assert result.successful == successful, result.reason
    assert words in result.reason
    ours = name in options_of(before)
    assert changes == ([{name}] if successful and ours else [])
    assert (parameters.config != before) == (successful and ours)


def test_several_at_once_are_all_or_nothing(make):
    node, parameters = make()
    before = parameters.config
    wrong = [Parameter("detector.min_points", value=12), Parameter("topics.reliability", value="never")]
    assert not node.set_parameters_atomically(wrong).successful
    assert parameters.config == before
    right = [Parameter("detector.min_points", value=12), Parameter("detector.max_range_m", value=33.0)]
    assert node.set_parameters_atomically(right).successful
    assert (parameters.config.detector.min_points, parameters.config.detector.max_range_m) == (12, 33.0)
