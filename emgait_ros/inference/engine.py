"""What an inference backend is: named arrays in, named arrays out, with every mismatch said in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class BackendUnavailableError(ValueError):
    """The backend is not installed here or has no device: no fault, the next one is taken."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph.

    Attributes:
        name: tensor name.
        dtype: numpy name of the element type ("float32", "bool").
        shape: sizes; a string stands for a free size, the same wherever it occurs ("batch", "frames").
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(map(str, self.shape))}) {self.dtype}"

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TensorSpec:
        """The inverse of :meth:`to_dict`.

        Raises:
            TypeError: a size is neither a positive number nor a name.
        """
        shape = tuple(values["shape"])
        if any(type(size) not in (int, str) or size in (0, "") or str(size).startswith("-") for size in shape):
            raise TypeError(f"shape {list(shape)} of {values['name']}")
        return cls(str(values["name"]), str(values["dtype"]), shape)


class Engine(Protocol):
    """A loaded graph.

    Attributes:
        backend: "onnxruntime", "tensorrt" or "torch".
        description: backend, device and precision in words, for logs and diagnostics.
        inputs, outputs: what :meth:`run` takes and gives.
    """

    backend: str
    description: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run the graph; raises ValueError naming the tensor when a feed does not fit or a result is not finite."""
        ...


def check_feeds(specs: Sequence[TensorSpec], feeds: Mapping[str, NDArray[Any]], graph: str) -> Arrays:
    """The feeds a graph asks for, checked.

    Args:
        specs: the graph's inputs.
        feeds: arrays by name; ones the graph does not ask for are left out.
        graph: name of the graph, for messages.

    Raises:
        ValueError: a missing tensor, wrong type or shape, an empty batch, or values that are not finite.
    """
    free: dict[str, tuple[int, str]] = {}
    checked: Arrays = {}
    for spec in specs:
        if spec.name not in feeds:
            raise ValueError(f"{graph} needs the tensor {spec}, but was given {', '.join(sorted(feeds)) or 'nothing'}")
        array = np.asarray(feeds[spec.name])
        if array.dtype != np.dtype(spec.dtype):
            raise ValueError(f"tensor {spec.name} of {graph} is {array.dtype}: expected {spec.dtype}")
        if array.ndim != len(spec.shape):
            raise ValueError(f"tensor {spec.name} of {graph} has shape {array.shape}: expected {spec.shape}")
        for axis, (found, expected) in enumerate(zip(array.shape, spec.shape, strict=True)):
            if isinstance(expected, str):
                first, where = free.setdefault(expected, (found, spec.name))
                if found == 0:
                    raise ValueError(
                        f"tensor {spec.name} of {graph} has shape {array.shape}: {expected} must be at least 1"
                    )
                if found != first:
                    raise ValueError(f"tensor {spec.name} of {graph} has {expected} = {found}, but {where} has {first}")
            elif found != expected:
                raise ValueError(
                    f"tensor {spec.name} of {graph} has shape {array.shape}: axis {axis} must be {expected}"
                )
        _check_finite(array, spec.name, graph)
        checked[spec.name] = np.ascontiguousarray(array)
    return checked


def check_results(specs: Sequence[TensorSpec], results: Sequence[NDArray[Any]], graph: str) -> Arrays:
    """Name a graph's results; raises ValueError when one is not finite (an embedding is never silently wrong)."""
    named = {spec.name: result for spec, result in zip(specs, results, strict=True)}
    for name, result in named.items():
        _check_finite(result, name, graph)
    return named


def check_specs(found: Sequence[TensorSpec], expected: Sequence[TensorSpec], file: str) -> None:
    """Raise ValueError unless a loaded graph has the tensors its manifest lists; names of free sizes do not matter."""

    def shape(spec: TensorSpec) -> tuple[Any, ...]:
        return spec.name, spec.dtype, tuple(None if isinstance(size, str) else size for size in spec.shape)

    if [shape(spec) for spec in found] != [shape(spec) for spec in expected]:
        raise ValueError(
            f"{file} is not the graph of this bundle: it has {'; '.join(map(str, found))}, "
            f"the manifest lists {'; '.join(map(str, expected))}. Export the bundle again"
        )


def _check_finite(array: NDArray[Any], name: str, graph: str) -> None:
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array.sum(dtype=np.float64)):
        bad = int(np.size(array) - np.isfinite(array).sum())
        raise ValueError(f"tensor {name} of {graph} has {bad} values that are not finite: expected none")
