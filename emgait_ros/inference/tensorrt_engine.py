"""Engines of TensorRT or TensorRT-RTX on an NVIDIA GPU; device memory through cuda-python, no torch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import Bundle
from emgait_ros.inference.engine import Arrays, BackendUnavailableError, Engine, TensorSpec, check_feeds, check_results
from emgait_ros.inference.reference import check_parity
from emgait_ros.inference.tensorrt_builder import (
    FLAVOURS,
    EngineFile,
    cache_folder,
    engine_key,
    ensure_engine,
    load_tensorrt,
    sizes_of,
)

log = logging.getLogger(__name__)


def tensorrt_engines(bundle: Bundle, config: EngineConfig) -> dict[str, Engine]:
    """All engines of a bundle, from the cache or built now, each checked against FP32 before it is used.

    Raises:
        BackendUnavailableError: no TensorRT, no cuda-python or no GPU here.
        ValueError: an engine cannot be built, loaded or trusted; names it.
    """
    gpu = gpu_name()
    flavour = _installed_flavour()
    reference, folder = bundle.reference(), cache_folder(bundle)
    engines: dict[str, Engine] = {}
    for name, graph in bundle.graphs.items():
        key = engine_key(bundle, name, flavour, target_of(gpu, flavour), config.precision, config.max_batch)
        file, content = ensure_engine(bundle, name, folder, key)
        engine = TensorRTEngine(file, content, name, graph.inputs, graph.outputs, gpu)
        cosine = check_parity(engine, reference, file.path, config.max_batch)
        log.info("%s passed the parity check: cosine %.5f against FP32", file.path, cosine)
        engines[name] = engine
    return engines


def gpu_name() -> str:
    """Name and compute capability of the GPU here; raises BackendUnavailableError with the driver's reason when there is none."""
    try:
        from cuda.bindings import runtime as cudart
    except ImportError as error:
        raise BackendUnavailableError(f"tensorrt needs cuda-python ({error}): pip install cuda-python") from error
    status, count = cudart.cudaGetDeviceCount()
    if status != cudart.cudaError_t.cudaSuccess or not count:
        raise BackendUnavailableError(f"tensorrt needs an NVIDIA GPU, and there is none here ({status.name})")
    properties = _call(cudart.cudaGetDeviceProperties(0))
    name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
    return f"{name.rstrip(chr(0))} SM{properties.major}{properties.minor}"


def target_of(gpu: str, flavour: str) -> str:
    """What an engine for a GPU, as :func:`gpu_name` gives it, is keyed by (see ``EngineKey.target``)."""
    return gpu.rsplit(" ", 1)[-1] if flavour == "tensorrt-rtx" else gpu


def _installed_flavour() -> str:
    reasons = []
    for flavour in FLAVOURS:
        try:
            load_tensorrt(flavour)
        except BackendUnavailableError as error:
            reasons.append(str(error))
        else:
            return flavour
    raise BackendUnavailableError("; ".join(reasons))


class TensorRTEngine:
    """One engine with one execution context, one stream and buffers for its largest batch.

    Not safe to run from two threads at once: one worker, one engine.
    """

    backend = "tensorrt"

    def __init__(
        self,
        file: EngineFile,
        content: bytes,
        graph: str,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        gpu: str,
    ) -> None:
        from cuda.bindings import runtime as cudart

        self._cudart, self.graph, self.inputs, self.outputs = cudart, graph, inputs, outputs
        trt = load_tensorrt(file.key.flavour)
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise ValueError(f"{file.path} cannot be loaded on {gpu}: delete it, it is built again")
        self._context = self._engine.create_execution_context()
        self._stream = _call(cudart.cudaStreamCreate())
        self._largest = {tensor["name"]: tensor["profile"][2] for tensor in file.tensors if tensor["mode"] == "input"}
        self._device: dict[str, tuple[int, int]] = {}  # name -> address, bytes
        self.description = f"{file.key.flavour} {file.key.version} on {gpu}, {file.key.precision}"

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """See :class:`~emgait_ros.inference.engine.Engine`; a batch above the profile raises ValueError."""
        checked = check_feeds(self.inputs, feeds, self.graph)
        copy, cudart = self._cudart.cudaMemcpyAsync, self._cudart
        for name, array in checked.items():
            largest = self._largest[name]
            if any(size > limit for size, limit in zip(array.shape, largest, strict=True)):
                raise ValueError(
                    f"tensor {name} of {self.graph} has shape {array.shape}: the engine was built for up to {tuple(largest)}"
                )
            address = self._buffer(name, array.nbytes)
            _call(
                copy(
                    address, array.ctypes.data, array.nbytes, cudart.cudaMemcpyKind.cudaMemcpyHostToDevice, self._stream
                )
            )
            self._context.set_input_shape(name, array.shape)
            self._context.set_tensor_address(name, address)
        results = [np.empty(sizes_of(self._context.get_tensor_shape(spec.name)), spec.dtype) for spec in self.outputs]
        for spec, result in zip(self.outputs, results, strict=True):
            self._context.set_tensor_address(spec.name, self._buffer(spec.name, result.nbytes))
        if not self._context.execute_async_v3(int(self._stream)):
            raise ValueError(f"TensorRT could not run {self.graph}: its own messages above say why")
        for spec, result in zip(self.outputs, results, strict=True):
            address = self._device[spec.name][0]
            _call(
                copy(
                    result.ctypes.data,
                    address,
                    result.nbytes,
                    cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost,
                    self._stream,
                )
            )
        _call(cudart.cudaStreamSynchronize(self._stream))
        return check_results(self.outputs, results, self.graph)

    def _buffer(self, name: str, size: int) -> int:
        """Address of a device buffer of at least ``size`` bytes, kept from run to run."""
        address, have = self._device.get(name, (0, 0))
        if have < size:
            if address:
                _call(self._cudart.cudaFree(address))
            address = int(_call(self._cudart.cudaMalloc(size)))
            self._device[name] = (address, size)
        return address

    def close(self) -> None:
        """Give the device memory back."""
        while self._device:
            _, (address, _) = self._device.popitem()
            self._cudart.cudaFree(address)
        if self._stream is not None:
            self._cudart.cudaStreamDestroy(self._stream)
            self._stream = None

    def __del__(self) -> None:
        if hasattr(self, "_device") and hasattr(self, "_stream"):
            self.close()


def _call(result: tuple[Any, ...]) -> Any:
    """Value of a cuda-python call; raises ValueError with CUDA's own name of the error."""
    status, *values = result
    if status.value:
        raise ValueError(f"CUDA failed: {status.name}")
    return values[0] if values else None
