"""The demo's verdicts: what counts as recognised, missed and mistaken."""

import json

import pytest
from rich.console import Console

from emgait_ros.lab.demo.report import judge, summary, table
from emgait_ros.recordings.walks import RecordedWalk, Sighting
from emgait_ros.samples import Status

ANNA = RecordedWalk(identity=3, walk=1, name="Anna", begin_ns=0, end_ns=10**10, is_probe=True)
STRANGER = RecordedWalk(identity=9, walk=0, name="", begin_ns=0, end_ns=10**10, is_probe=True)


def sighting(second: float, status: Status, name: str = "", walker: int | None = 3) -> Sighting:
    return Sighting(
        stamp_ns=int(second * 1e9),
        walker=walker,
        track_id=1,
        status=int(status),
        name=name,
        distance=0.5,
        range_m=20.0 + second,
        samples=10,
        reason="because",
        center=(20.0, 0.0, 0.0),
        size=(0.6, 0.6, 1.7),
    )


CASES = [
    # pending, then named rightly: recognised after two seconds
    (ANNA, [(0, Status.PENDING, ""), (2, Status.KNOWN, "Anna")], "Anna", True, 2.0),
    # never named: not recognised
    (ANNA, [(0, Status.PENDING, ""), (2, Status.UNKNOWN, "")], "unknown", False, None),
    # only pending: nothing was decided
    (ANNA, [(0, Status.PENDING, "")], "pending", False, None),
    # mostly right, once somebody else: a mistake
    (ANNA, [(0, Status.KNOWN, "Ben"), (1, Status.KNOWN, "Anna"), (2, Status.KNOWN, "Anna")], "Anna", False, 1.0),
    # a walk outside its planned time does not count
    (ANNA, [(11, Status.KNOWN, "Anna")], "pending", False, None),
    # never seen at all
    (ANNA, [], "pending", False, None),
    # a stranger that stays unknown
    (STRANGER, [(0, Status.PENDING, ""), (3, Status.UNKNOWN, "")], "unknown", True, 3.0),
    # a stranger who is named
    (STRANGER, [(0, Status.UNKNOWN, ""), (3, Status.KNOWN, "Anna")], "Anna", False, 0.0),
    # a stranger nothing was ever said of has not been judged: not a success
    (STRANGER, [(0, Status.PENDING, "")], "pending", False, None),
]


@pytest.mark.parametrize(("walk", "seen", "decided", "correct", "seconds"), CASES)
def test_verdict(walk, seen, decided, correct, seconds):
    verdict = judge(walk, [sighting(t, status, name, walk.identity) for t, status, name in seen])
    assert (verdict.decided, verdict.correct, verdict.seconds) == (decided, correct, seconds)


def test_other_walkers_do_not_count():
    seen = [sighting(1, Status.KNOWN, "Anna", walker=4), sighting(2, Status.KNOWN, "Anna", walker=None)]
    assert judge(ANNA, seen).frames == 0


def test_summary_passes_only_when_every_walk_is_right():
    good = judge(ANNA, [sighting(1, Status.KNOWN, "Anna")])
    bad = judge(ANNA, [sighting(1, Status.KNOWN, "Ben")])
    assert summary([good], [], {})["passed"] is True
    assert summary([good, bad], [], {})["passed"] is False
    assert summary([], [], {})["passed"] is False
    json.dumps(summary([good, bad], [], {"seconds": 1.0}))


def test_table_has_a_row_for_each_walk():
    assert table([judge(ANNA, []), judge(STRANGER, [])], []).row_count == 2


def test_a_narrow_terminal_shows_who_was_named_once_and_all_ranges():
    walks = [(STRANGER, ["Anna", "Anna", "Boris", "Chen"]), (ANNA, ["Anna"])]
    verdicts = [
        judge(w, [sighting(n, Status.KNOWN, name, w.identity) for n, name in enumerate(who)]) for w, who in walks
    ]
    console = Console(width=80, record=True)
    console.print(table(verdicts, []))
    printed = console.export_text()
    assert "…" not in printed
    assert ("20-23 m" in printed, printed.count("Boris"), printed.count("Anna")) == (True, 1, 3)
