"""Model bundles: a folder that says what it holds, and is refused when it does not hold that.

    manifest.json                 format, files with SHA-256 and size, graphs, preprocessing, window, options, decision, training
    config.json                   sizes and switches of the network
    weights.safetensors           for fine-tuning and for the torch backend
    semantic_encoder.onnx         crop -> text features; runs on every frame, or on every s-th; absent without SeMi
    semantic_encoder.int8.onnx    the same in INT8 for CPUs; only in bundles exported with it
    frame_encoder.onnx            runs once per pedestrian and frame
    sequence_head.onnx            runs on the features of a window
    reference.npz                 a few inputs and what torch made of them in FP32: what every engine is held against
    MODEL_CARD.md                 what it was trained on and what was measured

Nothing in a bundle is pickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emgait_ros.foreign import parsed_json
from emgait_ros.inference.engine import TensorSpec
from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.inference.reference import Reference, read_reference
from emgait_ros.samples import Modality
from emgait_ros.shipped import shipped_path

FORMAT = 2
DEFAULT_BUNDLE = "emgait-sim"
SEMANTIC_ENCODER, FRAME_ENCODER, SEQUENCE_HEAD = "semantic_encoder", "frame_encoder", "sequence_head"
CONFIG, WEIGHTS, REFERENCE, INT8_GRAPH = (
    "config.json",
    "weights.safetensors",
    "reference.npz",
    f"{SEMANTIC_ENCODER}.int8.onnx",
)
CLIP_PRECISIONS = ("fp32", "int8")
ARCHITECTURES = ("emgaitnet", "gaitbase", "lidargait++", "licaf", "hmrnet")
"""Networks that a bundle may hold. The robot runs their graphs; only the laboratory knows how they are made."""


@dataclass(frozen=True)
class GraphInfo:
    """One ONNX graph of a bundle: its file, its hash and its tensors."""

    path: Path
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Bundle:
    """A verified model bundle.

    Attributes:
        folder: where it lies.
        manifest: manifest.json as read.
        architecture: which of ``ARCHITECTURES`` it is.
        network: config.json as read (of EMGaitNet: ``EMGaitNetConfig.from_dict`` takes it).
        preprocessing: what the network takes.
        graphs: by name, in the order they run: "semantic_encoder" (absent without SeMi), "frame_encoder", "sequence_head".
        min_frames, max_frames: window lengths T the head takes.
        threshold: calibrated largest accepted distance, None when the bundle was not calibrated.
        min_margin: calibrated smallest lead over the second identity, None likewise.
        clip_stride: CLIP looks at every s-th image of a track unless the configuration says otherwise; 1 is exact.
        clip_precision: "int8": CLIP runs in INT8 on CPUs.
        fingerprint: hex SHA-256 over FP32 graphs, preprocessing and window; embeddings of different fingerprints
            must never be compared. Precision and stride are not in it: they approximate the same embedding, and their
            engines have passed the parity gate.
    """

    folder: Path
    manifest: dict[str, Any]
    architecture: str
    network: dict[str, Any]
    preprocessing: Preprocessing
    graphs: dict[str, GraphInfo]
    min_frames: int
    max_frames: int
    threshold: float | None
    min_margin: float | None
    clip_stride: int
    clip_precision: str
    fingerprint: str

    @property
    def name(self) -> str:
        """The bundle's own name."""
        return str(self.manifest["name"])

    @property
    def weights_path(self) -> Path:
        """The safetensors file."""
        return self.folder / WEIGHTS

    @property
    def int8_path(self) -> Path | None:
        """The INT8 semantic encoder, in a bundle exported with it."""
        return self.folder / INT8_GRAPH if self.clip_precision == "int8" else None

    def reference(self) -> Reference:
        """Inputs and FP32 results to hold engines against."""
        names = {spec.name for graph in self.graphs.values() for spec in (*graph.inputs, *graph.outputs)}
        return read_reference(self.folder / REFERENCE, names - {"frame_mask"})

    @property
    def inputs(self) -> frozenset[str]:
        """What the frame encoder takes: "crops", "points", "silhouettes", "depth_maps", ..."""
        return frozenset(spec.name for spec in self.graphs[FRAME_ENCODER].inputs)

    @property
    def sensors(self) -> Modality:
        """Which sensors it looks at, where silhouettes are made as in training."""
        return sensors_of(self.inputs, self.preprocessing.silhouette_source)

    @property
    def embedding_shape(self) -> tuple[int, int]:
        """(parts, d) of an embedding."""
        parts, width = self.graphs[SEQUENCE_HEAD].outputs[0].shape[1:]
        return int(parts), int(width)


