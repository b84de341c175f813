"""The published protocols to the letter: who is gallery, who is probe, and what counts where."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emgait_ros.lab.evaluation.published import Scored, load_partition, protocol_of


def source(names: list[str], kinds: list[str], views: list[str], range_m: float = float("nan")) -> SimpleNamespace:
    """Labels alone: protocols look at nothing else."""
    people, identity = np.unique(names, return_inverse=True)

    class Labelled(SimpleNamespace):
        def __len__(self) -> int:
            return len(self.identity)

    return Labelled(
        names=people, identity=identity, condition=np.array(kinds), view=np.array(views),
        view_deg=np.zeros(len(kinds), np.float32), range_m=np.full(len(kinds), range_m, np.float32),
        walk=np.zeros(len(kinds), np.int64),
    )  # fmt: skip


KINDS = ["00-nm", "01-nm", "01-bg", "02-cl-nt", "00-bg"]


def test_roles_of_sustech1k() -> None:
    data = source(["a"] * 5, KINDS, ["000"] * 5)
    probe, gallery, groups = protocol_of("sustech1k").roles(data)
    assert gallery.tolist() == [True, False, False, False, False]
    assert probe.tolist() == [False, True, True, True, True]
    members = {name: mask.tolist() for name, mask in groups.items() if mask.any()}
    assert members == {
        "overall": [False, True, True, True, False],  # numbers 01 to 04
        "normal": [False, True, False, False, False],
        "bag": [False, False, True, False, True],
        "clothing": [False, False, False, True, False],
        "night": [False, False, False, True, False],
        "view 000": [False, True, True, True, False],
    }
    assert next(iter(groups)) == "overall"
    assert protocol_of("sustech1k").ranks == (1, 2, 3, 4, 5)


def test_identical_views_of_sustech1k_are_left_out_and_cells_averaged() -> None:
    """By hand: probe views 000 and 090; a person is found in every view but in the gallery of 180 by the probes of 000."""
    views = ["000", "090", "180"]
    names, kinds, where = [], [], []
    for person in ("a", "b"):
        for kind, seen in (("00-nm", views), ("01-nm", views[:2])):
            names += [person] * len(seen)
            kinds += [kind] * len(seen)
            where += seen
    data = source(names, kinds, where)
    embedding = np.zeros((len(names), 1, 4), np.float32)
    for row, (person, kind, view) in enumerate(zip(names, kinds, where, strict=True)):
        embedding[row, 0, 0] = 1.0 if person == "a" else -1.0
        if kind == "00-nm" and view == "180":
            embedding[row, 0, 0] *= -1  # both look like the other there
        if kind == "01-nm" and view == "090":
            embedding[row, 0, 1] = 0.0
    found = Scored.of(protocol_of("sustech1k"), data, embedding).figures()
    # 000: gallery 090 right, 180 wrong -> 1/2. 090: gallery 000 right, 180 wrong -> 1/2.
    assert found["rank1_overall"].value == 0.5
    assert found["rank2_overall"].value == 1.0
    assert found["rank1_overall"].comparisons == 8


def test_a_probe_without_its_person_in_a_gallery_view_is_wrong() -> None:
    data = source(["a", "b", "a", "b"], ["00-nm", "00-nm", "01-nm", "01-nm"], ["000", "000", "090", "090"])
    embedding = np.array([[[1.0]], [[-1.0]], [[1.0]], [[-1.0]]], np.float32)
    assert Scored.of(protocol_of("sustech1k"), data, embedding).comparison.rank(1).value == 1.0
    lacking = np.array([True, False, True, True])
    comparison = Scored.of(protocol_of("sustech1k"), data, embedding, lacking).comparison
    assert comparison.rank(1).value == 0.5
    assert comparison.rank(5).value == 0.5


def test_roles_of_lrgait() -> None:
    kinds = ["D-10/nm-00", "D-10/nm-01", "D-20/nm-00", "D-50/cl-00", "N-20/nm-00", "N-40/bg-00"]
    probe, gallery, groups = protocol_of("lrgait").roles(source(["a"] * 6, kinds, ["045"] * 6))
    assert gallery.tolist() == [True] + [False] * 5
    assert probe.tolist() == [False] + [True] * 5
    assert {name: np.flatnonzero(mask).tolist() for name, mask in groups.items()} == {
        "overall": [2, 3], "D20": [2], "D50": [3], "N20": [4], "N40": [5], "normal": [2], "clothing": [3], "view 045": [2, 3],
    }  # fmt: skip


def test_roles_of_mmgait() -> None:
    probe, gallery, groups = protocol_of("mmgait").roles(
        source(["a"] * 5, ["NM-01", "NM-02", "BG-01", "CL-01", "CL-02"], ["000"] * 5)
    )
    assert gallery.tolist() == [True, False, False, False, False]
    assert probe.tolist() == [False, True, True, True, False]
    assert {name: np.flatnonzero(mask).tolist() for name, mask in groups.items()} == {
        "overall": [1, 2, 3], "normal": [1], "bag": [2], "clothing": [3],
    }  # fmt: skip


def test_roles_of_freegait_follow_the_partition() -> None:
    data = source(["0001", "0001", "0002"], ["devid_1-seq_00", "devid_2-seq_01", "devid_1-seq_00"], [""] * 3)
    data.names = np.array(["0001", "0002"])
    probe, gallery, _ = protocol_of("freegait").roles(data)
    assert gallery.tolist() == [True, False, True]  # no partition: the first of each person
    assert probe.tolist() == [False, True, False]
    assert "NOT the published protocol" in protocol_of("freegait").description
    assert "the published PROBE_SET" in protocol_of("freegait", {"x"}).description


def test_views_of_freegait_are_not_left_out() -> None:
    data = source(["a", "b", "a", "b"], ["d-s0", "d-s0", "d-s1", "d-s1"], [""] * 4)
    embedding = np.array([[[1.0]], [[-1.0]], [[1.0]], [[-1.0]]], np.float32)
    found = Scored.of(protocol_of("freegait"), data, embedding).figures()
    assert found["rank1_overall"].value == 1.0
    assert found["mAP"].value == 1.0
    assert {"rank5_overall", "rank10_overall", "mINP"} <= set(found)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "has no list 'TRAIN_SET'"),
        (json.dumps({"TRAIN_SET": []}), "has no list 'TEST_SET'"),
        (json.dumps({"TRAIN_SET": ["1"], "TEST_SET": ["1"]}), "1 is in TRAIN_SET and in TEST_SET"),
    ],
)
def test_bad_partitions(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "partition.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        load_partition(path)
    with pytest.raises(FileNotFoundError, match="is missing"):
        load_partition(tmp_path / "other.json")


def test_partitions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "partition.json"
    path.write_text(json.dumps({"TRAIN_SET": ["0001"], "TEST_SET": ["0002"], "PROBE_SET": ["0002-devid_1-seq_00"]}))
    found = load_partition(path)
    assert (found.train, found.test, found.probes) == (("0001",), ("0002",), ("0002-devid_1-seq_00",))


def test_unknown_protocols() -> None:
    with pytest.raises(ValueError, match="known are sim, sustech1k"):
        protocol_of("casia")
