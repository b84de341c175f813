"""Upkeep of a whole gallery: checking it, its backup, another key, and that nothing is left of what was removed."""

from __future__ import annotations

import logging
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from emgait_ros.gallery.binding import rewrite_data, seal_names
from emgait_ros.gallery.database import is_url
from emgait_ros.gallery.encryption import PlainText, codec_for
from emgait_ros.gallery.file import GalleryFile
from emgait_ros.gallery.history import History
from emgait_ros.gallery.schema import GalleryError, say
from emgait_ros.gallery.templates import Templates
from emgait_ros.whole_files import SIDE_FILES, unfinished_beside, written_whole

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Upkeep:
    """What concerns a gallery as a whole: the open file, with its templates and its history."""

    file: GalleryFile
    templates: Templates
    history: History

    def check(self) -> list[str]:
        """What is wrong with the gallery, a sentence each; empty when it is sound. Reads all of it."""
        with self.file.reading() as connection:
            problems = connection.problems() + self.templates.problems()
            query = "SELECT name FROM identities WHERE id NOT IN (SELECT identity_id FROM templates)"
            problems += [
                f"{self.file.place}: '{self.file.shown(row[0])}' has no templates: enrol them again or remove them"
                for row in connection.execute(query)
            ]
            texts = "SELECT name FROM identities UNION ALL SELECT name FROM audit UNION ALL SELECT detail FROM audit"
            broken = sum(self.file.shown(row[0]) == "?" for row in connection.execute(texts))
            if broken:
                problems.append(f"{self.file.place}: {broken} names cannot be decrypted: put a backup in its place")
        return problems

    def change_key(self, key: bytes | None) -> int:
        """Encrypt everything with another key, or store it plainly (None); returns the number of templates rewritten.

        The file is rebuilt afterwards, so that nothing of the old bytes stays in it; without room for that, a warning says so, and
        the new key counts. When anything is raised the old one does. Others who have the gallery open
        have to open it again: their changes are refused.
        """
        before = self.file.codec, self.file.key_check
        try:
            with self.file.change() as connection:
                new = codec_for(key)
                with connection.audit_unlocked():
                    self._rewrite_texts(new)
                seal_names(connection, new)
                count = rewrite_data(connection, self.file.codec, new)
                self.file.note_key(new)
                self.file.codec = new
                self.history.log("rekey", 0, "", "encrypted" if new.encrypted else "stored plainly", time.time_ns())
        except BaseException:
            self.file.codec, self.file.key_check = before
            raise
        try:
            with self.file.reading() as connection:
                connection.rebuild()
        except GalleryError as error:  # not raised: whoever hears of an error goes on with the old key
            _log.warning(
                "gallery %s has its new key, but could not be written anew (%s): old bytes may be left in it until room is made "
                "and the key is changed once more",
                self.file.place,
                error.__cause__,
            )
        self.forget_bytes()
        return count

    def _rewrite_texts(self, new: PlainText) -> None:
        for table, column, number in (
            ("identities", "name", "id"),
            ("audit", "name", "id"),
            ("audit", "detail", "id"),
            ("undo", "content", "change"),
        ):
            rows = self.file.rows(f"SELECT {column}, {number} FROM {table}")  # noqa: S608
            changed = [(new.text(self.file.codec.read_text(text)), place) for text, place in rows]
            self.file.connection.executemany(f"UPDATE {table} SET {column} = ? WHERE {number} = ?", changed)  # noqa: S608

    def back_up(self, path: Path | None = None) -> Path:
        """Copy the whole gallery into an SQLite file (mode 0600), encrypted as the gallery is, while it is in use.

        Args:
            path: where to; None: beside the gallery's file, with ``.backup`` behind its name. A copy there is replaced,
                and replaced again by every later removal, so that it never holds who was removed.

        Raises:
            GalleryError: it cannot be written.
        """
        if path is None and self._own_backup is None:
            raise GalleryError(f"gallery {self.file.place} is no file: say where its backup shall go")
        target = Path(path or self._own_backup or "").expanduser().absolute()
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with written_whole(target, private=True) as fresh, self.file.reading() as connection:
                connection.copy_to(fresh)
                for suffix in SIDE_FILES:  # of a file that is replaced: SQLite would apply them to this one
                    Path(f"{target}{suffix}").unlink(missing_ok=True)
        except (OSError, sqlite3.Error) as error:
            raise say(target, error) from error
        return target

    @property
    def _own_backup(self) -> Path | None:
        return None if is_url(self.file.place) else Path(f"{self.file.place}.backup")

    def forget_bytes(self) -> None:
        """After a change that removed something: nothing of it stays in side files or in the backup beside the gallery."""
        try:
            with self.file.reading() as connection:
                connection.wipe()
        except GalleryError as error:
            _log.warning("gallery %s: bytes of what was removed may be left (%s)", self.file.place, error.__cause__)
        backup = self._own_backup
        if backup is not None:
            unfinished_beside(backup)  # what a killed backup left holds who was removed, too
        if backup is not None and backup.exists():
            try:
                self.back_up()
            except GalleryError as error:  # an old one would keep who was removed
                backup.unlink(missing_ok=True)
                _log.warning("the backup %s was deleted, because it could not be made again: %s", backup, error)
