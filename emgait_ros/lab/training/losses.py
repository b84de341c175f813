"""Triplet loss per part and cross-entropy on BNNeck logits (paper: 1.0 x triplet + 2.0 x cross-entropy), and the auxiliary losses.

Distances are Euclidean, one per part: every horizontal part learns to tell people apart on its own, and matching
takes the mean over parts.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_RELATION = 2.0  # average distances of two people: beyond it, how far they are apart does not matter


class LossTerms(NamedTuple):
    """One step's losses, all scalars: ``total`` is what is minimised; ``active`` the share of triplets that still cost.

    ``poses``, ``traits`` and ``relations`` are what simulated sets allow beyond the paper; 0 where they are not asked for.
    """

    total: Tensor
    triplet: Tensor
    cross_entropy: Tensor
    active: Tensor
    poses: Tensor
    traits: Tensor
    relations: Tensor


def part_distances(embedding: Tensor) -> Tensor:
    """(B, P, d) -> (P, B, B) Euclidean distances between sequences, part by part; differentiable at zero."""
    x = embedding.transpose(0, 1)  # (P, B, d)
    squared = x.square().sum(-1)  # (P, B)
    product = x @ x.transpose(1, 2)
    distance = squared[:, :, None] + squared[:, None, :] - 2 * product
    return distance.clamp_min(1e-12).sqrt()


def triplet_loss(embedding: Tensor, labels: Tensor, margin: float, mining: str = "all") -> tuple[Tensor, Tensor]:
    """Hinge of ``margin`` + d(anchor, positive) - d(anchor, negative), averaged over the triplets that cost, then over parts.

    Args:
        embedding: (B, P, d) float32.
        labels: (B,) int64 identities; every identity needs two sequences and there must be two identities.
        margin: m, in the units of the embedding.
        mining: "all": every triplet of the batch; "hard": the farthest positive and nearest negative of each anchor.

    Returns:
        The loss and the share of triplets that cost, both scalar.

    Raises:
        ValueError: the batch holds no triplet, or ``mining`` is unknown.
    """
    same = labels[:, None] == labels[None, :]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if not (bool(positive.any()) and bool((~same).any())):
        raise ValueError(
            f"a batch of {len(labels)} sequences holds no triplet: it needs two identities and two sequences of one"
        )
    distance = part_distances(embedding)
    if mining == "hard":
        farthest = distance.masked_fill(~positive, 0.0).amax(-1)  # (P, B)
        nearest = distance.masked_fill(same, torch.inf).amin(-1)
        hinge = F.relu(margin + farthest - nearest)[:, positive.any(-1)]
    elif mining == "all":
        gap = margin + distance[:, :, :, None] - distance[:, :, None, :]  # (P, anchor, positive, negative)
        hinge = F.relu(gap[:, positive[:, :, None] & ~same[:, None, :]])  # (P, triplets)
    else:
        raise ValueError(f"triplet mining is '{mining}': expected 'all' or 'hard'")
    costing = (hinge > 0).sum(-1)
    return (hinge.sum(-1) / costing.clamp_min(1)).mean(), costing.float().mean() / hinge.shape[-1]


def part_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of (B, P, classes) logits, each part classifying on its own, with label smoothing."""
    parts = logits.shape[1]
    return F.cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(parts), label_smoothing=smoothing)


def gait_loss(
    embedding: Tensor,
    logits: Tensor,
    labels: Tensor,
    *,
    margin: float = 0.2,
    mining: str = "all",
    smoothing: float = 0.1,
    triplet_weight: float = 1.0,
    cross_entropy_weight: float = 2.0,
) -> LossTerms:
    """The weighted sum of both losses (paper, section on training).

    Args:
        embedding: (B, P, d) before BNNeck.
        logits: (B, P, classes) after it.
        labels: (B,) int64 class numbers.
    """
    triplet, active = triplet_loss(embedding.float(), labels, margin, mining)
    cross_entropy = part_cross_entropy(logits.float(), labels, smoothing)
    total = triplet_weight * triplet + cross_entropy_weight * cross_entropy
    none = torch.zeros(())
    return LossTerms(total, triplet.detach(), cross_entropy.detach(), active, none, none, none)


def relation_loss(embedding: Tensor, wanted: Tensor, labels: Tensor) -> Tensor:
    """How far distances between embeddings are from those between the walkers' traits.

    Args:
        embedding: (B, P, d) float32.
        wanted: (B, B) distance every pair shall have, 0 for one person's walks (``traits.Traits.distance``).
        labels: (B,) int64 identities.

    Returns:
        The squared error of the mean-over-parts distance, pairs of one person and of two counted half each.
    """
    error = (part_distances(embedding).mean(dim=0) - wanted.clamp(max=LARGEST_RELATION)).square()
    same = labels[:, None] == labels[None, :]
    other_walk = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return (error[other_walk].mean() + error[~same].mean()) / 2


def place_loss(scores: Tensor, places: Tensor, height: int, width: int) -> Tensor:
    """Cross-entropy of which cell of a map each joint lies in, the four cells around it sharing it.

    Args:
        scores: (B, height * width, J) of every cell, before softmax.
        places: (B, J, 2) column and row, 0 to 1; frames with NaN do not count.
    """
    known = torch.isfinite(places).all(-1).all(-1)
    if not bool(known.any()):
        return scores.sum() * 0.0
    limit = torch.tensor([width, height], device=places.device)
    cell = torch.minimum((places[known] * limit - 0.5).clamp_min(0), limit - 1.0)  # (B, J, 2)
    first = torch.minimum(cell.floor(), limit - 2.0)
    part = cell - first
    wanted = scores.new_zeros(len(cell), cell.shape[1], height * width)
    for down in (0, 1):
        for right in (0, 1):
            share = (part[..., 0] if right else 1 - part[..., 0]) * (part[..., 1] if down else 1 - part[..., 1])
            index = (first[..., 1] + down) * width + first[..., 0] + right
            wanted.scatter_add_(2, index.long()[..., None], share[..., None])
    return -(wanted * scores[known].log_softmax(1).transpose(1, 2)).sum(-1).mean()


def pose_loss(predicted: Tensor, true: Tensor) -> Tensor:
    """Smooth L1 of standardised joints (..., J, 3); frames whose truth is NaN do not count."""
    known = torch.isfinite(true).all(-1).all(-1)
    return F.smooth_l1_loss(predicted[known], true[known], beta=0.3) if bool(known.any()) else predicted.sum() * 0.0
