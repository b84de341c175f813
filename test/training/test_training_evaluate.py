"""Embeddings of windows, and limits calibrated on people that were not trained on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_up_sets import made_up_set, tiny_network_config  # noqa: E402

from emgait_ros.emgaitnet.fast import FastEMGaitNet  # noqa: E402
from emgait_ros.emgaitnet.model import EMGaitNet  # noqa: E402
from emgait_ros.training.attention import PlainAttention, plain_attention  # noqa: E402
from emgait_ros.training.config import CalibrationConfig  # noqa: E402
from emgait_ros.training.evaluate import _limits, calibrate, embed, reference_samples, whole_sequences  # noqa: E402
from emgait_ros.training.loop import collate  # noqa: E402


@pytest.fixture
def network() -> EMGaitNet:
    torch.manual_seed(0)
    return FastEMGaitNet(tiny_network_config(classes=0)).eval()


def test_embedding_windows_equals_the_whole_network(network: EMGaitNet) -> None:
    data = made_up_set(identities=3, frames=6)
    windows = [np.arange(0, 6), np.arange(3, 8), np.array([20])]
    found = embed(network, data, windows)
    for window, embedding in zip(windows, found, strict=True):
        batch = collate(data, window[None])
        mask = torch.ones_like(batch.has_image)
        with torch.no_grad():
            expected = network(batch.crops, batch.points, batch.has_image, batch.has_points, mask).embedding[0]
        assert np.abs(embedding - expected.numpy()).max() < 1e-5


def test_plain_attention_is_attention() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 2, n, 4, generator=generator) for n in (5, 3, 3))
    mask = torch.tensor([[True, True, False], [True, True, True]])[:, None, None]
    for keep in (None, mask):
        expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=keep)
        assert torch.allclose(plain_attention(query, key, value, keep), expected, atol=1e-6)
    with PlainAttention():
        inside = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    assert torch.allclose(inside, expected, atol=1e-6)


def test_limits_by_hand() -> None:
    # Ten people, one probe each: their own distance 0.1, everybody else's 1.0 + 0.01 per person.
    distance = np.tile(1.0 + 0.01 * np.arange(10), (10, 1))
    np.fill_diagonal(distance, 0.1)
    limits = _limits(distance, np.arange(10), CalibrationConfig(gallery_size=4, galleries=20))
    assert limits.threshold == pytest.approx(1.0)  # strangers are at best 1.0 from somebody
    assert 0.9 <= limits.min_margin <= 0.95  # the second is 0.9 farther or more
    assert limits.facts["true_accept_rate"] == 1.0
    assert limits.facts["wrong_nearest_rate"] == 0.0
    assert limits.facts["stranger_tracks"] == 10


def test_limits_keep_the_false_accept_rate() -> None:
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(60), 3)
    distance = rng.normal(1.0, 0.1, (180, 60))
    distance[np.arange(180), owner] -= 0.5
    config = CalibrationConfig(false_accept_rate=0.02, gallery_size=5, galleries=50)
    limits = _limits(distance, owner, config)
    fresh = rng.normal(1.0, 0.1, (5000, 5)).min(axis=1)
    assert (fresh < limits.threshold).mean() == pytest.approx(0.02, abs=0.015)


def test_calibration_of_a_network_runs_on_held_back_people(network: EMGaitNet) -> None:
    data = made_up_set(identities=8, sequences=2, frames=20)
    limits = calibrate(network, data, CalibrationConfig(gallery_size=2, galleries=10))
    assert limits.threshold > 0
    assert limits.facts["people"] == 8
    with pytest.raises(ValueError, match="need at least 10"):
        calibrate(network, data, CalibrationConfig(gallery_size=5))


def test_windows_of_sequences_may_be_cut() -> None:
    data = made_up_set(identities=2, sequences=2, frames=6)
    assert [w.tolist() for w in whole_sequences(data, 2)] == [[0, 1], [6, 7], [12, 13], [18, 19]]
    assert dataclasses.asdict(CalibrationConfig())["false_accept_rate"] == 0.01


def test_reference_samples_are_frames_of_people_two_of_them_lacking_a_sensor():
    data = dataclasses.replace(made_up_set(3), has_image=np.ones(72, bool), has_points=np.ones(72, bool))
    samples = reference_samples(data, 4)
    assert {name: len(value) for name, value in samples.items()} == dict.fromkeys(samples, 4)
    assert samples["has_image"].tolist() == [True, False, True, True]
    assert samples["has_points"].tolist() == [True, True, False, True]
    assert not samples["crops"][1].any()
    assert not samples["points"][2].any()
    np.testing.assert_array_equal(samples["points"][0].numpy(), data.points[0])
