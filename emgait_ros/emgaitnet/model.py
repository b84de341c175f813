"""EMGaitNet: gait recognition from LiDAR points and RGB crops, in PyTorch.

References:
    Lu et al., "Walking Further: Semantic-aware Multimodal Gait Recognition Under Long-Range Conditions",
    AAAI 2026, arXiv:2603.14189. The authors released no code; what the paper leaves open is chosen here
    and named in ``EMGaitNetConfig``.

Everything before ST looks at one frame only. So the network is cut there: ``FrameEncoder`` runs once when a frame
arrives, ``SequenceHead`` runs on the features a track has gathered, and ``EMGaitNet`` joins both for training. SeMi is
cut off the frame encoder once more: its text changes slowly, so a track may keep it for a few frames.

Letters in shape comments: B batch, T frames, h x w cells of the 2D feature map (S = h * w), N points, k neighbours,
d width, P parts, E width of CLIP's embedding.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emgait_ros.emgaitnet.config import EMGaitNetConfig
from emgait_ros.emgaitnet.motion_moments import MotionMoments, on_sphere
from emgait_ros.emgaitnet.point_gnn import PointGNN
from emgait_ros.emgaitnet.semantics import FixedPrompts, SemanticMining, resize

IMAGE_MEAN, IMAGE_STD = 0.45, 0.25  # of the gait branch's RGB input, in 0..1


class Output(NamedTuple):
    """What a training step sees: (B, P, d) embedding for the triplet loss and for matching, (B, P, d) after BNNeck,
    (B, P, classes), and (B, T, P, d): the parts of each frame before time is pooled.
    """

    embedding: Tensor
    bn_embedding: Tensor
    logits: Tensor
    frame_parts: Tensor


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


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


class CrossAttention(nn.Module):
    """Multi-head cross-attention with residual and feed-forward layer, normalised before each."""

    def __init__(self, width: int, context_width: int, heads: int, ffn_ratio: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_query, self.norm_context, self.norm_ffn = (
            nn.LayerNorm(width),
            nn.LayerNorm(context_width),
            nn.LayerNorm(width),
        )
        self.to_query = nn.Linear(width, width)
        self.to_key_value = nn.Linear(context_width, 2 * width)
        self.to_output = nn.Linear(width, width)
        hidden = int(width * ffn_ratio)
        self.ffn = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Queries (B, Q, width), context (B, K, context_width), mask (B, K) bool of valid context -> (B, Q, width)."""
        query = self._split(self.to_query(self.norm_query(x)))  # (B, heads, Q, width / heads)
        key, value = (self._split(t) for t in self.to_key_value(self.norm_context(context)).chunk(2, dim=-1))
        keep = None if mask is None else mask[:, None, None, :]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=keep)
        x = x + self.to_output(attended.transpose(1, 2).flatten(2))
        return x + self.ffn(self.norm_ffn(x))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FrameEncoder(nn.Module):
    """Everything before ST: one pedestrian in one frame -> features that ST can pool over time.

    A missing modality is replaced by learned tokens, so that the other one still finds its way through SCAF.
    """

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
            self.point_encoder = PointGNN(config)
            self.missing_points = nn.Parameter(torch.randn(1, width) * 0.02)
            self.scaf_image = nn.ModuleList(
                CrossAttention(width, width, heads, ratio) for _ in range(config.scaf_layers)
            )
            # With ST off nothing reads the 3D stream after the last layer.
            deep = config.scaf_layers if config.use_st else config.scaf_layers - 1
            self.scaf_points = nn.ModuleList(CrossAttention(width, width, heads, ratio) for _ in range(deep))
        self.semantics: SemanticMining | FixedPrompts | None = None
        if config.use_sga:
            self.semantics = (SemanticMining if config.use_semi else FixedPrompts)(config.clip, load_pretrained)
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
        """One sample per row.

        Args:
            crops: (B, 3, crop_height, crop_width) RGB in 0..1; zeros where there is none.
            points: (B, N, 3 or 7) as the bundle's preprocessing makes them; zeros where there are none.
            has_image, has_points: (B,) bool.
            clip_features: (B, E) CLIP image embeddings computed before (it is frozen), or None.
            text: t* (B, 5, E) of ``self.semantics`` computed before, or None.

        Returns:
            image_features (B, S, d), point_feature (B, d).
        """
        if text is None and self.semantics is not None:
            text = self.semantics(crops, has_image, clip_features)  # t* (B, 5, E)
        return self.fuse(*self.encode(crops, points, has_image, has_points), text)

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
        self.part_weight = nn.Parameter(torch.empty(config.parts, config.width, config.width))
        nn.init.xavier_uniform_(self.part_weight)
        if config.use_moments:
            self.moments = MotionMoments(config)

    def forward(self, image_features: Tensor, point_features: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, S, d), (B, T, d) and (B, T) bool of valid frames, at least one a row -> (B, P, d)."""
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
        self.norm = nn.BatchNorm1d(config.parts * config.width)
        self.classifier = nn.Parameter(torch.empty(config.parts, config.width, config.classes))
        nn.init.xavier_uniform_(self.classifier)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P, d) -> normalised (B, P, d) and logits (B, P, classes)."""
        normalised = self.norm(embedding.flatten(1)).view_as(embedding)
        cosine = F.normalize(normalised, dim=-1).transpose(0, 1) @ F.normalize(self.classifier, dim=1).to(
            normalised.dtype
        )
        return normalised, self.scale * cosine.transpose(0, 1)


