"""The closed form for points alone: what differs between sensors and days is weighed down, and the gain fits the threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_up_sets import tiny_network_config  # noqa: E402

from emgait_ros.emgaitnet.fast import FastEMGaitNet  # noqa: E402
from emgait_ros.inference.preprocessing import Preprocessing  # noqa: E402
from emgait_ros.lab.simulated_supervision.alone_discriminant import (  # noqa: E402
    Described,
    discriminant,
    find_gain,
    fit_points_alone,
    padded,
    strided,
)
from emgait_ros.lab.simulated_supervision.passes import PassesConfig  # noqa: E402
from emgait_ros.lab.simulated_supervision.plda_initialization import LinearMap  # noqa: E402
from emgait_ros.lab.training.recipe import CalibrationConfig  # noqa: E402

TAKEN = Preprocessing(16, 8, 16, "heading")


def test_what_differs_between_sensors_and_days_is_weighed_down() -> None:
    rng = np.random.default_rng(0)
    people, size = 300, 12
    identity, walk = np.repeat(np.arange(people), 4), np.tile([0, 0, 1, 1], people)
    person, day = rng.normal(0, 1, (people, size)), rng.normal(0, 1, (people, 2, size))
    person[:, 4:], day[:, :, :4], day[:, :, 8:] = 0, 0, 0
    x = person[identity] + 2 * day[identity, walk]
    x[:, 8:] += rng.normal(0, 3, (len(x), 4))  # of the sensor
    x += rng.normal(0, 0.2, x.shape) + 5
    found = discriminant(Described(x, identity, walk), 8)
    told = found(x)
    own = np.abs(found.weight / x.std(axis=0)[:, None] ** -1)
    assert told.shape == (len(x), 8)
    np.testing.assert_allclose(told.mean(axis=0), 0, atol=1e-9)
    assert own[:4, :4].sum() > 3 * own[4:, :4].sum()  # the person's first
    assert own[8:].max() < 0.35 * own[:4].max()


def test_the_best_numbers_are_shared_among_the_vectors() -> None:
    found = strided(LinearMap(np.arange(12.0).reshape(2, 6), np.arange(6.0)), 2)
    assert found.bias.tolist() == [0, 2, 4, 1, 3, 5]
    assert found.weight[1].tolist() == [6, 8, 10, 7, 9, 11]


def test_directions_that_are_not_kept_are_zero() -> None:
    found = padded(LinearMap(np.ones((2, 3)), np.ones(3)), 5)
    assert found.bias.tolist() == [1, 1, 1, 0, 0]
    assert found.weight.tolist() == [[1, 1, 1, 0, 0]] * 2


def test_a_network_is_fitted_to_passes_and_scaled_to_its_threshold(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = tiny_network_config(use_moments=True, use_st=False, use_hpp=False, alone_parts=2, classes=0)
    network = FastEMGaitNet(config).eval()
    people = PassesConfig(710_000, identities=20, sensors=2, frames=6)
    assert fit_points_alone(network, TAKEN, people, tmp_path / "passes") == 20
    assert bool(network.frame.points_alone.tell.weight.any())
    strangers = PassesConfig(720_000, identities=8, sensors=1, frames=16)
    facts = [
        find_gain(
            network, TAKEN, threshold, tmp_path / "strangers", CalibrationConfig(gallery_size=2, galleries=4), strangers
        )
        for threshold in (0.5, 1.0)
    ]
    assert facts[1]["gain"] == pytest.approx(2 * facts[0]["gain"], rel=1e-3)
    assert float(network.sequence.alone.gain) == pytest.approx(facts[1]["gain"], rel=1e-3)


def test_too_few_people_are_refused(tmp_path: Path) -> None:
    config = tiny_network_config(use_moments=True, use_st=False, use_hpp=False, alone_parts=2, classes=0)
    with pytest.raises(ValueError, match=r"passes\.identities is 5: points alone take at least 20"):
        fit_points_alone(FastEMGaitNet(config), TAKEN, PassesConfig(identities=5), tmp_path)
