"""CUDA and TensorRT's run time as far as TensorRTEngine calls them, in host memory: what runs where there is no GPU.

The engine files are real; a context of them runs the bundle's ONNX graph through onnxruntime instead. It shows that
buffers, addresses, shapes and profiles are handled rightly, not that TensorRT computes rightly.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np

from emgait_ros.inference.onnxruntime_engine import OnnxRuntimeEngine

SUCCESS = SimpleNamespace(name="cudaSuccess", value=0)


class HostCuda:
    """cuda.bindings.runtime with the host's memory as the device's."""

    cudaError_t = SimpleNamespace(cudaSuccess=SUCCESS)
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)

    def __init__(self) -> None:
        self.allocated: dict[int, ctypes.Array] = {}

    def cudaGetDeviceCount(self):
        return SUCCESS, 1

    def cudaGetDeviceProperties(self, number):
        return SUCCESS, SimpleNamespace(name=b"Simulated GPU\0", major=8, minor=9)

    def cudaStreamCreate(self):
        return SUCCESS, 7

    def cudaStreamDestroy(self, stream):
        return (SUCCESS,)

    def cudaStreamSynchronize(self, stream):
        return (SUCCESS,)

    def cudaMalloc(self, size):
        buffer = ctypes.create_string_buffer(size)
        self.allocated[ctypes.addressof(buffer)] = buffer
        return SUCCESS, ctypes.addressof(buffer)

    def cudaFree(self, address):
        del self.allocated[address]
        return (SUCCESS,)

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        device = target if kind == 1 else source
        assert size <= len(self.allocated[device]), "a copy past the end of a device buffer"
        ctypes.memmove(target, source, size)
        return (SUCCESS,)


class HostTensorRT:
    """The run-time half of tensorrt: engines of ``graphs`` (ONNX files), told apart by the content of their files."""

    class Logger:
        ERROR = 0

        def __init__(self, level):
            pass

    def __init__(self, graphs):
        self.graphs = graphs

    def Runtime(self, logger):
        return SimpleNamespace(deserialize_cuda_engine=self.deserialize)

    def deserialize(self, content):
        path = self.graphs.get(bytes(content))
        return None if path is None else SimpleNamespace(create_execution_context=lambda: Context(path))


class Context:
    def __init__(self, path):
        self.engine = OnnxRuntimeEngine(path)
        self.shapes, self.addresses = {}, {}

    def set_input_shape(self, name, shape):
        self.shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def get_tensor_shape(self, name):
        free = {}
        for spec in self.engine.inputs:
            free |= dict(zip(spec.shape, self.shapes[spec.name], strict=True))
        spec = next(spec for spec in self.engine.outputs if spec.name == name)
        return [free.get(size, size) for size in spec.shape]

    def execute_async_v3(self, stream):
        feeds = {spec.name: self._view(spec, self.shapes[spec.name]).copy() for spec in self.engine.inputs}
        results = self.engine.run(feeds)
        for spec in self.engine.outputs:
            self._view(spec, results[spec.name].shape)[...] = results[spec.name]
        return True

    def _view(self, spec, shape):
        size = int(np.prod(shape)) * np.dtype(spec.dtype).itemsize
        memory = (ctypes.c_char * size).from_address(self.addresses[spec.name])
        return np.frombuffer(memory, spec.dtype).reshape(shape)
