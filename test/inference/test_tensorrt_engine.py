"""TensorRT engines in use, on a GPU simulated in host memory (a real one is used in test_tensorrt_builder, where there is one)."""

import logging
import os

import numpy as np
import pytest
from simulated_gpu import HostCuda, HostTensorRT

from emgait_ros.config import EngineConfig
from emgait_ros.inference import tensorrt_engine
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.engine import BackendUnavailableError
from emgait_ros.inference.tensorrt_builder import cache_folder, load_tensorrt

CONFIG = EngineConfig(backend="tensorrt", max_batch=2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def gpu(bundle, cache, monkeypatch):
    """A GPU of the host's memory; TensorRT-RTX really builds the engines, the simulated run time runs their graphs."""
    pytest.importorskip("cuda.bindings")
    try:
        load_tensorrt("tensorrt-rtx")
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    cuda, graphs = HostCuda(), {}
    monkeypatch.setattr("cuda.bindings.runtime", cuda)
    build = tensorrt_engine.ensure_engine

    def ensure(bundle, graph, folder, key):
        file, content = build(bundle, graph, folder, key)
        graphs[content] = bundle.graphs[graph].path
        return file, content

    monkeypatch.setattr(tensorrt_engine, "ensure_engine", ensure)
    monkeypatch.setattr(tensorrt_engine, "load_tensorrt", lambda flavour: HostTensorRT(graphs))
    monkeypatch.setattr(tensorrt_engine, "_installed_flavour", lambda: "tensorrt-rtx")
    cuda.graphs = graphs
    return cuda


def test_embeddings_come_back_through_device_memory(bundle, samples, gpu):
    encoder, reference = GaitEncoder(bundle, CONFIG), GaitEncoder(bundle, EngineConfig(backend="onnxruntime"))
    assert encoder.description.startswith("tensorrt-rtx ")
    assert encoder.description.endswith("on Simulated GPU SM89, fp32")
    for _ in range(2):  # buffers are kept from run to run
        found, expected = (
            e.embed([list(e.encode_frames(samples)), list(e.encode_frames(samples))[:3]]) for e in (encoder, reference)
        )
        np.testing.assert_allclose(found, expected, atol=1e-6)
    held = len(gpu.allocated)
    encoder.encode_frames(samples)
    assert len(gpu.allocated) == held
    for engine in encoder.engines.values():
        engine.close()
    assert not gpu.allocated


def test_a_batch_above_the_profile_is_refused_by_the_engine_and_split_by_the_encoder(bundle, samples, gpu):
    encoder = GaitEncoder(bundle, CONFIG)
    with pytest.raises(
        ValueError, match=r"crops of semantic_encoder has shape \(5, .*: the engine was built for up to \(2,"
    ):
        encoder.engines["semantic_encoder"].run(samples.feeds())
    with pytest.raises(ValueError, match="batch must be at least 1"):
        encoder.engines["semantic_encoder"].run({name: value[:0] for name, value in samples.feeds().items()})
    assert len(encoder.encode_frames(samples)) == 5


def test_auto_takes_the_gpu_and_says_so(bundle, gpu, caplog):
    with caplog.at_level(logging.INFO):
        assert GaitEncoder(bundle, EngineConfig(max_batch=2)).backend == "tensorrt"
    assert any("Simulated GPU SM89, fp32, the best available" in record.getMessage() for record in caplog.records)


def test_an_engine_that_computes_something_else_is_not_used(bundle, gpu, monkeypatch, caplog):
    """The parity gate, and what auto does then: another backend, loudly."""
    run = tensorrt_engine.TensorRTEngine.run
    monkeypatch.setattr(
        tensorrt_engine.TensorRTEngine, "run", lambda self, feeds: {k: -v for k, v in run(self, feeds).items()}
    )
    with pytest.raises(ValueError, match=r"semantic_encoder.*\.engine gives other results .* use fp32"):
        GaitEncoder(bundle, CONFIG)
    with caplog.at_level(logging.WARNING):
        assert GaitEncoder(bundle, EngineConfig(max_batch=2)).backend == "onnxruntime"
    assert any("falls back to onnxruntime" in record.getMessage() for record in caplog.records)


def test_a_truncated_engine_in_the_cache_is_built_again(bundle, gpu, caplog):
    GaitEncoder(bundle, CONFIG)
    path = next(cache_folder(bundle).glob("sequence_head*.engine"))
    size = path.stat().st_size
    os.truncate(path, size // 2)
    with caplog.at_level(logging.WARNING):
        GaitEncoder(bundle, CONFIG)
    assert any("truncated" in record.getMessage() and str(path) in record.getMessage() for record in caplog.records)
    assert path.stat().st_size == size


def test_an_engine_the_gpu_refuses_is_named(bundle, gpu, monkeypatch):
    monkeypatch.setattr(HostTensorRT, "deserialize", lambda self, content: None)
    with pytest.raises(
        ValueError, match=r"semantic_encoder.*\.engine cannot be loaded on Simulated GPU SM89: delete it"
    ):
        GaitEncoder(bundle, CONFIG)
