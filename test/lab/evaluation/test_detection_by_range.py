"""The detection benchmark by range: made-up boxes whose figures can be counted by hand, and simulated streets."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.lab.datasets.boxes import OrientedBoxes
from emgait_ros.lab.datasets.labelled_clouds import read_npz, simulated_streets
from emgait_ros.lab.evaluation.detection import DetectorEvaluation
from emgait_ros.lab.evaluation.detection_by_range import BANDS, band_of, draw, figures, judge, overlap_from_above
from emgait_ros.samples import Detections


def people(
    places: list[tuple[float, float]], size: tuple[float, float] = (0.8, 0.8), yaw: float = 0.0
) -> OrientedBoxes:
    center = np.column_stack([np.reshape(places, (-1, 2)), np.zeros(len(places))])
    kind, boxes = np.full(len(places), "Pedestrian"), np.tile([*size, 1.8], (len(places), 1))
    return OrientedBoxes(kind, center, boxes, np.full(len(places), yaw))


def detections(places: list[tuple[float, float]], score: list[float]) -> Detections:
    center = np.column_stack([np.reshape(places, (-1, 2)), np.zeros(len(places))]).astype(np.float32)
    size = np.tile(np.float32([0.8, 0.8, 1.8]), (len(places), 1))
    return Detections(center, size, np.float32(score), np.zeros(0, np.int64), np.zeros(len(places) + 1, np.int64))


def judged(label: list[tuple[float, float]], found: list[tuple[float, float]], score: list[float], counts=None):
    everybody = np.ones(len(label), bool) if counts is None else np.array(counts)
    return judge(people(label), everybody, detections(found, score), np.ones(len(found), bool))


@pytest.mark.parametrize(
    ("metres", "band"), [(0, 0), (9.99, 0), (10, 1), (29.9, 2), (30, 3), (49.9, 4), (50, 5), (120, 5)]
)
def test_bands(metres: float, band: int) -> None:
    assert band_of(np.array([[0.6 * metres, -0.8 * metres]])).tolist() == [band]
    assert len(BANDS) == 6


@pytest.mark.parametrize(
    ("size", "yaw", "shift", "overlap"),
    [
        ((0.8, 0.8), 0.0, 0.0, 1.0),
        ((0.8, 0.8), 0.0, 0.4, 1 / 3),
        ((0.8, 0.8), np.pi / 2, 0.0, 1.0),
        ((1.6, 0.8), 0.0, 0.0, 0.5),
        ((1.6, 0.8), np.pi / 2, 0.4, 0.4 * 0.8 / (1.28 + 0.64 - 0.32)),
        ((0.8, 0.8), 0.0, 0.81, 0.0),
        ((0.8, 0.8), 0.0, 30.0, 0.0),
    ],
)
def test_overlap_from_above(size, yaw: float, shift: float, overlap: float) -> None:
    found = overlap_from_above(people([(20, 5)], size, yaw), detections([(20 + shift, 5)], [0.9]))
    assert found == pytest.approx(np.array([[overlap]]), abs=2e-3)


@pytest.mark.parametrize(
    ("label", "found", "score", "counts", "recall", "precision", "false"),
    [
        # recall, average precision and false detections a cloud of all: within 0.5 m, within 1 m, overlap by half
        ([(9, 0)], [(9, 0)], [0.9], None, (1, 1, 1), (1, 1, 1), (0, 0, 0)),
        ([(9, 0)], [(9.7, 0)], [0.9], None, (0, 1, 0), (0, 1, 0), (1, 0, 1)),
        ([(9, 0)], [(9.3, 0)], [0.9], None, (1, 1, 0), (1, 1, 0), (0, 0, 1)),
        ([(9, 0)], [(9, 0), (20, 0)], [0.6, 0.9], None, (1, 1, 1), (0.5, 0.5, 0.5), (1, 1, 1)),
        ([(9, 0)], [(9, 0), (9.1, 0)], [0.9, 0.6], None, (1, 1, 1), (1, 1, 1), (1, 1, 1)),  # one to one
        ([(9, 0)], [(9, 0)], [0.3], None, (0, 0, 0), (1, 1, 1), (0, 0, 0)),  # below min_score: on the curve alone
        ([(9, 0), (12, 0)], [(9, 0), (12, 0)], [0.9, 0.9], [True, False], (1, 1, 1), (1, 1, 1), (0, 0, 0)),
        ([(9, 0)], [], [], None, (0, 0, 0), (0, 0, 0), (0, 0, 0)),
    ],
)  # fmt: skip
def test_one_cloud(label, found, score, counts, recall, precision, false) -> None:
    table = figures([judged(label, found, score, counts)], min_score=0.5)
    for key, wanted in (("recall", recall), ("average_precision", precision), ("false_per_cloud", false)):
        assert tuple(row["all"][key] for row in table.values()) == pytest.approx(wanted)


def test_bands_stand_apart_and_a_detection_over_the_edge_counts_where_its_person_stands(tmp_path) -> None:
    clouds = [judged([(29.9, 0), (45, 0)], [(30.1, 0), (61, 0)], [0.9, 0.8]), judged([(45, 0)], [(45, 0)], [0.7])]
    table = figures(clouds, min_score=0.5)["0.5 m"]
    assert [table[band]["people"] for band in ("all", *BANDS)] == [3, 0, 0, 1, 0, 2, 0]
    assert [table[band]["recall"] for band in BANDS] == [None, None, 1.0, None, 0.5, None]
    assert [table[band]["false_per_cloud"] for band in BANDS] == [0, 0, 0, 0, 0, 0.5]
    assert table["30-40 m"]["average_precision"] is None
    draw(clouds, tmp_path / "deep" / "curves.png")
    assert (tmp_path / "deep" / "curves.png").stat().st_size > 10_000


def test_simulated_streets_are_looked_at_all_round() -> None:
    (cloud,) = simulated_streets(1)
    result = DetectorEvaluation().evaluate(cloud)
    counts = (cloud.boxes.returns(cloud.points) >= 8) & (cloud.boxes.kind == "Pedestrian")
    assert counts.sum() == len(result.by_range["0.5 m"].person_band) > 0
    assert result.in_view.all()
    with pytest.raises(ValueError, match="0 simulated clouds are asked for"):
        simulated_streets(0)


@pytest.mark.parametrize(
    ("night", "read"), [({}, None), ({"night": True}, True), ({"night": np.array([1])}, "expected one bool")]
)
def test_day_and_night(night: dict, read, tmp_path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, xyz=np.zeros((3, 3), np.float32), boxes=np.zeros((0, 8)), **night)
    if isinstance(read, str):
        with pytest.raises(ValueError, match=read):
            read_npz(file)
    else:
        assert read_npz(file).night is read
