"""One open gallery: its database, its lock, its key, and the transaction every change is made in."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from emgait_ros.gallery.binding import rewrite_data, seal_names
from emgait_ros.gallery.database import Database, open_database
from emgait_ros.gallery.encryption import KEY_VARIABLE, PlainText, WrongKeyError, codec_for, find_key
from emgait_ros.gallery.schema import GalleryError

_KEY_CHECK = "encryption"  # property that only the right key can read
_KEY_TEXT = "emgait gallery, rows bound to their person"
_OLDER_KEY_TEXT = "emgait gallery"  # of galleries whose templates are bound to their model alone


class GalleryFile:
    """Opens a gallery and hands out its connection. All methods may be called from any thread.

    Args:
        place: the SQLite file (``~`` is expanded; it and its folder are created when missing), or the address of a
            PostgreSQL database (``postgresql://user@host/name``), where the tables are made in the schema ``emgait``.
        create: False refuses a missing gallery instead.
        key: 32 bytes; None: that of the environment variable EMGAIT_GALLERY_KEY, if it is set. A gallery that is new
            is encrypted when there is a key.

    Raises:
        GalleryError (a ValueError): it is no gallery, damaged, newer, locked, out of reach, cannot be written or has
            another key; the sentence names it, and it is left as it is. Every method raises the same for a failing
            disk, lock or connection.

    Attributes:
        place: file or address, for people to read.
    """

    def __init__(self, place: str | Path, *, create: bool = True, key: bytes | None = None) -> None:
        key = find_key() if key is None else key
        self._lock = threading.RLock()
        self._codec = PlainText()
        self._connection: Database = open_database(place, create)
        self.place = self._connection.place
        self._key_check: str | None = None
        try:
            self._codec = self._codec_of(key)
        except BaseException:
            self._connection.close()
            raise

    @property
    def encrypted(self) -> bool:
        """Names and templates in the gallery can only be read with the key."""
        return self._codec.encrypted

    def close(self) -> None:
        """Let go of the database; an SQLite file then holds everything in one piece."""
        with self._lock:
            self._connection.close()

    def _codec_of(self, key: bytes | None) -> PlainText:
        with self._reading() as connection:
            stored = self._stored_key_check()
            used = connection.execute("SELECT EXISTS (SELECT 1 FROM audit)").fetchone()[0]
        if stored is None and (key is None or used):
            return PlainText()
        if key is None:
            raise GalleryError(
                f"gallery {self.place} is encrypted: set gallery.key_file, --key-file or the environment variable {KEY_VARIABLE}"
            )
        codec = codec_for(key)
        if stored is None:
            with self._change():
                stored = self._key_check = self._stored_key_check()  # another process may have been faster
                if stored is None:
                    self._note_key(codec)
                    return codec
        try:
            older = codec.read_text(stored) == _OLDER_KEY_TEXT
        except WrongKeyError as error:
            raise GalleryError(
                f"gallery {self.place} was encrypted with another key than this one: it was left as it is; give the right key"
            ) from error
        self._key_check = stored
        if older:
            self._bind_rows(codec)
        return codec

    def _bind_rows(self, codec: PlainText) -> None:
        """Bind the rows of an older gallery to their people, as they are now; others with the key can do it at the same time."""
        with self._change(any_key=True):
            self._key_check = self._stored_key_check()
            if codec.read_text(self._key_check or "") == _OLDER_KEY_TEXT:
                rewrite_data(self._connection, codec, codec, bound=False)
                seal_names(self._connection, codec)
                self._note_key(codec)

    def _stored_key_check(self) -> str | None:
        row = self._connection.execute("SELECT value FROM properties WHERE name = ?", (_KEY_CHECK,)).fetchone()
        return None if row is None else str(row[0])

    def _note_key(self, codec: PlainText) -> None:
        """Within a change: from now on this is the key."""
        self._connection.execute("DELETE FROM properties WHERE name = ?", (_KEY_CHECK,))
        self._key_check = codec.text(_KEY_TEXT) if codec.encrypted else None
        if self._key_check is not None:
            values = (_KEY_CHECK, self._key_check)
            self._connection.execute("INSERT INTO properties (name, value) VALUES (?, ?)", values)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Database]:
        with self._lock:
            try:
                yield self._connection
            except self._connection.errors as error:
                raise self._connection.say(error) from error
            except WrongKeyError as error:
                raise self._unreadable(error) from error

    @contextlib.contextmanager
    def _change(self, any_key: bool = False) -> Iterator[Database]:
        """One transaction: committed and on the disk at the end, undone when anything is raised; may be nested.

        ``any_key``: also when the gallery has got another key since it was opened.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            try:
                self._connection.begin()
                if not any_key and self._stored_key_check() != self._key_check:
                    raise GalleryError(
                        f"gallery {self.place} was given another key by somebody else: nothing was changed; open it anew with that key"
                    )
                yield self._connection
                self._connection.commit()
            except BaseException as error:
                self._connection.rollback()
                if isinstance(error, self._connection.errors):
                    raise self._connection.say(error) from error
                if isinstance(error, WrongKeyError):
                    raise self._unreadable(error) from error
                raise

    def _unreadable(self, error: WrongKeyError) -> GalleryError:
        return GalleryError(
            f"gallery {self.place}: something in it cannot be decrypted ({error}): open it anew if its key was changed, else "
            "`emgait gallery check` says whose it is"
        )
