"""PointGNN, the 3D encoder: a graph over the points of a pedestrian that follows what the points have become alike in.

Letters in shape comments: B batch, N points, k neighbours, d width.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emgait_ros.emgaitnet import edge_kernels
from emgait_ros.emgaitnet.config import EMGaitNetConfig

LATERAL = (0, 1, 3)  # x, y and the column in the crop
LATERAL_GAIN = 4.0  # bodies are some four times as high as wide: at first, height must not drown the limbs


class EdgeConv(nn.Module):
    """Edge features W [c; n - c] over the k most similar points n of each point c, then the maximum.

    W [c; n - c] = (Wc - Wn) c + Wn n: the N points are multiplied, not the k N edges. Normalisation and activation
    follow the maximum; both are monotone, and statistics over N points instead of k N edges train k times faster.
    """

    def __init__(self, inputs: int, outputs: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.edge = nn.Linear(2 * inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, inputs) -> (B, N, outputs)."""
        batch, points, width = x.shape
        chosen = nearest_by_cosine(x, self.neighbours, self.training)  # (B, N, k)
        weight_center, weight_neighbour = self.edge.weight[:, :width], self.edge.weight[:, width:]
        center = F.linear(x, weight_center - weight_neighbour)  # (B, N, outputs)
        neighbour = F.linear(x, weight_neighbour).flatten(0, 1)  # (B N, outputs)
        rows = chosen + torch.arange(batch, device=x.device).view(-1, 1, 1) * points
        largest = largest_gathered(neighbour, rows.reshape(-1, self.neighbours), self.training)  # (B N, outputs)
        return self.activate(center.flatten(0, 1) + largest).unflatten(0, (-1, points))

    def activate(self, x: Tensor) -> Tensor:
        """(M, outputs) after the maximum: batch norm and leaky ReLU."""
        return F.leaky_relu(self.norm(x), 0.2)


def largest_gathered(values: Tensor, rows: Tensor, training: bool = False) -> Tensor:
    """The maximum over k gathered rows: values (M, C), rows (M, k) -> (M, C)."""
    if training:
        return cast(Tensor, _LargestGathered.apply(values, rows))
    return F.embedding(rows, values).amax(dim=1)


class _LargestGathered(torch.autograd.Function):
    """Going back, only the largest row gets a gradient; torch's own maximum walks all k again."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor) -> Tensor:
        if values.device.type == "cpu":
            found, row = edge_kernels.largest(values.detach().float().numpy(), rows.numpy())
            largest, source = torch.from_numpy(found).to(values.dtype), torch.from_numpy(row)
        else:
            largest, which = F.embedding(rows, values).max(dim=1)
            source = rows.gather(1, which)
        ctx.save_for_backward(source)
        ctx.count = values.shape[0]
        return largest

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (source,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.count, gradient.shape[1]).scatter_add_(0, source, gradient), None


@torch.no_grad()
def nearest_by_cosine(x: Tensor, neighbours: int, training: bool = False) -> Tensor:
    """(B, N, C) -> (B, N, k) indices of the points with the most similar features, the point itself excluded."""
    with torch.autocast(x.device.type, enabled=False):
        unit = F.normalize(x.float() if x.dtype != torch.float64 else x, dim=-1)
        similarity = unit @ unit.transpose(1, 2)  # (B, N, N)
        if training and similarity.device.type == "cpu" and similarity.dtype == torch.float32:
            return torch.from_numpy(edge_kernels.nearest(similarity.numpy(), neighbours))
        itself = torch.eye(x.shape[1], dtype=similarity.dtype, device=x.device)
        return (similarity - 4.0 * itself).topk(neighbours, dim=-1).indices


class PointGNN(nn.Module):
    """Point embedding, EdgeConv layers and a joint projection of all levels (paper: 3D encoder)."""

    def __init__(self, config: EMGaitNetConfig) -> None:
        super().__init__()
        widths = config.point_channels
        self.embed = nn.Linear(config.point_values, widths[0], bias=False)
        with torch.no_grad():
            self.embed.weight[:, [i for i in LATERAL if i < config.point_values]] *= LATERAL_GAIN
        self.embed_norm = nn.BatchNorm1d(widths[0])
        self.layers = nn.ModuleList(EdgeConv(a, b, config.neighbours) for a, b in pairwise(widths))
        self.project = nn.Linear(sum(widths), config.width)

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, 3) m, centred on the pedestrian, or (B, N, 7) with ``view_coordinates`` -> (B, N, d)."""
        x = self.embed_norm(self.embed(points).flatten(0, 1)).unflatten(0, (-1, points.shape[1]))
        levels = [F.leaky_relu(x, 0.2)]
        for layer in self.layers:
            levels.append(layer(levels[-1]))
        return self.project(torch.cat(levels, dim=-1))
