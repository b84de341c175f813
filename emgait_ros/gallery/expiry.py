"""Expiry of enrolled people: hidden first, deleted some days later, and never by a clock that is not trusted."""

from __future__ import annotations

from dataclasses import dataclass

from emgait_ros.gallery.clock import Moment, believed, state_from
from emgait_ros.gallery.file import GalleryFile
from emgait_ros.gallery.history import History
from emgait_ros.gallery.identities import Identities
from emgait_ros.gallery.upkeep import Upkeep

GRACE_DAYS = 7
"""Days for which expired people are kept, never named, before they are deleted."""
_DAY_NS = 86_400 * 10**9
_CLOCK = "clock"  # property with what is known of the clock


@dataclass(frozen=True)
class Expiry:
    """What a check did, names sorted.

    Attributes:
        expired: not named any more from now on; deleted after ``GRACE_DAYS``.
        deleted: gone for good.
        restored: had expired by a clock that was set back since, and are named again.
        doubt: why the clock is not believed, and nothing was done; empty when it is.
    """

    expired: list[str]
    deleted: list[str]
    restored: list[str]
    doubt: str = ""


@dataclass(eq=False)
class Retention:
    """How long people are kept in an open gallery."""

    file: GalleryFile
    identities: Identities
    history: History
    upkeep: Upkeep
    doubt: str = ""
    """Why the last check here did not trust the clock; empty when it did, or nobody is to be removed."""

    def expire(self, keep_days: float, trust_clock: bool = False) -> Expiry:
        """Hide everybody whose newest template is older, and delete who has been hidden for ``GRACE_DAYS``.

        Somebody who is enrolled again, enabled, or brought back by undoing counts from then on.

        Args:
            keep_days: days a person is kept; 0: everybody is kept for ever.
            trust_clock: trust the clock, and ignore the times of earlier entries.
        """
        if keep_days <= 0:
            self.doubt = ""
            return Expiry([], [], [])
        moment = Moment.read()
        with self.file.change():
            self.doubt = self._clock_doubt(moment, trust_clock)
            if self.doubt:
                return Expiry([], [], [], self.doubt)
            found = self._sorted_out(moment.now_ns, keep_days)
        if found.deleted:
            self.upkeep.forget_bytes()
        return found

    def _clock_doubt(self, moment: Moment, trust: bool) -> str:
        before = state_from(self.file.property_of(_CLOCK))
        query = "SELECT coalesce(max(CASE WHEN id > ? THEN at_ns ELSE 0 END), 0), coalesce(max(id), 0) FROM audit"
        ((newest, last),) = self.file.rows(query, before.ignored)
        after, doubt = (believed(moment, last), "") if trust else before.checked(moment, newest)
        if after != before:
            self.file.set_property(_CLOCK, after.to_json())
        return doubt

    def _sorted_out(self, now: int, keep_days: float) -> Expiry:
        rows = self.file.rows(
            "SELECT i.id, i.name, i.enrolled_ns, i.expired_ns, i.kept_ns, coalesce(max(t.created_ns), 0) FROM identities i"
            " LEFT JOIN templates t ON t.identity_id = i.id GROUP BY i.id, i.name, i.enrolled_ns, i.expired_ns, i.kept_ns"
        )
        expired, deleted, restored, group = [], [], [], 0
        for identity, stored, enrolled, since, kept, newest in rows:
            name = self.file.codec.read_text(stored)
            old = max(newest or enrolled, kept) < now - int(keep_days * _DAY_NS)
            if since and not old:
                self._set_expired(identity, 0)
                self.history.log("enable", identity, name, "the clock was set back", now)
                restored.append(name)
            elif since and now - since >= GRACE_DAYS * _DAY_NS:
                count = self.identities.delete(identity)
                self.history.log("remove", identity, name, f"{count} templates, expired for {GRACE_DAYS} days", now)
                deleted.append(name)
            elif old and not since:
                self._set_expired(identity, now)
                detail = f"older than {keep_days:g} days, deleted after {GRACE_DAYS} more"
                change = self.history.log("expire", identity, name, detail, now)
                group = group or change
                self.history.remember(change, group, action="expire", identity=identity)
                expired.append(name)
        return Expiry(sorted(expired), sorted(deleted), sorted(restored))

    def _set_expired(self, identity: int, since_ns: int) -> None:
        self.file.execute("UPDATE identities SET expired_ns = ? WHERE id = ?", (since_ns, identity))
