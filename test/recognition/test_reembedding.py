"""Templates of another model from saved samples; nothing is saved unless it was asked for."""

import numpy as np
import pytest
from made_up_street import CONFIG, BuildEncoder, Street, walk

from emgait_ros.config import WindowConfig, with_options
from emgait_ros.gallery.saved_walks import pack_walk, unpack_walk
from emgait_ros.gallery.store import Gallery
from emgait_ros.recognition.recognizer import GaitRecognizer
from emgait_ros.recognition.reembedding import reembed

SAVING = with_options(CONFIG, {"gallery.save_samples": True})
OLD, NEW = "f" * 64, "e" * 64


def enrolled(gallery, config, names, encoder=None):
    recognizer = GaitRecognizer(config, encoder or BuildEncoder(), gallery)
    for person, name in enumerate(names, 1):
        walk(recognizer, Street(person), {person: person})
        assert recognizer.enroll(name, person).success
        recognizer.forget_tracks()
    return recognizer


@pytest.fixture
def gallery(tmp_path):
    with Gallery(tmp_path / "gallery.db") as opened:
        yield opened


def test_nothing_is_saved_unless_asked_for(gallery):
    enrolled(gallery, CONFIG, ["Anna"])
    assert gallery.templates.walks_without(NEW) == []
    picture = np.full((128, 64, 3), 90, np.uint8).tobytes()[:64]
    report = reembed(gallery, BuildEncoder(NEW), WindowConfig())
    assert (report.walks, report.without) == (0, ["Anna"])
    with open(gallery.place, "rb") as file:
        assert picture not in file.read()


def test_a_new_model_knows_everybody_whose_walk_was_saved(gallery):
    enrolled(gallery, SAVING, ["Anna", "Ben"])
    enrolled(gallery, CONFIG, ["Cleo"])
    before = gallery.templates_for(OLD)
    told = []
    report = reembed(gallery, BuildEncoder(NEW), WindowConfig(), lambda done, total: told.append((done, total)))
    assert (report.walks, report.people, report.without) == (2, ["Anna", "Ben"], ["Cleo"])
    assert told == [(0, 2), (1, 2)]
    made = gallery.templates_for(NEW)
    old = [before.embedding[before.identity_id == i] for i, name in before.names.items() if name != "Cleo"]
    np.testing.assert_array_equal(made.embedding, np.concatenate(old))  # the same network under another name
    assert reembed(gallery, BuildEncoder(NEW), WindowConfig()).walks == 0  # done once
    recognizer = GaitRecognizer(CONFIG, BuildEncoder(NEW), gallery)
    assert walk(recognizer, Street(9), {1: 2})[1].name == "Ben"
    assert gallery.check() == []
    gallery.undo()
    assert len(gallery.templates_for(NEW).identity_id) == 0
    assert len(gallery.templates_for(OLD).identity_id) == len(before.identity_id)


def test_a_removed_persons_walk_is_gone_and_a_merged_ones_goes_along(gallery):
    enrolled(gallery, SAVING, ["Anna", "Ben", "Cleo"])
    gallery.rename("Cleo", "Ben")
    gallery.remove("Anna")
    assert len(gallery.templates.walks_without(NEW)) == 2
    assert reembed(gallery, BuildEncoder(NEW), WindowConfig()).people == ["Ben"]
    gallery.remove("Ben")
    assert gallery.file.connection.execute("SELECT count(*) FROM saved_walks").fetchone()[0] == 0


def test_a_damaged_walk_is_said_and_the_others_are_made(gallery):
    enrolled(gallery, SAVING, ["Anna", "Ben"])
    first = gallery.templates.walks_without(NEW)[0]
    gallery.file.connection.execute("UPDATE saved_walks SET content = ? WHERE created_ns = ?", (b"PK junk", first))
    report = reembed(gallery, BuildEncoder(NEW), WindowConfig())
    assert (report.people, report.without) == (["Ben"], ["Anna"])
    assert "a saved walk is damaged" in report.problems[0]


def test_a_walk_that_is_too_short_for_a_model_is_said_and_the_others_are_made(gallery):
    recognizer = enrolled(gallery, SAVING, ["Anna"])
    walk(recognizer, Street(2), {2: 2}, frames=12)
    assert recognizer.enroll("Ben", 2).success
    report = reembed(gallery, BuildEncoder(NEW, frames=(15, 30)), WindowConfig())
    assert (report.people, report.without) == (["Anna"], ["Ben"])
    assert "12 samples" in report.problems[0]


def test_walks_are_packed_whole():
    street = Street(3)
    walked = [street.pedestrian(1, 1), street.pedestrian(1, 1, crop=None), street.pedestrian(1, 1, points=None)]
    for before, after in zip(walked, unpack_walk(pack_walk(walked)), strict=True):
        for name in ("points", "crop", "center", "size", "velocity"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
        assert (before.range_m, before.point_count) == (after.range_m, after.point_count)
    for junk in (b"", b"hello", pack_walk(walked)[:-30]):
        with pytest.raises(ValueError, match="a saved walk is damaged"):
            unpack_walk(junk)
