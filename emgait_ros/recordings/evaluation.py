"""The pipeline over a whole bag: what became of every track, and how that compares with the truth when the bag holds it.

Nothing here depends on the clock or on threads: the same bag, options and gallery give the same result.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from emgait_ros.config import TrackerNodeConfig
from emgait_ros.pipeline import GaitPipeline
from emgait_ros.recognition.identity_results import IdentityResult
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.walks import (
    MATCH_TIME_NS,
    EnrollmentNote,
    EnrollmentPlan,
    RecordedWalk,
    Sighting,
    matched_walkers,
    places_of,
    truth_at,
)
from emgait_ros.samples import PedestrianFrame, Sample, SensorFrame, Status

SAME_WALK_S = 5.0


@dataclass
class TrackReport:
    """One track from its first to its last frame.

    Attributes:
        track_id, restart: number of the track; how often time had jumped back before it (0 in an ordinary bag).
        first_s, last_s: stamps, from the beginning of the bag.
        frames, samples: published in; with LiDAR returns.
        moving: frames in which it walked.
        ranges_m: nearest and farthest.
        decided: the name given most often, else "unknown" or "pending".
        decided_after_s, decided_range_m: when and where that was first said; None: never.
        names: name -> frames it was given in.
        distance: smallest distance to who was named, while somebody was; to the nearest of all where nobody ever was; None when
            nothing was compared.
        threshold: in use at that moment: below it a window speaks for a name; None without one.
        reason: what was last said.
        walker: who it really was (most of the time), None without truth or without anybody there.
    """

    track_id: int
    restart: int
    first_s: float
    last_s: float = 0.0
    frames: int = 0
    samples: int = 0
    moving: int = 0
    ranges_m: tuple[float, float] = (np.inf, 0.0)
    decided: str = "pending"
    decided_after_s: float | None = None
    decided_range_m: float | None = None
    names: dict[str, int] = field(default_factory=dict)
    distance: float | None = None
    threshold: float | None = None
    reason: str = ""
    walker: int | None = None


@dataclass(frozen=True)
class TruthScores:
    """Detection and tracking against the ground truth; people matched one to one within 1 m on the ground.

    Attributes:
        people, found: instances (person x frame) with enough LiDAR returns to be detected at all; those tracked.
        recall: found / people; None without people.
        strays: pedestrians seen where nobody is (coasting tracks do not count); moving_strays: of them, said to walk.
        switches: how often a person's track number changed within 5 s; after longer it is another walk.
        error_m: mean horizontal distance of the matches; None without any.
    """

    people: int
    found: int
    recall: float | None
    strays: int
    moving_strays: int
    switches: int
    error_m: float | None


@dataclass(frozen=True)
class BagEvaluation:
    """Result of :func:`evaluate_bag`; ``timings`` (ms) are all that may differ between two runs."""

    frames: int
    with_image: int
    tracks: list[TrackReport]
    truth: TruthScores | None
    enrollments: list[EnrollmentNote]
    sightings: list[Sighting]
    problems: dict[str, int]
    notes: list[str]
    timings: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, without the sightings."""
        return {
            "frames": self.frames,
            "with_image": self.with_image,
            "tracks": [asdict(track) for track in self.tracks],
            "truth": asdict(self.truth) if self.truth else None,
            "enrollments": [asdict(note) for note in self.enrollments],
            "problems": self.problems,
            "notes": self.notes,
            "timings": self.timings,
        }


