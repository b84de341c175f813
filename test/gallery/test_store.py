"""Enrolling, listing, renaming, merging and removing; what a restart finds."""

import sqlite3
import stat
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from galleries import MODEL, enroll, rows

from emgait_ros.gallery import schema
from emgait_ros.gallery.names import LookAlikeNameError
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import Gallery
from emgait_ros.samples import Modality

OTHER_MODEL = "b" * 64


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "gallery.db"


@pytest.fixture
def gallery(path):
    """In a file."""
    with Gallery(path) as opened:
        yield opened


@pytest.fixture
def either(place):
    """In a file, and in PostgreSQL."""
    with Gallery(place) as opened:
        yield opened


def test_a_restart_finds_everything(place):
    with Gallery(place) as gallery:
        assert enroll(gallery, "Anna", rows(1, 3)) == 3
        assert enroll(gallery, "Ben", rows(2, 1), modalities=Modality.POINTS) == 1
        assert enroll(gallery, "Anna", rows(3, 2)) == 5
        before = gallery.identities()
    with Gallery(place) as gallery:
        assert gallery.identities() == before
        assert [(person.name, person.templates, person.samples) for person in before] == [
            ("Anna", 5, 30),
            ("Ben", 1, 30),
        ]
        found = gallery.templates_for(MODEL)
        np.testing.assert_array_equal(found.embedding, np.concatenate([rows(1, 3), rows(2, 1), rows(3, 2)]))
        assert [found.names[identity] for identity in found.identity_id] == ["Anna"] * 3 + ["Ben"] + ["Anna"] * 2
        assert found.modalities.tolist() == [3, 3, 3, 2, 3, 3]
        assert gallery.check() == []


@pytest.mark.parametrize(
    "name", ["Anna B.", "👩‍🚀", "Robert'); DROP TABLE identities;--", "%_\"'", "山田太郎", "x" * 64]
)
def test_any_sensible_name(either, name):
    gallery = either
    enroll(gallery, name)
    assert [person.name for person in gallery.identities()] == [name]
    assert gallery.rename(name, "Ben").templates == 2
    assert gallery.rename("Ben", name).templates == 2
    assert gallery.remove(name) == 2
    assert gallery.identities() == []


def test_two_spellings_of_a_name_are_one_person(either):
    gallery = either
    enroll(gallery, "Zoë")
    assert enroll(gallery, " Zoe\u0308 ") == 4
    assert gallery.remove("Zoe\u0308") == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda gallery: enroll(gallery, " "), "empty or only blanks"),
        (lambda gallery: enroll(gallery, "Eve", np.full((1, 4, 8), np.nan, np.float32)), "not finite"),
        (lambda gallery: enroll(gallery, "Eve", np.zeros((0, 4, 8), np.float32)), r"shape \(0, 4, 8\)"),
        (
            lambda gallery: enroll(gallery, "Eve", np.zeros((2, 5, 8), np.float32)),
            "5x8, but templates of this model .* 4x8",
        ),
        (lambda gallery: enroll(gallery, "Eve", model=""), "without a model fingerprint"),
        (lambda gallery: gallery.remove("Eve"), "nobody called 'Eve' is enrolled: enrolled are 'Anna', 'Ben'"),
        (lambda gallery: gallery.rename("Eve", "Anna"), "nobody called 'Eve'"),
        (lambda gallery: gallery.rename("Anna", "x" * 65), "65 characters"),
        (lambda gallery: gallery.rename("Anna", ""), "empty or only blanks"),
    ],
)
def test_refused_changes_change_nothing(either, change, said):
    gallery = either
    enroll(gallery, "Anna")
    enroll(gallery, "Ben")
    before = (gallery.identities(), gallery.history.audit())
    with pytest.raises(ValueError, match=said):
        change(gallery)
    assert (gallery.identities(), gallery.history.audit()) == before
    assert enroll(gallery, "Anna") == 4  # and the next change works


def test_rename_onto_an_existing_name_merges(either):
    gallery = either
    enroll(gallery, "Anna", rows(1, 2))
    enroll(gallery, "Annie", rows(2, 3))
    first = gallery.identities()[0].enrolled_ns
    outcome = gallery.rename("Anna", "Annie")
    assert (outcome.merged, outcome.templates) == (True, 5)
    [person] = gallery.identities()
    assert (person.name, person.enrolled_ns) == ("Annie", first)  # known since the earlier of the two
    assert len(gallery.templates_for(MODEL).embedding) == 5


