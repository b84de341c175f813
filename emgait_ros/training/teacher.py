"""What a simulated set can ask of a network beyond whose walk it is: pose in each frame, traits of the walker."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from emgait_ros.emgaitnet.model import Output
from emgait_ros.samples import Float32, Int64
from emgait_ros.training.losses import pose_loss, relation_loss
from emgait_ros.training.traits import Traits


class Lesson(NamedTuple):
    """Losses of one step, scalars; 0 where the teacher does not know the truth."""

    poses: Tensor
    traits: Tensor
    relations: Tensor


class Teacher(nn.Module):
    """Linear readings of the network's features, and the truth they are held against.

    Args:
        parts, width: P and d of the network.
        poses: (F, J, 3) float32 m, joints in every frame of the set, NaN where unknown; None: not asked for.
        traits: of every sequence of the set; None: not asked for.
    """

    trait_weight: Tensor

    def __init__(self, parts: int, width: int, poses: Float32 | None, traits: Traits | None) -> None:
        super().__init__()
        self.poses, self.traits = poses, traits
        if poses is not None:
            self.pose_mean, self.pose_spread = np.nanmean(poses, axis=0), np.nanstd(poses, axis=0) + 1e-3
            self.read_pose = nn.Linear(parts * width, poses[0].size)
        if traits is not None:
            share = traits.worth / (1 + traits.worth)
            self.register_buffer("trait_weight", torch.from_numpy(share / share.sum()), persistent=False)
            self.read_traits = nn.Linear(parts * width, traits.today.shape[1])

    def forward(self, output: Output, sequences: Int64, frames: Int64, labels: Tensor) -> Lesson:
        """How wrong the network's output on drawn ``frames`` (B, T) of ``sequences`` (B,) of ``labels`` (B,) is."""
        none = output.embedding.new_zeros(())
        poses = self._pose_error(output, frames) if self.poses is not None else none
        if self.traits is None:
            return Lesson(poses, none, none)
        embedding = output.embedding.float()
        told = self.read_traits(embedding.flatten(1))
        true = torch.from_numpy(self.traits.today[sequences]).to(told.device)
        error = (told - true).square() @ self.trait_weight
        wanted = torch.from_numpy(self.traits.distance(sequences)).to(told.device)
        return Lesson(poses, error.mean(), relation_loss(embedding, wanted, labels))

    def _pose_error(self, output: Output, frames: Int64) -> Tensor:
        assert self.poses is not None  # noqa: S101
        told = self.read_pose(output.frame_parts.flatten(2).float())
        true = (self.poses[frames] - self.pose_mean) / self.pose_spread
        return pose_loss(told.unflatten(-1, true.shape[-2:]), torch.from_numpy(true.astype(np.float32)).to(told.device))
