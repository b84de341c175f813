"""Who is enrolled: identities and their templates in one SQLite file, or one PostgreSQL database, that outlives restarts and power cuts.

Every change is one transaction, on the disk before it is answered. The file and its side files are for their owner
alone (mode 0600), and with a key names and templates in it are encrypted. Removing a person overwrites their templates;
the audit log, which only grows, keeps the name and the time of each change, and is at the same time how other threads
and processes learn of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

from emgait_ros.config import GalleryConfig
from emgait_ros.gallery.database import Database
from emgait_ros.gallery.encryption import find_key
from emgait_ros.gallery.exchange import Exchange
from emgait_ros.gallery.expiry import Retention
from emgait_ros.gallery.file import GalleryFile
from emgait_ros.gallery.history import History, UndoStep, asked_by
from emgait_ros.gallery.identities import Identities
from emgait_ros.gallery.names import normalised_name
from emgait_ros.gallery.records import Calibration, RenameOutcome, Template, TemplateInfo, checked_embeddings
from emgait_ros.gallery.templates import Templates
from emgait_ros.gallery.upkeep import Upkeep
from emgait_ros.samples import Float32, Modality

_log = logging.getLogger(__name__)


class Gallery:
    """Identities and templates. All methods may be called from any thread; several processes may share a gallery.

    Arguments and errors are those of :class:`emgait_ros.gallery.file.GalleryFile`.

    Attributes:
        file: the open database, which all parts share. place: its path or address, for messages.
        history: audit log and undo log.
        exchange: export and import.
        templates: templates and saved walks.
    """

    def __init__(
        self, place: str | Path, *, create: bool = True, key: bytes | None = None, database: Database | None = None
    ) -> None:
        self.file = GalleryFile(place, create=create, key=key, database=database)
        self.place = self.file.place
        self.templates = Templates(self.file)
        self._identities = Identities(self.file, self.templates)
        self.history = History(self.file, self._identities, self.templates)
        self.exchange = Exchange(self.file, self._identities, self.templates, self.history)
        self._upkeep = Upkeep(self.file, self.templates, self.history)
        self._retention = Retention(self.file, self._identities, self.history, self._upkeep)
        self.close: Callable[[], None] = self.file.close
        self.identities = self._identities.all
        self.is_disabled = self._identities.is_disabled
        self.look_alikes = self._identities.look_alikes
        self.templates_for = self.templates.of_model
        self.check = self._upkeep.check
        self.back_up = self._upkeep.back_up
        self.change_key = self._upkeep.change_key
        self.expire = self._retention.expire

    @property
    def clock_doubt(self) -> str:
        """Why nobody is hidden or deleted although their time may be over, as the last check found; empty when that works."""
        return self._retention.doubt

    @property
    def notice(self) -> str:
        """Why changes are neither seen nor possible although people are known; empty when they are."""
        return self.file.connection.notice

    @property
    def encrypted(self) -> bool:
        """Names and templates in the gallery can only be read with the key."""
        return self.file.codec.encrypted

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def templates_of(self, name: str) -> list[TemplateInfo]:
        """What is stored of one person, oldest first.

        Raises:
            ValueError: nobody has that name.
        """
        with self.file.reading():
            return self.templates.of(self._identities.known(name))

    def enroll(
        self,
        name: str,
        embeddings: Float32,
        fingerprint: str,
        *,
        samples: Sequence[int],
        modalities: Modality,
        median_range_m: float,
        quality: str = "",
        walk: bytes | None = None,
        created_ns: int = 0,
        step: UndoStep | None = None,
    ) -> int:
        """Add templates to a person, who is created when new; all in one transaction.

        Args:
            name: 1 to 64 characters (see :func:`emgait_ros.gallery.names.normalised_name`).
            embeddings: (N, parts, d) or (parts, d) float32, finite.
            fingerprint: of the model that made them.
            samples: number of samples behind each of the N.
            modalities: sensors they rest on.
            median_range_m: m, of those samples.
            quality: report on the walk (JSON), kept with the templates.
            walk: its samples (:mod:`emgait_ros.gallery.saved_walks`), kept until no template rests on them.
            created_ns: when the walk was enrolled, ns since 1970, of a walk that was stored before; 0: now.
            step: what this is a part of: all of it is taken back by one :meth:`undo`; None: a change by itself.

        Returns:
            How many templates the person has now, of all models.

        Raises:
            ValueError: a name or embeddings that cannot be stored. GalleryError: as the class says.
        """
        clean = normalised_name(name)
        rows = checked_embeddings(embeddings, fingerprint, samples)
        now = time.time_ns()
        with self.file.change():
            identity, created = self._person(clean, now)
            created_ns = created_ns or now
            if walk is not None:
                self.templates.add_walk(created_ns, walk)
            facts = int(modalities), float(median_range_m), created_ns, quality
            added = [
                self.templates.add(identity, Template(fingerprint, row, int(count), *facts))
                for row, count in zip(rows, samples, strict=True)
            ]
            detail = f"{len(rows)} templates of model {fingerprint[:12]}"
            with asked_by(step.caller) if step else nullcontext():
                change = self.history.log("enroll", identity, clean, detail, now)
            started = step.started if step else 0
            self.history.remember(change, started, action="enroll", identity=identity, created=created, templates=added)
            count = self.templates.count(identity)
        if step is not None:
            step.started = started or change
        return count

    def _person(self, name: str, now: int) -> tuple[int, bool]:
        """Number of a person who is enrolled now, and whether they are new; nobody who walks past again is expired."""
        identity = self._identities.number_of(name)
        if identity is None:
            return self._identities.add(name, now), True
        self._identities.check_name(identity, name)
        with self.file.change() as connection:
            connection.execute("UPDATE identities SET expired_ns = 0 WHERE id = ?", (identity,))
        return identity, False

    def remove(self, name: str) -> int:
        """Delete a person with all templates, their bytes in the file and what could bring them back by undoing.

        Returns:
            The number of templates deleted.

        Raises:
            ValueError: nobody has that name. GalleryError: as the class says.
        """
        clean = normalised_name(name)
        with self.file.change():
            identity = self._identities.known(clean)
            count = self._identities.delete(identity)
            self.history.log("remove", identity, clean, f"{count} templates", time.time_ns())
        self._upkeep.forget_bytes()
        return count

    def rename(self, old_name: str, new_name: str, confirm: bool = False) -> RenameOutcome:
        """Give a person another name; onto an existing name, the two become one person with all templates of both.

        Args:
            old_name: as listed.
            new_name: 1 to 64 characters.
            confirm: also when the new name looks like that of another person.

        Raises:
            ValueError: nobody has the old name, or the new one is not allowed. LookAlikeNameError (a ValueError): it looks
            like another person's and that was not confirmed. GalleryError: as the class says.
        """
        old, new = normalised_name(old_name), normalised_name(new_name)
        with self.file.change() as connection:
            if not confirm:
                self._identities.refuse_look_alikes(new, old)
            source, target = self._identities.known(old), self._identities.number_of(new)
            self._identities.check_name(source, old)
            if target is None or target == source:
                self._identities.give_name(source, new)
                change = self.history.log("rename", source, old, f"to '{new}'", time.time_ns())
                self.history.remember(change, action="rename", identity=source, name=old)
                return RenameOutcome(False, self.templates.count(source))
            self._identities.check_name(target, new)
            moved = self._log_merge(old, new, source, target)
            self.templates.move(moved, target)
            connection.execute(
                "UPDATE identities SET enrolled_ns = (SELECT min(enrolled_ns) FROM identities WHERE id IN (?, ?)) WHERE id = ?",
                (source, target, target),
            )
            connection.execute("DELETE FROM identities WHERE id = ?", (source,))
            return RenameOutcome(True, self.templates.count(target))

    def _log_merge(self, old: str, new: str, source: int, target: int) -> list[int]:
        """Returns the numbers of the templates to move."""
        rows = self.file.rows("SELECT id, enrolled_ns, disabled FROM identities WHERE id IN (?, ?)", source, target)
        before = {identity: (enrolled, disabled) for identity, enrolled, disabled in rows}
        moved = self.templates.numbers_of(source)
        change = self.history.log("merge", source, old, f"into '{new}'", time.time_ns(), target)
        (enrolled, disabled), (target_enrolled, _) = before[source], before[target]
        was = {"name": old, "enrolled_ns": enrolled, "disabled": disabled, "target_enrolled_ns": target_enrolled}
        self.history.remember(change, action="merge", identity=source, target=target, **was, templates=moved)
        return moved

    def split(self, name: str, templates: Collection[int], new_name: str, confirm: bool = False) -> int:
        """Move some templates of a person to a new one.

        Args:
            name: whose they are.
            templates: numbers as :meth:`templates_of` lists them; not all of the person's.
            new_name: a person who is not enrolled yet.
            confirm: also when the new name looks like one that is enrolled.

        Returns:
            How many templates were moved.

        Raises:
            ValueError: nobody has that name, the new one is taken or looks like another, or the numbers are not theirs or
            all of theirs.
        """
        old, new = normalised_name(name), normalised_name(new_name)
        chosen = sorted(set(templates))
        now = time.time_ns()
        with self.file.change():
            source = self._identities.known(old)
            if self._identities.number_of(new) is not None:
                raise ValueError(f"'{new}' is enrolled already: split onto a new name, then merge by renaming")
            if not confirm:
                self._identities.refuse_look_alikes(new)
            own = self.templates.numbers_of(source)
            if not chosen or set(chosen) - set(own) or len(chosen) == len(own):
                listed = ", ".join(str(number) for number in own)
                raise ValueError(f"'{old}' has the templates {listed}: name some of them, not all (got {chosen})")
            made = self._identities.add(new, now)
            self.templates.move(chosen, made)
            change = self.history.log("split", source, old, f"{len(chosen)} templates to '{new}'", now, made)
            self.history.remember(change, action="split", identity=source, made=made, templates=chosen)
        return len(chosen)

    def set_disabled(self, name: str, disabled: bool) -> bool:
        """Keep a person but never name them, or name them again, also when they had expired. Returns whether that was a change.

        Raises:
            ValueError: nobody has that name.
        """
        clean = normalised_name(name)
        with self.file.change() as connection:
            identity = self._identities.known(clean)
            before = self.file.rows("SELECT disabled, expired_ns, kept_ns FROM identities WHERE id = ?", identity)[0]
            back = bool(before[1]) and not disabled
            if bool(before[0]) == disabled and not back:
                return False
            now = time.time_ns()
            values = (int(disabled), 0 if back else before[1], now if back else before[2], identity)
            connection.execute("UPDATE identities SET disabled = ?, expired_ns = ?, kept_ns = ? WHERE id = ?", values)
            change = self.history.log("disable" if disabled else "enable", identity, clean, "", now)
            self.history.remember(change, action="disabled", identity=identity, before=list(before))
        return True

    def undo(self) -> str:
        """Take back the newest change; result and errors as :meth:`emgait_ros.gallery.history.History.take_back_newest` says."""
        said = self.history.take_back_newest()
        self._upkeep.forget_bytes()
        return said

    def calibration(self, fingerprint: str) -> Calibration | None:
        """The newest threshold calibrated for this gallery with this model, if there is one."""
        query = "SELECT content FROM calibrations WHERE fingerprint = ? ORDER BY id DESC LIMIT 1"
        row = self.file.row(query, fingerprint)
        return None if row is None else Calibration.from_json(row[0])

    def calibrated_models(self) -> list[str]:
        """Fingerprints of the models this gallery has a threshold for."""
        return [row[0] for row in self.file.rows("SELECT DISTINCT fingerprint FROM calibrations")]

    def set_calibration(self, fingerprint: str, calibration: Calibration) -> None:
        """Keep a calibrated threshold with the gallery; recognizers use it in preference to their bundle's."""
        now = time.time_ns()
        with self.file.change() as connection:
            connection.execute(
                "INSERT INTO calibrations (fingerprint, created_ns, content) VALUES (?, ?, ?)",
                (fingerprint, now, calibration.to_json()),
            )
            said = f"threshold {calibration.threshold:.4f} for model {fingerprint[:12]}, {calibration.impostor_tracks} impostor tracks"
            self.history.log("calibrate", 0, "", said, now)


def open_gallery(config: GalleryConfig, *, create: bool = True) -> Gallery:
    """The gallery of the options: with its key, and without expired people.

    Raises:
        GalleryError, ValueError, OSError: as :class:`Gallery` and :func:`emgait_ros.gallery.encryption.find_key` say.
    """
    gallery = Gallery(config.path, create=create, key=find_key(config.key_file))
    try:
        doubt = gallery.expire(config.keep_days).doubt
        if doubt:
            _log.warning("nobody is removed from gallery %s after gallery.keep_days: %s", gallery.place, doubt)
    except BaseException:
        gallery.close()
        raise
    return gallery
