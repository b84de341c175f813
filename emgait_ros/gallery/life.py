"""Changes in the life of an identity beyond enrolling: split off, disable; another key for the gallery, and its backup."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from emgait_ros.gallery.binding import move_templates, name_seal, rewrite_data, seal_names
from emgait_ros.gallery.database import is_url
from emgait_ros.gallery.encryption import PlainText, codec_for
from emgait_ros.gallery.names import normalised_name, refuse_look_alikes
from emgait_ros.gallery.reading import GalleryReading
from emgait_ros.gallery.schema import GalleryError, say
from emgait_ros.gallery.unfinished import unfinished_beside

_log = logging.getLogger(__name__)
UNDO_KEPT = 100
"""Changes that can be taken back, newest first."""


class GalleryLife(GalleryReading):
    """Adds changes to reading; each is one transaction. Errors as the base classes say."""

    def split(self, name: str, templates: Collection[int], new_name: str, confirm: bool = False) -> int:
        """Make some templates of a person somebody else's.

        Args:
            name: whose they are.
            templates: numbers as :meth:`templates_of` lists them; not all of the person's.
            new_name: a person who is not enrolled yet.
            confirm: also when the new name looks like one that is enrolled.

        Returns:
            How many templates went over.

        Raises:
            ValueError: nobody has that name, the new one is taken or looks like another, or the numbers are not theirs or
            all of theirs.
        """
        old, new = normalised_name(name), normalised_name(new_name)
        chosen = sorted(set(templates))
        now = time.time_ns()
        with self._change() as connection:
            source = self._known_identity(old)
            if self._identity_id(new) is not None:
                raise ValueError(f"'{new}' is enrolled already: split onto a new name, then merge by renaming")
            if not confirm:
                self._refuse_look_alikes(new)
            own = [row[0] for row in connection.execute("SELECT id FROM templates WHERE identity_id = ?", (source,))]
            if not chosen or set(chosen) - set(own) or len(chosen) == len(own):
                listed = ", ".join(str(number) for number in own)
                raise ValueError(f"'{old}' has the templates {listed}: name some of them, not all (got {chosen})")
            made = self._new_identity(new, now)
            move_templates(connection, self._codec, chosen, made)
            change = self._log("split", source, old, f"{len(chosen)} templates to '{new}'", now, made)
            self._remember(change, action="split", identity=source, made=made, templates=chosen)
        return len(chosen)

    def set_disabled(self, name: str, disabled: bool) -> bool:
        """Keep a person but never name them, or name them again, also when they had expired. Returns whether that was a change.

        Raises:
            ValueError: nobody has that name.
        """
        clean = normalised_name(name)
        with self._change() as connection:
            identity = self._known_identity(clean)
            query = "SELECT disabled, expired_ns, kept_ns FROM identities WHERE id = ?"
            before = connection.execute(query, (identity,)).fetchone()
            back = bool(before[1]) and not disabled
            if bool(before[0]) == disabled and not back:
                return False
            now = time.time_ns()
            values = (int(disabled), 0 if back else before[1], now if back else before[2], identity)
            connection.execute("UPDATE identities SET disabled = ?, expired_ns = ?, kept_ns = ? WHERE id = ?", values)
            change = self._log("disable" if disabled else "enable", identity, clean, "", now)
            self._remember(change, action="disabled", identity=identity, before=list(before))
        return True

    def change_key(self, key: bytes | None) -> int:
        """Encrypt everything with another key, or store it plainly (None); returns the number of templates rewritten.

        The file is rebuilt afterwards, so that nothing of the old bytes stays in it. Others who have the gallery open
        have to open it anew: their changes are refused.
        """
        before = self._codec, self._key_check
        try:
            with self._change() as connection:
                new = codec_for(key)
                with connection.audit_unlocked():
                    self._rewrite_texts(new)
                seal_names(connection, new)
                count = rewrite_data(connection, self._codec, new)
                self._note_key(new)
                self._codec = new
                self._log("rekey", 0, "", "encrypted" if new.encrypted else "stored plainly", time.time_ns())
        except BaseException:
            self._codec, self._key_check = before
            raise
        with self._reading() as connection:
            connection.rebuild()
        self._forget_bytes()
        return count

    def _refuse_look_alikes(self, name: str, apart_from: str = "") -> None:
        otherwise = "choose a name that looks different, or confirm it (confirm: true; on a terminal --yes)"
        refuse_look_alikes(name, self.look_alikes(name, apart_from), otherwise)

    def _rewrite_texts(self, new: PlainText) -> None:
        for table, column, number in (
            ("identities", "name", "id"),
            ("audit", "name", "id"),
            ("audit", "detail", "id"),
            ("undo", "content", "change"),
        ):
            rows = self._connection.execute(f"SELECT {column}, {number} FROM {table}").fetchall()  # noqa: S608
            changed = [(new.text(self._codec.read_text(text)), place) for text, place in rows]
            self._connection.executemany(f"UPDATE {table} SET {column} = ? WHERE {number} = ?", changed)  # noqa: S608

    def back_up(self, path: Path | None = None) -> Path:
        """Copy the whole gallery into an SQLite file (mode 0600), encrypted as the gallery is, while it is in use.

        Args:
            path: where to; None: beside the gallery's file, with ``.backup`` behind its name. A copy there is replaced,
                and replaced again by every later removal, so that it never holds who was removed.

        Raises:
            GalleryError: it cannot be written.
        """
        if path is None and self._own_backup is None:
            raise GalleryError(f"gallery {self.place} is no file: say where its backup shall go")
        target = Path(path or self._own_backup or "").expanduser().absolute()
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = unfinished_beside(target)
        except OSError as error:
            raise say(target, error) from error
        try:
            os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with self._reading() as connection:
                connection.copy_to(fresh)
            os.replace(fresh, target)
        except (OSError, sqlite3.Error) as error:
            raise say(target, error) from error
        finally:
            for suffix in ("", "-journal", "-wal", "-shm"):
                Path(f"{fresh}{suffix}").unlink(missing_ok=True)
        return target

    @property
    def _own_backup(self) -> Path | None:
        return None if is_url(self.place) else Path(f"{self.place}.backup")

    def _forget_bytes(self) -> None:
        """After a change that removed something: nothing of it stays in side files or in the backup beside the gallery."""
        with self._reading() as connection:
            connection.wipe()
        backup = self._own_backup
        if backup is not None:
            unfinished_beside(backup)  # what a killed backup left holds who was removed, too
        if backup is not None and backup.exists():
            try:
                self.back_up()
            except GalleryError as error:  # an old one would keep who was removed
                backup.unlink(missing_ok=True)
                _log.warning("the backup %s was deleted, because it could not be made anew: %s", backup, error)

    def _delete(self, identity: int) -> int:
        count = self._template_count(identity)
        self._connection.execute(
            "DELETE FROM undo WHERE change IN (SELECT id FROM audit WHERE identity_id = ? OR other_identity_id = ?)",
            (identity, identity),
        )
        self._connection.execute("DELETE FROM identities WHERE id = ?", (identity,))
        self._forget_walks()
        return count

    def _forget_walks(self) -> None:
        """Samples of walks no template rests on any more."""
        self._connection.execute("DELETE FROM saved_walks WHERE created_ns NOT IN (SELECT created_ns FROM templates)")

    def _log(self, action: str, identity: int, name: str, detail: str, now: int, other: int | None = None) -> int:
        row = self._connection.execute(
            "INSERT INTO audit (at_ns, action, identity_id, other_identity_id, name, detail) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
            (now, action, identity, other, self._codec.text(name), self._codec.text(detail)),
        ).fetchone()
        self._connection.announce(int(row[0]))
        return int(row[0])

    def _new_identity(self, name: str, now: int) -> int:
        row = self._connection.execute(
            "INSERT INTO identities (name, enrolled_ns) VALUES (?, ?) RETURNING id", (self._codec.text(name), now)
        ).fetchone()
        self._give_name(int(row[0]), name)
        return int(row[0])

    def _give_name(self, identity: int, name: str) -> None:
        values = (self._codec.text(name), name_seal(self._codec, identity, name), identity)
        self._connection.execute("UPDATE identities SET name = ?, seal = ? WHERE id = ?", values)

    def _remember(self, change: int, started: int = 0, **content: Any) -> None:
        """Note how a change can be taken back; ``started``: number of the first change of which this is a part."""
        self._connection.execute(
            "INSERT INTO undo (change, content, started) VALUES (?, ?, ?)",
            (change, self._codec.text(json.dumps(content)), started or change),
        )
        self._connection.execute(
            "DELETE FROM undo WHERE started <="
            " (SELECT started FROM undo GROUP BY started ORDER BY started DESC LIMIT 1 OFFSET ?)",
            (UNDO_KEPT,),
        )

    def _remember_merge(self, old: str, new: str, source: int, target: int) -> list[int]:
        """Returns the templates that are to move."""
        rows = self._connection.execute(
            "SELECT id, enrolled_ns, disabled FROM identities WHERE id IN (?, ?)", (source, target)
        ).fetchall()
        before = {identity: (enrolled, disabled) for identity, enrolled, disabled in rows}
        moved = [
            row[0] for row in self._connection.execute("SELECT id FROM templates WHERE identity_id = ?", (source,))
        ]
        change = self._log("merge", source, old, f"into '{new}'", time.time_ns(), target)
        self._remember(
            change,
            action="merge",
            identity=source,
            target=target,
            name=old,
            enrolled_ns=before[source][0],
            disabled=before[source][1],
            target_enrolled_ns=before[target][0],
            templates=moved,
        )
        return moved
