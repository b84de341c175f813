"""Samples of an enrolled walk as bytes (``gallery.save_samples``): points and pictures, compressed, no pickle."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from emgait_ros.samples import Sample

_LARGEST = 256 * 2**20  # bytes one array may claim to have: 5,000 samples with pictures
_FACTS = dict.fromkeys(("center", "size", "velocity", "range_m"), np.float64) | {"point_count": np.int64}


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
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            if any(part.file_size > _LARGEST for part in parts.infolist()):
                raise ValueError("an array is too large")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
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
                for row, (center, size, velocity, range_m, count) in enumerate(
                    zip(*(arrays[name] for name in _FACTS), strict=True)
                )
            ]
    except (KeyError, OSError, EOFError, zipfile.BadZipFile, ValueError) as error:
        raise ValueError(f"a saved walk is damaged ({error}): enrol that person again") from error
