"""TensorRT and TensorRT-RTX engines from a bundle's graphs, built ahead of time and kept in a cache.

TensorRT-RTX parses and builds without a GPU. An engine file is only ever a cache: beside it lies a JSON file with
the key it was built for, and an engine whose key is another one is built again, never used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from emgait_ros import shipped
from emgait_ros.inference.bundle import SEQUENCE_HEAD, Bundle
from emgait_ros.inference.engine import BackendUnavailableError
from emgait_ros.inference.precision import check_precision, write_graph
from emgait_ros.whole_files import written_whole

if TYPE_CHECKING:
    import tensorrt

log = logging.getLogger(__name__)
FLAVOURS = {"tensorrt": ("tensorrt",), "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
TYPES = {"FLOAT": "float32", "HALF": "float16", "BOOL": "bool", "INT64": "int64", "INT32": "int32"}


class TensorRT(Protocol):
    """What is used of the module ``tensorrt``, 10 and 11; ``tensorrt_rtx`` has it under the same names."""

    __version__: str
    BuilderFlag: type[tensorrt.BuilderFlag]
    Builder: type[tensorrt.Builder]
    DataType: type[tensorrt.DataType]
    Dims: type[tensorrt.Dims]
    LayerType: type[tensorrt.LayerType]
    Logger: type[tensorrt.Logger]
    NetworkDefinitionCreationFlag: type[tensorrt.NetworkDefinitionCreationFlag]
    OnnxParser: type[tensorrt.OnnxParser]
    Runtime: type[tensorrt.Runtime]


@dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on; another value of any of them makes it stale.

    Attributes:
        onnx_sha256: the FP32 graph of the bundle.
        flavour: "tensorrt" or "tensorrt-rtx".
        version: of TensorRT.
        target: TensorRT-RTX: the compute capability it is built for ("SM89"); TensorRT: the GPU it was built on.
        precision: "fp32" or "fp16".
        max_batch, max_frames: upper end of the profile; lower ends are 1.
    """

    onnx_sha256: str
    flavour: str
    version: str
    target: str
    precision: str
    max_batch: int
    max_frames: int


@dataclass(frozen=True)
class EngineFile:
    """A built engine and what its JSON file says.

    Attributes:
        path: the engine file.
        key: what it was built for.
        tensors: name, mode, dtype and shape of every input and output; inputs with their profile [min, opt, max].
    """

    path: Path
    key: EngineKey
    tensors: list[dict[str, Any]]


def load_tensorrt(flavour: str) -> TensorRT:
    """The module of a flavour; raises BackendUnavailableError when it is not installed."""
    if flavour not in FLAVOURS:
        raise ValueError(f"unknown TensorRT flavour '{flavour}': known are {', '.join(FLAVOURS)}")
    for name in FLAVOURS[flavour]:
        try:
            module = import_module(name)
        except (ImportError, OSError):
            continue
        if hasattr(module, "Builder"):  # type stubs alone also make a package of that name
            return cast(TensorRT, module)
    raise BackendUnavailableError(
        f"{flavour} is not installed: pip install {'tensorrt-rtx' if flavour == 'tensorrt-rtx' else flavour}"
    )


def engine_key(bundle: Bundle, graph: str, flavour: str, target: str, precision: str, max_batch: int) -> EngineKey:
    """The key an engine of this bundle, on this TensorRT, must have.

    Raises:
        ValueError: FP16 for a network that does not take it.
    """
    check_precision(bundle.architecture, precision)
    version = str(load_tensorrt(flavour).__version__)
    return EngineKey(bundle.graphs[graph].sha256, flavour, version, target, precision, max_batch, bundle.max_frames)


def engine_path(folder: Path, graph: str, key: EngineKey) -> Path:
    """Where an engine lies in a cache folder; keys that differ never share a file."""
    digest = hashlib.sha256(json.dumps(asdict(key), sort_keys=True).encode()).hexdigest()[:12]
    return folder / f"{graph}.{key.flavour}.{key.precision}.{digest}.engine"


def build_engine(bundle: Bundle, graph: str, folder: Path, key: EngineKey) -> EngineFile:
    """Parse, build and write an engine with its JSON file.

    Raises:
        ValueError: TensorRT refuses the graph or a target, or would run another precision than asked for.
    """
    trt = load_tensorrt(key.flavour)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    _parse(trt, network, logger, bundle.graphs[graph].path, key.precision)
    _check_precision(trt, network, graph, key.precision)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # 10 bits of mantissa are not FP32
    if key.flavour == "tensorrt-rtx":
        _set_target(trt, config, key.target)
    profile = builder.create_optimization_profile()
    tensors = _describe(trt, network, profile, graph, key)
    if config.add_optimization_profile(profile) < 0:
        raise ValueError(f"TensorRT refuses the profile of {graph} for batches of 1 to {key.max_batch}")
    log.warning("building the %s engine of %s (%s), please wait", key.flavour, graph, key.precision)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise ValueError(
            f"{key.flavour} {key.version} could not build {bundle.graphs[graph].path}: its own messages above say why"
        )
    path = engine_path(folder, graph, key)
    _write(path, bytes(serialized), key, tensors)
    return EngineFile(path, key, tensors)


