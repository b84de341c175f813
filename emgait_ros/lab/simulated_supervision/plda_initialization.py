"""PLDA initialization of the sequence head: traits predicted in closed form from moments over time.

The joints that the network predicts in every frame vary in few directions: these become the code of ``MotionMoments``. A
ridge regression from the moments to the walkers' traits, and a linear discriminant analysis of its predictions, give the
first embedding. Both are fitted to people whom the network has not been trained on, since it predicts those better than
others. Gradient steps may go on from there; from random weights they did not reach as far in the same time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import eigh

from emgait_ros.emgaitnet.extensions import CODE, RADIUS, on_sphere
from emgait_ros.emgaitnet.model import EMGaitNet
from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.simulated_supervision.auxiliary_losses import AuxiliaryHeads
from emgait_ros.lab.training.measurement import encode
from emgait_ros.samples import Float32, Float64, Int64

STRENGTHS = (
    0.003,
    0.01,
    0.03,
    0.1,
    0.3,
    1.0,
)  # of the ridge, a sequence, moments standardised; the best across people wins
FEWEST_PEOPLE = 2 * CODE
SPHERE, AVERAGE = (
    0.8,
    0.25,
)  # its radius in units of the odds, and the constant beside directions, both of their mean length: by
# pairs of 600 auxiliary identities who were left out; 0.6 to 1 and 0 to 0.5 are as good


class LinearMap(NamedTuple):
    """y = x @ weight + bias."""

    weight: Float64
    bias: Float64

    def __call__(self, x: Float64) -> Float64:
        return np.asarray(x @ self.weight + self.bias)

    def put_into(self, layer: torch.nn.Linear) -> None:
        """Set a layer with at least as many outputs; those left over stay zero."""
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[: len(self.bias)].copy_(torch.from_numpy(self.weight.T))
            layer.bias[: len(self.bias)].copy_(torch.from_numpy(self.bias))


@torch.no_grad()
def initialize_from_traits(
    network: EMGaitNet,
    auxiliary: AuxiliaryHeads,
    auxiliary_identities: Iterable[tuple[SequenceSet, Float32]],
    precision: str,
) -> None:
    """Set the network's sequence head, and the auxiliary head of the traits, from features of the auxiliary identities.

    Args:
        network: with ``use_moments``; its frame encoder is pretrained on poses, its sequence head is overwritten.
        auxiliary: its pose head is trained.
        auxiliary_identities: sequences of some of them at a time, and the traits (S, A) of those.

    Raises:
        ValueError: too few people for a regression.
    """
    device = next(network.parameters()).device
    network.cpu().eval()
    moments, traits, identity = _seen(network, auxiliary, auxiliary_identities, precision)
    if len(np.unique(identity)) < FEWEST_PEOPLE:
        raise ValueError(
            f"auxiliary_identities.identities is {len(np.unique(identity))}: optimization.plda_initialization needs {FEWEST_PEOPLE}"
        )
    regression, predicted = fit_traits(moments, traits, identity)
    sort, shares = discriminant(predicted, identity)
    embed = directions(moments, regression.weight @ sort, shares, network.config.width)
    embed.put_into(network.sequence.moments.tell)
    if network.config.use_hpp:
        network.sequence.part_weight.zero_()  # trained from there, if at all
    embedding = on_sphere(torch.from_numpy(embed(moments))).numpy()
    read, _ = fit_traits(embedding, traits, identity)
    parts = network.config.embedding_parts
    LinearMap(np.tile(read.weight / parts, (parts, 1)), read.bias).put_into(auxiliary.read_traits)
    network.to(device)


def fit_traits(moments: Float64, traits: Float32, identity: Int64) -> tuple[LinearMap, Float64]:
    """Ridge regression (S, M) -> (S, A), and its predictions for each half of the people when it is fitted to the other."""
    mean, spread = moments.mean(axis=0), moments.std(axis=0) + 1e-9
    x, half = (moments - mean) / spread, np.isin(identity, np.unique(identity)[::2])

    def fitted(rows: np.ndarray, strength: float) -> LinearMap:
        at, wanted = x[rows], traits[rows].astype(np.float64)
        middle = at.mean(axis=0)
        gram = (at - middle).T @ (at - middle) + strength * len(at) * np.eye(x.shape[1])
        weight = np.linalg.solve(gram, (at - middle).T @ (wanted - wanted.mean(axis=0)))
        return LinearMap(weight, wanted.mean(axis=0) - middle @ weight)

    def across(strength: float) -> Float64:
        predicted = np.zeros(traits.shape)
        for rows in (half, ~half):
            predicted[~rows] = fitted(rows, strength)(x[~rows])
        return predicted

    tries = {strength: across(strength) for strength in STRENGTHS}
    best = min(tries, key=lambda strength: float(np.square(tries[strength] - traits).mean()))
    found = fitted(np.ones(len(x), bool), best)
    weight = found.weight / spread[:, None]
    return LinearMap(weight, found.bias - mean @ weight), tries[best]


def discriminant(predicted: Float64, identity: Int64) -> tuple[Float64, Float64]:
    """Directions (A, D) of predicted traits with unit spread within a person, largest variance ratio first, and the shares w / (1 + w).

    w is the variance ratio, between people over within one; directions with none are left out.
    """
    _, number, count = np.unique(identity, return_inverse=True, return_counts=True)
    own = np.stack([np.bincount(number, column) / count for column in predicted.T], axis=1)
    within = np.cov((predicted - own[number]).T) * (len(predicted) - 1) / (len(predicted) - len(count))
    between = np.cov(own.T) - within / count.mean()
    variance_ratio, axes = eigh(between, within)
    order = np.argsort(-variance_ratio)
    order = order[variance_ratio[order] > 0]
    return np.asarray(axes[:, order]), np.asarray(variance_ratio[order] / (1 + variance_ratio[order]))


def directions(moments: Float64, weight: Float64, shares: Float64, width: int) -> LinearMap:
    """From moments (S, M) to what ``on_sphere`` takes (S, width), given the discriminants' ``weight`` (M, D) and ``shares`` (D,).

    Each is scaled as in the odds of a probabilistic LDA, sqrt(w / (1 + 2 w)) = sqrt(share / (1 + share)); the last number is
    a constant, so that the direction of somebody average is not all noise.
    """
    count = min(width - 1, len(shares))
    weight = weight[:, :count] * np.sqrt(shares[:count] / (1 + shares[:count]))
    found = (moments - moments.mean(axis=0)) @ weight
    length = np.sqrt(np.square(found[:, 1:]).sum(axis=1).mean())
    scale = np.full(count, 1 / length)
    scale[0] = RADIUS / (SPHERE * length)
    whole = np.zeros((len(weight), width))
    whole[:, :count] = weight * scale
    bias = -moments.mean(axis=0) @ whole
    bias[-1] = AVERAGE
    return LinearMap(whole, bias)


def _seen(
    network: EMGaitNet,
    auxiliary: AuxiliaryHeads,
    auxiliary_identities: Iterable[tuple[SequenceSet, Float32]],
    precision: str,
) -> tuple[Float64, Float32, Int64]:
    """Moments (S, M), traits (S, A) and identity (S,) of all sequences; the code is set from the first people."""
    moments: list[Float64] = []
    traits, identity = [], []
    for some, predicted in auxiliary_identities:
        parts = _frame_parts(network, some, precision)
        if not moments:
            _set_code(network.sequence.moments.code, auxiliary, parts)
        moments.append(_moments(network, some, parts))
        traits.append(predicted)
        identity.append(some.identity)
    return np.concatenate(moments), np.concatenate(traits), np.concatenate(identity)


def _frame_parts(network: EMGaitNet, data: SequenceSet, precision: str) -> Float32:
    """(F, P * d) of every frame, as the head gets them."""
    images = (image for image, _ in encode(network, data, np.arange(data.frames), precision))
    return np.concatenate([network.frame_parts(image).flatten(1).float().numpy() for image in images])


def _set_code(layer: torch.nn.Linear, auxiliary: AuxiliaryHeads, parts: Float32) -> None:
    """The principal components, in m, of the joints that the network predicts; unit spread each."""
    read = auxiliary.read_pose
    scale = torch.as_tensor(auxiliary.pose_spread.ravel(), dtype=torch.float32)
    weight = (read.weight.cpu() * scale[:, None]).numpy().T.astype(np.float64)  # (P * d, 3 J)
    predicted = parts @ weight.astype(np.float32)
    mean = predicted.mean(axis=0, dtype=np.float64)
    spread, axes = np.linalg.eigh(np.cov(predicted.T))
    most = np.argsort(-spread)[:CODE]
    turn = axes[:, most] / np.sqrt(spread[most])
    LinearMap(weight @ turn, -mean @ turn).put_into(layer)


def _moments(network: EMGaitNet, data: SequenceSet, parts: Float32) -> Float64:
    """(S, M) of whole sequences."""
    head, found = network.sequence.moments, []
    for start, end in zip(data.start[:-1], data.start[1:], strict=True):
        everything = torch.ones(1, int(end - start), dtype=torch.bool)
        found.append(head.moments(torch.from_numpy(parts[None, start:end]), everything)[0])
    return torch.stack(found).double().numpy()
