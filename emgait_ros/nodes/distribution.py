"""What differs in rclpy between ROS distributions, as far as this package uses it: older ones are served here alone."""

from __future__ import annotations

from collections.abc import Callable

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

__all__ = ["SubscriptionEventCallbacks", "when_parameters_are_set"]


def when_parameters_are_set(
    node: Node, accept: Callable[[list[Parameter]], SetParametersResult], take: Callable[[list[Parameter]], None]
) -> None:
    """Call ``accept`` before parameters are set, which can refuse them, and ``take`` once they are."""
    if hasattr(node, "add_post_set_parameters_callback"):
        node.add_on_set_parameters_callback(accept)
        node.add_post_set_parameters_callback(take)
        return

    def both(parameters: list[Parameter]) -> SetParametersResult:  # Humble: what is accepted is set at once after this
        result = accept(parameters)
        if result.successful:
            take(parameters)
        return result

    node.add_on_set_parameters_callback(both)
