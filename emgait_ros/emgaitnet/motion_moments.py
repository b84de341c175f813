"""Mean and covariance over time of a short code of each frame: how long the limbs are, and how far and how together they swing.

Not in the paper. The maximum over time and an attention that weighs frames hold extremes of single features. What
tells people apart are lengths and swings, and those are products of coordinates averaged over a cycle: the mean square
distance between two joints, the share of the arm's swing in the leg's. Second moments of a code that is linear in the
frame's parts hold all of them, in any order of frames and for any length of window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emgait_ros.emgaitnet.config import EMGaitNetConfig

CODE = 24  # numbers a frame is reduced to: the poses of a walk vary in about so many ways
MOMENTS = CODE + CODE * (CODE + 1) // 2


class MotionMoments(nn.Module):
    """Frames' parts -> a code each -> its moments over the window -> what they add to every part's embedding.

    Raises nothing; a window of one frame has a covariance of zero.
    """

    upper: Tensor

    def __init__(self, config: EMGaitNetConfig) -> None:
        super().__init__()
        self.parts = config.parts
        self.code = nn.Linear(config.parts * config.width, CODE)
        self.tell = nn.Linear(MOMENTS, config.width)
        row, column = torch.triu_indices(CODE, CODE)
        self.register_buffer("upper", row * CODE + column, persistent=False)

    def forward(self, image_features: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, S, d) and (B, T) bool of valid frames, at least one a row -> (B, 1, d) for all parts."""
        with torch.autocast(image_features.device.type, enabled=False):  # squares of small differences
            parts = image_features.unflatten(2, (self.parts, -1)).amax(dim=3)  # (B, T, P, d)
            return self.tell(self.moments(self.code(parts.to(self.code.weight.dtype).flatten(2)), frame_mask))[:, None]

    def moments(self, code: Tensor, frame_mask: Tensor) -> Tensor:
        """(B, T, CODE) and (B, T) bool -> (B, MOMENTS): mean, and the unbiased covariance's upper triangle row by row."""
        valid = frame_mask.to(code.dtype)[:, :, None]  # (B, T, 1)
        count = valid.sum(dim=1, keepdim=True)  # (B, 1, 1)
        mean = (valid * code).sum(dim=1, keepdim=True) / count
        apart = valid * (code - mean)
        covariance = apart.transpose(1, 2) @ apart / (count - 1).clamp(min=1)
        return torch.cat([mean[:, 0], covariance.flatten(1)[:, self.upper]], dim=1)