def read_engine(path: Path, key: EngineKey) -> tuple[EngineFile, bytes]:
    """An engine and its file's content.

    Raises:
        FileNotFoundError: it was not built yet.
        ValueError: it is stale, truncated or damaged; the sentence names the file and what differs.
    """
    notes = path.with_suffix(".json")
    if not path.is_file() or not notes.is_file():
        raise FileNotFoundError(f"{path} was not built yet: `emgait export` builds it")
    try:
        values = json.loads(notes.read_text(encoding="utf-8"))
        found = EngineKey(**values["key"])
        size, sha256, tensors = values["bytes"], values["sha256"], values["tensors"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{notes} is damaged ({error}): delete it and build the engine again") from error
    if found != key:
        differing = [
            f"{name} is {value!r}, expected {asdict(key)[name]!r}"
            for name, value in asdict(found).items()
            if value != asdict(key)[name]
        ]
        raise ValueError(f"{path} is stale: {'; '.join(differing)}")
    content = path.read_bytes()
    if len(content) != size:
        raise ValueError(f"{path} has {len(content)} bytes, expected {size}: it is truncated, build it again")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{path} is damaged: its SHA-256 is not the one it was built with, build it again")
    return EngineFile(path, found, tensors), content


def ensure_engine(bundle: Bundle, graph: str, folder: Path, key: EngineKey) -> tuple[EngineFile, bytes]:
    """The cached engine, built first when it is absent, stale or damaged."""
    path = engine_path(folder, graph, key)
    try:
        return read_engine(path, key)
    except FileNotFoundError:
        pass
    except ValueError as error:
        log.warning("%s", error)
    build_engine(bundle, graph, folder, key)
    return read_engine(path, key)


def cache_folder(bundle: Bundle) -> Path:
    """Where engines of a bundle are kept: ~/.cache/emgait_ros/engines/<name>-<fingerprint>."""
    return shipped.cache_folder("engines") / f"{bundle.name}-{bundle.fingerprint[:12]}"


def _parse(
    trt: TensorRT, network: tensorrt.INetworkDefinition, logger: tensorrt.Logger, source: Path, precision: str
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / source.name
        write_graph(source, graph, precision)
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(graph.read_bytes()):
            problems = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
            raise ValueError(f"TensorRT cannot parse {source}: {problems}")


def _check_precision(trt: TensorRT, network: tensorrt.INetworkDefinition, graph: str, precision: str) -> None:
    """TensorRT says nothing when it builds FP32 instead of FP16: read it from the layers that cost time."""
    heavy = {trt.LayerType.CONVOLUTION, trt.LayerType.MATRIX_MULTIPLY}
    layers = [layer for i in range(network.num_layers) if (layer := network.get_layer(i)).type in heavy]
    half = sum(layer.get_output(0).dtype == trt.DataType.HALF for layer in layers)
    if (precision == "fp16") != (half > len(layers) // 2):
        raise ValueError(f"{graph} was asked for in {precision}, but {half} of {len(layers)} heavy layers are FP16")


def _set_target(trt: Any, config: Any, target: str) -> None:
    """Build for this compute capability, which needs no GPU here. Only TensorRT-RTX can: the stubs do not know of it."""
    known = {name: value for name, value in trt.ComputeCapability.__members__.items() if name.startswith("SM")}
    if target not in known:
        raise ValueError(
            f"TensorRT-RTX {trt.__version__} does not build for '{target}': it builds for {', '.join(known)}"
        )
    config.num_compute_capabilities = 1
    if not config.set_compute_capability(known[target], 0):
        raise ValueError(f"TensorRT-RTX {trt.__version__} refuses to build for {target}")


def _describe(
    trt: TensorRT,
    network: tensorrt.INetworkDefinition,
    profile: tensorrt.IOptimizationProfile,
    graph: str,
    key: EngineKey,
) -> list[dict[str, Any]]:
    """Set the profile of every input; batch is axis 0, frames axis 1 of the sequence head."""
    tensors = []
    for tensor in (network.get_input(i) for i in range(network.num_inputs)):
        shapes = []
        for batch, frames in (
            (1, 1),
            (min(8, key.max_batch), min(10, key.max_frames)),
            (key.max_batch, key.max_frames),
        ):
            free = (batch, frames) if graph == SEQUENCE_HEAD else (batch,)
            shapes.append([free[axis] if size == -1 else size for axis, size in enumerate(sizes_of(tensor.shape))])
        profile.set_shape(tensor.name, *(trt.Dims(shape) for shape in shapes))
        tensors.append(
            {
                "name": tensor.name,
                "mode": "input",
                "dtype": _type(tensor),
                "shape": list(sizes_of(tensor.shape)),
                "profile": shapes,
            }
        )
    for tensor in (network.get_output(i) for i in range(network.num_outputs)):
        tensors.append(
            {"name": tensor.name, "mode": "output", "dtype": _type(tensor), "shape": list(sizes_of(tensor.shape))}
        )
    return tensors


def sizes_of(shape: tensorrt.Dims) -> tuple[int, ...]:
    """TensorRT's Dims as a tuple; -1 where a size is free."""
    return tuple(int(shape[axis]) for axis in range(len(shape)))


def _type(tensor: tensorrt.ITensor) -> str:
    return TYPES.get(tensor.dtype.name, tensor.dtype.name.lower())


def _write(path: Path, content: bytes, key: EngineKey, tensors: list[dict[str, Any]]) -> None:
    """Engine first, notes last: a half-written engine has no notes that fit it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = {
        "key": asdict(key),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "tensors": tensors,
    }
    for target, data in ((path, content), (path.with_suffix(".json"), (json.dumps(notes, indent=2) + "\n").encode())):
        with written_whole(target) as fresh:
            fresh.write_bytes(data)
