"""Pose pretraining on simulated walkers: the frame encoder learns body poses from single frames, before identities.

The fused features predict the joints in metres, in the axes of the points; the image encoder's maps predict the cell of
the picture each joint lies in; and both predict the walker's traits as far as one frame shows them. A batch of frames of
many people varies more than a batch of sequences, so poses are learnt in fewer steps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from emgait_ros.emgaitnet.layers import CrossAttention
from emgait_ros.emgaitnet.model import EMGaitNet, FrameEncoder
from emgait_ros.lab.training.attention import PlainAttention
from emgait_ros.lab.training.loop import Trainer, autocast
from emgait_ros.lab.training.optimizer import layer_weights
from emgait_ros.lab.training.recipe import OptimizationConfig
from emgait_ros.samples import Int64

LOWEST_RATE = 0.02  # of the learning rate, at the end of the cosine
IMAGE_GAIN = 0.05
PLACE_WEIGHT = 0.2  # of the cross-entropy over cells, which is some seven times the poses' error
TRAIT_WEIGHT = (
    0.15  # of the traits' error, which is four times the poses' and cannot be reduced much from a single frame
)


class PosePretrainingLosses(NamedTuple):
    """One step's losses, scalars: ``total`` is what is minimised."""

    total: Tensor
    poses: Tensor
    places: Tensor
    traits: Tensor


class PosePretrainer(Trainer):
    """Trains everything before ST on single frames; arguments and errors as ``Trainer``, and the auxiliary heads must have joints."""

    @property
    def steps(self) -> int:
        return self.config.pose_pretraining.steps

    @property
    def weight_decay(self) -> float:
        return self.config.pose_pretraining.weight_decay

    @property
    def recipe(self) -> dict[str, Any]:
        """Without what comes after pose pretraining."""
        return {**super().recipe, "auxiliary_identities": {}, "optimization": dataclasses.asdict(OptimizationConfig())}

    def matrices(self) -> list[Tensor]:
        """The layers' weights."""
        return layer_weights(self.network)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then half a cosine."""
        recipe = self.config.pose_pretraining
        warm = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
        falling = LOWEST_RATE + (1 - LOWEST_RATE) * (1 + math.cos(math.pi * step / recipe.steps)) / 2
        return recipe.learning_rate * warm * falling

    def frames_of_step(self, step: int) -> Int64:
        """(B,) frames of this process, of anybody in the set."""
        rng = np.random.default_rng((self.config.seed, 5, step))
        drawn = np.sort(
            rng.choice(self.data.frames, min(self.config.pose_pretraining.frames, self.data.frames), replace=False)
        )
        return drawn[self.placement.rank :: self.placement.world].astype(np.int64)

    def losses(self) -> PosePretrainingLosses:
        """Of the frames of the current step."""
        network = self.network
        assert self.auxiliary is not None  # noqa: S101
        assert isinstance(network, EMGaitNet)  # noqa: S101  # recipes of other networks have no pose pretraining
        frames, device = self.frames_of_step(self.step), self.placement.device
        batch = self.batch(self.step, frames[:, None])
        feeds = [t[:, 0] for t in (batch.crops, batch.points, batch.has_image, batch.has_points)]
        semantics, text = network.frame.semantics, None
        with (
            PlainAttention() if device.type == "cpu" else nullcontext(),
            autocast(self.config.optimization.precision, device.type),
            results_of(network.frame.image_encoder.stages if network.config.use_image else None) as maps,
        ):
            if semantics is not None and self.step >= self.config.pose_pretraining.text_after * self.steps:
                predicted = None if batch.clip_features is None else batch.clip_features[:, 0]
                text = semantics(feeds[0], feeds[2], predicted)
            fused, _ = network.frame.fuse(*network.frame.encode(*feeds), text)
            parts = network.frame_parts(fused)
            places = self.auxiliary.place_error(maps[0], feeds[2], frames) if maps else torch.zeros(())
        poses, traits = self.auxiliary.pose_error(parts, frames), torch.zeros(())
        if self.auxiliary.traits is not None:
            sequences = np.searchsorted(self.data.start, frames, side="right") - 1
            traits = self.auxiliary.trait_error(parts, sequences)
        total = poses + PLACE_WEIGHT * places + TRAIT_WEIGHT * traits
        return PosePretrainingLosses(total, poses.detach(), places.detach(), traits.detach())


@contextmanager
def results_of(module: nn.Module | None) -> Iterator[list[Tensor]]:
    """What a module returns while this is open; nothing of None."""
    found: list[Tensor] = []
    if module is None:
        yield found
        return
    handle = module.register_forward_hook(lambda _, __, result: found.append(result))
    try:
        yield found
    finally:
        handle.remove()


@torch.no_grad()
def initialize_small(frame: FrameEncoder) -> None:
    """Scale down the output of untrained layers, so that they do not disturb what is learnt first.

    Image tokens start as the token of a missing image plus a twentieth of the untrained encoder's output: at full size,
    500 steps later poses were predicted worse than from points alone. Layers that read the text start with zero output.
    """
    if frame.config.use_image and frame.config.use_points:
        frame.position.copy_(frame.missing_image)
        for parameter in frame.image_encoder.project.parameters():
            parameter.mul_(IMAGE_GAIN)
    for name, layer in frame.named_children():
        if name.startswith("sga_") and isinstance(layer, CrossAttention):
            for part in (layer.to_output, layer.ffn[-1]):
                for parameter in part.parameters():
                    parameter.zero_()