def sensors_of(inputs: frozenset[str], silhouette_source: str) -> Modality:
    """Which sensors a network looks at, by the inputs of its frame encoder and what its silhouettes are made of."""
    found = Modality.NONE
    if "crops" in inputs or ("silhouettes" in inputs and silhouette_source == "camera"):
        found |= Modality.IMAGE
    if inputs & {"points", "depth_maps"} or ("silhouettes" in inputs and silhouette_source == "points"):
        found |= Modality.POINTS
    return found


def default_bundle_path() -> Path:
    """Folder of the bundle shipped with the package; where it belongs in a checkout when there is none."""
    try:
        return shipped_path(f"models/{DEFAULT_BUNDLE}")
    except FileNotFoundError:
        return Path(__file__).resolve().parents[2] / "models" / DEFAULT_BUNDLE


def load_bundle(path: str | Path = "") -> Bundle:
    """Read and verify a bundle.

    Args:
        path: its folder; empty for the one shipped with the package.

    Raises:
        FileNotFoundError: no bundle there, or a file of it is missing.
        ValueError: a damaged, foreign or newer bundle; the sentence names the file.
    """
    folder = Path(path).expanduser() if str(path) else default_bundle_path()
    file = folder / "manifest.json"
    manifest = _read_manifest(folder, file)
    try:
        names = graph_names(manifest)
        options = manifest["options"]
        stride, clip_precision = int(options["clip_stride"]), str(options["clip_precision"])
        needed = [CONFIG, WEIGHTS, REFERENCE, *(f"{name}.onnx" for name in names)]
        verify_files(folder, manifest["files"], needed + [INT8_GRAPH] * (clip_precision == "int8"))
        graphs = {name: _graph(folder, manifest, name) for name in names}
        preprocessing = Preprocessing.from_dict(manifest["preprocessing"])
        window = manifest["window"]
        low, high = int(window["min_frames"]), int(window["max_frames"])
        decision = manifest["decision"]
        threshold, min_margin = (
            None if decision[key] is None else float(decision[key]) for key in ("threshold", "min_margin")
        )
        network = read_json(folder / CONFIG)
        fingerprint = fingerprint_of(manifest)
        str(manifest["name"])
        architecture = str(manifest.get("architecture", ARCHITECTURES[0]))
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{file} is damaged: the entry {error} is missing or of another type. Fetch or export the bundle again"
        ) from error
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"{file} says that the network is '{architecture}': this version of emgait_ros knows {', '.join(ARCHITECTURES)}"
        )
    if not 1 <= low <= high:
        raise ValueError(f"{file} is damaged: window is {low} to {high} frames")
    if stride < 1 or clip_precision not in CLIP_PRECISIONS:
        raise ValueError(f"{file} is damaged: clip_stride is {stride}, clip_precision '{clip_precision}'")
    if not (0 < (1 if threshold is None else threshold) < float("inf") and 0 <= (min_margin or 0) < float("inf")):
        raise ValueError(f"{file} is damaged: the threshold is {threshold}, the margin {min_margin}")
    _check_fits(file, graphs, preprocessing)
    return Bundle(
        folder=folder,
        manifest=manifest,
        architecture=architecture,
        network=network,
        preprocessing=preprocessing,
        graphs=graphs,
        min_frames=low,
        max_frames=high,
        threshold=threshold,
        min_margin=min_margin,
        clip_stride=stride,
        clip_precision=clip_precision,
        fingerprint=fingerprint,
    )


def _read_manifest(folder: Path, file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(
            f"{folder} is not a model bundle: it has no manifest.json. `emgait train` and `emgait export` write bundles"
        )
    manifest = read_json(file)
    if manifest.get("format") == 1:
        raise ValueError(
            f"{file} has format 1, this version of emgait_ros reads format {FORMAT}: "
            f"`emgait export {folder} --to bundle` writes it again from its weights"
        )
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{file} has format {manifest.get('format')!r}: this version of emgait_ros reads format {FORMAT}"
        )
    return manifest


