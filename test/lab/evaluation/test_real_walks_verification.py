"""Same or different on real walks: which pairs count, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.evaluation.real_walk_verification import RealWalks, _figures
from emgait_ros.lab.simulation.real_walks import RecordedSteps, Take

STEPS = RecordedSteps(np.zeros((4, 31, 3)), 120.0, 1.1)


def source(names: tuple[str, ...] = ("07_01", "07_02", "07_03", "02_01")) -> RealWalks:
    return RealWalks([Take(n.split("_")[0], n, STEPS) for n in names], Preprocessing(), 4, True)


def test_pairs_are_takes_of_one_subject_against_everybody_else() -> None:
    data = source()
    assert len(data) == 4 * 2 * 8
    embedding = np.zeros((len(data), 1, 2), np.float32)
    embedding[data.identity == 0] = (1, 0)  # subject 02
    embedding[data.identity == 1] = (0, 1)  # subject 07
    strangers = np.tile(np.array([[[0.0, 1.0]]], np.float32), (3, 1, 1))  # look like 07
    found = _figures(data, embedding, strangers, np.arange(3))
    assert found["EER_real"].value == 0.0
    assert found["EER_simulated"].value == pytest.approx(0.5, abs=0.51)  # cannot be told apart
    assert found["EER"].value > found["EER_real"].value
    # 3 takes at 20 m, each against the two other takes at 10 m, 8 x 8 views.
    assert found["EER_real"].comparisons == 3 * 2 * 64
    assert found["EER_simulated"].comparisons == 3 * 2 * 64


@pytest.mark.parametrize("names", [("07_01", "07_02"), ("07_01", "02_01")])
def test_too_few_takes_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="at least two subjects, one of them with two takes"):
        source(names)
