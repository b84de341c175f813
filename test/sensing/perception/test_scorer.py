"""The learned judge: what it refuses, and that each candidate is judged alone."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from synthetic_clouds import person, scan

from emgait_ros.config import DetectorConfig
from emgait_ros.sensing.perception.candidates import CandidateFinder
from emgait_ros.sensing.perception.detector import ShapeDetector
from emgait_ros.sensing.perception.scorer import FIRST_LOOK, SCORER, SHIPPED, Scorer
from emgait_ros.sensing.perception.views import FRONT_SHAPE, READ, TOP_SHAPE, Views
from emgait_ros.shipped import shipped_path


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=rf"detector\.scorer.*{FIRST_LOOK}"):
        Scorer(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="nowhere"):
        ShapeDetector(DetectorConfig(scorer=str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({FIRST_LOOK: FIRST_LOOK}, SCORER),  # one is missing
        ({FIRST_LOOK: FIRST_LOOK, SCORER: FIRST_LOOK}, f"{SCORER} takes .*measures.*expected .*front"),
        ({FIRST_LOOK: SCORER, SCORER: SCORER}, f"{FIRST_LOOK} takes .*front.*expected .*measures"),
    ],
)
def test_files_for_other_inputs_are_refused(tmp_path, files, words):
    for name, source in files.items():
        shutil.copy(shipped_path(SHIPPED) / source, tmp_path / name)
    with pytest.raises(ValueError, match=words):
        Scorer(str(tmp_path))


def test_a_file_that_is_no_network_is_refused(tmp_path):
    for name in (FIRST_LOOK, SCORER):
        (tmp_path / name).write_bytes(b"not a network")
    with pytest.raises(ValueError, match=FIRST_LOOK):
        Scorer(str(tmp_path))


def test_no_candidates(scorer):
    nothing = np.zeros((0, len(READ)), np.float32)
    assert scorer.promising(nothing).shape == (0,)
    assert scorer.promising(nothing).dtype == bool
    views = Views(np.zeros((0, *FRONT_SHAPE), np.float32), np.zeros((0, *TOP_SHAPE), np.float32), nothing)
    assert [(s.shape, s.dtype) for s in scorer.score(views)] == [((0,), np.float32)] * 2


def test_each_candidate_is_judged_alone(scorer):
    wall = ("box", (15.6, 16.0, -5.0, 5.0, 0.0, 3.0))
    found = CandidateFinder(DetectorConfig()).find(scan([wall, *person(10, 0), *person(12, 4), *person(-8, 3)]))
    score, several = scorer.score(found.views)
    promising = scorer.promising(found.views.measures)
    assert len(score) == len(promising) > 3
    assert ((score >= 0) & (score <= 1) & (several >= 0) & (several <= 1)).all()
    people = [int(np.hypot(*(found.place - place).T).argmin()) for place in ((10, 0), (12, 4), (-8, 3))]
    assert promising[people].all()
    assert (score[people] > 0.6).all()
    for k in range(len(score)):
        one = slice(k, k + 1)
        alone = scorer.score(Views(found.views.front[one], found.views.top[one], found.views.measures[one]))
        np.testing.assert_allclose(np.concatenate(alone), [score[k], several[k]], atol=1e-4)
