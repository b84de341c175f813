"""The worker thread: order, what is dropped, what an exception does, how it ends."""

from __future__ import annotations

import math
import threading
import time

import pytest

from emgait_ros.nodes.worker import MOST_KEYS, Worker


class Gate:
    """Work that waits until it is let through, and notes what it did."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.done: list[int] = []

    def __call__(self, job: int) -> None:
        self.entered.set()
        assert self.open.wait(60.0)
        self.done.append(job)


@pytest.mark.parametrize(
    ("key", "skips", "depth", "jobs", "done", "skipped"),
    [
        # the first is taken at once; of the others the newest waits
        (None, False, 1, [1, 2, 3, 4], [1, 4], []),
        # what it took the place of can be looked at before it, as far as it was kept
        (None, True, 10, [1, 2, 3, 4], [1, 4], [2, 3]),
        (None, True, 2, [1, 2, 3, 4], [1, 4], [3]),
        # each key has a newest of its own, and who has waited longest is next
        ("parity", True, 10, [1, 2, 3, 4, 5, 6], [1, 6, 5], [2, 4, 3]),
    ],
)
def test_the_newest_of_each_key_is_done(key, skips, depth, jobs, done, skipped):
    gate, seen = Gate(), []
    keyed = {"key": lambda job: job % 2} if key else {}
    worker = Worker(gate, "test", skip=seen.append if skips else None, depth=depth, **keyed)
    worker.submit(jobs[0])
    assert gate.entered.wait(60.0)
    for job in jobs[1:]:
        worker.submit(job)
    gate.open.set()
    assert worker.wait_idle(60.0)
    report = worker.report()
    assert worker.close()
    assert (gate.done, seen) == (done, skipped)
    counts = (report.dropped, report.submitted, report.done, report.waiting)
    assert counts == (len(jobs) - len(done), len(jobs), len(done), 0)


def test_an_exception_is_counted_reported_and_survived():
    told: list[Exception] = []

    def work(job):
        if job < 0:
            raise ValueError(f"job {job} is negative")

    worker = Worker(work, "test", told.append)
    for job in (-1, 1, -2, 2):
        worker.submit(job)
        assert worker.wait_idle(60.0)
    report = worker.report()
    worker.close()
    assert (report.done, report.failed) == (2, 2)
    assert report.last_error == "ValueError: job -2 is negative"
    assert [str(e) for e in told] == ["job -1 is negative", "job -2 is negative"]


def test_a_broken_error_reporter_does_not_end_the_thread():
    def fail(_):
        raise RuntimeError("no")

    worker = Worker(fail, "test", fail)
    for job in (1, 2):
        worker.submit(job)
        assert worker.wait_idle(60.0)
    assert worker.report().failed == 2
    assert worker.close()


def test_close_joins_and_drops_what_waits():
    gate = Gate()
    worker = Worker(gate, "test")
    worker.submit(1)
    assert gate.entered.wait(60.0)
    worker.submit(2)
    assert not worker.close(timeout_s=0.05), "the first job still runs"
    gate.open.set()
    assert worker.close()
    worker.submit(3)
    report = worker.report()
    assert gate.done == [1]
    assert (report.dropped, report.waiting) == (2, 0)
    assert not any(thread.name == "test" for thread in threading.enumerate())


def test_timings():
    worker = Worker(time.sleep, "test")
    assert math.isnan(worker.report().median_s)
    for seconds in (0.02, 0.06):
        worker.submit(seconds)
        assert worker.wait_idle(60.0)
    report = worker.report()
    worker.close()
    assert 0.03 < report.median_s < report.max_s
    assert report.max_s >= 0.06


def test_a_queue_that_can_hold_nothing_is_refused():
    with pytest.raises(ValueError, match="depth 0"):
        Worker(print, "test", depth=0)


def test_not_more_keys_wait_than_there_are_trackers():
    gate = Gate()
    worker = Worker(gate, "test", key=lambda job: job)
    worker.submit(0)
    assert gate.entered.wait(60.0)
    for job in range(1, 1001):
        worker.submit(job)
    report = worker.report()
    gate.open.set()
    assert worker.wait_idle(60.0)
    worker.close()
    assert (report.waiting, report.dropped) == (MOST_KEYS, 1000 - MOST_KEYS)
    assert gate.done[1:] == list(range(1001 - MOST_KEYS, 1001)), "who has waited longest went first"
