"""What the demo concludes from what it saw: a verdict for each walk, a table, and a JSON summary. No ROS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from emgait_ros.recordings.walks import EnrollmentNote, RecordedWalk, Sighting
from emgait_ros.samples import Status


@dataclass(frozen=True)
class WalkVerdict:
    """What the live system said of one walk.

    Attributes:
        decided: the name given most often, "unknown" or "pending" when none was.
        correct: a known walker was named rightly and never wrongly; a stranger was never named.
        seconds: from the first sighting to the first name (or to the first UNKNOWN of a stranger); None: never.
        range_m: range at that moment; ranges_m: nearest and farthest sighting.
        frames: sightings in all; named: of them, with a name.
    """

    walker: int
    walk: int
    expected: str
    decided: str
    correct: bool
    seconds: float | None
    range_m: float | None
    ranges_m: tuple[float, float] | None
    frames: int
    named: int
    wrong_names: tuple[str, ...]
    tracks: tuple[int, ...]
    last_reason: str


def judge(walk: RecordedWalk, sightings: Sequence[Sighting]) -> WalkVerdict:
    """The verdict on one walk of the scene from all sightings of the run."""
    seen = [s for s in sightings if s.walker == walk.identity and walk.begin_ns <= s.stamp_ns <= walk.end_ns]
    names = Counter(s.name for s in seen if s.status == Status.KNOWN)
    wrong = tuple(sorted(name for name in names if name != walk.name))
    if names:
        decided = names.most_common(1)[0][0]
    else:
        decided = "unknown" if any(s.status == Status.UNKNOWN for s in seen) else "pending"
    wanted = Status.KNOWN if walk.name else Status.UNKNOWN
    first = next((s for s in seen if s.status == wanted and s.name == walk.name), None)
    expected = walk.name or "unknown"
    return WalkVerdict(
        walker=walk.identity,
        walk=walk.walk,
        expected=expected,
        decided=decided,
        correct=decided == expected and not wrong,
        seconds=None if first is None else (first.stamp_ns - seen[0].stamp_ns) * 1e-9,
        range_m=None if first is None else first.range_m,
        ranges_m=(min(s.range_m for s in seen), max(s.range_m for s in seen)) if seen else None,
        frames=len(seen),
        named=sum(names.values()),
        wrong_names=wrong,
        tracks=tuple(sorted({s.track_id for s in seen})),
        last_reason=seen[-1].reason if seen else "never seen",
    )


def summary(
    verdicts: Sequence[WalkVerdict], enrollments: Sequence[EnrollmentNote], more: dict[str, Any]
) -> dict[str, Any]:
    """JSON-ready summary; ``passed`` is what the demo's exit status says."""
    return {
        "passed": bool(verdicts) and all(v.correct for v in verdicts),
        "walks": [asdict(v) for v in verdicts],
        "enrollments": [asdict(e) for e in enrollments],
        **more,
    }


def table(verdicts: Sequence[WalkVerdict], enrollments: Sequence[EnrollmentNote]) -> Table:
    """The table the demo ends with: who walked, what was decided, at what range, after how many seconds."""
    out = Table(
        title="Who walked, and what the live nodes said",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        caption="named in: of how many LiDAR frames",
        caption_justify="left",
    )
    for heading in ("walked", "enrolled at", "decided", "seen at", "named at", "after", "named in"):
        left = heading in ("walked", "decided")
        out.add_column(heading, justify="left" if left else "right", no_wrap=heading != "decided")
    for verdict in verdicts:
        known = [note for note in enrollments if note.success and note.name == verdict.expected]
        mark = ("✓", "green") if verdict.correct else ("✗", "red")
        others = [name for name in verdict.wrong_names if name != verdict.decided]
        wrong = f" (also: {', '.join(others)})" if others else ""
        out.add_row(
            verdict.expected if known or verdict.expected != "unknown" else "a stranger",
            f"{known[0].range_m:.0f} m" if known else "-",
            Text.assemble(mark, f" {verdict.decided}{wrong}"),
            f"{verdict.ranges_m[0]:.0f}-{verdict.ranges_m[1]:.0f} m" if verdict.ranges_m else "never",
            f"{verdict.range_m:.0f} m" if verdict.range_m is not None else "-",
            f"{verdict.seconds:.1f} s" if verdict.seconds is not None else "-",
            f"{verdict.named} of {verdict.frames}",
        )
    return out
