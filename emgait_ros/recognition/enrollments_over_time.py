"""Enrolling somebody over the next seconds: what is collected, when it is stored, and its progress."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum

from emgait_ros.config import WindowConfig
from emgait_ros.gallery.history import TakenBackError, UndoStep
from emgait_ros.gallery.names import look_alikes, refuse_look_alikes
from emgait_ros.recognition.enrollment import EnrollmentResult, PreparedWalk
from emgait_ros.recognition.track_choice import too_short
from emgait_ros.recognition.track_window import TrackWindow
from emgait_ros.recognition.windows import GROUP

GONE_S = 0.5
"""A pedestrian not seen for so long has left: an enrolment over time ends."""
LONGEST_S = 60.0
"""Longest enrolment over time."""


class EnrollmentState(IntEnum):
    """Values of ``emgait_msgs/msg/Enrollment``."""

    COLLECTING = 0
    STORED = 1
    REFUSED = 2
    DONE = 3


@dataclass(frozen=True)
class EnrollmentNews:
    """Progress of an enrolment over time; fields as in ``emgait_msgs/msg/Enrollment``."""

    stamp_ns: int
    name: str
    tracker_id: str
    track_id: int
    state: EnrollmentState
    remaining_s: float
    samples: int
    samples_needed: int
    templates: int
    quality: str
    message: str


@dataclass(eq=False)
class _Pending:
    """``stored_at``: the window's count of samples when templates were last stored; ``reported_s``: time remaining when
    progress was last reported; ``now_ns``: stamp of the newest frame of the window's tracker."""

    name: str
    window: TrackWindow
    restarts: int
    until_ns: int
    confirm: bool
    stored_at: int
    now_ns: int
    step: UndoStep
    reported_s: float = float("inf")
    over: bool = False
    tried: bool = False
    stored: list[EnrollmentResult] = field(default_factory=list)
    storing: list[Future[EnrollmentResult]] = field(default_factory=list)


