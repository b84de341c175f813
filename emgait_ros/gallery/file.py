"""One open gallery: its database, its lock, its key, and the transaction every change is made in."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from emgait_ros.gallery.binding import rewrite_data, seal_names
from emgait_ros.gallery.database import Database, open_database
from emgait_ros.gallery.encryption import KEY_VARIABLE, PlainText, WrongKeyError, codec_for, find_key
from emgait_ros.gallery.schema import GalleryError

_KEY_CHECK = "encryption"  # property that only the right key can read
_KEY_TEXT = "emgait gallery, rows bound to their person"
_OLDER_KEY_TEXT = "emgait gallery"  # of galleries whose templates are bound to their model alone


class GalleryFile:
    """Opens a gallery and hands out its connection, which all parts of it share. All methods may be called from any thread.

    Args:
        place: the SQLite file (``~`` is expanded; it and its folder are created when missing), or the address of a
            PostgreSQL database (``postgresql://user@host/name``), where the tables are made in the schema ``emgait``.
        create: False refuses a missing gallery instead.
        key: 32 bytes; None: that of the environment variable EMGAIT_GALLERY_KEY, if it is set. A gallery that is new
            is encrypted when there is a key.
        database: what to use instead of opening ``place``.

    Raises:
        GalleryError (a ValueError): it is no gallery, damaged, newer, locked, out of reach, cannot be written or has
            another key; the sentence names it, and it is left as it is. Every method raises the same for a failing
            disk, lock or connection.

    Attributes:
        place: file or address, for people to read.
        connection: the database; use it within :meth:`reading` or :meth:`change`.
        codec: encrypts and decrypts names, templates and walks; ``key_check``, the property that only its key can read.
        lock: held while the connection is used.
    """

    def __init__(
        self, place: str | Path, *, create: bool = True, key: bytes | None = None, database: Database | None = None
    ) -> None:
        key = find_key() if key is None else key
        self.lock = threading.RLock()
        self.codec = PlainText()
        self.connection: Database = database or open_database(place, create)
        self.place = self.connection.place
        self.key_check: str | None = None
        try:
            self.codec = self._codec_of(key)
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Close the database; an SQLite file then holds everything in one piece."""
        with self.lock:
            self.connection.close()

    def _codec_of(self, key: bytes | None) -> PlainText:
        stored = self.property_of(_KEY_CHECK)
        if stored is None and (key is None or self.row("SELECT 1 FROM audit LIMIT 1")):
            return PlainText()
        if key is None:
            raise GalleryError(
                f"gallery {self.place} is encrypted: set gallery.key_file, --key-file or the environment variable {KEY_VARIABLE}"
            )
        codec = codec_for(key)
        if stored is None:
            with self.change():
                stored = self.key_check = self.property_of(_KEY_CHECK)  # another process may have been faster
                if stored is None:
                    self.note_key(codec)
                    return codec
        try:
            older = codec.read_text(stored) == _OLDER_KEY_TEXT
        except WrongKeyError as error:
            raise GalleryError(
                f"gallery {self.place} was encrypted with another key than this one: it was left as it is; give the right key"
            ) from error
        self.key_check = stored
        if older:
            self._bind_rows(codec)
        return codec

    def _bind_rows(self, codec: PlainText) -> None:
        """Bind the rows of an older gallery to their people, as they are now; others with the key can do it at the same time."""
        with self.change(any_key=True):
            self.key_check = self.property_of(_KEY_CHECK)
            if codec.read_text(self.key_check or "") == _OLDER_KEY_TEXT:
                rewrite_data(self.connection, codec, codec, bound=False)
                seal_names(self.connection, codec)
                self.note_key(codec)

    def property_of(self, name: str) -> str | None:
        """A property of the gallery; None when it is not set."""
        row = self.row("SELECT value FROM properties WHERE name = ?", name)
        return None if row is None else str(row[0])

    def set_property(self, name: str, value: str | None) -> None:
        """Within a change: set a property, or delete it (None)."""
        self.connection.execute("DELETE FROM properties WHERE name = ?", (name,))
        if value is not None:
            self.connection.execute("INSERT INTO properties (name, value) VALUES (?, ?)", (name, value))

    def note_key(self, codec: PlainText) -> None:
        """Within a change: from now on this is the key."""
        self.key_check = codec.text(_KEY_TEXT) if codec.encrypted else None
        self.set_property(_KEY_CHECK, self.key_check)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Database]:
        """The connection, for statements that change nothing; may be nested."""
        with self.lock:
            try:
                yield self.connection
            except self.connection.errors as error:
                raise self.connection.say(error) from error
            except WrongKeyError as error:
                raise self._unreadable(error) from error

    @contextlib.contextmanager
    def change(self, any_key: bool = False) -> Iterator[Database]:
        """One transaction: committed and on the disk at the end, undone when anything is raised; may be nested.

        ``any_key``: also when the gallery has got another key since it was opened.
        """
        with self.lock:
            if self.connection.in_transaction:
                yield self.connection
                return
            try:
                self.connection.begin()
                if not any_key and self.property_of(_KEY_CHECK) != self.key_check:
                    raise GalleryError(
                        f"gallery {self.place} was given another key by somebody else: nothing was changed; open it again with that key"
                    )
                yield self.connection
                self.connection.commit()
            except BaseException as error:
                self.connection.rollback()
                if isinstance(error, self.connection.errors):
                    raise self.connection.say(error) from error
                if isinstance(error, WrongKeyError):
                    raise self._unreadable(error) from error
                raise

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a statement that changes nothing finds; also within a change."""
        with self.reading() as connection:
            found: list[tuple[Any, ...]] = connection.execute(statement, values).fetchall()
            return found

    def row(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """The first of :meth:`rows`, if there is one."""
        return next(iter(self.rows(statement, *values)), None)

    def execute(self, statement: str, values: Iterable[Any] = ()) -> Any:
        """One statement, within :meth:`reading` or :meth:`change`."""
        return self.connection.execute(statement, values)

    def shown(self, stored: str) -> str:
        """A stored text for messages; "?" when it cannot be decrypted."""
        try:
            return self.codec.read_text(stored)
        except WrongKeyError:
            return "?"

    def _unreadable(self, error: WrongKeyError) -> GalleryError:
        return GalleryError(
            f"gallery {self.place}: something in it cannot be decrypted ({error}): open it again if its key was changed, else "
            "`emgait gallery check` says whose it is"
        )
