"""What the compared systems have in common: the whole network of two parts, the gait ResNet9, pooling, linear layers of parts.

Letters in shape comments of this folder: B batch, T frames, C channels, h x w cells of a map, N points, P parts, d width.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emgait_ros.emgaitnet.layers import BasicBlock
from emgait_ros.emgaitnet.model import BNNeck, Output
from emgait_ros.lab.systems.configs import SystemConfig


class GaitSystem(nn.Module):
    """A network in two parts, of a frame and of a window, with the BNNeck in training (``emgaitnet.graphs.GaitNetwork``).

    Attributes:
        inputs: what ``frame`` takes.
        features: what ``frame`` gives and ``sequence`` takes.
    """

    architecture = ""
    inputs: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    frame: Any
    sequence: Any

    def __init__(self, config: Any, frame: nn.Module, sequence: nn.Module) -> None:
        super().__init__()
        self.config, self.frame, self.sequence = config, frame, sequence
        self.neck = BNNeck(config) if config.classes else None

    def forward(self, frame_mask: Tensor, **inputs: Tensor) -> Output:
        """Windows of T frames: ``inputs`` (B, T, ...) by name and frame_mask (B, T) bool, at least one frame a window."""
        found = self.frame(**{name: inputs[name].flatten(0, 1) for name in self.inputs})
        features = (found,) if isinstance(found, Tensor) else found
        embedding = self.sequence(*(value.unflatten(0, frame_mask.shape) for value in features), frame_mask).float()
        if self.neck is None:
            return Output(embedding, embedding, embedding.new_zeros(*embedding.shape[:2], 0), embedding[:, None])
        normalised, logits = self.neck(embedding)
        return Output(embedding, normalised, logits, embedding[:, None])

    def example_inputs(self, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """Random inputs of ``frame``; of three samples or more one lacks the image, one the points."""
        return {name: value for name, value in example_inputs(self.config, batch, seed).items() if name in self.inputs}


def example_inputs(config: SystemConfig, batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Random inputs of any system by name."""
    generator = torch.Generator().manual_seed(seed)
    row = torch.arange(batch)
    side = config.depth_size
    depth = torch.rand(batch, side, side, generator=generator)
    return {
        "points": torch.randn(batch, config.points, 3, generator=generator) * torch.tensor([0.25, 0.25, 0.45])
        + torch.tensor([0.0, 0.0, 0.9]),
        "silhouettes": (
            torch.rand(batch, config.silhouette_height, config.silhouette_width, generator=generator) > 0.5
        ).float(),
        "depth_maps": depth * (torch.rand(depth.shape, generator=generator) > 0.7),
        "has_silhouette": row != 1 if batch > 2 else row >= 0,
        "has_points": row != 2 if batch > 2 else row >= 0,
    }


class GaitResNet9(nn.Module):
    """3x3 stem and four BasicBlocks with strides 1, 2, 2, 1, no pooling: 64 rows become 16."""

    def __init__(self, inputs: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        widths = (channels[0], *channels)
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.stages = nn.Sequential(
            *(BasicBlock(widths[i], widths[i + 1], stride) for i, stride in enumerate((1, 2, 2, 1)))
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, C, H / 4, W / 4), none below 0."""
        maps: Tensor = self.stages(self.stem(pictures))
        return maps


def horizontal_parts(maps: Tensor, parts: int) -> Tensor:
    """Horizontal Pyramid Pooling at one level: (B, C, h, w) -> (B, P, C), maximum and mean of each strip added."""
    strips = maps.unflatten(2, (parts, -1)).flatten(3)  # (B, C, P, cells)
    return (strips.amax(dim=3) + strips.mean(dim=3)).transpose(1, 2)


def largest_over_time(features: Tensor, frame_mask: Tensor) -> Tensor:
    """Maximum over the valid frames of (B, T, ...) values that are none below 0, as after a ReLU -> (B, ...)."""
    valid = frame_mask.view(*frame_mask.shape, *[1] * (features.ndim - 2))
    return (features * valid.to(features.dtype)).amax(dim=1)


def masked(features: Tensor, there: Tensor) -> Tensor:
    """Zeros for samples that lack the modality: (B, ...) and (B,) bool. A maximum of values from 0 on does not see them."""
    return features * there.view(-1, *[1] * (features.ndim - 1)).to(features.dtype)


class SeparateLinear(nn.Module):
    """A linear layer of its own for each part."""

    def __init__(self, parts: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(parts, inputs, outputs))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, P, inputs) -> (B, P, outputs)."""
        return (x.transpose(0, 1) @ self.weight.to(x.dtype)).transpose(0, 1)


class PointLayers(nn.Module):
    """Linear layers with batch norm and ReLU that all points share."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths))
        self.norm = nn.ModuleList(nn.BatchNorm1d(b) for b in widths[1:])

    def forward(self, x: Tensor) -> Tensor:
        """(..., widths[0]) -> (..., widths[-1])."""
        shape = x.shape[:-1]
        x = x.flatten(0, -2)
        for linear, norm in zip(self.linear, self.norm, strict=True):
            x = F.relu(norm(linear(x)))
        return x.unflatten(0, shape)


@torch.no_grad()
def nearest_points(centers: Tensor, points: Tensor, neighbours: int) -> Tensor:
    """(B, M, 3), (B, N, 3) m -> (B, M, k) numbers of the points nearest to each center, in space."""
    with torch.autocast(points.device.type, enabled=False):
        a, b = centers.float(), points.float()
        away = a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None] - 2 * a @ b.transpose(1, 2)
        return away.topk(neighbours, dim=-1, largest=False).indices


def gathered(values: Tensor, chosen: Tensor) -> Tensor:
    """(B, N, C) and numbers (B, M, k) -> (B, M, k, C)."""
    batch, points = values.shape[:2]
    rows = chosen + torch.arange(batch, device=values.device).view(-1, 1, 1) * points
    return F.embedding(rows, values.flatten(0, 1))
