"""Samples of an enrolled walk as bytes (``gallery.save_samples``): points and pictures, compressed, no pickle."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from emgait_ros.foreign import read_arrays
from emgait_ros.samples import Sample

_FACTS = dict.fromkeys(("center", "size", "velocity", "range_m"), np.float64) | {"point_count": np.int64}
_PLACES = ("center", "size", "velocity")
_KINDS = {"points": (2, (3,), np.dtype(np.float32)), "crop": (3, (3,), np.dtype(np.uint8))}


def pack_walk(pedestrians: Sequence[Sample]) -> bytes:
    """What the network needs of each sample, so that another network can make templates of the same walk."""
    arrays: dict[str, Any] = {
        name: np.array([getattr(p, name) for p in pedestrians], dtype) for name, dtype in _FACTS.items()
    }
    for row, pedestrian in enumerate(pedestrians):
        if pedestrian.points is not None:
            arrays[f"points_{row}"] = np.asarray(pedestrian.points, np.float32)
        if pedestrian.crop is not None:
            arrays[f"crop_{row}"] = pedestrian.crop
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def unpack_walk(content: bytes) -> list[Sample]:
    """The other way round.

    Raises:
        ValueError: not what :func:`pack_walk` made.
    """
    try:
        arrays = read_arrays(content)
        facts = [arrays[name] for name in _FACTS]
        for values, (name, dtype) in zip(facts, _FACTS.items(), strict=True):
            shape = (len(facts[0]), 3)[: 2 if name in _PLACES else 1]
            if values.shape != shape or values.dtype != dtype or not np.isfinite(values).all():
                raise ValueError(f"{name} is {values.shape} {values.dtype}")
        for name, values in arrays.items():
            kind, _, _ = name.partition("_")
            if kind in _KINDS and name not in _FACTS and (values.ndim, values.shape[-1:], values.dtype) != _KINDS[kind]:
                raise ValueError(f"{name} is {values.shape} {values.dtype}")
        return [
            Sample(
                track_id=0,
                center=center,
                size=size,
                velocity=velocity,
                moving=True,
                range_m=float(range_m),
                score=1.0,
                point_count=int(count),
                points=arrays.get(f"points_{row}"),
                crop=arrays.get(f"crop_{row}"),
            )
            for row, (center, size, velocity, range_m, count) in enumerate(zip(*facts, strict=True))
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a saved walk is damaged ({error}): enrol that person again") from error
