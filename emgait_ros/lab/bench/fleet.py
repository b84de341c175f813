"""Robots that share a gallery in PostgreSQL: how soon each knows of a change, and what all of them cost the server.

A robot is a process that opens the gallery as the recognizer node does, keeps its copy, and follows the changes ten times a
second as the node does at each frame. It computes no embeddings and runs no ROS: neither touches the gallery.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from emgait_ros.config import DecisionConfig, GalleryConfig
from emgait_ros.gallery.last_known import copy_of, open_on_robot
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.lab.bench.machine import machine
from emgait_ros.lab.bench.postgres_server import PostgresServer, folder_of_programs
from emgait_ros.lab.bench.postgres_watch import WITH_STATEMENTS, PostgresWatch
from emgait_ros.recognition.enrollment import enrollable
from emgait_ros.recognition.view import GalleryView
from emgait_ros.samples import Float32, Modality

MODEL = "0" * 64
FRAME_S = 0.1
DOWN_S = 3.0  # the server is away for so long before the storm
LIMIT_S = 300.0  # for whatever is waited for
FILLED_AT_ONCE = 500
Progress = Callable[[str, float], None]


@cache
def embedding_shape() -> tuple[int, int]:
    """Of the shipped model."""
    return load_bundle().embedding_shape


@dataclass(frozen=True)
class FleetBenchmark:
    """Sizes of a run; see the options of `emgait bench fleet`."""

    robots: int = 10
    people: int = 10_000
    templates: int = 3
    changes_per_minute: int = 100
    seconds: int = 120
    dsn: str = ""


@dataclass(eq=False)
class _Robot:
    """The parent's end of a robot's process, and what it has told.

    Attributes:
        known: time (monotonic, s) and number of the newest change, for each time it took something over.
        follow_s: what each of these took of a frame. problem: why it sees no changes at the moment.
    """

    process: Any
    pipe: Connection
    home: Path
    known: list[tuple[float, int]] = field(default_factory=list)
    follow_s: list[float] = field(default_factory=list)
    problem: str = ""

    def ask(self, *words: Any) -> Any:
        self.pipe.send(words)
        if not self.pipe.poll(LIMIT_S):
            raise RuntimeError(f"a robot did not answer {words[0]} within {LIMIT_S:.0f} s")
        return self.answer()

    def answer(self) -> Any:
        """What it sent; an error is raised."""
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hear(self) -> _Robot:
        """Ask what happened at its frames since the last time; returns itself."""
        for kind, when, value, took in self.ask("told"):
            if kind == "knows":
                self.known.append((when, value))
                self.follow_s.append(took)
            else:
                self.problem = value
        return self

    def knew(self, change: int) -> float | None:
        """When it knew of a change; None: it has not told yet."""
        return next((when for when, newest in self.known if newest >= change), None)


def _robot(url: str, home: str, pipe: Connection, phase_s: float) -> None:
    """A robot's process: a thread follows the gallery, and this one changes it as the node's services do."""
    os.environ["HOME"] = home
    began = time.monotonic()
    try:
        gallery = open_on_robot(GalleryConfig(path=url))
        view = GalleryView(gallery, MODEL, DecisionConfig().templates_per_identity)
    except ValueError as error:
        return pipe.send(RuntimeError(f"a robot did not start: {error}"))
    told: list[tuple[str, float, Any, float]] = []
    end = threading.Event()

    def follow() -> None:
        problem, next_s = "", time.monotonic() + phase_s
        while not end.wait(max(0.0, next_s - time.monotonic())):
            next_s = max(next_s + FRAME_S, time.monotonic())
            start = time.monotonic()
            changed = view.try_to_follow()
            now = time.monotonic()
            if changed:
                told.append(("knows", now, view.change, now - start))
            if view.problem != problem:
                problem = view.problem
                told.append(("problem", now, problem, now - start))

    def change(action: str, name: str, other: Any) -> tuple[int, float, float]:
        start = time.monotonic()
        if action == "enroll":
            _enroll(gallery, enrollable(gallery, name, False), other)
        elif action == "rename":
            gallery.rename(name, other)
        else:
            gallery.remove(name)
        return gallery.history.last_change(), start, time.monotonic()

    frames = threading.Thread(target=follow)
    frames.start()
    pipe.send(time.monotonic() - began)
    answers: dict[str, Callable[..., Any]] = {
        "change": change, "people": lambda: _people_of(view), "told": lambda: [told.pop(0) for _ in range(len(told))],
    }  # fmt: skip
    while (words := pipe.recv())[0] != "end":
        try:
            pipe.send(answers[words[0]](*words[1:]))
        except ValueError as error:
            pipe.send(RuntimeError(f"{words}: {error}"))
    end.set()
    frames.join()
    gallery.close()


def _people_of(view: GalleryView) -> int:
    """A checksum of whom a robot knows: numbers and names."""
    found = view.matcher.search(np.zeros((1, *embedding_shape()), np.float32), [Modality.BOTH])
    return zlib.crc32(repr(sorted(zip(found.identity_id.tolist(), found.names, strict=True))).encode())


def _enroll(gallery: Gallery, name: str, rows: Float32) -> None:
    gallery.enroll(name, rows, MODEL, samples=[30] * len(rows), modalities=Modality.BOTH, median_range_m=10.0)


def run_benchmark(config: FleetBenchmark, progress: Progress = lambda text, done: None) -> dict[str, Any]:
    """All figures; times in ms or s as their names say.

    The server's CPU time and the storm are None with a server of somebody else's, its statements without pg_stat_statements.

    Raises:
        ValueError: a size is below 1, or there is no server. RuntimeError: a robot does not answer, or the fleet is not of one mind
        at the end.
    """
    if min(config.robots, config.people, config.templates, config.changes_per_minute, config.seconds) < 1:
        raise ValueError("robots, people, templates, changes-per-minute and seconds must be at least 1")
    server = None
    if not config.dsn:
        programs = folder_of_programs()
        if programs is None:
            raise ValueError("PostgreSQL is not installed (apt-get install postgresql): install it, or give --dsn")
        most = {"max_connections": 3 * config.robots + 20}
        server = PostgresServer(programs, {**most, **WITH_STATEMENTS, "log_connections": "on"})
    try:
        with tempfile.TemporaryDirectory(prefix="emgait-fleet-") as folder:
            return _measured(config, server.url() if server else config.dsn, server, Path(folder), progress)
    finally:
        if server:
            server.close()


def _measured(
    config: FleetBenchmark, url: str, server: PostgresServer | None, folder: Path, progress: Progress
) -> dict[str, Any]:
    random = np.random.default_rng(0)

    def rows() -> Float32:
        return random.standard_normal((config.templates, *embedding_shape()), np.float32)

    with Gallery(url) as gallery:
        if gallery.identities():
            raise ValueError(f"there are people in {gallery.place} already: give an empty database")
        for first in range(0, config.people, FILLED_AT_ONCE):
            progress("filling the gallery", 0.2 * first / config.people)
            with gallery.file.change():
                for number in range(first, min(first + FILLED_AT_ONCE, config.people)):
                    _enroll(gallery, f"person {number}", rows())
    with _fleet(config.robots, url, folder, progress) as (robots, start_s), PostgresWatch(url, server) as watch:
        copied_s = _copies(robots, url, watch.newest_change())
        progress("nothing happens", 0.4)
        idle = watch.while_(lambda: time.sleep(min(20.0, config.seconds / 2)))
        progress("changes", 0.5)
        made: list[tuple[int, float, float]] = []
        watch.forget_statements()
        load = watch.while_(lambda: made.extend(_changes(config, robots, rows)))
        behind_s = _copies(robots, url, made[-1][0])
        everywhere = _known_everywhere(robots, made)
        follow_s = [took for robot in robots for took in robot.follow_s]
        heaviest = watch.heaviest()
        progress("the server is restarted", 0.9)
        storm = _storm(server, robots, rows) if server else None
        with Gallery(url) as gallery:
            view = GalleryView(gallery, MODEL, 1)
            problems = gallery.check()
        seen = {robot.ask("people") for robot in robots}
        if seen != {_people_of(view)} or problems:
            raise RuntimeError(f"robots know other people than the gallery holds, or it is damaged: {problems}")
    minutes = (made[-1][2] - made[0][1]) / 60
    return {
        **{name: getattr(config, name) for name in config.__dataclass_fields__ if name != "dsn"},
        "changes": len(made),
        "changes_made_per_minute": round(len(made) / minutes, 1),
        "known_everywhere_ms": _spread(everywhere),
        "change_ms": _spread([end - begin for _, begin, end in made]),
        "follow_ms": _spread(follow_s),
        "start_s": round(float(np.median(start_s)), 2),
        "first_copies_s": copied_s,
        "copies_behind_s": behind_s,
        "server_idle": idle,
        "server": load,
        "heaviest_ms_per_minute": {words: round(taken / minutes, 1) for words, taken in heaviest.items()},
        "storm": storm,
        "embeddings": "made up; processes that use the gallery as the recognizer does, without ROS",
        "machine": machine(),
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "max": round(max(seconds) * 1e3, 1)}


@contextmanager
def _fleet(count: int, url: str, folder: Path, progress: Progress) -> Iterator[tuple[list[_Robot], list[float]]]:
    """Robots, started one after the other, and what each start took, s."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])  # what is imported is imported once
    robots: list[_Robot] = []
    start_s = []
    try:
        for number in range(count):
            progress("starting robots", 0.2 + 0.2 * number / count)
            home = folder / f"robot_{number}"
            home.mkdir()
            ours, theirs = context.Pipe()
            words = url, str(home), theirs, number / count * FRAME_S
            process = context.Process(target=_robot, args=words, daemon=True)
            process.start()
            theirs.close()
            if not ours.poll(LIMIT_S):
                raise RuntimeError(f"robot {number} did not start within {LIMIT_S:.0f} s")
            robots.append(_Robot(process, ours, home))
            start_s.append(robots[-1].answer())
        yield robots, start_s
        for robot in robots:
            robot.pipe.send(("end",))
            robot.process.join(LIMIT_S)
    finally:
        for robot in robots:
            robot.process.kill()


