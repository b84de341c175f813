"""The audit log of a gallery, and what it takes to undo a change, written in the change's own transaction."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from emgait_ros.foreign import parsed_json
from emgait_ros.gallery.file import GalleryFile
from emgait_ros.gallery.identities import Identities
from emgait_ros.gallery.records import AuditEntry, Template
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.templates import Templates

UNDO_KEPT = 100
"""Changes that can be taken back, newest first."""


COMMAND_LINE, LONGEST_CALLER = "command line", 64
_caller: ContextVar[str] = ContextVar("caller", default="")


@contextmanager
def asked_by(caller: str) -> Iterator[None]:
    """The audit log says of changes made meanwhile, in this thread, that this caller ("console") asked for them; empty: nothing."""
    printable = "".join(letter for letter in caller if letter.isprintable())
    token = _caller.set(printable.strip()[:LONGEST_CALLER])
    try:
        yield
    finally:
        _caller.reset(token)


class Change(NamedTuple):
    """A change as others follow it: its number, when it was made (ns since 1970), and the people it touched."""

    number: int
    at_ns: int
    action: str
    identity: int
    other: int | None

    @property
    def touched(self) -> set[int]:
        """Numbers of the identities."""
        return {identity for identity in (self.identity, self.other) if identity}


class TakenBackError(ValueError):
    """Nothing is left of what was stored of a walk: the rest of it must not bring its person back."""


@dataclass
class UndoStep:
    """Changes in several transactions, also of other threads, that are taken back together.

    Attributes:
        started: number of the first one, 0 before it.
        caller: who asks for them all (:func:`asked_by`).
    """

    started: int = 0
    caller: str = field(default_factory=_caller.get)


def as_content(template: Template) -> dict[str, Any]:
    """A template for the undo log, which is encrypted as a whole."""
    return {**template.facts(), "embedding": base64.b64encode(template.embedding.tobytes()).decode()}


def _template_from(content: dict[str, Any]) -> Template:
    embedding = np.frombuffer(base64.b64decode(content["embedding"]), "<f4").reshape(content["shape"])
    return Template(**{name: value for name, value in content.items() if name != "shape"} | {"embedding": embedding})


@dataclass(eq=False)
class History:
    """Audit log and undoing, which restores the identities and templates of the open gallery."""

    file: GalleryFile
    identities: Identities
    templates: Templates

    def audit(self) -> list[AuditEntry]:
        """Every change ever made, oldest first."""
        read = self.file.codec.read_text
        with self.file.reading():
            rows = self.file.rows("SELECT at_ns, action, name, detail FROM audit ORDER BY id")
            return [AuditEntry(at, action, read(name), read(detail)) for at, action, name, detail in rows]

    def last_change(self) -> int:
        """Number of the newest change by anybody: differs from before when something changed. Takes microseconds.

        Raises:
            GalleryError: the database is lost.
        """
        return self.newest()[0]

    def newest(self) -> tuple[int, int | None]:
        """As :meth:`last_change`, and when that was made (ns since 1970), by which another gallery of as many changes shows; None: not known."""
        known = self.file.connection.newest_change()
        if known is not None:
            return known, None
        row = self.file.row("SELECT id, at_ns FROM audit ORDER BY id DESC LIMIT 1")
        return (row[0], row[1]) if row else (0, None)

    def since(self, change: int) -> list[Change]:
        """Change number ``change``, if there is one of that number, and all later ones, in their order."""
        query = "SELECT id, at_ns, action, identity_id, other_identity_id FROM audit WHERE id >= ? ORDER BY id"
        return [Change(*row) for row in self.file.rows(query, change)]

    def log(self, action: str, identity: int, name: str, detail: str, now: int, other: int | None = None) -> int:
        """Within a change: note it in the audit log, which others follow, with who asked for it; returns its number."""
        if caller := _caller.get():
            detail = f"{detail} (by {caller})".lstrip()
        row = self.file.execute(
            "INSERT INTO audit (at_ns, action, identity_id, other_identity_id, name, detail) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
            (now, action, identity, other, self.file.codec.text(name), self.file.codec.text(detail)),
        ).fetchone()
        self.file.connection.announce(int(row[0]))
        return int(row[0])

    def remember(self, change: int, started: int = 0, **content: Any) -> None:
        """Within a change: note how a change can be taken back; ``started``: number of the first change of which this is a part."""
        self.file.execute(
            "INSERT INTO undo (change, content, started) VALUES (?, ?, ?)",
            (change, self.file.codec.text(json.dumps(content)), started or change),
        )
        self.file.execute(
            "DELETE FROM undo WHERE started <="
            " (SELECT started FROM undo GROUP BY started ORDER BY started DESC LIMIT 1 OFFSET ?)",
            (UNDO_KEPT,),
        )

    def refuse_taken_back(self, step: UndoStep) -> None:
        """Raises TakenBackError (a ValueError) when nothing is left of what a step has stored: it was undone, or its person removed."""
        if step.started and self.file.row("SELECT 1 FROM undo WHERE started = ?", step.started) is None:
            raise TakenBackError("what was stored of this walk before was taken back: no more of it is stored")

    def take_back_newest(self) -> str:
        """Take back the newest change that can be (enrol, rename, merge, split, disable, import, expire); removals are final.

        What is deleted by that may stay in side files until :meth:`emgait_ros.gallery.upkeep.Upkeep.forget_bytes`.

        Returns:
            What was done, as a sentence.

        Raises:
            ValueError: there is nothing to take back, or somebody else has the old name by now.
        """
        with self.file.change():
            newest = self.file.row("SELECT started FROM undo ORDER BY change DESC LIMIT 1")
            if newest is None:
                raise ValueError("there is no change to undo: a removal is final, and what was before it is forgotten")
            # An enrolment over time leaves others at work: what they did to it meanwhile is taken back before its beginning.
            rows = self.file.rows(
                "SELECT u.change, u.content, a.name, a.detail FROM undo u JOIN audit a ON a.id = u.change"
                " WHERE u.started = ? AND u.change > (SELECT coalesce(max(o.change), 0) FROM undo o JOIN audit b ON b.id = o.change"
                " WHERE o.started <> ? AND b.action <> 'enroll') ORDER BY u.change DESC",
                *newest,
                *newest,
            )
            said = [self._undo_one(*row) for row in rows]
        return f"undone: {said[0]}" + (f", and of {len(said) - 1} more" if len(said) > 1 else "")

    def _undo_one(self, change: int, stored: str, name: str, detail: str) -> str:
        read = self.file.codec.read_text
        try:
            content = parsed_json(read(stored))
            self._take_back(content)
            said = f"{content['action']} of '{read(name)}' {read(detail)}".strip()
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise GalleryError(
                f"gallery {self.file.place}: what it takes to undo the newest change is damaged ({error!r}): nothing was changed"
            ) from error
        self.file.execute("DELETE FROM undo WHERE change = ?", (change,))
        other = content.get("made", content.get("target"))
        self.log("undo", content["identity"], read(name), said, time.time_ns(), other)
        return said

    def _take_back(self, content: dict[str, Any]) -> None:
        connection, identity = self.file.connection, content["identity"]
        if content["action"] in ("rename", "merge"):
            holder = self.identities.number_of(content["name"])
            if holder is not None and holder != identity:
                raise ValueError(f"somebody else is called '{content['name']}' by now: rename them first")
        if content["action"] in ("enroll", "import"):
            self.templates.delete(content["templates"])
            for facts in content.get("replaced", ()):
                self.templates.add(identity, _template_from(facts))
            if content["created"]:
                self.identities.delete_without_templates(identity)
            if content["action"] == "enroll":
                self.templates.forget_walks()
        elif content["action"] == "rename":
            self.identities.give_name(identity, content["name"])
        elif content["action"] == "merge":
            connection.execute(
                "INSERT INTO identities (id, name, enrolled_ns, disabled) VALUES (?, ?, ?, ?)",
                (identity, self.file.codec.text(content["name"]), content["enrolled_ns"], content["disabled"]),
            )
            self.identities.give_name(identity, content["name"])
            connection.execute(
                "UPDATE identities SET enrolled_ns = ? WHERE id = ?", (content["target_enrolled_ns"], content["target"])
            )
            self.templates.move(content["templates"], identity)
        elif content["action"] == "split":
            self.templates.move(self.templates.numbers_of(content["made"]), identity)
            connection.execute("DELETE FROM identities WHERE id = ?", (content["made"],))
        elif content["action"] == "disabled":
            disabled, expired, kept = content.get("before", (int(content.get("disabled", 0)), 0, 0))
            connection.execute(
                "UPDATE identities SET disabled = ?, expired_ns = ?, kept_ns = ? WHERE id = ?",
                (disabled, expired, kept, identity),
            )
        elif content["action"] == "expire":
            self.identities.keep(identity)
