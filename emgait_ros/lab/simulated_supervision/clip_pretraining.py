"""A small CLIP, pretrained contrastively on simulated pictures with captions.

SeMi needs a frozen CLIP that knows parts of bodies, builds and clothes. Pretrained weights drop in by tag or path
(``model.clip``); where there are none, this makes a small one from nothing but the simulator.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch import Tensor

from emgait_ros.emgaitnet.clip import build_clip, resize
from emgait_ros.emgaitnet.model import EMGaitNet, SemanticMining
from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.simulated_supervision.captions import PART_ROWS, Description, caption, describe
from emgait_ros.lab.training.recipe import TrainingConfig
from emgait_ros.samples import Float32, UInt8
from emgait_ros.whole_files import written_whole

WEIGHT_DECAY = 0.05
SMALLEST_TEMPERATURE = 0.01


class ClipResult(NamedTuple):
    """Loss and share of pictures whose caption was found among those of their batch, over the last tenth of the steps."""

    loss: float
    retrieval: float


def pretrain_clip(config: TrainingConfig, data: SequenceSet, path: Path) -> ClipResult:
    """Train the CLIP of ``config.model.clip`` from random weights and write it to ``path`` (safetensors).

    Args:
        data: training sequences with crops as the network takes them, identities of ``simulation`` with ``population``.

    Raises:
        OSError: the file could not be written.
    """
    torch.manual_seed(config.seed)
    recipe = config.clip
    clip = build_clip(config.emgaitnet.clip, load_pretrained=False).train().requires_grad_(True)
    optimizer = torch.optim.AdamW(
        clip.parameters(), lr=recipe.learning_rate, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.98)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    words: dict[int, Description] = {}
    kept: list[tuple[float, float]] = []
    columns = (
        TextColumn("CLIP"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=recipe.steps, figures="")
        for step in range(recipe.steps):
            images, texts = _draw(config, data, words, step)
            loss, found = contrastive_loss(clip, images, texts)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            if step >= min(0.9 * recipe.steps, recipe.steps - 1):
                kept.append((loss.item(), found))
            progress.update(bar, advance=1, figures=f"loss {loss.item():.2f}, found {found:.0%}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as fresh:
        save_file({name: value.contiguous() for name, value in clip.state_dict().items()}, str(fresh))
    return ClipResult(*np.mean(kept, axis=0).tolist())


def contrastive_loss(clip: CLIP, images: Tensor, texts: list[str]) -> tuple[Tensor, float]:
    """Symmetric cross-entropy; equal captions count as each other's match.

    Args:
        images: (B, 3, H, W) float32 in 0..1.
        texts: B captions.

    Returns:
        The loss and the share of pictures whose nearest caption is theirs.
    """
    distinct = sorted(set(texts))
    number = torch.tensor([distinct.index(text) for text in texts])
    size = tuple(clip.visual.image_size)
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1) for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    image = F.normalize(clip.visual((resize(images, size) - mean) / std), dim=-1)
    text = clip.encode_text(_tokenizer(clip.context_length)(distinct), normalize=True)
    similarity = image @ text.t() * clip.logit_scale.exp().clamp(max=1 / SMALLEST_TEMPERATURE)  # (B, distinct)
    to_image = F.one_hot(number, len(distinct)).float().t()  # (distinct, B)
    to_image = to_image / to_image.sum(dim=1, keepdim=True)
    loss = (F.cross_entropy(similarity, number) + F.cross_entropy(similarity.t(), to_image)) / 2
    return loss, float((similarity.argmax(dim=1) == number).float().mean())


@lru_cache(maxsize=1)
def _tokenizer(context_length: int) -> open_clip.SimpleTokenizer:
    """Reading the vocabulary takes longer than a step."""
    return open_clip.SimpleTokenizer(context_length=context_length)


def _draw(
    config: TrainingConfig, data: SequenceSet, words: dict[int, Description], step: int
) -> tuple[Tensor, list[str]]:
    """One batch: pictures of drawn frames, whole or cut to the part their caption speaks of."""
    rng = np.random.default_rng((config.seed, 5, step))
    images, texts = [], []
    for sequence in rng.integers(0, len(data), config.clip.batch):
        start, end = int(data.start[sequence]), int(data.start[sequence + 1])
        seen = start + np.flatnonzero(data.has_image[start:end])
        if not len(seen):
            continue
        if sequence not in words:
            words[sequence] = describe(
                int(data.identity[sequence]), int(data.walk[sequence]), str(data.condition[sequence]), config.population
            )
        text, part = caption(words[sequence], float(data.view_deg[sequence]), rng)
        images.append(_picture(data.crops[rng.choice(seen)], part, rng))
        texts.append(text)
    crops = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return crops, texts


def _picture(crop: UInt8, part: str, rng: np.random.Generator) -> UInt8:
    """The crop, mirrored half of the time; for a part its rows, enlarged to the whole height."""
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if not part:
        return crop
    top, bottom = (np.array(PART_ROWS[part]) + rng.uniform(-0.02, 0.02, 2)).clip(0, 1)
    height = len(crop)
    rows = np.linspace(top * (height - 1), bottom * (height - 1), height)
    return crop[np.rint(rows).astype(int)]


@torch.no_grad()
def clip_features(network: EMGaitNet, data: SequenceSet, batch: int = 512) -> Float32:
    """(F, E) CLIP image embedding of every frame of a set; CLIP is frozen, so they are computed once.

    Raises:
        ValueError: the network has no SeMi.
    """
    from rich.progress import track

    semantics = network.frame.semantics
    if not isinstance(semantics, SemanticMining):
        raise ValueError("this configuration mines no semantics: there are no CLIP features to compute")
    found = []
    for start in track(range(0, data.frames, batch), description="CLIP features"):
        crops = torch.from_numpy(data.crops[start : start + batch]).permute(0, 3, 1, 2).float() / 255
        found.append(semantics.image(crops).float())
    return np.asarray(torch.cat(found).numpy(), np.float32)
