"""HMRNet: gait recognition from two representations of a LiDAR's cloud, range view and points.

References:
    Han et al., "Gait Recognition in Large-scale Free Environment via Single LiDAR", ACM MM 2024, arXiv:2211.12371.

Written from the paper's abstract and project page: dense body structure from range views; geometry and motion from points (motion-aware
feature embedding, MAFE); an adaptive cross-representation mapping (ACM) fuses both at several levels; a gait-saliency feature
enhancement (GSFE) stresses what tells people apart. What they leave open is chosen and listed in docs/systems.md.

Per frame: ResNet9 on the range view, set abstraction on the points, ACM after three stages. Per window: motion, GSFE, a linear layer per part.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emgait_ros.emgaitnet.layers import CrossAttention
from emgait_ros.lab.systems.configs import HmrNetConfig
from emgait_ros.lab.systems.lidargait_plus_plus import SetAbstraction
from emgait_ros.lab.systems.parts import (
    GaitResNet9,
    GaitSystem,
    SeparateLinear,
    horizontal_parts,
    largest_over_time,
    masked,
)

CELLS = 8  # regions of the range view that ask the points, to each side


class CrossMapping(nn.Module):
    """ACM: every region of the range view asks all points, so where a point belongs is learnt, not looked up."""

    def __init__(self, channels: int, point_channels: int, heads: int) -> None:
        super().__init__()
        self.attention = CrossAttention(channels, point_channels, heads, 1.0)

    def forward(self, maps: Tensor, points: Tensor) -> Tensor:
        """(B, C, h, w) and (B, N, Cp) -> (B, C, h, w), none below 0."""
        times = maps.shape[-1] // CELLS
        regions = F.avg_pool2d(maps, times).flatten(2).transpose(1, 2)  # (B, 64, C)
        told = self.attention(regions, points).transpose(1, 2).unflatten(2, (CELLS, CELLS))
        return F.relu(maps + told.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3))


class HmrNetFrame(nn.Module):
    """One cloud, twice -> parts of the range view that know of the points, and a feature of the points; zeros without a cloud."""

    def __init__(self, config: HmrNetConfig) -> None:
        super().__init__()
        self.parts = config.parts
        self.range_view = GaitResNet9(1, config.channels)
        counts = [config.points // 2**level for level in range(4)]
        widths = (0, *config.point_channels)
        self.points = nn.ModuleList(
            SetAbstraction(counts[i], counts[i + 1], config.neighbours, widths[i], widths[i + 1]) for i in range(3)
        )
        self.mappings = nn.ModuleList(
            CrossMapping(channels, width, config.heads)
            for channels, width in zip(config.channels[1:], config.point_channels, strict=True)
        )

    def forward(self, depth_maps: Tensor, points: Tensor, has_points: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 64, 64) in 0..1, (B, N, 3) m and (B,) bool -> (B, P, C) and (B, Cp), none below 0."""
        maps = self.range_view.stages[0](self.range_view.stem(depth_maps[:, None]))
        features = None
        for stage, abstraction, mapping in zip(self.range_view.stages[1:], self.points, self.mappings, strict=True):
            points, features = abstraction(points, features)
            maps = mapping(stage(maps), features)
        assert features is not None  # noqa: S101
        return masked(horizontal_parts(maps, self.parts), has_points), masked(features.amax(dim=1), has_points)


class Motion(nn.Module):
    """MAFE's motion: what the points' feature is and how it has changed since the frame before."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * channels, width)

    def forward(self, features: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, Cp) in the order of time and (B, T) bool -> (B, width)."""
        valid = frame_mask.to(features.dtype)[:, :, None]
        before, known = (F.pad(x, (0, 0, 1, 0))[:, :-1] for x in (features, valid))
        change = (features - before) * valid * known
        return largest_over_time(F.relu(self.linear(torch.cat([features, change], dim=2))), frame_mask)


class HmrNetHead(nn.Module):
    """The features of a window -> the embedding; GSFE: parts and motion together say which channels of each part to raise."""

    def __init__(self, config: HmrNetConfig) -> None:
        super().__init__()
        channels, points = config.channels[-1], config.point_channels[-1]
        self.motion = Motion(points, points)
        self.of_parts, self.of_motion = nn.Linear(channels, channels), nn.Linear(points, channels)
        self.linear = SeparateLinear(config.parts, channels, config.width)

    def forward(self, range_features: Tensor, point_features: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, P, C), (B, T, Cp) and (B, T) bool -> (B, P, d)."""
        parts = largest_over_time(range_features, frame_mask)  # (B, P, C)
        motion = self.motion(point_features, frame_mask)  # (B, Cp)
        saliency = (self.of_parts(parts) + self.of_motion(motion)[:, None]).sigmoid()
        embedding: Tensor = self.linear(parts * (1 + saliency))
        return embedding


class HmrNet(GaitSystem):
    """The whole network."""

    architecture = "hmrnet"
    inputs = ("depth_maps", "points", "has_points")
    features = ("range_features", "point_features")

    def __init__(self, config: HmrNetConfig) -> None:
        super().__init__(config, HmrNetFrame(config), HmrNetHead(config))
