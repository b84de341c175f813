"""A bond with Nav2's lifecycle manager: each side tells the other several times a second that it lives (bondcpp, bond/msg/Status)."""

from __future__ import annotations

import time
import uuid
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from emgait_ros.nodes.delivery import delivered
from emgait_ros.nodes.diagnostics import OK, WARN, status
from emgait_ros.nodes.optional_messages import messages_of

TOPIC, TIMEOUT_S, CONNECT_S = "bond", 4.0, 10.0  # as nav2_util::LifecycleNode and bondcpp have them
LAST_WORD_S = 0.3  # of the 1.5 s within which the process ends after a signal


class Bond:
    """Formed while the node is active. The manager notices within its ``bond_timeout`` that this node hangs or is gone.

    A manager that is gone changes nothing here: the node goes on, says so, and is silent on the topic until it is activated again.

    Args:
        node: its name is the bond's id, as Nav2 has it.
        period_s: between two heartbeats, s; 0: no bond.

    Raises:
        ValueError: a bond is asked for, but its messages are not installed.
    """

    def __init__(self, node: Node, period_s: float) -> None:
        self._node, self._period_s = node, period_s
        self._kind: Any = messages_of("bond", f"bond_heartbeat_period is {period_s}").Status if period_s else None
        self._publisher: Any = None  # stays from the first bond on: with it would go what has not been delivered
        self._formed = False

    def form(self) -> None:
        """Begin to tell that the node lives."""
        if self._kind is None:
            return
        self._instance, self._lost = str(uuid.uuid4()), ""
        self._formed_s = self._beat_s = time.monotonic()
        self._heard_s: float | None = None
        if self._publisher is None:
            self._publisher = self._node.create_publisher(self._kind, TOPIC, 1)
        self._subscription = self._node.create_subscription(self._kind, TOPIC, self._hear, 100)
        self._timer = self._node.create_timer(self._period_s, self._beat, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._formed = True

    def end(self) -> None:
        """Tell that the node stops on purpose."""
        if self._formed:
            self._formed = False
            self._tell(alive=False)
            self._node.destroy_timer(self._timer)
            self._node.destroy_subscription(self._subscription)

    def close(self) -> None:
        """End, and give the last message a moment to arrive: called before the node is destroyed."""
        self.end()
        if self._publisher is not None:
            delivered([self._publisher], LAST_WORD_S)

    def status(self) -> DiagnosticStatus | None:
        """None while there is no bond to speak of."""
        if not self._formed:
            return None
        if self._lost:
            sentence = f"the lifecycle manager {self._lost}; this node goes on, activate it again for a new bond"
            return status("bond", WARN, sentence)
        if self._heard_s is None:
            late = time.monotonic() - self._formed_s > CONNECT_S
            sentence = f"no lifecycle manager has answered on {self._node.resolve_topic_name(TOPIC)} yet"
            return status("bond", WARN if late else OK, sentence)
        return status("bond", OK, "the lifecycle manager is there")

    def _beat(self) -> None:
        now_s, before_s = time.monotonic(), self._beat_s
        self._beat_s = now_s
        held_up = now_s - before_s > TIMEOUT_S / 2  # the manager's messages may wait behind this timer
        if self._heard_s is not None and now_s - self._heard_s > TIMEOUT_S and not held_up and not self._lost:
            self._lost = f"has been silent for {TIMEOUT_S:.0f} s"
        if not self._lost:
            self._tell(alive=True)

    def _hear(self, message: Any) -> None:
        if message.id != self._node.get_name() or message.instance_id == self._instance or self._lost:
            return
        self._heard_s = time.monotonic()
        if not message.active:
            self._lost = "has ended the bond"
            self._tell(alive=False)

    def _tell(self, alive: bool) -> None:
        message = self._kind(id=self._node.get_name(), instance_id=self._instance, active=alive)
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.heartbeat_timeout, message.heartbeat_period = TIMEOUT_S, self._period_s
        self._publisher.publish(message)
