"""A robot whose gallery is in PostgreSQL starts without the server, too: from the copy that it keeps on its own disk.

The copy is a gallery file (mode 0600, encrypted as the gallery is) that takes over every change that this robot hears of:
only the people who were changed are read again. From it people are recognized, and nothing can be changed, until the server answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from emgait_ros.config import GalleryConfig
from emgait_ros.gallery.database import Database, file_of, is_url
from emgait_ros.gallery.encryption import find_key
from emgait_ros.gallery.layout import STEPS, TABLES
from emgait_ros.gallery.schema import GalleryError, OutOfReachError, connect, opened, say
from emgait_ros.gallery.sqlite import SqliteDatabase
from emgait_ros.gallery.store import Gallery, open_gallery

COPIES = "~/.local/share/emgait/copies"
LOOK_EVERY_S = 2.0
COPY_EVERY_S = 10.0
MANY = 200  # changed people: from then on the whole gallery is copied
COPYING_SHARE = 0.05  # at most so much of the time goes into copying a large gallery
_log = logging.getLogger(__name__)


class _InMemory(SqliteDatabase):
    """What a gallery file held when it was read; the file itself is not kept open."""

    def __init__(self, path: Path) -> None:
        self.path, self.place, self._number = path, str(path), (0, 0)
        try:
            with contextlib.closing(connect(path)) as disk:
                self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                disk.backup(self._connection)
        except sqlite3.Error as error:
            raise say(path, error) from error

    def _usable(self) -> sqlite3.Connection:
        return self._connection


class LastKnown:
    """See :class:`emgait_ros.gallery.database.Database`: the copy until the server is reached, then the server.

    Args:
        url: of the PostgreSQL database.
        copy: the gallery file to begin with.
        why: what kept the server from being reached.

    Raises:
        GalleryError: the copy cannot be read.
    """

    def __init__(self, url: str, copy: Path, why: str) -> None:
        from emgait_ros.gallery.postgres import PostgresDatabase, without_password

        self.place, self._why = without_password(url), why
        self._copy: _InMemory | None = _InMemory(copy)
        self._as_of = time.strftime("%Y-%m-%d %H:%M", time.localtime(copy.stat().st_mtime))
        self._server: PostgresDatabase | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._reach, args=(url,), name="gallery server", daemon=True)
        self._thread.start()

    @property
    def _now(self) -> Any:
        return self._server or self._copy or self._server  # the server is set before the copy is let go

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now, name)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Of both: the server may take over while a statement runs."""
        return (sqlite3.Error, *(self._server.errors if self._server else ()))

    @property
    def notice(self) -> str:
        return (
            ""
            if self._server
            else f"{self._why} Known are the people of this robot's copy of {self._as_of}, and nothing can be changed"
        )

    def begin(self) -> None:
        if self._server is None:
            raise GalleryError(f"nothing was changed: {self.notice}")
        self._server.begin()

    def close(self) -> None:
        """End looking for the server, and close what is open."""
        self._end.set()
        self._thread.join(5.0)
        self._now.close()

    def _reach(self, url: str) -> None:
        from emgait_ros.gallery.postgres import PostgresDatabase

        while not self._end.wait(LOOK_EVERY_S):
            try:
                self._server = PostgresDatabase(url, create=False)
            except GalleryError as error:
                self._why = str(error)
            else:
                self._copy = None
                _log.info("gallery %s answers: from now on it is used, and can be changed", self.place)
                return


def copy_of(url: str) -> Path:
    """Where this robot keeps its copy of a gallery in PostgreSQL."""
    from emgait_ros.gallery.postgres import without_password

    return file_of(f"{COPIES}/{hashlib.sha256(without_password(url).encode()).hexdigest()[:16]}.db")


def open_on_robot(config: GalleryConfig) -> Gallery:
    """As :func:`emgait_ros.gallery.store.open_gallery`; of a gallery in PostgreSQL a copy is kept, and used while no server answers.

    Raises:
        GalleryError, ValueError, OSError: as there; no server answers, and there is no copy that can be used.
    """
    if not (is_url(config.path) and config.keep_copy):
        return open_gallery(config)
    copy = copy_of(config.path)
    try:
        gallery = open_gallery(config)
    except OutOfReachError as error:
        if not copy.exists():
            raise
        database = cast(Database, LastKnown(config.path, copy, str(error)))
        gallery = Gallery(config.path, key=find_key(config.key_file), database=database)
        _log.warning("%s", gallery.notice)
    end, let_go = threading.Event(), gallery.close

    def close() -> None:
        end.set()
        let_go()

    gallery.close = close
    again = lambda: Gallery(config.path, create=False, key=find_key(config.key_file))  # noqa: E731
    threading.Thread(target=_keep_copy, args=(gallery, copy, again, end), name="gallery copy", daemon=True).start()
    return gallery


