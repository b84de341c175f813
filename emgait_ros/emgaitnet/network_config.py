"""Sizes and switches of EMGaitNet: one frozen dataclass, two presets, no torch.

Sizes the paper does not state carry the reason for the choice.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

PARTS_OF_BODY = ("head", "arms", "torso", "legs", "feet")  # the paper's [PART]
SMALL_CLIP: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": [96, 48], "patch_size": 16, "width": 128, "head_width": 32, "layers": 3},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


@dataclass(frozen=True)
class ClipConfig:
    """Which frozen CLIP mines the semantics.

    Attributes:
        architecture: name of an open_clip architecture ("ViT-B-16"), or "" for ``own``.
        pretrained: open_clip's pretrained tag, the path of a local weights file, or "" for random weights
            (they then come from a bundle or from training).
        own: architecture in the form of open_clip's model JSON files, used when ``architecture`` is "".
    """

    architecture: str = ""
    pretrained: str = ""
    own: dict[str, Any] = field(default_factory=lambda: dict(SMALL_CLIP))

    def __post_init__(self) -> None:
        if not self.architecture and not {"embed_dim", "vision_cfg", "text_cfg"} <= set(self.own):
            raise ValueError(
                "clip.own needs embed_dim, vision_cfg and text_cfg (open_clip's model JSON), or name clip.architecture"
            )


@dataclass(frozen=True)
class EMGaitNetConfig:
    """Everything that decides the shape of the network.

    Attributes:
        crop_height, crop_width: size of the RGB crops the network takes, px; it resizes them itself.
        image_height, image_width: size the gait branch sees, px; multiples of 4 (ResNet9 has two strides of 2).
        points: LiDAR points per sample, N; constant, because TopK is part of the graph.
        view_coordinates: points also carry where in the crop they lie and from where they are seen
            (``inference.preprocessing``): attention then finds which cell of the image shows which point, and what the
            image shows can be turned into the axes of the points. Not in the paper; off, a point is x, y, z.
        channels: widths of ResNet9's four stages.
        point_channels: widths of the point embedding and of each EdgeConv layer.
        neighbours: k of the TopK graph, self excluded.
        width: d, the width of both feature streams and of the embedding.
        heads: attention heads; divides ``width``.
        ffn_ratio: hidden width of the feed-forward layers over ``width``.
        scaf_layers: how often both streams query each other (paper: "hierarchical", number not given).
        parts: horizontal parts of HPP; divides image_height / 4.
        min_frames, max_frames: window lengths T the network may be asked for.
        classes: training identities of the BNNeck classifier; 0 for none (inference).
        logit_scale: factor of the classifier's cosine.
        clip: the frozen CLIP.
        use_image, use_points: modalities; one off gives the ablation rows "RGB only" and "points only".
        use_sga: align both streams to text (Semantic-Guided Alignment).
        use_semi: text carries a pseudo-word mined from the image; off: fixed prompts "... of a person".
        use_st: cross-attention between space and time; off: the maximum over time alone.
        use_hpp: ST and HPP make the embedding, one vector a part; off: the moments over time alone, a single part (not in the paper).
        use_moments: mean and covariance over time of a code of each frame join the embedding (``extensions``; not in
            the paper).
        alone_parts: further vectors of the embedding, for frames without a picture (``extensions.PointsAlone``; not in the
            paper). 0: none; above it takes ``use_hpp`` off.
    """

    crop_height: int = 128
    crop_width: int = 64
    image_height: int = 64
    image_width: int = 32
    points: int = 128
    view_coordinates: bool = False
    channels: tuple[int, int, int, int] = (16, 32, 64, 64)
    point_channels: tuple[int, ...] = (32, 64, 64)
    neighbours: int = 8
    width: int = 64
    heads: int = 4
    ffn_ratio: float = 2.0
    scaf_layers: int = 2
    parts: int = 16
    min_frames: int = 1
    max_frames: int = 30
    classes: int = 0
    logit_scale: float = 16.0
    clip: ClipConfig = field(default_factory=ClipConfig)
    use_image: bool = True
    use_points: bool = True
    use_sga: bool = True
    use_semi: bool = True
    use_st: bool = True
    use_hpp: bool = True
    use_moments: bool = False
    alone_parts: int = 0

    def __post_init__(self) -> None:
        problems = [
            (self.image_height % 4 or self.image_width % 4, "image_height and image_width must be multiples of 4"),
            (self.width % self.heads, f"heads ({self.heads}) must divide width ({self.width})"),
            (self.map_height % self.parts, f"parts ({self.parts}) must divide image_height / 4 ({self.map_height})"),
            (
                not 0 < self.neighbours < self.points,
                f"neighbours ({self.neighbours}) must be fewer than points ({self.points})",
            ),
            (len(self.channels) != 4, "channels needs four widths, one per ResNet9 stage"),
            (
                len(self.point_channels) < 2,
                "point_channels needs the width of the embedding and of at least one EdgeConv layer",
            ),
            (not (self.use_image or self.use_points), "at least one of use_image and use_points must be on"),
            (self.use_semi and not self.use_sga, "use_semi needs use_sga: nothing else reads the text it makes"),
            (self.use_semi and not self.use_image, "use_semi needs use_image: the pseudo-word is mined from the image"),
            (
                not self.use_hpp and not self.use_moments,
                "use_hpp off needs use_moments: nothing else would make an embedding",
            ),
            (self.alone_parts < 0, "alone_parts must be 0 or more"),
            (
                self.alone_parts and (self.use_hpp or not self.use_points),
                "alone_parts needs use_points on and use_hpp off: it describes points, beside the moments over time",
            ),
            (not self.use_hpp and self.use_st, "use_hpp off needs use_st off: nothing would read what ST gives"),
            (not 1 <= self.min_frames <= self.max_frames, "min_frames must be at least 1 and at most max_frames"),
        ]
        for wrong, sentence in problems:
            if wrong:
                raise ValueError(f"EMGaitNet configuration: {sentence}")

    @property
    def point_values(self) -> int:
        """Numbers that describe a point: x, y, z, and with ``view_coordinates`` column, row and direction of sight."""
        return 7 if self.view_coordinates else 3

    @property
    def embedding_parts(self) -> int:
        """P, vectors of an embedding."""
        return self.parts if self.use_hpp else 1 + self.alone_parts

    @property
    def map_height(self) -> int:
        """Rows h of the 2D feature map."""
        return self.image_height // 4

    @property
    def map_width(self) -> int:
        """Columns w of the 2D feature map."""
        return self.image_width // 4

    @classmethod
    def small(cls, **changes: Any) -> EMGaitNetConfig:
        """The shipped scale: one CPU core encodes eight pedestrians at 10 Hz with time to spare."""
        return cls(**changes)

    @classmethod
    def paper(cls, architecture: str = "ViT-B-16", pretrained: str = "", **changes: Any) -> EMGaitNetConfig:
        """The paper's scale; ``pretrained`` is an open_clip tag or a local weights file."""
        sizes: dict[str, Any] = {
            "points": 256,
            "channels": (64, 128, 256, 512),
            "point_channels": (64, 128, 256),
            "neighbours": 16,
            "width": 256,
            "heads": 8,
            "clip": ClipConfig(architecture=architecture, pretrained=pretrained),
        }
        return cls(**{**sizes, **changes})

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EMGaitNetConfig:
        """The inverse of :meth:`to_dict`.

        Raises:
            ValueError: an unknown field or sizes that do not fit together.
        """
        known = {item.name for item in dataclasses.fields(cls)}
        unknown = set(values) - known
        if unknown:
            raise ValueError(f"EMGaitNet configuration has unknown fields {sorted(unknown)}: known are {sorted(known)}")
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        if "clip" in values:
            values["clip"] = ClipConfig(**values["clip"])
        return cls(**values)
