"""Templates and saved walks: storing them, bound to their person, and handing out those that are sound."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emgait_ros.gallery.binding import is_sealed, not_theirs, template_context, walk_context
from emgait_ros.gallery.encryption import WrongKeyError
from emgait_ros.gallery.file import GalleryFile
from emgait_ros.gallery.records import Template, TemplateInfo, TemplateSet
from emgait_ros.gallery.schema import GalleryError

_TEMPLATE_ROWS = (
    "SELECT t.identity_id, i.name, i.seal, t.parts, t.dimensions, t.embedding, t.checksum, t.modalities, t.fingerprint,"
    " t.created_ns FROM templates t JOIN identities i ON i.id = t.identity_id"
)
_INFO = "t.id, t.fingerprint, t.samples, t.modalities, t.median_range_m, t.created_ns, t.quality"
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


@dataclass(eq=False)
class Templates:
    """The templates of an open gallery, by the number of their person. Methods that change something are called within a change."""

    file: GalleryFile

    def of_model(self, fingerprint: str, identity_ids: Iterable[int] | None = None) -> TemplateSet:
        """Templates made by one model, of people who are neither disabled nor expired; those of other models are never compared.

        Templates whose bytes are not those that were stored are left out, as are, in an encrypted gallery, those that
        somebody without the key moved to another person: the others can be used.

        Args:
            fingerprint: of the model in use.
            identity_ids: only of these identities; None: of all.

        Raises:
            GalleryError: as :class:`GalleryFile` says.
        """
        query = f"{_TEMPLATE_ROWS} WHERE t.fingerprint = ? AND i.disabled = 0 AND i.expired_ns = 0"
        with self.file.reading():
            if identity_ids is None:
                rows = self.file.rows(f"{query} ORDER BY t.id", fingerprint)
            else:
                wanted, rows = sorted(set(identity_ids)), []
                for start in range(0, len(wanted), _BATCH):
                    chosen = wanted[start : start + _BATCH]
                    marks = ",".join("?" * len(chosen))
                    rows += self.file.rows(
                        f"{query} AND t.identity_id IN ({marks}) ORDER BY t.id", fingerprint, *chosen
                    )
            return self._template_set([_TemplateRow(*row) for row in rows])

    def of(self, identity: int) -> list[TemplateInfo]:
        """What is stored of one person, oldest first."""
        rows = self.file.rows(f"SELECT {_INFO} FROM templates t WHERE t.identity_id = ? ORDER BY t.id", identity)  # noqa: S608
        return [TemplateInfo(*row) for row in rows]

    def numbers_of(self, identity: int) -> list[int]:
        """Numbers of one person's templates."""
        return [row[0] for row in self.file.rows("SELECT id FROM templates WHERE identity_id = ?", identity)]

    def count(self, identity: int) -> int:
        """How many templates a person has, of all models."""
        return len(self.numbers_of(identity))

    def other_models(self, fingerprint: str) -> dict[str, int]:
        """How many templates there are of each model other than this one: they need a new enrolment to be compared."""
        # Asked by every robot after every change: the index's two ends say whether there is any other.
        ends = "SELECT (SELECT min(fingerprint) FROM templates), (SELECT max(fingerprint) FROM templates)"
        if set(self.file.rows(ends)[0]) <= {fingerprint, None}:
            return {}
        query = (
            "SELECT fingerprint, count(*) FROM templates WHERE fingerprint < ? OR fingerprint > ? GROUP BY fingerprint"
        )
        return dict(self.file.rows(query, fingerprint, fingerprint))

    def exported(self, identity: int) -> list[Template]:
        """One person's templates, decrypted.

        Raises:
            WrongKeyError: one of them cannot be read.
        """
        query = (
            f"SELECT t.embedding, t.parts, t.dimensions, {_INFO} FROM templates t WHERE t.identity_id = ? ORDER BY t.id"  # noqa: S608
        )
        found = []
        for blob, parts, dimensions, *facts in self.file.rows(query, identity):
            info = TemplateInfo(*facts)
            plain = self.file.codec.read_data(blob, template_context(info.fingerprint, identity, info.created_ns))
            _, fingerprint, *others = facts
            found.append(Template(fingerprint, np.frombuffer(plain, "<f4").reshape(parts, dimensions), *others))
        return found

    def add(self, identity: int, template: Template) -> int:
        """Store one more template of a person; returns its number.

        Raises:
            ValueError: its shape is not that of the others of its model.
        """
        self._check_shape(template.embedding.shape, template.fingerprint)
        context = template_context(template.fingerprint, identity, template.created_ns)
        blob = self.file.codec.data(np.ascontiguousarray(template.embedding, "<f4").tobytes(), context)
        facts = (template.samples, template.modalities, template.median_range_m, template.created_ns, template.quality)
        row = self.file.execute(
            "INSERT INTO templates (identity_id, fingerprint, parts, dimensions, embedding, checksum, samples, modalities,"
            " median_range_m, created_ns, quality) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (identity, template.fingerprint, *template.embedding.shape, blob, zlib.crc32(blob), *facts),
        ).fetchone()
        return int(row[0])

    def _check_shape(self, shape: tuple[int, ...], fingerprint: str) -> None:
        stored = self.file.row("SELECT parts, dimensions FROM templates WHERE fingerprint = ? LIMIT 1", fingerprint)
        if stored is not None and tuple(stored) != shape:
            raise ValueError(
                f"embeddings are {shape[0]}x{shape[1]}, but templates of this model in {self.file.place} are {stored[0]}x{stored[1]}"
            )

    def move(self, numbers: Iterable[int], identity: int) -> None:
        """Make templates, of those that are still there, another person's.

        Raises:
            WrongKeyError: one of them is damaged, or is not that of the person who has it.
        """
        for number in numbers:
            query = "SELECT embedding, fingerprint, identity_id, created_ns FROM templates WHERE id = ?"
            for stored, fingerprint, owner, created in self.file.rows(query, number):
                plain = self.file.codec.read_data(stored, template_context(fingerprint, owner, created))
                self.file.execute("UPDATE templates SET identity_id = ? WHERE id = ?", (identity, number))
                if self.file.codec.encrypted:  # a plain one stays as it is, with its checksum, also when it is damaged
                    blob = self.file.codec.data(plain, template_context(fingerprint, identity, created))
                    values = (blob, zlib.crc32(blob), number)
                    self.file.execute("UPDATE templates SET embedding = ?, checksum = ? WHERE id = ?", values)

    def delete(self, numbers: Iterable[int]) -> None:
        """Delete templates by their numbers."""
        self.file.connection.executemany("DELETE FROM templates WHERE id = ?", [(n,) for n in numbers])

    def add_walk(self, number: int, walk: bytes) -> None:
        """Keep a walk's samples under its time."""
        values = (number, self.file.codec.data(walk, walk_context(number)))
        self.file.execute("INSERT INTO saved_walks (created_ns, content) VALUES (?, ?)", values)

    def forget_walks(self) -> None:
        """Delete the samples of walks no template rests on any more."""
        self.file.execute("DELETE FROM saved_walks WHERE created_ns NOT IN (SELECT created_ns FROM templates)")

    def walks_without(self, fingerprint: str) -> list[int]:
        """Numbers of the saved walks that a model has made no templates of."""
        query = (
            "SELECT created_ns FROM saved_walks WHERE created_ns NOT IN (SELECT created_ns FROM templates WHERE fingerprint = ?)"
            " ORDER BY created_ns"
        )
        return [int(row[0]) for row in self.file.rows(query, fingerprint)]

    def walk(self, number: int) -> tuple[str, TemplateInfo, bytes]:
        """Whose walk it is, what is known of its templates, and its samples (:mod:`emgait_ros.gallery.saved_walks`).

        Raises:
            ValueError: it is gone. GalleryError: its bytes are not those that were stored.
        """
        with self.file.reading():
            row = self.file.row(
                f"SELECT {_INFO}, w.content FROM saved_walks w JOIN templates t ON t.created_ns = w.created_ns"  # noqa: S608
                " WHERE w.created_ns = ? ORDER BY t.samples DESC, t.id LIMIT 1",
                number,
            )
            if row is None:
                raise ValueError(f"there is no saved walk {number}: the person was removed meanwhile")
            owner = _TemplateRow(*self.file.rows(f"{_TEMPLATE_ROWS} WHERE t.id = ?", row[0])[0])
            _, problem = self._opened(owner)
            if problem:
                raise GalleryError(problem)
            walk = self.file.codec.read_data(row[-1], walk_context(number))
            return self.file.codec.read_text(owner.name), TemplateInfo(*row[:-1]), walk

    def problems(self) -> list[str]:
        """Why templates cannot be used, a sentence each. Reads all of them."""
        rows = self.file.execute(f"{_TEMPLATE_ROWS} ORDER BY t.id")
        found = (self._opened(_TemplateRow(*row))[1] for row in rows)
        return [problem for problem in found if problem]

    def _template_set(self, rows: list[_TemplateRow]) -> TemplateSet:
        """Those that can be used; whoever has others is named in ``left_out``."""
        shapes = Counter((row.parts, row.dimensions) for row in rows)
        shape = shapes.most_common(1)[0][0] if shapes else (0, 0)
        left_out: dict[int, str] = {}
        kept, content = [], []
        for row in rows:
            plain, problem = self._opened(row)
            if not problem and (row.parts, row.dimensions) != shape:
                problem = self._damaged_template(self.file.shown(row.name))
            if problem:
                left_out[row.identity] = problem
            else:
                kept.append(row)
                content.append(plain)
        names = {
            identity: self.file.codec.read_text(name)
            for identity, name in dict.fromkeys((row.identity, row.name) for row in kept)
        }
        embedding = np.frombuffer(bytearray().join(content), "<f4").reshape(len(kept), *(shape if kept else (0, 0)))
        identity_id = np.array([row.identity for row in kept], np.int64)
        modalities = np.array([row.modalities for row in kept], np.int64)
        return TemplateSet(identity_id, embedding.astype(np.float32, copy=False), modalities, names, left_out)

    def _opened(self, row: _TemplateRow) -> tuple[bytes, str]:
        """A template's bytes, or why it cannot be used, as a sentence."""
        if zlib.crc32(row.embedding) != row.checksum:
            return b"", self._damaged_template(self.file.shown(row.name))
        if not is_sealed(self.file.codec, row.identity, self.file.shown(row.name), row.seal):
            return b"", not_theirs(self.file.place, f"the name '{self.file.shown(row.name)}'")
        try:
            return self.file.codec.read_data(row.embedding, row.context), ""
        except WrongKeyError:
            return b"", not_theirs(self.file.place, f"a template of '{self.file.shown(row.name)}'")

    def _damaged_template(self, name: str) -> str:
        return f"gallery {self.file.place}: a template of '{name}' is damaged: put a backup in place, or `emgait gallery remove` and enrol again"
