"""What the nodes say about themselves on /diagnostics, and why a topic is silent."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from emgait_ros.nodes.qos import mismatch
from emgait_ros.nodes.worker import WorkerReport
from emgait_ros.transport import PROFILE_VARIABLES, SMALL_SEGMENT_BYTES, shipped_profile

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
PERIOD_S = 1.0
SILENT_S = 2.0
LOG_AGAIN_S = 60.0
SHOWN_S = 10.0
MAX_KINDS = 50
RATE_WINDOW_S = 5.0
LEAST_RATE_S = 0.5  # the first burst after a pause is no rate
STUCK_S = 10.0
MANY_DROPPED = 0.2


@dataclass
class Problem:
    """One kind of trouble: its newest sentence, how often it came, and when last (monotonic s)."""

    sentence: str
    level: bytes
    count: int
    last_s: float


class ProblemLog:
    """Names each kind of trouble in the log once (again after a minute, with the count) and keeps it for /diagnostics.

    Two sentences that differ only in numbers are of one kind. Safe to call from any thread.

    Args:
        node: whose log it goes to.
        clock_s: monotonic clock, s.
    """

    def __init__(self, node: Node, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock_s = node.get_logger(), clock_s
        self._lock = threading.Lock()
        self._problems: dict[str, Problem] = {}
        self._logged_s: dict[str, float] = {}

    def report(self, sentence: str, level: bytes = WARN) -> None:
        """Count a problem; log it unless its kind was logged within the last minute."""
        kind, now_s = _kind(sentence), self._clock_s()
        with self._lock:
            problem = self._problems.get(kind)
            if problem is None:
                if len(self._problems) >= MAX_KINDS:
                    del self._problems[min(self._problems, key=lambda k: self._problems[k].last_s)]
                problem = self._problems[kind] = Problem(sentence, level, 0, now_s)
            problem.sentence, problem.level, problem.last_s = sentence, level, now_s
            problem.count += 1
            count = problem.count
        self.log(sentence, level, f" ({count} times so far)" if count > 1 else "")

    def log(self, sentence: str, level: bytes, addition: str = "") -> bool:
        """Log a sentence without counting it, at most once a minute for its kind; whether it was."""
        kind, now_s = _kind(sentence), self._clock_s()
        with self._lock:
            self._logged_s = {other: at_s for other, at_s in self._logged_s.items() if now_s - at_s < LOG_AGAIN_S}
            if kind in self._logged_s:
                return False
            self._logged_s[kind] = now_s
        _log(self._logger, level, sentence + addition)
        return True

    def recent(self) -> list[Problem]:
        """Copies of the kinds seen within the last 10 s, newest first."""
        now_s = self._clock_s()
        with self._lock:
            shown = [Problem(**vars(p)) for p in self._problems.values() if now_s - p.last_s <= SHOWN_S]
        return sorted(shown, key=lambda p: -p.last_s)

    def status(self, name: str) -> DiagnosticStatus:
        """The recent problems as one diagnostic status."""
        recent = self.recent()
        if not recent:
            return status(name, OK, "no bad input")
        return status(
            name,
            max(p.level for p in recent),
            "; ".join(p.sentence for p in recent[:5]),
            {f"{i + 1} ({p.count} times)": p.sentence for i, p in enumerate(recent)},
        )


class TopicWatch:
    """Counts what arrives on a subscription and explains it when nothing does.

    Args:
        node: the subscribing node.
        topic: as subscribed to; the attribute is its full name after remapping.
        type_name: "sensor_msgs/msg/PointCloud2".
        qos: what the subscription requests.
        parameter: the parameter that names the topic, for the advice.
        advice: more to say when nothing is published there or with another type.
    """

    def __init__(
        self, node: Node, topic: str, type_name: str, qos: QoSProfile, parameter: str, advice: str = ""
    ) -> None:
        self.topic, self._node, self._subscribed = node.resolve_topic_name(topic), node, topic
        self._type_name, self._qos, self._parameter, self._advice = type_name, qos, parameter, advice
        self._arrivals: deque[float] = deque(maxlen=1000)
        self._since_s = time.monotonic()
        self._offered_since_s: float | None = None
        self.count = 0

    def tick(self) -> None:
        """A message has arrived."""
        self._arrivals.append(time.monotonic())
        self.count += 1

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

    def why_silent(self) -> str:
        """Empty when messages come (or it is too early to say), else the reason in a sentence."""
        if self.silent_s < SILENT_S:
            self._offered_since_s = None
            return ""
        publishers = self._node.get_publishers_info_by_topic(self._subscribed)
        if not publishers:
            self._offered_since_s = None
            return self._nobody()
        right = [p for p in publishers if p.topic_type == self._type_name]
        if not right:
            types = ", ".join(sorted({p.topic_type for p in publishers}))
            return f"{self.topic} carries {types}, but {self._type_name} is expected: {self._advice or f'set {self._parameter}'}"
        refused = [mismatch(p.qos_profile, self._qos) for p in right]
        names = ", ".join(sorted({f"{p.node_namespace.rstrip('/')}/{p.node_name}" for p in right}))
        if all(refused):
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
                "has stopped sending, or its machine or network is overloaded"
            )
        if self._qos.reliability == ReliabilityPolicy.RELIABLE:
            return (
                f"nothing arrives on {self.topic} for {silent_s:.0f} s although {names} publishes it and the QoS fits: it has sent "
                f"nothing yet; its own statuses on /diagnostics may say why"
            )
        return (
            f"nothing arrives on {self.topic} for {silent_s:.0f} s although {names} publishes it and the QoS fits: either it "
            f"sends nothing, or its messages are lost: best-effort messages over {SMALL_SEGMENT_BYTES / 1e6:.1f} MB need a larger Fast "
            f"DDS segment in the publisher's process: start it with {' and '.join(PROFILE_VARIABLES)} set to {_profile()}"
        )

    def status(self, name: str, level_when_silent: bytes = ERROR) -> DiagnosticStatus:
        """Rate and age of the topic, or why it is silent, as a diagnostic status."""
        reason = self.why_silent()
        values = {
            "topic": self.topic,
            "type": self._type_name,
            "received": self.count,
            "rate_hz": f"{self.rate_hz:.2f}",
            "since_last_s": f"{self.silent_s:.2f}",
        }
        if reason:
            return status(name, level_when_silent, reason, values)
        if not self._arrivals:
            text = f"waiting for {self.topic}" if self._offered_since_s is None else f"{self.topic} has a publisher now"
            return status(name, OK, text, values)
        rate_hz = self.rate_hz
        return status(name, OK, f"{rate_hz:.1f} Hz on {self.topic}" if rate_hz else f"messages on {self.topic}", values)

    def _nobody(self) -> str:
        others = [topic for topic, types in self._node.get_topic_names_and_types() if self._type_name in types]
        own = self._node.get_fully_qualified_name() + "/"
        others = [t for t in others if self._node.count_publishers(t) and not t.startswith(own)]
        found = (
            f"published with this type: {', '.join(sorted(others)[:5])}"
            if others
            else "no other topic has this type either"
        )
        return (
            f"nobody publishes {self.topic} ({self._type_name}): start its driver or set {self._parameter} "
            f"({found}; ROS_DOMAIN_ID and discovery range must be the same everywhere)"
        )


class DiagnosticsPublisher:
    """Publishes the statuses that ``collect`` returns once a second, on the wall clock even when time is simulated.

    Args:
        node: the node that speaks.
        collect: gives the statuses; an exception of it becomes a status itself.
        problems: logs what turns bad; what it has logged is not logged again when it shows in a status.
    """

    def __init__(self, node: Node, collect: Callable[[], Iterable[DiagnosticStatus]], problems: ProblemLog) -> None:
        self._node, self._collect, self._problems = node, collect, problems
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._last: dict[str, tuple[bytes, str]] = {}
        self._unlogged: set[str] = set()
        self._timer = node.create_timer(PERIOD_S, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Collect and publish now."""
        prefix = self._node.get_fully_qualified_name().lstrip("/")
        try:
            statuses = list(self._collect())
        except Exception as error:  # a node must not die of looking at itself
            statuses = [status("diagnostics", ERROR, f"cannot collect diagnostics: {type(error).__name__}: {error}")]
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        for item in statuses:
            self._log_change(item)
            item.name = f"{prefix}: {item.name}"
            item.hardware_id = "emgait_ros"
        message.status = statuses
        self._publisher.publish(message)

    def _log_change(self, item: DiagnosticStatus) -> None:
        """Log a status when it turns bad or good again, not each second: numbers in the sentence do not count.

        The same trouble is logged once a minute at most, however often it comes and goes.
        """
        state = (item.level, _kind(item.message))
        before = self._last.get(item.name, (OK, ""))
        self._last[item.name] = state
        if state == before or item.name == "bad input":
            return
        if item.level != OK:
            logged = self._problems.log(item.message, item.level)
            (self._unlogged.discard if logged else self._unlogged.add)(item.name)
        elif before[0] != OK and item.name not in self._unlogged:
            self._node.get_logger().info(f"{item.name} is well again: {item.message}")


