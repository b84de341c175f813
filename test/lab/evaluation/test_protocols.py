"""The cross-distance protocol on made-up sequences whose answer is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.evaluation import protocols
from emgait_ros.lab.evaluation.baselines import BASELINES, measured
from emgait_ros.lab.evaluation.protocols import Comparison, Verification, sectors
from emgait_ros.lab.evaluation.published import Scored, as_json, protocol_of


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


def score(data: SequenceSet, embedding: np.ndarray) -> Scored:
    return Scored.of(protocol_of("sim"), data, embedding.astype(np.float32))


def compare(data: SequenceSet, embedding: np.ndarray) -> Comparison:
    return score(data, embedding).comparison


def one_hot(identity: np.ndarray, size: int) -> np.ndarray:
    return np.eye(size, dtype=np.float32)[identity][:, None]


def test_perfect_embeddings_score_everything() -> None:
    data = sequences()
    found = score(data, one_hot(data.identity, 6)).figures()
    assert {"rank1_overall", "rank1_D20", "rank1_D40", "rank1_view000", "rank1_view090", "rank1_view180"} <= set(found)
    for name, value in found.items():
        assert value.value == (0.0 if name == "EER" else 1.0), name
    assert found["rank1_overall"].comparisons == 36 * 2  # two gallery views are not the probe's own


def test_json_has_percent_and_intervals() -> None:
    data = sequences()
    found = as_json(score(data, one_hot(data.identity, 6)).figures())
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
    found = score(data, embedding).figures()
    assert [found[f"rank1_{name}"].value for name in ("D20", "D40", "overall")] == [1.0, 0.0, 0.5]


def test_conditions_are_scored_apart_and_overall_is_daylight() -> None:
    data = sequences()
    condition = data.condition.astype("<U10")
    condition[(data.walk == 1) & (data.range_m == 40)] = "night"
    condition[(data.walk == 1) & (data.range_m == 20) & (data.view_deg == 0)] = "clothing"
    masks = score(dataclasses.replace(data, condition=condition), one_hot(data.identity, 6)).groups
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "overall": 12, "D20": 12, "N40": 18, "clothing": 6, "view 090": 6, "view 180": 6,
    }  # fmt: skip


def test_every_group_has_every_measure_with_counts() -> None:
    data = sequences()
    table = score(data, one_hot(data.identity, 6)).by_group()
    row = as_json(table["D40"], counts=True)
    assert {"rank1", "rank5", "mAP", "mINP", "EER", "TAR_at_FAR_1pct", "DIR_at_FAR_1pct"} <= set(row)
    assert row["rank1_n"] == 18 * 2
    assert row["mAP_n"] == 18


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
    data = data.select(
        ~((data.identity == 3) & (data.walk == 0) & (data.view_deg == 90))
    )  # one is not in one gallery view
    data = data.select(~((data.identity < 4) & (data.walk == 1) & (data.view_deg == 180)))  # views of unequal size
    comparison = compare(data, np.random.default_rng(3).normal(size=(len(data), 2, 5)))
    probes, gallery = comparison.probes, comparison.gallery
    for k in (1, 2, 4):
        by_probe_view = []
        for probe_view in ("000", "090", "180"):
            shares = []
            for gallery_view in {"000", "090", "180"} - {probe_view}:
                columns = np.flatnonzero(gallery.view == gallery_view)
                hits = []
                for row in np.flatnonzero(probes.view == probe_view):
                    order = columns[np.argsort(comparison.distance[row, columns])]
                    hits.append(probes.identity[row] in gallery.identity[order[:k]])
                shares.append(np.mean(hits))
            by_probe_view.append(np.mean(shares))
        assert comparison.rank(k).value == pytest.approx(np.mean(by_probe_view))
    assert comparison.cmc(deepest=4)[3] == pytest.approx(comparison.rank(4).value)


def test_verification_curve_and_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(protocols, "EXACT_PAIRS", 0)
    assert pairs.equal_error_rate().value == pytest.approx(rate.value, abs=0.003)  # read off the curve
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


@pytest.mark.parametrize(("angle", "name"), [(350, "000"), (22, "000"), (23, "045"), (315, "315"), (338, "000")])
def test_views_have_names(angle: float, name: str) -> None:
    assert sectors(np.array([angle])).tolist() == [name]


def test_baselines_see_what_they_claim_to_see() -> None:
    data = sequences()
    scores = {name: compare(data, measured(data, measure)).rank(1).value for name, measure in BASELINES.items()}
    assert scores["body height"] == 1.0  # planted in the clouds
    assert scores["mean crop colour"] < 0.5
    assert scores["number of points"] < 0.5