def test_a_rename_to_a_name_that_looks_like_another_is_confirmed(either):
    gallery = either
    for name in ("Anna", "Ben"):
        enroll(gallery, name)
    with pytest.raises(LookAlikeNameError, match="looks like 'Anna'"):
        gallery.rename("Ben", "ANNA")
    assert gallery.rename("Anna", "ANNA").merged is False, "another spelling of one's own name is no other person"
    assert gallery.rename("Ben", "Anna", confirm=True).merged is False
    assert [person.name for person in gallery.identities()] == ["ANNA", "Anna"]


def test_rename_to_the_same_name_keeps_the_templates(either):
    gallery = either
    enroll(gallery, "Anna")
    outcome = gallery.rename("Anna", " Anna")
    assert (outcome.merged, outcome.templates) == (False, 2)


def test_models_are_kept_apart(either):
    gallery = either
    enroll(gallery, "Anna", rows(1, 2))
    enroll(gallery, "Anna", np.ones((1, 16, 64), np.float32), model=OTHER_MODEL)  # another shape is fine there
    enroll(gallery, "Ben", rows(3, 1), model="c" * 64)
    assert len(gallery.templates_for(MODEL).embedding) == 2
    assert gallery.templates_for(OTHER_MODEL).embedding.shape == (1, 16, 64)
    assert gallery.templates.other_models(MODEL) == {OTHER_MODEL: 1, "c" * 64: 1}
    assert gallery.identities()[0].templates_by_model == {MODEL: 2, OTHER_MODEL: 1}
    assert gallery.templates_for("d" * 64).embedding.shape == (0, 0, 0)


def test_templates_of_some_identities_only(either):
    gallery = either
    for index in range(3):
        enroll(gallery, f"n{index}", rows(index, 2))
    ids = [person.identity_id for person in gallery.identities()]
    assert set(gallery.templates_for(MODEL, [ids[0], ids[2]]).identity_id) == {ids[0], ids[2]}
    assert len(gallery.templates_for(MODEL, []).identity_id) == 0


def test_removal_leaves_no_bytes_of_the_template(path):
    secret = rows(9, 4)
    with Gallery(path) as gallery:
        enroll(gallery, "Anna")
        enroll(gallery, "Ben", secret)
        assert traces(path, secret) > 0  # the test can see them
        gallery.remove("Ben")
        assert traces(path, secret) == 0  # while open: neither in the file nor in the write-ahead log
    assert traces(path, secret) == 0


def traces(path, templates):
    contents = b"".join(file.read_bytes() for file in path.parent.iterdir())
    return sum(contents.count(row.tobytes()[:32]) for row in templates)


