"""Auxiliary losses that only a simulated set allows: joints in each frame, traits of the walker, distances between traits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from emgait_ros.emgaitnet.model import Output
from emgait_ros.emgaitnet.network_config import EMGaitNetConfig
from emgait_ros.lab.simulated_supervision.poses import Joints
from emgait_ros.lab.simulated_supervision.traits import Traits
from emgait_ros.lab.training.losses import place_loss, pose_loss, relation_loss
from emgait_ros.samples import Int64


class AuxiliaryLosses(NamedTuple):
    """Losses of one step, scalars; 0 where the truth is not given."""

    poses: Tensor
    traits: Tensor
    relations: Tensor


class AuxiliaryHeads(nn.Module):
    """Linear heads that predict joints and traits from the network's features, and the truth they are compared with.

    Args:
        config: of the network.
        joints: in every frame of the set; None: no pose loss.
        traits: of every sequence of the set; None: no trait losses.
    """

    trait_weight: Tensor

    def __init__(self, config: EMGaitNetConfig, joints: Joints | None, traits: Traits | None) -> None:
        super().__init__()
        self.config, self.joints, self.traits = config, joints, traits
        width = config.parts * config.width
        if joints is not None:
            self.pose_mean, self.pose_spread = np.nanmean(joints.poses, axis=0), np.nanstd(joints.poses, axis=0) + 1e-3
            self.read_pose = nn.Linear(width, joints.poses[0].size)
            if config.use_image:
                self.read_place = nn.Linear(config.channels[-1], joints.places.shape[1])
        if traits is not None:
            share = traits.variance_ratio / (1 + traits.variance_ratio)
            self.register_buffer("trait_weight", torch.from_numpy(share / share.sum()), persistent=False)
            self.read_traits = nn.Linear(config.embedding_parts * config.width, traits.today.shape[1])
            self.read_traits_of_frame = nn.Linear(width, traits.today.shape[1])

    def forward(self, output: Output, sequences: Int64, frames: Int64, labels: Tensor) -> AuxiliaryLosses:
        """Losses of the network's output on drawn ``frames`` (B, T) of ``sequences`` (B,) with ``labels`` (B,)."""
        none = output.embedding.new_zeros(())
        poses = self.pose_error(output.frame_parts, frames) if self.joints is not None else none
        if self.traits is None:
            return AuxiliaryLosses(poses, none, none)
        embedding = output.embedding.float()
        predicted = self.read_traits(embedding.flatten(1))
        true = torch.from_numpy(self.traits.today[sequences]).to(predicted.device)
        error = (predicted - true).square() @ self.trait_weight
        wanted = torch.from_numpy(self.traits.distance(sequences)).to(predicted.device)
        return AuxiliaryLosses(poses, error.mean(), relation_loss(embedding, wanted, labels))

    def trait_error(self, frame_parts: Tensor, sequences: Int64) -> Tensor:
        """Squared error of the traits predicted from the parts (B, P, d) of single frames of ``sequences`` (B,), weighted."""
        assert self.traits is not None  # noqa: S101
        predicted = self.read_traits_of_frame(frame_parts.flatten(-2).float())
        true = torch.from_numpy(self.traits.today[sequences]).to(predicted.device)
        return ((predicted - true).square() @ self.trait_weight).mean()

    def pose_error(self, frame_parts: Tensor, frames: Int64) -> Tensor:
        """Error of the joints predicted from the parts (..., P, d) of ``frames`` (...), in units of their spread."""
        assert self.joints is not None  # noqa: S101
        predicted = self.read_pose(frame_parts.flatten(-2).float())
        true = ((self.joints.poses[frames] - self.pose_mean) / self.pose_spread).astype(np.float32)
        return pose_loss(predicted.unflatten(-1, true.shape[-2:]), torch.from_numpy(true).to(predicted.device))

    def place_error(self, maps: Tensor, has_image: Tensor, frames: Int64) -> Tensor:
        """Cross-entropy of the cells in which the image encoder's maps (B, C, h, w) of ``frames`` (B,) place the joints."""
        assert self.joints is not None  # noqa: S101
        places = torch.from_numpy(self.joints.places[frames]).to(maps.device)
        places = places.masked_fill(~has_image.view(-1, 1, 1), torch.nan)
        scores = self.read_place(maps.flatten(2).transpose(1, 2)).float()
        return place_loss(scores, places, self.config.map_height, self.config.map_width)
