"""FP16 graphs made from a bundle's FP32 graphs, and the gate every reduced-precision graph has to pass.

TensorRT is strongly typed, so precision lives in the graph. Naive FP16 of CLIP collapses: LayerNorm, softmax, the
similarity that picks neighbours and all reductions stay in FP32, and so do inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgait_ros.inference.bundle import FRAME_ENCODER, SEQUENCE_HEAD, Bundle
from emgait_ros.inference.engine import Arrays, Engine

PRECISIONS = ("fp32", "fp16")
MIN_COSINE = 0.999  # of every sample's result against FP32
KEPT_IN_FP32 = ("LayerNormalization", "Softmax", "ReduceL2", "ReduceMean", "TopK", "Resize", "Range", "IsNaN")
SIMILARITY = {"Sub", "MatMul", "Div", "Clip", "ReduceL2", "Transpose", "Expand", "Mul", "Cast"}


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


def gate_samples(bundle: Bundle, batch: int = 4, seed: int = 0) -> dict[str, Arrays]:
    """Inputs for both graphs to compare precisions with: noise shaped like people, a missing image, missing points."""
    rng = np.random.default_rng(seed)
    made = bundle.preprocessing
    rows = np.arange(batch)
    frame: Arrays = {
        "crops": rng.random((batch, 3, made.crop_height, made.crop_width), dtype=np.float32),
        "points": rng.normal([0, 0, 0.9], [0.25, 0.25, 0.45], (batch, made.points, 3)).astype(np.float32),
        "has_image": rows != 1,
        "has_points": rows != 2,
    }
    image, point, _ = ([int(size) for size in spec.shape[2:]] for spec in bundle.graphs[SEQUENCE_HEAD].inputs)
    frames = max(bundle.min_frames, 4)
    head: Arrays = {
        "image_features": rng.normal(size=(batch, frames, *image)).astype(np.float32),
        "point_features": rng.normal(size=(batch, frames, *point)).astype(np.float32),
        "frame_mask": np.ones((batch, frames), bool),
    }
    return {FRAME_ENCODER: frame, SEQUENCE_HEAD: head}


def check_parity(engine: Engine, reference: Engine, feeds: Mapping[str, NDArray[Any]], file: Path) -> float:
    """The lowest cosine of any sample's results against the FP32 reference.

    Raises:
        ValueError: it is below ``MIN_COSINE``: the engine must not be used.
    """
    found, expected = engine.run(feeds), reference.run(feeds)
    lowest = min(float(_cosine(found[name], expected[name]).min()) for name in expected)
    if not lowest >= MIN_COSINE:
        raise ValueError(
            f"{file} gives other results than the FP32 graph (cosine {lowest:.4f}, needed is {MIN_COSINE}): use --precision fp32"
        )
    return lowest


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """(B,) cosine of each sample's flattened values."""
    x, y = (array.reshape(len(array), -1).astype(np.float64) for array in (a, b))
    return (x * y).sum(axis=1) / np.maximum(np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1), 1e-12)
