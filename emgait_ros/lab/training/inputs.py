"""A training step's input for the systems beside EMGaitNet: what each takes, plain or varied.

``augment.py`` varies EMGaitNet's crops and points; silhouettes and depth maps are mirrored with the points of their sequence, moved, scaled and partly
erased as crops are, by the same settings of the recipe.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.training.augment import crop_transforms, drop_modalities, erase, vary_points
from emgait_ros.lab.training.recipe import AugmentConfig
from emgait_ros.samples import Int64

PICTURES = ("silhouettes", "depth_maps")


def plain_inputs(data: SequenceSet, frames: Int64, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Frames (B, T) of a set as (B, T, ...) tensors by name, as the live system makes them.

    Raises:
        ValueError: the set lacks a representation; names it.
    """
    found: dict[str, Tensor] = {}
    for name in names:
        values = getattr(data, name)
        if name in PICTURES and not values.size:
            raise ValueError(f"the data set holds no {name.replace('_', ' ')}, and the network looks at them")
        tensor = torch.from_numpy(values[frames])
        found[name] = tensor.float() / 255 if name in PICTURES else tensor
    return found


def varied_inputs(
    data: SequenceSet, frames: Int64, names: tuple[str, ...], config: AugmentConfig, generator: Generator
) -> dict[str, Tensor]:
    """As :func:`plain_inputs`, varied as the recipe says; every draw comes from ``generator``."""
    inputs = plain_inputs(data, frames, names)
    sequences = len(frames)
    mirrored = torch.rand(sequences, generator=generator) < config.mirror
    if {"has_silhouette", "has_points"} <= set(names):
        inputs["has_silhouette"], inputs["has_points"] = drop_modalities(
            inputs["has_silhouette"], inputs["has_points"], config, generator
        )
    for name in PICTURES:
        if name in inputs:
            inputs[name] = vary_pictures(inputs[name], mirrored, config, generator)
    if "points" in inputs:
        count = torch.from_numpy(data.point_count[frames]).long()
        inputs["points"] = vary_points(inputs["points"], count, mirrored, config, generator)
    for name, there in (("silhouettes", "has_silhouette"), ("depth_maps", "has_points"), ("points", "has_points")):
        if name in inputs:
            inputs[name] = inputs[name] * inputs[there].view(*frames.shape, *[1] * (inputs[name].ndim - 2))
    return inputs


def vary_pictures(pictures: Tensor, mirrored: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """(B, T, H, W) in 0..1: mirror, shift and scale, one erased rectangle. The nearest pixel is taken: depths are not mixed."""
    sequences, frames = pictures.shape[:2]
    transforms = crop_transforms(sequences, frames, mirrored, config, generator).flatten(0, 1)
    grid = F.affine_grid(transforms, [sequences * frames, 1, *pictures.shape[2:]], align_corners=False)
    moved = F.grid_sample(pictures.flatten(0, 1)[:, None], grid, mode="nearest", align_corners=False)
    whole = moved.unflatten(0, (sequences, frames))  # (B, T, 1, H, W)
    return erase(whole, config.erase, generator, colour=0.0)[:, :, 0]
