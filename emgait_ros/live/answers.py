"""Waits for the nodes' answers to what a bag player sends, so that a slow machine loses nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from emgait_ros.nodes.topic_watch import named
from emgait_ros.recordings.rosbag import CLOUD, BagMessage
from emgait_ros.recordings.serialized_header import stamp_of

FIRST_PATIENCE_S = 60.0  # for the first cloud: the nodes may still be loading
PATIENCE_S = 10.0
SAY_S = 2.0
SETTLE_S = 0.5
MOST_UNANSWERED = 5
LONGEST_LAG_NS = 800_000_000  # less than the nodes keep images for


class Answers:
    """Listens to a topic whose messages carry the stamp of the cloud they answer.

    Args:
        node: of the player.
        topic: of any message type that begins with a header, such as /gait_recognizer/identities.
        wait_s: for a publisher of the topic to appear.
        runs: False once playing is to stop.
        say: told once whom it waits for, when that takes a while, and when it waits no more.
        unheard: gives the topics of sensors that are played and to which nobody subscribes.

    Attributes:
        held_s: seconds spent waiting in all.
        unanswered: clouds whose answer did not come in time.
        given_up: five clouds in a row were not answered: nothing is waited for any more.

    Raises:
        ValueError: nobody publishes the topic, or its message type is not installed.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        wait_s: float,
        runs: Callable[[], bool],
        say: Callable[[str], None] = lambda text: None,
        unheard: Callable[[], list[str]] = list,
    ) -> None:
        self.held_s, self.unanswered, self.given_up = 0.0, 0, False
        self._node, self._topic, self._runs, self._say, self._unheard = node, topic, runs, say, unheard
        self._said = False
        self._newest_ns = -1
        self._in_a_row = 0
        self._patience_s = FIRST_PATIENCE_S
        qos = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
        message = message_class(_type_of(node, topic, wait_s, runs))
        node.create_subscription(message, topic, self._take, qos, raw=True)
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        time.sleep(SETTLE_S)  # an answer is lost that comes before its publisher knows of this subscription

    def wait_for(self, stamp_ns: int, meanwhile: Callable[[], None]) -> float:
        """Wait until the answer to this stamp has come, for 10 s at most (60 s the first time); returns the seconds waited."""
        if self.given_up:
            return 0.0
        began_s = time.monotonic()
        while self._newest_ns != stamp_ns and self._runs():
            so_far_s = time.monotonic() - began_s
            if not self._said and self.held_s + so_far_s > SAY_S:
                self._said = True
                self._say(self._sentence())
            if so_far_s > self._patience_s:
                self._give_up_on_one()
                break
            self._executor.spin_once(timeout_sec=0.01)
            meanwhile()
        else:
            self._in_a_row = 0
        self._patience_s = PATIENCE_S
        waited_s = time.monotonic() - began_s
        self.held_s += waited_s
        return waited_s

    def _give_up_on_one(self) -> None:
        self.unanswered += 1
        self._in_a_row += 1
        self.given_up = self._in_a_row >= MOST_UNANSWERED
        if self.given_up:
            self._say(f"{MOST_UNANSWERED} clouds in a row had no answer on {self._topic}: playing on without waiting")

    def _sentence(self) -> str:
        who = named(self._node.get_publishers_info_by_topic(self._topic)) or "somebody"
        said = f"waiting for {who} to answer on {self._topic}: it is slower than the recording, or still starting"
        unheard = self._unheard()
        if unheard:
            said += (
                f"; nobody subscribes to {', '.join(unheard)}, which is played: a node that expects this under another "
                "name waits for it (its topics.* parameters, or --remap)"
            )
        return said

    def close(self) -> None:
        """Release the node."""
        self._executor.shutdown()

    def _take(self, raw: bytes) -> None:
        self._newest_ns = stamp_of(raw)


def after_their_images(messages: Iterable[BagMessage], image_topics: Iterable[str]) -> Iterator[BagMessage]:
    """The same messages; a cloud comes after the images that it can be paired with, with the log time it has there.

    While a cloud is held back for the answer to the one before, no image passes it: that answer would never come if it
    took an image that was recorded later. A camera that is farther behind than ``LONGEST_LAG_NS`` is not waited for.
    """
    newest_ns: dict[str, int | None] = dict.fromkeys(image_topics)
    held: deque[tuple[int, BagMessage]] = deque()
    first_ns, log_time_ns = 0, 0

    def must_wait(image_ns: int | None, stamp_ns: int) -> bool:
        if image_ns is None:  # has not begun yet
            return stamp_ns - first_ns <= LONGEST_LAG_NS
        return image_ns < stamp_ns <= image_ns + LONGEST_LAG_NS

    for message in messages:
        log_time_ns = message.log_time_ns
        if message.type == CLOUD:
            held.append((stamp_of(message.raw), message))
            first_ns = first_ns or held[0][0]
        else:
            if message.topic in newest_ns:
                newest_ns[message.topic] = stamp_of(message.raw)
            yield message
        while held and not (
            held[-1][0] - held[0][0] <= LONGEST_LAG_NS
            and any(must_wait(image_ns, held[0][0]) for image_ns in newest_ns.values())
        ):
            yield replace(held.popleft()[1], log_time_ns=log_time_ns)
    for _, cloud in held:
        yield replace(cloud, log_time_ns=log_time_ns)


def message_class(type_name: str) -> Any:
    """The Python class of "package/msg/Name".

    Raises:
        ValueError: it is not installed.
    """
    try:
        package, kind, name = type_name.split("/")
        return getattr(import_module(f"{package}.{kind}"), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"the message type {type_name} is not installed") from error


def _type_of(node: Node, topic: str, wait_s: float, runs: Callable[[], bool]) -> str:
    deadline = time.monotonic() + wait_s
    while not (found := node.get_publishers_info_by_topic(topic)):
        if time.monotonic() >= deadline or not runs():
            raise ValueError(f"nobody publishes {topic}, so there is nothing to keep step with: start the nodes first")
        time.sleep(0.05)
    return str(found[0].topic_type)
