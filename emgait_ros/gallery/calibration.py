"""The acceptance threshold, from held-back walks, with what it can promise.

Split-conformal: with n impostor tracks that are exchangeable with tomorrow's strangers, the k-th smallest of their
distances is undercut by a new stranger with probability at most k / (n + 1), whatever the distribution. Each value must
be one *track* (windows of one walk are not independent) of a person who is enrolled nowhere in the gallery it was
compared with: the threshold above which the live decision gives it a name (:mod:`emgait_ros.gallery.replay`; infinite when
none does). The rate then holds for galleries of that size.
(Angelopoulos and Bates, arXiv 2107.07511, section 1; the coverage distribution is their section 3.2.)
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import beta

from emgait_ros.samples import Float64, Modality

OTHER_SENSOR = 1.5
"""So many times fewer or more returns than calibrated are said to be another LiDAR's."""


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
        min_margin: smallest lead over the second identity; 0: the bundle's.
        probability: (slope, offset) of the logistic curve over the distance, fitted with as much weight on genuine as on
            impostor tracks; None without genuine tracks.
        ranges_m: smallest and largest range of the tracks, m.
        returns_at_10m: 5th and 95th percentile of the samples' LiDAR returns, reckoned to a range of 10 m: tells sensors apart.
        impostor_people: whose the impostor tracks are; 0: not noted.
        gallery_size: identities the impostor tracks were compared with.
        source: where the tracks come from, in words.
        distances: genuine and impostor distances it rests on.
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
    min_margin: float = 0.0
    probability: tuple[float, float] | None = None
    ranges_m: tuple[float, float] = (0.0, float("inf"))
    returns_at_10m: tuple[float, float] = (0.0, float("inf"))
    gallery_size: int = 0
    impostor_people: int = 0
    source: str = ""
    distances: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    def to_json(self) -> str:
        """As it is stored with a gallery."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> Calibration:
        """The other way round.

        Raises:
            ValueError: not what :meth:`to_json` wrote.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values["distances"] = tuple(tuple(part) for part in values["distances"])
            for name in ("false_accept_interval", "true_accept_interval", "ranges_m", "returns_at_10m", "probability"):
                if values.get(name) is not None:
                    values[name] = tuple(values[name])
            return Calibration(**values)
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"the gallery's stored calibration is damaged ({error}): calibrate again") from error

    def __str__(self) -> str:
        low, high = self.false_accept_interval
        promise = (
            f"threshold {self.threshold:.4f}: at most {self.false_accept_rate:.2%} of strangers' walks are expected to get a name, "
            f"the true rate lies in {low:.2%} to {high:.2%} with {self.confidence:.0%} confidence. It rests on "
            f"{self.impostor_tracks} walks of {self.impostor_people or self.impostor_tracks} strangers, compared with "
            f"{self.gallery_size} identities"
        )
        if not self.genuine_tracks:
            return promise + "; how many enrolled people it lets through is not known"
        low, high = self.true_accept_interval
        return promise + (
            f"; it lets {self.true_accept_rate:.1%} ({low:.1%} to {high:.1%}) of {self.genuine_tracks} walks of enrolled people through"
        )

    def outside(self, range_m: float, returns_at_10m: float, modalities: Modality) -> tuple[str, ...]:
        """Sentences on what of a walk leaves the range, sensor or modalities this was calibrated with."""
        found = []
        near, far = self.ranges_m
        if not 0.9 * near <= range_m <= 1.1 * far:
            found.append(f"{range_m:.0f} m is outside the calibrated {near:.0f}-{far:.0f} m")
        few, many = self.returns_at_10m
        if not few / OTHER_SENSOR <= returns_at_10m <= many * OTHER_SENSOR:
            found.append(
                f"another LiDAR than calibrated: {returns_at_10m:.0f} returns on a person at 10 m, not {few:.0f}-{many:.0f}"
            )
        if modalities != Modality.BOTH:
            found.append("calibrated with camera and LiDAR together")
        return tuple(found)

    def chance_of(self, distance: float) -> float:
        """Probability that a track at this distance is that person; NaN without one calibrated."""
        if self.probability is None or not np.isfinite(distance):
            return float("nan")
        slope, offset = self.probability
        return float(1.0 / (1.0 + np.exp(np.clip(slope * distance + offset, -60.0, 60.0))))


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
        impostor_people: whose those tracks are; None: of as many people. Tracks of one person are alike, so the interval
            is stated as if there were only that many tracks.

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
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(beta.ppf(1.0 - tail, successes + 1, trials - successes))
    return low, high


def _checked(kind: str, distances: Float64) -> Float64:
    values = np.asarray(distances, np.float64).ravel()
    if np.isnan(values).any():
        raise ValueError(
            f"{int(np.isnan(values).sum())} of {len(values)} {kind} distances are NaN: leave those tracks out"
        )
    return values
