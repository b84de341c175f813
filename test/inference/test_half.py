import numpy as np
import pytest

from emgait_ros.inference import half
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine


@pytest.mark.parametrize("graph", ["frame_encoder", "sequence_head"])
def test_fp16_graphs_pass_the_gate_and_are_smaller(bundle, tmp_path, graph):
    pytest.importorskip("onnx")
    source, target = bundle.graphs[graph].path, tmp_path / "half.onnx"
    half.write_graph(source, target, "fp16")
    reference, engine = OnnxRuntimeEngine(source), OnnxRuntimeEngine(target)
    samples = half.gate_samples(bundle)[graph]
    assert half.check_parity(engine, reference, samples, target) >= 0.999
    assert engine.inputs == reference.inputs  # inputs and outputs stay float32
    assert target.stat().st_size < 0.9 * source.stat().st_size
    different = [np.abs(engine.run(samples)[name] - value).max() for name, value in reference.run(samples).items()]
    assert max(different) > 0  # it really is another precision


def test_an_engine_that_disagrees_is_not_used(bundle, tmp_path):
    reference = OnnxRuntimeEngine(bundle.graphs["sequence_head"].path)

    class Wrong:
        backend, description, inputs, outputs = "wrong", "", reference.inputs, reference.outputs

        def run(self, feeds):
            return {name: value[::-1].copy() for name, value in reference.run(feeds).items()}  # samples swapped

    samples = half.gate_samples(bundle)["sequence_head"]
    with pytest.raises(
        ValueError, match=r"wrong\.onnx gives other results than the FP32 graph \(cosine .*use --precision fp32"
    ):
        half.check_parity(Wrong(), reference, samples, tmp_path / "wrong.onnx")


def test_an_unknown_precision_is_named(bundle, tmp_path):
    with pytest.raises(ValueError, match="unknown precision 'int3': known are fp32, fp16"):
        half.write_graph(bundle.weights_path, tmp_path / "graph.onnx", "int3")
