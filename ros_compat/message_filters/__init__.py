"""Stand-in for the part of ROS 2's ``message_filters`` this project uses: callbacks on a subscription.

Same names, arguments and behaviour as the Jazzy and Kilted package; synchronisers and caches are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["SimpleFilter", "Subscriber"]


class SimpleFilter:
    """Something that has output, and callbacks that want it."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., Any], *args: Any) -> int:
        """Call ``cb(*output, *args)`` for every output from now on; returns the number of this connection."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        """Hand an output to all callbacks, in the order they were registered."""
        for cb, args in self.callbacks.values():
            cb(*msg, *args)


class Subscriber(SimpleFilter):
    """A ROS 2 subscription as a filter: ``Subscriber(node, message_type, topic, qos_profile=10, **options)``.

    All options go to ``rclpy.node.Node.create_subscription``; attributes it has not itself are the subscription's.
    """

    def __init__(self, node: Any, msg_type: type, topic: str, /, **options: Any) -> None:
        super().__init__()
        self.node = node
        self.topic = topic
        options.setdefault("qos_profile", 10)
        self.sub = node.create_subscription(msg_type, topic, self.callback, **options)

    def callback(self, msg: Any) -> None:
        """What the subscription calls."""
        self.signalMessage(msg)

    def getTopic(self) -> str:
        """The topic as it was given, before any remapping."""
        return self.topic

    def __getattr__(self, name: str) -> Any:
        if name == "sub":  # not made yet: nothing to look it up in
            raise AttributeError(name)
        return getattr(self.sub, name)