class EMGaitNet(nn.Module):
    """The whole network, for training.

    Args:
        config: sizes and switches; ``config.classes`` above 0 adds the BNNeck.
        load_pretrained: read CLIP's pretrained weights; False when a state dict follows.

    Raises:
        ValueError, OSError: CLIP cannot be built (see ``semantics.build_clip``).
    """

    def __init__(self, config: EMGaitNetConfig, load_pretrained: bool = True) -> None:
        super().__init__()
        self.config = config
        self.frame = FrameEncoder(config, load_pretrained)
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
            crops: (B, T, 3, crop_height, crop_width) RGB in 0..1.
            points: (B, T, N, 3 or 7) as ``inference.preprocessing`` makes them.
            has_image, has_points: (B, T) bool, the modality is there.
            frame_mask: (B, T) bool, the frame is there; at least one per window.
            clip_features: (B, T, E) from :meth:`clip_features`, or None: computed here.
        """
        batch, frames = frame_mask.shape
        clip = clip_features.flatten(0, 1) if clip_features is not None else None
        image, cloud = self.frame(
            crops.flatten(0, 1), points.flatten(0, 1), has_image.flatten(), has_points.flatten(), clip
        )
        image, cloud = image.unflatten(0, (batch, frames)), cloud.unflatten(0, (batch, frames))
        embedding = self.sequence(image, cloud, frame_mask)
        embedding = embedding.to(self.sequence.part_weight.dtype)  # full precision for the losses under autocast
        frame_parts = self.frame_parts(image)
        if self.neck is None:
            return Output(embedding, embedding, embedding.new_zeros(batch, self.config.parts, 0), frame_parts)
        normalised, logits = self.neck(embedding)
        return Output(embedding, normalised, logits, frame_parts)

    def frame_parts(self, image_features: Tensor) -> Tensor:
        """(..., S, d) of single frames -> (..., P, d): the horizontal parts as HPP takes them, before time is pooled."""
        return image_features.unflatten(-2, (self.config.parts, -1)).amax(dim=-2)

    @torch.no_grad()
    def clip_features(self, crops: Tensor) -> Tensor:
        """(M, 3, crop_height, crop_width) -> (M, E): frozen, so a trainer may compute them once and keep them."""
        if not isinstance(self.frame.semantics, SemanticMining):
            raise ValueError("this configuration mines no semantics: there are no CLIP features to compute")
        return self.frame.semantics.image(crops)

    def trainable_parameters(self) -> list[nn.Parameter]:
        """All parameters but frozen CLIP's."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]
