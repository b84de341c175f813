"""Enrolling a walk: what is stored of it, whether it is good enough and plausible, at once or over the next seconds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from emgait_ros.config import EnrollmentConfig, WindowConfig
from emgait_ros.gallery.matcher import Matcher
from emgait_ros.gallery.quality import WalkQuality, walk_quality
from emgait_ros.gallery.saved_walks import pack_walk
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.samples import Float32, Modality
from emgait_ros.windows import TrackWindow

GONE_S = 0.5
"""A pedestrian not seen for so long has left: an enrolment over time ends."""
LONGEST_S = 60.0
"""Longest enrolment over time."""


class UnlikelyWalkError(ValueError):
    """The walk does not look like the person's others: whoever asked may confirm that it is them."""


@dataclass(frozen=True)
class EnrollmentResult:
    """What became of an enrolment; fields as in ``emgait_msgs/srv/EnrollIdentity``. ``track_id`` is -1 when there was none."""

    success: bool
    message: str
    track_id: int = -1
    samples: int = 0
    templates: int = 0
    quality: str = ""
    needs_confirmation: bool = False
    tracks_in_view: tuple[int, ...] = ()


@dataclass(frozen=True)
class PreparedWalk:
    """All that is stored of one walk, computed and checked; ``embeddings`` (N, parts, d): the whole window, then pieces."""

    name: str
    track_id: int
    embeddings: Float32
    samples: list[int]
    modalities: Modality
    median_range_m: float
    quality: WalkQuality
    note: str
    saved: bytes | None

    def store(self, gallery: Gallery, fingerprint: str) -> EnrollmentResult:
        """Put it into a gallery. Raises what ``Gallery.enroll`` does."""
        templates = gallery.enroll(
            self.name,
            self.embeddings,
            fingerprint,
            samples=self.samples,
            modalities=self.modalities,
            median_range_m=self.median_range_m,
            quality=self.quality.to_json(),
            walk=self.saved,
        )
        sensors = {Modality.IMAGE: ", from the camera alone", Modality.POINTS: ", from the LiDAR alone"}
        message = (
            f"enrolled '{self.name}' from track {self.track_id}: {self.samples[0]} samples"
            f"{sensors.get(self.modalities, '')}, {templates} templates now{self.note}"
        )
        return EnrollmentResult(True, message, self.track_id, self.samples[0], templates, str(self.quality))


