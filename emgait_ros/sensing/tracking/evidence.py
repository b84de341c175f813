"""What a detection's score says for or against a pedestrian, relative to the scores that the options name."""

from __future__ import annotations

import numpy as np

from emgait_ros.samples import Float64

WEAK_TRUST, SURE_TRUST = 0.35, 0.6  # what tracker.weak_score and detector.min_score stand for, whatever their scale
NEUTRAL_TRUST = 0.4  # says nothing; what is trusted less speaks against the track
MOST_TRUST = 0.95  # no single detection says more: the errors of one in a row come together
MISS_EVIDENCE = 0.3  # what a track loses in a frame without a detection
EVIDENCE_CAP = 3.0  # above the confirmation: what a long-seen track has to lose


def trust(score: Float64, weak_score: float, min_score: float) -> Float64:
    """Scores of any scale as trust 0..1: piecewise linear, ``weak_score`` and ``min_score`` become the constants above."""
    return np.asarray(np.interp(score, *_scales(weak_score, min_score)), np.float64)


def as_score(trusted: Float64, weak_score: float, min_score: float) -> Float64:
    """Probabilities of another detector as scores of the scale that the options speak of: what :func:`trust` turns back."""
    known, trusts = _scales(weak_score, min_score)
    return np.asarray(np.interp(trusted, trusts, known), np.float64)


def _scales(weak_score: float, min_score: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return (0.0, min(weak_score, min_score), min_score, 1.0), (0.0, WEAK_TRUST, SURE_TRUST, 1.0)


def evidence(trusted: Float64 | float) -> Float64:
    """Log of the odds of trust (...), against those of ``NEUTRAL_TRUST``; detections of a track add up."""
    limited = np.clip(trusted, 1.0 - MOST_TRUST, MOST_TRUST)
    return np.asarray(np.log(limited / (1.0 - limited)) - np.log(NEUTRAL_TRUST / (1.0 - NEUTRAL_TRUST)))


def needed_evidence(confirm_hits: int) -> float:
    """What ``confirm_hits`` sure detections in a row add up to, with a tenth to spare."""
    return 0.9 * confirm_hits * float(evidence(1.0))
