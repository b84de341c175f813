"""SeMi, Semantic Mining (paper, section on SeMi): what a frozen CLIP says about each part of a body.

CLIP's image embedding v -> Inversion Network -> pseudo-word v*, put in place of [X] in
"A photo of the [PART] of a [X] person" -> frozen CLIP text encoder -> t*, one vector per part.

Both towers skip what nobody reads, and give what the whole gives. CLIP's text attention is causal and everything
before [X] is constant: the keys and values of that prefix are computed once, and only the three tokens [X], person and
end-of-text run per image, 77 / 3 times less work. Of the image tower's last block only the class token is read, so only
that is computed. The ``encode_plain`` methods do it the long way, as the reference.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from emgait_ros.emgaitnet.config import PARTS_OF_BODY, ClipConfig

PLACEHOLDER = "*"  # one token of CLIP's vocabulary; its embedding is replaced by v*
MINED_PROMPT = "A photo of the {part} of a " + PLACEHOLDER + " person"
FIXED_PROMPT = "A photo of the {part} of a person"


def build_clip(config: ClipConfig, load_pretrained: bool = True) -> CLIP:
    """The CLIP model a config names, in evaluation mode and float32.

    Args:
        load_pretrained: read ``config.pretrained``; False when the weights come from a bundle.

    Raises:
        ValueError: an unknown architecture or tag, or a CLIP without a causal BPE text tower.
        OSError: the pretrained weights are not there and cannot be fetched.
    """
    pretrained = config.pretrained if load_pretrained else ""
    if not config.architecture:
        clip = CLIP(**config.own)
        if pretrained:
            _load_local(clip, Path(pretrained))
    else:
        _check_names(config.architecture, pretrained)
        try:
            with _without_warnings(not pretrained):  # open_clip warns of random weights, which are meant here
                clip = open_clip.create_model(config.architecture, pretrained=pretrained or None)
        except Exception as error:  # open_clip and the hub raise many kinds, network errors among them
            raise OSError(
                f"CLIP {config.architecture} with pretrained weights '{pretrained}' could not be loaded ({error}): "
                "fetch the file where there is a network and give its path as clip.pretrained"
            ) from error
    if not isinstance(clip, CLIP) or clip.attn_mask is None or clip.text_pool_type != "argmax":
        raise ValueError(
            f"CLIP {config.architecture} has no causal text tower with end-of-text pooling: choose an OpenAI-style one such as ViT-B-16"
        )
    if not isinstance(clip.visual, VisionTransformer) or not isinstance(
        clip.transformer.resblocks[0], ResidualAttentionBlock
    ):
        raise ValueError(
            f"CLIP {config.architecture} is not built of plain transformer blocks: choose one such as ViT-B-16 or ViT-B-32"
        )
    return clip.eval()


@contextmanager
def _without_warnings(quiet: bool) -> Iterator[None]:
    before = logging.root.manager.disable
    if quiet:
        logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _check_names(architecture: str, pretrained: str) -> None:
    if architecture not in open_clip.list_models():
        raise ValueError(
            f"unknown CLIP architecture '{architecture}': `open_clip.list_models()` lists the known ones, such as ViT-B-16 and ViT-B-32"
        )
    if pretrained and not Path(pretrained).is_file():
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        if pretrained not in tags:
            raise ValueError(
                f"'{pretrained}' is neither a file nor a pretrained tag of CLIP {architecture}: its tags are {', '.join(tags) or 'none'}"
            )


def _load_local(clip: CLIP, path: Path) -> None:
    from safetensors.torch import load_file

    if path.suffix != ".safetensors" or not path.is_file():
        raise ValueError(f"weights of an own CLIP architecture come from a .safetensors file: '{path}' is none")
    try:
        clip.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit the CLIP architecture in the configuration: {error}") from error


def tokenize(prompts: list[str], context_length: int = 77) -> Tensor:
    """(P, context_length) int64 CLIP BPE tokens, zero padded."""
    return open_clip.SimpleTokenizer(context_length=context_length)(prompts)


class ImageTower(nn.Module):
    """CLIP's frozen image encoder, with its resize and normalisation in the graph."""

    mean: Tensor
    std: Tensor

    def __init__(self, clip: CLIP) -> None:
        super().__init__()
        self.visual = clip.visual.requires_grad_(False)
        self.size = tuple(clip.visual.image_size)
        preprocess = getattr(clip.visual, "preprocess_cfg", {}) or {}
        mean, std = (
            preprocess.get("mean", open_clip.OPENAI_DATASET_MEAN),
            preprocess.get("std", open_clip.OPENAI_DATASET_STD),
        )
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in 0..1 -> (B, E) image embedding v, not normalised."""
        visual = self.visual
        if visual.attn_pool is not None or visual.pool_type != "tok":
            return self.encode_plain(crops)
        x = visual._embeds(self._normalise(crops))  # (B, 1 + patches, W)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            x = x + block.ls_1(self._attend(block, block.ln_1(x)))
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        token = x[:, :1] + last.ls_1(self._attend(last, last.ln_1(x), queries=1))  # (B, 1, W)
        token = token + last.ls_2(last.mlp(last.ln_2(token)))
        pooled = visual.ln_post(token[:, 0])
        return pooled if visual.proj is None else pooled @ visual.proj

    @staticmethod
    def _attend(block: ResidualAttentionBlock, x: Tensor, queries: int | None = None) -> Tensor:
        """Self-attention of a block, (B, N, W) -> the first ``queries`` tokens (B, Q, W)."""
        packed, bias, heads = block.attn.in_proj_weight, block.attn.in_proj_bias, block.attn.num_heads
        if queries is None:
            query, key, value = F.linear(x, packed, bias).chunk(3, dim=-1)
        else:
            width = x.shape[-1]
            query = F.linear(x[:, :queries], packed[:width], bias[:width])
            key, value = F.linear(x, packed[width:], bias[width:]).chunk(2, dim=-1)
        mixed = F.scaled_dot_product_attention(
            *(t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (query, key, value))
        )
        return block.attn.out_proj(mixed.transpose(1, 2).flatten(2))

    def encode_plain(self, crops: Tensor) -> Tensor:
        """As open_clip computes it: every token of every block, (B, 3, H, W) -> (B, E)."""
        return self.visual(self._normalise(crops))

    def _normalise(self, crops: Tensor) -> Tensor:
        return (resize(crops, self.size) - self.mean) / self.std

    def train(self, mode: bool = True) -> ImageTower:
        """Frozen: stays in evaluation mode."""
        return super().train(False)


def resize(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear without antialiasing (it exports as one ONNX Resize): (B, C, H, W) -> (B, C, *size).

    The result is contiguous whatever the input's strides are: convolutions of channels-last input with few channels write
    beyond their memory in oneDNN's backward pass on CPUs without AVX-512 (torch 2.14.1).
    """
    images = images.contiguous()
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    return F.interpolate(images, size=list(size), mode="bilinear", align_corners=False)