def graph_names(manifest: dict[str, Any]) -> tuple[str, ...]:
    """Names of a bundle's graphs in the order they run."""
    semantic = (SEMANTIC_ENCODER,) if SEMANTIC_ENCODER in manifest["graphs"] else ()
    return (*semantic, FRAME_ENCODER, SEQUENCE_HEAD)


def fingerprint_of(manifest: dict[str, Any]) -> str:
    """Hex SHA-256 of all that decides an embedding: the FP32 graphs, the preprocessing and the window lengths."""
    decisive = {
        "graphs": {name: manifest["files"][f"{name}.onnx"]["sha256"] for name in graph_names(manifest)},
        "preprocessing": manifest["preprocessing"],
        "window": manifest["window"],
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def file_entry(path: Path) -> dict[str, Any]:
    """A file's entry in the manifest: its SHA-256 and its size in bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return {"sha256": digest.hexdigest(), "bytes": path.stat().st_size}


def local_only(folder: Path) -> str:
    """Why a bundle's weights must not be passed on, as the recipe that trained them says; empty: they may be."""
    manifest = read_json(folder / "manifest.json") if (folder / "manifest.json").is_file() else {}
    training = manifest.get("training")
    recipe = training.get("recipe") if isinstance(training, dict) else None
    return str(recipe.get("local_only") or "") if isinstance(recipe, dict) else ""


def refuse_local_only(folder: Path) -> None:
    """Raise ValueError, with its name, for a bundle whose weights must not be passed on (:func:`local_only`)."""
    if reason := local_only(folder):
        raise ValueError(
            f"bundle '{read_json(folder / 'manifest.json').get('name')}' must not be passed on ({reason}): it is not exported; "
            f"use it here, from {folder}"
        )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a bundle; ValueError names the file when it is damaged."""
    try:
        values = parsed_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: it is not JSON ({error}). Fetch or export the bundle again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is damaged: expected a JSON object. Fetch or export the bundle again")
    return values


def verify_files(folder: Path, files: dict[str, dict[str, Any]], names: Iterable[str]) -> None:
    """Raise ValueError or FileNotFoundError unless the named files are what the manifest says."""
    for name in names:
        path, expected = folder / name, files[name]
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: the bundle is incomplete. Fetch or export it again")
        if path.stat().st_size != expected["bytes"]:
            raise ValueError(
                f"{path} has {path.stat().st_size} bytes, the manifest says {expected['bytes']}: it is truncated or belongs to another bundle"
            )
        if file_entry(path)["sha256"] != expected["sha256"]:
            raise ValueError(
                f"{path} does not have the SHA-256 in the manifest: it is damaged or belongs to another bundle. Fetch or export it again"
            )


def _graph(folder: Path, manifest: dict[str, Any], name: str) -> GraphInfo:
    entry = manifest["graphs"][name]
    inputs, outputs = (tuple(TensorSpec.from_dict(spec) for spec in entry[side]) for side in ("inputs", "outputs"))
    return GraphInfo(folder / f"{name}.onnx", manifest["files"][f"{name}.onnx"]["sha256"], inputs, outputs)


def _check_fits(file: Path, graphs: dict[str, GraphInfo], preprocessing: Preprocessing) -> None:
    expected = {
        "crops": (3, preprocessing.crop_height, preprocessing.crop_width),
        "points": (preprocessing.points, preprocessing.point_values),
        "silhouettes": (preprocessing.silhouette_height, preprocessing.silhouette_width),
        "depth_maps": (preprocessing.depth_size, preprocessing.depth_size),
    }
    for spec in graphs[FRAME_ENCODER].inputs:
        if spec.name in expected and spec.shape[1:] != expected[spec.name]:
            raise ValueError(
                f"{file} contradicts itself: the frame encoder takes {spec}, the preprocessing makes {expected[spec.name]}"
            )
    made = graphs[SEQUENCE_HEAD].outputs
    if not made or [type(size) for size in made[0].shape] != [str, int, int]:
        raise ValueError(
            f"{file} is damaged: the sequence head makes {', '.join(map(str, made)) or 'nothing'}, but an embedding of "
            "(batch, parts, width) is expected. Fetch or export the bundle again"
        )
