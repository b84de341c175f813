"""One thread that does the heavy work, so that subscription callbacks return at once. No ROS."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Job = TypeVar("Job")

MOST_KEYS = 100  # with jobs that wait: one who takes a new key for every job must not fill the memory
DURATIONS_KEPT = 100
OUTCOMES_KEPT = 50


@dataclass(frozen=True)
class WorkerReport:
    """A snapshot of a worker's counters.

    Attributes:
        submitted, done, failed, dropped: jobs so far; a newer one took the place of dropped ones.
        drop_share: share of dropped ones among the last 50 jobs, 0..1.
        waiting: jobs in the queue now.
        median_s, max_s: duration of the last 100 jobs, s; NaN before the first.
        busy_s: how long the current job has been running, s; 0 when idle.
        last_error: of the last failed job, empty when none failed.
    """

    submitted: int
    done: int
    failed: int
    dropped: int
    drop_share: float
    waiting: int
    median_s: float
    max_s: float
    busy_s: float
    last_error: str


class Worker(Generic[Job]):
    """Runs ``work(job)`` in one thread: of the jobs that wait under one key only the newest (latest wins).

    Keys take turns: the one that has waited longest is next. An exception of a job is caught, counted and handed to
    ``on_error``; the thread goes on with the next job.

    Args:
        work: what to do with a job.
        name: name of the thread.
        on_error: called with every exception, in the worker's thread.
        key: whose job it is: a newer job takes the place of those that wait under the same key. By default there is one key. Under 100
            keys jobs may wait; beyond, those that have waited longest are lost.
        skip: what to do, before the newest job, with each of those whose place it took, oldest first; must be quick.
        depth: how many jobs may wait under one key: with ``skip`` all but the newest are skipped, older ones are lost.
    """

    def __init__(
        self,
        work: Callable[[Job], None],
        name: str,
        on_error: Callable[[Exception], None] | None = None,
        *,
        key: Callable[[Job], Hashable] = lambda _: None,
        skip: Callable[[Job], None] | None = None,
        depth: int = 1,
    ) -> None:
        if depth < 1:
            raise ValueError(f"worker '{name}' was given depth {depth}: at least one job must be able to wait")
        self._work, self._on_error, self._key, self._skip = work, on_error, key, skip
        self._depth = depth if skip is not None else 1
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, deque[Job]] = {}  # the key that has waited longest first
        self._closing = False
        self._submitted = self._done = self._failed = self._dropped = 0
        self._started_at: float | None = None
        self._durations_s: deque[float] = deque(maxlen=DURATIONS_KEPT)
        self._was_dropped: deque[bool] = deque(maxlen=OUTCOMES_KEPT)
        self._last_error = ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job. After :meth:`close` jobs are dropped."""
        key = self._key(job)
        with self._changed:
            self._submitted += 1
            if self._closing:
                self._dropped += 1
                return
            jobs = self._waiting.setdefault(key, deque())
            jobs.append(job)
            if len(jobs) > self._depth:
                jobs.popleft()
                self._drop(1)
            if len(self._waiting) > MOST_KEYS:
                self._drop(len(self._waiting.pop(next(iter(self._waiting)))))
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Jobs that wait: of one that is submitted now none is dropped where this is 0."""
        with self._changed:
            return self._count_waiting()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing waits or runs; False when that took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and self._started_at is None, timeout_s)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Drop what waits, let the current job end and join the thread; False when it did not end in time."""
        with self._changed:
            self._closing = True
            self._dropped += self._count_waiting()
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def report(self) -> WorkerReport:
        """Counters and timings now."""
        with self._changed:
            durations = list(self._durations_s)
            started_at = self._started_at
            return WorkerReport(
                submitted=self._submitted,
                done=self._done,
                failed=self._failed,
                dropped=self._dropped,
                drop_share=sum(self._was_dropped) / max(len(self._was_dropped), 1),
                waiting=self._count_waiting(),
                median_s=statistics.median(durations) if durations else float("nan"),
                max_s=max(durations, default=float("nan")),
                busy_s=0.0 if started_at is None else time.monotonic() - started_at,
                last_error=self._last_error,
            )

    def _count_waiting(self) -> int:
        return sum(len(jobs) for jobs in self._waiting.values())

    def _drop(self, count: int) -> None:
        self._dropped += count
        self._was_dropped.extend([True] * count)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    return
                *skipped, job = self._waiting.pop(next(iter(self._waiting)))
                self._drop(len(skipped))
                started_at = self._started_at = time.monotonic()
            while skipped:
                if self._skip is not None:
                    self._attempt(self._skip, skipped[0])
                del skipped[0]
            error = self._attempt(self._work, job)
            del job  # a cloud and an image need not stay in memory until the next pair comes
            with self._changed:
                self._was_dropped.append(False)
                self._durations_s.append(time.monotonic() - started_at)
                self._started_at = None
                if error:
                    self._failed += 1
                    self._last_error = error
                else:
                    self._done += 1
                self._changed.notify_all()

    def _attempt(self, work: Callable[[Job], None], job: Job) -> str:
        try:
            work(job)
            return ""
        except Exception as error:
            self._tell(error)
            return f"{type(error).__name__}: {error}"

    def _tell(self, error: Exception) -> None:
        if self._on_error is None:
            return
        try:
            self._on_error(error)
        except Exception as second:  # a broken reporter must not end the thread either
            with self._changed:
                self._last_error = f"{type(second).__name__} while reporting an error: {second}"
