"""The same graphs run by PyTorch from the bundle's safetensors: for comparison, and where torch owns the GPU.

torch is imported when an engine is made, never with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from emgait_ros.inference.bundle import FRAME_ENCODER, SEMANTIC_ENCODER, SEQUENCE_HEAD, Bundle, GraphInfo
from emgait_ros.inference.engine import Arrays, BackendUnavailableError, check_feeds, check_results


class TorchEngine:
    """One part of the network as an engine; made by :func:`torch_engines`."""

    backend = "torch"

    def __init__(self, graph: str, info: GraphInfo, module: Callable[..., Any], device: str) -> None:
        import torch

        self.graph, self.inputs, self.outputs = graph, info.inputs, info.outputs
        self._module, self._device = module, device
        self.description = f"torch {torch.__version__} on {device}"

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """See :class:`~emgait_ros.inference.engine.Engine`."""
        import torch

        checked = check_feeds(self.inputs, feeds, self.graph)
        with torch.inference_mode():
            results = self._module(
                **{name: torch.from_numpy(array).to(self._device) for name, array in checked.items()}
            )
        if isinstance(results, torch.Tensor):
            results = (results,)
        return check_results(self.outputs, [result.cpu().numpy() for result in results], self.graph)


def torch_engines(bundle: Bundle, threads: int = 1) -> dict[str, TorchEngine]:
    """All engines of a bundle, on CUDA when torch finds it.

    Raises:
        BackendUnavailableError: torch or open_clip is not installed, or the bundle holds another network than EMGaitNet.
        ValueError: the weights do not fit the configuration.
    """
    if bundle.architecture != "emgaitnet":
        raise BackendUnavailableError(
            f"the torch backend knows EMGaitNet, bundle '{bundle.name}' holds {bundle.architecture}: choose onnxruntime or tensorrt"
        )
    try:
        import torch

        from emgait_ros.emgaitnet.weights import load_network
    except ImportError as error:
        raise BackendUnavailableError(
            f"the torch backend needs torch, open_clip and safetensors ({error}): install requirements/dev.txt or choose onnxruntime"
        ) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(threads)
    network = load_network(bundle).to(device)
    modules: dict[str, Any] = {
        SEMANTIC_ENCODER: network.frame.semantics,
        FRAME_ENCODER: network.frame,
        SEQUENCE_HEAD: network.sequence,
    }
    return {name: TorchEngine(name, graph, modules[name], device) for name, graph in bundle.graphs.items()}
