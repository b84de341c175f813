"""What the nodes that run now were given: their parameters, and the topics they hear after remapping."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import rclpy
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.parameter import parameter_value_to_python

from emgait_ros.config import full_name, options_of, with_options
from emgait_ros.nodes.parameters import plain
from emgait_ros.transport import use_shipped_profile

DISCOVERY_S = 3.0
ANSWER_S = 2.0  # an answer is lost where the node does not know of this client yet: it is asked again
HEARD = {
    "topics.cloud": {"sensor_msgs/msg/PointCloud2"},
    "topics.image": {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"},
    "topics.camera_info": {"sensor_msgs/msg/CameraInfo"},
    "topics.pedestrians": {"emgait_msgs/msg/PedestrianArray"},
}


def options_of_running(configs: Mapping[str, Any], namespace: str = "") -> dict[str, Any]:
    """Ask our nodes for their parameters.

    Args:
        configs: the default config of each node, by the node's name.
        namespace: of the nodes.

    Returns:
        The config of each node that answered, topics as it hears them: with their full names, after remapping.
    """
    use_shipped_profile()
    context = rclpy.Context()
    rclpy.init(context=context)
    arguments: dict[str, Any] = {"start_parameter_services": False, "enable_rosout": False}
    node = rclpy.create_node("emgait_doctor", namespace=namespace or None, context=context, **arguments)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    until_s = time.monotonic() + DISCOVERY_S
    try:
        asked = {name: _asked(node, executor, name, config, until_s) for name, config in configs.items()}
        return {name: config for name, config in asked.items() if config is not None}
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def _asked(node: Node, executor: SingleThreadedExecutor, name: str, config: Any, until_s: float) -> Any:
    """The config of one node; None: there is none, or it does not answer."""
    names = list(options_of(config))
    request, wait_s = GetParameters.Request(names=names), max(until_s - time.monotonic(), 0.1)
    answer = answer_of(node, executor, GetParameters, f"{name}/get_parameters", request, wait_s)
    if answer is None:
        return None
    # A node of another version has not all of them, and then answers with none.
    values = map(parameter_value_to_python, answer.values)
    given = {n: plain(v) for n, v in zip(names, values, strict=False) if v is not None}
    return _as_heard(node, name, with_options(config, given))


def answer_of(
    node: Node, executor: SingleThreadedExecutor, kind: type, service: str, request: Any, wait_s: float = ANSWER_S
) -> Any:
    """What a service answers; None: it is not there within ``wait_s`` (s), or does not answer within ``DISCOVERY_S``."""
    client = node.create_client(kind, service)
    try:
        until_s = time.monotonic() + DISCOVERY_S if client.wait_for_service(wait_s) else 0.0
        while time.monotonic() < until_s:
            future = client.call_async(request)
            executor.spin_until_future_complete(future, ANSWER_S)
            if future.done():
                return future.result()
        return None
    finally:
        node.destroy_client(client)


def _as_heard(node: Node, name: str, config: Any) -> Any:
    """With the topics of its subscriptions where a remapping made them others than its parameters say.

    The graph may learn of the node's name and of its subscriptions after its services: both are waited for.
    """
    topics = {option: topic for option, (topic, _) in options_of(config).items() if option in HEARD and topic}
    until_s = time.monotonic() + DISCOVERY_S
    while True:
        found = _subscriptions_of(node, name)
        heard = {option: [topic for topic, types in found if HEARD[option] & set(types)] for option in topics}
        if all(heard.values()) or time.monotonic() > until_s:
            break
        time.sleep(0.1)
    changed = {
        option: names[0]
        for option, names in heard.items()
        if len(names) == 1 and full_name(topics[option], node.get_namespace()) != names[0]
    }
    return with_options(config, changed)


def _subscriptions_of(node: Node, name: str) -> list[tuple[str, list[str]]]:
    """Topics and their types; none: the graph does not know of that node yet, or it has ended."""
    try:
        return node.get_subscriber_names_and_types_by_node(name, node.get_namespace())
    except NodeNameNonExistentError:
        return []
