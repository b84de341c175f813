"""Taking changes back: each change leaves, in its own transaction, what it takes to restore what was before it."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import numpy as np

from emgait_ros.gallery.binding import move_templates
from emgait_ros.gallery.export_file import ExportedTemplate
from emgait_ros.gallery.transfer import GalleryTransfer


class GalleryUndo(GalleryTransfer):
    """Adds undoing."""

    def undo(self) -> str:
        """Take back the newest change that can be (enrol, rename, merge, split, disable, import, expire); removals are final.

        Returns:
            What was done, as a sentence.

        Raises:
            ValueError: there is nothing to take back, or somebody else has the old name by now.
        """
        with self._change() as connection:
            newest = connection.execute("SELECT started FROM undo ORDER BY change DESC LIMIT 1").fetchone()
            if newest is None:
                raise ValueError("there is no change to undo: a removal is final, and what was before it is forgotten")
            rows = connection.execute(
                "SELECT u.change, u.content, a.name, a.detail FROM undo u JOIN audit a ON a.id = u.change"
                " WHERE u.started = ? ORDER BY u.change DESC",
                newest,
            ).fetchall()
            said = [self._undo_one(*row) for row in rows]
        self._forget_bytes()
        return f"undone: {said[0]}" + (f", and of {len(said) - 1} more" if len(said) > 1 else "")

    def _undo_one(self, change: int, stored: str, name: str, detail: str) -> str:
        read = self._codec.read_text
        content = json.loads(read(stored))
        self._take_back(content)
        self._connection.execute("DELETE FROM undo WHERE change = ?", (change,))
        said = f"{content['action']} of '{read(name)}' {read(detail)}".strip()
        other = content.get("made", content.get("target"))
        self._log("undo", content["identity"], read(name), said, time.time_ns(), other)
        return said

    def _take_back(self, content: dict[str, Any]) -> None:
        connection, identity = self._connection, content["identity"]
        if content["action"] in ("rename", "merge"):
            holder = self._identity_id(content["name"])
            if holder is not None and holder != identity:
                raise ValueError(f"somebody else is called '{content['name']}' by now: rename them first")
        if content["action"] == "enroll":
            connection.executemany("DELETE FROM templates WHERE id = ?", [(n,) for n in content["templates"]])
            if content["created"] and not self._template_count(identity):
                connection.execute("DELETE FROM identities WHERE id = ?", (identity,))
            self._forget_walks()
        elif content["action"] == "rename":
            self._give_name(identity, content["name"])
        elif content["action"] == "merge":
            connection.execute(
                "INSERT INTO identities (id, name, enrolled_ns, disabled) VALUES (?, ?, ?, ?)",
                (identity, self._codec.text(content["name"]), content["enrolled_ns"], content["disabled"]),
            )
            self._give_name(identity, content["name"])
            connection.execute(
                "UPDATE identities SET enrolled_ns = ? WHERE id = ?", (content["target_enrolled_ns"], content["target"])
            )
            move_templates(connection, self._codec, content["templates"], identity)
        elif content["action"] == "split":
            query = "SELECT id FROM templates WHERE identity_id = ?"
            made = [row[0] for row in connection.execute(query, (content["made"],)).fetchall()]
            move_templates(connection, self._codec, made, identity)
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
            self._keep(identity)

    def _take_back_import(self, content: dict[str, Any]) -> None:
        identity = content["identity"]
        self._connection.executemany("DELETE FROM templates WHERE id = ?", [(n,) for n in content["templates"]])
        for facts in content["replaced"]:
            shape = facts.pop("shape")
            embedding = np.frombuffer(base64.b64decode(facts["embedding"]), "<f4").reshape(shape)
            self._add_template(identity, ExportedTemplate(**{**facts, "embedding": embedding}))
        if content["created"] and not self._template_count(identity):
            self._connection.execute("DELETE FROM identities WHERE id = ?", (identity,))
