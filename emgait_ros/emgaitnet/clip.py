"""The frozen CLIP behind SeMi: its image tower, its text tower for the five prompts, and how one is built.

"A photo of the [PART] of a [X] person", with PART in head, arms, torso, legs and feet: the embedding of [X] is a
pseudo-word that the network mines from the image. Letters in shape comments: B batch, E width of CLIP's embedding, W width
of a tower.
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

from emgait_ros.emgaitnet.network_config import PARTS_OF_BODY, ClipConfig

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
        return self.visual(self.normalize(crops))

    def normalize(self, crops: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in 0..1 -> (B, 3, *size) as the tower was trained with."""
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

    def train(self, mode: bool = True) -> PromptEncoder:
        """Frozen: stays in evaluation mode."""
        return super().train(False)

    def forward(self, word: Tensor) -> Tensor:
        """Pseudo-words v* (B, W) -> t* (B, 5, E): all 77 tokens of every prompt, read at end-of-text."""
        at = torch.arange(len(PARTS_OF_BODY), device=word.device)
        x = self.prompts[None].repeat(len(word), 1, 1, 1)  # (B, 5, 77, W)
        x[:, at, self.word] = word[:, None] + self.positions[self.word]
        x = self.transformer(x.flatten(0, 1), attn_mask=self.causal)  # (5B, 77, W)
        x = x.unflatten(0, (-1, len(at)))[:, at, self.word + 2]
        return self.project(self.ln_final(x))  # (B, 5, E)


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


def _as_linear(projection: Tensor | nn.Linear) -> nn.Linear:
    """open_clip keeps the text projection as a matrix or as a layer; a layer either way."""
    if isinstance(projection, nn.Linear):
        return projection
    linear = nn.Linear(projection.shape[0], projection.shape[1], bias=False, dtype=projection.dtype)
    linear.weight.data.copy_(projection.data.t())
    return linear
