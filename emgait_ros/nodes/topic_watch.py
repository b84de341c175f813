"""What arrives on a topic: how often, and why nothing does or messages are lost on the way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from emgait_ros.nodes.diagnostics import ERROR, OK, WARN, status
from emgait_ros.nodes.distribution import SubscriptionEventCallbacks
from emgait_ros.nodes.kept_messages import is_kept
from emgait_ros.nodes.qos import mismatch
from emgait_ros.sensing.conversions import stamp_ns as stamp_of
from emgait_ros.sensing.stamps import LOST, lost_share
from emgait_ros.transport import PROFILE_VARIABLES, SMALL_SEGMENT_BYTES, shipped_profile

SILENT_S = 2.0
RATE_WINDOW_S = 5.0
LEAST_RATE_S = 0.5  # the first burst after a pause is no rate
STAMPS = 150  # messages among whose stamps holes are looked for
JUMP_NS = 2_000_000_000
LOSS_WINDOW_S = 10.0
FEW_LOST = 3
IMAGE_COMPRESSED = {
    "sensor_msgs/msg/Image": "true",
    "sensor_msgs/msg/CompressedImage": "false",
}  # what takes the other type
LARGE = (*IMAGE_COMPRESSED, "sensor_msgs/msg/PointCloud2")  # messages that do not fit into a small segment
PLAYERS = ("bag_player", "rosbag2_player")


class TopicWatch:
    """Counts what arrives on a subscription, and explains it when nothing does or messages are lost on the way.

    Args:
        node: the subscribing node.
        topic: as subscribed to; the attribute is its full name after remapping.
        type_name: "sensor_msgs/msg/PointCloud2".
        qos: what the subscription requests.
        parameter: the parameter that names the topic, for the advice.
        grace_s: so long nobody is warned that nothing has come yet: the others may be starting too.

    Attributes:
        beside: watch of small messages that come with each of these under the same stamp (an image's CameraInfo).
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        type_name: str,
        qos: QoSProfile,
        parameter: str,
        grace_s: float = 0.0,
    ) -> None:
        self.topic, self._node, self._subscribed = node.resolve_topic_name(topic), node, topic
        self._type_name, self._qos, self._parameter = type_name, qos, parameter
        self._grace_s, self._told, self._unfit = grace_s, False, False
        self._arrivals: deque[float] = deque(maxlen=1000)
        self._since_s = time.monotonic()
        self._offered_since_s: float | None = None
        self._stamps_ns: deque[int] = deque(maxlen=1000)
        self._losses: deque[tuple[float, int]] = deque(maxlen=1000)  # when, how many
        self.beside: TopicWatch | None = None
        self.count = self._bytes = 0
        self._keeps = False

    def events(self) -> SubscriptionEventCallbacks | None:
        """What the subscription is to be made with, so that it tells of messages that the middleware knows were lost."""
        if "fastrtps" not in rclpy.get_rmw_implementation_identifier():
            return None
        return SubscriptionEventCallbacks(message_lost=self._note_lost)

    def _note_lost(self, event: Any) -> None:
        self._losses.append((time.monotonic(), event.total_count_change))

    def note(self, message: Any) -> None:
        """A message with a header has arrived: callback of its subscription."""
        self.tick(stamp_of(message.header), len(getattr(message, "data", ())))

    def keep(self, message: Any) -> None:
        """A message that its publisher keeps for who comes late: it may be the only one, and silence is no fault then."""
        self._keeps = True
        if not self.count:
            self.note(message)

    def tick(self, stamp_ns: int = 0, size: int = 0) -> None:
        """A message has arrived, with this stamp (0: none) and about so many bytes."""
        self._arrivals.append(time.monotonic())
        self.count += 1
        self._bytes = size
        if stamp_ns:
            if self._stamps_ns and stamp_ns < self._stamps_ns[-1] - JUMP_NS:
                self._stamps_ns.clear()  # a bag starts over
            self._stamps_ns.append(stamp_ns)

    @property
    def rate_hz(self) -> float:
        """Messages a second over the last 5 s."""
        now_s = time.monotonic()
        recent = [t for t in list(self._arrivals) if now_s - t <= RATE_WINDOW_S]
        if len(recent) < 2 or now_s - recent[0] < LEAST_RATE_S:
            return 0.0
        return (len(recent) - 1) / (now_s - recent[0])

    @property
    def silent_s(self) -> float:
        """Seconds since the last message, or since the subscription began."""
        return time.monotonic() - (self._arrivals[-1] if self._arrivals else self._since_s)

    @property
    def starting(self) -> bool:
        """Nothing has come yet, and it is too early for a warning."""
        return not self.count and time.monotonic() - self._since_s < self._grace_s

    @property
    def lost_share(self) -> float:
        """Part of the newest messages that were lost on the way, 0..1, as the middleware says or their stamps tell."""
        own = list(self._stamps_ns)[-STAMPS:]
        by_stamps = lost_share(own, self._stamps_beside())
        since_s = time.monotonic() - LOSS_WINDOW_S
        lost = sum(count for at_s, count in self._losses if at_s >= since_s)
        share = lost / max(lost + sum(at_s >= since_s for at_s in self._arrivals), 1)
        return max(by_stamps, share if share >= LOST and lost >= FEW_LOST else 0.0)

    def _stamps_beside(self) -> Sequence[int]:
        """Stamps of what comes beside, where one node sends both; what another one sends it may have thinned out on purpose."""
        if self.beside is None:
            return ()
        topics = (self._subscribed, self.beside._subscribed)
        senders = {named(self._node.get_publishers_info_by_topic(topic)) for topic in topics}
        return self.beside._stamps_ns if len(senders) == 1 else ()

    def why_lost(self) -> str:
        """Empty while messages are complete, else what is lost, why, and what to do."""
        share = self.lost_share
        return f"{share:.0%} of the messages on {self.topic} are lost on the way: {self.loss_advice()}" if share else ""

    def loss_advice(self) -> str:
        """Why messages of this topic are lost, if they are, and what to do."""
        publishers = self._node.get_publishers_info_by_topic(self._subscribed)
        names = named(publishers)
        sender = names or "the sender"
        if self._qos.reliability == ReliabilityPolicy.RELIABLE or self._bytes < SMALL_SEGMENT_BYTES:
            return f"the machine of {sender}, this one or the network between them is overloaded{_recorded(names)}"
        other = ""
        if publishers and all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers):
            other = ", or set topics.reliability to reliable, which it offers"
        return (
            f"best-effort messages over {SMALL_SEGMENT_BYTES / 1e6:.1f} MB (these have {self._bytes / 1e6:.1f} MB) are lost where the "
            f"sender's Fast DDS shared-memory segment has its usual size: start {sender} with {_profile_advice()}{other}. If it "
            f"runs with that already, this machine is overloaded{_recorded(names)}"
        )

    def why_silent(self) -> str:
        """Empty when messages come (or it is too early to say), else the reason in a sentence."""
        self._unfit = False
        if self.silent_s < SILENT_S:
            self._offered_since_s = None
            return ""
        publishers = self._node.get_publishers_info_by_topic(self._subscribed)
        if not publishers:
            self._offered_since_s = None
            return self._nobody()
        right = [p for p in publishers if p.topic_type == self._type_name]
        refused = [mismatch(p.qos_profile, self._qos) for p in right]
        self._unfit = all(refused)  # also of another type: waiting does not help
        if not right:
            types = ", ".join(sorted({p.topic_type for p in publishers}))
            fix = f"set {self._parameter} to another topic ({self._others()}), or let its driver publish {self._type_name}"
            if self._type_name in IMAGE_COMPRESSED and any(p.topic_type in IMAGE_COMPRESSED for p in publishers):
                other = IMAGE_COMPRESSED[self._type_name]
                fix = f"set topics.image_compressed to {other} or {self._parameter} to another topic"
            return f"{self.topic} carries {types}, but {self._type_name} is expected: {fix}"
        names = named(right)
        if self._keeps and any(is_kept(p.qos_profile) for p in right):
            return ""
        if self._unfit:
            return (
                f"QoS mismatch on {self.topic} (publisher {names}): {refused[0]}; "
                "set topics.reliability to what is offered, or change the publisher"
            )
        now_s = time.monotonic()
        self._offered_since_s = now_s if self._offered_since_s is None else self._offered_since_s
        silent_s = min(self.silent_s, now_s - self._offered_since_s)
        if not self.count and silent_s < SILENT_S:
            return ""  # its publisher has only just appeared
        if self.count:
            return (
                f"nothing on {self.topic} for {self.silent_s:.0f} s, after {self.count} messages: {names} still offers it but "
                f"has stopped sending, or its messages are lost: {self.loss_advice()}"
            )
        if self._qos.reliability == ReliabilityPolicy.RELIABLE or self._type_name not in LARGE:
            return (
                f"nothing arrives on {self.topic} for {silent_s:.0f} s although {names} publishes it and the QoS fits: it has sent "
                f"nothing yet; its own statuses on /diagnostics may say why"
            )
        return (
            f"nothing arrives on {self.topic} for {silent_s:.0f} s although {names} publishes it and the QoS fits: either it "
            f"sends nothing, or its messages are lost: best-effort messages over {SMALL_SEGMENT_BYTES / 1e6:.1f} MB need a larger Fast "
            f"DDS segment in the publisher's process: start it with {_profile_advice()}"
        )

    def why_mixed(self) -> str:
        """Empty unless several nodes publish the topic: who they are, and what to do."""
        publishers = self._node.get_publishers_info_by_topic(self._subscribed)
        names = sorted({named([publisher]) for publisher in publishers})
        return (
            f"{len(names)} nodes publish {self.topic}, and their messages mix: stop all but one of {', '.join(names)}; "
            "each of several LiDARs needs a topic and a pedestrian_tracker of its own"
            if len(names) > 1
            else ""
        )

    def status(self, name: str, level_when_silent: bytes = ERROR, one_sender: bool = True) -> DiagnosticStatus:
        """Rate and age of the topic, or why it is silent, as a diagnostic status.

        Args:
            name: of the status.
            level_when_silent: of a topic that has stopped, or whose messages cannot be received; one on which nothing has
                come yet is a warning, within the grace after the start information.
            one_sender: the topic is that of one sensor; else any number of nodes may publish it.
        """
        reason = self.why_silent()
        lost = (
            self.why_lost() if self.silent_s < LOSS_WINDOW_S else ""
        )  # what was lost before that is not why it is silent
        values = {
            "topic": self.topic,
            "type": self._type_name,
            "received": self.count,
            "rate_hz": f"{self.rate_hz:.2f}",
            "since_last_s": f"{self.silent_s:.2f}",
        }
        if lost:
            return status(
                name, level_when_silent if reason else WARN, lost, values | {"lost": f"{self.lost_share:.2f}"}
            )
        if reason and self.starting and not self._unfit:
            if not self._told:
                self._told = True
                self._node.get_logger().info(f"waiting: {reason}")
            return status(name, OK, f"waiting: {reason}", values)
        if reason:
            return status(name, level_when_silent if self.count or self._unfit else WARN, reason, values)
        if not self._arrivals:
            text = f"waiting for {self.topic}" if self._offered_since_s is None else f"{self.topic} has a publisher now"
            return status(name, OK, text, values)
        if one_sender and (mixed := self.why_mixed()):
            return status(name, WARN, mixed, values)
        rate_hz = self.rate_hz
        return status(name, OK, f"{rate_hz:.1f} Hz on {self.topic}" if rate_hz else f"messages on {self.topic}", values)

    def _others(self) -> str:
        """Topics with the expected type, in words."""
        others = [topic for topic, types in self._node.get_topic_names_and_types() if self._type_name in types]
        own = self._node.get_fully_qualified_name() + "/"
        others = [t for t in others if self._node.count_publishers(t) and not t.startswith(own)]
        listed = ", ".join(sorted(others)[:5])
        return f"published with this type: {listed}" if others else "no other topic has this type either"

    def _nobody(self) -> str:
        return (
            f"nobody publishes {self.topic} ({self._type_name}): start its driver or set {self._parameter} "
            f"({self._others()}; ROS_DOMAIN_ID and discovery range must be the same everywhere)"
        )


def named(endpoints: Iterable[Any]) -> str:
    """Full names of the nodes that publish or subscribe, sorted; empty when there are none any more."""
    return ", ".join(sorted({f"{e.node_namespace.rstrip('/')}/{e.node_name}" for e in endpoints}))


def _recorded(names: str) -> str:
    return ", or the recording lacks them" if any(player in names for player in PLAYERS) else ""


def _profile_advice() -> str:
    return f"{' and '.join(PROFILE_VARIABLES)} set to {_profile()}"


def _profile() -> str:
    try:
        return str(shipped_profile())
    except FileNotFoundError:
        return "a profile with a larger shared-memory segment"
