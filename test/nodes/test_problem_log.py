"""Each kind of trouble is logged once, counted, and shown for a while."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from emgait_ros.nodes.diagnostics import ERROR, MAX_KINDS, OK, WARN, ProblemLog

pytestmark = pytest.mark.ros


@pytest.fixture
def log():
    """A ProblemLog on a clock the test sets, and the lines it has logged."""
    lines: list[str] = []
    logger = SimpleNamespace(error=lines.append, warning=lines.append)
    clock = SimpleNamespace(now=100.0)
    return ProblemLog(SimpleNamespace(get_logger=lambda: logger), lambda: clock.now), lines, clock


def test_sentences_that_differ_in_numbers_are_one_kind(log):
    problems, lines, _ = log
    for size in (10, 20, 3.5, -7, "1e-05"):
        problems.report(f"the cloud has {size} bytes")
    problems.report("the image has 10 bytes")
    assert lines == ["the cloud has 10 bytes", "the image has 10 bytes"]
    assert sorted(p.count for p in problems.recent()) == [1, 5]


def test_a_note_is_logged_once_and_is_no_problem(log):
    problems, lines, clock = log
    for size in range(5):
        clock.now += 100
        problems.note(f"row_step is {size} bytes")
    assert lines == ["row_step is 0 bytes"]
    assert problems.status("bad input").level == OK


def test_it_is_said_again_after_a_minute_with_the_count(log):
    problems, lines, clock = log
    for _ in range(200):
        clock.now += 0.4
        problems.report("no CameraInfo")
    assert lines == ["no CameraInfo", "no CameraInfo (151 times so far)"]


def test_it_is_shown_for_ten_seconds(log):
    problems, _, clock = log
    assert problems.status("bad input").level == OK
    problems.report("first 1", WARN)
    clock.now += 6
    problems.report("second 2", ERROR)
    status = problems.status("bad input")
    assert (status.level, status.message) == (ERROR, "second 2; first 1")
    clock.now += 6
    assert problems.status("bad input").message == "second 2"
    clock.now += 6
    assert problems.status("bad input").level == OK


def test_memory_is_bounded(log):
    problems, lines, clock = log
    for number in range(3 * MAX_KINDS):
        clock.now += 0.01
        problems.report("field " + "x" * number)
    assert len(problems.recent()) == MAX_KINDS
    assert len(lines) == 3 * MAX_KINDS
