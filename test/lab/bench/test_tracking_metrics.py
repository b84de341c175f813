"""MOTA, IDF1 and HOTA on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.lab.bench.tracking_metrics import TrackingFrame, tracking_scores


def sequence(tracks: list[dict[int, float]], people: int = 2) -> list[TrackingFrame]:
    """People stand at x = 0, 10, ...; per frame which track is where."""
    truth = np.array([[10.0 * i, 5.0] for i in range(people)])
    return [
        TrackingFrame(
            np.arange(people),
            truth,
            np.array(list(t), np.int64),
            np.array([[x, 5.0] for x in t.values()]).reshape(-1, 2),
        )
        for t in tracks
    ]


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([{1: 0, 2: 10}] * 4, {"MOTA": 100, "IDF1": 100, "HOTA": 100}),  # perfect
        ([{1: 0}] * 4, {"MOTA": 50, "IDF1": 100 * 2 * 4 / 12, "misses": 4}),  # one of two never seen
        ([{1: 0, 2: 10, 3: 50}] * 4, {"MOTA": 50, "false_positives": 4, "IDF1": 100 * 2 * 8 / 20}),  # a ghost
        ([{1: 0, 2: 10}] * 2 + [{2: 0, 1: 10}] * 2, {"switches": 2, "MOTA": 75, "IDF1": 50}),  # numbers swapped half way
        ([{1: 0, 2: 10}] * 2 + [{3: 0, 2: 10}] * 2, {"switches": 1, "IDF1": 75}),  # a new number
        ([{1: 1.5, 2: 10}] * 4, {"misses": 4, "false_positives": 4, "MOTA": 0}),  # beyond the gate
        ([{}] * 4, {"MOTA": 0, "IDF1": 0, "HOTA": 0}),
        ([{1: 1.0, 2: 10}] * 2, {"MOTA": 100, "HOTA": 100 * (10 + 9 * np.sqrt(1 / 3 * 1)) / 19}),  # half similar: counts to alpha 0.5
    ],
)  # fmt: skip
def test_counted_by_hand(tracks, expected):
    scores = tracking_scores([sequence(tracks)])
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-6), name


def test_sequences_are_summed_not_averaged():
    good, bad = sequence([{1: 0, 2: 10}] * 9), sequence([{}])
    assert tracking_scores([good, bad])["MOTA"] == pytest.approx(90)
