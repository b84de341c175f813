"""Waits for the subscribers that a bag is played to; other subscriptions do not count."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from rclpy.node import Node, NodeNameNonExistentError
from rclpy.publisher import Publisher

from emgait_ros.recordings.rosbag import BagTopic

SETTLE_S = 0.5  # no further subscription for so long
OTHERS_S = 5.0  # only others listen and an expected node has not appeared: it may still be starting
START_S = (
    180.0  # a lifecycle node that is there and not active yet: its very first start compiles for a minute and more
)
SAY_S = 1.0
STEP_S = 0.05


class SubscriberWait:
    """What is waited for before a bag is played.

    Args:
        node: of the player.
        senders: its publishers by topic.
        wanted: node names ("pedestrian_tracker", "/robot/pedestrian_tracker"), topics, or "TOPIC:count".
        expected: names of nodes that the bag is for, when nothing is wanted; empty: any subscriber will do.
        topics: all topics of the bag, to tell topics from nodes, and their types.

    A node that is wanted, runs and is not active yet is waited for beyond the time given: what it would be sent before is lost.

    Raises:
        ValueError: a topic with a count is not played, or the count is no number above 0.
    """

    def __init__(
        self,
        node: Node,
        senders: dict[str, Publisher],
        wanted: Iterable[str],
        expected: Iterable[str],
        topics: Mapping[str, BagTopic],
    ) -> None:
        self._node, self._senders = node, senders
        self._types = {topics[name].type for name in senders}
        self._nodes: list[str] = []
        self._counts: dict[str, int] = {}
        for item in wanted:
            self._want(item, topics)
        self._expected = [] if self._nodes or self._counts else list(expected)

    def _want(self, item: str, topics: Mapping[str, BagTopic]) -> None:
        name, colon, number = item.rpartition(":") if ":" in item else (item, "", "1")
        if name not in self._senders and (colon or name in topics):
            raise ValueError(f"--wait-for {item}: {name} is not played: topics are {', '.join(sorted(self._senders))}")
        if not (number.isdecimal() and int(number) > 0):
            raise ValueError(f"--wait-for {item}: '{number}' is no number of subscriptions, expected 1 or more")
        if name in self._senders:
            self._counts[name] = int(number)
        else:
            self._nodes.append(name)

    def wait(self, wait_s: float, runs: Callable[[], bool], say: Callable[[str], None] = lambda text: None) -> str:
        """Wait at most so long; returns an empty string, or who was missing in a sentence.

        Args:
            wait_s: seconds.
            runs: False once playing is to stop.
            say: called once with what is being waited for, when that takes longer than a second.
        """
        began = settled = time.monotonic()
        before, others_since, said = -1, None, False
        while runs():
            now, found = time.monotonic(), self._listeners()
            missing = self._missing(found)
            if now >= began + wait_s and not (now < began + START_S and self._is_starting(found)):
                break
            count = sum(sender.get_subscription_count() for sender in self._senders.values())
            if missing or not count or count != before:
                settled, before = now, count
            elif now - settled >= SETTLE_S:
                return ""
            if self._expected and count and not self._in_graph(self._expected):
                others_since = now if others_since is None else others_since
                if now - others_since >= min(OTHERS_S, wait_s):
                    break
            else:
                others_since = None
            if not said and now - began > SAY_S:
                said = True
                say(f"waiting for {_list(missing) or 'a subscriber'} (subscribed so far: {_list(found) or 'nobody'})")
            time.sleep(STEP_S)
        return self._sentence(time.monotonic() - began) if runs() else ""

    def _sentence(self, seconds: float) -> str:
        found = self._listeners()
        missing = self._missing(found)
        if not found and not self._nodes and not self._counts:
            return f"nobody subscribed to any of its topics within {seconds:.1f} s: played anyway"
        if not missing:
            return ""
        return (
            f"{_list(missing)} did not subscribe within {seconds:.1f} s (subscribed: {_list(found) or 'nobody'}): played anyway; "
            "--wait-for names who must listen"
        )

    def _missing(self, found: Collection[str]) -> list[str]:
        missing = [name for name in (*self._nodes, *self._expected) if not any(_is(node, name) for node in found)]
        for topic, least in self._counts.items():
            count = self._senders[topic].get_subscription_count()
            if count < least:
                missing.append(f"{least} subscriptions of {topic} (there are {count})" if least > 1 else topic)
        return missing

    def _listeners(self) -> set[str]:
        """Full names of the nodes that subscribe to anything played."""
        topics = [sender.topic_name for sender in self._senders.values()]
        return {_full_name(end) for topic in topics for end in self._node.get_subscriptions_info_by_topic(topic)}

    def _in_graph(self, names: Iterable[str]) -> bool:
        running = self._running()
        return all(any(_is(node, name) for node in running) for name in names)

    def _running(self) -> dict[str, tuple[str, str]]:
        """Name and namespace of all nodes, by full name."""
        return {
            f"{space.rstrip('/')}/{name}": (name, space) for name, space in self._node.get_node_names_and_namespaces()
        }

    def _is_starting(self, found: Collection[str]) -> bool:
        """Whether a node that is waited for is a lifecycle node without a subscription of any type that is played."""
        for full_name, who in self._running().items():
            if full_name in found or not any(_is(full_name, name) for name in (*self._nodes, *self._expected)):
                continue
            try:
                services = {name for name, _ in self._node.get_service_names_and_types_by_node(*who)}
                heard = {kind for _, kinds in self._node.get_subscriber_names_and_types_by_node(*who) for kind in kinds}
            except NodeNameNonExistentError:  # it has just ended
                continue
            if f"{full_name}/get_state" in services and not heard & self._types:
                return True
        return False


def _full_name(endpoint: Any) -> str:
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"


def _is(full_name: str, name: str) -> bool:
    """Whether a node has this name: with its namespace where one is given, else in any."""
    return full_name == name if name.startswith("/") else full_name.rsplit("/", 1)[-1] == name


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
