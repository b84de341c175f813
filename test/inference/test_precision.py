import numpy as np
import pytest

from emgait_ros.inference import precision
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.reference import check_parity

GRAPHS = ["semantic_encoder", "frame_encoder", "sequence_head"]


@pytest.mark.parametrize("graph", GRAPHS)
def test_fp16_graphs_pass_the_gate_and_are_smaller(bundle, tmp_path, graph):
    pytest.importorskip("onnx")
    source, target, reference = bundle.graphs[graph].path, tmp_path / "half.onnx", bundle.reference()
    precision.write_graph(source, target, "fp16")
    full, half = OnnxRuntimeEngine(source), OnnxRuntimeEngine(target)
    assert check_parity(half, reference, target) >= 0.999
    assert half.inputs == full.inputs  # inputs and outputs stay float32
    assert target.stat().st_size < 0.9 * source.stat().st_size
    feeds = reference.head_feeds() if graph == "sequence_head" else reference.feeds()
    different = [np.abs(half.run(feeds)[name] - value).max() for name, value in full.run(feeds).items()]
    assert max(different) > 0  # it really is another precision


def test_int8_graphs_pass_the_gate_and_are_smaller(bundle, tmp_path):
    pytest.importorskip("onnx")
    source, target = bundle.graphs["semantic_encoder"].path, tmp_path / "int8.onnx"
    precision.write_int8_graph(source, target)
    assert check_parity(OnnxRuntimeEngine(target), bundle.reference(), target) >= 0.999
    assert b"MatMulInteger" in target.read_bytes()
    assert target.stat().st_size < source.stat().st_size


def test_int8_products_cannot_saturate(bundle, tmp_path):
    """A CPU without VNNI adds two products of an unsigned activation and a signed weight in 16 bits."""
    onnx = pytest.importorskip("onnx")
    target = tmp_path / "int8.onnx"
    precision.write_int8_graph(bundle.graphs["semantic_encoder"].path, target)
    weights = [t for t in onnx.load(str(target)).graph.initializer if t.data_type == onnx.TensorProto.INT8]
    largest = max(int(np.abs(onnx.numpy_helper.to_array(tensor).astype(int)).max()) for tensor in weights)
    assert 255 * largest * 2 <= np.iinfo(np.int16).max


def test_an_unknown_precision_is_named(bundle, tmp_path):
    with pytest.raises(ValueError, match="unknown precision 'int3': known are fp32, fp16"):
        precision.write_graph(bundle.weights_path, tmp_path / "graph.onnx", "int3")
