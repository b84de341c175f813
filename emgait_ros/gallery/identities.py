"""Who is enrolled: names, and whether they are disabled or expired."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from emgait_ros.gallery.binding import is_sealed, name_seal, not_theirs
from emgait_ros.gallery.file import GalleryFile
from emgait_ros.gallery.names import look_alike_key, look_alikes, normalised_name, refuse_look_alikes
from emgait_ros.gallery.records import EnrolledIdentity
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.templates import Templates


@dataclass(eq=False)
class Identities:
    """The people of an open gallery. Methods that change something are called within a change."""

    file: GalleryFile
    templates: Templates
    _keys: dict[str, str] = field(default_factory=dict, init=False)  # of those who are enrolled, not of those who left

    def all(self) -> list[EnrolledIdentity]:
        """Everybody enrolled, sorted by name."""
        with self.file.reading():
            rows = self.file.rows("SELECT id, name, enrolled_ns, disabled, expired_ns FROM identities")
            people = [(key, self.file.codec.read_text(name), *rest) for key, name, *rest in rows]
            counts = self.file.rows(
                "SELECT identity_id, fingerprint, count(*), max(samples) FROM templates GROUP BY identity_id, fingerprint"
            )
        by_model: dict[int, dict[str, int]] = {}
        samples: dict[int, int] = {}
        for identity, fingerprint, count, most in counts:
            by_model.setdefault(identity, {})[fingerprint] = count
            samples[identity] = max(samples.get(identity, 0), most)
        found = []
        for key, name, enrolled, disabled, expired in sorted(people, key=lambda person: person[1]):
            models = by_model.get(key, {})
            counted = sum(models.values()), models, samples.get(key, 0)
            found.append(EnrolledIdentity(key, name, enrolled, *counted, bool(disabled), expired))
        return found

    def names(self) -> list[str]:
        """Everybody's name."""
        return [self.file.codec.read_text(row[0]) for row in self.file.rows("SELECT name FROM identities")]

    def number_of(self, name: str) -> int | None:
        """The number of who has this name; None: nobody has."""
        row = self.file.row("SELECT id FROM identities WHERE name = ?", self.file.codec.text(name))
        return None if row is None else int(row[0])

    def known(self, name: str) -> int:
        """The number of who has this name.

        Raises:
            ValueError: nobody.
        """
        identity = self.number_of(name)
        if identity is None:
            names = sorted(self.names())
            listed = ", ".join(f"'{known}'" for known in names[:10]) + (", ..." if len(names) > 10 else "")
            enrolled = f"enrolled are {listed}" if names else "the gallery is empty"
            raise ValueError(f"nobody called '{name}' is enrolled: {enrolled}")
        return identity

    def is_disabled(self, name: str) -> bool:
        """Whether somebody of that name is enrolled, and disabled."""
        query = "SELECT 1 FROM identities WHERE name = ? AND disabled <> 0"
        return self.file.row(query, self.file.codec.text(name)) is not None

    def look_alikes(self, name: str, apart_from: str = "") -> list[str]:
        """Names enrolled that look like this one, none when it is enrolled itself; ``apart_from`` one that may.

        Raises:
            ValueError: not allowed as a name.
        """
        clean = normalised_name(name)
        with self.file.reading():
            if self.number_of(clean) is not None:
                return []
            names = self.names()
        # Every enrolment compares with everybody, while frames may wait for the gallery.
        keys = self._keys = {other: self._keys.get(other) or look_alike_key(other) for other in names}
        return look_alikes(clean, [other for other in names if other != apart_from], keys.__getitem__)

    def refuse_look_alikes(self, name: str, apart_from: str = "") -> None:
        """Raises LookAlikeNameError (a ValueError) when a name looks like that of somebody else."""
        otherwise = "choose a name that looks different, or confirm it (confirm: true; on a terminal --yes)"
        refuse_look_alikes(name, self.look_alikes(name, apart_from), otherwise)

    def check_name(self, identity: int, name: str) -> None:
        """Raises GalleryError when somebody without the key put a name on a person."""
        ((seal,),) = self.file.rows("SELECT seal FROM identities WHERE id = ?", identity)
        if not is_sealed(self.file.codec, identity, name, seal):
            raise GalleryError(not_theirs(self.file.place, f"the name '{name}'"))

    def add(self, name: str, now: int) -> int:
        """Add somebody new, with their name sealed; returns their number."""
        row = self.file.execute(
            "INSERT INTO identities (name, enrolled_ns) VALUES (?, ?) RETURNING id", (self.file.codec.text(name), now)
        ).fetchone()
        self.give_name(int(row[0]), name)
        return int(row[0])

    def give_name(self, identity: int, name: str) -> None:
        """Name a person, and seal the name on them."""
        values = (self.file.codec.text(name), name_seal(self.file.codec, identity, name), identity)
        self.file.execute("UPDATE identities SET name = ?, seal = ? WHERE id = ?", values)

    def keep(self, identity: int) -> None:
        """Name an expired person again; the days they are kept count from now."""
        self.file.execute("UPDATE identities SET expired_ns = 0, kept_ns = ? WHERE id = ?", (time.time_ns(), identity))

    def delete(self, identity: int) -> int:
        """Delete a person with all that is stored of them, also for undoing and of those who were merged into them; returns the number
        of their templates."""
        count = self.templates.count(identity)
        self.file.execute(
            "WITH RECURSIVE gone(id) AS (SELECT CAST(? AS BIGINT) UNION SELECT a.identity_id FROM gone"
            " JOIN audit a ON a.other_identity_id = gone.id JOIN undo u ON u.change = a.id WHERE a.action = 'merge')"
            " DELETE FROM undo WHERE change IN (SELECT a.id FROM audit a JOIN gone ON gone.id IN (a.identity_id, a.other_identity_id))",
            (identity,),
        )
        self.file.execute("DELETE FROM identities WHERE id = ?", (identity,))
        self.templates.forget_walks()
        return count

    def delete_without_templates(self, identity: int) -> None:
        """Delete a person unless they have templates."""
        if not self.templates.count(identity):
            self.file.execute("DELETE FROM identities WHERE id = ?", (identity,))
