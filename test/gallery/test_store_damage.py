"""Files that are damaged, foreign, newer or out of reach: refused with a sentence, never overwritten."""

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest
from galleries import MODEL, enroll, rows

from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import Gallery


@pytest.fixture
def path(tmp_path):
    """A closed gallery of 40 people."""
    file = tmp_path / "gallery.db"
    with Gallery(file) as gallery:
        for index in range(40):
            enroll(gallery, f"n{index}", rows(index, 2, (8, 16)))
    return file


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def overwrite_page(file):
    content = bytearray(file.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    file.write_bytes(content)


def foreign_sqlite(file):
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")


def newer(file):
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda file: file.write_bytes(b""), r"is empty \(0 bytes\): put a backup"),
        (lambda file: file.write_bytes(b"SQLite"), "is not an SQLite file"),
        (lambda file: file.write_text("name,embedding\n" * 100), "is not an SQLite file: it was left as it is"),
        (lambda file: file.write_bytes(os.urandom(50_000)), "is not an SQLite file"),
        (lambda file: file.write_bytes(b"SQLite format 3\x00" + b"\x07" * 5000), "is damaged|not a database"),
        (cut, "is damaged .*: it was left as it is; move it away or put a backup in its place"),
        (overwrite_page, "is damaged"),
        (foreign_sqlite, "is an SQLite file of another program"),
        (newer, "has layout 99, this version knows up to 5: update emgait_ros"),
    ],
)
def test_refused_and_left_as_it_is(path, harm, said):
    harm(path)
    before = path.read_bytes()
    with pytest.raises(GalleryError, match=said) as raised:
        Gallery(path)
    assert str(path) in str(raised.value)
    assert path.read_bytes() == before


def test_a_flipped_bit_in_a_template_is_found(path):
    content = bytearray(path.read_bytes())
    row = rows(7, 2, (8, 16))[1].tobytes()
    place = bytes(content).index(row[:64])
    content[place + 5] ^= 0x10
    path.write_bytes(content)
    with Gallery(path) as gallery:  # SQLite sees nothing wrong
        found = gallery.templates_for(MODEL)
        assert re.search(r"a template of 'n7' is damaged: .*`emgait gallery remove`", found.left_out[8])
        assert len(found.embedding) == 79  # the others can be used
        assert [problem for problem in gallery.check() if "'n7'" in problem]
        gallery.remove("n7")
        assert len(gallery.templates_for(MODEL).embedding) == 78
        assert gallery.check() == []


def test_every_single_damaged_page_is_found_or_harmless(path):
    """Each page overwritten in turn: opening, reading or checking says so, and never anything but a GalleryError."""
    sound = path.read_bytes()
    with Gallery(path) as gallery:
        expected = gallery.templates_for(MODEL).embedding.tobytes()
    silent = 0
    for start in range(0, len(sound), 4096):
        path.write_bytes(sound[:start] + b"\x5a" * 4096 + sound[start + 4096 :])
        try:
            with Gallery(path) as gallery:
                problems = gallery.check()
                if gallery.templates_for(MODEL).embedding.tobytes() != expected:
                    assert problems
        except GalleryError:
            continue
        silent += not problems
    assert silent == 0


def test_a_missing_file_with_its_log_left_behind(tmp_path):
    path = tmp_path / "gallery.db"
    Path(f"{path}-wal").write_bytes(b"x" * 5000)
    with pytest.raises(GalleryError, match=r"gallery\.db is missing but .*-wal is there"):
        Gallery(path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder, "is not a file"),  # a folder
        (lambda folder: folder / "file" / "gallery.db", "Not a directory|File exists"),  # below a file
        (lambda folder: Path("/proc/gallery.db"), "/proc/gallery.db"),  # nothing can be created there
    ],
)
def test_places_that_cannot_be(tmp_path, make, said):
    (tmp_path / "file").write_text("x")
    with pytest.raises(GalleryError, match=said):
        Gallery(make(tmp_path))


