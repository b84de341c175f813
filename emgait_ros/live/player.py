"""Publishes a recorded bag over ROS at its own pace: the serialized bytes as they were, nothing is decoded."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock

from emgait_ros.live.answers import Answers, after_their_images, message_class
from emgait_ros.live.playback_clock import PlaybackClock
from emgait_ros.live.qos_overrides import overridden
from emgait_ros.live.subscriber_wait import SubscriberWait
from emgait_ros.nodes.delivery import delivered
from emgait_ros.recordings.rosbag import CAMERA_INFO, CLOUD, COMPRESSED_IMAGE, IMAGE, BagMessage, Rosbag
from emgait_ros.recordings.serialized_header import stamp_of
from emgait_ros.stop_signals import StopSignals

CLOCK_PERIOD_S = 0.01
EXPECTED = "pedestrian_tracker"  # whom clouds are played for
STALL_S = 0.25
STEP_S = 0.05
LAST_S = 5.0  # for the last messages: what is lost Fast DDS sends again within 3 s
SENSORS = (CLOUD, IMAGE, COMPRESSED_IMAGE, CAMERA_INFO)


@dataclass(frozen=True)
class PlayOptions:
    """How a bag is played.

    Attributes:
        rate: 2 is twice as fast as recorded.
        loop: start over at the end, until stopped.
        clock: publish the log time on /clock, for nodes with use_sim_time.
        topics: only these; empty: all.
        exclude: none of these.
        start_s: begin this far into the bag; latched topics (/tf_static) are still sent.
        duration_s: play so much of the bag; None: to its end.
        paused: begin standing still (:meth:`BagPlayer.playback` goes on or steps).
        qos: by topic, policies that replace those the player would offer (:func:`read_qos_overrides`).
        wait_s: wait at most this long for subscribers before playing; 0: do not wait.
        wait_for: nodes, topics or "TOPIC:count" that are waited for; empty: the pedestrian_tracker where clouds are
            played, else any subscriber.
        follow: topic of answers (such as /gait_recognizer/identities): a cloud is held back until the one before it is
            answered, so that a machine slower than the recording loses nothing; empty: as recorded.
    """

    rate: float = 1.0
    loop: bool = False
    clock: bool = False
    topics: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    start_s: float = 0.0
    duration_s: float | None = None
    paused: bool = False
    qos: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    wait_s: float = 10.0
    wait_for: tuple[str, ...] = ()
    follow: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1000:
            raise ValueError(f"the rate is {self.rate}: expected a number above 0, at most 1000")
        if self.start_s < 0 or self.wait_s < 0:
            raise ValueError(f"start is {self.start_s} s and wait {self.wait_s} s: expected 0 or more")
        if self.duration_s is not None and self.duration_s <= 0:
            raise ValueError(f"{self.duration_s} s are to be played: expected more than 0")


@dataclass
class PlayReport:
    """What was played.

    Attributes:
        published: messages per topic.
        skipped: topic -> why it was not played.
        rounds: times the bag was played to its end.
        seconds: wall-clock time spent playing.
        latest_s: most that a message was sent after its time; large when the machine cannot keep the pace.
        stalled_s: time added to the recording's own by pauses of more than ``STALL_S``.
        waited: sentence about waiting for subscribers, empty when all were there.
        held_s: time that clouds were held back for answers (``follow``).
        unanswered: clouds that were never answered.
    """

    published: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    rounds: int = 0
    seconds: float = 0.0
    latest_s: float = 0.0
    stalled_s: float = 0.0
    waited: str = ""
    held_s: float = 0.0
    unanswered: int = 0


class BagPlayer(Node):
    """Publishers for the topics of a bag: reliable (so that any subscription matches), latched ones transient local.

    In a namespace, all topics of the bag are published in it; /clock stays what it is.

    Args:
        bag: opened bag; stays open as long as the player plays.
        options: what to play and how.
        stop: when set, playing ends at once.

    Attributes:
        playback: the time of the recording; pauses, steps and changes the rate, from any thread.

    Raises:
        ValueError: a topic that was named is not in the bag, nothing of it can be published, or (when playing) nobody
            publishes the topic to follow.
    """

    def __init__(self, bag: Rosbag, options: PlayOptions, stop: threading.Event | None = None) -> None:
        super().__init__("bag_player")
        self.report = PlayReport()
        self._bag, self._options = bag, options
        self._stop = stop or threading.Event()
        self._senders: dict[str, Publisher] = {}
        self.playback = PlaybackClock(bag.start_ns, options.rate, options.paused)
        for name in (*options.topics, *options.exclude, *options.qos):
            if name not in bag.topics:
                raise ValueError(f"{bag.path} has no topic {name}: it has {', '.join(sorted(bag.topics))}")
        for topic in bag.topics.values():
            if (not options.topics or topic.name in options.topics) and topic.name not in options.exclude:
                self._advertise(topic.name, topic.type)
        if not self._senders:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.report.skipped.items())
            raise ValueError(f"nothing of {bag.path} can be played: {reasons or 'every topic is excluded'}")
        expected = [EXPECTED] if any(bag.topics[name].type == CLOUD for name in self._senders) else []
        self._wait = SubscriberWait(self, self._senders, options.wait_for, expected, bag.topics)
        self._clock_publisher = self.create_publisher(Clock, "/clock", 10) if options.clock else None
        self._clock_due_s = 0.0
        self._answers: Answers | None = None
        self._last_cloud_ns: int | None = None

    def _advertise(self, name: str, type_name: str) -> None:
        try:
            kind = message_class(type_name)
        except ValueError as error:
            self.report.skipped[name] = str(error)
            return
        latched = name in self._bag.latched_topics
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        profile = QoSProfile(
            depth=100 if latched else 10, reliability=ReliabilityPolicy.RELIABLE, durability=durability
        )
        profile = overridden(profile, self._options.qos.get(name, {}))
        # Relative: the player's namespace, if it has one, goes in front.
        self._senders[name] = self.create_publisher(kind, name.lstrip("/"), profile)

    def play(
        self,
        on_message: Callable[[BagMessage], None] | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> PlayReport:
        """Play to the end (or for ever with ``loop``) and wait until reliable subscribers have everything.

        Args:
            on_message: called for each message sent, e.g. to show progress.
            say: called with what is waited for, when that takes a while: subscribers, answers.
        """
        if self._options.wait_s > 0:
            self.report.waited = self._wait.wait(self._options.wait_s, self._runs, say)
        if self._options.follow:
            options = self._options
            self._answers = Answers(self, options.follow, options.wait_s, self._runs, say, self._unheard_sensors)
        began_s = time.monotonic()
        while self._runs():
            self._play_once(on_message)
            self.report.seconds = time.monotonic() - began_s
            if not self._options.loop:
                break
        clock = [self._clock_publisher] if self._clock_publisher else []
        delivered([*self._senders.values(), *clock], LAST_S, self._runs)
        return self.report

    def _play_once(self, on_message: Callable[[BagMessage], None] | None) -> None:
        options = self._options
        if options.start_s > 0:
            self._send_latched()
        self.playback.set_to(self._bag.start_ns + round(options.start_s * 1e9))
        end_s = None if options.duration_s is None else options.start_s + options.duration_s
        messages = self._bag.messages(list(self._senders), options.start_s, end_s)
        if options.follow:
            images = [name for name in self._senders if self._bag.topics[name].type in (IMAGE, COMPRESSED_IMAGE)]
            messages = after_their_images(messages, images)
        for message in messages:
            self._wait_until_due(message.log_time_ns)
            self.playback.hold_back(self._hold(message))
            if not self._runs():
                return
            late_s = max(0.0, (self.playback.now_ns() - message.log_time_ns) * 1e-9 / self.playback.rate)
            self.report.latest_s = max(self.report.latest_s, late_s)
            if late_s > STALL_S:  # catching up in a burst would lose messages: go on from here at the right pace
                self.playback.hold_back(late_s)
                self.report.stalled_s += late_s
            self._send(message)
            if on_message is not None:
                on_message(message)
        self.report.rounds += 1

    def _hold(self, message: BagMessage) -> float:
        """Hold a cloud back until the one before it is answered; the seconds that took."""
        if self._answers is None or message.type != CLOUD:
            return 0.0
        before_ns, self._last_cloud_ns = self._last_cloud_ns, stamp_of(message.raw)
        if before_ns is None:
            return 0.0
        held_s = self._answers.wait_for(before_ns, lambda: self._tick(message.log_time_ns))
        self.report.held_s, self.report.unanswered = self._answers.held_s, self._answers.unanswered
        return held_s

    def _unheard_sensors(self) -> list[str]:
        """Topics of images, clouds and CameraInfo that are played to nobody."""
        silent = [name for name, sender in self._senders.items() if not sender.get_subscription_count()]
        return sorted(name for name in silent if self._bag.topics[name].type in SENSORS)

    def _runs(self) -> bool:
        return not self._stop.is_set() and rclpy.ok()

    def _send_latched(self) -> None:
        latched = [name for name in self._senders if name in self._bag.latched_topics]
        before_ns = self._bag.start_ns + round(self._options.start_s * 1e9)
        for message in self._bag.messages(latched) if latched else ():
            if message.log_time_ns < before_ns:
                self._send(message)

    def _send(self, message: BagMessage) -> None:
        self._senders[message.topic].publish(bytes(message.raw))
        self.report.published[message.topic] += 1

    def _wait_until_due(self, log_time_ns: int) -> None:
        """Sleep in short steps: /clock ticks on, a stop is noticed, and so are the keys."""
        while self._runs() and not self.playback.take_step(log_time_ns):
            now_ns = self.playback.now_ns()
            self._tick(min(now_ns, log_time_ns))
            if now_ns >= log_time_ns and not self.playback.paused:
                return
            left_s = STEP_S if self.playback.paused else (log_time_ns - now_ns) * 1e-9 / self.playback.rate
            time.sleep(min(left_s, CLOCK_PERIOD_S if self._clock_publisher else STEP_S))

    def _tick(self, time_ns: int) -> None:
        if self._clock_publisher is None or time.monotonic() < self._clock_due_s:
            return
        self._clock_due_s = time.monotonic() + CLOCK_PERIOD_S
        self._clock_publisher.publish(Clock(clock=Time(sec=time_ns // 10**9, nanosec=time_ns % 10**9)))


def play_bag(
    bag: Rosbag,
    options: PlayOptions,
    on_start: Callable[[BagPlayer], None] | None = None,
    on_message: Callable[[BagMessage], None] | None = None,
    say: Callable[[str], None] = lambda text: None,
    ros_args: Sequence[str] = (),
) -> PlayReport:
    """Play a bag in this process: starts rclpy and ends it again; SIGINT and SIGTERM end it early, without an error.

    Args:
        on_start: called with the player before it waits for subscribers.
        on_message: called for each message sent.
        say: called with what is waited for, when that takes a while.
        ros_args: ROS arguments such as ``--ros-args -r /lidar/points:=/points``.

    Raises:
        ValueError: as :class:`BagPlayer`, or the bag is damaged further on.
    """
    with StopSignals() as stop:
        rclpy.init(args=list(ros_args), signal_handler_options=SignalHandlerOptions.NO)
        try:
            player = BagPlayer(bag, options, stop.asked)
            if on_start is not None:
                on_start(player)
            report = player.play(on_message, say)
            player.destroy_node()
            return report
        finally:
            rclpy.try_shutdown()
