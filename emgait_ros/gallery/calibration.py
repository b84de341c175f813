"""The acceptance threshold, from held-back walks, with what it can promise.

Split-conformal: with n impostor tracks that are exchangeable with tomorrow's strangers, the k-th smallest of their
distances is undercut by a new stranger with probability at most k / (n + 1), whatever the distribution. Each value must
be one *track* (windows of one walk are not independent) of a person who is enrolled nowhere in the gallery it was
compared with, and its distance to the nearest identity there: the rate then holds for galleries of that size.
(Angelopoulos and Bates, arXiv 2107.07511, section 1; the coverage distribution is their section 3.2.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from emgait_ros.samples import Float64


@dataclass(frozen=True)
class Calibration:
    """A threshold and what it rests on.

    Attributes:
        threshold: a distance strictly below it is accepted.
        false_accept_rate: the rate asked for; the expected one is at most this.
        false_accept_interval: the true rate lies within, with probability ``confidence`` over the choice of impostor tracks.
        false_accepts: impostor tracks below the threshold.
        impostor_tracks: how many there were.
        true_accept_rate: share of genuine tracks below the threshold; NaN without any.
        true_accept_interval: Clopper-Pearson interval of that share.
        genuine_tracks: how many there were.
        confidence: of both intervals.
    """

    threshold: float
    false_accept_rate: float
    false_accept_interval: tuple[float, float]
    false_accepts: int
    impostor_tracks: int
    true_accept_rate: float
    true_accept_interval: tuple[float, float]
    genuine_tracks: int
    confidence: float


def calibrate_threshold(
    genuine: Float64, impostor: Float64, false_accept_rate: float, confidence: float = 0.95
) -> Calibration:
    """Threshold with at most the wanted false-accept rate on new strangers.

    Args:
        genuine: (G,) distance of each held-back track of an enrolled person to that person; may be empty.
        impostor: (n,) distance of each track of a person not enrolled to the nearest identity.
        false_accept_rate: wanted, 0..1 exclusive: 0.01 is one stranger track in a hundred.
        confidence: of the stated intervals.

    Raises:
        ValueError: distances that are not finite, rates out of range, or too few impostor tracks for the wanted rate.
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
    threshold = float(np.sort(impostor)[rank - 1])
    tail = (1.0 - confidence) / 2.0
    interval = (float(beta.ppf(tail, rank, tracks + 1 - rank)), float(beta.ppf(1.0 - tail, rank, tracks + 1 - rank)))
    accepted = int((genuine < threshold).sum())
    return Calibration(
        threshold=threshold,
        false_accept_rate=false_accept_rate,
        false_accept_interval=interval,
        false_accepts=int((impostor < threshold).sum()),
        impostor_tracks=tracks,
        true_accept_rate=accepted / len(genuine) if len(genuine) else float("nan"),
        true_accept_interval=share_interval(accepted, len(genuine), confidence),
        genuine_tracks=len(genuine),
        confidence=confidence,
    )


def share_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a share; (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(beta.ppf(1.0 - tail, successes + 1, trials - successes))
    return low, high


def _checked(kind: str, distances: Float64) -> Float64:
    values = np.asarray(distances, np.float64).ravel()
    if not np.isfinite(values).all():
        raise ValueError(
            f"{int((~np.isfinite(values)).sum())} of {len(values)} {kind} distances are not finite: leave those tracks out"
        )
    return values