def status(name: str, level: bytes, message: str, values: dict[str, Any] | None = None) -> DiagnosticStatus:
    """A DiagnosticStatus; the publisher puts the node's name in front of ``name``."""
    pairs = [KeyValue(key=key, value=str(value)) for key, value in (values or {}).items()]
    return DiagnosticStatus(name=name, level=level, message=message, values=pairs)


def worker_status(report: WorkerReport, what: str) -> DiagnosticStatus:
    """How a worker keeps up; ``what`` names its jobs ("cloud")."""
    values = {
        "submitted": report.submitted,
        "done": report.done,
        "failed": report.failed,
        "dropped": report.dropped,
        "waiting": report.waiting,
        "median_ms": f"{report.median_s * 1e3:.1f}",
        "max_ms": f"{report.max_s * 1e3:.1f}",
    }
    if report.busy_s > STUCK_S:
        return status("worker", ERROR, f"one {what} has been in work for {report.busy_s:.0f} s: the node hangs", values)
    if report.failed:
        return status("worker", WARN, f"{report.failed} {what}s failed, the last with {report.last_error}", values)
    if report.submitted >= 20 and report.drop_share > MANY_DROPPED:
        sentence = (
            f"{report.drop_share:.0%} of the last {what}s were dropped: one takes {report.median_s * 1e3:.0f} ms, "
            f"the longest took {report.max_s * 1e3:.0f} ms"
        )
        return status("worker", WARN, sentence, values)
    return status(
        "worker",
        OK,
        f"{report.median_s * 1e3:.0f} ms a {what}, {report.dropped} dropped" if report.done else f"no {what} yet",
        values,
    )


def time_status(node: Node) -> DiagnosticStatus | None:
    """Whether simulated time runs; None when the wall clock is used."""
    if not node.get_parameter("use_sim_time").value:
        return None
    if node.get_clock().now().nanoseconds == 0:
        return status(
            "time", WARN, "use_sim_time is on but nothing has come on /clock: play the bag with --clock or turn it off"
        )
    return status("time", OK, "simulated time from /clock")


def _kind(sentence: str) -> str:
    """The sentence without its numbers."""
    return re.sub(r"[-+]?\d[\d.e+-]*", "#", sentence)[:300]


def _log(logger: Any, level: bytes, text: str) -> None:
    if level == ERROR:  # two calls: rclpy refuses another severity from the same line
        logger.error(text)
    else:
        logger.warning(text)


def _profile() -> str:
    try:
        return str(shipped_profile())
    except FileNotFoundError:
        return "a profile with a larger shared-memory segment"
