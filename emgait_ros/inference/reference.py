"""What a bundle's network gives in FP32 for a few samples: the yardstick of every engine that runs it.

Written with the bundle by torch; read to check engines of reduced precision before they are used, and by the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgait_ros.foreign import read_arrays
from emgait_ros.inference.engine import Arrays, Engine
from emgait_ros.inference.preprocessing import scale_crops
from emgait_ros.samples import Float64, UInt8

MIN_COSINE = 0.999  # of every sample's result against FP32


@dataclass(frozen=True)
class Reference:
    """B samples through the whole network.

    Attributes:
        crops: (B, H, W, 3) uint8 RGB; (B, 0, 0, 3) where the network takes none.
        arrays: by name, all other inputs of the graphs (such as points (B, N, 3), has_points (B,)), what the frame encoder makes of
            them (B, ...), and the embedding (2, P, d) of the two windows of :func:`windows_of`.
    """

    crops: UInt8
    arrays: Arrays

    def __len__(self) -> int:
        return len(self.crops)

    def feeds(self) -> Arrays:
        """Everything any of the graphs takes, by name; a graph leaves out what it does not ask for."""
        return {"crops": np.ascontiguousarray(scale_crops(self.crops)), **self.arrays}

    def head_feeds(self) -> Arrays:
        """Inputs of the sequence head, and more that it leaves out."""
        return windows_of({name: values for name, values in self.arrays.items() if name != "embedding"})

    def cosine(self, engine: Engine, largest: int) -> float:
        """The lowest cosine of any sample's results of an engine with batches up to ``largest``."""
        names = [spec.name for spec in engine.outputs]
        feeds = self.head_feeds() if "embedding" in names else self.feeds()
        asked = {spec.name: feeds[spec.name] for spec in engine.inputs}
        lowest = 1.0
        for start in range(0, len(next(iter(asked.values()))), largest):
            rows = slice(start, start + largest)
            found = engine.run({name: value[rows] for name, value in asked.items()})
            lowest = min(lowest, *(float(_cosine(found[name], self.arrays[name][rows]).min()) for name in names))
        return lowest


def check_parity(engine: Engine, reference: Reference, file: Path, largest: int = 64) -> float:
    """The lowest cosine of any sample's results against FP32.

    Args:
        engine: what is about to be used.
        reference: of the bundle it runs.
        file: named when it fails.
        largest: largest batch the engine takes.

    Raises:
        ValueError: it is below ``MIN_COSINE``: the engine must not be used.
    """
    lowest = reference.cosine(engine, largest)
    if not lowest >= MIN_COSINE:
        raise ValueError(
            f"{file} gives other results than the bundle's network in FP32 (cosine {lowest:.4f}, needed is {MIN_COSINE}): use fp32"
        )
    return lowest


def windows_of(features: Mapping[str, NDArray[Any]]) -> Arrays:
    """Inputs of the sequence head from the features of B frames, by name (B, ...): a full window, and one with a frame less."""
    frames = len(next(iter(features.values())))
    frame_mask = np.ones((2, frames), bool)
    frame_mask[1, -1] = False
    windows = {name: np.stack([values, values[::-1]]) for name, values in features.items()}
    return {**windows, "frame_mask": frame_mask}


def write_reference(path: Path, crops: UInt8, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the file of a :class:`Reference`."""
    contents: dict[str, Any] = {"crops": crops, **arrays}
    np.savez_compressed(path, **contents)


def read_reference(path: Path, needed: Iterable[str] = ()) -> Reference:
    """Read the file of a :class:`Reference`.

    Args:
        path: of the file.
        needed: arrays that must be in it, beside crops and embedding.

    Raises:
        ValueError: it is damaged; names the file and the array.
    """
    try:
        arrays = read_arrays(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}): export the bundle again") from error
    missing = {"crops", "embedding", *needed} - set(arrays)
    if missing:
        raise ValueError(f"{path} is damaged: it lacks {', '.join(sorted(missing))}. Export the bundle again")
    return Reference(arrays.pop("crops"), arrays)


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> Float64:
    """(B,) cosine of each sample's flattened values; 1 where both are nothing, as of a sample that lacks the modality."""
    x, y = (array.reshape(len(array), -1).astype(np.float64) for array in (a, b))
    lengths = np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)
    cosine = (x * y).sum(axis=1) / np.maximum(lengths[0] * lengths[1], 1e-12)
    return np.where((lengths[0] < 1e-9) & (lengths[1] < 1e-9), 1.0, cosine)
