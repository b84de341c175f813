"""What launch file and `emgait up` share: arguments to parameters, and RViz's configuration."""

import pytest
import yaml

from emgait_ros.config import BridgesNodeConfig, RecognizerNodeConfig, TrackerNodeConfig, options_of, with_options
from emgait_ros.starting import NODES, PARAMETERS, nodes_of, parameters_of, rviz_config

CONFIGS = {
    "pedestrian_tracker": TrackerNodeConfig(),
    "gait_recognizer": RecognizerNodeConfig(),
    "bridges": BridgesNodeConfig(),
}


def test_every_parameter_exists():
    for node in CONFIGS:
        assert set(PARAMETERS[node].values()) <= {*options_of(CONFIGS[node]), "use_sim_time"}


@pytest.mark.parametrize(
    ("given", "tracker", "recognizer"),
    [
        ({}, {}, {}),
        ({"cloud_topic": None, "overlay": None}, {}, {}),
        # no camera: `ros2 launch` takes no empty value on its command line, an including launch file does
        ({"image_topic": "none"}, {"topics.image": ""}, {}),
        ({"image_topic": "", "overlay": False}, {"topics.image": "", "camera.overlay": False}, {}),
        ({"use_sim_time": True, "gallery": "/g.db"}, {"use_sim_time": True}, {"use_sim_time": True, "gallery.path": "/g.db"}),
        ({"boxes_topic": "/detector/boxes"}, {"topics.boxes": "/detector/boxes"}, {}),
        # a namespace changes no parameter
        ({"namespace": "robot1", "namespaced_tf": True}, {}, {}),
    ],
)  # fmt: skip
def test_only_what_was_given(given, tracker, recognizer):
    assert parameters_of("pedestrian_tracker", given) == tracker
    assert parameters_of("gait_recognizer", given) == recognizer


@pytest.mark.parametrize(
    ("given", "bridges"),
    [
        ({}, None),
        ({"bridges": ""}, None),
        ({"bridges": "vision"}, {"vision": True}),
        ({"bridges": "people, hri", "use_sim_time": True}, {"people": True, "hri": True, "use_sim_time": True}),
    ],
)
def test_the_bridges_are_started_when_one_is_asked_for(given, bridges):
    assert nodes_of(given) == (*NODES, *([] if bridges is None else ["bridges"]))
    if bridges is not None:
        assert parameters_of("bridges", given) == bridges


def test_a_bridge_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="there is no 'visions': expected some of vision, people, hri"):
        parameters_of("bridges", {"bridges": "people,visions"})


@pytest.mark.parametrize(
    ("options", "namespace", "frame", "cloud", "below", "fixed"),
    [
        ({}, "", "", "/lidar/points", "", "lidar"),
        ({"topics.cloud": "points", "frames.fixed": "odom"}, "/robot1", "", "/robot1/points", "/robot1", "odom"),
        ({"topics.cloud": "/ouster/points", "frames.fixed": "odom"}, "fleet/robot1", "os_lidar", "/ouster/points", "/fleet/robot1", "os_lidar"),
    ],
)  # fmt: skip
def test_rviz_shows_the_robot(repository, options, namespace, frame, cloud, below, fixed):
    template = (repository / "config" / "gait.rviz").read_text()
    config = with_options(TrackerNodeConfig(), options)
    shown = yaml.safe_load(rviz_config(template, config, namespace, frame))["Visualization Manager"]
    displays = [d["Topic"]["Value"] for d in shown["Displays"] if "Topic" in d]
    own = ("pedestrian_tracker/points", "gait_recognizer/markers", "pedestrian_tracker/overlay")
    assert displays == [cloud, *(f"{below}/{topic}" for topic in own)]
    assert shown["Global Options"]["Fixed Frame"] == shown["Views"]["Current"]["Target Frame"] == fixed


def test_the_shipped_rviz_configuration_works_as_it_is(repository):
    template = (repository / "config" / "gait.rviz").read_text()
    assert yaml.safe_load(rviz_config(template, TrackerNodeConfig())) == yaml.safe_load(template)
