"""A network small enough for tests: every module of the real one, one or two layers each."""

from __future__ import annotations

from typing import Any

import pytest

from emgait_ros.emgaitnet.network_config import ClipConfig, EMGaitNetConfig

TINY_CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "head_width": 16, "layers": 1},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def tiny_config(**changes: Any) -> EMGaitNetConfig:
    sizes: dict[str, Any] = {
        "image_height": 32, "image_width": 16, "points": 24, "channels": (4, 8, 8, 8), "point_channels": (8, 16, 16),
        "neighbours": 5, "width": 16, "heads": 2, "parts": 4, "classes": 7, "clip": ClipConfig(own=TINY_CLIP),
    }  # fmt: skip
    return EMGaitNetConfig.small(**{**sizes, **changes})


@pytest.fixture(scope="session")
def tiny():
    """The function that makes a tiny configuration."""
    return tiny_config
