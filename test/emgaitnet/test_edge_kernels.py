"""EdgeConv's kernels for training against torch's own operators, values and gradients."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from emgait_ros.emgaitnet.fast import FastEdgeConv, largest_gathered, most_similar  # noqa: E402
from emgait_ros.emgaitnet.model import EdgeConv, nearest_by_cosine  # noqa: E402


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("clouds", "points", "neighbours"), [(1, 2, 1), (3, 16, 4), (2, 128, 8), (1, 9, 8)])
def test_the_same_neighbours_as_topk(clouds: int, points: int, neighbours: int) -> None:
    x = torch.randn(clouds, points, 5, generator=generator())
    fast = most_similar(x, neighbours, training=True)
    assert torch.equal(fast, nearest_by_cosine(x, neighbours))


def test_repeated_points_are_neighbours_of_each_other() -> None:
    x = torch.randn(1, 4, 3, generator=generator()).repeat_interleave(4, dim=1)
    chosen = most_similar(x, 3, training=True)[0]
    assert torch.equal(chosen // 4, (torch.arange(16) // 4)[:, None].expand(-1, 3))
    assert not bool((chosen == torch.arange(16)[:, None]).any())  # the point itself is none


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_largest_and_its_gradient_are_those_of_gather_and_maximum(dtype: torch.dtype) -> None:
    values = torch.randn(40, 6, generator=generator(1)).to(dtype)
    rows = torch.randint(0, 40, (50, 4), generator=generator(2))
    weight = torch.randn(50, 6, generator=generator(3))
    results = []
    for fast in (True, False):
        leaf = values.clone().requires_grad_()
        found = (
            largest_gathered(leaf, rows, training=True)
            if fast
            else torch.nn.functional.embedding(rows, leaf).max(dim=1).values
        )
        (found.float() * weight).sum().backward()
        assert leaf.grad is not None
        results.append((found.detach(), leaf.grad))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=0)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0.02, atol=0.02 if dtype == torch.bfloat16 else 1e-6)


def test_training_and_inference_agree() -> None:
    torch.manual_seed(0)
    layer, x = FastEdgeConv(5, 7, 3), torch.randn(2, 12, 5)
    layer.norm.momentum = None  # the running statistics are those of the one batch that was seen
    trained = layer.train()(x)
    layer.norm.running_var *= (2 * 12 - 1) / (2 * 12)  # torch keeps the unbiased one
    torch.testing.assert_close(layer.eval()(x), trained, rtol=1e-4, atol=1e-4)


def test_points_multiplied_first_are_edges_multiplied_first() -> None:
    """Also where a batch-norm weight is negative, which turns the order of the values round."""
    torch.manual_seed(1)
    plain, fast, x = EdgeConv(5, 7, 3).double(), FastEdgeConv(5, 7, 3).double(), torch.randn(2, 12, 5).double()
    with torch.no_grad():
        plain.norm.weight[::2] = -1.0
    fast.load_state_dict(plain.state_dict())
    torch.testing.assert_close(fast.eval()(x), plain.eval()(x), rtol=0, atol=1e-12)
