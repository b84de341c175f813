"""Detections become tracks: association in two stages, birth and death by evidence, coasting, re-linking."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import TrackerConfig
from emgait_ros.samples import Float32, Float64, Int64
from emgait_ros.sensing.tracking.association import HIDDEN_PENALTY, assign, gated_cost, hidden_by
from emgait_ros.sensing.tracking.kalman import KalmanBank
from emgait_ros.sensing.tracking.memory import FASTEST_M_S, TrackMemory
from emgait_ros.sensing.tracking.motion import MotionHistory

GATE_SIGMA = 4.0
NOISE_RANGE_M = 30.0  # range at which the measurement noise has doubled
HIGH_SCORE = 0.4  # detections below are associated second, with the tracks that are left
BIRTH_SCORE = 0.6  # a track that detections below began, or go on with, is believed once it walks
DOUBT = 0.4  # a detection's evidence is its score less this: what scores lower speaks against the track
MISS_EVIDENCE = 0.1  # what a track loses in a frame without a detection
EVIDENCE_CAP = 3.0  # above the confirmation: what a long-seen track has to lose
CHEST = 0.7  # of the height: when this is out of sight, too little is left to see
SENSOR_MOVES = 5  # tracks from which on a motion that most of them share is the sensor's own
GROUP_MEMORY = 0.3  # weight of the newest detection in whether a track is a group
GROUP_ON, GROUP_OFF = 0.5, 0.15  # two frames in a row make a track a group, six without end it
TENTATIVE_FRAMES = 2.5  # a track that is not believed yet may miss one frame, not two


@dataclass(frozen=True)
class TrackedPedestrians:
    """Believed tracks after one frame, over T tracks, in the frame the detections were given in.

    Attributes:
        track_id: (T,) int64, never reused.
        position: (T, 2) float64 filtered, m.
        velocity: (T, 2) float64 over the last second, m/s.
        moving: (T,) bool: walks now and has come some distance since it appeared.
        detection: (T,) int64 index of the detection of this frame, -1 when it coasts.
        score: (T,) float64 running mean of the detections' scores.
        coasted_s: (T,) float64 time since the last detection.
        size: (T, 3) float64 smoothed extents, m.
        bottom: (T,) float64 z of the ground under the feet, m.
        previous_id: (T,) int64 number the track bore until now, when it got an earlier one back; else 0.
        group: (T,) bool: several people that cannot be told apart, or one of them.
    """

    track_id: Int64
    position: Float64
    velocity: Float64
    moving: NDArray[np.bool_]
    detection: Int64
    score: Float64
    coasted_s: Float64
    size: Float64
    bottom: Float64
    previous_id: Int64
    group: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.track_id)


class PedestrianTracker:
    """Follows many pedestrians in the ground plane, online.

    Args:
        config: gates, noise, birth, death and the walking decision.
        tracker_id: name of this run; empty: a random one.

    Attributes:
        tracker_id: the name; track ids are unique within it.
    """

    def __init__(self, config: TrackerConfig | None = None, tracker_id: str = "") -> None:
        self.config = config or TrackerConfig()
        self.tracker_id = tracker_id or f"tracker-{secrets.token_hex(4)}"
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; numbers go on, so that no later track bears an old one's."""
        self._stamp_ns: int | None = None
        self._renamed: dict[int, int] = {}  # number now: number before, told in the next report
        self._linked = TrackMemory(self.config.gait_relink_s)
        self._filter = KalmanBank(self.config.acceleration_m_s2)
        self._history = MotionHistory(self.config.walking_speed_m_s, self.config.walking_distance_m)
        self._id = np.zeros(0, np.int64)
        self._evidence = np.zeros(0)
        self._believed = np.zeros(0, bool)
        self._lost_s = np.zeros(0)  # time since the last detection
        self._unexplained_s = np.zeros(0)  # the part of it in which nobody stood in front
        self._score = np.zeros(0)
        self._size = np.zeros((0, 3))
        self._bottom = np.zeros(0)
        self._group_share = np.zeros(0)
        self._group = np.zeros(0, bool)

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
            center: (D, 3) box centres in a frame that does not move, m.
            size: (D, 3) extents, m.
            score: (D,) trust, 0..1.
            distance: (D,) range from the sensor, m: far detections are noisier.
            sensor: (2,) where the sensor is in that frame, m: who stands behind somebody cannot be seen.
            hides: tells which of the places (K, 3), m, in that frame, something nearer keeps out of sight, (K,) bool.
            group: (D,) which detections are people whom nothing parts; None: none.
        """
        dt_s = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) * 1e-9
        if dt_s < 0:
            self.reset()
            dt_s = 0.0
        self._stamp_ns = stamp_ns
        center, score = np.asarray(center, np.float64), np.asarray(score, np.float64)
        group = np.zeros(len(score), bool) if group is None or len(group) == 0 else group
        noise = (self.config.position_noise_m * (1.0 + np.asarray(distance, np.float64) / NOISE_RANGE_M)) ** 2
        self._filter.predict(dt_s)
        self._lost_s += dt_s
        hidden = hidden_by(self._filter.position, center[score >= HIGH_SCORE, :2], np.asarray(sensor, np.float64))
        missing = np.flatnonzero((self._lost_s > dt_s) & self._believed & ~hidden)
        if hides is not None and len(missing):
            chest = self._bottom[missing] + CHEST * self._size[missing, 2]
            hidden[missing] = hides(np.column_stack([self._filter.position[missing], chest]))
        self._unexplained_s += np.where(hidden, 0.0, dt_s)
        alive = self._alive(dt_s)
        self._keep(alive)  # after a pause nobody is linked to what is too long ago
        hidden = hidden[alive]
        tracks, detections = self._associate(center[:, :2], noise, score, hidden)
        self._correct(tracks, detections, center, np.asarray(size, np.float64), score, noise)
        self._note_groups(tracks, group[detections])
        missed = np.ones(len(self._id), bool)
        missed[tracks] = False
        self._evidence[missed & ~hidden] -= MISS_EVIDENCE
        fresh = np.ones(len(center), bool)
        fresh[detections] = False
        fresh &= score >= self.config.weak_score
        begun = self._begin(np.flatnonzero(fresh), center, np.asarray(size, np.float64), score, noise, group)
        detection = np.full(len(self._id), -1, np.int64)
        detection[tracks] = detections
        detection[len(detection) - len(begun) :] = begun
        self._history.append(stamp_ns, self._filter.position, detection >= 0)
        velocity, moving = self._history.motion(self._filter.velocity)
        self._believe(velocity, moving)
        self._linked.note(
            stamp_ns, self._id[self._believed], self._filter.position[self._believed], detection[self._believed]
        )
        report = self._report(detection, velocity, moving)
        self._renamed = {}
        return report

    def relink(self, track_id: int, lost_id: int) -> bool:
        """Give a track the number of one that was lost before it began, because the gait says it is the same person.

        Args:
            track_id: a track followed now.
            lost_id: the number it is to get back.

        Returns:
            False when that is impossible: unknown numbers, both seen at once, or too far apart for the time between.
        """
        rows = np.flatnonzero(self._id == track_id)
        if len(rows) == 0 or not self._linked.allows(track_id, lost_id):
            return False
        ghosts = self._id == lost_id  # followed blindly still: the new track takes its place
        self._id[rows[0]] = lost_id
        self._renamed[lost_id] = track_id
        self._linked.rename(track_id, lost_id)
        if ghosts.any():
            self._keep(~ghosts)
        return True

    @property
    def _needed_evidence(self) -> float:
        """What ``confirm_hits`` sure detections in a row bring together."""
        return self.config.confirm_hits * (1.0 - DOUBT) * 0.95

    def _associate(
        self, measured: Float64, noise: Float64, score: Float64, hidden: NDArray[np.bool_]
    ) -> tuple[Int64, Int64]:
        """Pairs of (track, detection): sure detections first, then doubtful ones, then tracks given up for lost."""
        if len(self._id) == 0 or len(measured) == 0:
            nothing = np.zeros(0, np.int64)
            return nothing, nothing
        gate = np.minimum(self.config.gate_m * (1.0 + 0.5 * self._lost_s), 2.0 * self.config.gate_m)
        cost = gated_cost(
            self._filter.position, self._filter.covariance[:, 0], measured, noise, gate, GATE_SIGMA
        )  # (T, D)
        cost[hidden] += HIDDEN_PENALTY
        lost = self._given_up
        open_track, open_detection = np.ones(len(cost), bool), np.ones(len(measured), bool)
        pairs_track: list[Int64] = []
        pairs_detection: list[Int64] = []
        sure = score >= HIGH_SCORE
        for stage_tracks, stage_detections in ((~lost, sure), (~lost, ~sure), (lost, sure)):
            rows = np.flatnonzero(stage_tracks & open_track)
            columns = np.flatnonzero(stage_detections & open_detection)
            if len(rows) == 0 or len(columns) == 0:
                continue
            r, c = assign(cost[rows[:, None], columns])
            r, c = rows[r], columns[c]
            open_track[r], open_detection[c] = False, False
            pairs_track.append(r)
            pairs_detection.append(c)
        if not pairs_track:
            nothing = np.zeros(0, np.int64)
            return nothing, nothing
        return np.concatenate(pairs_track), np.concatenate(pairs_detection)

    def _correct(
        self, tracks: Int64, detections: Int64, center: Float64, size: Float64, score: Float64, noise: Float64
    ) -> None:
        self._filter.update(tracks, center[detections, :2], noise[detections])
        self._lost_s[tracks] = self._unexplained_s[tracks] = 0.0
        before, first = self._evidence[tracks], BIRTH_SCORE - DOUBT
        doubtful = ~self._believed[tracks] & (score[detections] < BIRTH_SCORE) & (before <= first + 1e-9)
        gain = np.where(doubtful, 0.0, score[detections] - DOUBT)  # before anything sure, only walking counts
        self._evidence[tracks] = np.minimum(before + gain, self._needed_evidence + EVIDENCE_CAP)
        self._score[tracks] += 0.3 * (score[detections] - self._score[tracks])
        self._size[tracks] += 0.2 * (size[detections] - self._size[tracks])
        bottom = center[detections, 2] - size[detections, 2] / 2
        self._bottom[tracks] += 0.3 * (bottom - self._bottom[tracks])

    def _note_groups(self, tracks: Int64, group: NDArray[np.bool_]) -> None:
        """What these tracks' detections say of being a group."""
        self._group_share[tracks] += GROUP_MEMORY * (group - self._group_share[tracks])
        self._group = np.where(self._group, self._group_share > GROUP_OFF, self._group_share > GROUP_ON)

    def _believe(self, velocity: Float64, moving: NDArray[np.bool_]) -> None:
        """Enough evidence makes a track believed; so does walking, unless most tracks move alike: then the sensor does."""
        common = np.median(velocity, axis=0) if len(velocity) >= SENSOR_MOVES else np.zeros(2)
        walks = moving & (np.hypot(velocity[:, 0], velocity[:, 1]) < FASTEST_M_S) & ~self._believed
        walks &= np.hypot(*common) < self.config.walking_speed_m_s
        self._evidence[walks] = self._needed_evidence
        self._believed |= self._evidence >= self._needed_evidence

    def _begin(
        self,
        fresh: Int64,
        center: Float64,
        size: Float64,
        score: Float64,
        noise: Float64,
        group: NDArray[np.bool_],
    ) -> Int64:
        count = len(fresh)
        if count == 0:
            return fresh
        self._filter.add(center[fresh, :2], noise[fresh])
        self._history.add(count)
        self._id = np.concatenate([self._id, np.arange(self._next_id, self._next_id + count)])
        self._next_id += count
        self._evidence = np.concatenate([self._evidence, np.maximum(score[fresh], BIRTH_SCORE) - DOUBT])
        self._believed = np.concatenate([self._believed, np.zeros(count, bool)])
        self._lost_s = np.concatenate([self._lost_s, np.zeros(count)])
        self._unexplained_s = np.concatenate([self._unexplained_s, np.zeros(count)])
        self._score = np.concatenate([self._score, score[fresh]])
        self._size = np.concatenate([self._size, size[fresh]])
        self._bottom = np.concatenate([self._bottom, center[fresh, 2] - size[fresh, 2] / 2])
        self._group_share = np.concatenate([self._group_share, group[fresh].astype(np.float64)])
        self._group = np.concatenate([self._group, group[fresh]])
        return fresh

    def _alive(self, dt_s: float) -> NDArray[np.bool_]:
        """Believed tracks live on unseen for the coasting and the re-linking time, others but for a moment."""
        limit = np.where(self._believed, self.config.max_coast_s + self.config.relink_s, TENTATIVE_FRAMES * dt_s)
        longest = limit + np.where(self._believed, self.config.max_hidden_s, 0.0)
        lives = (self._unexplained_s <= limit) & (self._lost_s <= longest)
        return lives & (self._believed | (self._evidence > 0))

    @property
    def _given_up(self) -> NDArray[np.bool_]:
        """Tracks that are not followed blindly any more, and may only be linked again."""
        longest = self.config.max_coast_s + self.config.max_hidden_s
        return (self._unexplained_s > self.config.max_coast_s) | (self._lost_s > longest)

    def _keep(self, mask: NDArray[np.bool_]) -> None:
        if mask.all():
            return
        self._filter.keep(mask)
        self._history.keep(mask)
        self._id, self._evidence, self._believed = self._id[mask], self._evidence[mask], self._believed[mask]
        self._lost_s, self._unexplained_s = self._lost_s[mask], self._unexplained_s[mask]
        self._score = self._score[mask]
        self._size, self._bottom = self._size[mask], self._bottom[mask]
        self._group_share, self._group = self._group_share[mask], self._group[mask]

    def _report(self, detection: Int64, velocity: Float64, moving: NDArray[np.bool_]) -> TrackedPedestrians:
        shown = np.flatnonzero(self._believed & (self._evidence > 0) & ~self._given_up)
        return TrackedPedestrians(
            self._id[shown],
            self._filter.position[shown],
            velocity[shown],
            moving[shown],
            detection[shown],
            self._score[shown],
            self._lost_s[shown],
            self._size[shown],
            self._bottom[shown],
            np.array([self._renamed.get(number, 0) for number in self._id[shown].tolist()], np.int64),
            self._group[shown],
        )
