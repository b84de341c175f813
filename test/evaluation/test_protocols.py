"""The cross-distance protocol on made-up sequences whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.datasets.sequences import SequenceSet
from emgait_ros.evaluation import simulated_test
from emgait_ros.evaluation.baselines import BASELINES, measured
from emgait_ros.evaluation.protocols import Comparison, Labels, Verification, angle_between


def sequences(
    identities: int = 6, views: tuple[int, ...] = (0, 90, 180), ranges: tuple[int, ...] = (20, 40), frames: int = 3
) -> SequenceSet:
    """Gallery (walk 0, 10 m) of every view; probes (walk 1) of every range and view."""
    rows = [(i, 0, v, 10) for i in range(identities) for v in views]
    rows += [(i, 1, v, r) for i in range(identities) for r in ranges for v in views]
    table = np.array(rows)
    count, rng = len(rows), np.random.default_rng(0)
    height = 1.5 + 0.05 * np.repeat(table[:, 0], frames)
    points = rng.random((count * frames, 40, 3)).astype(np.float32) * [0.5, 0.5, 1.0]
    points[:, 0, 2] = height  # the highest return tells who it is
    return SequenceSet(
        identity=table[:, 0],
        walk=table[:, 1],
        view_deg=table[:, 2].astype(np.float32),
        range_m=table[:, 3].astype(np.float32),
        condition=np.array(["normal"] * count),
        start=np.arange(count + 1) * frames,
        crops=rng.integers(0, 255, (count * frames, 12, 6, 3), dtype=np.uint8),
        points=points.astype(np.float32),
        point_count=np.full(count * frames, 40),
        has_image=np.ones(count * frames, bool),
        has_points=np.ones(count * frames, bool),
    )


def compare(data: SequenceSet, embedding: np.ndarray) -> Comparison:
    return simulated_test.compare(embedding.astype(np.float32), data.walk, Labels.of(data))


def one_hot(identity: np.ndarray, size: int) -> np.ndarray:
    return np.eye(size, dtype=np.float32)[identity][:, None]


def test_perfect_embeddings_score_everything() -> None:
    data = sequences()
    found = simulated_test.figures(compare(data, one_hot(data.identity, 6)))
    assert {"rank1_overall", "rank1_D20", "rank1_D40", "rank1_view0", "rank1_view90", "rank1_view180"} <= set(found)
    for name, value in found.items():
        assert value.value == (0.0 if name == "EER" else 1.0), name
    assert found["rank1_overall"].comparisons == 36 * 2  # two gallery views are not the probe's own


def test_json_has_percent_and_intervals() -> None:
    data = sequences()
    found = simulated_test.as_json(simulated_test.figures(compare(data, one_hot(data.identity, 6))))
    assert found["rank1_overall"] == 100.0
    assert found["rank1_overall_ci95"] == [100.0, 100.0]
    assert all(f"{name}_ci95" in found for name in found if not name.endswith("_ci95"))


def test_the_probes_own_view_does_not_count() -> None:
    data = sequences()
    # Right only for the probe's own view: the embedding knows identity and view, and nothing but both.
    code = (data.identity * 3 + (data.view_deg / 90).astype(int)).astype(np.int64)
    rng = np.random.default_rng(1)
    embedding = rng.normal(size=(18, 1, 64)).astype(np.float32)[code]
    assert compare(data, embedding).rank(1).value < 0.4


def test_ranges_are_scored_apart() -> None:
    data = sequences()
    embedding = one_hot(data.identity, 6).copy()
    far = (data.range_m == 40) & (data.walk == 1)
    embedding[far] = one_hot((data.identity[far] + 1) % 6, 6)
    found = simulated_test.figures(compare(data, embedding))
    assert [found[f"rank1_{name}"].value for name in ("D20", "D40", "overall")] == [1.0, 0.0, 0.5]


def test_conditions_are_scored_apart_and_overall_is_daylight() -> None:
    data = sequences()
    condition = data.condition.astype("<U10")
    condition[(data.walk == 1) & (data.range_m == 40)] = "night"
    condition[(data.walk == 1) & (data.range_m == 20) & (data.view_deg == 0)] = "clothing"
    probes = Labels(data.identity, data.view_deg, data.range_m, condition).select(data.walk == 1)
    masks = simulated_test.groups(probes)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "overall": 12, "D20": 12, "N40": 18, "clothing": 6, "view 90": 6, "view 180": 6,
    }  # fmt: skip


def test_intervals_resample_people() -> None:
    data = sequences(identities=30)
    embedding = one_hot(data.identity, 30).copy()
    wrong = data.identity < 15  # half of the people are never recognised
    embedding[wrong & (data.walk == 1)] = 0.5
    found = compare(data, embedding).rank(1)
    assert found.value == pytest.approx(0.5, abs=0.05)
    assert 0.25 < found.low < 0.4
    assert 0.6 < found.high < 0.75


def test_ties_count_against_the_probe() -> None:
    data = sequences()
    assert compare(data, np.zeros((len(data), 1, 4), np.float32)).rank(1).value == 0.0


def test_rank_k_equals_brute_force() -> None:
    data = sequences(identities=8)
    embedding = np.random.default_rng(3).normal(size=(len(data), 2, 5))
    comparison = compare(data, embedding)
    hits, trials = comparison.ranks(3)
    for row in range(len(comparison.probes)):
        expected, asked = np.zeros(3), 0
        for view in (0, 90, 180):
            if view == comparison.probes.view_deg[row]:
                continue
            asked += 1
            columns = np.flatnonzero(comparison.gallery.view_deg == view)
            order = columns[np.argsort(comparison.distance[row, columns])]
            place = comparison.gallery.identity[order].tolist().index(comparison.probes.identity[row])
            expected += place < np.arange(1, 4)
        assert hits[row].tolist() == expected.tolist()
        assert trials[row] == asked


def test_verification_curve_and_intervals() -> None:
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(40), 5)
    same = identity[:, None] == np.arange(40)
    distance = rng.normal(2.0, 1.0, same.shape) - 2.0 * same
    pairs = Verification.of(distance.astype(np.float32), same, np.ones_like(same), identity)
    rate = pairs.equal_error_rate()
    assert rate.value == pytest.approx(0.1587, abs=0.03)  # two normal distributions, two sigma apart
    assert rate.low < rate.value < rate.high
    accept, true = pairs.curve()
    assert (np.diff(accept) >= 0).all()
    assert (np.diff(true) >= 0).all()
    assert pairs.true_accept_rate(0.5).value > pairs.true_accept_rate(0.01).value


def test_open_set_counts_enrolled_people_only() -> None:
    data = sequences(identities=8)
    comparison = compare(data, one_hot(data.identity, 8))
    found = comparison.open_set(comparison.everything)
    assert found.value == 1.0
    assert found.comparisons == 40 * 4 * 6  # 40 divisions, 4 of 8 enrolled, 6 probes each


def test_open_set_of_strangers_that_look_alike() -> None:
    data = sequences(identities=8)
    embedding = one_hot(data.identity // 2, 4)  # pairs of twins
    comparison = compare(data, embedding)
    found = comparison.open_set(comparison.everything)
    assert found.value < 0.5  # a stranger's twin is often enrolled: no threshold can tell


def test_gallery_and_probes_are_both_needed() -> None:
    data = sequences()
    alone = data.select(data.walk == 0)
    with pytest.raises(ValueError, match="both are needed"):
        compare(alone, np.zeros((18, 1, 4)))
    comparison = compare(data.select(data.identity == 0), np.zeros((9, 1, 4)))
    with pytest.raises(ValueError, match="too few for an open-set test"):
        comparison.open_set(comparison.everything)
    with pytest.raises(ValueError, match="nothing can be verified"):
        comparison.verification()


@pytest.mark.parametrize(("one", "other", "angle"), [(350, 10, 20), (0, 180, 180), (90, 90, 0), (10, 350, 20)])
def test_angles_wrap(one: float, other: float, angle: float) -> None:
    assert angle_between(np.array([one]), np.array([other])) == pytest.approx([angle])


def test_baselines_see_what_they_claim_to_see() -> None:
    data = sequences()
    scores = {name: compare(data, measured(data, measure)).rank(1).value for name, measure in BASELINES.items()}
    assert scores["body height"] == 1.0  # planted in the clouds
    assert scores["mean crop colour"] < 0.5
    assert scores["number of points"] < 0.5
