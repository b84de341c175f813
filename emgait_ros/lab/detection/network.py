"""The networks that judge candidates: a first look at the measures, then two small convolutional towers over the views."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emgait_ros.sensing.perception.views import FRONT_SHAPE, READ, TOP_SHAPE

OUTPUTS = 2  # a person; several who cannot be separated


class ScorerNetwork(nn.Module):
    """Logits (K, 2) from views.

    Args:
        width: channels after the first convolution of the front view.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int = 20) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(READ)))
        self.register_buffer("spread", torch.ones(len(READ)))
        self.front = nn.Sequential(*_step(FRONT_SHAPE[0], width), *_step(width, 2 * width), nn.Flatten())
        self.top = nn.Sequential(*_step(TOP_SHAPE[0], 12), *_step(12, 24), nn.Flatten())
        self.measures = nn.Sequential(nn.Linear(len(READ), 32), nn.ReLU())
        joined = (
            2 * width * (FRONT_SHAPE[1] // 4) * (FRONT_SHAPE[2] // 4)
            + 24 * (TOP_SHAPE[1] // 4) * (TOP_SHAPE[2] // 4)
            + 32
        )
        self.head = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(joined, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, OUTPUTS)
        )

    def forward(self, front: Tensor, top: Tensor, measures: Tensor) -> Tensor:
        """Front (K, 6, 16, 20), top (K, 2, 16, 16), measures (K, M): logits (K, 2)."""
        scaled = ((measures - self.mean) / self.spread).clamp(-4.0, 4.0)
        return torch.as_tensor(self.head(torch.cat([self.front(front), self.top(top), self.measures(scaled)], 1)))


class Probabilities(nn.Module):
    """The network with its logits as probabilities: what is exported."""

    def __init__(self, network: ScorerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, front: Tensor, top: Tensor, measures: Tensor) -> Tensor:
        """(K, 2) 0..1."""
        return torch.sigmoid(self.network(front, top, measures))


class FirstLook(nn.Module):
    """From the measures alone whether a candidate is worth views: above 0 it is. Spares the time of most walls and bushes.

    Attributes:
        least: logit that all but a few people reach.
    """

    mean: Tensor
    spread: Tensor
    least: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(READ)))
        self.register_buffer("spread", torch.ones(len(READ)))
        self.register_buffer("least", torch.zeros(()))
        self.layers = nn.Sequential(
            nn.Linear(len(READ), 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0)
        )

    def forward(self, measures: Tensor) -> Tensor:
        """Measures (K, M): logits over ``least`` (K,)."""
        return torch.as_tensor(self.layers(((measures - self.mean) / self.spread).clamp(-4.0, 4.0)) - self.least)


def _step(inputs: int, outputs: int) -> list[nn.Module]:
    """Convolution that halves both sides."""
    return [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
