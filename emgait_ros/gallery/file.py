"""One open gallery file: its connection, its lock, its key, and the transaction every change is made in."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from emgait_ros.gallery.encryption import KEY_VARIABLE, PlainText, WrongKeyError, codec_for, find_key
from emgait_ros.gallery.schema import GalleryError, connect, say

_KEY_CHECK = "encryption"  # property that only the right key can read
_KEY_TEXT = "emgait gallery"


class GalleryFile:
    """Opens a gallery and hands out its connection. All methods may be called from any thread.

    Args:
        path: the SQLite file; ``~`` is expanded; it and its folder are created when missing.
        create: False refuses a missing file instead.
        key: 32 bytes; None: that of the environment variable EMGAIT_GALLERY_KEY, if it is set. A gallery that is new
            is encrypted when there is a key.

    Raises:
        GalleryError (a ValueError): the file is no gallery, damaged, newer, locked, cannot be written or has another
            key; the sentence names it, and it is left as it is. Every method raises the same for a failing disk or lock.
    """

    def __init__(self, path: str | Path, *, create: bool = True, key: bytes | None = None) -> None:
        self.path = Path(path).expanduser().absolute()
        if not create and not self.path.exists():
            raise GalleryError(
                f"there is no gallery at {self.path}: enrol somebody first, or give its path with --gallery"
            )
        key = find_key() if key is None else key
        self._lock = threading.RLock()
        self._codec = PlainText()
        self._connection = connect(self.path)
        try:
            self._codec = self._codec_of(key)
        except BaseException:
            self._connection.close()
            raise

    @property
    def encrypted(self) -> bool:
        """Names and templates in the file can only be read with the key."""
        return self._codec.encrypted

    def close(self) -> None:
        """Write everything into the main file and let go of it."""
        with self._lock:
            self._connection.close()

    def _codec_of(self, key: bytes | None) -> PlainText:
        with self._reading() as connection:
            stored = connection.execute("SELECT value FROM properties WHERE name = ?", (_KEY_CHECK,)).fetchone()
            used = connection.execute("SELECT EXISTS (SELECT 1 FROM audit)").fetchone()[0]
        if stored is None and (key is None or used):
            return PlainText()
        if key is None:
            raise GalleryError(
                f"gallery {self.path} is encrypted: set gallery.key_file, --key-file or the environment variable {KEY_VARIABLE}"
            )
        codec = codec_for(key)
        if stored is None:
            self._codec = codec
            self._note_key(codec)
            return codec
        try:
            codec.read_text(stored[0])
        except WrongKeyError as error:
            raise GalleryError(
                f"gallery {self.path} was encrypted with another key than this one: it was left as it is; give the right key"
            ) from error
        return codec

    def _note_key(self, codec: PlainText) -> None:
        with self._change() as connection:
            connection.execute("DELETE FROM properties WHERE name = ?", (_KEY_CHECK,))
            if codec.encrypted:
                values = (_KEY_CHECK, codec.text(_KEY_TEXT))
                connection.execute("INSERT INTO properties (name, value) VALUES (?, ?)", values)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise say(self.path, error) from error
            except WrongKeyError as error:
                raise GalleryError(
                    f"gallery {self.path}: something in it cannot be decrypted ({error}): put a backup in its place"
                ) from error

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed and on the disk at the end, undone when anything is raised; may be nested."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                with contextlib.suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise say(self.path, error) from error
                raise

    def _wipe_log(self) -> None:
        """Fold the write-ahead log into the file and cut it: it still holds the pages of what was removed."""
        with (
            self._lock,
            contextlib.suppress(sqlite3.OperationalError),
        ):  # a reader elsewhere: done at the next removal or close
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
