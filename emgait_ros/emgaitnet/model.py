"""EMGaitNet: gait recognition from LiDAR points and RGB crops, the plain forward to read beside the paper.

References:
    Lu et al., "Walking Further: Semantic-aware Multimodal Gait Recognition Under Long-Range Conditions",
    AAAI 2026, arXiv:2603.14189. The authors released no code; what the paper leaves open is chosen here
    and named in ``EMGaitNetConfig``. What is not in the paper is in ``extensions.py`` and off by default.

Per frame: ResNet9 on the crop, PointGNN on the points, SeMi's text, SGA, SCAF (``FrameEncoder``). Per sequence: ST and HPP
(``SequenceHead``). ``fast.py`` computes the same numbers sooner, and is what runs; the tests compare the two.

Letters in shape comments: B batch, T frames, h x w cells of the 2D feature map (S = h * w), N points, k neighbours,
d width, P parts, E width of CLIP's embedding.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emgait_ros.emgaitnet.clip import FixedPrompts, ImageTower, PromptEncoder, build_clip, resize
from emgait_ros.emgaitnet.example_inputs import random_samples
from emgait_ros.emgaitnet.extensions import AloneBeside, MotionMoments, PointsAlone, on_sphere, raise_lateral
from emgait_ros.emgaitnet.layers import BasicBlock, CrossAttention
from emgait_ros.emgaitnet.network_config import ClipConfig, EMGaitNetConfig

IMAGE_MEAN, IMAGE_STD = 0.45, 0.25  # of the gait branch's RGB input, in 0..1


class Output(NamedTuple):
    """What a training step uses."""

    embedding: Tensor  # (B, P, d), for the triplet loss and for matching
    bn_embedding: Tensor  # (B, P, d), after BNNeck
    logits: Tensor  # (B, P, classes)
    frame_parts: Tensor  # (B, T, P, d), the parts of each frame before time is pooled


class ResNet9(nn.Module):
    """The gait ResNet9: 3x3 stem and four BasicBlocks with strides 1, 2, 2, 1 (paper: 2D encoder)."""

    def __init__(self, config: EMGaitNetConfig) -> None:
        super().__init__()
        self.size = (config.image_height, config.image_width)
        widths = (config.channels[0], *config.channels)
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        self.stages = nn.Sequential(
            *(BasicBlock(widths[i], widths[i + 1], stride) for i, stride in enumerate((1, 2, 2, 1)))
        )
        self.project = nn.Conv2d(widths[-1], config.width, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """RGB crops (B, 3, H, W) in 0..1 -> (B, S, d)."""
        x = (resize(crops, self.size) - IMAGE_MEAN) / IMAGE_STD
        x = self.project(self.stages(self.stem(x)))  # (B, d, h, w)
        return x.flatten(2).transpose(1, 2)  # (B, S, d)


class EdgeConv(nn.Module):
    """Edge features W [c; n - c] over the k most similar points n of each point c, then the maximum over k.

    Batch norm and activation follow the maximum. EdgeConv as published has them before it; where a batch-norm weight is
    negative the two differ (the order is turned round), so this is a network of its own and is trained as such.
    """

    def __init__(self, inputs: int, outputs: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.edge = nn.Linear(2 * inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, inputs) -> (B, N, outputs)."""
        chosen = nearest_by_cosine(x, self.neighbours)  # (B, N, k)
        neighbour = x[torch.arange(len(x), device=x.device)[:, None, None], chosen]  # (B, N, k, inputs)
        center = x[:, :, None].expand_as(neighbour)
        edges = self.edge(torch.cat([center, neighbour - center], dim=-1))  # (B, N, k, outputs)
        return self.activate(edges.amax(dim=2).flatten(0, 1)).unflatten(0, (-1, x.shape[1]))

    def activate(self, x: Tensor) -> Tensor:
        """(M, outputs) after the maximum: batch norm and leaky ReLU."""
        return F.leaky_relu(self.norm(x), 0.2)


@torch.no_grad()
def nearest_by_cosine(x: Tensor, neighbours: int) -> Tensor:
    """(B, N, C) -> (B, N, k) indices of the points with the most similar features, the point itself excluded."""
    with torch.autocast(x.device.type, enabled=False):
        similarity = cosine_similarity(x)
        itself = torch.eye(x.shape[1], dtype=similarity.dtype, device=x.device)
        return (similarity - 4.0 * itself).topk(neighbours, dim=-1).indices


