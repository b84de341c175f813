"""From a trained network to a model bundle: its ONNX graphs, checked against torch, and all that describes them."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emgait_ros.emgaitnet.fast import FastEMGaitNet
from emgait_ros.emgaitnet.graphs import GaitNetwork, check_graph, export_graph
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


def write_bundle(
    network: GaitNetwork,
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
            "architecture": network.architecture,
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
    folder: Path,
    out_dir: Path,
    name: str = "",
    clip_stride: int = 1,
    clip_precision: str = "fp32",
    build: Callable[[str, dict[str, Any]], Any] | None = None,
) -> Bundle:
    """Export a bundle's weights anew, with other options or from an older format; all it says of itself stays.

    Args:
        folder: a bundle of this or an older format; only its configuration, weights and manifest are read.
        out_dir: where the new one goes.
        name: of the new bundle; its own when empty.
        clip_stride, clip_precision: as :func:`write_bundle` takes them.
        build: makes a network of an architecture and its config.json (``lab.systems.registry.build``); None: EMGaitNet alone.

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
        architecture, values = str(manifest.get("architecture", EMGaitNet.architecture)), read_json(folder / CONFIG)
        network = build(architecture, values) if build else _emgaitnet(architecture, values)
        load_weights(network, folder / WEIGHTS)
        samples = None
        if REFERENCE in manifest["files"]:
            verify_files(folder, manifest["files"], [REFERENCE])
            feeds = read_reference(folder / REFERENCE).feeds()
            samples = {key: torch.from_numpy(feeds[key]) for key in network.inputs}
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


def _emgaitnet(architecture: str, values: dict[str, Any]) -> FastEMGaitNet:
    if architecture != EMGaitNet.architecture:
        raise ValueError(f"the bundle holds {architecture}: only the laboratory builds that")
    return FastEMGaitNet(EMGaitNetConfig.from_dict(values), load_pretrained=False)


def export_graphs(network: GaitNetwork, folder: Path, samples: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    """Write the ONNX graphs and the reference, check both against each other; returns the tensors for the manifest."""
    network.eval()
    inputs = {name: (samples or network.example_inputs(6))[name] for name in network.inputs}
    crops = np.zeros((len(inputs[network.inputs[-1]]), 0, 0, 3), np.uint8)
    if "crops" in inputs:
        crops = (inputs["crops"] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        inputs["crops"] = torch.from_numpy(np.ascontiguousarray(scale_crops(crops)))  # what a reader of the file gets
    modules: dict[str, tuple[nn.Module, dict[str, Tensor], tuple[str, ...]]] = {}
    with torch.no_grad():
        if isinstance(semantics := getattr(network.frame, "semantics", None), SemanticMining):
            seen = {name: inputs[name] for name in ("crops", "has_image")}
            inputs["text"] = semantics(**seen)
            modules[SEMANTIC_ENCODER] = semantics, seen, ("text",)
        found = network.frame(**inputs)
        features = dict(zip(network.features, (found,) if isinstance(found, Tensor) else found, strict=True))
        windows = windows_of({name: value.numpy() for name, value in features.items()})
        feeds = {name: torch.from_numpy(value) for name, value in windows.items()}
        embedding = network.sequence(**feeds)
    modules[FRAME_ENCODER] = network.frame, inputs, network.features
    modules[SEQUENCE_HEAD] = network.sequence, feeds, ("embedding",)
    described = {}
    for name, (module, taken, outputs) in modules.items():
        path = folder / f"{name}.onnx"
        export_graph(module, taken, path, outputs)
        engine = check_graph(module, taken, path)
        described[name] = {
            "inputs": [spec.to_dict() for spec in engine.inputs],
            "outputs": [spec.to_dict() for spec in engine.outputs],
        }
    arrays = {key: value.numpy() for key, value in {**inputs, **features}.items() if key != "crops"}
    write_reference(folder / REFERENCE, crops, {**arrays, "embedding": embedding.numpy()})
    return described


def _write_network(
    network: GaitNetwork, folder: Path, samples: Mapping[str, Tensor] | None, int8: bool
) -> dict[str, Any]:
    """Write graphs, reference, weights and configuration; returns the manifest's entries "files", "graphs" and "options"."""
    folder.mkdir()
    graphs = export_graphs(network, folder, samples)
    save_weights(network, folder / WEIGHTS, classifier=False)
    _write_json(folder / CONFIG, _portable(network.config))
    files = [CONFIG, WEIGHTS, REFERENCE, *(f"{graph}.onnx" for graph in graphs), *([INT8_GRAPH] if int8 else [])]
    options = {"int8_cosine": _add_int8(folder)} if int8 else {}
    return {"files": {file: file_entry(folder / file) for file in files}, "graphs": graphs, "options": options}


def _check_options(config: Any, name: str, preprocessing: Preprocessing, clip_stride: int, clip_precision: str) -> None:
    if clip_stride < 1:
        raise ValueError(f"clip_stride is {clip_stride}: expected 1 (every image) or more")
    if clip_precision not in CLIP_PRECISIONS:
        raise ValueError(f"clip_precision is '{clip_precision}': known are {', '.join(CLIP_PRECISIONS)}")
    mines = isinstance(config, EMGaitNetConfig) and config.use_sga and config.use_semi
    if not mines and (clip_stride > 1 or clip_precision != "fp32"):
        raise ValueError("this network mines no semantics: clip_stride and clip_precision change nothing in it")
    sizes = [
        size
        for size in (
            "crop_height",
            "crop_width",
            "points",
            "point_values",
            "silhouette_height",
            "silhouette_width",
            "depth_size",
        )
        if hasattr(config, size)
    ]
    made, taken = (tuple(getattr(side, size) for size in sizes) for side in (preprocessing, config))
    if made != taken:
        raise ValueError(f"preprocessing makes {', '.join(sizes)} of {made}, the network takes {taken}")
    if not name or Path(name).name != name:
        raise ValueError(f"'{name}' is no name for a bundle: expected a plain folder name")


def _add_int8(folder: Path) -> float:
    """Write the INT8 semantic encoder beside the FP32 one; returns the lowest cosine of the parity gate."""
    path = folder / INT8_GRAPH
    write_int8_graph(folder / f"{SEMANTIC_ENCODER}.onnx", path)
    return round(check_parity(OnnxRuntimeEngine(path), read_reference(folder / REFERENCE), path), 6)


def _portable(config: Any) -> dict[str, Any]:
    """Without classifier, and without the path of a CLIP file on this machine: its weights are in the bundle."""
    config = dataclasses.replace(config, classes=0)
    if isinstance(config, EMGaitNetConfig) and Path(config.clip.pretrained).suffix:
        config = dataclasses.replace(config, clip=dataclasses.replace(config.clip, pretrained=""))
    return dict(config.to_dict())


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


def _plain_card(manifest: Mapping[str, Any], config: Any) -> str:
    trained = (
        json.dumps(manifest["training"], indent=2)
        if manifest["training"]
        else "Not trained: the weights are random. For tests only."
    )
    kind = manifest["architecture"]
    sizes = f"width {config.width}, {config.embedding_parts} parts, {config.points} points"
    return (
        f"# {manifest['name']}\n\n{'EMGaitNet (arXiv 2603.14189)' if kind == EMGaitNet.architecture else kind}, {sizes}.\n\n"
        f"Created {manifest['created']}, licence {manifest['licence']}.\n\n## Training\n\n{trained}\n"
    )
