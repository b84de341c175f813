"""People of made-up templates in a gallery."""

from __future__ import annotations

from typing import Any

import numpy as np

from emgait_ros.gallery.store import Gallery
from emgait_ros.samples import Float32, Modality

MODEL = "a" * 64


def rows(seed: int = 0, count: int = 2, shape: tuple[int, int] = (4, 8)) -> Float32:
    """(count, parts, d) templates of somebody."""
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def enroll(gallery: Gallery, name: str, templates: Float32 | int = 0, model: str = MODEL, **facts: Any) -> int:
    """Enrol somebody with templates, or those of a seed; how many they have then."""
    made = rows(templates) if isinstance(templates, int) else templates
    usual = {"samples": [30] * len(made), "modalities": Modality.BOTH, "median_range_m": 9.0}
    return gallery.enroll(name, made, model, **{**usual, **facts})