def cosine_similarity(x: Tensor) -> Tensor:
    """(B, N, C) -> (B, N, N) of the points among themselves, in float32 or float64."""
    unit = F.normalize(x.float() if x.dtype != torch.float64 else x, dim=-1)
    return unit @ unit.transpose(1, 2)


class PointGNN(nn.Module):
    """Point embedding, EdgeConv layers, and a projection of all levels together (paper: 3D encoder)."""

    edge_conv: type[EdgeConv] = EdgeConv

    def __init__(self, config: EMGaitNetConfig) -> None:
        super().__init__()
        widths = config.point_channels
        self.embed = nn.Linear(config.point_values, widths[0], bias=False)
        raise_lateral(self.embed.weight)
        self.embed_norm = nn.BatchNorm1d(widths[0])
        self.layers = nn.ModuleList(self.edge_conv(a, b, config.neighbours) for a, b in pairwise(widths))
        self.project = nn.Linear(sum(widths), config.width)

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, 3) m, centred on the pedestrian, or (B, N, 7) with ``view_coordinates`` -> (B, N, d)."""
        x = self.embed_norm(self.embed(points).flatten(0, 1)).unflatten(0, (-1, points.shape[1]))
        levels = [F.leaky_relu(x, 0.2)]
        for layer in self.layers:
            levels.append(layer(levels[-1]))
        return self.project(torch.cat(levels, dim=-1))


class SemanticMining(nn.Module):
    """SeMi: crops -> text features t* of a frozen CLIP, one vector for each part of the body.

    CLIP's image embedding v -> Inversion Network -> pseudo-word v*, put in place of [X] in "A photo of the [PART] of a [X]
    person" -> CLIP's text encoder -> t*. Where the image is missing a learned pseudo-word takes the
    place of v*.
    """

    image_tower: type[ImageTower] = ImageTower
    prompt_encoder: type[PromptEncoder] = PromptEncoder

    def __init__(self, config: ClipConfig, load_pretrained: bool = True) -> None:
        super().__init__()
        clip = build_clip(config, load_pretrained)
        self.image = self.image_tower(clip)
        self.text = self.prompt_encoder(clip)
        self.embed_dim = int(self.text.project.out_features)
        text_width = clip.transformer.width
        hidden = max(self.embed_dim, text_width)
        self.inversion = nn.Sequential(  # the Inversion Network; LayerNorm because CLIP's scale varies with its weights
            nn.LayerNorm(self.embed_dim),
            nn.Linear(self.embed_dim, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, text_width),
        )
        self.missing_word = nn.Parameter(torch.randn(text_width) * 0.02)

    def pseudo_word(self, crops: Tensor, has_image: Tensor, clip_features: Tensor | None = None) -> Tensor:
        """v* (B, text width) from crops (B, 3, H, W), or from v already computed (B, E)."""
        if clip_features is None:
            with torch.no_grad():
                clip_features = self.image(crops)
        word = self.inversion(clip_features)
        return torch.where(has_image[:, None], word, self.missing_word.to(word.dtype))

    def forward(self, crops: Tensor, has_image: Tensor, clip_features: Tensor | None = None) -> Tensor:
        """t* (B, 5, E)."""
        return self.text(self.pseudo_word(crops, has_image, clip_features))


class FrameEncoder(nn.Module):
    """Everything before ST: one pedestrian in one frame -> features that ST can pool over time.

    A missing modality is replaced by learned tokens, so that the other one still finds its way through SCAF.
    """

    point_gnn: type[PointGNN] = PointGNN
    semantic_mining: type[SemanticMining] = SemanticMining

    def __init__(self, config: EMGaitNetConfig, load_pretrained: bool = True) -> None:
        super().__init__()
        self.config = config
        width, heads, ratio = config.width, config.heads, config.ffn_ratio
        cells = config.map_height * config.map_width
        self.missing_image = nn.Parameter(torch.randn(cells, width) * 0.02)
        if config.use_image:
            self.image_encoder = ResNet9(config)
            self.position = nn.Parameter(torch.randn(cells, width) * 0.02)
        if config.use_points:
            self.point_encoder = self.point_gnn(config)
            self.missing_points = nn.Parameter(torch.randn(1, width) * 0.02)
            self.scaf_image = nn.ModuleList(
                CrossAttention(width, width, heads, ratio) for _ in range(config.scaf_layers)
            )
            # With ST off nothing reads the 3D stream after the last layer.
            deep = config.scaf_layers if config.use_st else config.scaf_layers - 1
            self.scaf_points = nn.ModuleList(CrossAttention(width, width, heads, ratio) for _ in range(deep))
        self.points_alone = PointsAlone(config) if config.alone_parts else None
        self.semantics: SemanticMining | FixedPrompts | None = None
        if config.use_sga:
            self.semantics = (self.semantic_mining if config.use_semi else FixedPrompts)(config.clip, load_pretrained)
            self.sga_image = CrossAttention(width, self.semantics.embed_dim, heads, ratio)
            if config.use_points:
                self.sga_points = CrossAttention(width, self.semantics.embed_dim, heads, ratio)

    def forward(
        self,
        crops: Tensor,
        points: Tensor,
        has_image: Tensor,
        has_points: Tensor,
        clip_features: Tensor | None = None,
        text: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Single frames: inputs of :meth:`EMGaitNet.forward` without T, and t* (B, 5, E) if it was computed before.

        Returns:
            image_features (B, S, d), point_feature (B, d), or (B, A * d) of ``extensions.PointsAlone``.
        """
        if text is None and self.semantics is not None:
            text = self.semantics(crops, has_image, clip_features)  # t* (B, 5, E)
        image, point = self.fuse(*self.encode(crops, points, has_image, has_points), text)
        return image, point if self.points_alone is None else self.points_alone(image, has_points & ~has_image)

    def encode(
        self, crops: Tensor, points: Tensor, has_image: Tensor, has_points: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """2D features (B, S, d) and 3D features (B, N, d), or None without the 3D branch."""
        image = self.missing_image[None].expand(crops.shape[0], -1, -1)
        if self.config.use_image:
            seen = self.image_encoder(crops)
            image = torch.where(has_image.view(-1, 1, 1), seen + self.position.to(seen.dtype), image.to(seen.dtype))
        if not self.config.use_points:
            return image, None
        cloud = self.point_encoder(points)
        return image, torch.where(has_points.view(-1, 1, 1), cloud, self.missing_points.to(cloud.dtype))

    def fuse(self, image: Tensor, cloud: Tensor | None, text: Tensor | None) -> tuple[Tensor, Tensor]:
        """SGA and SCAF (paper: semantic-guided fusion); returns as :meth:`forward`."""
        if text is not None:
            image = self.sga_image(image, text)
            cloud = self.sga_points(cloud, text) if cloud is not None else None
        if cloud is None:
            return image, image.mean(dim=1)
        for layer, image_queries in enumerate(self.scaf_image):
            # Symmetric: both directions start from the same pair of streams.
            deeper = self.scaf_points[layer](cloud, image) if layer < len(self.scaf_points) else cloud
            image, cloud = image_queries(image, cloud), deeper
        return image, cloud.mean(dim=1)


class SequenceHead(nn.Module):
    """ST and HPP: the features of a window -> one embedding per part.

    Neither the maximum nor the attention knows an order, so windows may slide and have gaps.
    """

    def __init__(self, config: EMGaitNetConfig) -> None:
        super().__init__()
        self.config = config
        if config.use_st:
            self.space_time = CrossAttention(config.width, config.width, config.heads, config.ffn_ratio)
        if config.use_hpp:
            self.part_weight = nn.Parameter(torch.empty(config.parts, config.width, config.width))
            nn.init.xavier_uniform_(self.part_weight)
        if config.use_moments:
            self.moments = MotionMoments(config)
        self.alone = AloneBeside(config) if config.alone_parts else None

    def forward(self, image_features: Tensor, point_features: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, S, d), (B, T, d) and (B, T) bool of valid frames, at least one a row -> (B, P, d)."""
        if not self.config.use_hpp:
            moments = on_sphere(self.moments(image_features, frame_mask))
            return moments if self.alone is None else self.alone(moments, point_features, frame_mask)
        lowest = torch.finfo(image_features.dtype).min
        valid = frame_mask[:, :, None, None]
        space = torch.where(valid, image_features, lowest).amax(dim=1)  # (B, S, d)
        if self.config.use_st:
            space = self.space_time(space, point_features, frame_mask)
        rows = space.unflatten(1, (self.config.parts, -1)).amax(dim=2)  # HPP: (B, P, d)
        embedding = (rows.transpose(0, 1) @ self.part_weight.to(rows.dtype)).transpose(0, 1)  # (B, P, d)
        return on_sphere(embedding + self.moments(image_features, frame_mask)) if self.config.use_moments else embedding


class BNNeck(nn.Module):
    """Batch norm and a cosine classifier per part; the triplet loss takes the embedding before it."""

    def __init__(self, config: EMGaitNetConfig) -> None:
        super().__init__()
        self.scale = config.logit_scale
        self.norm = nn.BatchNorm1d(config.embedding_parts * config.width)
        self.classifier = nn.Parameter(torch.empty(config.embedding_parts, config.width, config.classes))
        nn.init.xavier_uniform_(self.classifier)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P, d) -> normalised (B, P, d) and logits (B, P, classes)."""
        normalised = self.norm(embedding.flatten(1)).view_as(embedding)
        classes = F.normalize(self.classifier, dim=1).to(normalised.dtype)
        cosine = F.normalize(normalised, dim=-1).transpose(0, 1) @ classes  # (P, B, classes)
        return normalised, self.scale * cosine.transpose(0, 1)


class EMGaitNet(nn.Module):
    """The whole network, for training.

    Args:
        config: sizes and switches; ``config.classes`` above 0 adds the BNNeck.
        load_pretrained: read CLIP's pretrained weights; False when a state dict follows.

    Raises: ValueError, OSError when CLIP cannot be built (see ``clip.build_clip``).
    """

    architecture: str = "emgaitnet"
    inputs: tuple[str, ...] = ("crops", "points", "has_image", "has_points")
    features: tuple[str, ...] = ("image_features", "point_features")
    frame_encoder: type[FrameEncoder] = FrameEncoder

    def __init__(self, config: EMGaitNetConfig, load_pretrained: bool = True) -> None:
        super().__init__()
        self.config = config
        self.frame = self.frame_encoder(config, load_pretrained)
        self.sequence = SequenceHead(config)
        self.neck = BNNeck(config) if config.classes else None

    def forward(
        self,
        crops: Tensor,
        points: Tensor,
        has_image: Tensor,
        has_points: Tensor,
        frame_mask: Tensor,
        clip_features: Tensor | None = None,
    ) -> Output:
        """Windows of T frames.

        Args:
            crops: (B, T, 3, crop_height, crop_width) RGB in 0..1; zeros where there is none.
            points: (B, T, N, 3 or 7) as ``inference.preprocessing`` makes them; zeros where there are none.
            has_image, has_points: (B, T) bool, the modality is there.
            frame_mask: (B, T) bool, the frame is there; at least one per window.
            clip_features: (B, T, E) CLIP image embeddings computed before (CLIP is frozen), or None: computed here.
        """
        batch, frames = frame_mask.shape
        clip = clip_features.flatten(0, 1) if clip_features is not None else None
        image, cloud = self.frame(
            crops.flatten(0, 1), points.flatten(0, 1), has_image.flatten(), has_points.flatten(), clip
        )
        image, cloud = image.unflatten(0, (batch, frames)), cloud.unflatten(0, (batch, frames))
        embedding = self.sequence(image, cloud, frame_mask)
        embedding = embedding.to(self.frame.missing_image.dtype)  # full precision for the losses under autocast
        plain = embedding, embedding.new_zeros(batch, self.config.embedding_parts, 0)
        normalised, logits = plain if self.neck is None else self.neck(embedding)
        return Output(embedding, normalised, logits, self.frame_parts(image))

    def frame_parts(self, image_features: Tensor) -> Tensor:
        """(..., S, d) of single frames -> (..., P, d): the horizontal parts as HPP takes them, before time is pooled."""
        return image_features.unflatten(-2, (self.config.parts, -1)).amax(dim=-2)

    def example_inputs(self, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """See :func:`random_samples`."""
        return random_samples(self.config, batch, seed)
