"""What a gallery needs of the database it is kept in: an SQLite file, or PostgreSQL where several robots share it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.sqlite import SqliteDatabase

URL_STARTS = ("postgresql://", "postgres://")
"""What a gallery's place begins with when it is not a file."""


class Database(Protocol):
    """One connection. Statements are written for both kinds: ``?`` stands for a value, ``RETURNING`` gives new numbers.

    Attributes:
        place: file or address, for messages; never with a password.
        errors: what statements raise; :meth:`say` turns them into sentences.
    """

    place: str
    errors: tuple[type[Exception], ...]

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, statement: str, values: Iterable[Any] = ()) -> Any: ...

    def executemany(self, statement: str, rows: Iterable[Iterable[Any]]) -> None: ...

    def begin(self) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def say(self, error: BaseException) -> GalleryError: ...

    def newest_change(self) -> int | None:
        """Number of the newest change, when it is known without asking; None: ask by a statement.

        Raises:
            GalleryError: the database is lost; what is known of it stays in use.
        """
        ...

    def announce(self, change: int) -> None:
        """Within a change: tell others of it once it is committed."""
        ...

    def audit_unlocked(self) -> contextlib.AbstractContextManager[None]: ...

    def wipe(self) -> None: ...

    def rebuild(self) -> None: ...

    def copy_to(self, path: Path) -> None: ...

    def problems(self) -> list[str]: ...

    def close(self) -> None: ...


def is_url(place: str | Path) -> bool:
    """Whether a gallery's place is a PostgreSQL address."""
    return str(place).startswith(URL_STARTS)


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
