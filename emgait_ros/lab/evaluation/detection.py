"""How many labelled people a detector finds in single clouds, why it misses the others, and what else it takes for people.

A detection and a labelled person belong together when their centres are near enough in the ground plane: one to one, the
nearest pairs first. People count who are within range and have enough returns in their box. A detection at a labelled
person who does not count, at somebody who sits, in a region that was not labelled or beyond the range is neither found nor false.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import DetectorConfig
from emgait_ros.lab.datasets.boxes import OrientedBoxes
from emgait_ros.lab.datasets.labelled_clouds import LabelledCloud
from emgait_ros.lab.evaluation.detection_by_range import Judged, figures, judge
from emgait_ros.lab.evaluation.detection_matching import apart_m, average_precision, nearest_first, strongest_first
from emgait_ros.lab.evaluation.metrics import Share
from emgait_ros.samples import Detections, Float32, Float64, Int64
from emgait_ros.sensing.perception.camera import project
from emgait_ros.sensing.perception.detector import ShapeDetector

REASONS = {
    "no peak": "no peak of the bird's-eye map was looked at there",
    "gate": "there is a peak, but it has too few returns, or they are nothing like a person",
    "score": "a shape scored less than detector.min_score",
    "suppressed": "a shape scored enough, but one that overlaps it was better, or stands for another labelled person",
    "place": "the shape was detected, but its box lies too far from the label",
}
BAND_M = 10.0
MANY_RETURNS = 100
WRONG_GROUND_M = 0.3
PERSON, SITTING = "Pedestrian", "Person_sitting"
NOBODY = np.zeros(0, np.int64)
SWEEP_SCORE = 0.01  # average precision looks at detections down to it; most of what there is scores 0


@dataclass(frozen=True)
class Rules:
    """What counts.

    Attributes:
        range_m: people farther away do not, nor do detections; horizontal.
        returns: people with fewer returns in their box do not.
        within_m: largest distance of the centres of a person and a detection, in the ground plane.
        view_deg: where no camera is known, its view reaches this far to both sides of the LiDAR's x axis.
    """

    range_m: float = 50.0
    returns: int = 8
    within_m: float = 0.5
    view_deg: float = 45.0


class Swept(NamedTuple):
    """Detections down to ``SWEEP_SCORE`` that are found or false: (S,) score, whether it is a person, whether in view."""

    score: Float64
    hit: NDArray[np.bool_]
    in_view: NDArray[np.bool_]


@dataclass(frozen=True)
class CloudResult:
    """What was found in one cloud.

    Attributes:
        name: of the cloud.
        place: (P, 3) float64, m, LiDAR frame: the people who count. Of each: ``returns`` (P,) int64 in the box, ``in_view`` (P,)
            bool, ``box`` (P,) int64 index of the label, ``found`` (P,) bool, ``reason`` (P,) one of ``REASONS`` or "",
            ``score`` (P,) float32: of the detection, or the best of the shapes there, NaN without one; and ``ground_m`` (P,)
            float64: how far the estimated ground lies over the bottom of the label.
        detections: as the detector returned them; ``false`` (D,) bool, ``false_in_view`` (D,) bool.
        swept: for average precision.
        peak_xy, peak_score: (K, 2) and (K,) float32: the detector's ``examined_xy`` and ``examined_score``.
        left_out: peaks that were not looked at because there were too many.
        by_range: for the figures by range (``detection_by_range``); ``night``: None where it is not known.
    """

    name: str
    place: Float64
    returns: Int64
    in_view: NDArray[np.bool_]
    box: Int64
    found: NDArray[np.bool_]
    reason: NDArray[np.str_]
    score: Float32
    ground_m: Float64
    detections: Detections
    false: NDArray[np.bool_]
    false_in_view: NDArray[np.bool_]
    swept: Swept
    peak_xy: Float32
    peak_score: Float32
    left_out: int
    by_range: dict[str, Judged]
    night: bool | None = None

    @property
    def range_m(self) -> Float64:
        """(P,) horizontal range of the people who count, m."""
        return np.hypot(self.place[:, 0], self.place[:, 1])


class DetectorEvaluation:
    """Evaluates one cloud after another, with a fresh detector for every sequence (``LabelledCloud.sequence``).

    Args:
        config: options of the detector.
        rules: what counts.

    Attributes:
        detector: that looked at the last cloud.
    """

    def __init__(self, config: DetectorConfig | None = None, rules: Rules | None = None) -> None:
        self.config, self.rules = config or DetectorConfig(), rules or Rules()
        self._sequence: str | None = None
        self._renew()

    def _renew(self) -> None:
        self.detector = ShapeDetector(self.config)
        self._sweeping = ShapeDetector(self.config, min_score=min(SWEEP_SCORE, self.config.min_score))

    def evaluate(self, cloud: LabelledCloud, folder: str = "") -> CloudResult:
        """Detect people in a cloud and compare with its labels; clouds of one name in two ``folder`` are two sequences."""
        if f"{folder}/{cloud.sequence}" != self._sequence:
            self._sequence = f"{folder}/{cloud.sequence}"
            self._renew()
        rules, detector = self.rules, self.detector
        detections = detector.detect(cloud.points)
        sweep = self._sweeping.detect(cloud.points)
        boxes = np.flatnonzero(np.isin(cloud.boxes.kind, (PERSON, SITTING)))
        people = cloud.boxes[boxes]
        returns = people.returns(cloud.points)
        near = np.hypot(people.center[:, 0], people.center[:, 1]) <= rules.range_m
        counts = near & (returns >= rules.returns) & (people.kind == PERSON)
        belongs = nearest_first(people.center[:, :2], detections.center[:, :2], rules.within_m)
        false = self._false(cloud, detections, belongs, people.center[~counts])
        reason, score = _reasons(people.center[:, :2], belongs, detections, detector, rules.within_m)
        by_score = strongest_first(people.center[:, :2], sweep.center[:, :2], sweep.score, rules.within_m)
        right = np.isin(np.arange(len(sweep)), by_score[counts])
        judged = right | self._false(cloud, sweep, by_score, people.center[~counts])
        seen = self.in_view(cloud, sweep.center)
        in_reach = self._false(cloud, sweep, NOBODY, people.center[:0], np.inf) & seen
        to_find = (returns >= rules.returns) & (people.kind == PERSON) & self.in_view(cloud, people.center)
        swept = Swept(sweep.score[judged].astype(np.float64), right[judged], seen[judged])
        return CloudResult(
            name=cloud.name,
            place=people.center[counts],
            returns=returns[counts],
            in_view=self.in_view(cloud, people.center[counts]),
            box=boxes[counts],
            found=belongs[counts] >= 0,
            reason=reason[counts],
            score=score[counts],
            ground_m=_ground_over_labels(people[counts], detector),
            detections=detections,
            false=false,
            false_in_view=false & self.in_view(cloud, detections.center),
            swept=swept,
            peak_xy=detector.examined_xy,
            peak_score=detector.examined_score,
            left_out=detector.left_out,
            by_range=judge(people, to_find, sweep, in_reach),
            night=cloud.night,
        )

    def in_view(self, cloud: LabelledCloud, place: Float32 | Float64) -> NDArray[np.bool_]:
        """Which places (N, 3), m, LiDAR frame, lie between the left and right edges of the camera's view: (N,)."""
        if cloud.all_round:
            return np.ones(len(place), bool)
        if cloud.camera is None:
            return np.abs(np.arctan2(place[:, 1], place[:, 0])) <= np.radians(self.rules.view_deg)
        pixel, valid = project(place, cloud.camera)
        return valid & (pixel[:, 0] >= 0) & (pixel[:, 0] < cloud.camera.width)

    def _false(
        self,
        cloud: LabelledCloud,
        detections: Detections,
        belongs: Int64,
        others: Float64,
        range_m: float | None = None,
    ) -> NDArray[np.bool_]:
        """(D,) bool: at no label, not within reach of the ``others`` (M, 3) who do not count, where everybody is labelled."""
        place = detections.center
        false = np.hypot(place[:, 0], place[:, 1]) <= (self.rules.range_m if range_m is None else range_m)
        false[belongs[belongs >= 0]] = False
        false &= (apart_m(place[:, :2], others[:, :2]) > self.rules.within_m).all(axis=1)
        if cloud.camera is not None and len(cloud.not_labelled):
            pixel, valid = project(place, cloud.camera)
            u, v = pixel[:, 0, None], pixel[:, 1, None]
            left, top, right, bottom = cloud.not_labelled.T
            false &= ~(valid & ((u >= left) & (u <= right) & (v >= top) & (v <= bottom)).any(axis=1))
        return false


