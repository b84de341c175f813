"""kill -9 at random moments: every answered change is there afterwards, and no half one."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from emgait_ros.gallery.schema import GalleryError
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


KEYS = (b"1" * 32, b"2" * 32)


class WrongKeyGiven(Exception):
    """The gallery is fine, but under another key."""


def opened(path, key):
    try:
        return Gallery(path, key=key)
    except GalleryError as error:
        if "another key" in str(error):
            raise WrongKeyGiven from error
        raise


def change_keys(path):
    """One key after the other, each answered, with a backup beside the gallery that follows."""
    turn = 0
    gallery = Gallery(path, key=KEYS[0])
    print("open", flush=True)
    while True:
        turn += 1
        gallery.change_key(KEYS[turn % 2])
        print(turn, flush=True)


def test_kill_while_the_key_is_changed(tmp_path):
    """Afterwards everything is there under exactly one of the two keys, the last answered one or the one under way."""
    path, delays = tmp_path / "gallery.db", random.Random(3)
    with Gallery(path, key=KEYS[0]) as gallery:
        for index in range(30):
            rows = np.random.default_rng(index).normal(size=(2, 16, 64)).astype(np.float32)
            gallery.enroll(f"n{index}", rows, MODEL, samples=[10] * 2, modalities=Modality.BOTH, median_range_m=9.0)
        gallery.back_up()
        whole = gallery.templates_for(MODEL).embedding
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, __file__, str(path), "keys"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert process.stdout.readline() == "open\n"
        time.sleep(delays.uniform(0.0, 0.15))
        process.kill()
        answered = max((int(line) for line in process.communicate()[0].split()), default=0)
        fitting = []
        for key in KEYS:
            with contextlib.suppress(WrongKeyGiven), opened(path, key) as gallery:
                assert gallery.check() == []
                np.testing.assert_array_equal(gallery.templates_for(MODEL).embedding, whole)
                fitting.append(key)
        with opened(path, fitting[0]) as gallery:
            gallery.change_key(KEYS[0])
        assert fitting in ([KEYS[answered % 2]], [KEYS[(answered + 1) % 2]])
        assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".new")] == []  # nothing is left over
        with Gallery(f"{path}.backup", key=KEYS[0]) as backup:
            assert len(backup.identities()) == 30


if __name__ == "__main__":
    change_keys(sys.argv[1]) if sys.argv[2] == "keys" else child(sys.argv[1], int(sys.argv[2]))