def _changes(
    config: FleetBenchmark, robots: list[_Robot], rows: Callable[[], Float32]
) -> Iterator[tuple[int, float, float]]:
    """Make changes at one robot after the other: number, when asked for and when answered (monotonic, s) of each."""
    every_s, began = 60.0 / config.changes_per_minute, time.monotonic()
    for number in range(max(1, round(config.seconds / every_s))):
        time.sleep(max(0.0, began + number * every_s - time.monotonic()))
        kind, turn = number % 3, number // 3
        words = (
            ("enroll", f"newcomer {turn}", rows()),
            ("rename", f"newcomer {turn}", f"known as {turn}"),
            ("remove", f"known as {turn}", None),
        )[kind]
        yield robots[number % len(robots)].ask("change", *words)


def _known_everywhere(robots: list[_Robot], made: list[tuple[int, float, float]]) -> list[float]:
    """From the answer to a change until the last robot knows of it, s, of each."""
    deadline = time.monotonic() + LIMIT_S
    for robot in robots:
        while robot.hear().knew(made[-1][0]) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"a robot did not hear of change {made[-1][0]} within {LIMIT_S:.0f} s: {robot.problem}"
                )
            time.sleep(FRAME_S)
    return [max(0.0, *(robot.knew(change) - answered for robot in robots)) for change, _, answered in made]  # type: ignore[operator]


