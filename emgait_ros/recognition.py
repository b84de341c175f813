"""Who is walking there: windows of samples, their embeddings, the gallery and the decision, joined in one object.

Each sample is encoded once, when it arrives; a window's embedding is made anew from its samples' features with every new
sample (the network's per-frame part is by far the larger). All pedestrians of a frame go through the network in one batch.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from emgait_ros.config import RecognitionConfig, WindowConfig
from emgait_ros.enrollment import (
    EnrollmentNews,
    EnrollmentResult,
    EnrollmentsOverTime,
    PreparedWalk,
    UnlikelyWalkError,
    WalkPreparer,
)
from emgait_ros.gallery.calibration import Calibration
from emgait_ros.gallery.decision import Decider, Decision
from emgait_ros.gallery.matcher import Matches
from emgait_ros.gallery.names import normalised_name
from emgait_ros.gallery.store import Gallery
from emgait_ros.gallery.view import GalleryView
from emgait_ros.inference.bundle import Bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.preprocessing import prepare
from emgait_ros.samples import Float32, IdentityResult, Modality, Pedestrian, PedestrianFrame, Status
from emgait_ros.windows import TrackChoiceError, TrackWindow, TrackWindows, WindowSample


class GaitRecognizer:
    """Pedestrians in, identities out. ``process`` and ``enroll`` may be called from different threads.

    Changes of the gallery by anybody (this object, the node's services, ``emgait gallery`` in another process) are
    noticed at the next frame.

    Args:
        config: window and decision options; the others are used by whoever makes ``encoder`` and ``gallery``.
        encoder: the network of one bundle.
        gallery: who is enrolled.

    Raises:
        GalleryError (a ValueError): the gallery cannot be read.
        ValueError: the bundle does not take windows as long as the options ask for.

    Attributes:
        gallery: as given.
        timings: seconds of the last ``process`` call by stage: windows, encode, embed, match, decide. Replaced, never
            changed, so that another thread may read it; likewise ``counters``.
        counters: totals of frames, samples encoded, embeddings made, and "left out: <reason>" of samples not used.
    """

    def __init__(self, config: RecognitionConfig, encoder: GaitEncoder, gallery: Gallery) -> None:
        self.gallery = gallery
        self.timings: dict[str, float] = {}
        self.counters: dict[str, int] = {}
        self._decision = config.decision
        self._encoder = encoder
        self._bundle = encoder.bundle
        self._decider = Decider(config.decision, self._bundle.threshold, self._bundle.min_margin)
        self._window = window_for(config.window, self._bundle)
        self._windows = TrackWindows(self._window)
        self._counts: Counter[str] = Counter()
        self._stages: dict[str, float] = {}
        self._watched_s = 0.0
        self._keep_pedestrians = config.gallery.save_samples
        self._now_ns = 0
        self._lock = threading.RLock()
        self._view = GalleryView(
            gallery, encoder.fingerprint, config.decision.templates_per_identity, config.gallery.threads
        )
        self._decider.calibrate(self._view.calibration)
        self._preparer = WalkPreparer(
            self._window,
            config.enrollment,
            encoder,
            lambda: self._view.matcher,
            self._decider.limit,
            config.gallery.save_samples,
        )
        self._over_time = EnrollmentsOverTime(self._window, self._preparer.prepare, self._stored)

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
    def tracks(self) -> int:
        """How many tracks are kept."""
        return len(self._windows)

    @property
    def gallery_note(self) -> str:
        """Why nobody, or not everybody, of the gallery can be recognised; empty when all can."""
        return self._view.note

    @property
    def flicker(self) -> float:
        """Name changes per track-minute: how often a name that was shown gave way to another or to none. NaN before any."""
        return self._decider.name_changes / (self._watched_s / 60.0) if self._watched_s else float("nan")

    @property
    def calibration(self) -> Calibration | None:
        """Of the gallery with this model; None: the bundle's threshold is used."""
        return self._view.calibration

    @property
    def window_options(self) -> WindowConfig:
        """In use: those of the options, within what the bundle takes."""
        return self._window

    def window_of(self, tracker_id: str, track_id: int) -> TrackWindow | None:
        """The window of one track as the last frame left it, if it is kept."""
        return self._windows.get(tracker_id, track_id)

    def forget_tracks(self) -> None:
        """Drop all windows and what was decided; the gallery stays."""
        with self._lock:
            if self._over_time.pending:
                self._over_time.give_up("tracks are no longer followed", self._now_ns)
            self._windows.clear()

    def process(self, frame: PedestrianFrame) -> list[IdentityResult]:
        """Who the pedestrians of one frame are, in their order.

        Raises:
            ValueError: the encoder refuses its input. A gallery that cannot be read any more is no error here: the
            identities known so far are used, and ``gallery_note`` says why.
        """
        with self._lock:
            self._stages = {}
            with self._timed("windows"):
                new = self._windows.observe(frame)
            with self._timed("encode"):
                self._encode(new)
            windows = self._windows_of(frame)
            with self._timed("embed"):
                self._embed([window for window, _ in new])
            ready = [window for window in windows if window.embedding is not None]
            with self._timed("match"):
                if self._view.try_to_follow():
                    self._decider.calibrate(self._view.calibration)
                matches, modalities = self._match(ready)
            with self._timed("decide"):
                decisions = self._decide(ready, matches, modalities)
            self._now_ns = frame.stamp_ns
            self._over_time.go_on(frame.stamp_ns)
            self._counts["frames"] += 1
            self._watched_s += sum(
                max(0.0, frame.stamp_ns - window.decided_ns) * 1e-9 for window in ready if window.decided_ns
            )
            for window in ready:
                window.decided_ns = frame.stamp_ns
            self.timings = self._stages
            self.counters = {
                **self._counts,
                **{f"left out: {why}": count for why, count in self._windows.left_out.items()},
            }
            return [self._result(frame, pedestrian, decisions) for pedestrian in frame.pedestrians]

    def enroll(self, name: str, track_id: int = -1, confirm: bool = False) -> EnrollmentResult:
        """Add the walk in a track's window to a person; one who is not there yet is created.

        Several templates are stored: the embedding of the whole window and, when it is long enough, those of its equal
        consecutive pieces of at least ``window.min_samples``, so that young windows of a later walk find their like.

        Args:
            name: 1 to 64 characters.
            track_id: as seen in the frames; -1: the only pedestrian in view. Tracks that left the view are kept for
                ``window.keep_s``.
            confirm: also when the walk is unlike the person's other templates, or nearer to somebody else's.

        Returns:
            Never raises for what a caller can mend: ``success`` is False and ``message`` says what to do.
        """
        try:
            clean = self._enrollable(name)
            with self._lock:
                prepared = self._preparer.prepare(clean, self._windows.to_enroll(track_id), confirm)
            result = self._stored(prepared)  # frames go on meanwhile
        except (ValueError, OSError) as error:
            return _refused(error, track_id)
        with self._lock:
            self._view.try_to_follow()
        return result

    def enroll_over(self, name: str, track_id: int, seconds: float, confirm: bool = False) -> EnrollmentResult:
        """Enrol a pedestrian from what is seen over the next seconds; returns at once.

        Templates are stored for every full window of new samples, and for what is left at the end (or when the
        pedestrian leaves); :meth:`enrollment_news` tells how it goes on.

        Args:
            name, track_id, confirm: as :meth:`enroll`.
            seconds: from the newest frame on, 0 to 60 s.

        Returns:
            ``success``: it has begun; or what is wrong and what to do.
        """
        try:
            clean = self._enrollable(name)
            with self._lock:
                return self._over_time.begin(clean, self._windows.chosen(track_id), seconds, confirm)
        except (ValueError, OSError) as error:
            return _refused(error, track_id)

    @property
    def pending_enrollments(self) -> dict[int, tuple[str, int]]:
        """Enrolments under way: track number -> name, and samples seen since templates were last stored."""
        with self._lock:
            return self._over_time.pending

    def enrollment_news(self, wait: bool = False) -> list[EnrollmentNews]:
        """How enrolments over time went on since the last call; ``wait`` for what is being stored."""
        with self._lock:
            if wait:
                self._over_time.wait(self._now_ns)
            else:
                self._over_time.collect(self._now_ns)
            return self._over_time.news()

    def retire(self, why: str) -> None:
        """End enrolments under way, another recognizer takes over; the gallery stays open."""
        with self._lock:
            self._over_time.give_up(why, self._now_ns)
            self._over_time.close()

    def close(self) -> None:
        """End enrolments under way and let go of the gallery."""
        self.retire("the recognizer is closed")
        self.gallery.close()

    def _stored(self, prepared: PreparedWalk) -> EnrollmentResult:
        return prepared.store(self.gallery, self.fingerprint)

    def _enrollable(self, name: str) -> str:
        """The name as it is stored.

        Raises:
            ValueError: not allowed, or of somebody who is disabled.
        """
        clean = normalised_name(name)
        if self.gallery.is_disabled(clean):
            raise ValueError(f"'{clean}' is disabled and would not be named: enable them first, or use another name")
        return clean

    @property
    def _samples_to_count(self) -> int:
        """Samples of a sensor from which on a window counts as having it: half of the shortest window."""
        return max(1, self._window.min_samples // 2)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._stages[stage] = time.perf_counter() - start

    def _windows_of(self, frame: PedestrianFrame) -> list[TrackWindow]:
        found = {
            pedestrian.track_id: self._windows.get(frame.tracker_id, pedestrian.track_id)
            for pedestrian in frame.pedestrians
        }
        return [window for window in found.values() if window is not None]

    def _encode(self, new: list[tuple[TrackWindow, Pedestrian]]) -> None:
        if not new:
            return
        pedestrians = [pedestrian for _, pedestrian in new]
        before = [window.samples[-1].features if window.samples else None for window, _ in new]
        features = self._encoder.encode_frames(prepare(pedestrians, self._bundle.preprocessing), before)
        for index, (window, pedestrian) in enumerate(new):
            modalities = Modality.POINTS if pedestrian.crop is None else Modality.BOTH
            light = float("nan") if pedestrian.crop is None else float(pedestrian.crop[::8, ::8].mean())
            place = (float(pedestrian.center[0]), float(pedestrian.center[1]))
            window.samples.append(
                WindowSample(
                    features[index],
                    modalities,
                    pedestrian.range_m,
                    int(pedestrian.point_count),
                    light,
                    place,
                    pedestrian if self._keep_pedestrians else None,
                )
            )
            window.taken += 1
        self._counts["samples encoded"] += len(new)

    def _embed(self, windows: list[TrackWindow]) -> None:
        ready = [window for window in windows if len(window.samples) >= self._window.min_samples]
        if not ready:
            return
        embeddings = self._encoder.embed([[sample.features for sample in window.samples] for window in ready])
        for window, embedding in zip(ready, embeddings, strict=True):
            window.embedding, window.fresh = embedding, True
        self._counts["embeddings"] += len(ready)

    def _match(self, ready: list[TrackWindow]) -> tuple[Matches, list[Modality]]:
        modalities = [window.modalities(self._samples_to_count) for window in ready]
        named = [window.state.decided for window in ready if window.state.decided]
        people = len(ready) + self._decision.candidates + 2  # enough for any joint assignment, the margin and the list
        embeddings = _stacked([window.embedding for window in ready])
        return self._view.matcher.search(embeddings, modalities, people, named), modalities

    def _decide(self, ready: list[TrackWindow], matches: Matches, modalities: list[Modality]) -> dict[int, Decision]:
        states, fresh = [window.state for window in ready], [window.fresh for window in ready]
        weak = [window.weakness(self._window) for window in ready]
        decisions = self._decider.decide(states, matches, modalities, fresh, self._view.empty_reason, weak)
        return {window.track_id: decision for window, decision in zip(ready, decisions, strict=True)}

    def _result(self, frame: PedestrianFrame, pedestrian: Pedestrian, decisions: dict[int, Decision]) -> IdentityResult:
        window = self._windows.get(frame.tracker_id, pedestrian.track_id)
        decision = decisions.get(pedestrian.track_id)
        needed = self._window.min_samples
        samples = len(window.samples) if window is not None else 0
        nan = float("nan")
        if decision is None:
            why = window.why_left_out() if window is not None else ": more tracks than window.max_tracks"
            reason = f"{samples} of {needed} samples{why}"
            decision = Decision(Status.PENDING, "", nan, self._decider.limit(Modality.BOTH), nan, (), reason)
        return IdentityResult(
            track_id=pedestrian.track_id,
            tracker_id=frame.tracker_id,
            status=decision.status,
            name=decision.name,
            distance=decision.distance,
            threshold=decision.threshold,
            margin=decision.margin,
            samples=samples,
            samples_needed=needed,
            modalities=window.modalities(min(self._samples_to_count, max(1, samples)))
            if window is not None
            else Modality.NONE,
            center=pedestrian.center,
            size=pedestrian.size,
            range_m=pedestrian.range_m,
            candidates=decision.candidates,
            reason="; ".join([decision.reason, *self._outside(window, pedestrian, decision)]),
            probability=decision.probability,
            warnings=self._warnings(window, pedestrian, decision),
        )

    def _warnings(self, window: TrackWindow | None, pedestrian: Pedestrian, decision: Decision) -> tuple[str, ...]:
        """What makes a decision less sure than the calibration promises."""
        if window is None or decision.status == Status.PENDING:
            return ()
        weak = window.weakness(self._window)
        return (*((f"weak window: {weak}",) if weak else ()), *self._outside(window, pedestrian, decision))

    def _outside(self, window: TrackWindow | None, pedestrian: Pedestrian, decision: Decision) -> tuple[str, ...]:
        calibration = self._view.calibration
        if calibration is None or window is None or decision.status == Status.PENDING:
            return ()
        density = float(np.median([sample.point_count * (sample.range_m / 10.0) ** 2 for sample in window.samples]))
        return calibration.outside(pedestrian.range_m, density, window.modalities(self._samples_to_count))


def _refused(error: Exception, track_id: int) -> EnrollmentResult:
    tracks = error.tracks if isinstance(error, TrackChoiceError) else ()
    unlikely = isinstance(error, UnlikelyWalkError)
    return EnrollmentResult(False, str(error), track_id, needs_confirmation=unlikely, tracks_in_view=tracks)


def window_for(window: WindowConfig, bundle: Bundle) -> WindowConfig:
    """The window options within what a bundle takes.

    Raises:
        ValueError: no window length satisfies both; the sentence names the options.
    """
    if window.min_samples > window.max_samples:
        raise ValueError(
            f"window.min_samples is {window.min_samples}: it cannot be more than window.max_samples, {window.max_samples}"
        )
    low, high = max(window.min_samples, bundle.min_frames), min(window.max_samples, bundle.max_frames)
    if low > high:
        raise ValueError(
            f"window.min_samples to max_samples is {window.min_samples} to {window.max_samples}, "
            f"but the bundle in {bundle.folder} takes windows of {bundle.min_frames} to {bundle.max_frames} samples"
        )
    return dataclasses.replace(window, min_samples=low, max_samples=high)


def _stacked(embeddings: list[Float32 | None]) -> Float32:
    present = [embedding for embedding in embeddings if embedding is not None]
    return np.stack(present) if present else np.zeros((0, 0, 0), np.float32)
