"""Who is walking there: windows of samples, their embeddings, the gallery and the decision, joined in one object.

Each sample is encoded once, when it arrives; a window's embedding is made from its samples' features again with every new
sample (the network's per-frame part is by far the larger). All pedestrians of a frame go through the network in one batch.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from emgait_ros.config import RecognitionConfig, WindowConfig
from emgait_ros.gallery.history import UndoStep
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.encoder import GaitEncoder, SampleFeatures
from emgait_ros.inference.steady_box import with_steady_height
from emgait_ros.recognition.decision import Decider, Decision
from emgait_ros.recognition.enrollment import EnrollmentResult, PreparedWalk, WalkPreparer, enrollable, refused
from emgait_ros.recognition.enrollments_over_time import EnrollmentNews, EnrollmentsOverTime
from emgait_ros.recognition.identity_results import IdentityResult, identity_result, samples_to_count, undecided
from emgait_ros.recognition.matcher import Matcher, Matches
from emgait_ros.recognition.replay import Replay
from emgait_ros.recognition.track_choice import chosen_window, full_window
from emgait_ros.recognition.track_window import TrackWindow
from emgait_ros.recognition.view import GalleryView
from emgait_ros.recognition.windows import TrackWindows, window_for
from emgait_ros.samples import Float32, Modality, PedestrianFrame, Sample

BUSY = "a newer frame had come already"
"""Why the samples of skipped frames are left out."""


class GaitRecognizer:
    """Pedestrians in, identities out. Everything may be called from any thread, and only :meth:`process` and :meth:`skip`
    wait while the network encodes.

    Changes of the gallery by anybody (this object, the node's services, ``emgait gallery`` in another process) are
    noticed at the next frame.

    Args:
        config: options; those of ``engine`` and ``gallery`` are used by whoever makes ``encoder`` and ``gallery``.
        encoder: the network of one bundle.
        gallery: who is enrolled.

    Raises:
        GalleryError (a ValueError): the gallery cannot be read.
        ValueError: the bundle does not take windows as long as the options ask for.

    Attributes:
        gallery: as given.
        windows: of all tracks, as the last frame left them, with the window options in use: those of ``config`` within
            what the bundle takes.
        timings: seconds of the last ``process`` call by stage: windows, encode, embed, match, decide. Replaced, never
            changed, so that another thread may read it; likewise ``counters``.
        counters: totals of frames, samples encoded, embeddings made, and "left out: <reason>" of samples not used.
    """

    def __init__(self, config: RecognitionConfig, encoder: GaitEncoder, gallery: Gallery) -> None:
        self.gallery = gallery
        self.timings: dict[str, float] = {}
        self.counters: dict[str, int] = {}
        self._encoder = encoder
        self._bundle = encoder.bundle
        self.windows = TrackWindows(self.checked_window(config), encoder.sensors)
        self._counts: Counter[str] = Counter()
        self._stages: dict[str, float] = {}
        self._watched_s = 0.0
        self._keep_pedestrians = config.gallery.save_samples
        self._frame_lock = threading.Lock()  # held for a whole frame
        self._lock = threading.RLock()  # never held while frames are encoded: services must not wait for that
        self._view = GalleryView(
            gallery, encoder.fingerprint, config.decision.templates_per_identity, config.gallery.threads
        )
        self._decision = config.decision
        self._decider = Decider(
            config.decision, self._bundle.threshold, self._bundle.min_margin, self._view.calibration, encoder.sensors
        )
        self._preparer = WalkPreparer(
            self.windows.config,
            config.enrollment,
            encoder,
            lambda: self._view.matcher,
            self._decider.limit,
            config.gallery.save_samples,
        )
        self._over_time = EnrollmentsOverTime(self.windows.config, self._preparer.prepare, self._stored)

    def reconfigure(self, config: RecognitionConfig) -> None:
        """Use other window, decision and enrolment options from now on; windows, decisions and the gallery in memory stay.

        Raises:
            ValueError: the bundle does not take windows as long as these options ask for; nothing is changed then.
        """
        window = self.checked_window(config)
        with self._lock:
            self._over_time.window = window
            self.windows.reconfigure(window)
            self._decision = config.decision
            self._view.matcher.average_over(config.decision.templates_per_identity)
            self._decider.reconfigure(config.decision)
            self._preparer.reconfigure(window, config.enrollment)

    def checked_window(self, config: RecognitionConfig) -> WindowConfig:
        """The window options within what the bundle takes.

        Raises:
            ValueError: no window length satisfies both.
        """
        bundle = self._bundle
        return window_for(config.window, bundle.min_frames, bundle.max_frames, f"the bundle in {bundle.folder}")

    @property
    def fingerprint(self) -> str:
        """Of the model in use: templates of other models are never compared."""
        return self._encoder.fingerprint

    @property
    def threshold(self) -> float:
        """Distance below which a name is given to a window of both sensors; 0: there is none, everybody stays unknown."""
        return self._decider.threshold

    @property
    def identities(self) -> int:
        """How many identities can be recognised with this model."""
        return self._view.matcher.identities

    @property
    def gallery_note(self) -> str:
        """Why nobody, or not everybody, of the gallery can be recognised; empty when all can."""
        return self._view.note

    @property
    def flicker(self) -> float:
        """Name changes per track-minute: how often a name that was shown gave way to another or to none. NaN before any."""
        return self._decider.name_changes / (self._watched_s / 60.0) if self._watched_s else float("nan")

    def replay(self, enrolled: Matcher) -> Replay:
        """Plays walks against a gallery, decided as this recognizer decides with the bundle's margin."""
        return Replay(enrolled, self._decision, self._bundle.min_margin or 0.0, self._encoder.sensors)

    def forget_tracks(self) -> None:
        """Drop all windows and what was decided; the gallery stays."""
        with self._lock:
            if self._over_time.pending:
                self._over_time.give_up("tracks are no longer followed")
            self.windows.clear()

    @property
    def trackers(self) -> list[str]:
        """Trackers heard lately."""
        with self._lock:
            return self.windows.trackers

    def skip(self, frame: PedestrianFrame) -> None:
        """Note who is in view in a frame that a newer one of its tracker has overtaken: nothing is encoded or answered."""
        with self._frame_lock, self._lock:
            self.windows.skip(frame, BUSY)
            self._counts["frames skipped"] += 1

    def process(self, frame: PedestrianFrame) -> list[IdentityResult]:
        """Who the pedestrians of one frame are, in their order.

        Two pedestrians of one frame are never given the same name. Trackers are decided separately: they may see the same
        person at the same time.

        Raises:
            ValueError: the encoder refuses its input. A gallery that cannot be read any more is no error here: the
            identities known so far are used, and ``gallery_note`` says why.
        """
        with self._frame_lock:
            self._stages = {}
            with self._lock, self._timed("windows"):
                observed = self.windows.observe(frame)
                new = [(window, with_steady_height(sample, window.heights)) for window, sample in observed]
                before = [window.samples[-1].features if window.samples else None for window, _ in new]
            with self._timed("encode"):
                features = self._encode([pedestrian for _, pedestrian in new], before)
            with self._lock:
                self._add_samples(new, features)
                return self._answer(frame, [window for window, _ in new])

    def _answer(self, frame: PedestrianFrame, grown: list[TrackWindow]) -> list[IdentityResult]:
        """Embed the windows that have grown, compare and decide."""
        windows = self._windows_of(frame)
        with self._timed("embed"):
            self._embed(grown)
        ready = [window for window in windows if window.embedding is not None]
        with self._timed("match"):
            self._follow()
            matches, modalities = self._match(ready)
        with self._timed("decide"):
            decisions = self._decide(ready, matches, modalities)
        self._over_time.go_on(frame.tracker_id, frame.stamp_ns)
        self._count(frame, ready)
        return [self._result(frame, pedestrian, decisions) for pedestrian in frame.pedestrians]

    def _count(self, frame: PedestrianFrame, ready: list[TrackWindow]) -> None:
        self._counts["frames"] += 1
        for window in ready:
            if window.decided_ns:
                self._watched_s += max(0.0, frame.stamp_ns - window.decided_ns) * 1e-9
            window.decided_ns = frame.stamp_ns
        left_out = {f"left out: {why}": count for why, count in self.windows.left_out.items()}
        self.timings, self.counters = self._stages, {**self._counts, **left_out}

    def enroll(self, name: str, track_id: int = -1, confirm: bool = False, tracker_id: str = "") -> EnrollmentResult:
        """Add the walk in a track's window to a person; one who is not there yet is created.

        Several templates are stored: the embedding of the whole window and, when it is long enough, those of its equal
        consecutive pieces of at least ``window.min_samples``, so that short windows of a later walk have templates of a similar
        length.

        Args:
            name: 1 to 64 characters.
            track_id: as seen in the frames; -1: the only pedestrian in view. Tracks that left the view are kept for
                ``window.keep_s``.
            confirm: also when the walk is unlike the person's other templates, or nearer to somebody else's, and when the
                name looks like that of somebody else.
            tracker_id: of which tracker the track is; empty: any, refused when several have that number.

        Returns:
            Never raises for what a caller can put right: ``success`` is False and ``message`` says what to do.
        """
        try:
            clean = enrollable(self.gallery, name, confirm)
            with self._lock:
                prepared = self._preparer.prepare(clean, full_window(self.windows, track_id, tracker_id), confirm)
            result = self._stored(prepared)  # frames go on meanwhile
        except (ValueError, OSError) as error:
            return refused(error, track_id)
        with self._lock:
            self._follow()
        return result

    def enroll_over(
        self,
        name: str,
        track_id: int,
        seconds: float,
        confirm: bool = False,
        tracker_id: str = "",
        step: UndoStep | None = None,
    ) -> EnrollmentResult:
        """Enrol a pedestrian from what is seen over the next seconds; returns at once.

        Templates are stored for every full window of new samples, and for what is left at the end (or when the
        pedestrian leaves); :meth:`enrollment_news` reports its progress.

        Args:
            name, track_id, confirm, tracker_id: as :meth:`enroll`.
            seconds: from the newest frame on, 0 to 60 s.
            step: of several enrolments that are taken back together; None: what this one stores is.

        Returns:
            ``success``: it has begun; or what is wrong and what to do.
        """
        try:
            clean = enrollable(self.gallery, name, confirm)
            with self._lock:
                window = chosen_window(self.windows, track_id, tracker_id)
                return self._over_time.begin(clean, window, seconds, confirm, step)
        except (ValueError, OSError) as error:
            return refused(error, track_id)

    @property
    def pending_enrollments(self) -> dict[tuple[str, int], tuple[str, int]]:
        """Enrolments under way: tracker and track number -> name, and samples seen since templates were last stored."""
        with self._lock:
            return self._over_time.pending

    def enrollment_news(self, wait: bool = False) -> list[EnrollmentNews]:
        """Progress of enrolments over time since the last call; ``wait`` for what is being stored."""
        with self._lock:
            return self._over_time.news(wait)

    def close(self) -> None:
        """End enrolments under way and let go of the gallery."""
        with self._lock:
            self._over_time.give_up("the recognizer is closed")
            self._over_time.close()
        self.gallery.close()

    def _stored(self, prepared: PreparedWalk, step: UndoStep | None = None) -> EnrollmentResult:
        if step is not None:
            self.gallery.history.refuse_taken_back(step)
        return prepared.store(self.gallery, self.fingerprint, step)

    def _follow(self) -> None:
        """Take over what changed in the gallery; decisions about tracks name people by their numbers in it."""
        before = self._view.rebuilt
        if self._view.try_to_follow():
            self._decider.calibrate(self._view.calibration)
        if self._view.rebuilt > before:  # a backup, or another gallery, was put in its place
            for window in self.windows.kept():
                window.state.reset()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._stages[stage] = time.perf_counter() - start

    def _windows_of(self, frame: PedestrianFrame) -> list[TrackWindow]:
        found = {item.track_id: self.windows.get(frame.tracker_id, item.track_id) for item in frame.pedestrians}
        return [window for window in found.values() if window is not None]

    def _encode(self, pedestrians: list[Sample], before: list[SampleFeatures | None]) -> Sequence[SampleFeatures]:
        if not pedestrians:
            return []
        return list(self._encoder.encode_frames(self._encoder.prepare(pedestrians), before))

    def _add_samples(self, new: list[tuple[TrackWindow, Sample]], features: Sequence[SampleFeatures]) -> None:
        for (window, pedestrian), encoded in zip(new, features, strict=True):
            window.add(encoded, pedestrian, self._keep_pedestrians, self._encoder.sensors)
        self._counts["samples encoded"] += len(new)

    def _embed(self, windows: list[TrackWindow]) -> None:
        ready = [window for window in windows if len(window.samples) >= self.windows.config.min_samples]
        if not ready:
            return
        embeddings = self._encoder.embed([[sample.features for sample in window.samples] for window in ready])
        for window, embedding in zip(ready, embeddings, strict=True):
            window.embedding, window.fresh = embedding, True
        self._counts["embeddings"] += len(ready)

    def _match(self, ready: list[TrackWindow]) -> tuple[Matches, list[Modality]]:
        modalities = [window.modalities(samples_to_count(self.windows.config)) for window in ready]
        named = [window.state.decided for window in ready if window.state.decided]
        people = len(ready) + self._decision.candidates + 2  # enough for any joint assignment, the margin and the list
        embeddings = _stacked([window.embedding for window in ready])
        return self._view.matcher.search(embeddings, modalities, people, named), modalities

    def _decide(self, ready: list[TrackWindow], matches: Matches, modalities: list[Modality]) -> dict[int, Decision]:
        states, fresh = [window.state for window in ready], [window.fresh for window in ready]
        weak = [window.weakness(self.windows.config) for window in ready]
        decisions = self._decider.decide(states, matches, modalities, fresh, weak)
        return {window.track_id: decision for window, decision in zip(ready, decisions, strict=True)}

    def _result(self, frame: PedestrianFrame, pedestrian: Sample, decisions: dict[int, Decision]) -> IdentityResult:
        window = self.windows.get(frame.tracker_id, pedestrian.track_id)
        decision = decisions.get(pedestrian.track_id)
        if decision is None:
            decision = undecided(window, self.windows.config, self._decider.limit(self._encoder.sensors))
        return identity_result(frame, pedestrian, window, decision, self.windows.config, self._view)


def _stacked(embeddings: list[Float32 | None]) -> Float32:
    present = [embedding for embedding in embeddings if embedding is not None]
    return np.stack(present) if present else np.zeros((0, 0, 0), np.float32)
