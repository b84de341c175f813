"""From a trained network to a model bundle: two ONNX graphs, checked against torch, and all that describes them."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from emgait_ros.emgaitnet.config import EMGaitNetConfig
from emgait_ros.emgaitnet.model import EMGaitNet
from emgait_ros.emgaitnet.weights import save_weights
from emgait_ros.inference.bundle import (
    FORMAT,
    FRAME_ENCODER,
    REQUIRED_FILES,
    SEQUENCE_HEAD,
    Bundle,
    file_entry,
    load_bundle,
)
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.preprocessing import Preprocessing

INPUTS = {
    FRAME_ENCODER: ("crops", "points", "has_image", "has_points"),
    SEQUENCE_HEAD: ("image_features", "point_features", "frame_mask"),
}
OUTPUTS = {FRAME_ENCODER: ("image_features", "point_features"), SEQUENCE_HEAD: ("embedding",)}
TOLERANCE = 1e-4  # largest difference between onnxruntime and torch, relative to the largest value of a tensor above 1


def write_bundle(
    network: EMGaitNet,
    out_dir: Path,
    name: str,
    preprocessing: Preprocessing,
    *,
    threshold: float | None = None,
    min_margin: float | None = None,
    calibration: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    card: str = "",
    licence: str = "Apache-2.0",
    samples: Mapping[str, Tensor] | None = None,
) -> Bundle:
    """Export a network as the bundle ``out_dir / name``, whole or not at all.

    Args:
        network: its BNNeck is left out.
        out_dir: folder of bundles, made when absent; an older bundle of that name is replaced.
        name: name of the bundle, a plain folder name.
        preprocessing: how training prepared its input.
        threshold, min_margin: calibrated decision, None when there was no calibration.
        calibration: how they were found (data, pairs, false-accept rate), as JSON values.
        training: what the weights were trained on and what was measured, as JSON values.
        card: text of MODEL_CARD.md; a plain one is written when empty.
        licence: licence of the weights.
        samples: real inputs of the frame encoder to check the graphs with (see ``INPUTS``); random ones by default.

    Raises:
        ValueError: the preprocessing does not fit the network, or onnxruntime disagrees with torch.
    """
    config = network.config
    made = (preprocessing.crop_height, preprocessing.crop_width, preprocessing.points)
    if made != (config.crop_height, config.crop_width, config.points):
        raise ValueError(
            f"preprocessing makes crops and points of {made}, the network takes {(config.crop_height, config.crop_width, config.points)}"
        )
    if not name or Path(name).name != name:
        raise ValueError(f"'{name}' is no name for a bundle: expected a plain folder name")
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix=f".{name}-") as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        graphs = export_graphs(network, folder, samples)
        save_weights(network, folder / "weights.safetensors", classifier=False)
        _write_json(folder / "config.json", _portable(config).to_dict())
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "name": name,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "licence": licence,
            "files": {file: file_entry(folder / file) for file in REQUIRED_FILES},
            "graphs": graphs,
            "preprocessing": preprocessing.to_dict(),
            "window": {"min_frames": config.min_frames, "max_frames": config.max_frames},
            "decision": {
                "threshold": threshold,
                "min_margin": min_margin,
                "calibration": dict(calibration) if calibration else None,
            },
            "training": dict(training) if training else None,
        }
        _write_json(folder / "manifest.json", manifest)
        (folder / "MODEL_CARD.md").write_text(card or _plain_card(manifest, config), encoding="utf-8")
        load_bundle(folder)  # what was written is what is read
        _replace(folder, out_dir / name, Path(scratch))
    return load_bundle(out_dir / name)


def export_graphs(network: EMGaitNet, folder: Path, samples: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    """Write both ONNX graphs, check them against torch and return their tensors for the manifest."""
    network.eval()
    frame_inputs = dict(samples) if samples else random_samples(network.config, 4)
    with torch.no_grad():
        image, point = network.frame(**frame_inputs)
    window = window_of(image, point)
    modules: dict[str, tuple[nn.Module, dict[str, Tensor]]] = {
        FRAME_ENCODER: (network.frame, frame_inputs),
        SEQUENCE_HEAD: (network.sequence, window),
    }
    described = {}
    for name, (module, inputs) in modules.items():
        path = folder / f"{name}.onnx"
        export_graph(module, inputs, path, OUTPUTS[name])
        engine = check_graph(module, inputs, path)
        described[name] = {
            "inputs": [spec.to_dict() for spec in engine.inputs],
            "outputs": [spec.to_dict() for spec in engine.outputs],
        }
    return described


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


def random_samples(config: EMGaitNetConfig, batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs of the frame encoder, one sample without image and one without points when ``batch`` is 3 or more."""
    generator = torch.Generator().manual_seed(seed)
    body = torch.tensor([0.25, 0.25, 0.45])
    points = torch.randn(batch, config.points, 3, generator=generator) * body + torch.tensor([0.0, 0.0, 0.9])
    row = torch.arange(batch)
    return {
        "crops": torch.rand(batch, 3, config.crop_height, config.crop_width, generator=generator),
        "points": points,
        "has_image": row != 1 if batch > 2 else row >= 0,
        "has_points": row != 2 if batch > 2 else row >= 0,
    }


def window_of(image: Tensor, point: Tensor) -> dict[str, Tensor]:
    """Two windows of the sequence head made of the features of B frames (B, S, d), (B, d): a full one and one frame less."""
    frame_mask = torch.ones(2, len(image), dtype=torch.bool)
    frame_mask[1, -1] = False
    return {
        "image_features": torch.stack([image, image.flip(0)]),
        "point_features": torch.stack([point, point.flip(0)]),
        "frame_mask": frame_mask,
    }


def _portable(config: EMGaitNetConfig) -> EMGaitNetConfig:
    """Without classifier, and without the path of a CLIP file on this machine: its weights are in the bundle."""
    tag = "" if Path(config.clip.pretrained).suffix else config.clip.pretrained
    return dataclasses.replace(config, classes=0, clip=dataclasses.replace(config.clip, pretrained=tag))


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _replace(new: Path, target: Path, scratch: Path) -> None:
    """Move a finished folder into place; the older one is put back if that fails."""
    old = scratch / "old"
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _plain_card(manifest: Mapping[str, Any], config: EMGaitNetConfig) -> str:
    trained = (
        json.dumps(manifest["training"], indent=2)
        if manifest["training"]
        else "Not trained: the weights are random. For tests only."
    )
    return (
        f"# {manifest['name']}\n\nEMGaitNet (arXiv 2603.14189), width {config.width}, {config.parts} parts, "
        f"{config.points} points.\n\nCreated {manifest['created']}, licence {manifest['licence']}.\n\n## Training\n\n{trained}\n"
    )
