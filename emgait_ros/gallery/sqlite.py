"""A gallery in an SQLite file: the connection behind :class:`emgait_ros.gallery.file.GalleryFile`."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from emgait_ros.gallery.disk import how_to_close
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

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)
        self._connection = connect(path)

    @property
    def in_transaction(self) -> bool:
        """Between :meth:`begin` and its end."""
        return self._connection.in_transaction

    def execute(self, statement: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Run one statement; ``?`` stands for a value."""
        return self._connection.execute(statement, tuple(values))

    def executemany(self, statement: str, rows: Iterable[Iterable[Any]]) -> None:
        """Run one statement for many rows of values."""
        self._connection.executemany(statement, [tuple(row) for row in rows])

    def begin(self) -> None:
        """Start a change; waits a moment for other writers."""
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End a change: on the disk when this returns."""
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Take everything since :meth:`begin` back; never raises."""
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def say(self, error: BaseException) -> GalleryError:
        """An error as a sentence."""
        return say(self.path, error)

    def newest_change(self) -> int | None:
        """None: a query is as fast as it gets."""
        return None

    def announce(self, change: int) -> None:
        """Others look for themselves."""

    @contextlib.contextmanager
    def audit_unlocked(self) -> Iterator[None]:
        """Within a change: the audit log may be written over, which a new key needs."""
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
        """Write the file anew, so that nothing of what was replaced stays in it."""
        self._connection.execute("VACUUM")

    def copy_to(self, path: Path) -> None:
        """Copy everything into another SQLite file, while others may be writing."""
        with contextlib.closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")

    def problems(self) -> list[str]:
        """What is wrong with the file, apart from what it means."""
        found = [f"{self.path}: {row[0]}" for row in self.execute("PRAGMA integrity_check") if row[0] != "ok"]
        found += [
            f"{self.path}: a template belongs to nobody (row {row[1]})"
            for row in self.execute("PRAGMA foreign_key_check")
        ]
        for suffix in ("", "-wal", "-shm", ".backup"):
            side = Path(f"{self.path}{suffix}")
            if side.exists() and side.stat().st_mode & 0o077:
                found.append(
                    f"{side} can be read by others (mode {side.stat().st_mode & 0o777:04o}): {how_to_close(side)}"
                )
        return found

    def close(self) -> None:
        """Write everything into the main file and let go of it."""
        self._connection.close()
