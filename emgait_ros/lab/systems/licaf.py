"""LiCAF: gait recognition from LiDAR depth maps and silhouettes together.

References:
    Deng, Xiong and Feng, "LiCAF: LiDAR-Camera Asymmetric Fusion for Gait Recognition", arXiv:2406.12355.

Written from the paper's abstract and public summaries: both modalities are integrated over time and space, a cross-modal attention
selects channels (Asymmetric Cross-modal Channel Attention, ACCA), silhouettes refine the depth and the depth the silhouettes, and time is
modelled over both, interlaced (Interlaced Cross-modal Temporal Modeling, ICTM). What they leave open is chosen and listed in docs/systems.md.

Per frame: a ResNet9 for each modality and its horizontal parts. Per window: ACCA, ICTM, maximum over time, a linear layer per part.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emgait_ros.lab.systems.configs import LiCafConfig
from emgait_ros.lab.systems.parts import (
    GaitResNet9,
    GaitSystem,
    SeparateLinear,
    horizontal_parts,
    largest_over_time,
    masked,
)


class LiCafFrame(nn.Module):
    """One depth map and one silhouette -> their horizontal parts; zeros for a modality that is missing."""

    def __init__(self, config: LiCafConfig) -> None:
        super().__init__()
        self.parts = config.parts
        self.depth, self.silhouette = GaitResNet9(1, config.channels), GaitResNet9(1, config.channels)

    def forward(
        self, depth_maps: Tensor, silhouettes: Tensor, has_points: Tensor, has_silhouette: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, 64, 64), (B, 64, 44) in 0..1, (B,) and (B,) bool -> (B, P, C) twice, none below 0."""
        depth = horizontal_parts(self.depth(depth_maps[:, None]), self.parts)
        silhouette = horizontal_parts(self.silhouette(silhouettes[:, None]), self.parts)
        return masked(depth, has_points), masked(silhouette, has_silhouette)


class ChannelAttention(nn.Module):
    """ACCA: which channels of each modality matter, told by the other.

    Asymmetric: every channel of the depth asks all channels of the silhouettes (attention, C x C); the silhouettes' channels are then
    weighted by what the depth has become. The LiDAR leads, because its geometry is richer and it works at night.
    """

    def __init__(self, parts: int, channels: int, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(parts, width) for _ in range(3))
        self.gate = nn.Linear(width, parts)
        self.reply = nn.Sequential(nn.Linear(channels, channels // 4), nn.ReLU(), nn.Linear(channels // 4, channels))

    def forward(self, depth: Tensor, silhouette: Tensor, frame_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, P, C) twice and (B, T) bool -> the same shapes, channels enhanced."""
        ours, theirs = (largest_over_time(x, frame_mask).transpose(1, 2) for x in (depth, silhouette))  # (B, C, P)
        asked = (self.query(ours), self.key(theirs), self.value(theirs))
        # One head: ONNX has this attention for four dimensions alone.
        mixed = F.scaled_dot_product_attention(*(part[:, None] for part in asked))[:, 0]  # (B, C, width)
        depth = depth * (1 + self.gate(mixed).sigmoid().transpose(1, 2)[:, None])
        summary = largest_over_time(depth, frame_mask).mean(dim=1)  # (B, C)
        return depth, silhouette * (1 + self.reply(summary).sigmoid()[:, None, None])


class InterlacedTime(nn.Module):
    """ICTM: both modalities take turns along time, depth and silhouette of each frame, and a convolution looks at three in a row."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, depth: Tensor, silhouette: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, P, C) twice and (B, T) bool -> (B, P, C), the maximum over time and modality."""
        parts = depth.shape[2]
        valid = frame_mask.to(depth.dtype).repeat_interleave(2, dim=1)[:, :, None, None]  # (B, 2T, 1, 1)
        both = torch.stack([depth, silhouette], dim=2).flatten(1, 2) * valid  # (B, 2T, P, C)
        lines = both.permute(0, 2, 3, 1).flatten(0, 1)  # (B P, C, 2T)
        seen = F.relu(lines + self.norm(self.convolution(lines))).unflatten(0, (-1, parts))  # (B, P, C, 2T)
        return (seen * valid.permute(0, 2, 3, 1)).amax(dim=3)


class LiCafHead(nn.Module):
    """The parts of a window -> the embedding."""

    def __init__(self, config: LiCafConfig) -> None:
        super().__init__()
        channels = config.channels[-1]
        self.attention = ChannelAttention(config.parts, channels, config.attention_width)
        self.time = InterlacedTime(channels)
        self.linear = SeparateLinear(config.parts, channels, config.width)

    def forward(self, depth_features: Tensor, silhouette_features: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, P, C) twice and (B, T) bool -> (B, P, d)."""
        depth, silhouette = self.attention(depth_features, silhouette_features, frame_mask)
        embedding: Tensor = self.linear(self.time(depth, silhouette, frame_mask))
        return embedding


class LiCaf(GaitSystem):
    """The whole network."""

    architecture = "licaf"
    inputs = ("depth_maps", "silhouettes", "has_points", "has_silhouette")
    features = ("depth_features", "silhouette_features")

    def __init__(self, config: LiCafConfig) -> None:
        super().__init__(config, LiCafFrame(config), LiCafHead(config))
