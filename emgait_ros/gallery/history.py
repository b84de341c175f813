"""What was done to a gallery: the audit log, and what it takes to restore what was before a change, kept in its own transaction."""

from __future__ import annotations

import base64
import dataclasses
import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from emgait_ros.gallery.export_file import ExportedTemplate
from emgait_ros.gallery.file import GalleryFile
from emgait_ros.gallery.identities import Identities
from emgait_ros.gallery.records import AuditEntry
from emgait_ros.gallery.templates import Templates

UNDO_KEPT = 100
"""Changes that can be taken back, newest first."""


@dataclass
class UndoStep:
    """Changes in several transactions that are taken back together; ``started``: number of the first one, 0 before it."""

    started: int = 0


def as_content(template: ExportedTemplate) -> dict[str, Any]:
    """A template for the undo log, which is encrypted as a whole."""
    facts = dataclasses.asdict(template)
    facts["embedding"] = base64.b64encode(template.embedding.tobytes()).decode()
    return {**facts, "shape": list(template.embedding.shape)}


def _template_from(content: dict[str, Any]) -> ExportedTemplate:
    facts = dict(content)
    shape = facts.pop("shape")
    embedding = np.frombuffer(base64.b64decode(facts["embedding"]), "<f4").reshape(shape)
    return ExportedTemplate(**{**facts, "embedding": embedding})


class History:
    """Audit log and undoing.

    Args:
        file: the open gallery.
        identities, templates: of it, which undoing restores.
    """

    def __init__(self, file: GalleryFile, identities: Identities, templates: Templates) -> None:
        self._file = file
        self._identities = identities
        self._templates = templates

    def audit(self) -> list[AuditEntry]:
        """Every change ever made, oldest first."""
        read = self._file.codec.read_text
        with self._file.reading() as connection:
            return [
                AuditEntry(at, action, read(name), read(detail))
                for at, action, name, detail in connection.execute(
                    "SELECT at_ns, action, name, detail FROM audit ORDER BY id"
                )
            ]

    def last_change(self) -> int:
        """Number of the newest change by anybody: differs from before when something changed. Takes microseconds.

        Raises:
            GalleryError: the database is lost.
        """
        known = self._file.connection.newest_change()
        if known is not None:
            return known
        with self._file.reading() as connection:
            return int(connection.execute("SELECT coalesce(max(id), 0) FROM audit").fetchone()[0])

    def changed_since(self, change: int) -> set[int]:
        """Identity numbers touched (enrolled, renamed, merged, removed ...) after change number ``change``."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT identity_id, other_identity_id FROM audit WHERE id > ?", (change,)
            ).fetchall()
        return {identity for row in rows for identity in row if identity}

    def log(self, action: str, identity: int, name: str, detail: str, now: int, other: int | None = None) -> int:
        """Within a change: note it in the audit log, which others follow; returns its number."""
        row = self._file.execute(
            "INSERT INTO audit (at_ns, action, identity_id, other_identity_id, name, detail) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
            (now, action, identity, other, self._file.codec.text(name), self._file.codec.text(detail)),
        ).fetchone()
        self._file.connection.announce(int(row[0]))
        return int(row[0])

    def remember(self, change: int, started: int = 0, **content: Any) -> None:
        """Within a change: note how a change can be taken back; ``started``: number of the first change of which this is a part."""
        self._file.execute(
            "INSERT INTO undo (change, content, started) VALUES (?, ?, ?)",
            (change, self._file.codec.text(json.dumps(content)), started or change),
        )
        self._file.execute(
            "DELETE FROM undo WHERE started <="
            " (SELECT started FROM undo GROUP BY started ORDER BY started DESC LIMIT 1 OFFSET ?)",
            (UNDO_KEPT,),
        )

    def take_back_newest(self) -> str:
        """Take back the newest change that can be (enrol, rename, merge, split, disable, import, expire); removals are final.

        What is deleted by that may stay in side files until :meth:`emgait_ros.gallery.upkeep.Upkeep.forget_bytes`.

        Returns:
            What was done, as a sentence.

        Raises:
            ValueError: there is nothing to take back, or somebody else has the old name by now.
        """
        with self._file.change() as connection:
            newest = connection.execute("SELECT started FROM undo ORDER BY change DESC LIMIT 1").fetchone()
            if newest is None:
                raise ValueError("there is no change to undo: a removal is final, and what was before it is forgotten")
            # An enrolment over time leaves others at work: what they did to it meanwhile is taken back before its beginning.
            rows = connection.execute(
                "SELECT u.change, u.content, a.name, a.detail FROM undo u JOIN audit a ON a.id = u.change"
                " WHERE u.started = ? AND u.change > (SELECT coalesce(max(o.change), 0) FROM undo o JOIN audit b ON b.id = o.change"
                " WHERE o.started <> ? AND b.action <> 'enroll') ORDER BY u.change DESC",
                (*newest, *newest),
            ).fetchall()
            said = [self._undo_one(*row) for row in rows]
        return f"undone: {said[0]}" + (f", and of {len(said) - 1} more" if len(said) > 1 else "")

    def _undo_one(self, change: int, stored: str, name: str, detail: str) -> str:
        read = self._file.codec.read_text
        content = json.loads(read(stored))
        self._take_back(content)
        self._file.execute("DELETE FROM undo WHERE change = ?", (change,))
        said = f"{content['action']} of '{read(name)}' {read(detail)}".strip()
        other = content.get("made", content.get("target"))
        self.log("undo", content["identity"], read(name), said, time.time_ns(), other)
        return said

    def _take_back(self, content: dict[str, Any]) -> None:
        connection, identity = self._file.connection, content["identity"]
        if content["action"] in ("rename", "merge"):
            holder = self._identities.number_of(content["name"])
            if holder is not None and holder != identity:
                raise ValueError(f"somebody else is called '{content['name']}' by now: rename them first")
        if content["action"] == "enroll":
            self._templates.delete(content["templates"])
            if content["created"]:
                self._identities.delete_without_templates(identity)
            self._templates.forget_walks()
        elif content["action"] == "rename":
            self._identities.give_name(identity, content["name"])
        elif content["action"] == "merge":
            connection.execute(
                "INSERT INTO identities (id, name, enrolled_ns, disabled) VALUES (?, ?, ?, ?)",
                (identity, self._file.codec.text(content["name"]), content["enrolled_ns"], content["disabled"]),
            )
            self._identities.give_name(identity, content["name"])
            connection.execute(
                "UPDATE identities SET enrolled_ns = ? WHERE id = ?", (content["target_enrolled_ns"], content["target"])
            )
            self._templates.move(content["templates"], identity)
        elif content["action"] == "split":
            self._templates.move(self._templates.numbers_of(content["made"]), identity)
            connection.execute("DELETE FROM identities WHERE id = ?", (content["made"],))
        elif content["action"] == "import":
            self._take_back_import(content)
        elif content["action"] == "disabled":
            disabled, expired, kept = content.get("before", (int(content.get("disabled", 0)), 0, 0))
            connection.execute(
                "UPDATE identities SET disabled = ?, expired_ns = ?, kept_ns = ? WHERE id = ?",
                (disabled, expired, kept, identity),
            )
        elif content["action"] == "expire":
            self._identities.keep(identity)

    def _take_back_import(self, content: dict[str, Any]) -> None:
        identity = content["identity"]
        self._templates.delete(content["templates"])
        for facts in content["replaced"]:
            self._templates.add(identity, _template_from(facts))
        if content["created"]:
            self._identities.delete_without_templates(identity)
