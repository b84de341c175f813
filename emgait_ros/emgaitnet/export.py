"""From a trained network to a model bundle: its ONNX graphs, checked against torch, and all that describes them."""

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

from emgait_ros.emgaitnet.fast import FastEMGaitNet
from emgait_ros.emgaitnet.model import EMGaitNet, SemanticMining
from emgait_ros.emgaitnet.network_config import EMGaitNetConfig
from emgait_ros.emgaitnet.weights import load_weights, save_weights
from emgait_ros.inference.bundle import (
    CLIP_PRECISIONS,
    CONFIG,
    FORMAT,
    FRAME_ENCODER,
    INT8_GRAPH,
    REFERENCE,
    SEMANTIC_ENCODER,
    SEQUENCE_HEAD,
    WEIGHTS,
    Bundle,
    file_entry,
    load_bundle,
    read_json,
    verify_files,
)
from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine
from emgait_ros.inference.precision import write_int8_graph
from emgait_ros.inference.preprocessing import Preprocessing, scale_crops
from emgait_ros.inference.reference import check_parity, read_reference, windows_of, write_reference

INPUTS = {
    SEMANTIC_ENCODER: ("crops", "has_image"),
    FRAME_ENCODER: ("crops", "points", "has_image", "has_points", "text"),
    SEQUENCE_HEAD: ("image_features", "point_features", "frame_mask"),
}
OUTPUTS = {
    SEMANTIC_ENCODER: ("text",),
    FRAME_ENCODER: ("image_features", "point_features"),
    SEQUENCE_HEAD: ("embedding",),
}
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
    clip_stride: int = 1,
    clip_precision: str = "fp32",
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
        samples: a few inputs to check the graphs with; by default those of :func:`random_samples`. They and their results
            become the bundle's reference.
        clip_stride: CLIP looks at every so many-th image of a track by default; 1 is exact.
        clip_precision: "fp32", or "int8" to add CLIP in INT8, which CPUs then run.

    Raises:
        ValueError: the preprocessing does not fit the network, onnxruntime disagrees with torch, or INT8 with FP32.
    """
    _check_options(network.config, name, preprocessing, clip_stride, clip_precision)
    decision = {"threshold": threshold, "min_margin": min_margin, "calibration": dict(calibration or {}) or None}
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix=f".{name}-") as scratch:
        folder = Path(scratch) / name
        contents = _write_network(network, folder, samples, clip_precision == "int8")
        options = {"clip_stride": clip_stride, "clip_precision": clip_precision, **contents.pop("options")}
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "name": name,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "licence": licence,
            **contents,
            "preprocessing": preprocessing.to_dict(),
            "window": {"min_frames": network.config.min_frames, "max_frames": network.config.max_frames},
            "options": options,
            "decision": decision,
            "training": dict(training) if training else None,
        }
        _write_json(folder / "manifest.json", manifest)
        (folder / "MODEL_CARD.md").write_text(card or _plain_card(manifest, network.config), encoding="utf-8")
        load_bundle(folder)  # what was written is what is read
        _replace(folder, out_dir / name, Path(scratch))
    return load_bundle(out_dir / name)


def rewrite_bundle(
    folder: Path, out_dir: Path, name: str = "", clip_stride: int = 1, clip_precision: str = "fp32"
) -> Bundle:
    """Export a bundle's weights anew, with other options or from an older format; all it says of itself stays.

    Args:
        folder: a bundle of this or an older format; only its configuration, weights and manifest are read.
        out_dir: where the new one goes.
        name: of the new bundle; its own when empty.
        clip_stride, clip_precision: as :func:`write_bundle` takes them.

    Raises:
        FileNotFoundError: it has no manifest, or lacks a file.
        ValueError: damaged files, or what :func:`write_bundle` raises.
    """
    file = folder / "manifest.json"
    if not file.is_file():
        raise FileNotFoundError(f"{folder} is not a model bundle: it has no manifest.json")
    manifest = read_json(file)
    try:
        verify_files(folder, manifest["files"], [CONFIG, WEIGHTS])
        network = FastEMGaitNet(EMGaitNetConfig.from_dict(read_json(folder / CONFIG)), load_pretrained=False)
        load_weights(network, folder / WEIGHTS)
        samples = None
        if REFERENCE in manifest["files"]:
            verify_files(folder, manifest["files"], [REFERENCE])
            feeds = read_reference(folder / REFERENCE).feeds()
            samples = {key: torch.from_numpy(feeds[key]) for key in ("crops", "points", "has_image", "has_points")}
        decision, card = manifest["decision"], folder / "MODEL_CARD.md"
        return write_bundle(
            network,
            out_dir,
            name or str(manifest["name"]),
            Preprocessing.from_dict(manifest["preprocessing"]),
            threshold=decision["threshold"],
            min_margin=decision["min_margin"],
            calibration=decision["calibration"],
            training=manifest["training"],
            card=card.read_text(encoding="utf-8") if card.is_file() else "",
            licence=manifest["licence"],
            samples=samples,
            clip_stride=clip_stride,
            clip_precision=clip_precision,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged: the entry {error} is missing or of another type") from error


def export_graphs(network: EMGaitNet, folder: Path, samples: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    """Write the ONNX graphs and the reference, check both against each other; returns the tensors for the manifest."""
    network.eval()
    inputs = dict(samples) if samples else random_samples(network.config, 6)
    crops = (inputs["crops"] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    inputs["crops"] = torch.from_numpy(np.ascontiguousarray(scale_crops(crops)))  # what a reader of the file gets
    modules: dict[str, nn.Module] = {FRAME_ENCODER: network.frame, SEQUENCE_HEAD: network.sequence}
    with torch.no_grad():
        if isinstance(network.frame.semantics, SemanticMining):
            modules = {SEMANTIC_ENCODER: network.frame.semantics, **modules}
            inputs["text"] = network.frame.semantics(inputs["crops"], inputs["has_image"])
        image, point = network.frame(**inputs)
        windows = {key: torch.from_numpy(value) for key, value in windows_of(image.numpy(), point.numpy()).items()}
        embedding = network.sequence(**windows)
    described = {}
    for name, module in modules.items():
        path = folder / f"{name}.onnx"
        feeds = windows if name == SEQUENCE_HEAD else inputs
        feeds = {key: feeds[key] for key in INPUTS[name] if key in feeds}
        export_graph(module, feeds, path, OUTPUTS[name])
        engine = check_graph(module, feeds, path)
        described[name] = {
            "inputs": [spec.to_dict() for spec in engine.inputs],
            "outputs": [spec.to_dict() for spec in engine.outputs],
        }
    arrays = {key: value.numpy() for key, value in inputs.items() if key != "crops"}
    results = {"image_features": image.numpy(), "point_features": point.numpy(), "embedding": embedding.numpy()}
    write_reference(folder / REFERENCE, crops, {**arrays, **results})
    return described


def _write_network(
    network: EMGaitNet, folder: Path, samples: Mapping[str, Tensor] | None, int8: bool
) -> dict[str, Any]:
    """Write graphs, reference, weights and configuration; returns the manifest's entries "files", "graphs" and "options"."""
    folder.mkdir()
    graphs = export_graphs(network, folder, samples)
    save_weights(network, folder / WEIGHTS, classifier=False)
    _write_json(folder / CONFIG, _portable(network.config).to_dict())
    files = [CONFIG, WEIGHTS, REFERENCE, *(f"{graph}.onnx" for graph in graphs), *([INT8_GRAPH] if int8 else [])]
    options = {"int8_cosine": _add_int8(folder)} if int8 else {}
    return {"files": {file: file_entry(folder / file) for file in files}, "graphs": graphs, "options": options}


