"""Messages that were sent once, before the node was there: those that a publisher keeps for who comes late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

LOOK_EVERY_S = 1.0


class KeptMessages:
    """Takes what the publishers of a topic keep (transient local), beside an ordinary subscription, which is not given that.

    It subscribes once one of them offers it: others would warn of a subscription that they cannot serve.

    Args:
        node: which subscribes.
        kind, topic: of the messages.
        taken: called with each, also with those that the ordinary subscription gets.
    """

    def __init__(self, node: Node, kind: Any, topic: str, taken: Callable[[Any], None]) -> None:
        self._node, self._kind, self._topic, self._taken = node, kind, topic, taken
        self._subscription: Any = None
        self._timer = node.create_timer(LOOK_EVERY_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Listen no more."""
        self._node.destroy_timer(self._timer)
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)

    def _look(self) -> None:
        if any(is_kept(publisher.qos_profile) for publisher in self._node.get_publishers_info_by_topic(self._topic)):
            self._timer.cancel()
            newest = QoSProfile(
                depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
            )
            self._subscription = self._node.create_subscription(self._kind, self._topic, self._taken, newest)


def is_kept(offered: QoSProfile) -> bool:
    """Whether a publisher that offers this gives its last messages to who comes late."""
    return bool(
        offered.durability == DurabilityPolicy.TRANSIENT_LOCAL and offered.reliability == ReliabilityPolicy.RELIABLE
    )