def _reasons(
    people: Float64, belongs: Int64, detections: Detections, detector: ShapeDetector, within_m: float
) -> tuple[NDArray[np.str_], Float32]:
    """Why each person (P, 2) without a detection was missed, "" for others; and the score of the best shape there."""
    reason, score = np.full(len(people), "", dtype="<U10"), np.full(len(people), np.nan, np.float32)
    to_peak = apart_m(people, detector.examined_xy)
    nearest = to_peak.min(0, initial=np.inf)  # a peak says why the person nearest to it was missed
    taken = np.isin(np.arange(len(detections)), belongs)
    for person, detection in enumerate(belongs.tolist()):
        if detection >= 0:
            score[person] = detections.score[detection]
            continue
        there = np.flatnonzero(to_peak[person] <= within_m)
        own = there[to_peak[person, there] == nearest[there]]
        there = own if len(own) else there
        scores = np.nan_to_num(detector.examined_score[there], nan=-1.0)
        if len(there) == 0 or scores.max() < 0:
            reason[person] = "gate" if len(there) else "no peak"
            continue
        best = there[scores.argmax()]
        score[person] = scores.max()
        if score[person] < np.float32(detector.config.min_score):
            reason[person] = "score"
        else:
            free = apart_m(detector.examined_xy[[best]], detections.center[~taken, :2]) <= within_m
            reason[person] = "place" if free.any() else "suppressed"
    return reason, score


