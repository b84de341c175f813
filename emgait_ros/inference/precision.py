"""Graphs of reduced precision made from a bundle's FP32 graphs. Whoever uses one passes it through the parity gate first.

FP16: TensorRT is strongly typed, so precision lives in the graph. Naive FP16 of CLIP collapses: LayerNorm, softmax, the
similarity that picks neighbours and all reductions stay in FP32, and so do inputs and outputs.
INT8: for CPUs. Weights of the large layers are quantised, activations as they come (onnxruntime's dynamic quantisation). Weights
take 7 bits: without VNNI a CPU adds two products of 8 by 8 bits in 16 bits, which saturate at 255 x 127 x 2.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime

PRECISIONS = ("fp32", "fp16")
TAKE_HALF = ("emgaitnet", "gaitbase")
KEPT_IN_FP32 = ("LayerNormalization", "Softmax", "ReduceL2", "ReduceMean", "TopK", "Resize", "Range", "IsNaN")
SIMILARITY = {
    "Sub", "Add", "MatMul", "Div", "Clip", "ReduceL2", "ReduceSum", "Pow", "Unsqueeze", "Transpose", "Expand", "Mul", "Cast",
}  # fmt: skip


def check_precision(architecture: str, precision: str) -> None:
    """Refuse FP16 for networks whose FP16 graphs were not found equal to FP32.

    Raises:
        ValueError: names the networks that take it.
    """
    if precision == "fp16" and architecture not in TAKE_HALF:
        raise ValueError(
            f"FP16 graphs of {architecture} do not give what FP32 gives: use fp32 (FP16 is for {' and '.join(TAKE_HALF)})"
        )


def write_graph(source: Path, target: Path, precision: str) -> None:
    """Write a graph of a bundle at a precision.

    Raises:
        ValueError: an unknown precision, or FP16 without the ``onnx`` package.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision '{precision}': known are {', '.join(PRECISIONS)}")
    if precision == "fp32":
        target.write_bytes(source.read_bytes())
        return
    try:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise ValueError(
            f"making an FP16 graph needs the onnx package ({error}): pip install onnx, or use --precision fp32"
        ) from error
    model = onnx.load(str(source))
    half = convert_float_to_float16(
        model,
        keep_io_types=True,
        op_block_list=list(KEPT_IN_FP32),
        node_block_list=_similarity_nodes(model),
        disable_shape_infer=False,
    )
    target.write_bytes(half.SerializeToString(deterministic=True))


def _similarity_nodes(model: Any) -> list[str]:
    """Names of the nodes that compute what a TopK ranks: rounding there picks other neighbours."""
    producer = {output: node for node in model.graph.node for output in node.output}
    pending = [node.input[0] for node in model.graph.node if node.op_type == "TopK"]
    found: list[str] = []
    while pending:
        node = producer.get(pending.pop())
        if node is not None and node.op_type in SIMILARITY and node.name not in found:
            found.append(node.name)
            pending += node.input
    return found


def write_int8_graph(source: Path, target: Path) -> None:
    """Write a graph with its products by constant matrices in INT8, for onnxruntime on a CPU.

    Raises:
        ValueError: the ``onnx`` package is missing.
    """
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise ValueError(f"making an INT8 graph needs the onnx package ({error}): pip install onnx") from error
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises preprocessing, which _fold_constants has done
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folded, written = Path(scratch) / "folded.onnx", Path(scratch) / target.name
            _fold_constants(source, folded)
            quantize_dynamic(
                folded,
                written,
                nodes_to_quantize=_products_by_constants(onnx.load(str(folded))),
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
            )
            target.write_bytes(written.read_bytes())
    finally:
        logging.disable(before)


def _fold_constants(source: Path, target: Path) -> None:
    """Let onnxruntime compute what does not depend on the input: transposed and cut weights become constants."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _products_by_constants(model: Any) -> list[str]:
    """Names of the nodes that multiply by a constant matrix; constants of more axes are no weights of a layer."""
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    return [node.name for node in model.graph.node if node.op_type in ("MatMul", "Gemm") and node.input[1] in matrices]
