"""What can be asked of a gallery without changing it."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from emgait_ros.gallery.binding import is_sealed, template_context, walk_context
from emgait_ros.gallery.encryption import WrongKeyError
from emgait_ros.gallery.file import GalleryFile
from emgait_ros.gallery.names import look_alikes, normalised_name
from emgait_ros.gallery.records import AuditEntry, Calibration, EnrolledIdentity, TemplateInfo, TemplateSet
from emgait_ros.gallery.schema import GalleryError

_TEMPLATE_ROWS = (
    "SELECT t.identity_id, i.name, i.seal, t.parts, t.dimensions, t.embedding, t.checksum, t.modalities, t.fingerprint,"
    " t.created_ns FROM templates t JOIN identities i ON i.id = t.identity_id"
)
_BATCH = 500  # below SQLite's limit of variables in one statement


class _TemplateRow(NamedTuple):
    """A row of ``_TEMPLATE_ROWS``, as it is stored."""

    identity: int
    name: str
    seal: str
    parts: int
    dimensions: int
    embedding: bytes
    checksum: int
    modalities: int
    fingerprint: str
    created_ns: int

    @property
    def context(self) -> str:
        """What the template is bound to."""
        return template_context(self.fingerprint, self.identity, self.created_ns)


class GalleryReading(GalleryFile):
    """Adds reading to the open file; arguments and errors as there."""

    def identities(self) -> list[EnrolledIdentity]:
        """Everybody enrolled, sorted by name."""
        with self._reading() as connection:
            people = connection.execute("SELECT id, name, enrolled_ns, disabled, expired_ns FROM identities").fetchall()
            people = [(key, self._codec.read_text(name), *rest) for key, name, *rest in people]
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
                key,
                name,
                enrolled,
                sum(by_model.get(key, {}).values()),
                by_model.get(key, {}),
                samples.get(key, 0),
                bool(disabled),
                expired,
            )
            for key, name, enrolled, disabled, expired in sorted(people, key=lambda person: person[1])
        ]

    def templates_for(self, fingerprint: str, identity_ids: Iterable[int] | None = None) -> TemplateSet:
        """Templates made by one model, of people who are neither disabled nor expired; those of other models are never compared.

        Templates whose bytes are not those that were stored are left out, as are, in an encrypted gallery, those that
        somebody without the key moved to another person: the others can be used.

        Args:
            fingerprint: of the model in use.
            identity_ids: only of these identities; None: of all.

        Raises:
            GalleryError: as the class says.
        """
        query = f"{_TEMPLATE_ROWS} WHERE t.fingerprint = ? AND i.disabled = 0 AND i.expired_ns = 0"
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
            return self._template_set([_TemplateRow(*row) for row in rows])

    def templates_of(self, name: str) -> list[TemplateInfo]:
        """What is stored of one person, oldest first.

        Raises:
            ValueError: nobody has that name.
        """
        with self._reading() as connection:
            identity = self._known_identity(name)
            rows = connection.execute(
                "SELECT id, fingerprint, samples, modalities, median_range_m, created_ns, quality FROM templates"
                " WHERE identity_id = ? ORDER BY id",
                (identity,),
            ).fetchall()
        return [TemplateInfo(*row) for row in rows]

    def other_models(self, fingerprint: str) -> dict[str, int]:
        """How many templates there are of each model other than this one: they need a new enrolment to be compared."""
        with self._reading() as connection:
            query = "SELECT fingerprint, count(*) FROM templates WHERE fingerprint <> ? GROUP BY fingerprint"
            return dict(connection.execute(query, (fingerprint,)).fetchall())

    def calibration(self, fingerprint: str) -> Calibration | None:
        """The newest threshold calibrated for this gallery with this model, if there is one."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT content FROM calibrations WHERE fingerprint = ? ORDER BY id DESC LIMIT 1", (fingerprint,)
            ).fetchone()
        return None if row is None else Calibration.from_json(row[0])

    def is_disabled(self, name: str) -> bool:
        """Whether somebody of that name is enrolled, and disabled."""
        with self._reading() as connection:
            query = "SELECT disabled FROM identities WHERE name = ?"
            row = connection.execute(query, (self._codec.text(name),)).fetchone()
        return row is not None and bool(row[0])

    def look_alikes(self, name: str, apart_from: str = "") -> list[str]:
        """Names enrolled that look like this one, none when it is enrolled itself; ``apart_from`` one that may.

        Raises:
            ValueError: not allowed as a name.
        """
        clean = normalised_name(name)
        with self._reading():
            if self._identity_id(clean) is not None:
                return []
            names = self._names()
        return look_alikes(clean, [other for other in names if other != apart_from])

    def saved_walks_without(self, fingerprint: str) -> list[int]:
        """Numbers of the saved walks that a model has made no templates of."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT created_ns FROM saved_walks WHERE created_ns NOT IN (SELECT created_ns FROM templates WHERE fingerprint = ?)"
                " ORDER BY created_ns",
                (fingerprint,),
            ).fetchall()
        return [int(row[0]) for row in rows]

    def saved_walk(self, number: int) -> tuple[str, TemplateInfo, bytes]:
        """Whose walk it is, what is known of its templates, and its samples (:mod:`emgait_ros.gallery.saved_walks`).

        Raises:
            ValueError: it is gone. GalleryError: its bytes are not those that were stored.
        """
        with self._reading() as connection:
            row = connection.execute(
                "SELECT t.id, t.fingerprint, t.samples, t.modalities, t.median_range_m, t.created_ns, t.quality, w.content"
                " FROM saved_walks w JOIN templates t ON t.created_ns = w.created_ns"
                " WHERE w.created_ns = ? ORDER BY t.samples DESC, t.id LIMIT 1",
                (number,),
            ).fetchone()
            if row is None:
                raise ValueError(f"there is no saved walk {number}: the person was removed meanwhile")
            owner = _TemplateRow(*connection.execute(f"{_TEMPLATE_ROWS} WHERE t.id = ?", (row[0],)).fetchone())
            _, problem = self._opened(owner)
            if problem:
                raise GalleryError(problem)
            walk = self._codec.read_data(row[-1], walk_context(number))
            return self._codec.read_text(owner.name), TemplateInfo(*row[:-1]), walk

    def calibrated_models(self) -> list[str]:
        """Fingerprints of the models this gallery has a threshold for."""
        with self._reading() as connection:
            return [row[0] for row in connection.execute("SELECT DISTINCT fingerprint FROM calibrations").fetchall()]

    def last_change(self) -> int:
        """Number of the newest change by anybody: differs from before when something changed. Takes microseconds.

        Raises:
            GalleryError: the database is lost.
        """
        known = self._connection.newest_change()
        if known is not None:
            return known
        with self._reading() as connection:
            return int(connection.execute("SELECT coalesce(max(id), 0) FROM audit").fetchone()[0])

    def changed_since(self, change: int) -> set[int]:
        """Identity numbers touched (enrolled, renamed, merged, removed ...) after change number ``change``."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT identity_id, other_identity_id FROM audit WHERE id > ?", (change,)
            ).fetchall()
        return {identity for row in rows for identity in row if identity}

    def audit(self) -> list[AuditEntry]:
        """Every change ever made, oldest first."""
        read = self._codec.read_text
        with self._reading() as connection:
            return [
                AuditEntry(at, action, read(name), read(detail))
                for at, action, name, detail in connection.execute(
                    "SELECT at_ns, action, name, detail FROM audit ORDER BY id"
                )
            ]

    def check(self) -> list[str]:
        """What is wrong with the gallery, a sentence each; empty when it is sound. Reads all of it."""
        with self._reading() as connection:
            problems = connection.problems()
            rows = connection.execute(f"{_TEMPLATE_ROWS} ORDER BY t.id")
            found = (self._opened(_TemplateRow(*row))[1] for row in rows)
            problems += [problem for problem in found if problem]
            query = "SELECT name FROM identities WHERE id NOT IN (SELECT identity_id FROM templates)"
            problems += [
                f"{self.place}: '{self._shown(row[0])}' has no templates: enrol them again or remove them"
                for row in connection.execute(query)
            ]
            texts = "SELECT name FROM identities UNION ALL SELECT name FROM audit UNION ALL SELECT detail FROM audit"
            broken = sum(self._shown(row[0]) == "?" for row in connection.execute(texts))
            if broken:
                problems.append(f"{self.place}: {broken} names cannot be decrypted: put a backup in its place")
        return problems

    def _shown(self, stored: str) -> str:
        try:
            return self._codec.read_text(stored)
        except WrongKeyError:
            return "?"

    def _names(self) -> list[str]:
        stored = self._connection.execute("SELECT name FROM identities").fetchall()
        return [self._codec.read_text(row[0]) for row in stored]

    def _identity_id(self, name: str) -> int | None:
        row = self._connection.execute("SELECT id FROM identities WHERE name = ?", (self._codec.text(name),)).fetchone()
        return None if row is None else int(row[0])

    def _known_identity(self, name: str) -> int:
        identity = self._identity_id(name)
        if identity is None:
            names = sorted(self._names())
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

    def _template_set(self, rows: list[_TemplateRow]) -> TemplateSet:
        """Those that can be used; whoever has others is named in ``left_out``."""
        shapes = Counter((row.parts, row.dimensions) for row in rows)
        shape = shapes.most_common(1)[0][0] if shapes else (0, 0)
        left_out: dict[int, str] = {}
        kept, content = [], []
        for row in rows:
            plain, problem = self._opened(row)
            if not problem and (row.parts, row.dimensions) != shape:
                problem = self._damaged_template(self._shown(row.name))
            if problem:
                left_out[row.identity] = problem
            else:
                kept.append(row)
                content.append(plain)
        names = {
            identity: self._codec.read_text(name)
            for identity, name in dict.fromkeys((row.identity, row.name) for row in kept)
        }
        embedding = np.frombuffer(bytearray().join(content), "<f4").reshape(len(kept), *(shape if kept else (0, 0)))
        identity_id = np.array([row.identity for row in kept], np.int64)
        modalities = np.array([row.modalities for row in kept], np.int64)
        return TemplateSet(identity_id, embedding.astype(np.float32, copy=False), modalities, names, left_out)

    def _opened(self, row: _TemplateRow) -> tuple[bytes, str]:
        """A template's bytes, or why it cannot be used, as a sentence."""
        if zlib.crc32(row.embedding) != row.checksum:
            return b"", self._damaged_template(self._shown(row.name))
        if not is_sealed(self._codec, row.identity, self._shown(row.name), row.seal):
            return b"", self._not_theirs(f"the name '{self._shown(row.name)}'")
        try:
            return self._codec.read_data(row.embedding, row.context), ""
        except WrongKeyError:
            return b"", self._not_theirs(f"a template of '{self._shown(row.name)}'")

    def _not_theirs(self, what: str) -> str:
        return (
            f"gallery {self.place}: {what} was put there, or changed, by somebody without the key, and is not used: put a backup "
            "in place, or `emgait gallery remove` and enrol again"
        )

    def _check_name(self, identity: int, name: str) -> None:
        """Raises GalleryError when somebody without the key put a name on a person."""
        row = self._connection.execute("SELECT seal FROM identities WHERE id = ?", (identity,)).fetchone()
        if not is_sealed(self._codec, identity, name, row[0]):
            raise GalleryError(self._not_theirs(f"the name '{name}'"))

    def _damaged_template(self, name: str) -> str:
        return f"gallery {self.place}: a template of '{name}' is damaged: put a backup in place, or `emgait gallery remove` and enrol again"
