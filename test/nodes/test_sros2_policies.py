"""The policies for SROS 2 say what the nodes really do, no less and no more."""

from __future__ import annotations

import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("rclpy")

import rclpy
from rclpy.context import Context
from rclpy.parameter import Parameter

from emgait_ros.console.bridge import SERVICES
from emgait_ros.nodes.gait_recognizer import GaitRecognizerNode
from emgait_ros.nodes.gallery_services import CHANGES
from emgait_ros.nodes.pedestrian_tracker import PedestrianTrackerNode

pytestmark = pytest.mark.ros
POLICY = Path(__file__).resolve().parents[2] / "config" / "sros2" / "policies.xml"
RECOGNIZER = "/gait_recognizer"
NAMESPACE = "/closed"


def allowed(enclave: str) -> dict[str, set[str]]:
    """What an enclave may do: publish, subscribe, reply and request, as full names."""
    found: dict[str, set[str]] = {kind: set() for kind in ("publish", "subscribe", "reply", "request")}
    (one,) = (e for e in ElementTree.parse(POLICY).iter("enclave") if e.get("path") == enclave)
    for group in (*one.iter("topics"), *one.iter("services")):
        for kind, permission in group.attrib.items():
            assert permission == "ALLOW"
            found[kind] |= {(item.text or "").strip() for item in group}
    return found


def graph_of(node) -> dict[str, set[str]]:
    """What a node does, as if it were in no namespace; it is in one, because an ended lifecycle node stays in the graph until it is collected."""
    who = node.get_name(), node.get_namespace()
    ways = {
        "publish": node.get_publisher_names_and_types_by_node,
        "subscribe": node.get_subscriber_names_and_types_by_node,
        "reply": node.get_service_names_and_types_by_node,
        "request": node.get_client_names_and_types_by_node,
    }
    return {kind: {name.removeprefix(NAMESPACE) for name, _ in find(*who)} for kind, find in ways.items()}


@pytest.mark.parametrize(
    ("enclave", "make", "parameters"),
    [
        ("/emgait/pedestrian_tracker", PedestrianTrackerNode, {"topics.identities": "gait_recognizer/identities", "autostart": False}),
        ("/emgait/gait_recognizer", GaitRecognizerNode, {"autostart": False}),
    ],
)  # fmt: skip
def test_a_node_may_do_what_it_does(enclave, make, parameters, tmp_path):
    context = Context()
    rclpy.init(context=context)
    parameters = {**parameters, "use_sim_time": True}
    if make is GaitRecognizerNode:
        parameters["gallery.path"] = str(tmp_path / "gallery.db")
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = make(context=context, namespace=NAMESPACE, parameter_overrides=overrides)
    try:
        node.trigger_configure()
        node.trigger_activate()
        deadline = time.monotonic() + 60.0  # the graph learns of a node's own ends by discovery, too
        while graph_of(node) != allowed(enclave) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert graph_of(node) == allowed(enclave)
    finally:
        node.close()
        node.destroy_node()
        context.try_shutdown()


def test_the_operator_alone_changes_the_gallery():
    console, operator = allowed("/emgait/console"), allowed("/emgait/operator")
    changes = {f"{RECOGNIZER}/{name}" for name in CHANGES}
    assert {f"{RECOGNIZER}/{name}" for name in SERVICES} <= operator["request"]
    assert operator["request"] - console["request"] == changes
    for enclave in ("console", "pedestrian_tracker", "gait_recognizer"):
        assert not allowed(f"/emgait/{enclave}")["request"] & changes
        assert not any("set_parameters" in name for name in allowed(f"/emgait/{enclave}")["request"])
    assert allowed("/emgait/gait_recognizer")["reply"] >= changes | {f"{RECOGNIZER}/list"}
