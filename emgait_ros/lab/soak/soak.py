"""Simulated hours through the real nodes, as fast as they answer: does anything grow, is anything lost?

One street is played again and again with stamps that go on; each simulated hour the stamps start over, as of a bag that is
played in a loop. The light goes from day to night and back within a day. In every round somebody is enrolled or removed,
and in some the gallery is backed up, while frames go on. At the end both nodes are killed again and again at random.
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.lab.bench.machine import machine
from emgait_ros.lab.simulation.scene import Scene, SensorHead, WalkPlan
from emgait_ros.lab.soak.robot import NODES, Robot, Street, simulated, wait_until
from emgait_ros.samples import Modality
from emgait_ros.stop_signals import asked_to_stop

if TYPE_CHECKING:
    from emgait_ros.lab.soak.graph import Graph

STEP_NS, HOUR_NS = 100_000_000, 3600 * 10**9
BEGIN_NS = 1_750_000_000 * 10**9
EMPTY_S = 0.5
START_S, ANSWER_S = 120.0, 3.0
DAY_S = 8 * 3600
STAYING, MOST_ENROLLED, BACKUP_EVERY = 3, 12, 5
Say = Callable[[str, float], None]


@dataclass(frozen=True)
class SoakPlan:
    """How long and how much.

    Attributes:
        minutes: simulated minutes, 600 clouds each.
        kills: how often a node is killed at the end.
        people: made-up people who are in the gallery from the beginning.
        seconds: of the street that is played again and again.
        walkers: who come one after the other in that time.
        beams, width: of the simulated sensors.
    """

    minutes: float = 60.0
    kills: int = 10
    people: int = 1000
    seconds: float = 20.0
    walkers: int = 8
    beams: int = 32
    width: int = 640
    seed: int = 0


def busy_street(plan: SoakPlan) -> Scene:
    """People who come one after the other and go; at first there is nobody."""
    walks = []
    for number in range(plan.walkers):
        x, begin = 8.0 + 2.2 * number, EMPTY_S + plan.seconds * number / (plan.walkers + 2)
        way = ((x, -5.5), (x + 1.5, 5.5))
        walks.append(WalkPlan(number + 1, 0, way if number % 2 else way[::-1], begin))
    shown = [walk for walk in walks if walk.begin_s < plan.seconds - 2]
    head = SensorHead(plan.beams, width=plan.width, height=plan.width * 9 // 16, focal_px=plan.width / 1.28)
    return Scene("soak", tuple(shown), plan.seconds, plan.seed, head=head)


@dataclass
class _Notes:
    """What was seen, one row a round."""

    hours: list[float] = field(default_factory=list)
    memory_mb: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in NODES})
    own_mb: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in NODES})
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    wal_mb: list[float] = field(default_factory=list)
    tracks: list[int] = field(default_factory=list)
    left_out: int = 0
    unanswered: int = 0
    frames: int = 0
    refused: list[str] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)


class Soak:
    """One run; see :func:`run_soak`."""

    def __init__(
        self,
        plan: SoakPlan,
        street: Street,
        robot: Robot,
        graph: Graph,
        say: Say,
        asked: threading.Event,
        shape: tuple[int, int],
    ) -> None:
        self._shape = shape  # of an embedding
        self._asked = asked
        self._plan, self._street, self._robot, self._graph, self._say = plan, street, robot, graph, say
        self._notes, self._random = _Notes(), np.random.default_rng(plan.seed)
        self._stamp_ns, self._newcomers = BEGIN_NS, 0
        self._open: deque[int] = deque()  # stamps of clouds without an answer yet, ns

    def run(self) -> dict[str, Any]:
        """All figures."""
        began, notes = time.monotonic(), self._notes
        if not wait_until(lambda: self._robot.runs() and self._graph.ready(), START_S):
            raise ValueError(f"the nodes did not listen within {START_S:.0f} s: see the logs in {self._robot.folder}")
        self._fill()
        self._round()
        while len(notes.answered) < STAYING:
            self._round(enroll=True)
        before = self._reference()
        rounds = max(round(self._plan.minutes * 60 / self._plan.seconds), 3)
        for number in range(rounds):
            if self._asked.is_set() and notes.hours:  # there are no figures before the first round
                break
            day = (number + 1) * self._plan.seconds / DAY_S
            light = 0.55 + 0.45 * float(np.cos(2 * np.pi * day))
            self._round(enroll=True, leave=len(notes.answered) > MOST_ENROLLED, light=light)
            if number % BACKUP_EVERY == 0:
                with Gallery(self._robot.gallery) as gallery:
                    gallery.back_up(self._robot.folder / "copy.backup")
            self._measure(number)
            self._say("soaking", (number + 1) / (rounds + 1))
        for name in sorted(notes.answered)[STAYING:]:
            self._leave(name)
        after = self._reference()
        figures = self._figures(time.monotonic() - began)
        lost = self._kill_at_random()
        return figures | {
            "identical_answers": before == after,
            "compared_answers": len(before),
            "first_difference": next(([a, b] for a, b in zip(before, after, strict=True) if a != b), None),
            "kills": self._plan.kills,
            "lost_answers": lost,
        }

    def _fill(self) -> None:
        """Made-up people, far from everybody."""
        deadline, answer = time.monotonic() + START_S, None
        while answer is None and time.monotonic() < deadline:  # the first clouds come while kernels are loaded
            answer = self._play(0)
        fingerprint, self._notes.unanswered = answer.model if answer is not None else "", 0
        with Gallery(self._robot.gallery) as gallery:
            for number in range(self._plan.people):
                rows = self._random.normal(0, 50, (1, *self._shape)).astype(np.float32)
                facts: dict[str, Any] = {"samples": [10], "modalities": Modality.BOTH, "median_range_m": 10.0}
                gallery.enroll(f"made up {number}", rows, fingerprint, **facts)

    def _play(self, number: int, light: float = 1.0, behind: int = 0) -> Any:
        """One cloud with its image; returns the answer to it, or to the one so many clouds before it."""
        self._stamp_ns += STEP_NS
        self._graph.send(self._street.at(number, self._stamp_ns, light))
        self._open.append(self._stamp_ns)
        self._notes.frames += 1
        self._graph.tracked(self._stamp_ns, ANSWER_S)
        answer = None
        while len(self._open) > behind:
            answer = self._graph.answer(stamp_ns := self._open.popleft(), ANSWER_S)
            left_out = self._graph.answered_ns > stamp_ns
            self._notes.left_out += answer is None and left_out
            self._notes.unanswered += answer is None and not left_out
        return answer

    def _start_over(self) -> None:
        """Stamps jump back, which is seen with the second cloud; a minute of which nothing is seen later it begins."""
        self._stamp_ns = BEGIN_NS - 60 * 10**9
        for _ in range(20):
            self._stamp_ns += STEP_NS
            self._graph.send(self._street.at(0, self._stamp_ns))
            self._graph.answer(self._stamp_ns, 0.5)
        self._stamp_ns = BEGIN_NS

    def _round(self, enroll: bool = False, leave: bool = False, light: float = 1.0) -> None:
        """The street once; somebody with a full window is enrolled, somebody else removed.

        The tracker has the next cloud while the recognizer works on one. Should that take longer than the tracker, the newer
        one counts, as always, and one is left out.
        """
        last = len(self._street.clouds) - 1
        for number in range(last + 1):
            answer = self._play(number, light, behind=int(0 < number < last))
            full = [i for i in answer.identities if i.samples >= 2 * i.samples_needed] if answer is not None else []
            if enroll and full:
                enroll = not self._enroll(full[int(self._random.integers(len(full)))])
            if leave and number == last // 2:
                self._leave(sorted(self._notes.answered)[STAYING])
        if self._stamp_ns - BEGIN_NS > HOUR_NS:
            self._start_over()

    def _enroll(self, identity: Any) -> bool:
        self._newcomers += 1
        name = f"walker {self._newcomers:05d}"
        said = self._graph.enroll(name, identity.track_id, identity.tracker_id)
        if said == "":
            self._notes.answered.add(name)
        elif said is not None:
            self._notes.refused.append(said)
        return said == ""

    def _leave(self, name: str) -> None:
        if self._graph.remove(name) == "":
            self._notes.answered.discard(name)

    def _reference(self) -> list[Any]:
        """What is answered to the street after time has jumped back: who, in which state, how near, from how many samples, where."""
        self._start_over()
        found = []
        for number in range(len(self._street.clouds)):
            answer = self._play(number)
            people = answer.identities if answer is not None else []
            found.append(sorted(f"{i.name} {i.status} {i.distance:.4f} {i.samples} {i.position.x:.3f}" for i in people))
        return found

    def _measure(self, number: int) -> None:
        self._robot.runs()
        notes, usages = self._notes, {name: self._robot.usage(name) for name in NODES}
        notes.hours.append((number + 1) * self._plan.seconds / 3600)
        for name, usage in usages.items():
            notes.memory_mb[name].append(usage.memory_mb)
            notes.own_mb[name].append(usage.own_mb)
        notes.files.append(sum(usage.files for usage in usages.values()))
        notes.threads.append(sum(usage.threads for usage in usages.values()))
        notes.wal_mb.append(self._robot.size_mb("-wal"))
        notes.tracks.append(int(self._graph.values.get("gait_recognizer: tracks", {}).get("tracks kept", 0)))
        with (self._robot.folder / "usage.jsonl").open("a", encoding="utf-8") as file:
            now = {name: dataclasses.asdict(usage) for name, usage in usages.items()}
            file.write(json.dumps({"hours": notes.hours[-1], "frames": notes.frames, **now}) + "\n")

    def _kill_at_random(self) -> int:
        """Kill either node while people are enrolled; returns how many who were answered are not there afterwards."""
        for kill in range(self._plan.kills):
            self._robot.kill(NODES[int(self._random.integers(2))])
            if not wait_until(self._graph.ready, START_S):
                raise ValueError(f"after kill {kill + 1} the nodes did not listen within {START_S:.0f} s")
            for number in range(int(self._random.integers(25, len(self._street.clouds)))):
                answer = self._play(number)
                full = [i for i in answer.identities if i.samples >= i.samples_needed] if answer is not None else []
                if full and number % 10 == 0:
                    self._enroll(full[0])
            self._say(f"kill {kill + 1} of {self._plan.kills}", 1.0)
        with Gallery(self._robot.gallery) as gallery:
            there = {person.name for person in gallery.identities()}
            if problems := gallery.check():
                raise ValueError(f"the gallery is damaged after the kills: {problems[0]}")
        return len(self._notes.answered - there)

    def _figures(self, seconds: float) -> dict[str, Any]:
        notes = self._notes
        slopes = {name: slope(notes.hours, values) for name, values in notes.own_mb.items()}
        total = slope(notes.hours, [sum(pair) for pair in zip(*notes.own_mb.values(), strict=True)])
        return {
            "simulated_hours": round(notes.hours[-1], 3),
            "frames": notes.frames,
            "left_out": notes.left_out,
            "unanswered": notes.unanswered,
            "wall_s": round(seconds, 1),
            "soak_slope_mb_per_h": round(total[0], 3),
            "soak_slope_error_mb_per_h": round(total[1], 3),
            **{f"slope_{name}_mb_per_h": round(found[0], 3) for name, found in slopes.items()},
            **{f"{name}_mb": [round(v[0], 1), round(v[-1], 1)] for name, v in notes.memory_mb.items()},
            **{f"{name}_own_mb": [round(v[0], 1), round(v[-1], 1)] for name, v in notes.own_mb.items()},
            "files": [notes.files[0], max(notes.files), notes.files[-1]],
            "threads": [notes.threads[0], max(notes.threads), notes.threads[-1]],
            "wal_mb_max": round(max(notes.wal_mb), 2),
            "log_mb": round(self._robot.size_mb(".log"), 3),
            "tracks_max": max(notes.tracks),
            "enrolled": self._newcomers,
            "enrolments_refused": len(notes.refused),
            "machine": machine(),
        }


def slope(hours: list[float], values: list[float]) -> tuple[float, float]:
    """Slope of a straight line a simulated hour, and twice its standard error.

    The line goes through what comes after the first hour, in runs shorter than three hours through the later two thirds.
    Neighbouring values depend on each other: the error is that of as many independent values as the residuals' lag-one
    correlation leaves. NaN with fewer than four values.
    """
    x, y = np.array(hours), np.array(values)
    kept = x > min(1.0, hours[-1] / 3)
    x, y = x[kept], y[kept]
    if len(x) < 4:
        return float("nan"), float("nan")
    centered = x - x.mean()
    found = float(centered @ (y - y.mean()) / (centered @ centered))
    rest = y - y.mean() - found * centered
    spread = float(rest @ rest)
    again = float(np.clip(rest[1:] @ rest[:-1] / spread, 0.0, 0.99)) if spread else 0.0
    error = np.sqrt(spread / (len(x) - 2) / (centered @ centered) * (1 + again) / (1 - again))
    return found, 2.0 * float(error)


def run_soak(plan: SoakPlan, folder: Path, say: Say = lambda text, done: None, bundle: str = "") -> dict[str, Any]:
    """All figures of a run; the nodes' logs and the gallery stay in ``folder``. SIGINT and SIGTERM make it shorter.

    Raises:
        ValueError: a node ended by itself or did not start, the gallery was damaged, or others use the same ROS domain.
    """
    from emgait_ros.lab.soak.graph import Graph

    say("simulating the street", 0.0)
    street = simulated(busy_street(plan))
    with Graph(with_tracker=True) as graph:
        graph.alone()
        with Robot(folder, street.params, bundle) as robot, asked_to_stop() as asked:
            return Soak(plan, street, robot, graph, say, asked, load_bundle(bundle).embedding_shape).run()