def _copies(robots: list[_Robot], url: str, change: int) -> float:
    """Seconds until the copy of every robot holds a change."""
    began = time.monotonic()
    for robot in robots:
        place = robot.home / copy_of(url).relative_to(Path.home())
        while _newest_in(place) < change:
            if time.monotonic() - began > LIMIT_S * 5:
                raise RuntimeError(f"the copy {place} does not hold change {change}")
            time.sleep(FRAME_S)
    return round(time.monotonic() - began, 1)


def _newest_in(place: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as copy:
            return int(copy.execute("SELECT coalesce(max(id), 0) FROM audit").fetchone()[0])
    except sqlite3.Error:
        return -1  # not there yet, or just being written


def _storm(server: PostgresServer, robots: list[_Robot], rows: Callable[[], Float32]) -> dict[str, Any]:
    """The server is restarted: how long until all robots see it again, and what it sees of them."""
    before = server.log.read_text(encoding="utf-8").count("connection received")
    server.stop()
    time.sleep(DOWN_S)
    noticed = [bool(robot.hear().problem) for robot in robots]
    server.start()
    began = time.monotonic()
    while any([robot.hear().problem for robot in robots]):
        if time.monotonic() - began > LIMIT_S:
            raise RuntimeError(f"robots do not find the server again: {[robot.problem for robot in robots]}")
        time.sleep(FRAME_S / 2)
    back_s = time.monotonic() - began
    change = robots[0].ask("change", "enroll", "after the storm", rows())
    everywhere = _known_everywhere(robots, [change])
    log = server.log.read_text(encoding="utf-8")
    return {
        "down_s": DOWN_S,
        "noticed": sum(noticed),
        "all_back_s": round(back_s, 2),
        "next_change_known_everywhere_ms": round(everywhere[0] * 1e3, 1),
        "connections_received": log.count("connection received") - before,
    }