class WalkPreparer:
    """Makes and checks what is stored of a window.

    Args:
        window, enrollment: options.
        encoder: the network.
        matcher: gives who is enrolled, as far as this model can compare.
        limit: distance below which two walks with these sensors are taken for one person's; NaN without one.
        save_samples: keep the samples themselves too.
    """

    def __init__(
        self,
        window: WindowConfig,
        enrollment: EnrollmentConfig,
        encoder: GaitEncoder,
        matcher: Callable[[], Matcher],
        limit: Callable[[Modality], float],
        save_samples: bool,
    ) -> None:
        self._window, self._enrollment, self._encoder = window, enrollment, encoder
        self._matcher, self._limit, self._save_samples = matcher, limit, save_samples

    def prepare(self, name: str, window: TrackWindow, confirm: bool) -> PreparedWalk:
        """What would be stored of a window under a name.

        Raises:
            ValueError: the walk is not good enough. UnlikelyWalkError: it is unlike the person's others, or nearer to somebody
            else's; not when the caller has confirmed that it is them.
        """
        quality = quality_of(window)
        if refusal := quality.refusal(self._enrollment):
            raise ValueError(f"track {window.track_id} was not enrolled: {refusal}")
        features = [sample.features for sample in window.samples]
        embeddings, counts = template_embeddings(self._encoder, features, self._window.min_samples)
        modalities = window.modalities(max(1, self._window.min_samples // 2))
        note = self._checked_likeness(name, embeddings[:1], modalities, confirm)
        pedestrians = [sample.pedestrian for sample in window.samples if sample.pedestrian is not None]
        median_range_m = float(np.median([sample.range_m for sample in window.samples]))
        saved = pack_walk(pedestrians) if self._save_samples and pedestrians else None
        return PreparedWalk(name, window.track_id, embeddings, counts, modalities, median_range_m, quality, note, saved)

    def _checked_likeness(self, name: str, probe: Float32, modalities: Modality, confirm: bool) -> str:
        """A note when the walk is accepted although it is like somebody else's."""
        matches = self._matcher().search(probe, [modalities])
        limit = self._limit(modalities)
        if not len(matches.identity_id) or not np.isfinite(limit):
            return ""
        distance = dict(zip(matches.names, matches.distance[0].tolist(), strict=True))
        own = distance.pop(name, None)
        nearest = min(distance, key=lambda other: distance[other], default="")
        like_another = bool(nearest) and distance[nearest] < limit
        again = f"call again with confirm if it is '{name}' all the same"
        if own is not None and not confirm:
            if like_another and distance[nearest] < own:
                raise UnlikelyWalkError(
                    f"this walk is nearer to '{nearest}' ({distance[nearest]:.2f}) than to '{name}' ({own:.2f}): {again}"
                )
            if own > limit * self._enrollment.consistent_factor:
                raise UnlikelyWalkError(
                    f"this walk is unlike the other templates of '{name}' ({own:.2f}, threshold {limit:.2f}): {again}"
                )
        if not like_another or (own is not None and own <= distance[nearest]):
            return ""
        return f"; note: this walk is like that of '{nearest}' ({distance[nearest]:.2f}): rename one onto the other if they are one person"


def template_embeddings(encoder: GaitEncoder, features: Sequence[Any], min_samples: int) -> tuple[Float32, list[int]]:
    """Templates of a walk: the embedding of all its samples and, when it is long enough, of its equal consecutive pieces.

    Young windows of a later walk find their like among the pieces.

    Returns:
        (N, parts, d) float32, and the samples behind each.
    """
    pieces = len(features) // min_samples
    bounds = np.linspace(0, len(features), pieces + 1).astype(int)
    parts = [list(features[start:end]) for start, end in itertools.pairwise(bounds)] if pieces > 1 else []
    windows = [list(features), *parts]
    return encoder.embed(windows), [len(part) for part in windows]


def quality_of(window: TrackWindow) -> WalkQuality:
    """What enrolling a window would rest on."""
    samples = list(window.samples)
    return walk_quality(
        [sample.range_m for sample in samples],
        [sample.point_count for sample in samples],
        [Modality.IMAGE in sample.modalities for sample in samples],
        np.array([sample.position for sample in samples]),
    )


class EnrollmentState(IntEnum):
    """Values of ``emgait_msgs/msg/Enrollment``."""

    COLLECTING = 0
    STORED = 1
    REFUSED = 2
    DONE = 3


@dataclass(frozen=True)
class EnrollmentNews:
    """How an enrolment over time goes on; fields as in ``emgait_msgs/msg/Enrollment``."""

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


@dataclass
class _Pending:
    """``stored_at``: the window's count of samples when templates were last stored; ``told_s``: remaining when last told."""

    name: str
    window: TrackWindow
    restarts: int
    until_ns: int
    confirm: bool
    stored_at: int
    told_s: float = float("inf")
    over: bool = False
    tried: bool = False
    stored: list[EnrollmentResult] = field(default_factory=list)
    storing: list[Future[EnrollmentResult]] = field(default_factory=list)


class EnrollmentsOverTime:
    """Enrolments from what is seen over the next seconds. Storing happens in a thread of its own: frames never wait for it.

    Args:
        window: options; templates are stored for every ``max_samples`` new samples, and for what is left at the end.
        prepare: as :meth:`WalkPreparer.prepare`.
        store: puts a prepared walk into the gallery; called in the thread.
    """

    def __init__(
        self,
        window: WindowConfig,
        prepare: Callable[[str, TrackWindow, bool], PreparedWalk],
        store: Callable[[PreparedWalk], EnrollmentResult],
    ) -> None:
        self._window, self._prepare, self._store = window, prepare, store
        self._pending: dict[tuple[str, int], _Pending] = {}
        self._news: list[EnrollmentNews] = []
        self._thread = ThreadPoolExecutor(1, "enrolment")

    @property
    def pending(self) -> dict[int, tuple[str, int]]:
        """Enrolments under way: track number -> name, and samples seen since templates were last stored."""
        return {
            track: (entry.name, entry.window.taken - entry.stored_at) for (_, track), entry in self._pending.items()
        }

    def begin(self, name: str, window: TrackWindow, seconds: float, confirm: bool) -> EnrollmentResult:
        """Start one.

        Raises:
            ValueError: the time is not possible, or the track is being enrolled already.
        """
        if not 0.0 < seconds <= LONGEST_S:
            raise ValueError(
                f"enrolling over {seconds:g} s is not possible: give more than 0 and at most {LONGEST_S:.0f} s"
            )
        key = (window.tracker_id, window.track_id)
        if key in self._pending:
            raise ValueError(
                f"track {window.track_id} is being enrolled as '{self._pending[key].name}' already: wait until that is done"
            )
        until_ns = window.seen_ns + int(seconds * 1e9)
        self._pending[key] = _Pending(name, window, window.restarts, until_ns, confirm, window.taken)
        message = f"enrolling '{name}' from track {window.track_id} over {seconds:g} s"
        return EnrollmentResult(True, message, window.track_id)

    def go_on(self, now_ns: int) -> None:
        """After a frame: prepare what is due. Takes a head run of the network when something is, else nothing."""
        for entry in self._pending.values():
            if entry.over:  # what is left is being stored
                continue
            window = entry.window
            lost = window.restarts != entry.restarts or abs(now_ns - window.seen_ns) > GONE_S * 1e9
            entry.over = lost or now_ns >= entry.until_ns
            fresh = window.taken - entry.stored_at
            enough = self._window.min_samples if entry.over and entry.tried else self._window.max_samples
            if window.restarts == entry.restarts and (fresh >= enough or (entry.over and not entry.tried)):
                self._attempt(entry, now_ns)
            remaining_s = max(0.0, (entry.until_ns - now_ns) * 1e-9)
            if not entry.over and remaining_s <= entry.told_s - 1.0 + 1e-6:
                entry.told_s = remaining_s
                self._tell(entry, EnrollmentState.COLLECTING, now_ns, f"{fresh} of {self._window.max_samples} samples")
        self.collect(now_ns)

    def _attempt(self, entry: _Pending, now_ns: int) -> None:
        entry.stored_at, entry.tried = entry.window.taken, True
        try:
            if len(entry.window.samples) < self._window.min_samples:
                raise ValueError(
                    f"track {entry.window.track_id} has {len(entry.window.samples)} of {self._window.min_samples} samples"
                    f"{entry.window.why_left_out()}: let the person walk on and call again"
                )
            prepared = self._prepare(entry.name, entry.window, entry.confirm)
        except ValueError as error:
            self._tell(entry, EnrollmentState.REFUSED, now_ns, str(error))
            return
        entry.storing.append(self._thread.submit(self._store, prepared))

    def collect(self, now_ns: int) -> None:
        """Take over what was stored meanwhile, and end what is over."""
        for key, entry in list(self._pending.items()):
            for future in [future for future in entry.storing if future.done()]:
                entry.storing.remove(future)
                self._take(entry, future, now_ns)
            if entry.over and not entry.storing:
                del self._pending[key]
                self._finish(entry, now_ns)

    def _take(self, entry: _Pending, future: Future[EnrollmentResult], now_ns: int) -> None:
        try:
            result = future.result()
        except Exception as error:  # the gallery's own sentences; anything else is told all the same
            self._tell(entry, EnrollmentState.REFUSED, now_ns, str(error))
            return
        entry.stored.append(result)
        self._tell(entry, EnrollmentState.STORED, now_ns, result.message, result)

    def _finish(self, entry: _Pending, now_ns: int) -> None:
        if entry.stored:
            samples, last = sum(result.samples for result in entry.stored), entry.stored[-1]
            message = f"'{entry.name}' is enrolled: {samples} samples of this walk, {last.templates} templates now"
            self._tell(entry, EnrollmentState.DONE, now_ns, message, last)
        else:
            self._tell(entry, EnrollmentState.DONE, now_ns, f"nothing of this walk was stored as '{entry.name}'")

    def give_up(self, why: str, now_ns: int) -> None:
        """End all of them; what is being stored is stored."""
        for entry in self._pending.values():
            entry.over = entry.tried = True
            self._tell(entry, EnrollmentState.REFUSED, now_ns, f"enrolling '{entry.name}' ended: {why}")
        self.wait(now_ns)

    def wait(self, now_ns: int) -> None:
        """Until nothing is being stored."""
        for entry in list(self._pending.values()):
            for future in entry.storing:
                future.exception()
        self.collect(now_ns)

    def news(self) -> list[EnrollmentNews]:
        """What happened since the last call, oldest first."""
        found, self._news = self._news, []
        return found

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    def _tell(
        self,
        entry: _Pending,
        state: EnrollmentState,
        now_ns: int,
        message: str,
        result: EnrollmentResult | None = None,
    ) -> None:
        self._news.append(
            EnrollmentNews(
                now_ns,
                entry.name,
                entry.window.tracker_id,
                entry.window.track_id,
                state,
                0.0 if entry.over else max(0.0, (entry.until_ns - now_ns) * 1e-9),
                entry.window.taken - entry.stored_at,
                self._window.max_samples,
                result.templates if result else 0,
                result.quality if result else "",
                message,
            )
        )
