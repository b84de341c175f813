"""Reference results of a bundle: what is in them, and the gate that engines pass before they are used."""

import os

import numpy as np
import pytest

from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.reference import _cosine, check_parity, read_reference, write_reference


class Wrong:
    """The sequence head of a bundle with its results in the wrong order."""

    backend, description = "wrong", ""

    def __init__(self, engine):
        self.engine, self.inputs, self.outputs = engine, engine.inputs, engine.outputs

    def run(self, feeds):
        return {name: value[::-1].copy() for name, value in self.engine.run(feeds).items()}


@pytest.mark.parametrize("largest", [1, 4, 64])
@pytest.mark.parametrize("graph", ["semantic_encoder", "frame_encoder", "sequence_head"])
def test_the_bundles_own_graphs_pass_the_gate(bundle, graph, largest):
    path = bundle.graphs[graph].path
    assert check_parity(OnnxRuntimeEngine(path), bundle.reference(), path, largest) > 1 - 1e-6


def test_an_engine_that_disagrees_is_not_used(bundle, tmp_path):
    wrong = Wrong(OnnxRuntimeEngine(bundle.graphs["frame_encoder"].path))
    with pytest.raises(ValueError, match=r"wrong\.onnx gives other results .* in FP32 \(cosine .*: use fp32"):
        check_parity(wrong, bundle.reference(), tmp_path / "wrong.onnx")


def test_it_holds_samples_with_a_missing_modality(bundle):
    reference = bundle.reference()
    assert reference.crops.dtype == np.uint8
    assert not reference.arrays["has_image"].all()
    assert not reference.arrays["has_points"].all()


def without(name):
    def damage(path):
        reference = read_reference(path)
        arrays = {key: value for key, value in reference.arrays.items() if key != name}
        write_reference(path, reference.crops, arrays)

    return damage


def pickled(path):
    np.savez(path, crops=np.array([{"a": 1}], dtype=object))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: os.truncate(path, 200), r"reference\.npz is damaged"),
        (lambda path: path.write_bytes(b"no archive"), r"reference\.npz is damaged"),
        (pickled, r"reference\.npz is damaged \(it holds Python objects"),
        (without("embedding"), r"reference\.npz is damaged: it lacks embedding"),
    ],
)
def test_a_damaged_file_is_named(copy, damage, words):
    damage(copy / "reference.npz")
    with pytest.raises(ValueError, match=words):
        read_reference(copy / "reference.npz")


def test_a_sample_that_gives_nothing_agrees_with_nothing_alone():
    """Networks give zeros for a frame without their modality: no reason to refuse an engine that does so too."""
    none, some = np.zeros((1, 4)), np.ones((1, 4))
    assert _cosine(none, none) == 1.0
    assert _cosine(none, some) == _cosine(some, none) == 0.0
    assert _cosine(some, 3 * some) == pytest.approx(1.0)
