"""Sizes of the systems that EMGaitNet is compared with; no torch, so that recipes can be read without it.

Defaults are the papers' scale. Sizes that no text gave are chosen; docs/systems.md lists them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from emgait_ros.emgaitnet.network_config import EMGaitNetConfig
from emgait_ros.inference.preprocessing import SILHOUETTE_SOURCES, Preprocessing


@dataclass(frozen=True)
class SystemConfig:
    """What all of them have.

    Attributes:
        crop_height, crop_width: of the RGB crops of data sets, px; segmenters look at them, the network does not.
        points: LiDAR points per sample.
        silhouette_source: what silhouettes are made of: "camera" or "points" (``inference.preprocessing``).
        parts: horizontal parts of the embedding.
        width: d, of a part of the embedding.
        min_frames, max_frames: window lengths T the network may be asked for.
        classes: training identities of the BNNeck classifier; 0 for none (inference).
        logit_scale: factor of the classifier's cosine.
    """

    crop_height: int = 128
    crop_width: int = 64
    points: int = 128
    silhouette_source: str = "camera"
    parts: int = 16
    width: int = 256
    min_frames: int = 1
    max_frames: int = 30
    classes: int = 0
    logit_scale: float = 16.0

    architecture: ClassVar[str] = ""
    silhouette_height: ClassVar[int] = 0
    silhouette_width: ClassVar[int] = 0
    depth_size: ClassVar[int] = 0
    point_values: ClassVar[int] = 3
    image_height: ClassVar[int] = 16  # what training keeps of crops: nothing looks at them
    image_width: ClassVar[int] = 8

    def __post_init__(self) -> None:
        for wrong, sentence in self.problems():
            if wrong:
                raise ValueError(f"{self.architecture} configuration: {sentence}")

    def problems(self) -> list[tuple[bool, str]]:
        """What may be wrong, and the sentence for it."""
        return [
            (self.silhouette_source not in SILHOUETTE_SOURCES, "silhouette_source must be 'camera' or 'points'"),
            (not 1 <= self.min_frames <= self.max_frames, "min_frames must be at least 1 and at most max_frames"),
            (min(self.points, self.parts, self.width) < 1, "points, parts and width must be at least 1"),
        ]

    @property
    def embedding_parts(self) -> int:
        """P, vectors of an embedding."""
        return self.parts

    def preprocessing(self, points_frame: str) -> Preprocessing:
        """How the input is prepared."""
        return Preprocessing(
            self.crop_height,
            self.crop_width,
            self.points,
            points_frame,
            silhouette_height=self.silhouette_height,
            silhouette_width=self.silhouette_width,
            silhouette_source=self.silhouette_source,
            depth_size=self.depth_size,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SystemConfig:
        """The inverse of :meth:`to_dict`; raises ValueError for unknown fields or sizes that do not fit together."""
        known = {item.name for item in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(
                f"{cls.architecture} configuration has unknown fields {unknown}: known are {sorted(known)}"
            )
        sizes: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**sizes)


@dataclass(frozen=True)
class GaitBaseConfig(SystemConfig):
    """Silhouettes of 64 x 44 px.

    Attributes:
        channels: widths of ResNet9's four stages.
    """

    channels: tuple[int, int, int, int] = (64, 128, 256, 512)

    architecture: ClassVar[str] = "gaitbase"
    silhouette_height: ClassVar[int] = 64
    silhouette_width: ClassVar[int] = 44

    def problems(self) -> list[tuple[bool, str]]:
        """See ``SystemConfig``."""
        return [
            *super().problems(),
            (len(self.channels) != 4, "channels needs four widths, one per ResNet9 stage"),
            (bool(16 % self.parts), f"parts ({self.parts}) must divide the 16 rows of the feature map"),
        ]


@dataclass(frozen=True)
class LidarGaitPlusPlusConfig(SystemConfig):
    """Points alone.

    Attributes:
        centers: points that each set abstraction keeps.
        neighbours: k, how many points a center looks at.
        channels: width that each set abstraction gives.
        pyramid: into how many slices of height the points are pooled at each level, each dividing the last.
        height_m: the slices reach from the ground to here; what is higher counts to the highest.
    """

    points: int = 1024
    centers: tuple[int, ...] = (512, 256, 128)
    neighbours: int = 32
    channels: tuple[int, ...] = (128, 256, 512)
    pyramid: tuple[int, ...] = (1, 2, 4, 8, 16)
    height_m: float = 2.0

    architecture: ClassVar[str] = "lidargait++"

    def problems(self) -> list[tuple[bool, str]]:
        """See ``SystemConfig``."""
        counts = (self.points, *self.centers)
        return [
            *super().problems(),
            (len(self.centers) != len(self.channels), "centers and channels need one number a set abstraction"),
            (list(counts) != sorted(counts, reverse=True), "centers must not be more than the points they are taken of"),
            (self.neighbours > counts[-2], f"neighbours ({self.neighbours}) must be at most {counts[-2]}, the points of the last layer"),
            (any(self.pyramid[-1] % slices for slices in self.pyramid), "pyramid: each number must divide the last"),
        ]  # fmt: skip

    @property
    def embedding_parts(self) -> int:
        """P: the slices of all levels."""
        return sum(self.pyramid)


@dataclass(frozen=True)
class LiCafConfig(SystemConfig):
    """LiDAR depth maps of 64 x 64 px and silhouettes of 64 x 44.

    Attributes:
        channels: widths of the four stages of both branches.
        attention_width: of the channel attention's queries and keys.
    """

    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    attention_width: int = 64

    architecture: ClassVar[str] = "licaf"
    silhouette_height: ClassVar[int] = 64
    silhouette_width: ClassVar[int] = 44
    depth_size: ClassVar[int] = 64

    def problems(self) -> list[tuple[bool, str]]:
        """See ``SystemConfig``."""
        return [
            *super().problems(),
            (len(self.channels) != 4, "channels needs four widths, one per stage"),
            (bool(16 % self.parts), f"parts ({self.parts}) must divide the 16 rows of the feature maps"),
        ]


@dataclass(frozen=True)
class HmrNetConfig(SystemConfig):
    """LiDAR depth maps of 64 x 64 px and points.

    Attributes:
        channels: widths of the four stages of the range-view branch.
        point_channels: widths of the point branch's levels; the last three meet the range view.
        neighbours: k of the point branch.
        heads: of the attention that maps points to the range view.
    """

    points: int = 256
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    point_channels: tuple[int, ...] = (64, 128, 256)
    neighbours: int = 16
    heads: int = 4

    architecture: ClassVar[str] = "hmrnet"
    depth_size: ClassVar[int] = 64

    def problems(self) -> list[tuple[bool, str]]:
        """See ``SystemConfig``."""
        return [
            *super().problems(),
            (len(self.channels) != 4, "channels needs four widths, one per stage"),
            (len(self.point_channels) != 3, "point_channels needs three widths, one per level that meets the range view"),
            (bool(16 % self.parts), f"parts ({self.parts}) must divide the 16 rows of the feature map"),
            (not 0 < self.neighbours < self.points, f"neighbours ({self.neighbours}) must be fewer than points ({self.points})"),
            (any(c % self.heads for c in self.channels), f"heads ({self.heads}) must divide all channels"),
        ]  # fmt: skip


ModelConfig = EMGaitNetConfig | SystemConfig
CONFIGS: dict[str, type[EMGaitNetConfig] | type[SystemConfig]] = {
    "emgaitnet": EMGaitNetConfig,
    **{kind.architecture: kind for kind in (GaitBaseConfig, LidarGaitPlusPlusConfig, LiCafConfig, HmrNetConfig)},
}


TITLES = {
    "emgaitnet": "EMGaitNet",
    "gaitbase": "GaitBase",
    "lidargait++": "LidarGait++",
    "licaf": "LiCAF",
    "hmrnet": "HMRNet",
}


def config_type(architecture: str) -> type[EMGaitNetConfig] | type[SystemConfig]:
    """The configuration of an architecture; ValueError for one that is not known."""
    if architecture not in CONFIGS:
        raise ValueError(f"architecture is '{architecture}': known are {', '.join(CONFIGS)}")
    return CONFIGS[architecture]
