"""Measures against figures worked out by hand and against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.lab.evaluation.metrics import (
    Share,
    closed_set,
    detection_identification_rate,
    distance_matrix,
    equal_error_rate,
    strictest,
    true_accept_rate,
)


def test_distance_is_the_mean_over_parts_of_l2() -> None:
    rng = np.random.default_rng(0)
    probes, gallery = rng.normal(size=(3, 4, 5)).astype(np.float32), rng.normal(size=(2, 4, 5)).astype(np.float32)
    expected = [[np.mean([np.linalg.norm(p[k] - g[k]) for k in range(4)]) for g in gallery] for p in probes]
    assert distance_matrix(probes, gallery) == pytest.approx(np.array(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("gallery", "sentence"),
    [
        (np.zeros((2, 4, 6), np.float32), "different models"),  # another width
        (np.full((2, 4, 5), np.nan, np.float32), "not finite"),  # a broken embedding
    ],
)
def test_embeddings_that_cannot_be_compared_are_refused(gallery: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        distance_matrix(np.zeros((3, 4, 5), np.float32), gallery)


def test_closed_set_by_hand() -> None:
    # Probe A: right ones (two) at ranks 1 and 3: AP (1 + 2/3) / 2, INP 2/3.
    # Probe B: its one right one at rank 2: AP 1/2, INP 1/2. Probe C has nobody in the gallery.
    distance = [[0.1, 0.3, 0.2, 0.9], [0.5, 0.6, 0.7, 0.4], [0.1, 0.2, 0.3, 0.4]]
    found = closed_set(distance, ["a", "d", "c"], ["a", "a", "b", "e"], ranks=3)
    assert found.probes == 1
    assert found.skipped == 2
    found = closed_set(distance, ["a", "b", "c"], ["a", "a", "b", "e"], ranks=4)
    assert found.probes == 2
    assert found.skipped == 1
    assert found.rank1 == Share(1, 2)
    # Probe B: e 0.4, a 0.5, a 0.6, b 0.7: rank 4.
    assert found.cmc == pytest.approx([0.5, 0.5, 0.5, 1.0])
    assert found.mean_average_precision == pytest.approx(((1 + 2 / 3) / 2 + 1 / 4) / 2)
    assert found.mean_inverse_negative_penalty == pytest.approx((2 / 3 + 1 / 4) / 2)
    assert found.rank(99) == 1.0


def test_excluded_comparisons_do_not_count() -> None:
    distance = np.array([[0.0, 0.2, 0.3]])
    everything = closed_set(distance, [1], [1, 2, 1])
    without = closed_set(distance, [1], [1, 2, 1], np.array([[True, False, False]]))
    assert everything.rank1 == Share(1, 1)
    assert without.rank1 == Share(0, 1)
    assert without.cmc[:2] == pytest.approx([0, 1])


def test_ties_count_against_the_probe() -> None:
    assert closed_set([[0.5, 0.5]], [1], [1, 2]).rank1 == Share(0, 1)


def test_closed_set_equals_brute_force() -> None:
    rng = np.random.default_rng(4)
    distance, probes, gallery = rng.random((30, 40)), rng.integers(0, 8, 30), rng.integers(0, 8, 40)
    found = closed_set(distance, probes, gallery, ranks=40)
    average, penalty, ranks = [], [], []
    for row, identity in enumerate(probes):
        order = np.argsort(distance[row])
        positions = [k + 1 for k, column in enumerate(order) if gallery[column] == identity]
        average.append(np.mean([(i + 1) / k for i, k in enumerate(positions)]))
        penalty.append(len(positions) / positions[-1])
        ranks.append(positions[0])
    assert found.mean_average_precision == pytest.approx(np.mean(average))
    assert found.mean_inverse_negative_penalty == pytest.approx(np.mean(penalty))
    assert found.cmc == pytest.approx([np.mean(np.array(ranks) <= k) for k in range(1, 41)])


@pytest.mark.parametrize(
    ("genuine", "impostor", "rate"),
    [
        ([0.1, 0.2], [0.8, 0.9], 0.0),  # apart
        ([0.8, 0.9], [0.1, 0.2], 1.0),  # the wrong way round
        ([0.1, 0.2, 0.3, 0.6], [0.5, 0.7, 0.8, 0.9], 0.25),  # one of four on the wrong side, both ways
    ],
)
def test_equal_error_rate_by_hand(genuine: list[float], impostor: list[float], rate: float) -> None:
    assert equal_error_rate(genuine, impostor)[0] == pytest.approx(rate)


def test_equal_error_rate_of_two_normal_distributions() -> None:
    rng = np.random.default_rng(0)
    rate, threshold = equal_error_rate(rng.normal(0, 1, 200_000), rng.normal(2, 1, 200_000))
    assert rate == pytest.approx(0.1587, abs=0.003)
    assert threshold == pytest.approx(1.0, abs=0.02)


def test_true_accept_rate_by_hand() -> None:
    impostor = np.linspace(0.5, 1.49, 100)
    share, threshold = true_accept_rate([0.1, 0.3, 0.505, 0.9], impostor, 0.01)
    assert threshold == pytest.approx(0.51)  # exactly one of a hundred lies below
    assert share == Share(3, 4)


def test_strictest_threshold_keeps_the_promise() -> None:
    impostor = np.sort(np.random.default_rng(1).random(777))
    for rate in (0.0, 0.01, 0.1, 0.5):
        assert (impostor < strictest(impostor, rate)).mean() <= rate


def test_identification_needs_the_right_name_and_the_threshold() -> None:
    # right and near; right but too far; near but wrong; right and near
    distance = [[0.1, 0.9], [0.6, 0.9], [0.2, 0.1], [0.9, 0.3]]
    named = detection_identification_rate(distance, [1, 1, 1, 2], [1, 2], [0.5, 0.7, 0.8], 0.01)
    assert named.threshold == 0.5
    assert named.right.tolist() == [True, False, False, True]
    assert named.share == Share(2, 4)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (0, 0, 0.0, 1.0),  # nothing known
        (5, 10, 0.2366, 0.7634),  # textbook values
        (10, 10, 0.7225, 1.0),
        (0, 10, 0.0, 0.2775),
    ],
)
def test_wilson_interval(hits: int, trials: int, low: float, high: float) -> None:
    assert Share(hits, trials).interval() == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("genuine", "impostor"), [([], [1.0]), ([1.0], [])])
def test_pairs_of_both_kinds_are_needed(genuine: list[float], impostor: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one of each"):
        equal_error_rate(genuine, impostor)