def _keep_copy(gallery: Gallery, copy: Path, again: Callable[[], Gallery], end: threading.Event) -> None:
    """Bring the copy up to date after changes, or write it anew over a connection of its own, for which nobody waits."""
    copied, said, pause_s, again_s = -1, "", 0.0, 0.0
    while not end.wait(pause_s):
        pause_s = LOOK_EVERY_S
        try:
            newest = copied if gallery.notice else gallery.history.last_change()
            if newest == copied:
                continue
            pause_s, began = COPY_EVERY_S, time.monotonic()
            if not _took_over(gallery, copy):
                if began < again_s:
                    continue
                with again() as own:
                    own.back_up(copy)
                again_s = began + (time.monotonic() - began) / COPYING_SHARE
            copied, said = newest, ""
        except (ValueError, OSError) as error:
            if str(error) != said and not isinstance(error, OutOfReachError):
                _log.warning("this robot's copy %s of its gallery is not up to date: %s", copy, error)
            said = str(error)


def _took_over(gallery: Gallery, copy: Path) -> bool:
    """Take over into the copy what changed in the gallery since; False: it has to be written anew.

    What undoing needs is not kept: nothing can be changed in a copy.
    """
    if not copy.exists():
        return False
    try:
        with contextlib.closing(opened(copy)) as own:
            own.execute("PRAGMA journal_mode = DELETE")
            if own.execute("PRAGMA user_version").fetchone()[0] != len(STEPS):
                return False
            newest = own.execute("SELECT id, at_ns FROM audit ORDER BY id DESC LIMIT 1").fetchone()
            found = _news(gallery, *newest) if newest else None
            if found is None:
                return False
            touched, rows = found
            own.execute("BEGIN IMMEDIATE")
            own.execute("DELETE FROM undo")
            own.execute("DELETE FROM properties")
            own.executemany("DELETE FROM identities WHERE id = ?", [(identity,) for identity in touched])
            for table, news in rows.items():
                marks = ", ".join("?" * len(TABLES[table].split(",")))
                own.executemany(f"INSERT INTO {table} ({TABLES[table]}) VALUES ({marks})", news)  # noqa: S608
            own.execute("DELETE FROM saved_walks WHERE created_ns NOT IN (SELECT created_ns FROM templates)")
            own.execute("COMMIT")
            return True
    except sqlite3.OperationalError as error:
        raise say(copy, error) from error
    except sqlite3.DatabaseError:
        return False  # damaged


def _news(gallery: Gallery, newest: int, at_ns: int) -> tuple[list[int], dict[str, list[Any]]] | None:
    """Who was touched after a change, and their rows as of one moment, with those of the other tables; None: too much was."""
    with gallery.file.reading() as server:
        server.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            changes = gallery.history.since(newest)
            touched = sorted(set[int]().union(*(change.touched for change in changes[1:])))
            goes_on = bool(changes) and changes[0][:2] == (newest, at_ns)  # else a backup was put in its place
            if not goes_on or len(touched) > MANY or any(change.action == "rekey" for change in changes[1:]):
                return None
            calibrated = [change.at_ns for change in changes[1:] if change.action == "calibrate"]
            columns = {
                "identities": ("id", touched),
                "templates": ("identity_id", touched),
                "audit": ("id", [change.number for change in changes[1:]]),
                "calibrations": ("created_ns", calibrated),
            }
            rows = {"properties": server.execute("SELECT name, value FROM properties").fetchall()}
            for table, (column, values) in columns.items():
                query = f"SELECT {TABLES[table]} FROM {table} WHERE {column} IN ({','.join('?' * len(values))})"  # noqa: S608
                rows[table] = server.execute(query, values).fetchall() if values else []
            return touched, rows
        finally:
            server.rollback()
