"""The linear refit on made-up traits: what wavers within tracks is turned down, few tracks change little, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from emgait_ros.lab.adaptation.refit import TrackTraits, refit, shrunk

D, NOISY = 12, slice(6, 12)


def made_up(tracks: int, windows: int = 4, noise: float = 2.0, seed: int = 0) -> TrackTraits:
    """People differ by 1 in every trait; windows of a track by 0.3, by ``noise`` in the second half of the traits."""
    rng = np.random.default_rng(seed)
    who = np.repeat(rng.normal(size=(tracks, D)), windows, axis=0) + 5.0
    wavering = np.full(D, 0.3)
    wavering[NOISY] = noise
    return TrackTraits(
        who + rng.normal(size=who.shape) * wavering, np.zeros((len(who), 0)), np.repeat(np.arange(tracks), windows)
    )


def rank1(traits: np.ndarray, windows: int = 4) -> float:
    """Share of first windows whose nearest last window is of their own track."""
    first, last = traits[::windows], traits[windows - 1 :: windows]
    distance = np.linalg.norm(first[:, None] - last[None], axis=2)
    return float((distance.argmin(axis=1) == np.arange(len(first))).mean())


def test_others_are_told_apart_better_by_what_tracks_have_taught() -> None:
    fitted, others = refit(made_up(200)), made_up(60, seed=1)
    assert rank1(others.traits) < 0.25
    assert rank1(others.traits @ fitted.matrix + fitted.offset) > 0.45


def test_traits_that_waver_are_turned_down_and_people_are_centred() -> None:
    seen = made_up(200)
    fitted = refit(seen)
    gains = np.abs(np.diag(fitted.matrix))
    assert gains[NOISY].max() < 0.5 * gains[1:6].min()
    new = seen.traits @ fitted.matrix + fitted.offset
    assert np.abs(new.mean(axis=0)).max() < 1e-9
    assert new[:, 0].std() == pytest.approx(0.25, abs=1e-9)  # of a sphere of radius 0.5
    assert np.sqrt(np.square(new[:, 1:]).sum(axis=1).mean()) == pytest.approx(1.0, abs=1e-9)
    assert 0.5 < fitted.within < 1.0


def test_numbers_for_points_alone_are_centred_and_turned_down_by_half() -> None:
    seen = made_up(200)
    fitted = refit(dataclasses.replace(seen, alone=seen.traits * 3.0 + 1.0))
    gains = np.abs(np.diag(fitted.alone_matrix))
    traits = np.abs(np.diag(fitted.matrix))
    assert 0.9 < (gains[NOISY].mean() / gains[1:6].mean()) ** 2 / (traits[NOISY].mean() / traits[1:6].mean()) < 1.1
    new = (seen.traits * 3.0 + 1.0) @ fitted.alone_matrix + fitted.alone_offset
    assert np.abs(new.mean(axis=0)).max() < 1e-9
    assert refit(seen).alone_matrix.shape == (0, 0)


@pytest.mark.parametrize(("tracks", "turned"), [(3, 0.75), (2000, 0.2)])
def test_few_tracks_leave_the_proportions_of_the_shipped_traits(tracks: int, turned: float) -> None:
    """Gain of the wavering traits beside that of the steady ones: near 1 of three tracks, near what the noise says of many."""
    gains = np.abs(np.diag(refit(made_up(tracks)).matrix))
    ratio = gains[NOISY].mean() / gains[1:6].mean()
    assert ratio > turned if tracks < 10 else ratio < 2 * turned


def test_a_track_counts_once_however_long_it_is() -> None:
    short = made_up(40)
    long = TrackTraits(
        np.concatenate([short.traits, np.repeat(short.traits[-4:], 50, axis=0)]),
        np.zeros((len(short.traits) + 200, 0)),
        np.concatenate([short.track, np.full(200, short.track[-1])]),
    )
    assert refit(long).offset == pytest.approx(refit(short).offset, abs=0.02)


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (made_up(1), "1 tracks have two windows"),
        (made_up(20, windows=1), "0 tracks have two windows"),
        (TrackTraits(np.ones((8, D)), np.zeros((8, 0)), np.repeat(np.arange(4), 2)), "do not vary"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(seen: TrackTraits, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        refit(seen)


def test_shrinking_keeps_the_trace() -> None:
    covariance = np.diag([4.0, 1.0, 1.0])
    assert np.trace(shrunk(covariance, 3)) == pytest.approx(6.0)
    assert shrunk(covariance, 3)[0, 0] == pytest.approx(3.0)  # half way to 2
    assert shrunk(covariance, 10**9) == pytest.approx(covariance, abs=1e-6)
