"""Encrypted rows given to somebody else by somebody without the key: noticed, left out, and nobody else is affected."""

import zlib

import numpy as np
import pytest
from galleries import MODEL, enroll, rows

from emgait_ros.gallery import file
from emgait_ros.gallery.database import open_database
from emgait_ros.gallery.encryption import Cipher
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import Gallery
from emgait_ros.recognition.view import GalleryView

KEY = b"k" * 32
WALK = b"points and pictures"


def fill(place, key=KEY):
    with Gallery(place, key=key) as gallery:
        for seed, name in enumerate(("Anna", "Ben", "Cleo"), 1):
            enroll(gallery, name, seed, created_ns=seed, walk=WALK + name.encode())


def tamper(place, *statements):
    with Gallery(place, key=KEY) as gallery:
        for statement in statements:
            gallery.file.connection.execute(statement)


SWAPS = {
    "templates": ("UPDATE templates SET identity_id = 3 - identity_id WHERE identity_id < 3",),
    "names": (
        "UPDATE identities SET name = name || 'x' WHERE id < 3",
        "UPDATE identities SET name = (SELECT substr(o.name, 1, length(o.name) - 1) FROM identities o WHERE o.id = 3 - identities.id)"
        " WHERE id = 1",
        "UPDATE identities SET name = 'other' WHERE id = 2",
    ),
    "names and seals": (
        "CREATE TEMP TABLE kept AS SELECT id, name, seal FROM identities",
        "UPDATE identities SET name = name || 'x' WHERE id < 3",
        "UPDATE identities SET name = (SELECT k.name FROM kept k WHERE k.id = 3 - identities.id),"
        " seal = (SELECT k.seal FROM kept k WHERE k.id = 3 - identities.id) WHERE id < 3",
    ),
    "times": ("UPDATE templates SET created_ns = 3 - created_ns WHERE created_ns < 3",),
}


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
def test_what_was_given_to_somebody_else_is_left_out(place, swap):
    fill(place)
    tamper(place, *swap)
    with Gallery(place, key=KEY) as gallery:
        found = gallery.templates_for(MODEL)
        assert (found.names, set(found.left_out)) == ({3: "Cleo"}, {1, 2})
        np.testing.assert_array_equal(found.embedding, rows(3))
        assert len([problem for problem in gallery.check() if "without the key" in problem]) == 4  # templates
        view = GalleryView(gallery, MODEL, 3)
        assert view.matcher.identities == 1
        assert "by somebody without the key, and is not used" in view.note
        with pytest.raises(GalleryError, match="without the key"):
            gallery.templates.walk(1)
        assert gallery.templates.walk(3)[2] == WALK + b"Cleo"
        gallery.remove("Cleo")
        view.follow()
        assert "without the key" in view.empty_reason


def test_a_name_put_on_somebody_else_takes_no_change_but_removal(place):
    fill(place)
    tamper(place, *SWAPS["names and seals"])
    with Gallery(place, key=KEY) as gallery:
        for change in (
            lambda: gallery.rename("Anna", "Annabel"),
            lambda: gallery.rename("Cleo", "Anna"),
            lambda: enroll(gallery, "Anna", 1),
        ):
            with pytest.raises(GalleryError, match="the name 'Anna' was put there"):
                change()
        gallery.remove("Anna")
        gallery.remove("Ben")
        assert gallery.check() == []


@pytest.mark.parametrize("swap", ["templates", "times"])
def test_without_a_key_nothing_is_bound(place, swap):
    fill(place, key=None)
    tamper(place, *SWAPS[swap])
    with Gallery(place) as gallery:
        assert gallery.templates_for(MODEL).left_out == {}


def made_older(place, key):
    """What a version before layout 5 left: templates bound to their model alone, names not sealed."""
    cipher = Cipher(key)
    with Gallery(place, key=key) as gallery, gallery.file.change() as connection:
        for number, identity, created in connection.execute(
            "SELECT id, identity_id, created_ns FROM templates"
        ).fetchall():
            stored = connection.execute("SELECT embedding FROM templates WHERE id = ?", (number,)).fetchone()[0]
            blob = cipher.data(cipher.read_data(stored, f"template {MODEL} {identity} {created}"), MODEL)
            values = (blob, zlib.crc32(blob), number)
            connection.execute("UPDATE templates SET embedding = ?, checksum = ? WHERE id = ?", values)
        for (number,) in connection.execute("SELECT created_ns FROM saved_walks").fetchall():
            query = "SELECT content FROM saved_walks WHERE created_ns = ?"
            plain = cipher.read_data(connection.execute(query, (number,)).fetchone()[0], f"saved walk {number}")
            values = (cipher.data(plain, "saved walk"), number)
            connection.execute("UPDATE saved_walks SET content = ? WHERE created_ns = ?", values)
        connection.execute("UPDATE identities SET seal = ''")
        old = cipher.text(file._OLDER_KEY_TEXT)
        connection.execute("UPDATE properties SET value = ? WHERE name = 'encryption'", (old,))


def test_an_older_encrypted_gallery_is_bound_when_it_is_opened(place):
    fill(place)
    made_older(place, KEY)
    with Gallery(place, key=KEY) as gallery, Gallery(place, key=KEY) as other:
        found = gallery.templates_for(MODEL)
        np.testing.assert_array_equal(found.embedding, np.concatenate([rows(seed) for seed in (1, 2, 3)]))
        assert found.left_out == {}
        assert gallery.check() == []
        assert gallery.templates.walk(2)[2] == WALK + b"Ben"
        other.rename("Anna", "Annabel")
        assert gallery.check() == []
    tamper(place, *SWAPS["templates"])
    with Gallery(place, key=KEY) as gallery:
        assert set(gallery.templates_for(MODEL).left_out) == {1, 2}


def test_an_older_gallery_with_a_changed_template_opens(place):
    fill(place)
    made_older(place, KEY)
    blob = Cipher(b"o" * 32).data(rows(1)[0].tobytes(), MODEL)
    database = open_database(place, create=False)  # without the binding that opening a gallery does
    database.execute("UPDATE templates SET embedding = ?, checksum = ? WHERE id = 1", (blob, zlib.crc32(blob)))
    database.close()
    with Gallery(place, key=KEY) as gallery:
        found = gallery.templates_for(MODEL)
        assert set(found.left_out) == {1}
        assert len(found.embedding) == 5
