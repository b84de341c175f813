"""ONNX graphs of a network's parts, each checked against torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine

TOLERANCE = 1e-4  # largest difference between onnxruntime and torch, relative to the largest value of a tensor above 1


class GaitNetwork(Protocol):
    """What can be exported: a network in two parts, of a frame and of a window.

    Attributes:
        architecture: one of ``inference.bundle.ARCHITECTURES``.
        inputs: names of what ``frame`` takes, (B, ...) each; text of SeMi comes from ``frame.semantics``.
        features: names of what ``frame`` gives; ``sequence`` takes them, (B, T, ...) each, and ``frame_mask`` (B, T).
        config: sizes, with ``min_frames`` and ``max_frames``, as plain types by ``to_dict``.
    """

    architecture: str
    inputs: tuple[str, ...]
    features: tuple[str, ...]
    config: Any
    frame: Any
    sequence: Any

    def example_inputs(self, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """Random inputs of ``frame``, samples with a missing modality among them."""
        ...

    def eval(self) -> Any:
        """Evaluation mode."""
        ...


def export_graph(module: nn.Module, inputs: Mapping[str, Tensor], path: Path, outputs: tuple[str, ...]) -> None:
    """``torch.onnx.export`` with dynamic batch and window length, in one file; the batch is traced at 2 or more."""
    batch, frames = torch.export.Dim("batch", min=1), torch.export.Dim("frames", min=1)
    windows = "frame_mask" in inputs
    dynamic = {name: {0: batch, 1: frames} if windows else {0: batch} for name in inputs}
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter warns that inputs share their batch, which they must
            program = torch.onnx.export(
                module,
                (),
                kwargs=dict(inputs),
                dynamo=True,
                dynamic_shapes=dynamic,
                output_names=list(outputs),
                verbose=False,
            )
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    path.write_bytes(_bare(program.model_proto).SerializeToString(deterministic=True))


def _bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the exporter's notes: they hold source paths of this machine and make equal graphs differ."""
    for graph in (model.graph, *model.functions):
        for node in graph.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        for value in graph.value_info:
            value.ClearField("metadata_props")
        graph.ClearField("metadata_props")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
    return model


@torch.no_grad()
def check_graph(module: nn.Module, inputs: Mapping[str, Tensor], path: Path) -> OnnxRuntimeEngine:
    """Raise ValueError unless onnxruntime gives what torch gives, at the traced batch and at a batch of one."""
    engine = OnnxRuntimeEngine(path)
    for rows in (slice(None), slice(0, 1)):
        part = {name: value[rows] for name, value in inputs.items()}
        expected = module(**part)
        found = engine.run({name: value.numpy() for name, value in part.items()})
        for spec, reference in zip(
            engine.outputs, (expected,) if isinstance(expected, Tensor) else expected, strict=True
        ):
            scale = max(1.0, float(reference.abs().max()))
            difference = float(np.abs(found[spec.name] - reference.numpy()).max()) / scale
            if not difference <= TOLERANCE:
                raise ValueError(
                    f"{path.name}: tensor {spec.name} differs from torch by {difference:.1e}, allowed is {TOLERANCE:.0e}"
                )
    return engine