class PromptEncoder(nn.Module):
    """CLIP's frozen text encoder for the five prompts with a pseudo-word.

    Of the vocabulary only the embeddings of the prompts' own tokens are kept.
    """

    prompts: Tensor
    positions: Tensor
    word: Tensor
    causal: Tensor
    prefix_keys: Tensor
    prefix_values: Tensor
    prefix_bias: Tensor

    def __init__(self, clip: CLIP) -> None:
        super().__init__()
        tokens = tokenize([MINED_PROMPT.format(part=part) for part in PARTS_OF_BODY], clip.context_length)
        placeholder = tokenize([PLACEHOLDER], clip.context_length)[0, 1]
        self.transformer = clip.transformer.requires_grad_(False)
        self.ln_final = clip.ln_final.requires_grad_(False)
        projection = clip.text_projection
        self.project = _as_linear(projection).requires_grad_(False)
        self.heads = clip.transformer.resblocks[0].attn.num_heads
        # (5, 77, W) embeddings with positions; (5,) index of [X] in each prompt ("torso" is two tokens)
        positions = clip.positional_embedding.detach()
        self.register_buffer("prompts", clip.token_embedding(tokens).detach() + positions)
        self.register_buffer("positions", positions.clone())
        self.register_buffer("word", (tokens == placeholder).int().argmax(dim=1), persistent=False)
        self.register_buffer("causal", clip.attn_mask.clone(), persistent=False)
        self.refresh_cache()
        self.register_load_state_dict_post_hook(lambda module, _: module.refresh_cache())

    def train(self, mode: bool = True) -> PromptEncoder:
        """Frozen: stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def refresh_cache(self) -> None:
        """Recompute the prefix keys and values: (layers, 5, heads, L, W / heads); call after a change of dtype."""
        length = int(self.word.max())
        x = self.prompts[:, :length]  # (5, L, W)
        keys, values = [], []
        for block in self.transformer.resblocks:
            _, key, value = self._heads_of(block, block.ln_1(x))
            keys.append(key)
            values.append(value)
            x = block(x, attn_mask=self.causal[:length, :length])
        self.register_buffer("prefix_keys", torch.stack(keys), persistent=False)
        self.register_buffer("prefix_values", torch.stack(values), persistent=False)
        padding = torch.arange(length, device=x.device)[None] >= self.word[:, None]  # (5, L)
        bias = torch.zeros(padding.shape, dtype=x.dtype, device=x.device).masked_fill(padding, -1e4)
        self.register_buffer("prefix_bias", bias.view(len(bias), 1, 1, 1, length), persistent=False)

    def _heads_of(self, block: ResidualAttentionBlock, x: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value of a block's attention, each (P, heads, tokens, W / heads)."""
        packed = F.linear(x, block.attn.in_proj_weight, block.attn.in_proj_bias)
        return tuple(t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in packed.chunk(3, dim=-1))

    def forward(self, word: Tensor) -> Tensor:
        """Pseudo-words (B, W) -> t* (B, 5, E), running three tokens per prompt on the cached prefix."""
        parts, batch = len(PARTS_OF_BODY), word.shape[0]
        at = torch.arange(parts, device=word.device)
        first = word[None] + self.positions[self.word][:, None]  # (5, B, W)
        rest = torch.stack([self.prompts[at, self.word + 1], self.prompts[at, self.word + 2]], dim=1)  # (5, 2, W)
        x = torch.cat(
            [first[:, :, None], rest[:, None].expand(-1, batch, -1, -1).to(first.dtype)], dim=2
        )  # (5, B, 3, W)
        last_layer = len(self.transformer.resblocks) - 1
        for layer, block in enumerate(self.transformer.resblocks):
            queries = 1 if layer == last_layer else 3  # only end-of-text is read
            attended = self._attend(block, layer, block.ln_1(x), queries)
            x = x[:, :, 3 - queries :] + block.ls_1(attended)
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
        return self.project(self.ln_final(x[:, :, 0])).transpose(0, 1)  # (B, 5, E)

    def _attend(self, block: ResidualAttentionBlock, layer: int, x: Tensor, queries: int) -> Tensor:
        """Causal attention of the last ``queries`` of three tokens (5, B, 3, W) over prefix and themselves."""
        parts, batch, tokens, width = x.shape
        query, key, value = self._heads_of(block, x.reshape(parts, batch * tokens, width))  # (5, heads, 3B, W/heads)
        query, key, value = (t.unflatten(2, (-1, tokens)) for t in (query, key, value))  # (5, heads, B, 3, W/heads)
        query = query[:, :, :, tokens - queries :] * (width // self.heads) ** -0.5
        prefix_key, prefix_value = self.prefix_keys[layer], self.prefix_values[layer]  # (5, heads, L, W/heads)
        to_prefix = (query.flatten(2, 3) @ prefix_key.transpose(-1, -2)).unflatten(2, (-1, queries)) + self.prefix_bias
        causal = self.causal[tokens - queries : tokens, :tokens].clamp(min=-1e4)
        to_self = query @ key.transpose(-1, -2) + causal
        weight = torch.cat([to_prefix, to_self], dim=-1).softmax(dim=-1).to(query.dtype)  # (5, heads, B, q, L+3)
        length = prefix_key.shape[2]
        from_prefix = (weight[..., :length].flatten(2, 3) @ prefix_value.to(query.dtype)).unflatten(2, (-1, queries))
        mixed = from_prefix + weight[..., length:] @ value
        mixed = mixed.permute(0, 2, 3, 1, 4).flatten(3)  # (5, B, q, W)
        return F.linear(mixed, block.attn.out_proj.weight, block.attn.out_proj.bias)

    def encode_plain(self, word: Tensor) -> Tensor:
        """As the paper says it: all tokens of every prompt, (B, W) -> (B, 5, E)."""
        parts = len(PARTS_OF_BODY)
        at = torch.arange(parts, device=word.device)
        x = self.prompts[None].repeat(len(word), 1, 1, 1)  # (B, 5, 77, W)
        x[:, at, self.word] = word[:, None] + self.positions[self.word]
        x = self.transformer(x.flatten(0, 1), attn_mask=self.causal)  # (5B, 77, W)
        x = x.unflatten(0, (-1, parts))[:, at, self.word + 2]
        return self.project(self.ln_final(x))  # (B, 5, E)


def _as_linear(projection: Tensor | nn.Linear) -> nn.Linear:
    """open_clip keeps the text projection as a matrix or as a layer; a layer either way."""
    if isinstance(projection, nn.Linear):
        return projection
    linear = nn.Linear(projection.shape[0], projection.shape[1], bias=False, dtype=projection.dtype)
    linear.weight.data.copy_(projection.data.t())
    return linear


class SemanticMining(nn.Module):
    """SeMi: crops -> part-aware text features t*.

    Where the image is missing a learned pseudo-word takes the place of v*.
    """

    def __init__(self, config: ClipConfig, load_pretrained: bool = True) -> None:
        super().__init__()
        clip = build_clip(config, load_pretrained)
        self.image = ImageTower(clip)
        self.text = PromptEncoder(clip)
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


class FixedPrompts(nn.Module):
    """Ablation without SeMi: the same five text features for everybody, "A photo of the [PART] of a person"."""

    features: Tensor

    def __init__(self, config: ClipConfig, load_pretrained: bool = True) -> None:
        super().__init__()
        clip = build_clip(config, load_pretrained)
        tokens = tokenize([FIXED_PROMPT.format(part=part) for part in PARTS_OF_BODY], clip.context_length)
        with torch.no_grad():
            self.register_buffer("features", clip.encode_text(tokens))
        self.embed_dim = self.features.shape[1]

    def forward(self, crops: Tensor, has_image: Tensor, clip_features: Tensor | None = None) -> Tensor:
        """(5, E) expanded to (B, 5, E)."""
        return self.features[None].expand(crops.shape[0], -1, -1)
