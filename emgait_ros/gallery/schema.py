"""The gallery's SQLite file: its layout, and how a file comes to be, is recognised and brought up to date.

A file is ours when its application id says so; its ``user_version`` counts the steps of :data:`emgait_ros.gallery.layout.STEPS` it has been through.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from emgait_ros.gallery.disk import alone, how_to_close, made_private, remote_file_system, sync_folder
from emgait_ros.gallery.layout import STEPS
from emgait_ros.whole_files import written_whole

APPLICATION_ID = 0x454D4741  # "EMGA"
BUSY_TIMEOUT_S = 2.0
_SQLITE_MAGIC = b"SQLite format 3\x00"
_log = logging.getLogger(__name__)


class GalleryError(ValueError):
    """The gallery cannot be used as asked; the message is a full sentence that names the file."""


class OutOfReachError(GalleryError):
    """No server answers where the gallery is."""


_SENTENCES = (  # for words in an error's text
    ("locked busy", " is being changed by another process ({}): nothing was changed, try again"),
    ("no-locks", " is on a disk without file locks ({}), which SQLite needs: set gallery.path to another disk"),
    ("readonly read-only", " cannot be written ({}): check the disk and the file's owner, or set gallery.path"),
    ("full no-space", ": the disk is full ({}): nothing was changed, free some space and try again"),
    ("unable-to-open", " cannot be opened for writing ({}): check that its folder can be written by this user"),
    (
        "malformed not-a-database corrupt",
        " is damaged ({}): it was left as it is; move it away or put a backup in its place",
    ),
    ("", ": {}"),
)


def say(path: Path, error: BaseException) -> GalleryError:
    """A SQLite or operating-system error as a sentence that names the file and what to do."""
    text = str(error).lower().replace(" ", "-")
    if isinstance(error, PermissionError):
        text = "read-only"
    elif isinstance(error, OSError) and error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
        text = "no-locks"
    found = next(sentence for words, sentence in _SENTENCES if not words or any(w in text for w in words.split()))
    return GalleryError(f"gallery {path}{found.format(error)}")


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a gallery file: created when there is none, brought up to the newest layout when older.

    Raises:
        GalleryError: not a gallery, damaged, from a newer version, read-only or locked. The file is left as it is.
    """
    try:
        if not path.exists():
            _create(path)
        _recognise(path)
        connection = opened(path)
        try:
            _adopt(path, connection)
        except BaseException:
            connection.close()
            raise
        return connection
    except (sqlite3.Error, OSError) as error:
        raise say(path, error) from error


def opened(path: Path) -> sqlite3.Connection:
    """A connection to a gallery file that is there, as it is."""
    quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    options: dict[str, Any] = {"timeout": BUSY_TIMEOUT_S, "isolation_level": None, "check_same_thread": False}
    connection = sqlite3.connect(f"file:{quoted}?mode=rw", uri=True, **options)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _create(path: Path) -> None:
    """Build a gallery beside its place and move it there complete: a kill leaves a whole file or none."""
    for suffix in ("-wal", "-journal"):
        if Path(f"{path}{suffix}").exists():
            raise GalleryError(
                f"gallery {path} is missing but {path}{suffix} is there: put the gallery back, or move that file away"
            )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with alone(path):
        if path.exists():  # another process was faster: its gallery is the one
            return
        with written_whole(path, private=True) as fresh, contextlib.closing(opened(fresh)) as connection:
            _set_journal(fresh, connection)
            _upgrade(connection, 0)
        sync_folder(path.parent)


def _recognise(path: Path) -> None:
    """Refuse what is no gallery before SQLite touches it, and close the file to everybody else."""
    if not path.is_file():
        raise GalleryError(f"gallery {path} is not a file: set gallery.path to a file")
    if not os.access(path, os.R_OK | os.W_OK):  # SQLite would open it read-only and fail at the first enrolment
        raise PermissionError("not readable and writable for this user")
    with path.open("rb") as stream:
        header = stream.read(72)
    if not header:
        raise GalleryError(
            f"gallery {path} is empty (0 bytes): put a backup in its place, or delete it to start a new gallery"
        )
    if len(header) < 72 or not header.startswith(_SQLITE_MAGIC):
        raise GalleryError(
            f"gallery {path} is not an SQLite file: it was left as it is; set gallery.path to another file"
        )
    mode = path.stat().st_mode & 0o777
    try:
        private = made_private(path)
    except OSError as error:
        raise GalleryError(
            f"gallery {path} can be read by others and its mode cannot be changed ({error}): chmod 600 it"
        ) from error
    if not private:
        _log.warning("gallery %s can be read by others (mode %04o): %s", path, mode, how_to_close(path))
    elif mode & 0o077:
        _log.warning("gallery %s could be read by others: its mode is 0600 now", path)


def _adopt(path: Path, connection: sqlite3.Connection) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise GalleryError(
            f"{path} is an SQLite file of another program (application id {application}): it was left as it is; set gallery.path"
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(STEPS):
        raise GalleryError(
            f"gallery {path} has layout {version}, this version knows up to {len(STEPS)}: update emgait_ros"
        )
    strange = set(_layout_of(connection).items()) ^ set(_expected_layout(version).items())
    if strange:
        kind, name = min(thing for thing, _ in strange)
        raise GalleryError(
            f"gallery {path} is damaged: its {kind} '{name}' is not that of a gallery of layout {version}; it was left as it is, put a backup "
            "in its place"
        )
    problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != "ok":
        raise GalleryError(
            f"gallery {path} is damaged ({problem}): it was left as it is; move it away or put a backup in its place"
        )
    remote = remote_file_system(path)
    if remote:
        _log.warning(
            "gallery %s is on a disk of another machine (%s): it is kept without a write-ahead log, which is slower; "
            "robots that share a gallery need PostgreSQL",
            path,
            remote,
        )
    _set_journal(path, connection)
    if version < len(STEPS):
        _upgrade(connection, version)


def _layout_of(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Kind and name of all tables, views, indexes and triggers, with the columns or the text that matter.

    Somebody who can write the file but has no key could otherwise let triggers and views do what no program of ours does.
    """
    found = {}
    for kind, name, text in connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%'"
    ):
        if kind == "table":
            columns = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", (name,)).fetchall()
            text = repr(columns)
        found[kind, name] = text if kind in ("table", "trigger") else ""
    return found


@functools.cache
def _expected_layout(version: int) -> dict[tuple[str, str], str]:
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        for statement in itertools.chain(*STEPS[:version]):
            fresh.execute(statement)
        return _layout_of(fresh)


def _set_journal(path: Path, connection: sqlite3.Connection) -> None:
    """A write-ahead log, but on disks of other machines, where its shared memory is not shared."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {'DELETE' if remote_file_system(path) else 'WAL'}")
            return
        except sqlite3.OperationalError as error:  # SQLite waits for whoever writes, but not with this statement
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Apply the missing steps in one transaction: all of them or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = max(version, connection.execute("PRAGMA user_version").fetchone()[0])
        for step in STEPS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(STEPS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
