"""The acceptance threshold, from held-back walks, with what it can promise.

Split-conformal: with n impostor tracks that are exchangeable with tomorrow's strangers, the k-th smallest of their
distances is undercut by a new stranger with probability at most k / (n + 1), whatever the distribution. Each value must
be one *track* (windows of one walk are not independent) of a person who is enrolled nowhere in the gallery it was
compared with: the threshold above which the live decision gives it a name (:mod:`emgait_ros.recognition.replay`; infinite when
none does). The rate then holds for galleries of that size.
(Angelopoulos and Bates, arXiv 2107.07511, section 1; the coverage distribution is their section 3.2.)
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import beta, binomtest

from emgait_ros.gallery.records import Calibration
from emgait_ros.samples import Float64


def calibrate_threshold(
    genuine: Float64,
    impostor: Float64,
    false_accept_rate: float,
    confidence: float = 0.95,
    impostor_people: int | None = None,
) -> Calibration:
    """Threshold with at most the wanted false-accept rate on new strangers.

    Args:
        genuine: (G,) threshold above which each held-back track of an enrolled person gets that person's name; may be empty.
        impostor: (n,) threshold above which each track of a person not enrolled gets a name. Infinite: none does it.
        false_accept_rate: wanted, 0..1 exclusive: 0.01 is one stranger track in a hundred.
        confidence: of the stated intervals.
        impostor_people: number of people those tracks are of; None: one for each track. Tracks of one person are alike, so
            the interval is stated as if there were only that many tracks.

    Raises:
        ValueError: distances that are NaN, rates out of range, too few impostor tracks for the wanted rate, or none of them
            is ever named.
    """
    genuine, impostor = _checked("genuine", genuine), _checked("impostor", impostor)
    if not 0.0 < false_accept_rate < 1.0 or not 0.0 < confidence < 1.0:
        raise ValueError(f"false-accept rate {false_accept_rate} and confidence {confidence} must lie between 0 and 1")
    tracks = len(impostor)
    rank = int(np.floor(false_accept_rate * (tracks + 1) + 1e-9))
    if rank < 1:
        needed = int(np.ceil(1.0 / false_accept_rate - 1e-9)) - 1
        best = f"; the smallest rate they can promise is {1.0 / (tracks + 1):.3g}" if tracks else ""
        raise ValueError(
            f"{tracks} impostor tracks cannot promise a false-accept rate of {false_accept_rate:g}: {needed} are needed{best}"
        )
    named = np.sort(impostor[np.isfinite(impostor)])
    if not len(named):
        raise ValueError(
            f"none of {tracks} impostor tracks is given a name at any threshold (margin, agreement): calibrate with longer "
            "walks or set decision.threshold"
        )
    threshold = float(named[min(rank, len(named)) - 1])
    tail = (1.0 - confidence) / 2.0
    people = min(impostor_people or tracks, tracks)
    independent = people / tracks
    shape = rank * independent, (tracks + 1 - rank) * independent
    interval = (float(beta.ppf(tail, *shape)), float(beta.ppf(1.0 - tail, *shape)))
    accepted = int((genuine < threshold).sum())
    return Calibration(
        threshold=threshold,
        false_accept_rate=false_accept_rate,
        false_accept_interval=interval,
        false_accepts=int((impostor < threshold).sum()),
        impostor_tracks=tracks,
        impostor_people=people,
        true_accept_rate=accepted / len(genuine) if len(genuine) else float("nan"),
        true_accept_interval=share_interval(accepted, len(genuine), confidence),
        genuine_tracks=len(genuine),
        confidence=confidence,
    )


def fit_probability(genuine: Float64, impostor: Float64) -> tuple[float, float] | None:
    """(slope, offset) of 1 / (1 + exp(slope d + offset)), the chance of a genuine track at distance d when both are as likely.

    Logistic regression with the two kinds weighted equally and Platt's smoothed targets, so that separable data does not
    give certainty (Platt 1999). Tracks that are never named have no part in it. None when one kind is missing.
    """
    genuine, impostor = _checked("genuine", genuine), _checked("impostor", impostor)
    genuine, impostor = genuine[np.isfinite(genuine)], impostor[np.isfinite(impostor)]
    if not len(genuine) or not len(impostor):
        return None
    distance = np.concatenate([genuine, impostor])
    centre, scale = float(distance.mean()), float(distance.std()) or 1.0
    x = (distance - centre) / scale
    is_genuine = np.arange(len(x)) < len(genuine)
    target = np.where(is_genuine, (len(genuine) + 1) / (len(genuine) + 2), 1 / (len(impostor) + 2))
    weight = np.where(is_genuine, 0.5 / len(genuine), 0.5 / len(impostor))

    def loss(values: Float64) -> tuple[float, Float64]:
        score = values[0] * x + values[1]  # genuine when small
        error = weight * (target - expit(-score))
        value = float((weight * (np.logaddexp(0, -score) + target * score)).sum()) + 1e-4 * float(values[0] ** 2)
        return value, np.array([(error * x).sum() + 2e-4 * values[0], error.sum()])

    slope, offset = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return float(slope / scale), float(offset - slope * centre / scale)


def share_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a share; (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    interval = binomtest(successes, trials).proportion_ci(confidence)
    return float(interval.low), float(interval.high)


def _checked(kind: str, distances: Float64) -> Float64:
    values = np.asarray(distances, np.float64).ravel()
    if np.isnan(values).any():
        raise ValueError(
            f"{int(np.isnan(values).sum())} of {len(values)} {kind} distances are NaN: leave those tracks out"
        )
    return values
