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
from emgait_ros.transport import use_shipped_profile

DISCOVERY_S, ANSWER_S, TRIES = 3.0, 2.0, 2  # an answer is lost where the node does not know of this client yet
HEARD = {
    "topics.cloud": {"sensor_msgs/msg/PointCloud2"},
    "topics.image": {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"},
    "topics.camera_info": {"sensor_msgs/msg/CameraInfo"},
    "topics.pedestrians": {"emgait_msgs/msg/PedestrianArray"},
}


def options_of_running(configs: Mapping[str, Any], namespace: str = "") -> dict[str, Any]:
    """Ask our nodes for their parameters.

    Args:
        configs: what each node, by its name, has when it is given nothing.
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
    client = node.create_client(GetParameters, f"{name}/get_parameters")
    tries = TRIES if client.wait_for_service(max(until_s - time.monotonic(), 0.1)) else 0
    for _ in range(tries):
        future = client.call_async(GetParameters.Request(names=names))
        executor.spin_until_future_complete(future, ANSWER_S)
        if future.done():
            # A node of another version has not all of them, and then answers with none.
            values = map(parameter_value_to_python, future.result().values)
            given = {n: v for n, v in zip(names, values, strict=False) if v is not None}
            return _as_heard(node, name, with_options(config, {n: _plain(v) for n, v in given.items()}))
    return None


def _as_heard(node: Node, name: str, config: Any) -> Any:
    """With the topics of its subscriptions where a remapping made them others than its parameters say."""
    try:
        found = node.get_subscriber_names_and_types_by_node(name, node.get_namespace())
    except NodeNameNonExistentError:  # it has just ended
        return config
    options, changed = options_of(config), {}
    for option, kinds in HEARD.items():
        topic = options[option][0] if option in options else ""
        heard = [heard for heard, types in found if kinds & set(types)]
        if topic and len(heard) == 1 and full_name(topic, node.get_namespace()) != heard[0]:
            changed[option] = heard[0]
    return with_options(config, changed)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, bytes, bool, int, float)) else tuple(value)
