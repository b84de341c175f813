"""Variation of training input: what must not be learnt is drawn anew for every sequence of every step.

Clothing colour (gain, offset, grayscale), where exactly the crop was cut, how many LiDAR returns there were, small errors
of heading and ground, and sensors that fail. Mirroring moves crop and points together: a left view becomes a right one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from emgait_ros.lab.training.recipe import AugmentConfig

MIN_POINTS = 8


class Batch(NamedTuple):
    """A training step's input.

    Attributes:
        crops: (B, T, 3, H, W) float32 RGB in 0..1.
        points: (B, T, N, 3 or 7) float32: m (+x ahead, +y left, z above the ground), then ``view_coordinates``.
        point_count: (B, T) int64 LiDAR returns before resampling.
        has_image, has_points: (B, T) bool.
        clip_features: (B, T, E) float32, or None where the network computes them.
    """

    crops: Tensor
    points: Tensor
    point_count: Tensor
    has_image: Tensor
    has_points: Tensor
    clip_features: Tensor | None


def augment(batch: Batch, config: AugmentConfig, generator: Generator) -> Batch:
    """A varied copy of a batch; every draw comes from ``generator``."""
    sequences = batch.crops.shape[0]
    mirrored = _chance((sequences,), config.mirror, generator)
    has_image, has_points = drop_modalities(batch.has_image, batch.has_points, config, generator)
    clip = batch.clip_features
    if clip is not None:
        spread = clip.flatten(0, 1).std(dim=0)
        clip = clip + config.clip_noise * spread * _normal(tuple(clip.shape), generator)
    return batch._replace(
        clip_features=clip,
        crops=vary_crops(batch.crops, mirrored, config, generator) * has_image[:, :, None, None, None],
        points=vary_points(batch.points, batch.point_count, mirrored, config, generator) * has_points[:, :, None, None],
        has_image=has_image,
        has_points=has_points,
    )


def drop_modalities(
    has_image: Tensor, has_points: Tensor, config: AugmentConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Take one modality from some sequences and from single frames of others; every sample keeps what it has at least once."""
    draw = torch.rand(has_image.shape[0], 1, generator=generator)
    single = torch.rand(has_image.shape, generator=generator)
    no_image = (draw < config.drop_image) | (single < config.drop_image / 10)
    no_points = (draw > 1 - config.drop_points) | (single > 1 - config.drop_points / 10)
    return has_image & ~(no_image & has_points), has_points & ~(no_points & has_image & ~no_image)


