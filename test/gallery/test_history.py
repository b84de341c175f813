"""Splitting, disabling, expiring, undoing, and files of the first layout."""

import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from galleries import MODEL, enroll, rows

from emgait_ros.gallery import schema
from emgait_ros.gallery.history import UndoStep, asked_by
from emgait_ros.gallery.layout import STEPS
from emgait_ros.gallery.store import Gallery
from emgait_ros.recognition.calibration import calibrate_threshold


def state(gallery):
    """Everything but the audit log."""
    found = gallery.templates_for(MODEL)
    kept = sorted(
        (found.names[identity], row.tobytes())
        for identity, row in zip(found.identity_id.tolist(), found.embedding, strict=True)
    )
    return [(p.identity_id, p.name, p.enrolled_ns, p.templates, p.disabled) for p in gallery.identities()], kept


@pytest.fixture(params=[None, b"k" * 32], ids=["plain", "encrypted"])
def gallery(place, request):
    with Gallery(place, key=request.param) as opened:
        enroll(opened, "Anna", rows(1, 3))
        enroll(opened, "Ben", 2)
        yield opened


@pytest.mark.parametrize(
    "change",
    [
        lambda gallery: enroll(gallery, "Anna", 5),
        lambda gallery: enroll(gallery, "Cleo", 5),
        lambda gallery: gallery.rename("Anna", "Annabel"),
        lambda gallery: gallery.rename("Anna", "Ben"),  # merged
        lambda gallery: gallery.split("Anna", [gallery.templates_of("Anna")[1].template_id], "Anne"),
        lambda gallery: gallery.set_disabled("Ben", True),
    ],
)
def test_every_change_can_be_undone(gallery, change):
    before = state(gallery)
    change(gallery)
    assert state(gallery) != before
    assert gallery.undo().startswith("undone: ")
    assert state(gallery) == before
    assert gallery.history.audit()[-1].action == "undo"
    assert gallery.check() == []


def test_undoing_goes_back_step_by_step_and_stops_at_a_removal(gallery):
    gallery.rename("Anna", "A")
    gallery.rename("A", "AA")
    gallery.undo()
    gallery.undo()
    assert [p.name for p in gallery.identities()] == ["Anna", "Ben"]
    gallery.remove("Anna")
    gallery.undo()  # Ben's enrolment is all that is left to undo
    assert gallery.identities() == []
    with pytest.raises(ValueError, match="there is no change to undo: a removal is final"):
        gallery.undo()


def test_of_a_removed_person_nothing_is_kept_for_undoing_whoever_they_were_before(gallery):
    enroll(gallery, "Cleo", 7)
    left = gallery.file.rows("SELECT change FROM undo WHERE change <= 2")
    for old, new in (("Anna", "Annabel"), ("Annabel", "Cleo"), ("Cleo", "Clara"), ("Clara", "Dora"), ("Dora", "Clara")):
        gallery.rename(old, new)  # the second merges
    enroll(gallery, "Eve", 8)
    gallery.rename("Clara", "Eve")
    gallery.remove("Eve")
    assert gallery.file.rows("SELECT change FROM undo") == left[1:], "Ben's enrolment"
    assert gallery.undo().startswith("undone: enroll of 'Ben'")


def test_a_merge_is_undone_also_when_its_templates_are_gone(gallery):
    gallery.rename("Anna", "Ben")
    moved = [item.template_id for item in gallery.templates_of("Ben")[:3]]
    gallery.split("Ben", moved[:2], "Cleo")
    gallery.remove("Cleo")
    gallery.undo()
    assert [(person.name, person.templates) for person in gallery.identities()] == [("Anna", 1), ("Ben", 2)]


@pytest.mark.parametrize(
    ("caller", "noted"),
    [
        ("console", "to 'A' (by console)"),
        ("", "to 'A'"),
        # nothing that breaks a line of the log, or makes it long
        (" a\nb\x1b[31m ", "to 'A' (by ab[31m)"),
        ("x" * 1000, f"to 'A' (by {'x' * 64})"),
    ],
)
def test_who_asked_is_in_the_audit_log(gallery, caller, noted):
    with asked_by(caller):
        gallery.rename("Anna", "A")
    gallery.rename("A", "Ann")
    assert [entry.detail for entry in gallery.history.audit()[-2:]] == [noted, "to 'Ann'"]


def test_who_asked_for_an_enrolment_over_time_is_known_in_the_thread_that_stores(gallery):
    with asked_by("console"):
        step = UndoStep()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(enroll, gallery, "Cleo", 10, step=step).result()
    assert gallery.history.audit()[-1].detail.endswith("(by console)")
    with asked_by("fleet"):
        assert "(by console)" in gallery.undo()
    assert gallery.history.audit()[-1].detail.endswith("(by console) (by fleet)")


def test_what_is_stored_in_parts_is_taken_back_at_once(gallery):
    before = state(gallery)
    cleo, ben = UndoStep(), UndoStep()
    for part in range(3):  # two walks at the same time
        enroll(gallery, "Cleo", 10 + part, step=cleo)
        enroll(gallery, "Ben", 20 + part, step=ben)
    assert gallery.undo().endswith("and of 2 more")
    assert [(p.name, p.templates) for p in gallery.identities()] == [("Anna", 3), ("Ben", 2), ("Cleo", 6)]
    assert gallery.undo().endswith("and of 2 more")
    assert state(gallery) == before


