"""Export of people to a signed file, and import with a preview and rules for conflicts."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from emgait_ros.gallery.encryption import codec_for
from emgait_ros.gallery.export_file import (
    SIGNING_KEY,
    ExportedPerson,
    read_export,
    signer_of,
    signing_key,
    write_export,
)
from emgait_ros.gallery.file import GalleryFile
from emgait_ros.gallery.history import History, as_content
from emgait_ros.gallery.identities import Identities
from emgait_ros.gallery.names import MAX_CHARACTERS, look_alike_key, normalised_name
from emgait_ros.gallery.records import Template
from emgait_ros.gallery.templates import Templates

RULES = {
    "refuse": "import nobody when there is a conflict",
    "skip": "leave out people with a conflict",
    "add": "they are the same person: add the templates",
    "replace": "the imported templates take the place of those that are here",
    "rename": "they are somebody else: import them under another name",
}
"""What can be done with a person whose name, or one that looks like it, is taken by somebody with other templates."""
_TRUSTED = "trusted signer "


@dataclass(frozen=True)
class ImportLine:
    """What an import would do, or did, with one person.

    Attributes:
        name: in the file. target: in the gallery.
        action: "new", "same" (all of it is here already), "add", "replace", "rename", "skip" or "refuse".
        templates: that come. here: that the person has here already.
        conflict: the name, or one that looks like it, is taken by somebody with other templates.
    """

    name: str
    target: str
    action: str
    templates: int
    here: int
    conflict: bool


def _named(line: ImportLine) -> str:
    return f"'{line.name}'" + (f" (here '{line.target}')" if line.target != line.name else "")


def _embeddings(templates: Iterable[Template]) -> set[bytes]:
    return {template.embedding.tobytes() for template in templates}


@dataclass(eq=False)
class Exchange:
    """Export from an open gallery, and import into it from signers who are trusted."""

    file: GalleryFile
    identities: Identities
    templates: Templates
    history: History

    def export(
        self, path: Path, names: Collection[str] = (), signing: str | Path = SIGNING_KEY, plain: bool = False
    ) -> list[str]:
        """Write people with all their templates to a signed file; encrypted with the gallery's key when it has one.

        Args:
            path: the file (mode 0600); one that is there is replaced.
            names: whom; none: everybody.
            signing: file of the signing key, made when missing.
            plain: do not encrypt.

        Returns:
            The names.

        Raises:
            ValueError: nobody has such a name. GalleryError, OSError: as :class:`GalleryFile` says; no file is left then.
        """
        wanted = {normalised_name(name) for name in names}
        with self.file.change():  # nobody changes while it is read, and what leaves is in the audit log
            chosen = {self.identities.known(name) for name in wanted}
            people, now = [], time.time_ns()
            for identity, stored, enrolled, disabled in self.file.rows(
                "SELECT id, name, enrolled_ns, disabled FROM identities ORDER BY id"
            ):
                if identity in chosen or not names:
                    name, templates = self.file.codec.read_text(stored), tuple(self.templates.exported(identity))
                    people.append(ExportedPerson(name, enrolled, bool(disabled), templates))
                    self.history.log("export", identity, name, f"{len(templates)} templates to {path.name}", now)
            codec = codec_for(None) if plain else self.file.codec
            write_export(path.expanduser(), people, signing_key(signing), codec)
        return [person.name for person in people]

    def trusted_signers(self, signing: str | Path = SIGNING_KEY) -> set[str]:
        """Signers whose exports are accepted: this robot and those trusted before."""
        names = [row[0] for row in self.file.rows("SELECT name FROM properties")]
        trusted = {name.removeprefix(_TRUSTED) for name in names if name.startswith(_TRUSTED)}
        return {signer_of(signing_key(signing)), *trusted}

    def trust(self, signer: str) -> None:
        """Accept exports of a signer (64 hexadecimal digits) from now on.

        Raises:
            ValueError: no such number.
        """
        if len(signer) != 64 or set(signer) - set("0123456789abcdef"):
            raise ValueError(
                f"'{signer}' is no signer: expected the 64 digits that `emgait gallery signer` shows there"
            )
        with self.file.change():
            self.file.set_property(_TRUSTED + signer, "")
            self.history.log("trust", 0, "", f"exports signed by {signer}", time.time_ns())

    def read_export(
        self, path: Path, signing: str | Path = SIGNING_KEY, key: bytes | None = None
    ) -> list[ExportedPerson]:
        """The people of an export, checked; ``key`` it was encrypted with, None: this gallery's.

        Raises:
            ExportError, OSError: as :func:`emgait_ros.gallery.export_file.read_export` says.
        """
        codec = self.file.codec if key is None else codec_for(key)
        return read_export(path.expanduser(), self.trusted_signers(signing), codec)

    def preview(self, people: list[ExportedPerson], rule: str = "refuse") -> list[ImportLine]:
        """What importing these people would do, without doing it.

        Raises:
            ValueError: an unknown rule.
        """
        if rule not in RULES:
            raise ValueError(f"unknown rule '{rule}' for conflicts: known are {', '.join(RULES)}")
        taken = {person.name for person in people}
        with self.file.reading():
            alike = {look_alike_key(name): name for name in self.identities.names()}
            return [self._line(person, rule, taken, alike) for person in people]

    def _line(self, person: ExportedPerson, rule: str, taken: set[str], alike: dict[str, str]) -> ImportLine:
        """``alike``: names here by :func:`look_alike_key`; who has none of this name may be here under one that looks like it."""
        name, identity = person.name, self.identities.number_of(person.name)
        if identity is None:
            name = alike.get(look_alike_key(name), name)
            identity = self.identities.number_of(name)
        if identity is None:
            return ImportLine(person.name, name, "new", len(person.templates), 0, False)
        here = _embeddings(self.templates.exported(identity))
        coming = [template for template in person.templates if template.embedding.tobytes() not in here]
        if not coming:
            return ImportLine(person.name, name, "same", 0, len(here), False)
        if here <= _embeddings(person.templates):  # the file knows all of them, and more
            return ImportLine(person.name, name, "add", len(coming), len(here), False)
        if rule == "rename":
            target = self._free_name(person.name, taken)
            taken.add(target)
            return ImportLine(person.name, target, rule, len(person.templates), 0, True)
        count = {"add": len(coming), "replace": len(person.templates)}.get(rule, 0)
        return ImportLine(person.name, name, rule, count, len(here), True)

    def _free_name(self, name: str, taken: set[str]) -> str:
        for number in range(2, 10_000):
            ending = f" ({number})"
            candidate = normalised_name(name[: MAX_CHARACTERS - len(ending)] + ending)
            if candidate not in taken and self.identities.number_of(candidate) is None:
                return candidate
        raise ValueError(f"there are thousands called '{name}': rename them first")

    def import_people(self, people: list[ExportedPerson], rule: str = "refuse") -> list[ImportLine]:
        """Import people, all in one transaction, which one undo reverts.

        Args:
            people: of :meth:`read_export`.
            rule: of ``RULES``, for people whose name is taken by somebody with other templates.

        Returns:
            What was done with each.

        Raises:
            ValueError: conflicts, with the rule "refuse"; templates that do not fit those of their model here. Nothing is
            changed then.
        """
        with self.file.change():
            lines = self.preview(people, rule)
            conflicts = [line for line in lines if line.action == "refuse"]
            if conflicts:
                named = ", ".join(map(_named, conflicts[:10])) + (", ..." if len(conflicts) > 10 else "")
                raise ValueError(
                    f"{len(conflicts)} of {len(people)} people have other templates here under the same name: {named}; nobody "
                    f"was imported. Say what to do with them: --conflict {', '.join(list(RULES)[1:])}"
                )
            group = 0
            for person, line in zip(people, lines, strict=True):
                if line.action in ("new", "add", "replace", "rename"):
                    group = self._take_in(person, line, group)
        return lines

    def _take_in(self, person: ExportedPerson, line: ImportLine, group: int) -> int:
        """Returns the number that all undo entries of one import share."""
        now = time.time_ns()
        identity = self.identities.number_of(line.target)
        created = identity is None
        if identity is None:
            identity = self.identities.add(line.target, person.enrolled_ns)
            if person.disabled:
                self.file.execute("UPDATE identities SET disabled = 1 WHERE id = ?", (identity,))
        here = self.templates.exported(identity)
        replaced = here if line.action == "replace" else []
        known = set() if replaced else _embeddings(here)
        if replaced:
            self.file.execute("DELETE FROM templates WHERE identity_id = ?", (identity,))
        coming = [template for template in person.templates if template.embedding.tobytes() not in known]
        added = [self.templates.add(identity, template) for template in coming]
        other_name = f" of '{person.name}'" if person.name != line.target else ""
        detail = f"{line.action}: {len(added)} templates{other_name}"
        change = self.history.log("import", identity, line.target, detail, now)
        group = group or change
        kept = [as_content(template) for template in replaced]
        self.history.remember(
            change, group, action="import", identity=identity, created=created, templates=added, replaced=kept
        )
        return group
