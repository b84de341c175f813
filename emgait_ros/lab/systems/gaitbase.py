"""GaitBase: gait recognition from silhouettes.

References:
    Fan et al., "OpenGait: Revisiting Gait Recognition Towards Better Practicality", CVPR 2023, arXiv:2211.06597.

Written from the paper's description; no line is of OpenGait, which is for academic use only. Silhouettes -> gait ResNet9 per frame
-> maximum over time (set pooling) -> Horizontal Pyramid Pooling, 16 strips -> a linear layer per strip -> BNNeck.
"""

from __future__ import annotations

from torch import Tensor, nn

from emgait_ros.lab.systems.configs import GaitBaseConfig
from emgait_ros.lab.systems.parts import (
    GaitResNet9,
    GaitSystem,
    SeparateLinear,
    horizontal_parts,
    largest_over_time,
    masked,
)


class GaitBaseFrame(nn.Module):
    """One silhouette -> a feature map; zeros where there is no silhouette."""

    def __init__(self, config: GaitBaseConfig) -> None:
        super().__init__()
        self.backbone = GaitResNet9(1, config.channels)

    def forward(self, silhouettes: Tensor, has_silhouette: Tensor) -> Tensor:
        """(B, 64, 44) in 0..1 and (B,) bool -> (B, C, 16, 11)."""
        return masked(self.backbone(silhouettes[:, None]), has_silhouette)


class GaitBaseHead(nn.Module):
    """The feature maps of a window -> the embedding.

    The maximum over time comes before the strips, as in the paper: their means would differ the other way round. So a track keeps whole maps.
    """

    def __init__(self, config: GaitBaseConfig) -> None:
        super().__init__()
        self.parts = config.parts
        self.linear = SeparateLinear(config.parts, config.channels[-1], config.width)

    def forward(self, silhouette_features: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, C, 16, 11) and (B, T) bool -> (B, P, d)."""
        maps = largest_over_time(silhouette_features, frame_mask)  # (B, C, 16, 11)
        embedding: Tensor = self.linear(horizontal_parts(maps, self.parts))
        return embedding


class GaitBase(GaitSystem):
    """The whole network."""

    architecture = "gaitbase"
    inputs = ("silhouettes", "has_silhouette")
    features = ("silhouette_features",)

    def __init__(self, config: GaitBaseConfig) -> None:
        super().__init__(config, GaitBaseFrame(config), GaitBaseHead(config))
