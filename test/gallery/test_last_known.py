"""A robot whose database is down when it starts, and galleries in whose place another one is put while they are in use."""

import contextlib
import shutil
import sqlite3
import time

import pytest
from galleries import MODEL, enroll

from emgait_ros.config import GalleryConfig
from emgait_ros.gallery import last_known
from emgait_ros.gallery.encryption import write_new_key
from emgait_ros.gallery.last_known import copy_of, open_on_robot
from emgait_ros.gallery.records import Calibration
from emgait_ros.gallery.schema import GalleryError, OutOfReachError
from emgait_ros.gallery.store import Gallery
from emgait_ros.recognition.view import GalleryView


def names(view):
    view.try_to_follow()
    return sorted(view.matcher._names)


def until(happened, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def robot(server, tmp_path, monkeypatch):
    """The options of a robot with a shared gallery; the server runs at the end."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(last_known, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(last_known, "COPY_EVERY_S", 0.1)
    yield lambda key="": GalleryConfig(path=server.url(), key_file=key)
    server.clear()


@pytest.mark.parametrize("encrypted", [False, True])
def test_it_starts_from_its_copy_read_only_and_takes_the_database_when_that_is_back(server, robot, tmp_path, encrypted):
    if encrypted:
        write_new_key(tmp_path / "key")
    config = robot(str(tmp_path / "key") if encrypted else "")
    copy = copy_of(config.path)
    with open_on_robot(config) as gallery:
        enroll(gallery, "Anna", 1)
        enroll(gallery, "Boris", 2)
        gallery.remove("Boris")
        until(lambda: copy.exists() and b"enroll" in copy.read_bytes() and names_in(copy, config) == ["Anna"])
        assert gallery.notice == ""
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert (b"Anna" in copy.read_bytes()) != encrypted
    server.stop()
    try:
        gallery = open_on_robot(config)
        view = GalleryView(gallery, MODEL, 3)
        assert names(view) == ["Anna"]
        assert "cannot be reached" in view.note
        assert "this robot's copy of" in view.note
        with pytest.raises(GalleryError, match=r"nothing was changed: .* cannot be reached"):
            enroll(gallery, "Chen", 3)
    finally:
        server.start()
    until(lambda: (names(view), not gallery.notice)[1])
    enroll(gallery, "Chen", 3)
    assert names(view) == ["Anna", "Chen"]
    until(lambda: names_in(copy, config) == ["Anna", "Chen"])
    gallery.close()


def names_in(copy, config):
    with Gallery(copy, create=False, key=last_known.find_key(config.key_file)) as gallery:
        return [person.name for person in gallery.identities()]


def test_without_a_copy_it_says_what_is_wrong_as_ever(server, robot):
    config = robot()
    server.stop()
    try:
        with pytest.raises(OutOfReachError, match="cannot be reached"):
            open_on_robot(config)
    finally:
        server.start()


def test_a_server_that_refuses_is_not_a_server_that_is_down(robot):
    """Whoever was shut out does not go on with a copy."""
    config = robot()
    with open_on_robot(config) as gallery:
        until(lambda: copy_of(config.path).exists())
    refused = GalleryConfig(path=config.path + "_dropped")
    shutil.copy(copy_of(config.path), copy_of(refused.path))
    with pytest.raises(GalleryError, match="does not exist") as raised:
        open_on_robot(refused)
    assert not isinstance(raised.value, OutOfReachError)
    assert gallery.notice == ""


def test_a_backup_in_the_place_of_the_database_is_what_counts_from_then_on(server, robot):
    config = robot()
    with Gallery(config.path) as gallery, Gallery(config.path) as admin:
        view = GalleryView(gallery, MODEL, 3)
        enroll(gallery, "Anna", 1)
        saved = {t: admin.file.rows(f"SELECT * FROM emgait.{t}") for t in ("identities", "templates", "audit")}
        enroll(gallery, "Boris", 2)
        assert names(view) == ["Anna", "Boris"]
        connection = admin.file.connection
        with admin.file.change(), connection.audit_unlocked():
            for table, rows in saved.items():
                connection.execute(f"DELETE FROM emgait.{table}")
                for row in rows:
                    connection.execute(f"INSERT INTO emgait.{table} VALUES ({', '.join('?' * len(row))})", row)
        until(lambda: names(view) == ["Anna"])
        enroll(admin, "Chen", 3)
        until(lambda: names(view) == ["Anna", "Chen"])


def test_a_backup_in_the_place_of_the_file_is_used_and_nothing_answered_goes_into_the_former(tmp_path):
    place = tmp_path / "gallery.db"
    with Gallery(place) as first, Gallery(place) as second:
        views = [GalleryView(gallery, MODEL, 3) for gallery in (first, second)]
        enroll(first, "Anna", 1)
        backup = first.back_up(tmp_path / "older.db")
        enroll(first, "Boris", 2)
        assert [names(view) for view in views] == [["Anna", "Boris"]] * 2
        backup.replace(place)
        until(lambda: [names(view) for view in views] == [["Anna"]] * 2)
        enroll(second, "Chen", 3)
        enroll(first, "Dilek", 4)
        assert [names(view) for view in views] == [["Anna", "Chen", "Dilek"]] * 2
        place.rename(tmp_path / "away.db")
        with pytest.raises(GalleryError, match="is missing: nothing was changed"):
            enroll(first, "Eve", 5)
        assert names(views[0]) == ["Anna", "Chen", "Dilek"]
        assert "is missing" in views[0].note
        (tmp_path / "away.db").rename(place)
        enroll(first, "Eve", 5)
    with Gallery(place) as gallery:
        assert gallery.check() == []
        assert [person.name for person in gallery.identities()] == ["Anna", "Chen", "Dilek", "Eve"]


def test_a_backup_never_meets_the_log_of_the_file_it_replaces(tmp_path):
    with Gallery(tmp_path / "gallery.db") as gallery:
        enroll(gallery, "Anna", 1)
        copy = gallery.back_up(tmp_path / "copy.db")
        with Gallery(copy) as former:
            enroll(former, "Boris", 2)
            gallery.back_up(copy)
            with Gallery(copy) as fresh:
                assert [person.name for person in fresh.identities()] == ["Anna"]
                assert fresh.check() == []


# How the copy is kept

COPIED = ("identities", "templates", "audit", "properties", "calibrations")
CALIBRATION = Calibration(0.5, 0.01, (0.0, 0.02), 1, 100, 0.9, (0.8, 0.95), 50, 0.95)


def content(path):
    with contextlib.closing(sqlite3.connect(path)) as file:
        return {table: sorted(file.execute(f"SELECT * FROM {table}").fetchall()) for table in COPIED}


@pytest.mark.parametrize("key", [None, b"k" * 32], ids=["plain", "encrypted"])
def test_only_who_was_changed_is_read_again(robot, tmp_path, key):
    copy, whole = tmp_path / "copy.db", tmp_path / "whole.db"
    with Gallery(robot().path, key=key) as gallery:
        for seed, name in enumerate(["Anna", "Boris", "Chen", "Dilek"]):
            enroll(gallery, name, seed)
        gallery.back_up(copy)
        chen = gallery.templates_for(MODEL, [3]).embedding.tobytes()
        changes = (
            lambda: enroll(gallery, "Eve", 5),
            lambda: enroll(gallery, "Anna", 6),
            lambda: gallery.rename("Anna", "Annabel"),
            lambda: gallery.rename("Boris", "Annabel"),
            lambda: gallery.undo(),
            lambda: gallery.split(
                "Annabel", [info.template_id for info in gallery.templates_of("Annabel")][:1], "Fred"
            ),
            lambda: gallery.set_disabled("Dilek", True),
            lambda: gallery.set_calibration(MODEL, CALIBRATION),
            lambda: gallery.remove("Chen"),
            lambda: None,
        )
        for change in changes:
            change()
            assert last_known._took_over(gallery, copy)
            assert content(copy) == content(gallery.back_up(whole))
        assert chen not in copy.read_bytes()
        assert copy.stat().st_mode & 0o777 == 0o600
    with Gallery(copy, key=key) as kept:
        assert kept.check() == []
        assert [person.name for person in kept.identities()] == ["Annabel", "Boris", "Dilek", "Eve", "Fred"]


def damaged(_gallery, copy):
    copy.write_bytes(copy.read_bytes()[:100] + bytes(5000))


def of_another_gallery(gallery, copy):
    with gallery.file.change() as connection, connection.audit_unlocked():
        connection.execute("UPDATE emgait.audit SET at_ns = at_ns + 1")


def many_changed(gallery, _copy):
    with gallery.file.change():
        for number in range(last_known.MANY + 1):
            enroll(gallery, f"person {number}", number)


@pytest.mark.parametrize(
    "fault",
    [
        lambda gallery, copy: copy.unlink(),
        lambda gallery, copy: copy.write_bytes(b""),
        damaged,
        of_another_gallery,
        many_changed,
        lambda gallery, copy: gallery.change_key(b"n" * 32),
    ],
    ids=["gone", "empty", "damaged", "of another gallery", "many changed", "another key"],
)
def test_a_copy_that_cannot_go_on_is_written_anew(robot, tmp_path, fault):
    copy = tmp_path / "copy.db"
    with Gallery(robot().path, key=b"k" * 32) as gallery:
        enroll(gallery, "Anna", 1)
        gallery.back_up(copy)
        fault(gallery, copy)
        assert not last_known._took_over(gallery, copy)
