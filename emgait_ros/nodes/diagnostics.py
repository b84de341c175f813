"""What the nodes say about themselves on /diagnostics."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from emgait_ros.nodes.worker import WorkerReport

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
PERIOD_S = 1.0
LOG_AGAIN_S = 60.0
SHOWN_S = 10.0
MAX_KINDS = 50
MAX_LOGGED = 1000  # kinds that the log names a minute: texts in messages can make any number of them
MAX_CHARACTERS = 2000  # of a sentence, likewise
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
        self._noted: set[str] = set()

    def report(self, sentence: str, level: bytes = WARN) -> None:
        """Count a problem; log it unless its kind was logged within the last minute."""
        sentence = sentence[:MAX_CHARACTERS]
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
        sentence = sentence[:MAX_CHARACTERS]
        kind, now_s = _kind(sentence), self._clock_s()
        with self._lock:
            self._logged_s = {other: at_s for other, at_s in self._logged_s.items() if now_s - at_s < LOG_AGAIN_S}
            if kind in self._logged_s or len(self._logged_s) >= MAX_LOGGED:
                return False
            self._logged_s[kind] = now_s
        _log(self._logger, level, sentence + addition)
        return True

    def note(self, sentence: str) -> None:
        """Log once for its kind what is wrong in a message that can be used all the same."""
        sentence = sentence[:MAX_CHARACTERS]
        kind = _kind(sentence)
        with self._lock:
            known = kind in self._noted or len(self._noted) >= MAX_LOGGED
            if not known:
                self._noted.add(kind)
        if not known:
            _log(self._logger, WARN, sentence)

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


def time_status(node: Node, starting: bool) -> DiagnosticStatus | None:
    """Whether simulated time runs; None when the wall clock is used, or the node is ``starting`` and time has not begun."""
    if not node.get_parameter("use_sim_time").value:
        return None
    if node.get_clock().now().nanoseconds == 0:
        if starting:
            return None
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
