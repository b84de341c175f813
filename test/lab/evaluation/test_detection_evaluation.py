"""Recall of the detector on made-up clouds whose counts follow from what was put into them, and on real ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from synthetic_clouds import SENSOR_HEIGHT_M, person, scan

from emgait_ros.config import DetectorConfig
from emgait_ros.lab.datasets.boxes import OrientedBoxes
from emgait_ros.lab.datasets.labelled_clouds import LabelledCloud, open_labelled
from emgait_ros.lab.evaluation.detection import DetectorEvaluation, Rules, as_json, recalls
from emgait_ros.lab.evaluation.detection_matching import average_precision, nearest_first, strongest_first
from emgait_ros.lab.evaluation.detection_pictures import CASES_A_SHEET, ContactSheet
from emgait_ros.samples import CameraModel

CAMERA = CameraModel(
    200, 120, np.array([[100.0, 0, 100], [0, 100, 60], [0, 0, 1]]), np.empty(0), "plumb_bob",
    np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]),
)  # fmt: skip
# 45 degrees to both sides of x: as wide as the view of clouds without a camera


def cloud(solids, labels, kinds=None, name="street_0001", **more) -> LabelledCloud:
    """A scanned cloud; labels are the places x, y of boxes 1.3 by 0.8 m from 0.1 m over the ground to 1.8 m."""
    place = np.array(labels, float).reshape(-1, 2)
    center = np.column_stack([place, np.full(len(place), 0.95 - SENSOR_HEIGHT_M)])
    kinds = np.array(kinds or ["Pedestrian"] * len(place), dtype=np.str_)
    boxes = OrientedBoxes(kinds, center, np.tile([1.3, 0.8, 1.7], (len(place), 1)), np.zeros(len(place)))
    return LabelledCloud(name, scan(solids), boxes, **more)


BOLLARD = [("cylinder", (10.0, 0.0, 0.25, 0.0, 0.6))]
POST = [("cylinder", (10.0, 0.0, 0.1, 0.0, 1.0))]
BESIDE = [("cylinder", (10.0, 0.65, 0.1, 0.0, 1.5))]
FAR = person(30, 4) + person(18, -3)


@pytest.mark.parametrize(
    ("solids", "labels", "more", "counted", "found", "false", "in_view"),
    [
        (person(10, 0) + person(12, 6), [(10, 0), (12, 6)], {}, 2, 2, 0, 0),
        (person(10, 0), [(10, 0), (20, -5)], {}, 1, 1, 0, 0),  # nobody gives a return at the second label: no miss
        (person(10, 0) + person(-9, 2), [(10, 0)], {}, 1, 1, 1, 0),  # behind, not labelled
        (person(10, 0) + person(15, -9), [(10, 0)], {}, 1, 1, 1, 1),  # in view, not labelled
        (person(9, 10) + person(10, 9), [], {}, 0, 0, 2, 1),  # at 48 and 42 degrees
        (person(9, 10) + person(10, 9), [], {"camera": CAMERA}, 0, 0, 2, 1),  # a camera's edge lies there, too
        (FAR, [(30, 4), (18, -3)], {}, 2, 2, 0, 0),
        (person(10, 0), [(10, 0)], {"kinds": ["Person_sitting"]}, 0, 0, 0, 0),  # neither missed nor false
        (person(10, 0), [(10, 0)], {"kinds": ["Cyclist"]}, 0, 0, 1, 1),
        # u, v of somebody 10 m ahead: 100 and 60 to 75
        (person(10, 0), [], {"camera": CAMERA, "not_labelled": np.array([[90.0, 50, 110, 90]])}, 0, 0, 0, 0),
        (person(10, 0), [], {"camera": CAMERA, "not_labelled": np.array([[20.0, 50, 40, 90]])}, 0, 0, 1, 1),
        ([], [], {}, 0, 0, 0, 0),
    ],
)
def test_who_counts(solids, labels, more, counted, found, false, in_view):
    result = DetectorEvaluation().evaluate(cloud(solids, labels, **more))
    assert (len(result.place), result.found.sum()) == (counted, found)
    assert (result.false.sum(), result.false_in_view.sum()) == (false, in_view)
    assert (result.reason == "").sum() == found
    np.testing.assert_allclose(result.ground_m, -0.1, atol=0.1)


@pytest.mark.parametrize(
    ("rules", "counted", "found", "false"),
    [
        (Rules(), 2, 2, 0),
        (Rules(range_m=25), 1, 1, 0),  # the person at 30 m is found, and neither right nor false
        (Rules(returns=45), 1, 1, 0),  # likewise: too few returns
        (Rules(within_m=0.05), 2, 0, 2),
    ],
)
def test_rules(rules, counted, found, false):
    result = DetectorEvaluation(rules=rules).evaluate(cloud(FAR, [(30.15, 4.15), (18.15, -2.85)]))
    assert (len(result.place), result.found.sum(), result.false.sum()) == (counted, found, false)


@pytest.mark.parametrize(
    ("solids", "labels", "options", "reason", "has_score"),
    [
        (BOLLARD, [(10, 0)], {}, "no peak", False),  # nothing higher than 0.7 m
        (person(10, 0), [(10, 0)], {"min_points": 1000}, "gate", False),
        (POST, [(10, 0)], {}, "score", True),
        (person(10, 0), [(10, 0), (10, 0.3)], {}, "suppressed", True),  # two labels on one person
        (person(10, 0) + BESIDE, [(10, 0), (10, 0.45)], {}, "score", True),  # a shape of its own beside one
        (person(10, 0), [(9.5, 0)], {}, "place", True),  # the peak is on the near side, the box 0.1 m behind it
    ],
)
def test_reasons_of_misses(solids, labels, options, reason, has_score):
    evaluation = DetectorEvaluation(DetectorConfig(**options))
    result = evaluation.evaluate(cloud(solids, labels))
    missed = np.flatnonzero(~result.found)
    assert result.reason[missed].tolist() == [reason]
    assert np.isfinite(result.score[missed[0]]) == has_score
    assert (result.score[missed[0]] < 0.6) == (reason == "score")
    assert as_json([result], Rules())["missed"][reason] == 1


def test_a_ground_taken_too_high_is_said():
    """The same person with a label half a meter lower: whoever labels does not err by that much, an estimate may."""
    result = DetectorEvaluation().evaluate(cloud(person(10, 0), [(10, 0)]))
    sunk = cloud(person(10, 0), [(10, 0)])
    sunk.boxes.center[:, 2] -= 0.5
    assert DetectorEvaluation().evaluate(sunk).ground_m[0] == pytest.approx(result.ground_m[0] + 0.5)


def test_figures_of_several_clouds():
    """Four of five found: 3 to 10 m, 1 from 10 to 20 m, one post missed at 10 m; one false in 2 clouds."""
    evaluation = DetectorEvaluation()
    first = cloud(person(5, 3) + person(9, 0) + person(-6, -6) + person(17, 2), [(5, 3), (9, 0), (-6, -6), (17, 2)])
    second = cloud(POST + person(-14, 3), [(10.1, 0)], name="street_0002")
    results = [evaluation.evaluate(c) for c in (first, second)]
    shares = {name: (share.hits, share.trials) for name, share in recalls(results, Rules()).items()}
    assert shares == {
        "all": (4, 5),
        "0-10 m": (3, 3),
        "10-20 m": (1, 2),
        "20-30 m": (0, 0),
        "30-40 m": (0, 0),
        "40-50 m": (0, 0),
        "100 or more returns": (3, 3),
    }
    figures = as_json(results, Rules())
    assert (figures["false_per_cloud"], figures["false_in_view_per_cloud"]) == (0.5, 0.0)
    assert figures["recall"] == 0.8
    assert figures["recall_ci95"] == [0.3755, 0.9638]  # Wilson, 4 of 5
    assert figures["by"]["20-30 m"] == {"people": 0, "found": 0, "recall": None, "recall_ci95": None}
    assert list(recalls(results, Rules(range_m=25)))[1:4] == ["0-10 m", "10-20 m", "20-25 m"]
    assert as_json([], Rules())["average_precision"] is None
    assert as_json(results[:1], Rules())["average_precision"] == 1.0
    # the person who is not labelled may score most or least, the post that is labelled a little or nothing
    assert 0.54 <= figures["average_precision"] <= 0.97
    swept = results[1].swept.hit.any()  # whether the post scores at least SWEEP_SCORE
    assert figures["average_precision_in_view"] == (
        1.0 if swept else 0.75
    )  # nothing false is in view, one of four is missed


@pytest.mark.parametrize(
    ("score", "hit", "people", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], 2, (1 + 2 / 3) / 2),
        ([0.7, 0.9, 0.6, 0.8], [1, 1, 0, 0], 3, (1 + 2 / 3) / 3),  # the third is never found
        ([0.9, 0.8, 0.7], [0, 1, 1], 2, 2 / 3),  # precision never rises with recall
        ([0.5, 0.5], [1, 0], 1, 0.5),  # equal scores: the false one comes first
        ([], [], 2, 0.0),
        ([0.9], [0], 0, np.nan),
    ],
)
def test_average_precision(score, hit, people, expected):
    assert average_precision(score, hit, people) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("people", "detections", "near", "strong"),
    [
        ([0, 0.4], [0.3], [-1, 0], [-1, 0]),
        ([0], [0.3, 0.1], [1], [0]),  # scores fall from first to last
        ([0, 0.6], [0.2, 0.45], [0, 1], [0, 1]),
        ([0, 0.5], [0.3, 0.9], [-1, 0], [-1, 0]),  # the nearest pair takes what the other needed
        ([0], [0.51], [-1], [-1]),
        ([], [0.1], [], []),
        ([1], [], [-1], [-1]),
    ],
)
def test_one_to_one(people, detections, near, strong):
    people, detections = (np.column_stack([np.array(v, float), np.zeros(len(v))]) for v in (people, detections))
    score = -np.arange(len(detections)).astype(np.float32)
    assert nearest_first(people, detections, 0.5).tolist() == near
    assert strongest_first(people, detections, score, 0.5).tolist() == strong


def test_the_detector_is_fresh_for_every_sequence():
    evaluation, used = DetectorEvaluation(), []
    for name, folder in (("a_1", "x"), ("a_2", "x"), ("b_3", "x"), ("b_4", "y"), ("b_10", "y")):
        evaluation.evaluate(cloud([], [], name=name), folder)
        used.append(evaluation.detector)
    assert [used[i] is used[i + 1] for i in range(4)] == [True, False, False, True]


def test_contact_sheets(tmp_path):
    """Every case has two pictures, and not all of them fit on one sheet."""
    evaluation, sheet = DetectorEvaluation(), ContactSheet(CASES_A_SHEET + 1)
    scene = cloud(POST + person(14, 3), [(10, 0)])
    result = evaluation.evaluate(scene)
    assert (result.reason.tolist(), result.false.sum()) == (["score"], 1)
    for _ in range(CASES_A_SHEET // 2 + 1):
        sheet.add(scene, result, evaluation.detector, evaluation.rules)
    assert len(sheet) == CASES_A_SHEET + 2
    said = sheet.write(tmp_path / "street.png")
    assert f"{CASES_A_SHEET + 1} misses and false detections; 1 more" in said
    whole, rest = (cv2.imread(str(tmp_path / name)) for name in ("street.png", "street_2.png"))
    assert whole.shape[0] == 10 * rest.shape[0]
    used = (rest < 250).any(axis=2).reshape(rest.shape[0], 8, -1)[:, :, 20:-20].any(axis=(0, 2))
    assert used.tolist() == [True, True] + [False] * 6


def test_real_streets(shared_data):
    """The counts of labelled people who count are facts of the data; how many are found is for the detector to show."""
    folder = open_labelled(shared_data / "street")
    evaluation = DetectorEvaluation()
    results = [evaluation.evaluate(cloud, "street") for cloud in folder]
    people = {result.name: len(result.place) for result in results}
    assert people == {
        **{f"kitti0005_{number}": 1 for number in range(138, 154)},
        "av2_265259": 3,
        "sustech_000950": 6,
        "sustech_000970": 7,
    }
    figures = as_json(results, Rules())
    assert figures["people"] == figures["found"] + sum(figures["missed"].values()) == 32
    assert figures["by"]["100 or more returns"]["people"] == 16
    assert figures["found"] >= 9
