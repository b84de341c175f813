"""Bags as data sets: tracks become sequences of the people they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.datasets.checking import check_dataset
from emgait_ros.lab.datasets.opening import kind_of, open_dataset
from emgait_ros.lab.datasets.tracked_bag import LEAST_FRAMES, BagSequences
from emgait_ros.lab.simulation.recording import record
from emgait_ros.lab.simulation.scene import crossing_scene, shortened

PREPROCESSING = Preprocessing(points_frame="heading")


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(replace(shortened(crossing_scene(), 5.0)), tmp_path_factory.mktemp("bags") / "walk").path


def test_tracks_are_sequences_of_the_people_they_are(bag: Path) -> None:
    assert kind_of(bag) == "bag"
    data = open_dataset(bag, PREPROCESSING)
    assert isinstance(data, BagSequences)
    assert data.has_truth
    assert set(data.identity) <= {1, 2}
    assert len(data) >= 2
    for sequence in data:
        assert len(sequence) >= LEAST_FRAMES
        assert sequence.points.shape[1:] == (PREPROCESSING.points, 3)
        assert sequence.has_points.all()
        assert sequence.has_image.mean() > 0.8
        assert 5 < sequence.range_m < 25
        assert np.abs((sequence.view_deg - 90 + 90) % 180 - 90) < 50  # they cross from the side
    again = BagSequences(bag, PREPROCESSING)
    assert all(np.array_equal(one.points, other.points) for one, other in zip(data, again, strict=True))


def test_a_bag_is_checked(bag: Path) -> None:
    found = check_dataset(bag)
    assert found.dataset == "bag"
    assert found.frames > 2 * LEAST_FRAMES
    assert {p.kind for p in found.problems} <= {"one sequence"}  # each crosses once


def test_a_bag_without_anybody(tmp_path: Path) -> None:
    empty = replace(shortened(crossing_scene(), 0.6))
    path = record(empty, tmp_path / "walk").path
    with pytest.raises(ValueError, match="nobody is followed for 10 frames"):
        BagSequences(path, PREPROCESSING)
