"""LidarGait++: gait recognition from LiDAR points.

References:
    Shen et al., "LidarGait++: Learning Local Features and Size Awareness from LiDAR Point Clouds for 3D Gait Recognition", CVPR 2025.

Written from the paper's abstract and project page (set abstraction, Pyramid Point Pooling, both aware of true sizes); no line is of
OpenGait, which is for academic use only. What they leave open is chosen and listed in docs/systems.md.

Points -> set abstraction layers: centers look at their nearest points, whose offsets are in metres and not normalised -> pyramid of
slices of true height above the ground, maximum and mean of each -> maximum over time -> a linear layer per slice -> BNNeck.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emgait_ros.lab.systems.configs import LidarGaitPlusPlusConfig
from emgait_ros.lab.systems.parts import (
    GaitSystem,
    PointLayers,
    SeparateLinear,
    gathered,
    largest_over_time,
    masked,
    nearest_points,
)


class SetAbstraction(nn.Module):
    """Some of the points look at their neighbourhoods: local features of M centers from N points.

    Centers are every N / M-th point: clouds are resampled evenly along the scan, so they cover the body, and farthest point
    sampling would be a loop of M steps in an exported graph. W [n - c; f] = Wo n - Wo c + Wf f: points are multiplied before they are gathered.
    """

    chosen: Tensor

    def __init__(self, points: int, centers: int, neighbours: int, inputs: int, outputs: int) -> None:
        super().__init__()
        hidden = outputs // 2
        self.neighbours = min(neighbours, points)
        self.register_buffer("chosen", torch.arange(centers) * points // centers, persistent=False)
        self.offset = nn.Linear(3, hidden, bias=False)
        self.feature = nn.Linear(inputs, hidden, bias=False) if inputs else None
        self.norm = nn.BatchNorm1d(hidden)
        self.layers = PointLayers(hidden, hidden, outputs)

    def forward(self, points: Tensor, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, N, 3) m and (B, N, inputs) -> centers (B, M, 3) and (B, M, outputs), none below 0."""
        centers = points[:, self.chosen]
        near = nearest_points(centers, points, self.neighbours)  # (B, M, k)
        placed = self.offset(points)  # (B, N, hidden)
        if self.feature is not None and features is not None:
            placed = placed + self.feature(features)
        edges = gathered(placed, near) - self.offset(centers)[:, :, None]  # (B, M, k, hidden)
        edges = F.relu(self.norm(edges.flatten(0, 2))).view(edges.shape)
        return centers, self.layers(edges).amax(dim=2)


class PyramidPointPooling(nn.Module):
    """Slices of height at several levels: maximum and mean of the features in each; zeros in an empty one.

    Slices are of true height above the ground, not of shares of the body: who is taller reaches a higher one.
    """

    def __init__(self, pyramid: tuple[int, ...], height_m: float) -> None:
        super().__init__()
        self.pyramid, self.height_m = pyramid, height_m

    def forward(self, height: Tensor, features: Tensor) -> Tensor:
        """Heights (B, M) m and features (B, M, C), none below 0 -> (B, sum of the pyramid, C)."""
        finest = self.pyramid[-1]
        slices = torch.arange(finest, device=height.device)
        number = (height / self.height_m * finest).floor().clamp(0, finest - 1)
        member = (number[:, :, None] == slices).to(features.dtype)  # (B, M, finest)
        largest = torch.stack([(features * member[:, :, i, None]).amax(dim=1) for i in range(finest)], dim=1)
        total, count = (
            member.transpose(1, 2) @ features,
            member.sum(dim=1)[:, :, None],
        )  # (B, finest, C), (B, finest, 1)
        levels = []
        for parts in self.pyramid:
            tops, sums, counts = (t.unflatten(1, (parts, -1)) for t in (largest, total, count))
            levels.append(tops.amax(dim=2) + sums.sum(dim=2) / counts.sum(dim=2).clamp(min=1))
        return torch.cat(levels, dim=1)


class LidarGaitFrame(nn.Module):
    """One cloud -> features of slices; zeros where there is no cloud."""

    def __init__(self, config: LidarGaitPlusPlusConfig) -> None:
        super().__init__()
        counts, widths = (config.points, *config.centers), (0, *config.channels)
        self.abstractions = nn.ModuleList(
            SetAbstraction(counts[i], counts[i + 1], config.neighbours, widths[i], widths[i + 1])
            for i in range(len(config.centers))
        )
        self.pooling = PyramidPointPooling(config.pyramid, config.height_m)

    def forward(self, points: Tensor, has_points: Tensor) -> Tensor:
        """(B, N, 3) m, z above the ground, and (B,) bool -> (B, P, C)."""
        features = None
        for abstraction in self.abstractions:
            points, features = abstraction(points, features)
        return masked(self.pooling(points[:, :, 2], features), has_points)


class LidarGaitHead(nn.Module):
    """The features of a window -> the embedding."""

    def __init__(self, config: LidarGaitPlusPlusConfig) -> None:
        super().__init__()
        self.linear = SeparateLinear(config.embedding_parts, config.channels[-1], config.width)

    def forward(self, point_features: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, P, C) and (B, T) bool -> (B, P, d)."""
        embedding: Tensor = self.linear(largest_over_time(point_features, frame_mask))
        return embedding


class LidarGaitPlusPlus(GaitSystem):
    """The whole network."""

    architecture = "lidargait++"
    inputs = ("points", "has_points")
    features = ("point_features",)

    def __init__(self, config: LidarGaitPlusPlusConfig) -> None:
        super().__init__(config, LidarGaitFrame(config), LidarGaitHead(config))
