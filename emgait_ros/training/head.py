"""The last part of training: the sequence head alone, on features of all frames that were encoded once.

A step with the frame encoder sees some two dozen sequences; without it, a step of five times as many takes less time.
What tells people apart over a sequence needs many sequences, and the frames' features no longer change by then.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from emgait_ros.datasets.sequences import SequenceSet
from emgait_ros.emgaitnet.model import EMGaitNet, Output
from emgait_ros.samples import Float32, Int64
from emgait_ros.training.attention import PlainAttention
from emgait_ros.training.augment import augment
from emgait_ros.training.config import TrainingConfig
from emgait_ros.training.loop import Trainer, autocast, collate
from emgait_ros.training.placement import Placement
from emgait_ros.training.teacher import Teacher

SEQUENCES_AT_ONCE = 16


def head_recipe(config: TrainingConfig) -> TrainingConfig:
    """The recipe with the head's steps in place of the network's."""
    head = config.head
    optimisation = dataclasses.replace(
        config.optimisation,
        **dataclasses.asdict(head),
        milestones=(round(0.7 * head.steps), round(0.9 * head.steps)),
        gamma=0.1,
    )
    return dataclasses.replace(config, optimisation=optimisation)


class HeadTrainer(Trainer):
    """Trains ST, HPP and BNNeck, and what reads traits from the embedding; arguments and errors as ``Trainer``.

    The frame encoder is frozen. Features are kept in bfloat16 in memory: 16 KiB a frame at the shipped scale.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: SequenceSet,
        network: EMGaitNet,
        folder: Path,
        clip_features: Float32 | None = None,
        teacher: Teacher | None = None,
        placement: Placement | None = None,
    ) -> None:
        network.frame.requires_grad_(False)
        super().__init__(head_recipe(config), data, network, folder, clip_features, teacher, placement)
        self.image, self.cloud = self._encode()

    @torch.no_grad()
    def _encode(self) -> tuple[Tensor, Tensor]:
        """Features (F, S, d) and (F, d) of all frames, each sequence augmented once (it may lack a modality)."""
        self.network.eval()
        config, device = self.network.config, torch.device("cpu")
        cells = config.map_height * config.map_width
        image = torch.empty(self.data.frames, cells, config.width, dtype=torch.bfloat16, device=device)
        cloud = torch.empty(self.data.frames, config.width, device=device)
        starts = range(0, len(self.data), SEQUENCES_AT_ONCE)
        for first in track(starts, description="encoding", disable=not self.placement.is_first):
            chosen = np.arange(first, min(first + SEQUENCES_AT_ONCE, len(self.data)))
            for length in np.unique(self.data.lengths[chosen]):  # a batch holds sequences of one length
                rows = chosen[self.data.lengths[chosen] == length]
                frames = self.data.start[rows][:, None] + np.arange(length)
                image[frames.ravel()], cloud[frames.ravel()] = self._features(frames, first)
        return image, cloud

    def _features(self, frames: Int64, number: int) -> tuple[Tensor, Tensor]:
        """Of frames (B, T), flattened."""
        seed = int(np.random.default_rng((self.config.seed, 6, number)).integers(2**62))
        batch = augment(
            collate(self.data, frames, self.clip_features), self.config.augment, torch.Generator().manual_seed(seed)
        )
        feeds = [
            None if t is None else t.flatten(0, 1).to(self.placement.device)
            for t in (batch.crops, batch.points, batch.has_image, batch.has_points, batch.clip_features)
        ]
        with PlainAttention(), autocast(self.config.optimisation.precision, self.placement.device.type):
            image, cloud = self.network.frame(*feeds)
        return image.to("cpu", torch.bfloat16), cloud.float().cpu()

    def output(self, frames: Int64) -> Output:
        """Of the head, for frames (B, T) of B sequences."""
        device = self.placement.device
        dtype = torch.bfloat16 if self.config.optimisation.precision == "bf16" else torch.float32
        image, cloud = self.image[frames].to(device, dtype), self.cloud[frames].to(device)
        return self.network.head(image, cloud, torch.ones(frames.shape, dtype=torch.bool, device=device))
