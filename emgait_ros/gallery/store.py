"""Who is enrolled: identities and their templates in one SQLite file that outlives restarts and power cuts.

Every change is one transaction, on the disk before it is answered. The file and its side files are for their owner
alone (mode 0600). Removing a person overwrites their templates; the audit log, which only grows, keeps the name and
the time of each change, and is at the same time how other threads and processes learn of it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from emgait_ros.gallery.names import normalised_name
from emgait_ros.gallery.records import AuditEntry, EnrolledIdentity, RenameOutcome, TemplateSet, checked_embeddings
from emgait_ros.gallery.schema import GalleryError, connect, say
from emgait_ros.samples import Float32, Modality

__all__ = ["AuditEntry", "EnrolledIdentity", "Gallery", "GalleryError", "RenameOutcome", "TemplateSet"]

_BATCH = 500  # below SQLite's limit of variables in one statement


class Gallery:
    """Identities and templates in a file. All methods may be called from any thread; several processes may share a file.

    Args:
        path: the SQLite file; ``~`` is expanded; it and its folder are created when missing.
        create: False refuses a missing file instead.

    Raises:
        GalleryError (a ValueError): the file is no gallery, damaged, newer, locked or cannot be written; the sentence
            names it, and it is left as it is. Every method raises the same for a failing disk or lock.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path).expanduser().absolute()
        if not create and not self.path.exists():
            raise GalleryError(
                f"there is no gallery at {self.path}: enrol somebody first, or give its path with --gallery"
            )
        self._lock = threading.RLock()
        self._connection = connect(self.path)

    def close(self) -> None:
        """Write everything into the main file and let go of it."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def enroll(
        self,
        name: str,
        embeddings: Float32,
        fingerprint: str,
        *,
        samples: Sequence[int],
        modalities: Modality,
        median_range_m: float,
    ) -> int:
        """Add templates to a person, who is created when new; all in one transaction.

        Args:
            name: 1 to 64 characters (see :func:`emgait_ros.gallery.names.normalised_name`).
            embeddings: (N, parts, d) or (parts, d) float32, finite.
            fingerprint: of the model that made them.
            samples: number of samples behind each of the N.
            modalities: sensors they rest on.
            median_range_m: m, of those samples.

        Returns:
            How many templates the person has now, of all models.

        Raises:
            ValueError: a name or embeddings that cannot be stored. GalleryError: as the class says.
        """
        clean = normalised_name(name)
        rows = checked_embeddings(embeddings, fingerprint, samples)
        now = time.time_ns()
        with self._change() as connection:
            self._check_shape(rows, fingerprint)
            identity = self._identity_id(clean)
            if identity is None:
                cursor = connection.execute("INSERT INTO identities (name, enrolled_ns) VALUES (?, ?)", (clean, now))
                identity = int(cursor.lastrowid or 0)
            for row, count in zip(rows, samples, strict=True):
                blob = row.tobytes()
                values = (
                    identity,
                    fingerprint,
                    *row.shape,
                    blob,
                    zlib.crc32(blob),
                    int(count),
                    int(modalities),
                    float(median_range_m),
                    now,
                )
                connection.execute(
                    "INSERT INTO templates (identity_id, fingerprint, parts, dimensions, embedding, checksum, samples, modalities,"
                    " median_range_m, created_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
            self._log("enroll", identity, clean, f"{len(rows)} templates of model {fingerprint[:12]}", now)
            return self._template_count(identity)

    def remove(self, name: str) -> int:
        """Delete a person with all templates, and their bytes in the file. Returns the number of templates deleted.

        Raises:
            ValueError: nobody has that name. GalleryError: as the class says.
        """
        clean = normalised_name(name)
        with self._change() as connection:
            identity = self._known_identity(clean)
            count = self._template_count(identity)
            connection.execute("DELETE FROM identities WHERE id = ?", (identity,))
            self._log("remove", identity, clean, f"{count} templates", time.time_ns())
        self._wipe_log()
        return count

    def rename(self, old_name: str, new_name: str) -> RenameOutcome:
        """Give a person another name; onto an existing name, the two become one person with all templates of both.

        Raises:
            ValueError: nobody has the old name, or the new one is not allowed. GalleryError: as the class says.
        """
        old, new = normalised_name(old_name), normalised_name(new_name)
        with self._change() as connection:
            source, target = self._known_identity(old), self._identity_id(new)
            if target is None or target == source:
                connection.execute("UPDATE identities SET name = ? WHERE id = ?", (new, source))
                self._log("rename", source, old, f"to '{new}'", time.time_ns())
                return RenameOutcome(False, self._template_count(source))
            connection.execute("UPDATE templates SET identity_id = ? WHERE identity_id = ?", (target, source))
            connection.execute(
                "UPDATE identities SET enrolled_ns = min(enrolled_ns, (SELECT enrolled_ns FROM identities WHERE id = ?)) WHERE id = ?",
                (source, target),
            )
            connection.execute("DELETE FROM identities WHERE id = ?", (source,))
            self._log("merge", source, old, f"into '{new}'", time.time_ns(), target)
            return RenameOutcome(True, self._template_count(target))

    def identities(self) -> list[EnrolledIdentity]:
        """Everybody enrolled, sorted by name."""
        with self._reading() as connection:
            people = connection.execute("SELECT id, name, enrolled_ns FROM identities ORDER BY name").fetchall()
            counts = connection.execute(
                "SELECT identity_id, fingerprint, count(*), max(samples) FROM templates GROUP BY identity_id, fingerprint"
            ).fetchall()
        by_model: dict[int, dict[str, int]] = {}
        samples: dict[int, int] = {}
        for identity, fingerprint, count, most in counts:
            by_model.setdefault(identity, {})[fingerprint] = count
            samples[identity] = max(samples.get(identity, 0), most)
        return [
            EnrolledIdentity(
                key, name, enrolled, sum(by_model.get(key, {}).values()), by_model.get(key, {}), samples.get(key, 0)
            )
            for key, name, enrolled in people
        ]

    def templates_for(self, fingerprint: str, identity_ids: Iterable[int] | None = None) -> TemplateSet:
        """Templates made by one model; those of other models are never compared, so never returned.

        Args:
            fingerprint: of the model in use.
            identity_ids: only of these identities; None: of all.

        Raises:
            GalleryError: a template's bytes are not those that were stored; or as the class says.
        """
        columns = "SELECT t.identity_id, i.name, t.parts, t.dimensions, t.embedding, t.checksum, t.modalities"
        query = f"{columns} FROM templates t JOIN identities i ON i.id = t.identity_id WHERE t.fingerprint = ?"
        with self._reading() as connection:
            if identity_ids is None:
                rows = connection.execute(f"{query} ORDER BY t.id", (fingerprint,)).fetchall()
            else:
                wanted = sorted(set(identity_ids))
                rows = []
                for start in range(0, len(wanted), _BATCH):
                    chosen = wanted[start : start + _BATCH]
                    marks = ",".join("?" * len(chosen))
                    rows += connection.execute(
                        f"{query} AND t.identity_id IN ({marks}) ORDER BY t.id", (fingerprint, *chosen)
                    ).fetchall()
        return self._template_set(rows)

    def other_models(self, fingerprint: str) -> dict[str, int]:
        """How many templates there are of each model other than this one: they need a new enrolment to be compared."""
        with self._reading() as connection:
            query = "SELECT fingerprint, count(*) FROM templates WHERE fingerprint <> ? GROUP BY fingerprint"
            return dict(connection.execute(query, (fingerprint,)).fetchall())

    def last_change(self) -> int:
        """Number of the newest change by any process: differs from before when something changed. Takes microseconds."""
        with self._reading() as connection:
            return int(connection.execute("SELECT coalesce(max(id), 0) FROM audit").fetchone()[0])

    def changed_since(self, change: int) -> set[int]:
        """Identity numbers touched (enrolled, renamed, merged, removed) after change number ``change``."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT identity_id, other_identity_id FROM audit WHERE id > ?", (change,)
            ).fetchall()
        return {identity for row in rows for identity in row if identity is not None}

    def audit(self) -> list[AuditEntry]:
        """Every change ever made, oldest first."""
        with self._reading() as connection:
            return [
                AuditEntry(*row)
                for row in connection.execute("SELECT at_ns, action, name, detail FROM audit ORDER BY id")
            ]

    def check(self) -> list[str]:
        """What is wrong with the file, a sentence each; empty when it is sound. Reads all of it."""
        problems: list[str] = []
        with self._reading() as connection:
            problems += [
                f"{self.path}: {row[0]}" for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"
            ]
            problems += [
                f"{self.path}: a template belongs to nobody (row {row[1]})"
                for row in connection.execute("PRAGMA foreign_key_check")
            ]
            query = "SELECT i.name, t.embedding, t.checksum FROM templates t JOIN identities i ON i.id = t.identity_id ORDER BY t.id"
            for name, blob, checksum in connection.execute(query):
                if zlib.crc32(blob) != checksum:
                    problems.append(self._damaged_template(name))
            query = "SELECT name FROM identities WHERE id NOT IN (SELECT identity_id FROM templates)"
            problems += [
                f"{self.path}: '{row[0]}' has no templates: enrol them again or remove them"
                for row in connection.execute(query)
            ]
        for suffix in ("", "-wal", "-shm"):
            side = Path(f"{self.path}{suffix}")
            if side.exists() and side.stat().st_mode & 0o077:
                problems.append(f"{side} can be read by others (mode {side.stat().st_mode & 0o777:04o}): chmod 600 it")
        return problems

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise say(self.path, error) from error

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed and on the disk at the end, undone when anything is raised."""
        with self._lock:
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

    def _identity_id(self, name: str) -> int | None:
        row = self._connection.execute("SELECT id FROM identities WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def _known_identity(self, name: str) -> int:
        identity = self._identity_id(name)
        if identity is None:
            names = [row[0] for row in self._connection.execute("SELECT name FROM identities ORDER BY name LIMIT 11")]
            listed = ", ".join(f"'{known}'" for known in names[:10]) + (", ..." if len(names) > 10 else "")
            raise ValueError(
                f"nobody called '{name}' is enrolled: "
                + (f"enrolled are {listed}" if names else "the gallery is empty")
            )
        return identity

    def _template_count(self, identity: int) -> int:
        return int(
            self._connection.execute("SELECT count(*) FROM templates WHERE identity_id = ?", (identity,)).fetchone()[0]
        )

    def _check_shape(self, rows: Float32, fingerprint: str) -> None:
        stored = self._connection.execute(
            "SELECT parts, dimensions FROM templates WHERE fingerprint = ? LIMIT 1", (fingerprint,)
        ).fetchone()
        if stored is not None and tuple(stored) != rows.shape[1:]:
            raise ValueError(
                f"embeddings are {rows.shape[1]}x{rows.shape[2]}, but templates of this model in {self.path} are {stored[0]}x{stored[1]}"
            )

    def _log(self, action: str, identity: int, name: str, detail: str, now: int, other: int | None = None) -> None:
        self._connection.execute(
            "INSERT INTO audit (at_ns, action, identity_id, other_identity_id, name, detail) VALUES (?, ?, ?, ?, ?, ?)",
            (now, action, identity, other, name, detail),
        )

    def _template_set(self, rows: list[tuple]) -> TemplateSet:
        if not rows:
            return TemplateSet(np.zeros(0, np.int64), np.zeros((0, 0, 0), np.float32), np.zeros(0, np.int64), {})
        parts, dimensions = rows[0][2], rows[0][3]
        embedding = np.empty((len(rows), parts, dimensions), np.float32)
        for index, (_, name, row_parts, row_dimensions, blob, checksum, _) in enumerate(rows):
            if zlib.crc32(blob) != checksum or (row_parts, row_dimensions) != (parts, dimensions):
                raise GalleryError(self._damaged_template(name))
            embedding[index] = np.frombuffer(blob, "<f4").reshape(parts, dimensions)
        identity_id = np.array([row[0] for row in rows], np.int64)
        modalities = np.array([row[6] for row in rows], np.int64)
        return TemplateSet(identity_id, embedding, modalities, {row[0]: row[1] for row in rows})

    def _damaged_template(self, name: str) -> str:
        return f"gallery {self.path}: a template of '{name}' is damaged: put a backup in place, or `emgait gallery remove` and enrol again"
