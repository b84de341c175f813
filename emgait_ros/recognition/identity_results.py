"""Who one tracked pedestrian is: the decision on the track, joined with where the pedestrian is."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from emgait_ros.config import WindowConfig
from emgait_ros.gallery.records import Calibration
from emgait_ros.recognition.decision import Decision, Vote, Why
from emgait_ros.recognition.explain import explain, warnings
from emgait_ros.recognition.track_window import TrackWindow
from emgait_ros.recognition.view import GalleryView
from emgait_ros.samples import Float64, PedestrianFrame, Sample, Status

STATUS_COLORS = {
    Status.KNOWN: (0.2, 0.85, 0.3),
    Status.UNKNOWN: (1.0, 0.55, 0.1),
    Status.PENDING: (0.65, 0.65, 0.7),
}
"""Red, green and blue, 0 to 1, of boxes and names wherever they are drawn."""
OTHER_SENSOR = 1.5
"""Factor by which returns differ from the calibrated ones when another LiDAR is reported."""


@dataclass(frozen=True)
class IdentityResult:
    """Who one tracked pedestrian is, and where: all of an ``emgait_msgs/msg/Identity``.

    Attributes:
        track_id, tracker_id: of the pedestrian.
        center: (3,) float64, m, LiDAR frame. size: (3,) float64, m.
        range_m: horizontal distance from the LiDAR.
        decision: who it is.
    """

    track_id: int
    tracker_id: str
    center: Float64
    size: Float64
    range_m: float
    decision: Decision

    @property
    def status(self) -> Status:
        """Of the decision."""
        return self.decision.status

    @property
    def name(self) -> str:
        """Who it is; empty unless the status is KNOWN."""
        return self.decision.name

    @property
    def reason(self) -> str:
        """Why this status, in a sentence."""
        return explain(self.decision)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes this less certain than usual: a weak window, one sensor, conditions that were not calibrated."""
        return warnings(self.decision)

    def plain_fields(self) -> dict[str, Any]:
        """Fields of an ``emgait_msgs/msg/Identity`` that are numbers, names and sentences, by name; the others hold messages."""
        decision = self.decision
        return {
            "track_id": int(self.track_id),
            "tracker_id": self.tracker_id,
            "status": int(decision.status),
            "name": decision.name,
            "distance": float(decision.distance),
            "threshold": float(decision.threshold),
            "margin": float(decision.margin),
            "samples": int(decision.samples),
            "samples_needed": int(decision.samples_needed),
            "modalities": int(decision.modalities),
            "range_m": float(self.range_m),
            "reason": self.reason,
            "probability": float(decision.probability),
            "warnings": list(self.warnings),
        }

    @property
    def label(self) -> str:
        """Two lines to write over the pedestrian: the name or what is missing, then the range."""
        decision = self.decision
        distance = "" if math.isnan(decision.distance) else f" ({decision.distance:.2f})"
        if decision.status == Status.KNOWN:
            first = f"{decision.name}{distance}"
        elif decision.status == Status.UNKNOWN:
            first = f"unknown{distance}"
        elif decision.vote.why == Why.GROUP:
            first = "a group"
        else:
            first = f"{decision.samples}/{decision.samples_needed}"
        return f"{first}\n{self.range_m:.0f} m"


def samples_to_count(config: WindowConfig) -> int:
    """Samples of a sensor that a window needs to count as having it: half of the shortest window."""
    return max(1, config.min_samples // 2)


def undecided(window: TrackWindow | None, config: WindowConfig, limit: float) -> Decision:
    """PENDING, without a vote; ``window`` is None when the track is not kept, ``limit`` the threshold in use."""
    if window is None:
        return Decision(Status.PENDING, Vote(Why.NOT_KEPT), limit)
    why = Why.GROUP if window.group else Why.FEW_SAMPLES
    enough = min(samples_to_count(config), max(1, len(window.samples)))
    return Decision(
        Status.PENDING, Vote(why), limit, modalities=window.modalities(enough), left_out=window.last_left_out
    )


def identity_result(
    frame: PedestrianFrame,
    pedestrian: Sample,
    window: TrackWindow | None,
    decision: Decision,
    config: WindowConfig,
    gallery: GalleryView,
) -> IdentityResult:
    """The result for one pedestrian of a frame.

    Args:
        frame, pedestrian: who, and in which frame.
        window: of the track, None when it is not kept.
        decision: of the window, or :func:`undecided`.
        config: of windows.
        gallery: what it was compared with.
    """
    complete = dataclasses.replace(
        decision,
        samples=len(window.samples) if window is not None else 0,
        samples_needed=config.min_samples,
        outside=_outside(window, pedestrian, decision, gallery.calibration),
        nobody_because=gallery.empty_reason if decision.vote.why == Why.NOBODY_ENROLLED else "",
    )
    return IdentityResult(
        pedestrian.track_id, frame.tracker_id, pedestrian.center, pedestrian.size, pedestrian.range_m, complete
    )


def _outside(
    window: TrackWindow | None, pedestrian: Sample, decision: Decision, calibration: Calibration | None
) -> tuple[str, ...]:
    """Sentences on the range, LiDAR or sensors that the calibration did not cover."""
    if calibration is None or window is None or decision.status == Status.PENDING:
        return ()
    found = []
    (near, far), (few, many) = calibration.ranges_m, calibration.returns_at_10m
    if not 0.9 * near <= pedestrian.range_m <= 1.1 * far:
        found.append(f"{pedestrian.range_m:.0f} m is outside the calibrated {near:.0f}-{far:.0f} m")
    returns = float(np.median([sample.point_count * (sample.range_m / 10.0) ** 2 for sample in window.samples]))
    if not few / OTHER_SENSOR <= returns <= many * OTHER_SENSOR:
        found.append(
            f"another LiDAR than calibrated: {returns:.0f} returns on a person at 10 m, not {few:.0f}-{many:.0f}"
        )
    if not decision.complete:
        found.append("calibrated with camera and LiDAR together")
    return tuple(found)