def evaluate_bag(
    bag: BagRecording,
    pipeline: GaitPipeline,
    config: TrackerNodeConfig,
    walks: Sequence[RecordedWalk] = (),
    on_frame: Callable[[float], None] | None = None,
    on_answers: Callable[[SensorFrame, PedestrianFrame, list[IdentityResult]], None] | None = None,
) -> BagEvaluation:
    """Run the pipeline over a bag.

    Args:
        bag: opened recording.
        pipeline: fresh; its gallery gains those who are enrolled on the way.
        config: topics, pairing and extrinsics for reading the bag.
        walks: of a simulated scene: named walkers are enrolled on their walks that are no probes, as the demo does live.
        on_frame: called with the seconds into the bag that are done.
        on_answers: called with each frame, who was in view, and who they are (:meth:`AnnotatedBag.add`).

    Raises:
        ValueError: the bag is damaged or its topics do not fit.
    """
    run = _Run(bag, pipeline, walks)
    for frame in bag.sensor_frames(config):
        pedestrians, identities = run.take(frame)
        if on_answers is not None:
            on_answers(frame, pedestrians, identities)
        for sentence in pipeline.sensing.problems:
            bag.note(f"clouds: {sentence}")
        if on_frame is not None:
            on_frame((frame.stamp_ns - bag.begin_ns) * 1e-9)
    return run.result()


