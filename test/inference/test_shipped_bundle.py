"""The bundle that is shipped, whatever its weights: every engine gives what its own reference file says.

`emgait train` and `emgait export --to bundle` write that file with the weights, so a new bundle brings its own.
"""

import numpy as np
import pytest

from emgait_ros.config import EngineConfig
from emgait_ros.inference import precision
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.preprocessing import FrameBatch
from emgait_ros.inference.reference import check_parity

TOLERANCE = 1e-4  # of the largest value of a tensor above 1
GRAPHS = ["semantic_encoder", "frame_encoder", "sequence_head"]


@pytest.fixture(scope="module")
def shipped():
    return load_bundle()


def assert_same(found, expected):
    assert np.abs(found - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_fp32_engines_give_the_saved_results(shipped, backend):
    if backend == "torch":
        pytest.importorskip("open_clip")
    reference, encoder = shipped.reference(), GaitEncoder(shipped, EngineConfig(backend=backend, clip_stride=1))
    feeds = reference.feeds()
    features = encoder.encode_frames(
        FrameBatch(feeds["crops"], feeds["points"], feeds["has_image"], feeds["has_points"])
    )
    saved = reference.arrays
    if backend == "torch" or shipped.clip_precision == "fp32":
        assert_same(features.arrays["image_features"], saved["image_features"])
        assert_same(features.arrays["point_features"], saved["point_features"])
        samples = list(features)
        assert_same(encoder.embed([samples, samples[::-1][:-1]]), saved["embedding"])


@pytest.mark.parametrize("graph", GRAPHS)
def test_fp16_graphs_pass_the_parity_gate(shipped, tmp_path, graph):
    pytest.importorskip("onnx")
    if graph not in shipped.graphs:
        pytest.skip(f"the shipped bundle has no {graph}")
    path = tmp_path / f"{graph}.fp16.onnx"
    precision.write_graph(shipped.graphs[graph].path, path, "fp16")
    assert check_parity(OnnxRuntimeEngine(path), shipped.reference(), path) >= 0.999


def test_int8_clip_passes_the_parity_gate(shipped, tmp_path):
    pytest.importorskip("onnx")
    if "semantic_encoder" not in shipped.graphs:
        pytest.skip("the shipped bundle mines no semantics")
    path = tmp_path / "int8.onnx"
    precision.write_int8_graph(shipped.graphs["semantic_encoder"].path, path)
    assert check_parity(OnnxRuntimeEngine(path), shipped.reference(), path) >= 0.999


def test_the_reference_shows_people_with_and_without_each_sensor(shipped):
    reference = shipped.reference()
    assert len(reference) >= 4
    for name in ("has_image", "has_points"):
        assert {True, False} == set(reference.arrays[name].tolist())
