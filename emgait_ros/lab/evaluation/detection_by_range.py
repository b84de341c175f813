"""The long-range benchmark of a detector: average precision and recall by bands of range, at two distances of centres and by overlap from above.

People and detections in view count, at any range the detector looks at; a detection that is false belongs to the band it lies in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from emgait_ros.lab.datasets.boxes import OrientedBoxes
from emgait_ros.lab.evaluation.detection_matching import apart_m, average_precision, precision_recall, strongest_of
from emgait_ros.samples import Detections, Float32, Float64, Int64

EDGES_M = (10.0, 20.0, 30.0, 40.0, 50.0)
BANDS = ("0-10 m", "10-20 m", "20-30 m", "30-40 m", "40-50 m", "50+ m")
CENTERS_M = {"0.5 m": 0.5, "1.0 m": 1.0}
CRITERIA = (*CENTERS_M, "IoU 0.5")


class Judged(NamedTuple):
    """One cloud by one criterion.

    Attributes:
        person_band: (P,) int64 of the people who count; found: (P,) float64 score of the detection there, -inf for none.
        score, hit, band: (S,) of the detections that are right or false.
    """

    person_band: Int64
    found: Float64
    score: Float64
    hit: NDArray[np.bool_]
    band: Int64


def judge(
    people: OrientedBoxes,
    counts: NDArray[np.bool_],
    detections: Detections,
    candidates: NDArray[np.bool_],
) -> dict[str, Judged]:
    """A cloud's detections by each of ``CRITERIA``.

    Args:
        people: everybody labelled (L,); ``counts`` (L,): who is to be found. A detection of somebody else is neither right nor false.
        detections: down to the lowest score of the curve.
        candidates: (D,) detections that are false where nobody is.
    """
    place = people.center[:, :2]
    apart = {name: (apart_m(place, detections.center[:, :2]), limit) for name, limit in CENTERS_M.items()}
    apart["IoU 0.5"] = 1.0 - overlap_from_above(people, detections), 0.5
    person_band, found = band_of(place), {}
    for name, (distance, limit) in apart.items():
        belongs = strongest_of(distance, detections.score, limit)
        matched = belongs >= 0
        right, taken = (np.isin(np.arange(len(detections)), belongs[who & matched]) for who in (counts, matched))
        judged = right | (candidates & ~taken & ~(distance[~counts] <= limit).any(axis=0))
        band = band_of(detections.center)
        band[belongs[matched]] = person_band[matched]  # just over the edge of a band it counts where its person stands
        score = np.where(matched, np.append(detections.score, 0.0)[belongs], -np.inf)
        found[name] = Judged(
            person_band[counts], score[counts], detections.score[judged].astype(np.float64), right[judged], band[judged]
        )
    return found


def band_of(place: Float32 | Float64) -> Int64:
    """(N,) number in ``BANDS`` of places (N, 2), m."""
    return np.searchsorted(EDGES_M, np.hypot(place[:, 0], place[:, 1]), side="right").astype(np.int64)


def overlap_from_above(people: OrientedBoxes, detections: Detections) -> Float64:
    """(L, D) intersection over union of the boxes in the ground plane, 0..1."""
    found = np.zeros((len(people), len(detections)))
    near = apart_m(people.center[:, :2], detections.center[:, :2]) < 5.0
    for i, j in zip(*np.nonzero(near), strict=True):
        one = (people.center[i, :2].tolist(), people.size[i, :2].tolist(), float(np.degrees(people.yaw[i])))
        other = (detections.center[j, :2].tolist(), detections.size[j, :2].tolist(), 0.0)
        kind, corners = cv2.rotatedRectangleIntersection(one, other)
        if kind != cv2.INTERSECT_NONE and corners is not None:
            shared = cv2.contourArea(cv2.convexHull(corners))
            found[i, j] = shared / (np.prod(one[1]) + np.prod(other[1]) - shared)
    return found


def figures(clouds: Sequence[dict[str, Judged]], min_score: float) -> dict[str, Any]:
    """Criterion, band ("all" first): people, recall, average precision, false detections a cloud; None without people.

    Args:
        clouds: of each, what :func:`judge` gave.
        min_score: from which on a detection counts as one, for recall and false detections.
    """
    table: dict[str, Any] = {}
    for name in CRITERIA if clouds else ():
        whole = _joined(clouds, name)
        table[name] = {}
        for number, band in enumerate(("all", *BANDS), -1):
            there, people = ((number < 0) | (values == number) for values in (whole.band, whole.person_band))
            precision = average_precision(whole.score[there], whole.hit[there], int(people.sum()))
            strong = there & ~whole.hit & (whole.score >= min_score)
            table[name][band] = {
                "people": int(people.sum()),
                "recall": round(float((whole.found[people] >= min_score).mean()), 4) if people.any() else None,
                "average_precision": None if np.isnan(precision) else round(precision, 4),
                "false_per_cloud": round(float(strong.sum()) / len(clouds), 4),
            }
    return table


def draw(clouds: Sequence[dict[str, Judged]], path: Path) -> None:
    """Curves of precision over recall, a panel a criterion, a line a band."""
    canvas = Figure(figsize=(4.2 * len(CRITERIA), 4.0), layout="constrained")
    for axes, name in zip(canvas.subplots(1, len(CRITERIA), sharey=True), CRITERIA, strict=True):
        whole = _joined(clouds, name)
        for number, band in enumerate(BANDS):
            people, there = int((whole.person_band == number).sum()), whole.band == number
            if people:
                precision, recall = precision_recall(whole.score[there], whole.hit[there], people)
                axes.step(
                    recall,
                    precision,
                    where="post",
                    label=f"{band}, {people} people",
                    marker="." if len(recall) < 9 else None,
                )
        axes.set(title=name, xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=110)


def _joined(clouds: Sequence[dict[str, Judged]], name: str) -> Judged:
    return Judged(*(np.concatenate(values) for values in zip(*(cloud[name] for cloud in clouds), strict=True)))