def test_a_missing_file_is_not_created_when_only_looked_at(tmp_path):
    with pytest.raises(GalleryError, match="there is no gallery at"):
        Gallery(tmp_path / "gallery.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_names_with_uri_characters_in_the_path(tmp_path):
    path = tmp_path / "a ?b#c%20d" / "gallery.db"
    with Gallery(path):
        assert path.is_file()


def as_ordinary_user(action):
    """What ``action()`` returns in a child process without root's right to write anywhere."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(writer, action().encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as stream:
        return stream.read()


def error_of_opening(file):
    try:
        Gallery(file).close()
    except GalleryError as error:
        return str(error)
    return "opened"


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "owner", "said"),
    [
        (0o777, 0o600, 65534, "opened"),
        (0o555, 0o600, 65534, "cannot be opened for writing|cannot be written"),  # no side file can be made
        (0o777, 0o400, 65534, "cannot be written"),
        (0o777, 0o600, 0, "cannot be written|cannot be read"),  # somebody else's
        (0o555, None, 65534, "cannot be written"),  # nothing there, and nothing can be made
    ],
)
def test_what_cannot_be_written_is_said(path, folder_mode, file_mode, owner, said):
    if os.geteuid() != 0 and owner == 0:
        pytest.skip("only root can give a file to somebody else")
    folder = Path(tempfile.mkdtemp(prefix="emgait-gallery-"))
    file = folder / "gallery.db"
    try:
        if file_mode is not None:
            shutil.copy(path, file)
            file.chmod(file_mode)
            if os.geteuid() == 0:
                os.chown(file, owner, owner)
        folder.chmod(folder_mode)
        message = as_ordinary_user(lambda: error_of_opening(file))
        assert re.search(said, message), message
        assert message == "opened" or str(file) in message
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_full_disk_is_said(path):
    """SQLite's own page limit stands in for a full disk: the same error comes back."""
    with Gallery(path) as gallery:
        pages = gallery.file.connection.execute("PRAGMA page_count").fetchone()[0]
        gallery.file.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(GalleryError, match=r"the disk is full .* nothing was changed"):
            enroll(gallery, "Eve", rows(1, 50, (8, 16)))
        assert len(gallery.identities()) == 40
        assert gallery.check() == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB of this test's own, and a way to make it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a file system takes root, and is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_really_fills_up(small_disk):
    """Until nothing more goes in: said, nothing lost, and the next start finds what was answered."""
    file, answered = small_disk / "gallery.db", 0
    said = ""
    with Gallery(file) as gallery:
        while not said and answered < 10_000:
            try:
                enroll(gallery, f"n{answered}", rows(answered, 4, (16, 64)))
                answered += 1
            except GalleryError as error:
                said = str(error)
    assert re.search(r"the disk is full .* nothing was changed", said)
    assert answered > 10
    with Gallery(file) as gallery:
        assert len(gallery.identities()) == answered
        assert len(gallery.templates_for(MODEL).embedding) == 4 * answered
        assert gallery.check() == []
        with pytest.raises(GalleryError, match="full"):
            gallery.back_up(small_disk / "copy.db")
        assert sorted(p.name for p in small_disk.iterdir() if "copy" in p.name) == []


def test_a_disk_that_turns_read_only(small_disk, path):
    file = small_disk / "gallery.db"
    shutil.copy(path, file)
    gallery = Gallery(file)
    assert len(gallery.identities()) == 40
    gallery.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        with pytest.raises(GalleryError, match=r"cannot be (opened for writing|written)") as raised:
            Gallery(file)
        assert str(file) in str(raised.value)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    with Gallery(file) as gallery:
        assert len(gallery.identities()) == 40
        assert gallery.check() == []


def test_a_user_without_a_home(monkeypatch):
    def unknown(_):
        raise KeyError("uid not found")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(GalleryError, match=r"gallery\.path"):
        Gallery("~/gallery.db", create=False)
