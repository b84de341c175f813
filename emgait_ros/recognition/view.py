"""The gallery as a recognizer sees it: templates of its own model in memory, kept up to date with every change."""

from __future__ import annotations

import numpy as np

from emgait_ros.gallery.records import Calibration
from emgait_ros.gallery.store import Gallery
from emgait_ros.recognition.explain import EMPTY_GALLERY
from emgait_ros.recognition.matcher import Matcher


class GalleryView:
    """Follows a gallery, updating only identities that changed.

    Args:
        gallery: who is enrolled.
        fingerprint: of the model in use; templates of other models are never compared.
        templates_per_identity, threads: as :class:`Matcher` takes them.

    Raises:
        GalleryError (a ValueError): the gallery cannot be read.

    Attributes:
        matcher: the templates, as of the last :meth:`follow`.
        change: number of the newest change in it.
        rebuilt: how often everybody was read anew: from then on a number may be another person's.
        problem: why changes are not seen at the moment; empty when they are.
        calibration: of this gallery with this model, None when there is none.
    """

    def __init__(self, gallery: Gallery, fingerprint: str, templates_per_identity: int, threads: int = 1) -> None:
        self.gallery = gallery
        self.problem = ""
        self.matcher = Matcher(templates_per_identity, threads)
        self._fingerprint = fingerprint
        self.change, self.rebuilt = -1, 0
        self._changed_ns: int | None = None
        self._others: dict[str, int] = {}
        self._left_out: dict[int, str] = {}
        self._calibrated: list[str] = []
        self.calibration: Calibration | None = None
        self.follow()

    def follow(self) -> bool:
        """Take over what changed since the last call; returns whether anything did.

        Raises:
            GalleryError: the gallery cannot be read. ValueError: its calibration cannot.
        """
        change, at_ns = self.gallery.history.newest()
        if change == self.change and at_ns in (None, self._changed_ns):
            return False
        first = change if self.change < 0 else min(change, self.change)
        news = {found.number: found for found in self.gallery.history.since(first)}
        times = {number: found.at_ns for number, found in news.items()}
        goes_on = self.change >= 0 and times.get(self.change) == self._changed_ns  # else a backup was put in its place
        later = [found for found in news.values() if found.number > self.change]
        touched = set[int]().union(*(found.touched for found in later)) if goes_on else None
        found = self.gallery.templates_for(self._fingerprint, touched)
        self.rebuilt += touched is None
        for identity in (*self.matcher.columns, *self._left_out) if touched is None else touched:
            self.matcher.remove(identity)
            self._left_out.pop(identity, None)
        self._left_out |= found.left_out
        order = np.argsort(found.identity_id, kind="stable")
        people, starts = np.unique(found.identity_id[order], return_index=True)
        groups = np.split(order, starts[1:])
        self.matcher.replace_all(
            [
                (identity, found.names[identity], found.embedding[rows], found.modalities[rows])
                for identity, rows in zip(people.tolist(), groups, strict=False)
            ]
        )
        if touched is None or touched:
            self._others = self.gallery.templates.other_models(self._fingerprint)
        if touched is None or any(found.action == "calibrate" for found in later):
            self._calibrated = self.gallery.calibrated_models()
            self.calibration = self.gallery.calibration(self._fingerprint)
        self.change, self._changed_ns = change, times.get(change)
        return True

    def try_to_follow(self) -> bool:
        """As :meth:`follow`, but what is known stays in use when the gallery cannot be read; ``problem`` says why."""
        try:
            changed = self.follow()
            self.problem = ""
            return changed
        except ValueError as error:  # also a calibration of a newer version
            self.problem = f"changes of the gallery are not seen: {error}"
            return False

    @property
    def empty_reason(self) -> str:
        """Why there is nobody to compare with."""
        if not len(self.matcher) and self._others:
            total = sum(self._others.values())
            return f"the gallery's {total} templates are of another model than {self._fingerprint[:12]}: enrol those people again"
        if self._left_out:
            return next(iter(self._left_out.values()))
        return EMPTY_GALLERY

    @property
    def note(self) -> str:
        """Why nobody, or not everybody, of the gallery can be recognised; empty when all can."""
        if self.problem:
            return self.problem
        if self.gallery.notice:
            return self.gallery.notice
        if self._left_out:
            first = next(iter(self._left_out.values()))
            more = len(self._left_out) - 1
            return first + (f"; the same with {more} more: see `emgait gallery check`" if more else "")
        if not self._others:
            return (self._outgrown() or self._not_calibrated()) if len(self.matcher) else self.empty_reason
        models = ", ".join(f"{count} of model {model[:12]}" for model, count in sorted(self._others.items()))
        return (
            f"the gallery holds templates this model ({self._fingerprint[:12]}) cannot be compared with: {models}; "
            "enrol those people again"
        )

    def _outgrown(self) -> str:
        """A note when the gallery is larger than the one its threshold was calibrated for."""
        calibration, people = self.calibration, self.matcher.identities
        if calibration is None or people <= 1.25 * calibration.gallery_size:
            return ""
        return (
            f"the threshold was calibrated for {calibration.gallery_size} identities, there are {people} now: strangers are "
            "accepted more often than stated; run `emgait gallery calibrate` again"
        )

    def _not_calibrated(self) -> str:
        """A note when the gallery's threshold is of another model than the one in use."""
        if self.calibration is not None or not self._calibrated:
            return ""
        models = ", ".join(model[:12] for model in sorted(self._calibrated))
        return (
            f"the gallery's threshold was calibrated for model {models}, not for {self._fingerprint[:12]}: the bundle's is used; "
            "run `emgait gallery calibrate` again"
        )
