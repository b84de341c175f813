"""Sentences about a decision: why this status, and what makes it less certain than usual."""

from __future__ import annotations

import numpy as np

from emgait_ros.recognition.decision import Decision, Vote, Weakness, Why
from emgait_ros.recognition.windows import GROUP, TOO_MANY_TRACKS
from emgait_ros.samples import Modality, Status

EMPTY_GALLERY = "the gallery is empty: call the enroll service"
"""Why there is nobody to compare with, unless the gallery gives another reason."""
_SENSORS = {
    Modality.NONE: "no sensor",
    Modality.IMAGE: "the camera alone",
    Modality.POINTS: "the LiDAR alone",
    Modality.BOTH: "both sensors",
}


def explain(decision: Decision) -> str:
    """Why the track has this status, in one sentence with what makes it less certain."""
    return "; ".join([_with_certainty(decision), *decision.outside])


def warnings(decision: Decision) -> tuple[str, ...]:
    """What makes a decision less certain than usual: a weak window, or conditions the calibration did not cover."""
    is_weak = decision.weakness and decision.status != Status.PENDING
    return (*((weak_window(decision.weakness),) if is_weak else ()), *decision.outside)


def counted_samples(samples: int, needed: int, left_out: str = "") -> str:
    """How many samples there are, and why not one more: "2 of 10 samples (standing still)"."""
    return f"{samples} of {needed} samples" + (f" ({left_out})" if left_out else "")


def sensor_note(modalities: Modality) -> str:
    """From which sensor alone, as an addition to a sentence; empty with both."""
    return "" if modalities == Modality.BOTH else f", from {_SENSORS[modalities]}"


def weak_window(weakness: Weakness) -> str:
    """Why a weak window is weak."""
    few = [] if weakness.few_returns is None else [f"{weakness.few_returns:.0f} LiDAR returns a sample"]
    return "weak window: " + ", ".join(few + ["dark images"] * weakness.dark)


def _with_certainty(decision: Decision) -> str:
    is_said = decision.status == Status.KNOWN and np.isfinite(decision.probability)
    probability = f", probability {decision.probability:.0%}" if is_said else ""
    weak = f"; {weak_window(decision.weakness)}" if decision.weakness else ""
    return _of_status(decision) + probability + weak


def _of_status(decision: Decision) -> str:
    vote = decision.vote
    if vote.why == Why.GROUP:
        return f"{GROUP}: no name is given"
    if vote.why == Why.NOT_KEPT:
        return f"{counted_samples(0, decision.samples_needed)}: {TOO_MANY_TRACKS}"
    if vote.why == Why.FEW_SAMPLES:
        return counted_samples(decision.samples, decision.samples_needed, decision.left_out)
    windows = f"{decision.streak:g} of {decision.agree_windows} windows"
    contrary = f"; {windows} say otherwise" if decision.contrary else ""
    if decision.status == Status.PENDING:
        agreed = f"'{decision.agree_on}'" if decision.agree_on else "nobody enrolled"
        return f"{windows} agree on {agreed}: {_of_vote(decision)}"
    if decision.status == Status.UNKNOWN:
        return _of_vote(decision) + contrary
    if vote.identity != decision.identity:
        return f"'{decision.name}' is kept{contrary}: {_of_vote(decision)}"
    return _of_vote(decision)


def _of_vote(decision: Decision) -> str:
    vote = decision.vote
    found, limit = _nearest(vote), f", threshold {decision.threshold:.2f}"
    match vote.why:
        case Why.NEAR_ENOUGH:
            margin = f", margin {vote.margin:.2f}" if vote.rival else ""
            return found + limit + margin + sensor_note(decision.modalities)
        case Why.TOO_FAR:
            return f"nearest {found}{limit}{sensor_note(decision.modalities)}"
        case Why.MARGIN:
            return f"margin {vote.margin:.2f} below {decision.min_margin:.2f}: '{vote.nearest}' or '{vote.rival}'"
        case Why.TAKEN:
            return f"{found} is another pedestrian in view"
        case Why.OTHER_SENSORS:
            sensors = _SENSORS[decision.modalities]
            return f"nearest {found} was not enrolled from {sensors}, which is all this walk has: no name is given"
        case Why.NO_THRESHOLD:
            return f"the model bundle has no calibrated threshold, set decision.threshold: nearest {found}"
        case _:
            return decision.nobody_because or EMPTY_GALLERY


def _nearest(vote: Vote) -> str:
    return f"'{vote.nearest}' at {vote.distance:.2f}"
