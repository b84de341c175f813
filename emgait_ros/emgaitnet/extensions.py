"""What is not in the paper: moments over time beside HPP, directions on a sphere, points alone, and the first weights of points.

Off by default (``EMGaitNetConfig.use_moments``, ``alone_parts``); the shipped weights use all of it. ``view_coordinates``, which is not in
the paper either, is in ``inference.preprocessing``.

Moments of each frame's parts, and of a short code of them: the maximum over time and an attention that weighs frames hold
extremes of single features. What differs between people are lengths and swings, and those are products of coordinates
averaged over a cycle: the mean square distance between two joints, the share of the arm's swing in the leg's. Second moments
of a code that is linear in the frame's parts hold all of them, in any order of frames and for any length of window; what a
single frame shows of a build is in the parts' mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emgait_ros.emgaitnet.network_config import EMGaitNetConfig

RADIUS = 0.5  # of the sphere the traits beside the first lie on: different people are 1 apart on average
ALONE_LENGTH = 1.4  # of all vectors of points alone together: four of them are then some 0.7 long each
CODE = 24  # numbers a frame is reduced to: the poses of a walk vary in about so many ways
LATERAL = (0, 1, 3)  # x, y and the column in the crop
LATERAL_GAIN = 4.0  # bodies are some four times as high as wide: at first, height must not drown the limbs
SPREAD_FLOOR = 1e-4  # of a part's variance over time: a window of one frame has none


class MotionMoments(nn.Module):
    """Frames' parts -> moments over the window -> what they add to every part's embedding.

    Raises nothing; a window of one frame has a covariance of zero.
    """

    upper: Tensor

    def __init__(self, config: EMGaitNetConfig) -> None:
        super().__init__()
        self.parts = config.parts
        width = config.parts * config.width
        self.code = nn.Linear(width, CODE)
        self.tell = nn.Linear(2 * width + CODE + CODE * (CODE + 1) // 2, config.width)
        row, column = torch.triu_indices(CODE, CODE)
        self.register_buffer("upper", row * CODE + column, persistent=False)

    def forward(self, image_features: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, S, d) and (B, T) bool of valid frames, at least one a row -> (B, 1, d) for all parts."""
        with torch.autocast(image_features.device.type, enabled=False):  # squares of small differences
            parts = image_features.unflatten(2, (self.parts, -1)).amax(dim=3)  # (B, T, P, d)
            return self.tell(self.moments(parts.to(self.code.weight.dtype).flatten(2), frame_mask))[:, None]

    def moments(self, parts: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, P * d) and (B, T) bool -> (B, M): mean and standard deviation of the parts, mean and covariance of the code.

        Both are unbiased; of the covariance, the upper triangle row by row.
        """
        valid = frame_mask.to(parts.dtype)[:, :, None]  # (B, T, 1)
        count = valid.sum(dim=1, keepdim=True)  # (B, 1, 1)
        others = (count - 1).clamp(min=1)
        mean = (valid * parts).sum(dim=1, keepdim=True) / count
        apart = valid * (parts - mean)
        spread = (apart.square().sum(dim=1) / others[:, 0] + SPREAD_FLOOR).sqrt()  # (B, P * d)
        code = apart @ self.code.weight.T
        covariance = code.transpose(1, 2) @ code / others
        return torch.cat([mean[:, 0], spread, self.code(mean[:, 0]), covariance.flatten(1)[:, self.upper]], dim=1)


class PointsAlone(nn.Module):
    """Frames without a picture -> vectors of their own in the embedding: a linear map of the parts, averaged over the window.

    What a LiDAR alone shows of real people differs between sensors and recordings more than simulated poses do; the map
    (``lab.simulated_supervision.alone_discriminant``) weighs down what differs so.
    """

    def __init__(self, config: EMGaitNetConfig) -> None:
        super().__init__()
        self.parts = config.parts
        self.tell = nn.Linear(config.parts * config.width, config.alone_parts * config.width)

    def forward(self, image_features: Tensor, alone: Tensor) -> Tensor:
        """(B, S, d) of single frames and (B,) bool, points and no picture -> (B, A * d); zeros where not alone."""
        parts = image_features.unflatten(1, (self.parts, -1)).amax(dim=2).flatten(1)
        return torch.where(alone[:, None], self.tell(parts.to(self.tell.weight.dtype)), 0.0)


class AloneBeside(nn.Module):
    """Puts the vectors of :class:`PointsAlone` beside the embedding by moments.

    Where no frame is alone, all vectors are the one by moments: distances, which are means over vectors, stay what they
    were. Between the two the share of frames that are alone mixes. ``gain`` scales windows of points alone, so that one
    threshold serves both.
    """

    gain: Tensor

    def __init__(self, config: EMGaitNetConfig) -> None:
        super().__init__()
        self.vectors, self.width = config.alone_parts, config.width
        self.register_buffer("gain", torch.ones(()))

    def forward(self, embedding: Tensor, frames: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, 1, d) by moments, (B, T, A * d) of :class:`PointsAlone` and (B, T) bool of valid frames -> (B, 1 + A, d)."""
        valid = frame_mask.to(frames.dtype)
        alone = valid * (frames.abs().sum(dim=2) > 0).to(frames.dtype)
        share = (alone.sum(dim=1) / valid.sum(dim=1))[:, None, None]  # (B, 1, 1)
        summed = (frames * valid[:, :, None]).sum(dim=1)  # (B, A * d)
        length = (summed.square().sum(dim=1, keepdim=True) + 1e-6).sqrt()
        direction = (ALONE_LENGTH * summed / length).unflatten(1, (self.vectors, self.width))
        by_points = self.gain * torch.cat([embedding, direction], dim=1)
        return share * by_points + (1 - share) * embedding


def on_sphere(embedding: Tensor) -> Tensor:
    """(..., d) -> (..., d): the first coordinate stays, the others become a direction of length ``RADIUS``.

    One trait (of simulated people: stature) tells more than all others; these hardly stand out of their own noise. Where
    average people crowd in the middle, a distance between two of them says less than the same distance farther out. The
    odds of a probabilistic LDA (Prince and Elder, 2007) count that in; of plain distances, those of directions come next
    to them: 78 % of genuine pairs at 1 % of false ones, odds 78 %, without it 54 %.
    """
    first, others = embedding[..., :1], embedding[..., 1:]
    length = (others.square().sum(dim=-1, keepdim=True) + 1e-6).sqrt()
    return torch.cat([first, RADIUS * others / length], dim=-1)


@torch.no_grad()
def raise_lateral(weight: Tensor) -> None:
    """Raise the first weights (d, 3 or 7) of what differs little across a body, in place."""
    weight[:, [i for i in LATERAL if i < weight.shape[1]]] *= LATERAL_GAIN
