"""Adam as torch has it, Muon for matrices, and both going on where they stopped."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from emgait_ros.lab.training.optimizer import AdamAndMuon, layer_weights  # noqa: E402


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(6, 4), nn.Linear(4, 2))
    layers[4].requires_grad_(False)
    return layers


def stepped(net: nn.Module, optimizer: object, steps: range) -> None:
    for step in steps:
        x = torch.randn(16, 3, 3, 3, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()


def trained(net: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in net.parameters() if parameter.requires_grad]


def test_without_matrices_it_is_torchs_adam() -> None:
    ours, theirs = network(), network()
    stepped(ours, AdamAndMuon(trained(ours), [], 1e-2, 1e-3), range(5))
    stepped(theirs, torch.optim.Adam(trained(theirs), lr=1e-2, weight_decay=1e-3), range(5))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_matrices_are_the_trained_layers_weights() -> None:
    net = network()
    assert [tuple(weight.shape) for weight in layer_weights(net)] == [(6, 3, 3, 3), (4, 6)]


def test_muon_moves_every_direction_of_a_matrix_alike() -> None:
    net = network()
    before = [weight.detach().clone() for weight in layer_weights(net)]
    stepped(net, AdamAndMuon(trained(net), layer_weights(net), 0.01, 0.0), range(1))
    for old, new in zip(before, layer_weights(net), strict=True):
        moved = (new.detach() - old).flatten(1)
        values = torch.linalg.svdvals(moved)
        assert values.max() < 10 * values.min()
        assert (values.max() / values.median()).item() < 2.0  # the gradient's own are hundreds apart
        assert 0.3 < moved.square().mean().sqrt().item() / (0.2 * 0.01) < 1.3


def test_it_goes_on_where_it_stopped() -> None:
    whole, first = network(), network()
    stepped(whole, AdamAndMuon(trained(whole), layer_weights(whole), 0.01, 0.0), range(6))
    stopped = AdamAndMuon(trained(first), layer_weights(first), 0.01, 0.0)
    stepped(first, stopped, range(3))
    second = copy.deepcopy(first)
    resumed = AdamAndMuon(trained(second), layer_weights(second), 0.01, 0.0)
    twin = dict(zip(first.parameters(), second.parameters(), strict=True))
    for parameter, count, mean, square in stopped.moments():
        resumed.restore(twin[parameter], count, mean.clone(), None if square is None else square.clone())
    stepped(second, resumed, range(3, 6))
    for a, b in zip(second.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_learning_rate_is_of_both() -> None:
    net = network()
    optimizer = AdamAndMuon(trained(net), layer_weights(net), 0.01, 0.0)
    optimizer.set_learning_rate(0.0)
    before = copy.deepcopy(net.state_dict())
    stepped(net, optimizer, range(1))
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter, before[name], rtol=0, atol=0)
