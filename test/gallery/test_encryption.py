"""Nothing readable without the key; a sentence for every key that does not fit."""

import base64
import sqlite3

import numpy as np
import pytest
from galleries import MODEL, enroll, rows

from emgait_ros.gallery.encryption import KEY_VARIABLE, Cipher, WrongKeyError, find_key, write_new_key
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import Gallery

KEY, OTHER = b"1" * 32, b"2" * 32
NAMES = ["Annabel Longname", "Benedikt 👣", "Robert'); DROP TABLE identities;--"]


def fill(path, key):
    with Gallery(path, key=key) as gallery:
        for seed, name in enumerate(NAMES):
            enroll(gallery, name, seed)
        gallery.rename(NAMES[0], "Annabel Newname")
        gallery.rename("Annabel Newname", NAMES[0])


def bytes_of(path):
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def shows(path):
    """Which of the secrets can be read in the gallery's files."""
    content = bytes_of(path)
    secrets = {name: name.encode() for name in [*NAMES, "Annabel Newname"]}
    secrets |= {f"template {seed}": rows(seed)[1].tobytes()[:64] for seed in range(len(NAMES))}
    return {secret for secret, value in secrets.items() if value in content}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gallery.db"


def test_names_and_templates_are_not_in_the_file(path, tmp_path):
    fill(path, KEY)
    assert shows(path) == set()
    fill(tmp_path / "plain" / "gallery.db", None)
    assert NAMES[1] in shows(tmp_path / "plain" / "gallery.db")  # the search finds what is there
    with Gallery(path, key=KEY) as gallery:
        assert gallery.encrypted
        assert [person.name for person in gallery.identities()] == sorted(NAMES)
        found = gallery.templates_for(MODEL)
        np.testing.assert_array_equal(found.embedding, np.concatenate([rows(seed) for seed in range(3)]))
        assert gallery.history.audit()[-1].detail == f"to '{NAMES[0]}'"
        assert gallery.check() == []


@pytest.mark.parametrize(
    ("key", "said"),
    [(None, "is encrypted: set gallery.key_file"), (OTHER, "was encrypted with another key than this one")],
)
def test_no_key_and_a_wrong_key(path, key, said):
    fill(path, KEY)
    before = path.read_bytes()
    with pytest.raises(GalleryError, match=said) as raised:
        Gallery(path, key=key)
    assert str(path) in str(raised.value)
    assert path.read_bytes() == before


def test_a_changed_byte_is_found(path):
    fill(path, KEY)
    with sqlite3.connect(path) as connection:
        blob = bytearray(connection.execute("SELECT embedding FROM templates WHERE id = 3").fetchone()[0])
        blob[40] ^= 1
        connection.execute("UPDATE templates SET embedding = ? WHERE id = 3", (bytes(blob),))
    with Gallery(path, key=KEY) as gallery:
        assert f"a template of '{NAMES[1]}' is damaged" in gallery.check()[0]
        found = gallery.templates_for(MODEL)
        assert f"a template of '{NAMES[1]}' is damaged" in found.left_out[2]
        assert len(found.embedding) == 5


def test_a_template_moved_to_another_model_is_found(path):
    """Also when the checksum fits: the bytes are bound to their model."""
    fill(path, KEY)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE templates SET fingerprint = ? WHERE id = 3", ("b" * 64,))
    with Gallery(path, key=KEY) as gallery:
        found = gallery.templates_for("b" * 64)
        assert (set(found.left_out), len(found.embedding)) == ({2}, 0)


@pytest.mark.parametrize(("old", "new"), [(None, KEY), (KEY, OTHER), (KEY, None)])
def test_another_key(path, old, new):
    fill(path, old)
    with Gallery(path, key=old) as gallery:
        assert gallery.change_key(new) == 6
        assert [person.name for person in gallery.identities()] == sorted(NAMES)
        enroll(gallery, "Later", 9)
    assert bool(shows(path)) == (new is None)
    with Gallery(path, key=new) as gallery:
        assert len(gallery.templates_for(MODEL).embedding) == 8
        assert gallery.check() == []
        gallery.undo()
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            gallery.file.connection.execute("DELETE FROM audit")
    if old is not None and new is not None:
        with pytest.raises(GalleryError, match="another key"):
            Gallery(path, key=old)


