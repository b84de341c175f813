"""A small set of made-up sequences: every identity has its own blob of points and its own picture, plus noise."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from emgait_ros.emgaitnet.network_config import ClipConfig, EMGaitNetConfig
from emgait_ros.lab.datasets.sequences import SequenceSet

TINY_CLIP = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": [16, 16], "patch_size": 8, "width": 16, "head_width": 8, "layers": 1},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
}


def made_up_set(
    identities: int = 10, sequences: int = 4, frames: int = 6, points: int = 16, seed: int = 0
) -> SequenceSet:
    """Sequences whose points have a shape of the identity and whose crops have stripes of it."""
    rng = np.random.default_rng(seed)
    shape = rng.normal(0, 0.3, (identities, points, 3)) + np.array([0, 0, 0.9])
    stripes = rng.integers(40, 216, (identities, 16, 1, 1))
    count = identities * sequences
    identity = np.repeat(np.arange(identities) + 100, sequences)
    owner = np.repeat(identity - 100, frames)
    clouds = shape[owner] + rng.normal(0, 0.03, (count * frames, points, 3))
    crops = stripes[owner] + rng.normal(0, 10, (count * frames, 16, 8, 3))
    return SequenceSet(
        identity=identity,
        walk=np.tile(np.arange(sequences), identities),
        view_deg=rng.uniform(0, 360, count).astype(np.float32),
        range_m=rng.uniform(10, 40, count).astype(np.float32),
        condition=np.array(["normal"] * count),
        start=np.arange(count + 1) * frames,
        crops=crops.clip(0, 255).astype(np.uint8),
        points=clouds.astype(np.float32),
        point_count=rng.integers(8, 200, count * frames),
        has_image=rng.random(count * frames) < 0.95,
        has_points=rng.random(count * frames) < 0.95,
    )


def tiny_network_config(**changes: object) -> EMGaitNetConfig:
    """A network that trains in milliseconds."""
    sizes = {
        "crop_height": 16, "crop_width": 8, "image_height": 16, "image_width": 8, "points": 16, "channels": (4, 8, 8, 8),
        "point_channels": (8, 8), "neighbours": 3, "width": 8, "heads": 2, "scaf_layers": 1, "parts": 4, "classes": 10,
        "clip": ClipConfig(own=TINY_CLIP),
    }  # fmt: skip
    return EMGaitNetConfig(**{**sizes, **changes})  # type: ignore[arg-type]
