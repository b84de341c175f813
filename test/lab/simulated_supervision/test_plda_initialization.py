"""The closed-form start: regressions and discriminants find what was put in, and the network tells people apart with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_up_sets import made_up_set, tiny_network_config  # noqa: E402

from emgait_ros.emgaitnet.extensions import RADIUS  # noqa: E402
from emgait_ros.emgaitnet.fast import FastEMGaitNet  # noqa: E402
from emgait_ros.emgaitnet.model import EMGaitNet  # noqa: E402
from emgait_ros.lab.datasets.sequences import SequenceSet  # noqa: E402
from emgait_ros.lab.simulated_supervision.auxiliary_losses import AuxiliaryHeads  # noqa: E402
from emgait_ros.lab.simulated_supervision.plda_initialization import (  # noqa: E402
    AVERAGE,
    FEWEST_PEOPLE,
    SPHERE,
    directions,
    discriminant,
    fit_traits,
    initialize_from_traits,
)
from emgait_ros.lab.simulated_supervision.pose_pretraining import initialize_small  # noqa: E402
from emgait_ros.lab.simulated_supervision.poses import Joints  # noqa: E402
from emgait_ros.lab.simulated_supervision.traits import Traits  # noqa: E402
from emgait_ros.lab.training.measurement import embed, whole_sequences  # noqa: E402
from emgait_ros.lab.training.recipe import OptimizationConfig, TrainingConfig  # noqa: E402
from emgait_ros.samples import Float32  # noqa: E402


def test_traits_are_told_of_people_never_seen() -> None:
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(300), 4)
    moments = rng.normal(2.0, 3.0, (1200, 40))
    traits = (moments[:, :3] @ rng.normal(0, 1, (3, 2)) + 5 + rng.normal(0, 0.5, (1200, 2))).astype(np.float32)
    tell, across = fit_traits(moments, traits, identity)
    explained = 1 - np.square(across - traits).mean(axis=0) / traits.var(axis=0)
    assert (explained > 0.97).all()
    assert np.abs(tell(moments) - traits).mean() < 0.45  # the noise of 0.5 is left, and the mean of 5 is in the bias


def test_directions_come_sorted_by_what_is_the_person() -> None:
    rng = np.random.default_rng(1)
    identity = np.repeat(np.arange(400), 4)
    person = rng.normal(0, 1, (400, 3)) * (0.0, 3.0, 1.0)
    predicted = person[identity] + rng.normal(0, 1, (1600, 3))
    axes, share = discriminant(predicted, identity)
    assert share[0] == pytest.approx(0.9, abs=0.02)
    assert share[1] == pytest.approx(0.5, abs=0.06)
    assert abs(axes[1, 0]) > 10 * abs(axes[[0, 2], 0]).max()
    within = predicted @ axes[:, 0] - (np.bincount(identity, predicted @ axes[:, 0]) / 4)[identity]
    assert within.std() * np.sqrt(4 / 3) == pytest.approx(1.0, abs=0.05)


def test_directions_are_scaled_as_the_odds_weigh_them() -> None:
    rng = np.random.default_rng(4)
    moments, shares = rng.normal(5.0, 2.0, (500, 6)), np.array([0.98, 0.8, 0.3])
    embed = directions(moments, np.eye(6)[:, :3], shares, width=8)
    found = embed(moments)
    assert found.shape == (500, 8)
    np.testing.assert_allclose(found.mean(axis=0), [0, 0, 0, 0, 0, 0, 0, AVERAGE], atol=1e-9)
    assert np.square(found[:, 1:3]).sum(axis=1).mean() == pytest.approx(1.0)
    spread = found.std(axis=0) / moments.std(axis=0)[0]
    assert spread[1] / spread[2] == pytest.approx(np.sqrt(0.8 / 1.8 / (0.3 / 1.3)), rel=0.1)
    assert spread[0] / spread[1] == pytest.approx(RADIUS / SPHERE * np.sqrt(0.98 / 1.98 / (0.8 / 1.8)), rel=0.1)


def auxiliary_of(network: EMGaitNet, people: int) -> tuple[AuxiliaryHeads, SequenceSet]:
    data = made_up_set(people, sequences=4, frames=6)
    traits = np.repeat(np.random.default_rng(2).normal(0, 1, (people, 5)), 4, axis=0).astype(np.float32)
    strong = dataclasses.replace(data, points=data.points + 0.3 * np.repeat(traits[:, None, :1], 6, 0))
    joints = Joints(strong.points[:, :5].astype(np.float32), np.full((data.frames, 5, 2), 0.5, np.float32))
    return AuxiliaryHeads(network.config, joints, Traits(traits, traits, np.ones(5, np.float32))), strong


def in_parts(data: SequenceSet, traits: Float32) -> Iterator[tuple[SequenceSet, Float32]]:
    """Ten people at a time."""
    for start in range(0, len(data), 40):
        rows = np.arange(start, min(start + 40, len(data)))
        yield data.select(rows), traits[rows]


def test_the_network_tells_people_apart_before_any_step_of_gradients() -> None:
    torch.manual_seed(3)
    network = FastEMGaitNet(tiny_network_config(use_moments=True, classes=0))
    initialize_small(network.frame)  # as before pose pretraining: layers that read the text add nothing
    auxiliary, data = auxiliary_of(network, FEWEST_PEOPLE)
    initialize_from_traits(network, auxiliary, in_parts(data, auxiliary.traits.today), "fp32")
    embedding = embed(network, data, whole_sequences(data))
    flat = embedding[:, 0].astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(flat[:, 1:], axis=1), RADIUS, rtol=1e-3)
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    same = data.identity[:, None] == data.identity[None]
    assert distance[same & ~np.eye(len(same), dtype=bool)].mean() < 0.8 * distance[~same].mean()
    predicted = auxiliary.read_traits(torch.from_numpy(embedding).flatten(1)).detach().numpy()
    assert np.corrcoef(predicted[:, 0], auxiliary.traits.today[:, 0])[0, 1] > 0.6


def test_too_few_people_are_refused() -> None:
    network = FastEMGaitNet(tiny_network_config(use_moments=True, classes=0))
    auxiliary, data = auxiliary_of(network, FEWEST_PEOPLE - 1)
    with pytest.raises(ValueError, match=f"auxiliary_identities.identities is {FEWEST_PEOPLE - 1}"):
        initialize_from_traits(network, auxiliary, in_parts(data, auxiliary.traits.today), "fp32")


@pytest.mark.parametrize("missing", [{"pose_weight": 0.0}, {"trait_weight": 0.0}, {"model": False}])
def test_a_recipe_without_what_it_needs_is_refused(missing: dict[str, float]) -> None:
    weights = {"pose_weight": 1.0, "trait_weight": 1.0, **{k: v for k, v in missing.items() if k != "model"}}
    model = tiny_network_config(use_moments="model" not in missing)
    with pytest.raises(ValueError, match=r"plda_initialization needs model\.use_moments"):
        TrainingConfig(
            "x",
            model=model,
            augment=dataclasses.replace(TrainingConfig("x").augment, mirror=0.0),
            optimization=OptimizationConfig(plda_initialization=True, **weights),  # type: ignore[arg-type]
        )
