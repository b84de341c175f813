"""What the tracker works on: the detections of one frame, the state of all tracks as arrays, and its answer."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float64, Int64

Bool = NDArray[np.bool_]


def _empty(*shape: int) -> Float64:
    return np.zeros(shape)


def _none() -> Bool:
    return np.zeros(0, bool)


@dataclass(frozen=True)
class Detections:
    """D detections of one frame, in a frame that does not move.

    Attributes:
        center: (D, 3) float64 box centers, m.
        size: (D, 3) float64 extents, m.
        score: (D,) float64, of the detector's scale.
        trust: (D,) float64, 0..1: the score relative to the options (``evidence.trust``).
        noise: (D,) float64 variance of the measured position along x and along y, m^2.
        group: (D,) bool: several people whom the detector could not separate.
    """

    center: Float64
    size: Float64
    score: Float64
    trust: Float64
    noise: Float64
    group: Bool

    def __len__(self) -> int:
        return len(self.score)

    @property
    def bottom(self) -> Float64:
        """(D,) z of the lower face of the boxes, m."""
        return self.center[:, 2] - self.size[:, 2] / 2


@dataclass
class Tracks:
    """T tracks, all but their motion (:class:`KalmanBank`, :class:`MotionHistory`), which the tracker keeps in step.

    Attributes:
        id: (T,) int64.
        evidence: (T,) how much more speaks for a pedestrian than against one; a tentative track dies at 0.
        confirmed: (T,) bool: enough evidence once; the others are tentative.
        lost_s: (T,) time since the last detection.
        unexplained_s: (T,) the part of it in which nothing stood in front.
        seen_s: (T,) time from the first to the last detection.
        sensor: (T, 2) where the sensor was at the last detection, m.
        hidden: (T,) bool: something stands in front in this frame.
        score: (T,) running mean of the detections' scores.
        size: (T, 3) smoothed extents, m.
        bottom: (T,) z of the ground under the feet, m.
        group_share: (T,) running mean of the detections' ``group``; ``group``: (T,) bool, the same with hysteresis.
    """

    id: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    evidence: Float64 = field(default_factory=lambda: _empty(0))
    confirmed: Bool = field(default_factory=_none)
    lost_s: Float64 = field(default_factory=lambda: _empty(0))
    unexplained_s: Float64 = field(default_factory=lambda: _empty(0))
    seen_s: Float64 = field(default_factory=lambda: _empty(0))
    sensor: Float64 = field(default_factory=lambda: _empty(0, 2))
    hidden: Bool = field(default_factory=_none)
    score: Float64 = field(default_factory=lambda: _empty(0))
    size: Float64 = field(default_factory=lambda: _empty(0, 3))
    bottom: Float64 = field(default_factory=lambda: _empty(0))
    group_share: Float64 = field(default_factory=lambda: _empty(0))
    group: Bool = field(default_factory=_none)

    def __len__(self) -> int:
        return len(self.id)

    @staticmethod
    def born(first_id: int, detections: Detections, which: Int64, evidence: Float64, sensor: Float64) -> Tracks:
        """New tentative tracks.

        Args:
            first_id: the others count on from it.
            detections: of this frame.
            which: (N,) indices of the detections that start a track.
            evidence: (N,) what they start with.
            sensor: (2,) where the sensor is, m.
        """
        count = len(which)
        group = detections.group[which]
        return Tracks(
            id=np.arange(first_id, first_id + count),
            evidence=evidence,
            confirmed=np.zeros(count, bool),
            lost_s=np.zeros(count),
            unexplained_s=np.zeros(count),
            seen_s=np.zeros(count),
            sensor=np.tile(sensor, (count, 1)),
            hidden=np.zeros(count, bool),
            score=detections.score[which],
            size=detections.size[which],
            bottom=detections.bottom[which],
            group_share=group.astype(np.float64),
            group=group,
        )

    def append(self, others: Tracks) -> None:
        """Add the rows of other tracks at the end."""
        for each in fields(self):
            setattr(self, each.name, np.concatenate([getattr(self, each.name), getattr(others, each.name)]))

    def keep(self, mask: Bool) -> None:
        """Drop all tracks but those in the boolean mask (T,)."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name)[mask])


@dataclass(frozen=True)
class TrackedPedestrians:
    """Confirmed tracks after one frame, over T tracks, in the frame the detections were given in.

    Attributes:
        track_id: (T,) int64, never reused.
        position: (T, 2) float64 filtered, m.
        velocity: (T, 2) float64 over the last second, m/s.
        moving: (T,) bool: walks now and has come some distance since it appeared.
        detection: (T,) int64 index of the detection of this frame, -1 when it coasts: the position is a prediction.
        score: (T,) float64 running mean of the detections' scores.
        coasted_s: (T,) float64 time since the last detection.
        size: (T, 3) float64 smoothed extents, m.
        bottom: (T,) float64 z of the ground under the feet, m.
        previous_id: (T,) int64 number of the track until now, when it got an earlier one back; else 0.
        group: (T,) bool: several people who cannot be separated, or one of them.
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
