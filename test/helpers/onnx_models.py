"""Tiny ONNX models that really look at the picture: redness as a person's probability, and red blobs as boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

GRID = 8  # px of a cell of the detector


def _saved(path: Path, nodes: list[onnx.NodeProto], shape: list[int], out: list[list[int]], constants: dict) -> str:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"out{i}", TensorProto.FLOAT, s) for i, s in enumerate(out)],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return str(path)


def redness_classifier(path: Path, numbers: int = 1) -> str:
    """(1, 3, 64, 32) to the mean of red less that of green: as a probability, or as two logits."""
    weight = np.array([[1.0, -1.0, 0.0]] if numbers == 1 else [[0, 4, 0], [4, 0, 0]], np.float32).T
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["raw"]),
        helper.make_node("Clip", ["raw", "low", "high"], ["out0"]),
    ]
    low = np.float32(0.0 if numbers == 1 else -9.0)
    constants = {"w": weight, "low": np.array(low, np.float32), "high": np.array(9.0, np.float32)}
    return _saved(path, nodes, [1, 3, 64, 32], [[1, numbers]], constants)


def red_cells_detector(path: Path, form: str, size: tuple[int, int] = (96, 160)) -> str:
    """Every 8 px cell is an anchor with a box three cells high and one wide; its score is how red it is.

    Args:
        form: "rows" (1, N, 6), "columns" (1, 4 + 2, A) or "objectness" (1, A, 5 + 2).
    """
    height, width = size
    v, u = np.mgrid[0 : height // GRID, 0 : width // GRID].astype(np.float32)
    u, v = (u.ravel() + 0.5) * GRID, (v.ravel() + 0.5) * GRID
    half = (GRID / 2, GRID * 1.5)
    corners = np.stack([u - half[0], v - half[1], u + half[0], v + half[1]], 1)
    centred = np.stack([u, v, np.full_like(u, GRID), np.full_like(u, 3 * GRID)], 1)
    count = len(u)
    kernel = np.zeros((1, 3, GRID, GRID), np.float32)
    kernel[0, 0], kernel[0, 1] = 1 / GRID**2, -1 / GRID**2
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["map"], strides=[GRID, GRID]),
        helper.make_node("Relu", ["map"], ["red"]),
        helper.make_node("Reshape", ["red", "shape"], ["score"]),
    ]
    parts = {
        "rows": (corners, ["score", "zero"], 2),
        "columns": (centred, ["score", "zero"], 2),
        "objectness": (centred, ["score", "one", "zero"], 2),
    }[form]
    boxes, scores, axis = parts
    nodes.append(helper.make_node("Concat", ["boxes", *scores], ["table"], axis=axis))
    nodes.append(helper.make_node("Transpose", ["table"], ["out0"], perm=[0, 2, 1] if form == "columns" else [0, 1, 2]))
    constants = {
        "kernel": kernel,
        "shape": np.array([1, count, 1], np.int64),
        "boxes": boxes[None].astype(np.float32),
        "zero": np.zeros((1, count, 1), np.float32),
        "one": np.ones((1, count, 1), np.float32),
    }
    columns = 4 + len(scores)
    out = [1, columns, count] if form == "columns" else [1, count, columns]
    return _saved(path, nodes, [1, 3, height, width], [out], constants)


def redness_segmenter(path: Path, channels: int = 1, inputs: int = 3) -> str:
    """(1, 3, 64, 32) to (1, 1 or 2, 64, 32): red less green of each pixel as a probability, or two logits."""
    rows = {1: [[1.0, -1.0, 0.0]], 2: [[0.0, 8.0, 0.0], [8.0, 0.0, 0.0]], 3: np.eye(3)}[channels]
    kernel = np.array(rows, np.float32)[:, :inputs, None, None]
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["raw"]),
        helper.make_node("Clip", ["raw", "low", "high"], ["out0"]),
    ]
    limits = {"low": np.array(0.0, np.float32), "high": np.array(1.0 if channels == 1 else 9.0, np.float32)}
    return _saved(path, nodes, [1, inputs, 64, 32], [[1, channels, 64, 32]], {"kernel": kernel, **limits})