@pytest.mark.parametrize("change", [("Cleo", "Clara"), ("Cleo", "Ben")])
def test_a_change_in_the_middle_of_a_walk_is_taken_back_before_its_beginning(gallery, change):
    before, step = state(gallery), UndoStep()
    enroll(gallery, "Cleo", 10, step=step)
    gallery.rename(*change)  # Ben's: merged
    enroll(gallery, "Cleo", 11, step=step)
    enroll(gallery, "Cleo", 12, step=step)
    assert gallery.undo().endswith("and of 1 more")
    assert "Cleo" not in {p.name for p in gallery.identities()}
    gallery.undo()
    assert {p.name: p.templates for p in gallery.identities()}["Cleo"] == 2
    gallery.undo()
    assert state(gallery) == before


def test_undo_does_not_take_a_name_that_is_used_again(gallery):
    gallery.rename("Anna", "Annabel")
    with gallery.file.change() as connection:  # somebody else under the old name, without an undo entry
        connection.execute("UPDATE identities SET name = ? WHERE id = 2", (gallery.file.codec.text("Anna"),))
    with pytest.raises(ValueError, match="somebody else is called 'Anna' by now"):
        gallery.undo()
    assert [p.name for p in gallery.identities()] == ["Anna", "Annabel"]


def test_a_disabled_person_is_listed_but_never_compared(gallery):
    assert gallery.set_disabled("Anna", True)
    assert not gallery.set_disabled("Anna", True)
    assert [p.disabled for p in gallery.identities()] == [True, False]
    assert set(gallery.templates_for(MODEL).names.values()) == {"Ben"}
    assert gallery.set_disabled("Anna", False)
    assert set(gallery.templates_for(MODEL).names.values()) == {"Anna", "Ben"}


@pytest.mark.parametrize(
    ("numbers", "new", "said"),
    [
        ([], "Eve", "name some of them, not all"),
        ([1, 2, 3], "Eve", "name some of them, not all"),
        ([4], "Eve", "'Anna' has the templates 1, 2, 3"),  # Ben's
        ([1], "Ben", "'Ben' is enrolled already"),
        ([1], " ", "empty or only blanks"),
    ],
)
def test_splits_refused(gallery, numbers, new, said):
    before = state(gallery)
    with pytest.raises(ValueError, match=said):
        gallery.split("Anna", numbers, new)
    assert state(gallery) == before


def test_calibration_belongs_to_a_model_and_the_newest_counts(gallery):
    assert gallery.calibration(MODEL) is None
    first = calibrate_threshold(np.array([0.1, 0.2]), np.linspace(0.5, 2, 200), 0.01)
    second = calibrate_threshold(np.array([0.1, 0.2]), np.linspace(0.4, 2, 200), 0.01)
    before = gallery.history.last_change()
    gallery.set_calibration(MODEL, first)
    assert gallery.calibration(MODEL) == first
    gallery.set_calibration(MODEL, second)
    assert gallery.calibration(MODEL) == second
    assert gallery.calibration("b" * 64) is None
    assert gallery.history.last_change() == before + 2  # recognizers notice


def first_layout(path, monkeypatch):
    """A file as the first version wrote it: two people, one of whom was the last and is removed again."""
    with monkeypatch.context() as patched:
        patched.setattr(schema, "STEPS", STEPS[:1])
        connection = schema.connect(path)
    blob = rows(9, 1)[0].tobytes()
    now = time.time_ns()
    for number, name in ((1, "Anna"), (2, "Zoë '; --"), (3, "Gone")):
        connection.execute("INSERT INTO identities (name, enrolled_ns) VALUES (?, ?)", (name, now))
        values = (number, MODEL, 4, 8, blob, zlib.crc32(blob), 30, 3, 10.0, now)
        connection.execute(
            "INSERT INTO templates (identity_id, fingerprint, parts, dimensions, embedding, checksum, samples, modalities,"
            " median_range_m, created_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        log = "INSERT INTO audit (at_ns, action, identity_id, name, detail) VALUES (?, 'enroll', ?, ?, '')"
        connection.execute(log, (now, number, name))
    connection.execute("DELETE FROM identities WHERE id = 3")
    connection.close()


def test_a_file_of_the_first_layout_keeps_everything(tmp_path, monkeypatch):
    path = tmp_path / "gallery.db"
    first_layout(path, monkeypatch)
    with Gallery(path) as gallery:
        assert [(p.identity_id, p.name, p.templates) for p in gallery.identities()] == [
            (1, "Anna", 1),
            (2, "Zoë '; --", 1),
        ]
        np.testing.assert_array_equal(gallery.templates_for(MODEL).embedding, rows(9, 1).repeat(2, axis=0))
        assert [entry.action for entry in gallery.history.audit()] == ["enroll"] * 3
        assert gallery.check() == []
        enroll(gallery, "Dan")
        assert {p.name: p.identity_id for p in gallery.identities()}["Dan"] == 4  # 3 is never used again
        with pytest.raises(schema.GalleryError, match="append only"), gallery.file.change() as connection:
            connection.execute("DELETE FROM audit")
