"""A second look at crops: models of the user's, mediapipe where it is installed, and what follows for tracks."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from kitti_frames import load_frame
from onnx_models import red_cells_detector, redness_classifier

from emgait_ros.config import DetectorConfig, SampleConfig, VerifierConfig
from emgait_ros.samples import Sample
from emgait_ros.sensing.perception.camera import box_rectangles
from emgait_ros.sensing.perception.crops import cut_crop
from emgait_ros.sensing.perception.detector import ShapeDetector
from emgait_ros.sensing.perception.verifier import OnnxVerifier, TrackVerdicts, make_verifier, squared

HAS_POSE = find_spec("mediapipe") is not None and find_spec("ai_edge_litert") is not None


def crop_of(color: tuple[int, int, int]) -> np.ndarray:
    return np.full((128, 64, 3), color, np.uint8)


RED, GREEN, NIGHT = crop_of((250, 30, 30)), crop_of((30, 250, 30)), crop_of((9, 0, 0))


def pedestrian(track_id: int, crop: np.ndarray | None, height_px: float = 90.0, occlusion: float = 0.0) -> Sample:
    place = np.array([10.0 + track_id, 0.0, 0.0])
    size, speed = np.array([0.6, 0.6, 1.8]), np.zeros(3)
    return Sample(
        track_id, place, size, speed, True, place[0], 0.9, 50, None, crop, height_px, 0.0, 0.1, occlusion
    )  # fmt: skip


@pytest.mark.parametrize("numbers", [1, 2])
def test_onnx_classifier(tmp_path, numbers):
    verifier = make_verifier(VerifierConfig(model=redness_classifier(tmp_path / "m.onnx", numbers)))
    scores = verifier.scores([RED, GREEN])
    assert scores.shape == (2,)
    assert scores[0] > 0.8
    assert scores[1] < 0.2
    assert verifier.scores([]).shape == (0,)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("none.onnx", None, "there is no such file"), ("text.onnx", b"no model", "cannot be loaded as ONNX")],
)
def test_unusable_models_are_named(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        make_verifier(VerifierConfig(model=str(tmp_path / name)))


def test_a_model_with_other_outputs_is_named(tmp_path):
    with pytest.raises(ValueError, match="expected 1 or 2"):
        OnnxVerifier(red_cells_detector(tmp_path / "m.onnx", "rows")).scores([RED])


@pytest.mark.skipif(HAS_POSE, reason="mediapipe is installed here")
def test_mediapipe_that_is_not_installed_says_what_to_do():
    with pytest.raises(ValueError, match="pip install"):
        make_verifier(VerifierConfig(model="mediapipe"))


@pytest.mark.skipif(not HAS_POSE, reason="mediapipe and ai-edge-litert are not installed")
def test_mediapipe_knows_real_people_from_street(shared_data):
    data = load_frame(shared_data, "000000")
    found = ShapeDetector(DetectorConfig()).detect(data.points)
    rectangle, _ = box_rectangles(found.center.astype(float), found.size.astype(float), data.camera)
    nearest = int(np.argmin(np.hypot(*(found.center[:, :2] - data.people[0]).T)))
    man = cut_crop(data.image, rectangle[nearest], SampleConfig())
    wall = cut_crop(data.image, np.array([300.0, 150.0, 360.0, 300.0]), SampleConfig())
    scores = make_verifier(VerifierConfig(model="mediapipe")).scores([man, wall])
    assert scores[0] > 0.9
    assert scores[1] < 0.3


@pytest.fixture
def verdicts(tmp_path) -> TrackVerdicts:
    config = VerifierConfig(model=redness_classifier(tmp_path / "m.onnx"), crops_per_frame=2, min_looks=3)
    verifier = make_verifier(config)
    assert verifier is not None
    return TrackVerdicts(config, verifier)


def test_tracks_that_show_nobody_are_left_out_after_some_looks(verdicts):
    people = (pedestrian(1, RED), pedestrian(2, GREEN))
    reported = [[p.track_id for p in verdicts.sift(people)] for _ in range(5)]
    assert reported == [[1, 2], [1, 2], [1], [1], [1]]


@pytest.mark.parametrize(
    "odd",
    [
        pedestrian(1, None),  # no image
        pedestrian(1, NIGHT),  # nothing can be seen
        pedestrian(1, GREEN, height_px=20.0),  # too far away to judge
        pedestrian(1, GREEN, occlusion=0.8),  # somebody stands in front
    ],
    ids=["no crop", "dark", "far", "hidden"],
)
def test_what_cannot_be_judged_stays(verdicts, odd):
    assert all(verdicts.sift((odd,)) for _ in range(6))


def test_a_few_crops_a_frame_the_least_known_first(verdicts):
    looked: list[int] = []
    inner = verdicts._verifier

    class Counting:
        def scores(self, crops):
            looked.append(len(crops))
            return inner.scores(crops)

    verdicts._verifier = Counting()
    people = tuple(pedestrian(k, RED) for k in range(6))
    for _ in range(3):
        verdicts.sift(people)
    assert looked == [2, 2, 2]
    assert sorted(verdicts._looks.values()) == [1] * 6
    verdicts.sift(())
    assert not verdicts._looks


def test_squared_keeps_the_aspect():
    square = squared(RED, 256)
    assert square.shape == (256, 256, 3)
    assert (square[:, :60] == 0).all()
    assert (square[:, 70:186] == (250, 30, 30)).all()