class _Run:
    def __init__(self, bag: BagRecording, pipeline: GaitPipeline, walks: Sequence[RecordedWalk]) -> None:
        self._bag, self._pipeline = bag, pipeline
        self._plan = EnrollmentPlan(walks)
        self._tracks: dict[tuple[int, int], TrackReport] = {}
        self._seen: list[tuple[int, int, list[Sample], list[IdentityResult]]] = []  # stamp, restart, ...
        self._enrollments: list[EnrollmentNote] = []
        self._elapsed_ms: list[float] = []
        self._restart = self._with_image = 0
        self._last_stamp_ns = -1

    def take(self, frame: SensorFrame) -> tuple[PedestrianFrame, list[IdentityResult]]:
        """One frame through the pipeline."""
        stamp_ns = frame.stamp_ns
        if stamp_ns <= self._last_stamp_ns:
            self._pipeline.reset()
            self._restart += 1
        self._last_stamp_ns = stamp_ns
        self._with_image += frame.image is not None
        began = time.perf_counter()
        pedestrians, identities = self._pipeline.process(frame, self._bag.lidar_frame_id)
        self._elapsed_ms.append((time.perf_counter() - began) * 1e3)
        self._seen.append((stamp_ns, self._restart, list(pedestrians.pedestrians), identities))
        for pedestrian, identity in zip(pedestrians.pedestrians, identities, strict=True):
            self._follow(stamp_ns, pedestrian, identity)
        if identities:
            self._enrol(stamp_ns, identities)
        return pedestrians, identities

    def _follow(self, stamp_ns: int, pedestrian: Sample, identity: IdentityResult) -> None:
        at_s = (stamp_ns - self._bag.begin_ns) * 1e-9
        track = self._tracks.setdefault(
            (self._restart, pedestrian.track_id), TrackReport(pedestrian.track_id, self._restart, round(at_s, 3))
        )
        track.last_s = round(at_s, 3)
        track.frames += 1
        track.samples += pedestrian.point_count > 0
        track.moving += pedestrian.moving
        range_m = round(pedestrian.range_m, 2)
        track.ranges_m = (min(track.ranges_m[0], range_m), max(track.ranges_m[1], range_m))
        track.reason = identity.reason
        _note_distance(track, identity)
        if identity.status == Status.KNOWN:
            track.names[identity.name] = track.names.get(identity.name, 0) + 1
        decided = max(track.names, key=lambda name: track.names[name]) if track.names else track.decided
        if identity.status == Status.UNKNOWN and not track.names:
            decided = "unknown"
        if decided != track.decided:
            track.decided, track.decided_after_s, track.decided_range_m = (
                decided,
                round(at_s - track.first_s, 3),
                range_m,
            )

    def _enrol(self, stamp_ns: int, identities: Sequence[IdentityResult]) -> None:
        """Enrol named walkers once their window is full, or when they are about to leave."""
        truth = truth_at(self._bag.ground_truth[-5:], stamp_ns, 2 * MATCH_TIME_NS)
        walkers, _ = matched_walkers(truth, places_of([identity.center for identity in identities]))
        for identity, walker in zip(identities, walkers, strict=True):
            walk = self._plan.due(walker, stamp_ns, identity.decision.samples, identity.decision.samples_needed)
            if walk is None:
                continue
            answer = self._pipeline.enroll(walk.name, identity.track_id)
            if answer.success:
                self._plan.done(walk.identity)
            self._enrollments.append(
                EnrollmentNote(
                    walk.identity, walk.name, stamp_ns, answer.success, answer.message, answer.samples, identity.range_m
                )
            )

    def result(self) -> BagEvaluation:
        """Match everything with the truth and sum up."""
        sightings, scores = self._against_truth()
        elapsed = np.array(self._elapsed_ms or [0.0])
        return BagEvaluation(
            frames=len(self._seen),
            with_image=self._with_image,
            tracks=list(self._tracks.values()),
            truth=scores,
            enrollments=self._enrollments,
            sightings=sightings,
            problems=dict(self._bag.problems),
            notes=list(self._bag.notes),
            timings={"frame_p50_ms": float(np.median(elapsed)), "frame_p95_ms": float(np.percentile(elapsed, 95))},
        )

    def _against_truth(self) -> tuple[list[Sighting], TruthScores | None]:
        truth = self._bag.ground_truth
        stamps = np.array([t.stamp_ns for t in truth], np.int64)
        sightings: list[Sighting] = []
        votes: dict[tuple[int, int], Counter[int]] = {}
        last_track: dict[int, tuple[int, tuple[int, int]]] = {}  # walker -> stamp and track
        errors: list[float] = []
        people = strays = moving_strays = switches = 0
        least_points = self._pipeline.sensing.config.detector.min_points
        for stamp_ns, restart, pedestrians, identities in self._seen:
            near = truth[int(np.argmin(np.abs(stamps - stamp_ns)))] if len(stamps) else None
            now = truth_at([near] if near else [], stamp_ns)
            walkers, distances = matched_walkers(now, places_of([p.center for p in pedestrians]))
            visible = set() if now is None else set(now.walkers[now.point_count >= least_points].tolist())
            people += len(visible)
            for pedestrian, identity, walker, distance in zip(pedestrians, identities, walkers, distances, strict=True):
                sightings.append(_sighting(stamp_ns, walker, identity))
                key = (restart, pedestrian.track_id)
                if walker is None:
                    measured = now is not None and pedestrian.point_count > 0
                    strays += measured
                    moving_strays += measured and pedestrian.moving
                    continue
                votes.setdefault(key, Counter())[walker] += 1
                before_ns, before = last_track.get(walker, (stamp_ns, key))
                switches += before != key and stamp_ns - before_ns < SAME_WALK_S * 1e9
                last_track[walker] = stamp_ns, key
                if walker in visible:
                    errors.append(distance)
        for key, counter in votes.items():
            self._tracks[key].walker = counter.most_common(1)[0][0]
        if not truth:
            return sightings, None
        recall = len(errors) / people if people else None
        error_m = float(np.mean(errors)) if errors else None
        return sightings, TruthScores(people, len(errors), recall, strays, moving_strays, switches, error_m)


def _note_distance(track: TrackReport, identity: IdentityResult) -> None:
    """Before the frame's name is counted: the first name makes what was nearest until then unimportant."""
    decision, known = identity.decision, identity.status == Status.KNOWN
    if known and not track.names:
        track.distance = None
    if not np.isfinite(decision.distance) or (track.names and not known):
        return
    if track.distance is None or decision.distance < track.distance:
        track.distance = round(decision.distance, 4)
        track.threshold = round(decision.threshold, 4) if np.isfinite(decision.threshold) else None


def _sighting(stamp_ns: int, walker: int | None, identity: IdentityResult) -> Sighting:
    center, size = (tuple(float(v) for v in values) for values in (identity.center, identity.size))
    return Sighting(
        stamp_ns, walker, identity.track_id, int(identity.status), identity.name, identity.decision.distance, identity.range_m,
        identity.decision.samples, identity.reason, center, size,  # type: ignore[arg-type]
    )  # fmt: skip
