"""What is said of one tracked pedestrian: the decision with its reason, and what makes it less sure than usual."""

from __future__ import annotations

import numpy as np

from emgait_ros.config import WindowConfig
from emgait_ros.gallery.records import Calibration
from emgait_ros.recognition.decision import Decision
from emgait_ros.recognition.windows import GROUP, TrackWindow
from emgait_ros.samples import IdentityResult, Modality, PedestrianFrame, Sample, Status


def samples_to_count(config: WindowConfig) -> int:
    """Samples of a sensor from which on a window counts as having it: half of the shortest window."""
    return max(1, config.min_samples // 2)


def undecided(window: TrackWindow | None, needed: int, limit: float) -> Decision:
    """PENDING, and why; ``limit`` is the threshold in use."""
    if window is not None and window.group:
        reason = f"{GROUP}: no name is given"
    else:
        why = window.why_left_out() if window is not None else ": more tracks than window.max_tracks"
        reason = f"{len(window.samples) if window is not None else 0} of {needed} samples{why}"
    nan = float("nan")
    return Decision(Status.PENDING, "", nan, limit, nan, (), reason)


def identity_result(
    frame: PedestrianFrame,
    pedestrian: Sample,
    window: TrackWindow | None,
    decision: Decision,
    config: WindowConfig,
    calibration: Calibration | None,
) -> IdentityResult:
    """The result for one pedestrian of a frame.

    Args:
        frame, pedestrian: who, and in which frame.
        window: of the track, None when it is not kept.
        decision: of the window, or :func:`undecided`.
        config: of windows. calibration: of the gallery with this model, None without one.
    """
    samples = len(window.samples) if window is not None else 0
    enough = min(samples_to_count(config), max(1, samples))
    outside = _outside(window, pedestrian, decision, config, calibration)
    weak = window.weakness(config) if window is not None and decision.status != Status.PENDING else ""
    return IdentityResult(
        track_id=pedestrian.track_id,
        tracker_id=frame.tracker_id,
        status=decision.status,
        name=decision.name,
        distance=decision.distance,
        threshold=decision.threshold,
        margin=decision.margin,
        samples=samples,
        samples_needed=config.min_samples,
        modalities=window.modalities(enough) if window is not None else Modality.NONE,
        center=pedestrian.center,
        size=pedestrian.size,
        range_m=pedestrian.range_m,
        candidates=decision.candidates,
        reason="; ".join([decision.reason, *outside]),
        probability=decision.probability,
        warnings=(*((f"weak window: {weak}",) if weak else ()), *outside),
    )


def _outside(
    window: TrackWindow | None,
    pedestrian: Sample,
    decision: Decision,
    config: WindowConfig,
    calibration: Calibration | None,
) -> tuple[str, ...]:
    """What the calibration did not cover."""
    if calibration is None or window is None or decision.status == Status.PENDING:
        return ()
    density = float(np.median([sample.point_count * (sample.range_m / 10.0) ** 2 for sample in window.samples]))
    return calibration.outside(pedestrian.range_m, density, window.modalities(samples_to_count(config)))
