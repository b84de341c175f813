"""Who is enrolled: identities and their templates in one SQLite file, or one PostgreSQL database, that outlives restarts and power cuts.

Every change is one transaction, on the disk before it is answered. The file and its side files are for their owner
alone (mode 0600), and with a key names and templates in it are encrypted. Removing a person overwrites their templates;
the audit log, which only grows, keeps the name and the time of each change, and is at the same time how other threads
and processes learn of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from emgait_ros.config import GalleryConfig
from emgait_ros.gallery.binding import move_templates, walk_context
from emgait_ros.gallery.encryption import find_key
from emgait_ros.gallery.export_file import ExportedTemplate
from emgait_ros.gallery.names import normalised_name
from emgait_ros.gallery.records import (
    AuditEntry,
    Calibration,
    EnrolledIdentity,
    RenameOutcome,
    TemplateSet,
    checked_embeddings,
)
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.undo import GalleryUndo
from emgait_ros.samples import Float32, Modality

_log = logging.getLogger(__name__)
__all__ = ["AuditEntry", "EnrolledIdentity", "Gallery", "GalleryError", "RenameOutcome", "TemplateSet", "open_gallery"]


class Gallery(GalleryUndo):
    """Identities and templates. All methods may be called from any thread; several processes may share a gallery.

    Arguments and errors are those of :class:`emgait_ros.gallery.file.GalleryFile`.
    """

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
        quality: str = "",
        walk: bytes | None = None,
        created_ns: int = 0,
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
            created_ns: when the walk was, ns since 1970, of a walk that was stored before; 0: now.

        Returns:
            How many templates the person has now, of all models.

        Raises:
            ValueError: a name or embeddings that cannot be stored. GalleryError: as the class says.
        """
        clean = normalised_name(name)
        rows = checked_embeddings(embeddings, fingerprint, samples)
        now = time.time_ns()
        with self._change() as connection:
            identity = self._identity_id(clean)
            created = identity is None
            if identity is None:
                identity = self._new_identity(clean, now)
            else:
                self._check_name(identity, clean)
                connection.execute("UPDATE identities SET expired_ns = 0 WHERE id = ?", (identity,))
            created_ns = created_ns or now
            if walk is not None:
                values = (created_ns, self._codec.data(walk, walk_context(created_ns)))
                connection.execute("INSERT INTO saved_walks (created_ns, content) VALUES (?, ?)", values)
            facts = int(modalities), float(median_range_m), created_ns, quality
            added = [
                self._add_template(identity, ExportedTemplate(fingerprint, row, int(count), *facts))
                for row, count in zip(rows, samples, strict=True)
            ]
            change = self._log("enroll", identity, clean, f"{len(rows)} templates of model {fingerprint[:12]}", now)
            self._remember(change, action="enroll", identity=identity, created=created, templates=added)
            return self._template_count(identity)

    def remove(self, name: str) -> int:
        """Delete a person with all templates, their bytes in the file and what could bring them back by undoing.

        Returns:
            The number of templates deleted.

        Raises:
            ValueError: nobody has that name. GalleryError: as the class says.
        """
        clean = normalised_name(name)
        with self._change():
            identity = self._known_identity(clean)
            count = self._delete(identity)
            self._log("remove", identity, clean, f"{count} templates", time.time_ns())
        self._forget_bytes()
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
        with self._change() as connection:
            if not confirm:
                self._refuse_look_alikes(new, old)
            source, target = self._known_identity(old), self._identity_id(new)
            self._check_name(source, old)
            if target is None or target == source:
                self._give_name(source, new)
                change = self._log("rename", source, old, f"to '{new}'", time.time_ns())
                self._remember(change, action="rename", identity=source, name=old)
                return RenameOutcome(False, self._template_count(source))
            self._check_name(target, new)
            moved = self._remember_merge(old, new, source, target)
            move_templates(connection, self._codec, moved, target)
            connection.execute(
                "UPDATE identities SET enrolled_ns = (SELECT min(enrolled_ns) FROM identities WHERE id IN (?, ?)) WHERE id = ?",
                (source, target, target),
            )
            connection.execute("DELETE FROM identities WHERE id = ?", (source,))
            return RenameOutcome(True, self._template_count(target))

    def set_calibration(self, fingerprint: str, calibration: Calibration) -> None:
        """Keep a calibrated threshold with the gallery; recognizers use it in preference to their bundle's."""
        now = time.time_ns()
        with self._change() as connection:
            connection.execute(
                "INSERT INTO calibrations (fingerprint, created_ns, content) VALUES (?, ?, ?)",
                (fingerprint, now, calibration.to_json()),
            )
            said = f"threshold {calibration.threshold:.4f} for model {fingerprint[:12]}, {calibration.impostor_tracks} impostor tracks"
            self._log("calibrate", 0, "", said, now)


def open_gallery(config: GalleryConfig, *, create: bool = True) -> Gallery:
    """The gallery of the options: with its key, and without those whose time is over.

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