def test_audit_log_only_grows(gallery):
    enroll(gallery, "Anna")
    enroll(gallery, "Ben")
    gallery.rename("Anna", "Annie")
    gallery.rename("Ben", "Annie")
    gallery.remove("Annie")
    assert [(entry.action, entry.name) for entry in gallery.history.audit()] == [
        ("enroll", "Anna"),
        ("enroll", "Ben"),
        ("rename", "Anna"),
        ("merge", "Ben"),
        ("remove", "Annie"),
    ]
    with sqlite3.connect(gallery.place) as connection:
        for statement in ("DELETE FROM audit", "UPDATE audit SET name = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="append only"):
                connection.execute(statement)


def test_changes_are_told_by_number(gallery):
    start = gallery.history.last_change()
    enroll(gallery, "Anna")
    enroll(gallery, "Ben")
    anna, ben = (person.identity_id for person in gallery.identities())
    assert [change.touched for change in gallery.history.since(start + 1)] == [{anna}, {ben}]
    between = gallery.history.last_change()
    gallery.rename("Anna", "Ben")
    before, merged = gallery.history.since(between)
    assert (before.number, before.touched, merged.action, merged.touched) == (between, {ben}, "merge", {anna, ben})
    assert gallery.history.since(gallery.history.last_change() + 1) == []


def test_files_are_for_their_owner_alone(path):
    with Gallery(path) as gallery:
        enroll(gallery, "Anna")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {"gallery.db": 0o600, "gallery.db-wal": 0o600, "gallery.db-shm": 0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    with Gallery(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["gallery.db"]  # closed: all in one file


def test_check_names_a_file_others_can_read(gallery):
    Path(gallery.place).chmod(0o640)
    assert gallery.check() == [f"{gallery.place} can be read by others (mode 0640): chmod 600 it"]


def waited_for(happened, seconds=5.0):
    """Whether it does within some seconds: news from PostgreSQL takes milliseconds."""
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.005)
    return happened()


def test_two_processes_share_a_gallery(place):
    with Gallery(place) as node, Gallery(place) as command_line:
        enroll(node, "Anna")
        before = node.history.last_change()
        command_line.rename("Anna", "Annie")
        assert waited_for(lambda: node.history.last_change() > before)
        assert [person.name for person in node.identities()] == ["Annie"]


def test_a_locked_gallery_says_so_and_recovers(gallery, monkeypatch):
    gallery.file.connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(gallery.place, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(GalleryError, match=r"gallery\.db is being changed by another process .* try again"):
        enroll(gallery, "Anna")
    assert gallery.identities() == []  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    assert enroll(gallery, "Anna") == 2


def test_opening_waits_for_a_writer_of_a_file_without_a_write_ahead_log(path):
    """As a robot's copy is: two robots may open it, and one of them is writing."""
    Gallery(path).close()
    writer = schema.opened(path)
    writer.execute("PRAGMA journal_mode = DELETE")
    writer.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, lambda: (writer.execute("COMMIT"), writer.close())).start()
    with Gallery(path) as gallery:
        assert gallery.identities() == []


def test_many_threads(either):
    """Eight threads enrol, rename, remove and read at once: nothing raised, the counts add up."""
    gallery = either
    errors = []

    def work(thread):
        try:
            for index in range(10):
                enroll(gallery, f"t{thread}-{index}", rows(index, 1))
                enroll(gallery, "everybody", rows(index, 1))
                gallery.templates_for(MODEL)
                if index % 2:
                    gallery.remove(f"t{thread}-{index}")
                else:
                    gallery.rename(f"t{thread}-{index}", f"kept {thread}-{index}")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    people = {person.name: person.templates for person in gallery.identities()}
    assert people.pop("everybody") == 80
    assert people == {f"kept {thread}-{index}": 1 for thread in range(8) for index in range(0, 10, 2)}
    assert gallery.check() == []


def test_older_layout_is_brought_up_to_date(path, monkeypatch):
    with Gallery(path) as gallery:
        enroll(gallery, "Anna")
    monkeypatch.setattr(
        schema, "STEPS", (*schema.STEPS, ("ALTER TABLE identities ADD COLUMN note TEXT NOT NULL DEFAULT ''",))
    )
    with Gallery(path) as gallery:
        assert gallery.file.connection.execute("PRAGMA user_version").fetchone()[0] == len(schema.STEPS)
        assert gallery.file.connection.execute("SELECT name, note FROM identities").fetchall() == [("Anna", "")]
        assert enroll(gallery, "Anna") == 4


def test_a_failing_upgrade_changes_nothing(path, monkeypatch):
    with Gallery(path) as gallery:
        enroll(gallery, "Anna")
    with monkeypatch.context() as patched:
        patched.setattr(
            schema, "STEPS", (*schema.STEPS, ("ALTER TABLE identities ADD COLUMN note TEXT", "SELECT no_such_column"))
        )
        with pytest.raises(GalleryError, match="no such column"):
            Gallery(path)
    with Gallery(path) as gallery:
        assert [person.templates for person in gallery.identities()] == [2]
        columns = [row[1] for row in gallery.file.connection.execute("PRAGMA table_info(identities)")]
        assert "note" not in columns


def test_ten_thousand_names(gallery):
    """Odd names all at once, in one transaction each; listed, found again, compared in memory."""
    with gallery.file.change() as connection:  # one transaction here, to be quick
        for index in range(10_000):
            connection.execute("INSERT INTO identities (name, enrolled_ns) VALUES (?, 0)", (f"n' OR 1=1 --{index} 👣",))
    enroll(gallery, "n' OR 1=1 --77 👣")
    people = gallery.identities()
    assert len(people) == 10_000
    assert [person.name for person in people if person.templates] == ["n' OR 1=1 --77 👣"]