def _ground_over_labels(people: OrientedBoxes, detector: ShapeDetector) -> Float64:
    """(P,) m: a ground that is taken much too high hides legs or all of a person, one much too low makes a giant."""
    ground = detector.ground_z(people.center.astype(np.float32))
    return np.full(len(people), np.nan) if ground is None else ground - (people.center[:, 2] - people.size[:, 2] / 2)


def recalls(results: Sequence[CloudResult], rules: Rules) -> dict[str, Share]:
    """People found: "all", by bands of range ("0-10 m" ...), and "100 or more returns"."""
    found = np.concatenate([np.zeros(0, bool), *[r.found for r in results]])
    range_m = np.concatenate([np.zeros(0), *[r.range_m for r in results]])
    returns = np.concatenate([np.zeros(0, np.int64), *[r.returns for r in results]])
    among = {"all": np.ones(len(found), bool)}
    edges = [*np.arange(0.0, rules.range_m, BAND_M).tolist(), rules.range_m]
    for low, high in itertools.pairwise(edges):
        last = high == rules.range_m
        among[f"{low:g}-{high:g} m"] = (range_m >= low) & ((range_m <= high) if last else (range_m < high))
    among[f"{MANY_RETURNS} or more returns"] = returns >= MANY_RETURNS
    return {name: Share(int(found[mask].sum()), int(mask.sum())) for name, mask in among.items()}


def missed(results: Sequence[CloudResult]) -> dict[str, int]:
    """How many people were missed for each of ``REASONS``."""
    return {name: sum(int((r.reason == name).sum()) for r in results) for name in REASONS}


def average_precisions(results: Sequence[CloudResult]) -> tuple[float, float]:
    """Over all clouds together, all round and of what is in the camera's view; NaN without people."""
    score = np.concatenate([np.zeros(0), *[r.swept.score for r in results]])
    hit = np.concatenate([np.zeros(0, bool), *[r.swept.hit for r in results]])
    seen = np.concatenate([np.zeros(0, bool), *[r.swept.in_view for r in results]])
    everybody, in_view = (sum(len(r.place) for r in results), sum(int(r.in_view.sum()) for r in results))
    return average_precision(score, hit, everybody), average_precision(score[seen], hit[seen], in_view)


def as_json(results: Sequence[CloudResult], rules: Rules) -> dict[str, Any]:
    """The figures of some clouds together: shares 0..1 with Wilson 95 % intervals, None where there is nothing to measure."""
    shares = recalls(results, rules)
    overall, in_view = average_precisions(results)
    clouds = max(len(results), 1)
    false, false_in_view = (sum(int(getattr(r, n).sum()) for r in results) for n in ("false", "false_in_view"))
    return {
        "clouds": len(results),
        **_share(shares.pop("all")),
        "by": {name: _share(share) for name, share in shares.items()},
        "missed": missed(results),
        "missed_with_wrong_ground": sum(int((~r.found & (np.abs(r.ground_m) > WRONG_GROUND_M)).sum()) for r in results),
        "false": false,
        "false_in_view": false_in_view,
        "false_per_cloud": round(false / clouds, 4),
        "false_in_view_per_cloud": round(false_in_view / clouds, 4),
        "average_precision": _rounded(overall),
        "average_precision_in_view": _rounded(in_view),
        "peaks_left_out": sum(r.left_out for r in results),
    }


def by_range(results: Sequence[CloudResult], min_score: float) -> dict[str, Any]:
    """Figures by range (``detection_by_range.figures``) of "all" clouds, and of those by "day" and at "night" where that is known."""
    among = {"all": results, "day": [r for r in results if r.night is False], "night": [r for r in results if r.night]}
    return {light: figures([r.by_range for r in found], min_score) for light, found in among.items() if found}


def cloud_as_json(result: CloudResult) -> dict[str, Any]:
    """One cloud: its counts, the people who were missed, and the false detections."""
    gone, false = np.flatnonzero(~result.found), np.flatnonzero(result.false)
    return {
        "name": result.name,
        "people": len(result.place),
        "found": int(result.found.sum()),
        "false": len(false),
        "false_in_view": int(result.false_in_view.sum()),
        "missed": [
            {
                "place": [round(float(v), 2) for v in result.place[i]],
                "range_m": round(float(result.range_m[i]), 2),
                "returns": int(result.returns[i]),
                "reason": str(result.reason[i]),
                "score": _rounded(float(result.score[i])),
                "ground_m": _rounded(float(result.ground_m[i])),
            }
            for i in gone
        ],
        "false_detections": [
            {
                "place": [round(float(v), 2) for v in result.detections.center[i]],
                "score": _rounded(float(result.detections.score[i])),
                "returns": int(result.detections.point_count[i]),
                "in_view": bool(result.false_in_view[i]),
            }
            for i in false
        ],
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "people": share.trials,
        "found": share.hits,
        "recall": _rounded(share.value),
        "recall_ci95": [round(v, 4) for v in share.interval()] if share.trials else None,
    }


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
