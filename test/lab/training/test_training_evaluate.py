"""Embeddings of windows, and limits calibrated on people that were not trained on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_up_sets import made_up_set, tiny_network_config  # noqa: E402

from emgait_ros.config import DecisionConfig  # noqa: E402
from emgait_ros.emgaitnet.fast import FastEMGaitNet  # noqa: E402
from emgait_ros.emgaitnet.model import EMGaitNet  # noqa: E402
from emgait_ros.lab.training.attention import PlainAttention, plain_attention  # noqa: E402
from emgait_ros.lab.training.loop import collate  # noqa: E402
from emgait_ros.lab.training.measurement import calibrate, embed, limits_of, reference_samples, whole_sequences  # noqa: E402
from emgait_ros.lab.training.recipe import CalibrationConfig  # noqa: E402
from emgait_ros.recognition.decision import Weakness  # noqa: E402
from emgait_ros.recognition.matcher import Matcher  # noqa: E402
from emgait_ros.recognition.replay import Replay, WalkWindows  # noqa: E402
from emgait_ros.samples import Modality  # noqa: E402


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


def walk_of(embedding: np.ndarray, windows: int = 5) -> WalkWindows:
    count = (Modality.BOTH,) * windows, (Weakness(),) * windows, tuple(range(10, 10 + windows))
    return WalkWindows(np.repeat(embedding[None].astype(np.float32), windows, axis=0), *count)


def test_limits_by_hand() -> None:
    # Ten people on the corners of a simplex, sqrt(2) from each other; each walk is 0.1 to 0.19 from its own person.
    people = np.eye(10, 16, dtype=np.float32)[:, None, None]
    walks = [walk_of(rows[0] + (0.1 + 0.01 * i) * np.eye(1, 16, 12)) for i, rows in enumerate(people)]
    limits = limits_of(list(people), walks, np.arange(10), CalibrationConfig(gallery_size=4, galleries=20))
    assert limits.min_margin == pytest.approx(np.sqrt(2.036) - 0.19, abs=0.01)  # all but the last walk have more
    assert limits.facts["true_accept_rate"] >= 0.9
    assert limits.threshold == pytest.approx(
        np.sqrt(2.01), abs=0.01
    )  # no stranger has such a lead: distance alone decides
    assert limits.facts["stranger_tracks"] == 10
    once = limits_of(list(people), walks, np.arange(10), CalibrationConfig(gallery_size=4, galleries=1))
    assert once.facts["genuine_tracks"] == 4, "nobody else came back"


def test_limits_keep_the_false_accept_rate_of_the_live_decision() -> None:
    """Walks whose windows differ: a quantile of the smallest distances would hold another rate than the one asked for."""
    rng = np.random.default_rng(0)
    people = rng.normal(size=(60, 1, 4, 8)).astype(np.float32)

    def walks_of(person: np.ndarray) -> WalkWindows:
        rows = person + rng.normal(size=(4, 8)) + 0.5 * rng.normal(size=(20, 4, 8))
        return WalkWindows(rows.astype(np.float32), (Modality.BOTH,) * 20, (Weakness(),) * 20, tuple(range(10, 30)))

    owner = np.repeat(np.arange(60), 3)
    walks = [walks_of(people[person, 0]) for person in owner]
    config = CalibrationConfig(false_accept_rate=0.05, gallery_size=5, galleries=20)
    limits = limits_of(list(people), walks, owner, config)
    matcher = Matcher(3)
    matcher.replace_all([(row + 1, str(row), people[row], np.array([3])) for row in range(5)])
    against = Replay(matcher, DecisionConfig(), limits.min_margin)
    named = [against.is_named(walks_of(rng.normal(size=(4, 8))), limits.threshold) for _ in range(600)]
    assert np.mean(named) == pytest.approx(0.05, abs=0.035)
    assert limits.facts["true_accept_rate"] > 0.9


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
