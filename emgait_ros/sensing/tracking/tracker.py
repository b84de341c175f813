"""Multi-object tracking in the ground plane, online: predict, remove, associate, correct, start, confirm.

As in SORT and AB3DMOT a Kalman filter predicts every track and the Hungarian algorithm assigns detections to tracks;
as in ByteTrack weak detections are assigned second. A track is confirmed by the scores of its detections or by walking,
lives longer while something hides it, and gets its id back when it reappears near its prediction (re-linking by place,
the last stage of the association) or when the recognizer knows the gait (:meth:`PedestrianTracker.relink`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import DetectorConfig, TrackerConfig
from emgait_ros.samples import Float32, Float64, Int64
from emgait_ros.sensing.tracking.association import HIDDEN_PENALTY, cascade, gated_cost, hidden_by
from emgait_ros.sensing.tracking.evidence import (
    EVIDENCE_CAP,
    MISS_EVIDENCE,
    NEUTRAL_TRUST,
    SURE_TRUST,
    WEAK_TRUST,
    evidence,
    needed_evidence,
    trust,
)
from emgait_ros.sensing.tracking.kalman import KalmanBank
from emgait_ros.sensing.tracking.memory import FASTEST_M_S, TrackMemory
from emgait_ros.sensing.tracking.motion import MotionHistory
from emgait_ros.sensing.tracking.sensor_motion import SensorMotionWatch
from emgait_ros.sensing.tracking.tracks import Detections, TrackedPedestrians, Tracks

GATE_SIGMA = 4.0
GATE_PERIOD_S = 0.1  # what tracker.gate_m is for; half of it grows with the time since the last detection, to twice
NOISE_RANGE_M = 30.0  # range at which the measurement noise has doubled
CHEST = 0.7  # of the height: when this is out of sight, too little is left to see
SENSOR_MOVES = 5  # tracks from which on a motion that most of them share is the sensor's own
SCORE_MEMORY, SIZE_MEMORY, BOTTOM_MEMORY, GROUP_MEMORY = 0.3, 0.2, 0.3, 0.3  # weights of the newest detection
GROUP_ON, GROUP_OFF = 0.5, 0.15  # two frames in a row make a track a group, six without end it
HIDDEN_PER_SEEN = 2.0  # who was seen for a moment is not followed behind something for seconds
VIEW_CHANGES_M = 1.5  # a sensor that has moved this far since then no longer knows what hides a pedestrian
MERGED_M = 0.6  # a detection this near to a track that has none, taken by another, may be both
TENTATIVE_FRAMES = 2.5  # a tentative track may miss one frame, not two


class PedestrianTracker:
    """Follows many pedestrians in the ground plane, online.

    Args:
        config: gates, noise, birth, death and the walking decision.
        tracker_id: name of this run; empty: a random one.
        min_score: from this score on the detector says that it is a person (``detector.min_score``).

    Attributes:
        tracker_id: the name; track ids are unique within it.
        sensor_motion: whether all tracks move as before a sensor that moves although it is said to stand.
    """

    def __init__(
        self, config: TrackerConfig | None = None, tracker_id: str = "", min_score: float = DetectorConfig.min_score
    ) -> None:
        self.config = config or TrackerConfig()
        self._min_score = min_score
        self._needed_evidence = needed_evidence(self.config.confirm_hits)
        self.tracker_id = tracker_id or f"tracker-{secrets.token_hex(4)}"
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; numbers go on, so that no later track gets an old one's."""
        self._stamp_ns: int | None = None
        self._renamed: dict[int, int] = {}  # number now: number before, reported in the next frame
        self._linked = TrackMemory(self.config.gait_relink_s)
        self._filter = KalmanBank(self.config.acceleration_m_s2)
        self._history = MotionHistory(
            self.config.walking_speed_m_s, self.config.walking_distance_m, self.config.fastest_walk_m_s
        )
        self.sensor_motion = SensorMotionWatch()
        self._tracks = Tracks()

    def update(
        self,
        stamp_ns: int,
        center: Float32 | Float64,
        size: Float32 | Float64,
        score: Float32 | Float64,
        distance: Float32 | Float64,
        sensor: Float64 | tuple[float, float] = (0.0, 0.0),
        hides: Callable[[Float64], NDArray[np.bool_]] | None = None,
        group: NDArray[np.bool_] | None = None,
    ) -> TrackedPedestrians:
        """One frame of detections.

        Args:
            stamp_ns: stamp of the frame; going back in time forgets all tracks.
            center: (D, 3) box centers in a frame that does not move, m.
            size: (D, 3) extents, m.
            score: (D,) trust, 0..1.
            distance: (D,) range from the sensor, m: far detections are noisier.
            sensor: (2,) where the sensor is in that frame, m: people behind others cannot be seen.
            hides: which of the places (K, 3), m, in that frame, something nearer keeps out of sight, (K,) bool.
            group: (D,) which detections are several people who cannot be separated; None: none.
        """
        dt_s, place = self._advance(stamp_ns), np.asarray(sensor, np.float64)
        detections = self._detections(center, size, score, distance, group)
        self._predict(dt_s)
        self._find_hidden(dt_s, detections, place, hides)
        self._remove_dead(dt_s)  # before the association: after a pause nothing is linked to a track lost long ago
        match = self._associate(detections)
        self._blur_merged(match, detections)
        self._correct(match, detections, place)
        self._count_misses(match)
        match = self._start(match, detections, place)
        velocity, moving = self._estimate_motion(stamp_ns, match)
        judged = self._history.settled & (match >= 0)
        self.sensor_motion.observe(dt_s, self._filter.position[judged] - place, velocity[judged])
        self._confirm(velocity, moving)
        return self._report(stamp_ns, match, velocity, moving)

    def relink(self, track_id: int, lost_id: int) -> bool:
        """Give a track the number of one that was lost before it started, because the gait says it is the same person.

        Args:
            track_id: a track followed now.
            lost_id: the number it is to get back.

        Returns:
            False when that is impossible: unknown numbers, both seen at once, or too far apart for the time between.
        """
        rows = np.flatnonzero(self._tracks.id == track_id)
        if len(rows) == 0 or not self._linked.allows(track_id, lost_id):
            return False
        coasting = self._tracks.id == lost_id  # still predicted without detections: the new track takes its place
        self._tracks.id[rows[0]] = lost_id
        self._renamed[lost_id] = track_id
        self._linked.rename(track_id, lost_id)
        self._keep(~coasting)
        return True

    def _advance(self, stamp_ns: int) -> float:
        """Time since the last frame, s; 0 in the first one and after going back in time, which forgets all tracks."""
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            self.reset()
        dt_s = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) * 1e-9
        self._stamp_ns = stamp_ns
        return dt_s

    def _detections(
        self,
        center: Float32 | Float64,
        size: Float32 | Float64,
        score: Float32 | Float64,
        distance: Float32 | Float64,
        group: NDArray[np.bool_] | None,
    ) -> Detections:
        """The arguments of :meth:`update` in float64, with the measurement noise at their range."""
        noise = (
            self._filter.noise * self.config.position_noise_m * (1.0 + np.asarray(distance, np.float64) / NOISE_RANGE_M)
        ) ** 2
        return Detections(
            center=np.asarray(center, np.float64),
            size=np.asarray(size, np.float64),
            score=np.asarray(score, np.float64),
            trust=trust(np.asarray(score, np.float64), self.config.weak_score, self._min_score),
            noise=noise,
            group=np.zeros(len(score), bool) if group is None or len(group) == 0 else group,
        )

    def _predict(self, dt_s: float) -> None:
        """Move all tracks (T) on by ``dt_s``; :meth:`_correct` clears the time since the last detection."""
        self._filter.predict(dt_s)
        self._tracks.lost_s += dt_s

    def _find_hidden(
        self, dt_s: float, detections: Detections, sensor: Float64, hides: Callable[[Float64], NDArray[np.bool_]] | None
    ) -> None:
        """Which tracks cannot be seen in this frame, (T,) bool: behind a person detected now, or behind something else.

        Args:
            dt_s: time since the last frame.
            detections: D detections.
            sensor: (2,) m.
            hides: of :meth:`update`, asked only for confirmed tracks that had no detection in the last frame.
        """
        tracks, position = self._tracks, self._filter.position
        tracks.hidden = hidden_by(position, detections.center[detections.trust >= NEUTRAL_TRUST, :2], sensor)
        missing = np.flatnonzero((tracks.lost_s > dt_s) & tracks.confirmed & ~tracks.hidden)
        if hides is not None and len(missing):
            chest = tracks.bottom[missing] + CHEST * tracks.size[missing, 2]
            tracks.hidden[missing] = hides(np.column_stack([position[missing], chest]))
        travelled = np.hypot(*(sensor - tracks.sensor).T)
        tracks.hidden &= (tracks.lost_s <= HIDDEN_PER_SEEN * tracks.seen_s + dt_s) & (travelled <= VIEW_CHANGES_M)
        tracks.unexplained_s += np.where(tracks.hidden, 0.0, dt_s)

    def _remove_dead(self, dt_s: float) -> None:
        """Death: confirmed tracks (T) live on unseen for the coasting and the re-linking time, tentative ones a moment."""
        tracks = self._tracks
        limit = np.where(tracks.confirmed, self.config.max_coast_s + self.config.relink_s, TENTATIVE_FRAMES * dt_s)
        longest = limit + np.where(tracks.confirmed, self.config.max_hidden_s, 0.0)
        alive = (tracks.unexplained_s <= limit) & (tracks.lost_s <= longest)
        self._keep(alive & (tracks.confirmed | (tracks.evidence > 0)))

    def _associate(self, detections: Detections) -> Int64:
        """Detections with a high score first, then those with a low one, then tracks that no longer coast (re-linking).

        Args:
            detections: D detections.

        Returns:
            (T,) int64 index of each track's detection, -1 for none.
        """
        lost_s = self._tracks.lost_s
        cost = gated_cost(
            predicted=self._filter.position,
            variance=self._filter.covariance[:, 0],
            measured=detections.center[:, :2],
            noise=detections.noise,
            gate_m=self.config.gate_m * np.clip(0.5 + lost_s / (2 * GATE_PERIOD_S), 0.5, 2.0),
            gate_sigma=GATE_SIGMA,
        )  # (T, D)
        cost[self._tracks.hidden] += HIDDEN_PENALTY
        lost, sure = self._given_up, detections.trust >= NEUTRAL_TRUST
        return cascade(cost, ((~lost, sure), (~lost, ~sure), (lost, sure)))

    def _blur_merged(self, match: Int64, detections: Detections) -> None:
        """People who touch are one detection, which lies anywhere between them: it must not bend the track that takes it.

        Args:
            match: (T,) index of each track's detection, -1 for none.
            detections: D detections; the noise of those that may be two people is raised, the more the less they lie where
                their own track is expected.
        """
        position, confirmed = self._filter.position, self._tracks.confirmed
        without = position[(match < 0) & confirmed & ~self._given_up]
        taken = np.flatnonzero((match >= 0) & confirmed)
        place = detections.center[match[taken], :2]
        own, other = np.hypot(*(position[taken] - place).T), np.linalg.norm(without[:, None] - place, axis=2)
        between = ((without[:, None] - position[taken]) ** 2).sum(2)  # (without, taken), as ``other``
        blur = np.where(other < MERGED_M, between * own / np.maximum(own + other, 1e-9), 0.0)
        detections.noise[match[taken]] += blur.max(0, initial=0.0)

    def _correct(self, match: Int64, detections: Detections, sensor: Float64) -> None:
        """Correct the tracks that have a detection: position, evidence, and the running means of what is reported.

        Args:
            match: (T,) index of each track's detection, -1 for none.
            detections: D detections.
        """
        tracks, seen = self._tracks, np.flatnonzero(match >= 0)
        found = match[seen]
        score = detections.score[found]
        self._filter.update(seen, detections.center[found, :2], detections.noise[found])
        tracks.seen_s[seen] += tracks.lost_s[seen]
        tracks.lost_s[seen] = tracks.unexplained_s[seen] = 0.0
        tracks.sensor[seen] = sensor
        trusted, before = detections.trust[found], tracks.evidence[seen]
        doubtful = ~tracks.confirmed[seen] & (trusted < SURE_TRUST) & (before <= evidence(SURE_TRUST) + 1e-9)
        gain = np.where(doubtful, 0.0, evidence(trusted))  # before anything sure, only walking counts
        tracks.evidence[seen] = np.minimum(before + gain, self._needed_evidence + EVIDENCE_CAP)
        tracks.score[seen] += SCORE_MEMORY * (score - tracks.score[seen])
        tracks.size[seen] += SIZE_MEMORY * (detections.size[found] - tracks.size[seen])
        tracks.bottom[seen] += BOTTOM_MEMORY * (detections.bottom[found] - tracks.bottom[seen])
        tracks.group_share[seen] += GROUP_MEMORY * (detections.group[found] - tracks.group_share[seen])
        tracks.group = tracks.group_share > np.where(tracks.group, GROUP_OFF, GROUP_ON)

    def _count_misses(self, match: Int64) -> None:
        """Tracks without a detection lose evidence, unless they are hidden; match: (T,) as in :meth:`_correct`."""
        self._tracks.evidence[(match < 0) & ~self._tracks.hidden] -= MISS_EVIDENCE

    def _start(self, match: Int64, detections: Detections, sensor: Float64) -> Int64:
        """Birth: every detection that no track took, and that is not weak, starts a tentative track.

        Args:
            match: (T,) as in :meth:`_correct`.
            detections: D detections.

        Returns:
            (T + N,) ``match`` with the detections of the N new tracks at its end.
        """
        free = detections.trust >= WEAK_TRUST
        free[match[match >= 0]] = False
        new = np.flatnonzero(free)
        if len(new) == 0:
            return match
        begin = evidence(np.maximum(detections.trust[new], SURE_TRUST))
        self._filter.add(detections.center[new, :2], detections.noise[new])
        self._history.add(len(new))
        self._tracks.append(Tracks.born(self._next_id, detections, new, begin, sensor))
        self._next_id += len(new)
        return np.concatenate([match, new])

    def _estimate_motion(self, stamp_ns: int, match: Int64) -> tuple[Float64, NDArray[np.bool_]]:
        """Velocity (T, 2) in m/s over the last second and whether each track walks (T,); match: (T,)."""
        self._history.append(stamp_ns, self._filter.position, match >= 0)
        return self._history.motion(self._filter.velocity)

    def _confirm(self, velocity: Float64, moving: NDArray[np.bool_]) -> None:
        """Tracks with enough evidence are confirmed, and those that walk, unless most move alike: then the sensor moves.

        Args:
            velocity: (T, 2) m/s.
            moving: (T,) bool.
        """
        tracks = self._tracks
        common = np.median(velocity, axis=0) if len(velocity) >= SENSOR_MOVES else np.zeros(2)
        walks = moving & (np.hypot(velocity[:, 0], velocity[:, 1]) < FASTEST_M_S) & ~tracks.confirmed
        walks &= np.hypot(*common) < self.config.walking_speed_m_s
        tracks.evidence[walks] = self._needed_evidence
        tracks.confirmed |= tracks.evidence >= self._needed_evidence

    def _report(self, stamp_ns: int, match: Int64, velocity: Float64, moving: NDArray[np.bool_]) -> TrackedPedestrians:
        """The confirmed tracks that are seen or coast, of match (T,), velocity (T, 2) m/s and moving (T,)."""
        tracks, position, confirmed = self._tracks, self._filter.position, self._tracks.confirmed
        self._linked.note(stamp_ns, tracks.id[confirmed], position[confirmed], match[confirmed])
        open_s, hidden_s = self.config.report_unseen_s, self.config.max_hidden_s
        unseen = (tracks.unexplained_s > open_s + 1e-6) | (tracks.lost_s > open_s + hidden_s + 1e-6)
        shown = np.flatnonzero(confirmed & (tracks.evidence > 0) & ~unseen)
        renamed, self._renamed = self._renamed, {}
        return TrackedPedestrians(
            track_id=tracks.id[shown],
            position=position[shown],
            velocity=velocity[shown],
            moving=moving[shown],
            detection=match[shown],
            score=tracks.score[shown],
            coasted_s=tracks.lost_s[shown],
            size=tracks.size[shown],
            bottom=tracks.bottom[shown],
            previous_id=np.array([renamed.get(number, 0) for number in tracks.id[shown].tolist()], np.int64),
            group=tracks.group[shown],
        )

    @property
    def _given_up(self) -> NDArray[np.bool_]:
        """(T,) tracks that do not coast any longer, and can only be linked again."""
        longest = self.config.max_coast_s + self.config.max_hidden_s
        return (self._tracks.unexplained_s > self.config.max_coast_s) | (self._tracks.lost_s > longest)

    def _keep(self, mask: NDArray[np.bool_]) -> None:
        """Drop all tracks but those in the mask (T,)."""
        if mask.all():
            return
        self._filter.keep(mask)
        self._history.keep(mask)
        self._tracks.keep(mask)