def test_a_plain_gallery_stays_plain_until_it_is_told(path):
    fill(path, None)
    with Gallery(path, key=KEY) as gallery:
        assert not gallery.encrypted
        assert len(gallery.identities()) == 3


def test_key_of_file_or_environment(tmp_path, monkeypatch, path):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert find_key() is None
    key = write_new_key(tmp_path / "key")
    assert find_key(tmp_path / "key") == key
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError, match="exists already and is kept"):
        write_new_key(tmp_path / "key")
    monkeypatch.setenv(KEY_VARIABLE, base64.b64encode(key).decode())
    assert find_key() == key
    with Gallery(path) as gallery:
        assert gallery.encrypted


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("", 0o600, "holds no gallery key: expected 32 bytes"),
        ("hello", 0o600, "holds no gallery key"),
        ("zz" * 32, 0o600, "holds no gallery key"),
        ("ab" * 32, 0o644, r"can be read by others \(mode 0644\): chmod 600 it"),
    ],
)
def test_files_that_hold_no_key(tmp_path, text, mode, said):
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(ValueError, match=said) as raised:
        find_key(file)
    assert not text or text not in str(raised.value)


def test_cipher_refuses_what_it_did_not_write():
    cipher = Cipher(KEY)
    for stored in ("Anna", "enc1:!!", "enc1:AAAA", Cipher(OTHER).text("Anna")):
        with pytest.raises(WrongKeyError):
            cipher.read_text(stored)
    assert cipher.text("Anna") == cipher.text("Anna")  # found again by equality
    assert cipher.data(b"x", "") != cipher.data(b"x", "")


def test_others_who_have_the_gallery_open_change_nothing_after_a_new_key(path):
    fill(path, KEY)
    with Gallery(path, key=KEY) as other, Gallery(path, key=KEY) as gallery:
        gallery.change_key(OTHER)
        with pytest.raises(GalleryError, match="was given another key by somebody else: nothing was changed"):
            other.rename(NAMES[0], "Eve")
        with pytest.raises(GalleryError, match=r"cannot be decrypted .* open it again if its key was changed"):
            other.identities()
        gallery.rename(NAMES[0], "Eve")
        assert gallery.check() == []


def test_a_new_key_that_cannot_be_written_leaves_the_old_one(path):
    fill(path, KEY)
    with Gallery(path, key=KEY) as gallery:
        gallery.file.connection.execute(
            "CREATE TRIGGER fails BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        with pytest.raises(GalleryError):
            gallery.change_key(OTHER)
        assert [person.name for person in gallery.identities()] == sorted(NAMES)
        gallery.file.connection.execute("DROP TRIGGER fails")
        enroll(gallery, "Later", 9)
    with Gallery(path, key=KEY) as gallery:
        assert len(gallery.identities()) == 4
        assert gallery.check() == []


def test_backup_and_saved_walks_are_encrypted_and_follow_the_key(path):
    walk = b"points and pictures of a walk" * 10
    with Gallery(path, key=KEY) as gallery:
        enroll(gallery, NAMES[0], 1, walk=walk)
        gallery.back_up()
        assert walk[:29] not in bytes_of(path)
        gallery.change_key(OTHER)
        [number] = gallery.templates.walks_without("b" * 64)
        assert gallery.templates.walk(number)[2] == walk
    assert shows(path) == set()
    with Gallery(f"{path}.backup", key=OTHER) as gallery:  # made anew: the old one could be read with the old key
        assert [person.name for person in gallery.identities()] == [NAMES[0]]
