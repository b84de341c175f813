"""Another key while the disk is full, and a backup at the same time: one of the keys opens everything."""

import contextlib
import os
import subprocess
import threading

import numpy as np
import pytest
from galleries import MODEL, enroll, rows

from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import Gallery

OLD, NEW = b"k" * 32, b"n" * 32
PEOPLE = [f"person {number}" for number in range(20)]
BLOCK = 16 * 1024


@pytest.fixture
def disk(tmp_path):
    """A file system of the test's own, of 4 MiB."""
    words = ["mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", str(tmp_path)]
    if os.geteuid() or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system takes root, and is not allowed here")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def walked(number):
    return rows(number, 3, (16, 64))


def fill(disk, left):
    """Leave so many bytes."""
    state = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - left)))


def attempt(action):
    with contextlib.suppress(GalleryError):
        return action()
    return None


def key_of(path):
    """The one key that opens a gallery; everything is in it."""
    opened = []
    for key in (OLD, NEW):
        with contextlib.suppress(GalleryError), Gallery(path, create=False, key=key) as gallery:
            assert sorted(person.name for person in gallery.identities()) == sorted(PEOPLE)
            found = gallery.templates_for(MODEL).embedding
            np.testing.assert_array_equal(found, np.concatenate([walked(number) for number in range(len(PEOPLE))]))
            assert gallery.check() == []
            opened.append(key)
    (key,) = opened
    return key


def test_nothing_is_lost_however_little_room_there_is(disk, caplog):
    path, copy, seen = disk / "gallery.db", disk / "copy.db", set()
    with Gallery(path, key=OLD) as gallery:
        for number, name in enumerate(PEOPLE):
            enroll(gallery, name, walked(number))
        gallery.back_up(copy)
        gallery.back_up()
    key, other = OLD, NEW
    for left in range(0, 120 * BLOCK, 5 * BLOCK):
        caplog.clear()
        with Gallery(path, key=key) as gallery, Gallery(path, key=key) as second:
            fill(disk, left)
            backup = threading.Thread(target=attempt, args=(lambda own=second: own.back_up(copy),))
            backup.start()
            changed = attempt(lambda own=gallery, key=other: own.change_key(key))
            backup.join()
            if changed is None:  # who has it open goes on
                assert len(second.identities()) == len(gallery.identities()) == len(PEOPLE)
        (disk / "filler").unlink()
        assert changed in (None, 3 * len(PEOPLE))
        seen.add((changed is not None, "could not be written anew" in caplog.text))
        if changed:
            key, other = other, key
        assert key_of(path) == key
        beside = disk / "gallery.db.backup"
        assert not beside.exists() or key_of(beside) == key
        key_of(copy)
        with Gallery(path, key=key) as gallery:
            gallery.back_up()
    assert seen == {(False, False), (True, True), (True, False)}
