"""Real TensorRT-RTX engines, built on the CPU; running one needs a GPU."""

import dataclasses
import json
import logging
import os

import pytest

from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.engine import BackendUnavailableError
from emgait_ros.inference.tensorrt_builder import (
    build_engine,
    engine_key,
    engine_path,
    ensure_engine,
    load_tensorrt,
    read_engine,
)
from emgait_ros.inference.tensorrt_engine import gpu_name, tensorrt_engines

GRAPHS = ["semantic_encoder", "frame_encoder", "sequence_head"]


@pytest.fixture(scope="module", autouse=True)
def _installed():
    try:
        load_tensorrt("tensorrt-rtx")
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("engines")


def check_built(bundle, graph, folder, precision, max_batch):
    """Build an engine and hold its tensors and profiles against the bundle's manifest."""
    key = engine_key(bundle, graph, "tensorrt-rtx", "SM89", precision, max_batch)
    build_engine(bundle, graph, folder, key)
    file, content = read_engine(engine_path(folder, graph, key), key)
    tensors = {tensor["name"]: tensor for tensor in file.tensors}
    info = bundle.graphs[graph]
    for mode, specs in (("input", info.inputs), ("output", info.outputs)):
        assert {name for name, tensor in tensors.items() if tensor["mode"] == mode} == {spec.name for spec in specs}
    for spec in (*info.inputs, *info.outputs):
        tensor = tensors[spec.name]
        assert tensor["dtype"] == spec.dtype  # float32 outside whatever runs inside
        assert tensor["shape"] == [-1 if isinstance(size, str) else size for size in spec.shape]
    for spec in info.inputs:
        low, best, high = tensors[spec.name]["profile"]
        assert (low[0], best[0], high[0]) == (1, min(8, max_batch), max_batch)
        if graph == "sequence_head":
            assert (low[1], high[1]) == (1, bundle.max_frames)
        assert low[2:] == high[2:]
    return len(content)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_engines_are_built_without_a_gpu(bundle, folder, graph, precision):
    if precision == "fp16":
        pytest.importorskip("onnx")
    assert check_built(bundle, graph, folder, precision, 6) > 10_000


@pytest.mark.parametrize("graph", GRAPHS)
def test_engines_of_the_shipped_bundle(folder, graph):
    pytest.importorskip("onnx")
    bundle = load_bundle()
    if graph not in bundle.graphs:
        pytest.skip(f"the shipped bundle has no {graph}")
    full, half = (check_built(bundle, graph, folder, precision, 16) for precision in ("fp32", "fp16"))
    assert half < full


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_engines_of_a_network_at_the_papers_scale(tmp_path):
    """CLIP ViT-B/16 with random weights: 175 million parameters through the real parser and builder."""
    pytest.importorskip("open_clip")
    from emgait_ros.emgaitnet.network_config import EMGaitNetConfig
    from emgait_ros.lab.bench.model import random_bundle

    bundle = random_bundle(EMGaitNetConfig.paper("ViT-B-16"), tmp_path, "large")
    for graph in GRAPHS:
        size = check_built(bundle, graph, tmp_path, "fp16", 8)
        assert size > (200_000_000 if graph == "semantic_encoder" else 100_000)


@pytest.fixture
def built(bundle, tmp_path):
    key = engine_key(bundle, "sequence_head", "tensorrt-rtx", "SM86", "fp32", 2)
    return build_engine(bundle, "sequence_head", tmp_path, key)


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


def age(path):
    notes = path.with_suffix(".json")
    values = json.loads(notes.read_text())
    values["key"]["version"] = "1.0"
    notes.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: os.truncate(path, 1000), "has 1000 bytes, expected .* truncated"),
        (flip_a_byte, "damaged: its SHA-256"),
        (age, "stale: version is '1.0', expected '"),
        (lambda path: path.with_suffix(".json").write_text("{}"), "is damaged .*delete it and build the engine again"),
    ],
)
def test_an_engine_that_is_stale_or_damaged_is_built_again(bundle, built, caplog, damage, words):
    damage(built.path)
    with pytest.raises(ValueError, match=words):
        read_engine(built.path, built.key)
    with caplog.at_level(logging.WARNING):
        ensure_engine(bundle, "sequence_head", built.path.parent, built.key)
    assert any(str(built.path.with_suffix("")) in record.getMessage() for record in caplog.records)
    read_engine(built.path, built.key)


def test_every_part_of_the_key_has_its_own_file(built, tmp_path):
    changes = {
        "onnx_sha256": "0", "version": "2.0", "target": "SM120", "precision": "fp16", "max_batch": 3,
        "max_frames": 99,
    }  # fmt: skip
    others = {
        engine_path(tmp_path, "sequence_head", dataclasses.replace(built.key, **{name: value}))
        for name, value in changes.items()
    }
    assert len(others) == len(changes)
    assert built.path not in others
    with pytest.raises(FileNotFoundError, match="was not built yet"):
        read_engine(next(iter(others)), built.key)


@pytest.mark.parametrize("target", ["SM12", "CURRENT", "NVIDIA"])
def test_a_gpu_that_cannot_be_built_for_is_named(bundle, tmp_path, target):
    key = engine_key(bundle, "sequence_head", "tensorrt-rtx", target, "fp32", 2)
    with pytest.raises(ValueError, match=f"does not build for '{target}': it builds for .*SM89"):
        build_engine(bundle, "sequence_head", tmp_path, key)


def test_engines_run_and_agree_on_a_gpu(bundle, samples, tmp_path, monkeypatch):
    try:
        gpu_name()
    except BackendUnavailableError as error:
        pytest.skip(f"not run: {error}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    encoder = GaitEncoder(bundle, EngineConfig(backend="tensorrt"))
    reference = GaitEncoder(bundle, EngineConfig(backend="onnxruntime"))
    found, expected = (e.embed([list(e.encode_frames(samples))]) for e in (encoder, reference))
    assert abs(found - expected).max() < 1e-3


def test_without_a_gpu_the_backend_says_so_and_auto_goes_on(bundle, caplog):
    try:
        gpu_name()
    except BackendUnavailableError:
        pass
    else:
        pytest.skip("there is a GPU here")
    with pytest.raises(BackendUnavailableError, match="needs an NVIDIA GPU, and there is none here"):
        tensorrt_engines(bundle, EngineConfig())
    with caplog.at_level(logging.INFO):
        assert GaitEncoder(bundle).backend == "onnxruntime"
    assert any("best available (tensorrt needs an NVIDIA GPU" in record.getMessage() for record in caplog.records)
