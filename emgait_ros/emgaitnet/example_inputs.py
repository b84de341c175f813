"""Random inputs of EMGaitNet of the right form: to trace graphs with, and to time them."""

from __future__ import annotations

import torch
from torch import Tensor

from emgait_ros.emgaitnet.network_config import EMGaitNetConfig


def random_samples(config: EMGaitNetConfig, batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs of the frame encoder, one sample without image and one without points when ``batch`` is 3 or more."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.tensor([0.25, 0.25, 0.45, 0.14, 0.25, 0.7, 0.7])
    middle = torch.tensor([0.0, 0.0, 0.9, 0.0, 0.5, 0.0, 0.0])
    count = config.point_values
    points = torch.randn(batch, config.points, count, generator=generator) * spread[:count] + middle[:count]
    row = torch.arange(batch)
    return {
        "crops": torch.rand(batch, 3, config.crop_height, config.crop_width, generator=generator),
        "points": points,
        "has_image": row != 1 if batch > 2 else row >= 0,
        "has_points": row != 2 if batch > 2 else row >= 0,
    }