def vary_crops(crops: Tensor, mirrored: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """(B, T, 3, H, W): mirror, shift and scale, colours, grayscale, one erased rectangle."""
    sequences, frames = crops.shape[:2]
    moved = F.grid_sample(
        crops.flatten(0, 1),
        F.affine_grid(
            crop_transforms(sequences, frames, mirrored, config, generator).flatten(0, 1),
            [sequences * frames, *crops.shape[2:]],
            align_corners=False,
        ),
        padding_mode="border",
        align_corners=False,
    ).unflatten(0, (sequences, frames))
    each = (sequences, 1, 3, 1, 1)
    gain = 1 + config.colour * (_normal((sequences, 1, 1, 1, 1), generator) + 0.6 * _normal(each, generator))
    offset = 0.4 * config.colour * (_normal((sequences, 1, 1, 1, 1), generator) + 0.5 * _normal(each, generator))
    flicker = 0.02 * _normal((sequences, frames, 1, 1, 1), generator)
    coloured = moved * gain + offset + flicker
    gray = _chance((sequences, 1, 1, 1, 1), config.grayscale, generator)
    coloured = torch.where(gray, coloured.mean(dim=2, keepdim=True), coloured)
    return erase(coloured, config.erase, generator).clamp(0, 1)


def crop_transforms(
    sequences: int, frames: int, mirrored: Tensor, config: AugmentConfig, generator: Generator
) -> Tensor:
    """(B, T, 2, 3) output to input coordinates in -1..1: one shift and scale a sequence, a little more a frame."""
    scale = 1 + config.scale * _normal((sequences, 1), generator)
    aspect = 1 + 0.3 * config.scale * _normal((sequences, 1), generator)
    shift = (
        2 * config.shift * (_normal((sequences, 1, 2), generator) + 0.3 * _normal((sequences, frames, 2), generator))
    )
    sign = 1.0 - 2.0 * mirrored.float()[:, None]
    transforms = torch.zeros(sequences, frames, 2, 3)
    transforms[:, :, 0, 0] = sign * scale * aspect
    transforms[:, :, 1, 1] = scale.expand(-1, frames)
    transforms[:, :, :, 2] = shift
    return transforms


def erase(crops: Tensor, share: float, generator: Generator, colour: float | None = None) -> Tensor:
    """Paint one rectangle of some sequences (B, T, C, H, W) in one colour, drawn where none is given, at the same place in all frames."""
    sequences, _, channels, height, width = crops.shape
    size = 0.15 + 0.25 * torch.rand(sequences, 2, generator=generator)
    corner = torch.rand(sequences, 2, generator=generator) * (1 - size)
    rows = torch.linspace(0, 1, height)[None]
    columns = torch.linspace(0, 1, width)[None]
    inside = ((rows >= corner[:, :1]) & (rows <= corner[:, :1] + size[:, :1]))[:, :, None] & (
        (columns >= corner[:, 1:]) & (columns <= corner[:, 1:] + size[:, 1:])
    )[:, None, :]
    inside = inside & _chance((sequences, 1, 1), share, generator)
    if colour is not None:
        return torch.where(inside[:, None, None], colour, crops)
    return torch.where(inside[:, None, None], torch.rand(sequences, 1, channels, 1, 1, generator=generator), crops)


def vary_points(
    points: Tensor, point_count: Tensor, mirrored: Tensor, config: AugmentConfig, generator: Generator
) -> Tensor:
    """(B, T, N, 3 or 7): fewer returns, mirror, turn, move, noise."""
    sequences, frames, count, values = points.shape
    points = thin_points(points, point_count, config, generator)
    sign = torch.ones(sequences, 1, 1, values)
    across = [i for i in (1, 3, 6) if i < values]  # y, column in the crop, sine of the direction of sight
    sign[:, 0, 0, across] -= 2.0 * mirrored[:, None]
    yaw = torch.deg2rad(
        config.yaw_deg * (_normal((sequences, 1, 1), generator) + 0.4 * _normal((sequences, frames, 1), generator))
    )
    x, y, z, *view = (points * sign).unbind(-1)
    turned = torch.stack([x * yaw.cos() - y * yaw.sin(), x * yaw.sin() + y * yaw.cos(), z], dim=-1)
    spread = config.offset_m * torch.tensor([1.0, 1.0, 0.5])
    offset = _normal((sequences, 1, 1, 3), generator) + 0.5 * _normal((sequences, frames, 1, 3), generator)
    moved = turned + spread * offset + config.noise_m * _normal((sequences, frames, count, 3), generator)
    return torch.cat([moved, torch.stack(view, dim=-1)], dim=-1) if view else moved


def thin_points(points: Tensor, point_count: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Keep a share of the returns of some sequences, as a sensor farther away would, and repeat those to the same number."""
    sequences, frames, count = points.shape[:3]
    share = 1 - (1 - config.thin_to) * torch.rand(sequences, 1, generator=generator)
    share = torch.where(_chance((sequences, 1), config.thin, generator), share, torch.ones_like(share))
    real = point_count.clamp(max=count)
    kept = (share * real).long().clamp(min=MIN_POINTS)
    kept = torch.where(share < 1, torch.minimum(kept, real.clamp(min=1)), torch.full_like(kept, count))
    order = torch.rand(sequences, frames, count, generator=generator).argsort(dim=-1)
    chosen = order.gather(2, torch.arange(count).expand(sequences, frames, -1) % kept[:, :, None])
    return points.gather(2, chosen[..., None].expand(-1, -1, -1, points.shape[3]))


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator)


def _chance(shape: tuple[int, ...], share: float, generator: Generator) -> Tensor:
    return torch.rand(shape, generator=generator) < share