def _check_options(
    config: EMGaitNetConfig, name: str, preprocessing: Preprocessing, clip_stride: int, clip_precision: str
) -> None:
    if clip_stride < 1:
        raise ValueError(f"clip_stride is {clip_stride}: expected 1 (every image) or more")
    if clip_precision not in CLIP_PRECISIONS:
        raise ValueError(f"clip_precision is '{clip_precision}': known are {', '.join(CLIP_PRECISIONS)}")
    if not (config.use_sga and config.use_semi) and (clip_stride > 1 or clip_precision != "fp32"):
        raise ValueError("this network mines no semantics: clip_stride and clip_precision change nothing in it")
    sizes = ("crop_height", "crop_width", "points", "point_values")
    made, taken = (tuple(getattr(side, size) for size in sizes) for side in (preprocessing, config))
    if made != taken:
        raise ValueError(f"preprocessing makes crops and points of {made}, the network takes {taken}")
    if not name or Path(name).name != name:
        raise ValueError(f"'{name}' is no name for a bundle: expected a plain folder name")


def _add_int8(folder: Path) -> float:
    """Write the INT8 semantic encoder beside the FP32 one; returns the lowest cosine of the parity gate."""
    path = folder / INT8_GRAPH
    write_int8_graph(folder / f"{SEMANTIC_ENCODER}.onnx", path)
    return round(check_parity(OnnxRuntimeEngine(path), read_reference(folder / REFERENCE), path), 6)


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
    spread = torch.tensor([0.25, 0.25, 0.45, 0.14, 0.25, 0.7, 0.7])
    middle = torch.tensor([0.0, 0.0, 0.9, 0.0, 0.5, 0.0, 0.0])
    count = config.point_values
    points = torch.randn(batch, config.points, count, generator=generator) * spread[:count] + middle[:count]
    row = torch.arange(batch)
    return {
        "crops": torch.rand(batch, 3, config.crop_height, config.crop_width, generator=generator),
        "points": points,
        "has_image": row != 1 if batch > 2 else row >= 0,
        "has_points": row != 2 if batch > 2 else row >= 0,
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
