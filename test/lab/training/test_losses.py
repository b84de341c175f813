"""Losses against brute force over all triplets, and their gradients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from emgait_ros.lab.training.losses import gait_loss, part_cross_entropy, part_distances, place_loss, triplet_loss  # noqa: E402

LABELS = torch.tensor([0, 0, 1, 1, 1, 2, 2, 0])


def embeddings(scale: float = 0.5, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return scale * torch.randn(len(LABELS), 4, 5, generator=generator, dtype=dtype)


def brute_force(embedding: torch.Tensor, labels: torch.Tensor, margin: float, hardest: bool) -> tuple[float, float]:
    """Loop over parts, anchors, positives, negatives."""
    x, names = embedding.numpy().astype(np.float64), labels.tolist()
    losses, shares = [], []
    for part in range(x.shape[1]):
        d = lambda i, j, p=part: float(np.linalg.norm(x[i, p] - x[j, p]))  # noqa: E731
        hinges = []
        for anchor in range(len(names)):
            positives = [j for j in range(len(names)) if j != anchor and names[j] == names[anchor]]
            negatives = [j for j in range(len(names)) if names[j] != names[anchor]]
            if hardest:
                positives = [max(positives, key=lambda j: d(anchor, j))]
                negatives = [min(negatives, key=lambda j: d(anchor, j))]
            hinges += [
                max(0.0, margin + d(anchor, p) - d(anchor, n)) for p, n in itertools.product(positives, negatives)
            ]
        costing = [h for h in hinges if h > 0]
        losses.append(sum(costing) / max(len(costing), 1))
        shares.append(len(costing) / len(hinges))
    return float(np.mean(losses)), float(np.mean(shares))


@pytest.mark.parametrize("mining", ["all", "hard"])
@pytest.mark.parametrize("scale", [0.05, 0.5, 3.0])  # everything costs; some does; hardly anything does
def test_triplet_loss_equals_brute_force(mining: str, scale: float) -> None:
    found, active = triplet_loss(embeddings(scale), LABELS, 0.2, mining)
    expected, share = brute_force(embeddings(scale), LABELS, 0.2, mining == "hard")
    assert float(found) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert float(active) == pytest.approx(share, abs=1e-6)


def test_separated_identities_cost_nothing() -> None:
    far = torch.nn.functional.one_hot(LABELS, 5).float()[:, None].repeat(1, 4, 1) * 10
    loss, active = triplet_loss(far, LABELS, 0.2)
    assert float(loss) == 0
    assert float(active) == 0


def test_gradient_matches_finite_differences() -> None:
    x = embeddings(dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda e: triplet_loss(e, LABELS, 0.2)[0], (x,), atol=1e-5)


def test_gradient_is_finite_for_equal_embeddings() -> None:
    x = torch.zeros(len(LABELS), 4, 5, requires_grad=True)
    triplet_loss(x, LABELS, 0.2)[0].backward()
    assert torch.isfinite(x.grad).all()


def test_distances_are_euclidean_part_by_part() -> None:
    x = embeddings()
    expected = torch.linalg.norm(x[:, None] - x[None], dim=-1).permute(2, 0, 1)
    assert torch.allclose(part_distances(x), expected, atol=1e-3)


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 2, 3, 4, 5, 6, 7],  # no identity twice
        [0, 0, 0, 0, 0, 0, 0, 0],  # one identity only
    ],
)
def test_a_batch_without_triplets_is_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="holds no triplet"):
        triplet_loss(embeddings(), torch.tensor(labels), 0.2)


def test_unknown_mining_is_refused() -> None:
    with pytest.raises(ValueError, match="'all' or 'hard'"):
        triplet_loss(embeddings(), LABELS, 0.2, "soft")


def test_cross_entropy_is_the_mean_over_parts() -> None:
    logits = torch.randn(len(LABELS), 4, 3, generator=torch.Generator().manual_seed(1))
    parts = [torch.nn.functional.cross_entropy(logits[:, p], LABELS, label_smoothing=0.1) for p in range(4)]
    assert float(part_cross_entropy(logits, LABELS, 0.1)) == pytest.approx(float(torch.stack(parts).mean()), rel=1e-5)


def test_weights_of_the_two_losses() -> None:
    logits = torch.randn(len(LABELS), 4, 3, generator=torch.Generator().manual_seed(1))
    terms = gait_loss(embeddings(), logits, LABELS)
    assert float(terms.total) == pytest.approx(float(terms.triplet) + 2 * float(terms.cross_entropy), rel=1e-6)


PLACES = [  # column and row of a joint in a map of 4 x 2 cells, and what share of it each cell has
    ((0.25, 0.125), {0: 1.0}),  # the middle of the upper left cell
    ((0.75, 0.125), {1: 1.0}),
    ((0.5, 0.125), {0: 0.5, 1: 0.5}),
    ((0.5, 0.25), {0: 0.25, 1: 0.25, 2: 0.25, 3: 0.25}),
    ((0.75, 0.875), {7: 1.0}),
    ((-3.0, 9.0), {6: 1.0}),  # outside: the nearest cell
]


@pytest.mark.parametrize(("place", "shares"), PLACES)
def test_place_loss_is_least_where_the_joint_is(place: tuple[float, float], shares: dict[int, float]) -> None:
    wanted = torch.zeros(1, 8, 1)
    for cell, share in shares.items():
        wanted[0, cell] = share
    places = torch.tensor([[place]])
    entropy = -sum(share * np.log(share) for share in shares.values())
    assert float(place_loss(wanted.clamp_min(1e-9).log(), places, 4, 2)) == pytest.approx(entropy, abs=1e-4)
    assert float(place_loss(torch.zeros(1, 8, 1), places, 4, 2)) == pytest.approx(np.log(8), abs=1e-5)


def test_frames_without_places_do_not_count() -> None:
    scores = torch.randn(2, 8, 1, generator=torch.Generator().manual_seed(0))
    places = torch.tensor([[[0.5, 0.5]], [[torch.nan, torch.nan]]])
    assert place_loss(scores, places, 4, 2) == place_loss(scores[:1], places[:1], 4, 2)
    assert place_loss(scores, torch.full_like(places, torch.nan), 4, 2) == 0
