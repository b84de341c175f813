"""ONNX graphs on onnxruntime: the default, on CPU everywhere and on CUDA where that build is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from emgait_ros.inference.engine import Arrays, TensorSpec, check_feeds, check_results

NUMPY_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(int64)": "int64",
}
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


class OnnxRuntimeEngine:
    """A graph loaded from an ONNX file.

    Args:
        path: the file.
        threads: CPU threads for one run.

    Raises:
        ValueError: the file is not a graph onnxruntime can run; names the file.
    """

    backend = "onnxruntime"

    def __init__(self, path: Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin after a run would take the cores from the next graph, which is another session.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        providers = [name for name in PROVIDERS if name in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime raises its own kinds, all derived from Exception only
            raise ValueError(f"onnxruntime cannot load {path}: {error}. Export the bundle again") from error
        self._path, self.graph = path, path.stem
        self.inputs = tuple(_spec(tensor) for tensor in self._session.get_inputs())
        self.outputs = tuple(_spec(tensor) for tensor in self._session.get_outputs())
        device = (
            "CUDA"
            if "CUDAExecutionProvider" in self._session.get_providers()
            else f"CPU, {threads} thread{'s' * (threads > 1)}"
        )
        self.description = f"onnxruntime {onnxruntime.__version__} on {device}"

    @staticmethod
    def on_cpu() -> bool:
        """Whether graphs run on the CPU here: no CUDA build of onnxruntime."""
        return PROVIDERS[0] not in onnxruntime.get_available_providers()

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """See :class:`~emgait_ros.inference.engine.Engine`."""
        checked = check_feeds(self.inputs, feeds, self.graph)
        try:
            results = self._session.run(None, checked)
        except Exception as error:
            raise ValueError(f"onnxruntime could not run {self._path}: {error}") from error
        return check_results(self.outputs, results, self.graph)


def _spec(tensor: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else str(size) for size in tensor.shape)
    return TensorSpec(tensor.name, NUMPY_TYPES.get(tensor.type, tensor.type), shape)
