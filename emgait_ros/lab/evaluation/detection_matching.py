"""Which detection is which labelled person, one to one; and average precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from emgait_ros.samples import Float32, Float64, Int64


def nearest_first(people: Float64, detections: Float32 | Float64, within_m: float) -> Int64:
    """(L,) int64: the detection of each person, -1 for none; places (L, 2) and (D, 2), m, paired one to one, the nearest first."""
    apart = apart_m(people, detections)
    belongs = np.full(len(people), -1, np.int64)
    while apart.size and apart.min() <= within_m:
        person, detection = np.unravel_index(int(apart.argmin()), apart.shape)
        belongs[person] = detection
        apart[person], apart[:, detection] = np.inf, np.inf
    return belongs


def strongest_first(people: Float64, detections: Float32, score: Float32, within_m: float) -> Int64:
    """As ``nearest_first``, but detections choose the nearest person left in the order of their ``score`` (D,)."""
    return strongest_of(apart_m(people, detections), score, within_m)


def strongest_of(apart: Float64, score: Float32, limit: float) -> Int64:
    """As ``strongest_first``, of any distances (L, D)."""
    apart = apart.copy()
    belongs = np.full(len(apart), -1, np.int64)
    for detection in np.argsort(-score, kind="stable").tolist() if len(apart) else []:
        person = int(apart[:, detection].argmin())
        if apart[person, detection] <= limit:
            belongs[person] = detection
            apart[person] = np.inf
    return belongs


def average_precision(score: ArrayLike, hit: ArrayLike, people: int) -> float:
    """Area under the curve of precision over recall, 0..1; precision never rises with recall; NaN without people.

    Args:
        score: (S,) of all detections.
        hit: (S,) bool: whether it is a person; of equal scores the false ones come first.
        people: how many there are to find.
    """
    if people == 0:
        return float("nan")
    precision, recall = precision_recall(score, hit, people)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here @ np.diff(recall, prepend=0.0))


def precision_recall(score: ArrayLike, hit: ArrayLike, people: int) -> tuple[Float64, Float64]:
    """(S,) precision and recall with the strongest 1 to S detections; arguments as ``average_precision``."""
    score, hit = np.asarray(score, np.float64), np.asarray(hit, bool)
    found = np.cumsum(hit[np.lexsort((hit, -score))])
    return found / np.arange(1, len(hit) + 1), found / people


def apart_m(one: ArrayLike, other: ArrayLike) -> Float64:
    """(A, B) float64: distances in the ground plane between the places (A, 2) and (B, 2), m."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return np.hypot(one[:, None, 0] - other[None, :, 0], one[:, None, 1] - other[None, :, 1])
