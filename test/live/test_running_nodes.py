"""The doctor looks at the topics that the running nodes have, however they were given."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("rclpy")

from live_graph import T_CAMERA_LIDAR, LiveGraph, NodeProcess
from rclpy.node import Node, NodeNameNonExistentError

from emgait_ros.cli.main import main
from emgait_ros.config import RecognizerNodeConfig, TrackerNodeConfig
from emgait_ros.live import running_nodes
from emgait_ros.live.running_nodes import options_of_running

pytestmark = pytest.mark.ros

SPACE = "asked"
DEFAULTS = {"pedestrian_tracker": TrackerNodeConfig(), "gait_recognizer": RecognizerNodeConfig()}


@pytest.fixture(scope="module")
def tracker():
    """With topics by parameter and by remapping; without a recognizer beside it."""
    topics = {"topics__image": "/cam/image", "topics__camera_info": "info"}
    graph = LiveGraph()
    node = NodeProcess(
        "pedestrian_tracker",
        namespace=SPACE,
        remap="lidar/points:=/ouster/points",
        camera__T_camera_lidar=T_CAMERA_LIDAR,
        **topics,
    )
    assert graph.wait(lambda: graph.node.count_subscribers("/ouster/points"), 120.0), node.output
    yield node
    graph.close()
    assert node.stop() == 0, node.output


def test_parameters_and_remapped_topics(tracker, monkeypatch):
    monkeypatch.setattr(running_nodes, "DISCOVERY_S", 30.0)
    found = options_of_running({"pedestrian_tracker": TrackerNodeConfig()}, SPACE)["pedestrian_tracker"]
    assert (found.topics.cloud, found.topics.image) == ("/ouster/points", "/cam/image")
    assert found.topics.camera_info == "info", "relative: in the namespace, as the node has it"
    assert found.camera.T_camera_lidar == pytest.approx(T_CAMERA_LIDAR)
    assert found.pairing == TrackerNodeConfig().pairing


@pytest.mark.parametrize("known", [False, True], ids=["the name comes late", "the subscriptions come late"])
def test_what_the_graph_learns_after_the_services_is_waited_for(tracker, monkeypatch, known):
    monkeypatch.setattr(running_nodes, "DISCOVERY_S", 30.0)
    find, asked = Node.get_subscriber_names_and_types_by_node, []

    def late(self, *who):
        asked.append(who)
        if len(asked) > 3:
            return find(self, *who)
        if known:
            return []
        raise NodeNameNonExistentError(*who)

    monkeypatch.setattr(Node, "get_subscriber_names_and_types_by_node", late)
    found = options_of_running({"pedestrian_tracker": TrackerNodeConfig()}, SPACE)["pedestrian_tracker"]
    assert found.topics.cloud == "/ouster/points"


def test_nodes_that_do_not_run_are_not_waited_for_long(tracker, monkeypatch):
    monkeypatch.setattr(running_nodes, "DISCOVERY_S", 0.5)
    assert options_of_running(DEFAULTS, "nowhere") == {}


@pytest.mark.parametrize(
    ("more", "cloud"),
    [((), "/ouster/points"), (("--cloud", "/said/points"), "/said/points")],
    ids=["asked", "the command line comes first"],
)
def test_the_doctor_watches_these_topics(tracker, monkeypatch, tmp_path, more, cloud):
    monkeypatch.setattr(running_nodes, "DISCOVERY_S", 30.0)
    report = tmp_path / "report.json"
    main(["doctor", "--live", "3", "--namespace", SPACE, *more, "--json", str(report)])
    findings = [f for section in json.loads(report.read_text())["sections"].values() for f in section]
    subjects = {f["subject"] for f in findings}
    assert {cloud, "/cam/image", f"/{SPACE}/info"} <= subjects, subjects
    assert not any("/lidar/points" in subject for subject in subjects)