class EnrollmentsOverTime:
    """Enrolments from what is seen over the next seconds. Storing happens in a thread of its own: frames never wait for it.

    Args:
        window: options; templates are stored for every ``max_samples`` new samples, and for what is left at the end.
        prepare: as :meth:`WalkPreparer.prepare`.
        store: puts a prepared walk into the gallery, as a part of an undo step; called in the thread.

    Attributes:
        window: in use; may be replaced.
    """

    def __init__(
        self,
        window: WindowConfig,
        prepare: Callable[[str, TrackWindow, bool], PreparedWalk],
        store: Callable[[PreparedWalk, UndoStep], EnrollmentResult],
    ) -> None:
        self.window, self._prepare, self._store = window, prepare, store
        self._pending: list[_Pending] = []
        self._news: list[EnrollmentNews] = []
        self._thread = ThreadPoolExecutor(1, "enrolment")

    @property
    def pending(self) -> dict[tuple[str, int], tuple[str, int]]:
        """Enrolments under way: tracker and track number -> name, and samples seen since templates were last stored."""
        return {
            (entry.window.tracker_id, entry.window.track_id): (entry.name, entry.window.taken - entry.stored_at)
            for entry in self._pending
        }

    def begin(
        self, name: str, window: TrackWindow, seconds: float, confirm: bool, step: UndoStep | None = None
    ) -> EnrollmentResult:
        """Start one; all it stores is taken back together, and with what else is of the ``step``.

        Raises:
            ValueError: the time is not possible, or the track is being enrolled already, or another one of its tracker under
            this name. LookAlikeNameError: not confirmed, and the name looks like one that is being enrolled.
        """
        if not 0.0 < seconds <= LONGEST_S:
            raise ValueError(
                f"enrolling over {seconds:g} s is not possible: give more than 0 and at most {LONGEST_S:.0f} s"
            )
        for entry in self._pending:
            if entry.window is window or (entry.name, entry.window.tracker_id) == (name, window.tracker_id):
                raise ValueError(
                    f"track {entry.window.track_id} is being enrolled as '{entry.name}' already: wait until that is done"
                )
        if not confirm:
            alike = look_alikes(name, [entry.name for entry in self._pending])
            refuse_look_alikes(name, alike, "call again with confirm")
        until_ns = window.seen_ns + int(seconds * 1e9)
        since = window.taken, window.seen_ns
        self._pending.append(_Pending(name, window, window.restarts, until_ns, confirm, *since, step or UndoStep()))
        message = f"enrolling '{name}' from track {window.track_id} over {seconds:g} s"
        return EnrollmentResult(True, message, window.track_id, tracker_id=window.tracker_id)

    def go_on(self, tracker_id: str, now_ns: int) -> None:
        """After a frame of a tracker: prepare what is due. Runs the sequence head only when something is due."""
        for entry in self._pending:
            if entry.over:  # what is left is being stored
                continue
            if entry.window.tracker_id == tracker_id:
                entry.now_ns = now_ns
            elif not entry.window.gone:
                continue
            self._go_on_with(entry)
        self.collect()

    def _go_on_with(self, entry: _Pending) -> None:
        window = entry.window
        same = window.restarts == entry.restarts
        lost = not same or window.gone or abs(entry.now_ns - window.seen_ns) > GONE_S * 1e9
        entry.over = lost or entry.now_ns >= entry.until_ns
        fresh = window.taken - entry.stored_at
        enough = self.window.min_samples if entry.over and entry.tried else self.window.max_samples
        if same and (fresh >= enough or (entry.over and not entry.tried)):
            self._attempt(entry)
        elif window.group:
            entry.tried = True
            self._report(entry, EnrollmentState.REFUSED, f"track {window.track_id} is {GROUP} now")
        remaining_s = max(0.0, (entry.until_ns - entry.now_ns) * 1e-9)
        if not entry.over and remaining_s <= entry.reported_s - 1.0 + 1e-6:
            entry.reported_s = remaining_s
            self._report(entry, EnrollmentState.COLLECTING, f"{fresh} of {self.window.max_samples} samples")

    def _attempt(self, entry: _Pending) -> None:
        entry.stored_at, entry.tried = entry.window.taken, True
        try:
            if len(entry.window.samples) < self.window.min_samples:
                raise ValueError(too_short(entry.window, self.window.min_samples))
            prepared = self._prepare(entry.name, entry.window, entry.confirm)
        except ValueError as error:
            self._report(entry, EnrollmentState.REFUSED, str(error))
            return
        entry.storing.append(self._thread.submit(self._store, prepared, entry.step))

    def collect(self) -> None:
        """Take over what was stored meanwhile, and end what is over."""
        for entry in list(self._pending):
            for future in [future for future in entry.storing if future.done()]:
                entry.storing.remove(future)
                self._take(entry, future)
            if entry.over and not entry.storing:
                self._pending.remove(entry)
                self._finish(entry)

    def _take(self, entry: _Pending, future: Future[EnrollmentResult]) -> None:
        try:
            result = future.result()
        except TakenBackError as error:
            entry.over = entry.tried = True
            entry.stored.clear()
            self._report(entry, EnrollmentState.REFUSED, str(error))
            return
        except Exception as error:  # a sentence of the gallery's; anything else is reported too
            self._report(entry, EnrollmentState.REFUSED, str(error))
            return
        entry.stored.append(result)
        self._report(entry, EnrollmentState.STORED, result.message, result)

    def _finish(self, entry: _Pending) -> None:
        if entry.stored:
            samples, last = sum(result.samples for result in entry.stored), entry.stored[-1]
            message = f"'{entry.name}' is enrolled: {samples} samples of this walk, {last.templates} templates now"
            self._report(entry, EnrollmentState.DONE, message, last)
        else:
            self._report(entry, EnrollmentState.DONE, f"nothing of this walk was stored as '{entry.name}'")

    def give_up(self, why: str) -> None:
        """End all of them; what is being stored is still completed."""
        for entry in self._pending:
            entry.over = entry.tried = True
            self._report(entry, EnrollmentState.REFUSED, f"enrolling '{entry.name}' ended: {why}")
        self.wait()

    def wait(self) -> None:
        """Until nothing is being stored."""
        for entry in self._pending:
            for future in entry.storing:
                future.exception()
        self.collect()

    def news(self, wait: bool = False) -> list[EnrollmentNews]:
        """What happened since the last call, oldest first; ``wait`` for what is being stored."""
        if wait:
            self.wait()
        else:
            self.collect()
        found, self._news = self._news, []
        return found

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _report(
        self, entry: _Pending, state: EnrollmentState, message: str, result: EnrollmentResult | None = None
    ) -> None:
        self._news.append(
            EnrollmentNews(
                entry.now_ns,
                entry.name,
                entry.window.tracker_id,
                entry.window.track_id,
                state,
                0.0 if entry.over else max(0.0, (entry.until_ns - entry.now_ns) * 1e-9),
                entry.window.taken - entry.stored_at,
                self.window.max_samples,
                result.templates if result else 0,
                result.quality if result else "",
                message,
            )
        )
