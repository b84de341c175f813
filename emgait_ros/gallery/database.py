"""What a gallery needs of the database it is kept in: an SQLite file, or PostgreSQL where several robots share it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.sqlite import SqliteDatabase


class Database(Protocol):
    """One connection. Statements are written for both kinds: ``?`` stands for a value, ``RETURNING`` gives new numbers.

    Attributes:
        place: file or address, for messages; never with a password.
        notice: why changes are neither seen nor possible although statements work; empty when they are.
        errors: what statements raise; :meth:`say` turns them into sentences.
        in_transaction: between :meth:`begin` and :meth:`commit` or :meth:`rollback`.
    """

    place: str
    notice: str
    errors: tuple[type[Exception], ...]

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, statement: str, values: Iterable[Any] = ()) -> Any: ...

    def executemany(self, statement: str, rows: Iterable[Iterable[Any]]) -> None: ...

    def begin(self) -> None:
        """Start a change; waits a moment for other writers."""

    def commit(self) -> None:
        """End a change: on the disk when this returns."""

    def rollback(self) -> None:
        """Take everything since :meth:`begin` back; never raises."""

    def say(self, error: BaseException) -> GalleryError:
        """An error as a sentence that names the gallery and what to do."""
        ...

    def newest_change(self) -> int | None:
        """Number of the newest change, when it is known without asking; None: ask by a statement.

        Raises:
            GalleryError: the database is lost; what is known of it stays in use.
        """
        ...

    def announce(self, change: int) -> None:
        """Within a change: tell others of it once it is committed."""

    def audit_unlocked(self) -> contextlib.AbstractContextManager[None]:
        """Within a change: the audit log may be overwritten, which a new key needs."""
        ...

    def wipe(self) -> None:
        """Leave nothing of removed rows, as far as this kind of database allows."""

    def rebuild(self) -> None:
        """Write all tables again, so that nothing of what was replaced stays in them."""

    def copy_to(self, path: Path) -> None:
        """Copy everything into a gallery file, as of one moment, while others may be writing."""

    def problems(self) -> list[str]:
        """What is wrong with the storage, apart from what it means; a sentence each."""
        ...

    def close(self) -> None: ...


def is_url(place: str | Path) -> bool:
    """Whether a gallery's place is a PostgreSQL address."""
    return str(place).startswith(("postgresql://", "postgres://"))


def file_of(place: str | Path) -> Path:
    """The absolute path of a gallery's file; ``~`` is expanded.

    Raises:
        GalleryError: this user has no home.
    """
    try:
        return Path(place).expanduser().absolute()
    except RuntimeError as error:
        raise GalleryError(
            f"the gallery's place {place} cannot be found: {error} Set HOME, or gallery.path (--gallery) without ~"
        ) from error


def open_database(place: str | Path, create: bool) -> Database:
    """Connect to a gallery's database.

    Args:
        place: path of a file (``~`` is expanded) or a PostgreSQL address (``postgresql://user@host/name``).
        create: make what is missing.

    Raises:
        GalleryError: it cannot be used; the sentence names it and says what to do.
    """
    if is_url(place):
        from emgait_ros.gallery.postgres import PostgresDatabase  # psycopg is needed for this alone

        return PostgresDatabase(str(place), create=create)
    path = file_of(place)
    if not create and not path.exists():
        raise GalleryError(f"there is no gallery at {path}: enrol somebody first, or give its path with --gallery")
    return SqliteDatabase(path)
