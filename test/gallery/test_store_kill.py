"""kill -9 at random moments: every answered change is there afterwards, and no half one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from emgait_ros.gallery.store import Gallery
from emgait_ros.samples import Modality

MODEL = "a" * 64
KILLS, OPERATIONS = 25, 1000


def operation(index):
    """The index-th change of a fixed sequence over eight names."""
    chosen = random.Random(index)
    kind = chosen.choice(["enroll", "enroll", "enroll", "rename", "remove"])
    return kind, f"n{chosen.randrange(8)}", f"n{chosen.randrange(8)}", 1 + chosen.randrange(4)


def apply_to_gallery(gallery, index):
    kind, name, other, count = operation(index)
    try:
        if kind == "enroll":
            rows = np.random.default_rng(index).normal(size=(count, 16, 64)).astype(np.float32)
            gallery.enroll(name, rows, MODEL, samples=[10] * count, modalities=Modality.BOTH, median_range_m=9.0)
        elif kind == "rename":
            gallery.rename(name, other)
        else:
            gallery.remove(name)
    except ValueError as error:
        if "nobody called" not in str(error):
            raise


def apply_to_model(people, index):
    """The same change on a plain dict of name -> number of templates."""
    kind, name, other, count = operation(index)
    people = dict(people)
    if kind == "enroll":
        people[name] = people.get(name, 0) + count
    elif name in people and kind == "remove":
        del people[name]
    elif name in people and other != name:
        people[other] = people.get(other, 0) + people.pop(name)
    return people


def child(path, start):
    """Change after change, each answered on stdout once it is done."""
    gallery = Gallery(path)
    print("open", flush=True)
    for index in range(start, OPERATIONS):
        apply_to_gallery(gallery, index)
        print(index, flush=True)


def test_kill_at_any_moment(tmp_path):
    path, delays = tmp_path / "gallery.db", random.Random(5)
    people, done, kills = {}, 0, 0
    while done < OPERATIONS:
        process = subprocess.Popen(
            [sys.executable, __file__, str(path), str(done)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        if kills < KILLS:
            if process.stdout.readline() == "open\n":
                time.sleep(delays.uniform(0.0, 0.04))
            process.send_signal(signal.SIGKILL)
            kills += 1
        answers = [int(line) for line in process.communicate()[0].split() if line.isdigit()]
        for index in answers:
            people = apply_to_model(people, index)
        done = answers[-1] + 1 if answers else done
        with Gallery(path) as gallery:
            assert gallery.check() == []
            found = {person.name: person.templates for person in gallery.identities()}
            gallery.templates_for(MODEL)  # all bytes as they were stored
        if found != people:  # the change that was under way may be in, whole
            people = apply_to_model(people, done)
            assert found == people
            done += 1
    assert kills == KILLS
    assert done == OPERATIONS


def test_kill_while_it_is_created(tmp_path):
    """Whatever is left after a kill during creation, the next start works."""
    for attempt in range(6):
        path = tmp_path / str(attempt) / "gallery.db"
        code = f"from emgait_ros.gallery.store import Gallery; print('go', flush=True); Gallery({str(path)!r}); print('made', flush=True)"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        process.stdout.readline()
        time.sleep(attempt * 0.002)
        process.kill()
        process.communicate()
        with Gallery(path) as gallery:
            assert gallery.identities() == []
            assert gallery.check() == []


if __name__ == "__main__":
    child(sys.argv[1], int(sys.argv[2]))
