"""The cross-distance protocol on made-up sequences whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.datasets.sequences import SequenceSet
from emgait_ros.evaluation.baselines import BASELINES, baseline_distance
from emgait_ros.evaluation.protocols import angle_between, by_embedding, cross_distance, open_set


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


def test_perfect_embeddings_score_everything() -> None:
    data = sequences()
    result = cross_distance(data, by_embedding(np.eye(6, dtype=np.float32)[data.identity][:, None]))
    assert set(result.rank1) == {"overall", "D20", "D40", "view 0", "view 90", "view 180"}
    assert all(figure.value == 1.0 for figure in result.rank1.values())
    assert result.mean_average_precision == 1.0
    assert result.equal_error_rate == 0.0
    assert (result.identities, result.probes) == (6, 36)
    assert result.rank1["overall"].comparisons == 36 * 2  # two gallery views are not the probe's own


def test_the_probes_own_view_does_not_count() -> None:
    data = sequences()
    # Right only for the probe's own view: the embedding knows identity and view, and nothing but both.
    code = (data.identity * 3 + (data.view_deg / 90).astype(int)).astype(np.int64)
    rng = np.random.default_rng(1)
    embedding = rng.normal(size=(18, 1, 64)).astype(np.float32)[code]
    assert cross_distance(data, by_embedding(embedding)).rank1["overall"].value < 0.4


def test_ranges_are_scored_apart() -> None:
    data = sequences()
    embedding = np.eye(6, dtype=np.float32)[data.identity][:, None].copy()
    far = (data.range_m == 40) & (data.walk == 1)
    embedding[far] = np.eye(6, dtype=np.float32)[(data.identity[far] + 1) % 6][:, None]
    result = cross_distance(data, by_embedding(embedding))
    assert (result.rank1["D20"].value, result.rank1["D40"].value, result.rank1["overall"].value) == (1.0, 0.0, 0.5)


def test_intervals_resample_people() -> None:
    data = sequences(identities=30)
    embedding = np.eye(30, dtype=np.float32)[data.identity][:, None].copy()
    wrong = data.identity < 15  # half of the people are never recognised
    embedding[wrong & (data.walk == 1)] = 0.5
    figure = cross_distance(data, by_embedding(embedding)).rank1["overall"]
    assert figure.value == pytest.approx(0.5, abs=0.05)
    assert 0.25 < figure.low < 0.4
    assert 0.6 < figure.high < 0.75


def test_open_set_counts_enrolled_people_only() -> None:
    data = sequences(identities=8)
    share = open_set(data, by_embedding(np.eye(8, dtype=np.float32)[data.identity][:, None]))
    assert share.value == 1.0
    assert share.trials == 4 * 6


def test_gallery_and_probes_are_both_needed() -> None:
    data = sequences()
    with pytest.raises(ValueError, match="both gallery"):
        cross_distance(data.select(data.walk == 0), by_embedding(np.zeros((18, 1, 4), np.float32)))
    with pytest.raises(ValueError, match="too few for an open-set test"):
        open_set(data.select(data.identity == 0), by_embedding(np.zeros((9, 1, 4), np.float32)))


@pytest.mark.parametrize(("one", "other", "angle"), [(350, 10, 20), (0, 180, 180), (90, 90, 0), (10, 350, 20)])
def test_angles_wrap(one: float, other: float, angle: float) -> None:
    assert angle_between(np.array([one]), np.array([other])) == pytest.approx([angle])


def test_baselines_see_what_they_claim_to_see() -> None:
    data = sequences()
    scores = {
        name: cross_distance(data, baseline_distance(data, measure)).rank1["overall"].value
        for name, measure in BASELINES.items()
    }
    assert scores["body height"] == 1.0  # planted in the clouds
    assert scores["mean crop colour"] < 0.5
    assert scores["number of points"] < 0.5
