"""Where the sequence head starts from once the network sees bodies: traits told in closed form, sorted by their worth.

The joints that the network tells of every frame have few ways to vary: these become the code of ``MotionMoments``. A
ridge regression from the code's moments to the walkers' traits, and a linear discriminant analysis of what it tells,
give the first embedding. Steps of gradients then go on from there, through all of the network; from random weights they
did not come as far in the time there is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from rich.progress import track
from scipy.linalg import eigh

from emgait_ros.datasets.sequences import SequenceSet
from emgait_ros.emgaitnet.model import EMGaitNet
from emgait_ros.emgaitnet.motion_moments import CODE
from emgait_ros.samples import Float32, Float64, Int64
from emgait_ros.training.evaluate import encode
from emgait_ros.training.teacher import Teacher

STRENGTHS = (
    0.003,
    0.01,
    0.03,
    0.1,
    0.3,
    1.0,
)  # of the ridge, a sequence, moments standardised; the best across people is taken
FEWEST_PEOPLE = 2 * CODE


class LinearMap(NamedTuple):
    """y = x @ weight + bias."""

    weight: Float64
    bias: Float64

    def __call__(self, x: Float64) -> Float64:
        return np.asarray(x @ self.weight + self.bias)

    def put_into(self, layer: torch.nn.Linear) -> None:
        """Set a layer with at least as many outputs; those left over tell nothing at first."""
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[: len(self.bias)].copy_(torch.from_numpy(self.weight.T))
            layer.bias[: len(self.bias)].copy_(torch.from_numpy(self.bias))


@torch.no_grad()
def start_with_traits(
    network: EMGaitNet, teacher: Teacher, data: SequenceSet, clip_features: Float32 | None, precision: str
) -> None:
    """Set the network's sequence head, and the teacher's reading of traits, from what the network sees in ``data``.

    Args:
        network: with ``use_moments``; the frame encoder has learnt to see, the sequence head is overwritten.
        teacher: knows joints and traits; its reading of poses has been learnt.

    Raises:
        ValueError: too few people for a regression.
    """
    assert teacher.traits is not None  # noqa: S101
    if len(np.unique(data.identity)) < FEWEST_PEOPLE:
        raise ValueError(
            f"the set holds {len(np.unique(data.identity))} people: optimisation.discriminant_start needs {FEWEST_PEOPLE}"
        )
    device = next(network.parameters()).device
    network.cpu().eval()
    parts = _frame_parts(network, data, clip_features, precision)
    _set_code(network.sequence.moments.code, teacher, parts)
    moments = _moments(network, data, parts)
    tell, told = traits_told(moments, teacher.traits.today, data.identity)
    sort, shares = discriminant(told, data.identity)
    count = min(network.config.width, len(shares))
    weight = tell.weight @ sort[:, :count] * shares[:count]
    weight /= average_distance(moments @ weight, data.identity)
    embed = LinearMap(weight, -moments.mean(axis=0) @ weight)
    embed.put_into(network.sequence.moments.tell)
    network.sequence.part_weight.zero_()
    read, _ = traits_told(embed(moments), teacher.traits.today, data.identity)
    each = np.zeros((network.config.width, len(read.bias)))
    each[:count] = read.weight / network.config.parts
    LinearMap(np.tile(each, (network.config.parts, 1)), read.bias).put_into(teacher.read_traits)
    network.to(device)


def traits_told(moments: Float64, traits: Float32, identity: Int64) -> tuple[LinearMap, Float64]:
    """Ridge regression (S, M) -> (S, A), and what it tells of each half of the people when it has learnt from the other."""
    mean, spread = moments.mean(axis=0), moments.std(axis=0) + 1e-9
    x, half = (moments - mean) / spread, np.isin(identity, np.unique(identity)[::2])

    def fitted(rows: np.ndarray, strength: float) -> LinearMap:
        at, wanted = x[rows], traits[rows].astype(np.float64)
        middle = at.mean(axis=0)
        gram = (at - middle).T @ (at - middle) + strength * len(at) * np.eye(x.shape[1])
        weight = np.linalg.solve(gram, (at - middle).T @ (wanted - wanted.mean(axis=0)))
        return LinearMap(weight, wanted.mean(axis=0) - middle @ weight)

    def across(strength: float) -> Float64:
        told = np.zeros(traits.shape)
        for rows in (half, ~half):
            told[~rows] = fitted(rows, strength)(x[~rows])
        return told

    tries = {strength: across(strength) for strength in STRENGTHS}
    best = min(tries, key=lambda strength: float(np.square(tries[strength] - traits).mean()))
    found = fitted(np.ones(len(x), bool), best)
    weight = found.weight / spread[:, None]
    return LinearMap(weight, found.bias - mean @ weight), tries[best]


def discriminant(told: Float64, identity: Int64) -> tuple[Float64, Float64]:
    """Directions (A, D) of told traits with unit spread within a person, most telling first, and each one's share w / (1 + w).

    w is the variance between people over that within; directions that tell nothing are left out.
    """
    _, number, count = np.unique(identity, return_inverse=True, return_counts=True)
    own = np.stack([np.bincount(number, column) / count for column in told.T], axis=1)
    within = np.cov((told - own[number]).T) * (len(told) - 1) / (len(told) - len(count))
    between = np.cov(own.T) - within / count.mean()
    worth, axes = eigh(between, within)
    order = np.argsort(-worth)
    order = order[worth[order] > 0]
    return np.asarray(axes[:, order]), np.asarray(worth[order] / (1 + worth[order]))


def average_distance(embedding: Float64, identity: Int64) -> float:
    """Mean distance between different people's sequences (of a few hundred)."""
    some = np.linspace(0, len(embedding) - 1, min(len(embedding), 400)).astype(int)
    distance = np.linalg.norm(embedding[some, None] - embedding[None, some], axis=-1)
    return float(distance[identity[some, None] != identity[None, some]].mean())


def _frame_parts(network: EMGaitNet, data: SequenceSet, clip_features: Float32 | None, precision: str) -> Float32:
    """(F, P * d) of every frame, as the head gets them."""
    frames = np.arange(data.frames)
    return np.concatenate(
        [
            network.frame_parts(image).flatten(1).float().numpy()
            for image, _ in encode(network, data, frames, precision, clip_features)
        ]
    )


def _set_code(layer: torch.nn.Linear, teacher: Teacher, parts: Float32) -> None:
    """The principal components, in m, of the joints the network tells; unit spread each."""
    read = teacher.read_pose
    scale = torch.as_tensor(teacher.pose_spread.ravel(), dtype=torch.float32)
    weight = (read.weight.cpu() * scale[:, None]).numpy().T.astype(np.float64)  # (P * d, 3 J)
    told = parts @ weight.astype(np.float32)
    mean = told.mean(axis=0, dtype=np.float64)
    spread, axes = np.linalg.eigh(np.cov(told.T))
    most = np.argsort(-spread)[:CODE]
    turn = axes[:, most] / np.sqrt(spread[most])
    LinearMap(weight @ turn, -mean @ turn).put_into(layer)


def _moments(network: EMGaitNet, data: SequenceSet, parts: Float32) -> Float64:
    """(S, MOMENTS) of whole sequences."""
    head, found = network.sequence.moments, []
    for start, end in track(list(zip(data.start[:-1], data.start[1:], strict=True)), description="moments"):
        code = head.code(torch.from_numpy(parts[start:end]))[None]
        found.append(head.moments(code, torch.ones(1, int(end - start), dtype=torch.bool))[0])
    return torch.stack(found).double().numpy()
