"""Silhouettes of crops by a model of the user's, and what is said of one that does not fit."""

import dataclasses
import importlib.util

import numpy as np
import pytest
from onnx_models import redness_classifier, redness_segmenter

from emgait_ros.inference.preprocessing import Preprocessing, prepare
from emgait_ros.inference.segmenter import open_segmenter
from emgait_ros.lab.simulation.walks import generate_walk

PICTURED = Preprocessing(silhouette_height=64, silhouette_width=44)


@pytest.fixture
def crop():
    """A red body on green ground."""
    picture = np.zeros((128, 64, 3), np.uint8)
    picture[..., 1] = 200
    picture[20:120, 24:40] = (220, 0, 0)
    return picture


@pytest.mark.parametrize("channels", [1, 2])
def test_the_body_is_what_the_model_says(tmp_path, crop, channels):
    segmenter = open_segmenter(redness_segmenter(tmp_path / "red.onnx", channels))
    (mask,) = segmenter.masks([crop])
    assert mask.shape == (128, 64)
    body = np.zeros((128, 64), bool)
    body[20:120, 24:40] = True
    assert ((mask >= 128) != body).mean() < 0.03
    assert (segmenter.name, len(segmenter.sha256)) == ("red.onnx", 64)


def test_samples_get_silhouettes_of_their_crops_and_none_without(tmp_path, crop):
    segmenter = open_segmenter(redness_segmenter(tmp_path / "red.onnx"))
    sample = dataclasses.replace(generate_walk(7, 0, 10.0, 0.0, 1)[0], silhouette=None, crop=crop)
    made = prepare([sample, dataclasses.replace(sample, crop=None)], PICTURED, segmenter)
    assert made.has_silhouette.tolist() == [True, False]
    assert (made.silhouettes[0] > 0.5).any(axis=1).all()
    assert (made.silhouettes[0] > 0.5).mean() == pytest.approx(64 * 16 * 0.64 / (64 * 44), abs=0.03)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere.onnx", "which is no file: name an ONNX or tflite model, or mediapipe"),
        ("damaged.onnx", "cannot be loaded"),
        ("classifier.onnx", r"gives \[1, 1\]: expected"),
        ("grey.onnx", r"takes \[1, 2, 64, 32\]"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, name, sentence):
    (tmp_path / "damaged.onnx").write_bytes(b"none")
    redness_classifier(tmp_path / "classifier.onnx")
    redness_segmenter(tmp_path / "grey.onnx", inputs=2)
    with pytest.raises(ValueError, match=sentence):
        open_segmenter(str(tmp_path / name))


def test_too_many_channels_are_named(tmp_path, crop):
    segmenter = open_segmenter(redness_segmenter(tmp_path / "three.onnx", 3))
    with pytest.raises(ValueError, match="gives 3 channels: expected 1 or 2"):
        segmenter.masks([crop])


@pytest.mark.skipif(importlib.util.find_spec("mediapipe") is not None, reason="mediapipe is installed here")
def test_mediapipe_says_what_to_install():
    with pytest.raises(ValueError, match="pip install --no-deps mediapipe"):
        open_segmenter("mediapipe")
