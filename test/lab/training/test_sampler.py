"""P x K sampling: who is drawn, from which walks and views, and the same again after a restart."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.lab.training.sampler import IdentitySampler, draw_frames


def sampler(
    identities: int = 10, walks: int = 4, settings: int = 3, p: int = 4, k: int = 4, seed: int = 1
) -> IdentitySampler:
    grid = np.stack(
        np.meshgrid(np.arange(identities), np.arange(walks), np.arange(settings), indexing="ij"), -1
    ).reshape(-1, 3)
    return IdentitySampler(grid[:, 0], grid[:, 1], grid[:, 2], p, k, seed)


def test_a_step_holds_p_identities_with_k_sequences_each() -> None:
    drawn = sampler()
    names, counts = np.unique(drawn.identity[drawn.step(0)], return_counts=True)
    assert len(names) == 4
    assert set(counts) == {4}


def test_sequences_of_an_identity_are_of_different_walks_and_settings_as_far_as_they_go() -> None:
    drawn = sampler()
    for step in range(20):
        for group in drawn.step(step).reshape(4, 4):
            assert len(set(drawn.walk[group])) == 4  # four walks, four sequences: all different
            assert len(set(drawn.setting[group])) == 3  # three settings only: one comes twice
            assert len(set(group.tolist())) == 4


def test_every_identity_comes_once_before_any_comes_again() -> None:
    drawn = sampler(identities=12, p=4)
    seen = np.concatenate([np.unique(drawn.identity[drawn.step(step)]) for step in range(3)])
    assert sorted(seen) == list(range(12))


def test_steps_are_functions_of_seed_and_step() -> None:
    assert np.array_equal(sampler().step(7), sampler().step(7))
    assert not np.array_equal(sampler().step(7), sampler().step(8))
    assert not np.array_equal(sampler().step(7), sampler(seed=2).step(7))


def test_identities_with_one_sequence_are_never_drawn() -> None:
    drawn = IdentitySampler([0, 0, 1, 2, 2, 3, 3], [0, 1, 0, 0, 1, 0, 1], [0] * 7, 2, 2, 1)
    assert not any(1 in drawn.identity[drawn.step(step)] for step in range(30))


def test_fewer_sequences_than_k_are_repeated() -> None:
    drawn = IdentitySampler([0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 0, 1], 2, 4, 1)
    _, counts = np.unique(drawn.step(0), return_counts=True)
    assert list(counts) == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("identities", "p", "k", "sentence"),
    [
        (3, 4, 4, "lower it or generate more"),  # too few people
        (8, 4, 1, "holds no triplet"),  # no positive
        (8, 1, 4, "holds no triplet"),  # no negative
    ],
)
def test_steps_without_triplets_are_refused(identities: int, p: int, k: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        sampler(identities=identities, p=p, k=k)


@pytest.mark.parametrize(
    ("length", "frames", "distinct"),
    [
        (30, 10, 10),  # enough: no repeats
        (10, 10, 10),  # just enough: all
        (4, 10, None),  # too short: repeats, in order
    ],
)
def test_frames_are_drawn_in_order(length: int, frames: int, distinct: int | None) -> None:
    found = draw_frames(length, frames, np.random.default_rng(0))
    assert len(found) == frames
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() < length
    if distinct:
        assert len(set(found)) == distinct


def test_an_empty_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="no frame"):
        draw_frames(0, 10, np.random.default_rng(0))
