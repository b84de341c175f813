"""A bundle with random weights, written once by the real exporter."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from emgait_ros.inference.bundle import Bundle
from emgait_ros.inference.preprocessing import FrameBatch, Preprocessing


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of a tiny network; batch norm has seen some data."""
    torch = pytest.importorskip("torch")
    from emgait_ros.emgaitnet.example_inputs import random_samples
    from emgait_ros.emgaitnet.export import write_bundle
    from emgait_ros.emgaitnet.fast import FastEMGaitNet
    from emgait_ros.emgaitnet.network_config import ClipConfig, EMGaitNetConfig

    clip = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "head_width": 16, "layers": 1},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    config = EMGaitNetConfig.small(
        image_height=32, image_width=16, points=24, channels=(4, 8, 8, 8), point_channels=(8, 16), neighbours=5,
        width=16, heads=2, scaf_layers=1, parts=4, max_frames=12, min_frames=2, classes=3, clip=ClipConfig(own=clip),
        view_coordinates=True, use_moments=True,
    )  # fmt: skip
    network = FastEMGaitNet(config).train()
    with torch.no_grad():
        network.frame(**random_samples(config, 16, seed=1))
    folder = tmp_path_factory.mktemp("models")
    return write_bundle(
        network, folder, "tiny", Preprocessing(points=24, view_coordinates=True), threshold=1.5, min_margin=0.25
    )


@pytest.fixture
def copy(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle's folder that a test may damage."""
    return Path(shutil.copytree(bundle.folder, tmp_path / "copy"))


@pytest.fixture
def samples(bundle: Bundle) -> FrameBatch:
    """Five samples, one without image and one without points."""
    rng = np.random.default_rng(5)
    made = bundle.preprocessing
    has_image, has_points = np.ones(5, bool), np.ones(5, bool)
    has_image[1] = has_points[3] = False
    crops = rng.random((5, 3, made.crop_height, made.crop_width), dtype=np.float32)
    points = rng.normal(0, 0.4, (5, made.points, made.point_values)).astype(np.float32)
    return FrameBatch(crops, points, has_image, has_points)
