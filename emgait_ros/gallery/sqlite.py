"""A gallery in an SQLite file: the connection behind :class:`emgait_ros.gallery.file.GalleryFile`."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from emgait_ros.gallery.disk import readable_by_others
from emgait_ros.gallery.layout import AUDIT_IS_APPEND_ONLY
from emgait_ros.gallery.schema import GalleryError, connect, say


class SqliteDatabase:
    """See :class:`emgait_ros.gallery.database.Database`.

    Args:
        path: the file; made, with its folder, when missing.

    Raises:
        GalleryError: as :func:`emgait_ros.gallery.schema.connect` says.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    notice = ""

    def __init__(self, path: Path) -> None:
        self.path, self.place = path, str(path)
        self._open()

    def _open(self) -> None:
        self._connection = connect(self.path)
        self._number, self._log_number = _number_of(self.path), _number_of(Path(f"{self.path}-wal"))

    def _usable(self) -> sqlite3.Connection:
        """The connection, made again outside of a change when another file was put in the place of the one that is open."""
        if self._number is None or not (self._connection.in_transaction or self._number == _number_of(self.path)):
            self._open_again()
        return self._connection

    def _open_again(self) -> None:
        log = Path(f"{self.path}-wal")
        if not self.path.exists():
            raise GalleryError(f"gallery {self.path} is missing: nothing was changed; put it, or a backup, back")
        self._number = None
        self._connection.close()
        if _number_of(log) == self._log_number:  # of the former file: SQLite would apply it to the new one
            for side in (log, Path(f"{self.path}-shm")):
                side.unlink(missing_ok=True)
        self._open()

    @property
    def in_transaction(self) -> bool:
        return self._number is not None and self._connection.in_transaction

    def execute(self, statement: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
        return self._usable().execute(statement, tuple(values))

    def executemany(self, statement: str, rows: Iterable[Iterable[Any]]) -> None:
        self._connection.executemany(statement, [tuple(row) for row in rows])

    def begin(self) -> None:
        self._usable().execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def say(self, error: BaseException) -> GalleryError:
        return say(self.path, error)

    def newest_change(self) -> int | None:
        """None: a query is as fast as it gets."""
        return None

    def announce(self, change: int) -> None:
        """Nothing to do: others ask for changes."""

    @contextlib.contextmanager
    def audit_unlocked(self) -> Iterator[None]:
        for trigger in ("audit_no_update", "audit_no_delete"):
            self._connection.execute(f"DROP TRIGGER {trigger}")
        yield
        for statement in AUDIT_IS_APPEND_ONLY:
            self._connection.execute(statement)

    def wipe(self) -> None:
        """Fold the write-ahead log into the file and cut it: it still holds the pages of what was removed."""
        with contextlib.suppress(sqlite3.OperationalError):  # a reader elsewhere: done at the next removal or close
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def rebuild(self) -> None:
        self._connection.execute("VACUUM")

    def copy_to(self, path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as copy:
            self._usable().backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")

    def problems(self) -> list[str]:
        found = [f"{self.path}: {row[0]}" for row in self.execute("PRAGMA integrity_check") if row[0] != "ok"]
        found += [
            f"{self.path}: a template belongs to nobody (row {row[1]})"
            for row in self.execute("PRAGMA foreign_key_check")
        ]
        sides = [Path(f"{self.path}{suffix}") for suffix in ("", "-wal", "-shm", ".backup")]
        found += [readable_by_others(side) for side in sides if side.exists()]
        return [problem for problem in found if problem]

    def close(self) -> None:
        """Write everything into the main file and close it."""
        self._connection.close()


def _number_of(path: Path) -> tuple[int, int] | None:
    """Which file it is, whatever it is called; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
