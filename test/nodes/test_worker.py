"""The worker thread: order, what is dropped, what an exception does, how it ends."""

from __future__ import annotations

import math
import threading
import time

import pytest

from emgait_ros.nodes.worker import Worker


class Gate:
    """Work that waits until it is let through, and notes what it did."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.done: list[int] = []

    def __call__(self, job: int) -> None:
        self.entered.set()
        assert self.open.wait(5.0)
        self.done.append(job)


@pytest.mark.parametrize(
    ("depth", "jobs", "done", "dropped"),
    [
        # the first is taken at once; of the others the newest waits
        (1, [1, 2, 3, 4], [1, 4], 2),
        # a queue of three is drained in order, the oldest is pushed out
        (3, [1, 2, 3, 4, 5], [1, 3, 4, 5], 1),
        (10, [1, 2, 3], [1, 2, 3], 0),
    ],
)
def test_newest_jobs_win(depth, jobs, done, dropped):
    gate = Gate()
    worker = Worker(gate, "test", depth)
    worker.submit(jobs[0])
    assert gate.entered.wait(5.0)
    pushed_out = sum(worker.submit(job) for job in jobs[1:])
    gate.open.set()
    assert worker.wait_idle(5.0)
    report = worker.report()
    assert worker.close()
    assert gate.done == done
    assert (pushed_out, report.dropped, report.submitted, report.done, report.waiting) == (
        dropped,
        dropped,
        len(jobs),
        len(done),
        0,
    )


def test_an_exception_is_counted_reported_and_survived():
    told: list[Exception] = []

    def work(job):
        if job < 0:
            raise ValueError(f"job {job} is negative")

    worker = Worker(work, "test", 5, told.append)
    for job in (-1, 1, -2, 2):
        worker.submit(job)
    assert worker.wait_idle(5.0)
    report = worker.report()
    worker.close()
    assert (report.done, report.failed) == (2, 2)
    assert report.last_error == "ValueError: job -2 is negative"
    assert [str(e) for e in told] == ["job -1 is negative", "job -2 is negative"]


def test_a_broken_error_reporter_does_not_end_the_thread():
    def fail(_):
        raise RuntimeError("no")

    worker = Worker(fail, "test", 5, fail)
    worker.submit(1)
    worker.submit(2)
    assert worker.wait_idle(5.0)
    assert worker.report().failed == 2
    assert worker.close()


def test_close_joins_and_drops_what_waits():
    gate = Gate()
    worker = Worker(gate, "test", 5)
    worker.submit(1)
    assert gate.entered.wait(5.0)
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
    worker = Worker(time.sleep, "test", 5)
    assert math.isnan(worker.report().median_s)
    worker.submit(0.02)
    worker.submit(0.06)
    assert worker.wait_idle(5.0)
    report = worker.report()
    worker.close()
    assert 0.03 < report.median_s < 0.2
    assert report.max_s >= 0.06


def test_clear_drops_what_waits():
    gate = Gate()
    worker = Worker(gate, "test", 5)
    worker.submit(1)
    assert gate.entered.wait(5.0)
    worker.submit(2)
    worker.submit(3)
    assert worker.clear() == 2
    gate.open.set()
    worker.wait_idle(5.0)
    worker.close()
    assert gate.done == [1]


def test_a_queue_that_can_hold_nothing_is_refused():
    with pytest.raises(ValueError, match="depth 0"):
        Worker(print, "test", 0)
