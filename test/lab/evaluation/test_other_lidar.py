"""One LiDAR asked about what the others saw: baselines in metres, figures by hand, and the open set through the live decision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recorded_trees import write_lreid_compact

from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.datasets.lreid import LReid
from emgait_ros.lab.evaluation.embedding import Embedded
from emgait_ros.lab.evaluation.other_lidar import Walks, figures, open_set, trivial
from emgait_ros.lab.evaluation.published import Scored, protocol_of
from emgait_ros.recognition.decision import Weakness
from emgait_ros.recognition.replay import WalkWindows
from emgait_ros.samples import Modality

PEOPLE = range(100, 107)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LReid:
    root = write_lreid_compact(tmp_path_factory.mktemp("lreid"), dict.fromkeys(PEOPLE, (1, 4)), frames=30)
    return LReid(root, Preprocessing(), part="all")


def embeddings(data: LReid, place: dict[int, float]) -> np.ndarray:
    """(S, 1, 1): everybody at a place of their own, probes 0.01 beside it."""
    return np.array(
        [
            [[place[int(name)] + 0.01 * probe]]
            for name, probe in zip(data.names[data.identity], data.is_probe, strict=True)
        ],
        np.float32,
    )


def test_baselines_are_stature_and_speed_in_metres(data: LReid) -> None:
    found = trivial(data, np.ones(len(data), bool))
    number = np.array([int(name) % 10 for name in data.names[data.identity]])
    for name, step in {"height": 0.06 / 0.05, "speed": 2.9 * 0.1 / 0.3}.items():  # people differ by 0.06 m and 0.1 m/s
        assert found[name][:, 0, 0] == pytest.approx(step * (number - 3), abs=0.3)
    assert (found["number of points"] == 0).all()  # all alike
    assert found["height + speed"].shape == (len(data), 1, 2)
    assert found["direction of the walk"][:, 0] == pytest.approx(
        np.tile([10.0, 0.0], (len(data), 1)), abs=0.3
    )  # all along x
    assert found["height + speed + direction"].shape == (len(data), 1, 4)


def test_figures_by_hand(data: LReid) -> None:
    """All people apart: everything right. Two of seven at one place: each is as near to the other as to themselves."""
    protocol = protocol_of("lreid")
    apart = figures(Scored.of(protocol, data, embeddings(data, {p: p - 100.0 for p in PEOPLE})))
    assert list(apart) == ["rank1", "rank5", "rank10", "mAP", "EER", "TAR_at_FAR_1pct"]
    assert [apart[key].value for key in ("rank1", "rank5", "mAP", "EER", "TAR_at_FAR_1pct")] == [1, 1, 1, 0, 1]
    together = figures(Scored.of(protocol, data, embeddings(data, {p: max(p, 101) - 100.0 for p in PEOPLE})))
    assert together["rank1"].value == pytest.approx(5 / 7)  # ties count against the probe
    assert together["rank5"].value == 1
    assert together["mAP"].value == pytest.approx((5 + 2 * 0.5) / 7)
    assert together["rank1"].low < 5 / 7 < together["rank1"].high


def walks(data: LReid, place: dict[int, float], windows: int = 5) -> Walks:
    embedding = embeddings(data, place)
    whole = [
        WalkWindows(np.repeat(one[None], windows, 0), (Modality.POINTS,) * windows, (Weakness(),) * windows, tuple(range(10, 10 + windows)))
        for one in embedding
    ]  # fmt: skip
    read = np.ones(len(data), bool)
    return Walks(Embedded(embedding, {}, read, (), 0), [one[None] for one in embedding], list(whole))


@pytest.mark.parametrize(
    ("place", "threshold", "rightly", "wrongly", "strangers"),
    [
        ({p: p - 100.0 for p in PEOPLE}, 0.5, 1.0, 0.0, 0.0),  # all apart
        ({p: p - 100.0 for p in PEOPLE}, 0.005, 0.0, 0.0, 0.0),  # nobody is near enough
        ({p: 0.0 + (p > 100) for p in PEOPLE}, 5.0, None, None, 1.0),  # a threshold that lets everybody in
    ],
)
def test_the_open_set_is_what_the_decision_says(data: LReid, place, threshold, rightly, wrongly, strangers) -> None:
    found = open_set(walks(data, place), data, threshold, 0.0, enrolled=4, draws=20)
    assert found.threshold == pytest.approx(0.85 * threshold)  # one sensor alone
    assert found.strangers_named.value == strangers
    assert found.named_rightly.comparisons == 20 * 4
    assert found.strangers_named.comparisons == 20 * 3
    if rightly is not None:
        assert (found.named_rightly.value, found.named_wrongly.value) == (rightly, wrongly)
    else:
        assert 0 < found.named_rightly.value < 1
    told = found.to_dict()
    assert {"named_rightly_ci95", "strangers_named_ci95", "draws", "enrolled"} <= set(told)


def test_windows_too_few_to_agree_name_nobody(data: LReid) -> None:
    apart = {p: p - 100.0 for p in PEOPLE}
    assert open_set(walks(data, apart, windows=1), data, 0.5, 0.0, draws=5).named_rightly.value == 0


def test_an_open_set_needs_strangers(data: LReid) -> None:
    with pytest.raises(ValueError, match="7 people are too few for an open set of 7"):
        open_set(walks(data, {p: p - 100.0 for p in PEOPLE}), data, 0.5, 0.0, enrolled=7)


REAL = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "lreid"


@pytest.mark.skipif(
    not (REAL / "train.npz").is_file(), reason=f"{REAL} is missing: LReID is not part of the repository"
)
def test_trivial_baselines_on_real_people() -> None:
    """Measured by another implementation of the same protocol."""
    data = LReid(REAL, Preprocessing(), part="all")
    baselines = trivial(data, np.ones(len(data), bool))
    measured = {name: figures(Scored.of(protocol_of("lreid"), data, values)) for name, values in baselines.items()}
    ranks = {"height": 4.0, "speed": 5.0, "direction of the walk": 20.3, "height + speed": 26.7}
    for name, rank1 in (ranks | {"height + speed + direction": 75.2}).items():
        assert 100 * measured[name]["rank1"].value == pytest.approx(rank1, abs=0.06), name
    for name, (mean_ap, eer) in {"height + speed": (30.3, 16.5), "height + speed + direction": (71.1, 7.9)}.items():
        assert 100 * measured[name]["mAP"].value == pytest.approx(mean_ap, abs=0.1), name
        assert 100 * measured[name]["EER"].value == pytest.approx(eer, abs=0.2), name
