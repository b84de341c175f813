"""LReID from both layouts: which passes there are, which windows are compared, and what is wrong with a damaged folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from recorded_trees import LREID_LIDARS, lreid_pass, write_lreid_compact, write_lreid_tree

from emgait_ros.cli.main import main
from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.datasets.checking import check_dataset
from emgait_ros.lab.datasets.lreid import LIDAR_PLACES_M, LReid, Pass
from emgait_ros.lab.datasets.opening import kind_of, load_dataset

PREPROCESSING = Preprocessing(points_frame="heading")
REAL = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "lreid"
SEEN = {100: LREID_LIDARS, 101: (1, 4), 102: (4,), 103: (1, 2), 270: LREID_LIDARS}


@pytest.fixture(scope="module")
def compact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lreid_compact(tmp_path_factory.mktemp("compact"), SEEN)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lreid_tree(tmp_path_factory.mktemp("tree") / "LReID", SEEN, {0: LREID_LIDARS, 1: (1, 4)})


@pytest.mark.parametrize(("layout", "passes"), [("compact", 13), ("tree", 19)])
def test_every_pass_is_a_sequence(request: pytest.FixtureRequest, layout: str, passes: int) -> None:
    root = request.getfixturevalue(layout)
    data = LReid(root, PREPROCESSING)
    assert kind_of(root) == "lreid"
    assert len(data) == passes
    assert sorted(set(data.condition)) == ["LiDAR 1", "LiDAR 2", "LiDAR 3", "LiDAR 4"]
    trained = [e for e in data.entries if isinstance(e, Pass) and e.part == "train"]
    assert [(e.identity, e.lidar, e.frames) for e in trained[:5]] == [
        ("0100", 1, 45), ("0100", 2, 45), ("0100", 3, 45), ("0100", 4, 45), ("0101", 1, 45),
    ]  # fmt: skip


def test_tracklets_that_overlap_are_one_pass_with_the_returns_of_both(tree: Path) -> None:
    data = LReid(tree, PREPROCESSING)
    found, whole = data.clouds(data.entries[0]), lreid_pass(100, 1)
    assert [len(found[frame]) for frame in (0, 14, 15, 29, 30, 44)] == [70, 70, 80, 80, 70, 70]
    wanted = np.unique(whole[20][:, :3], axis=0)
    assert np.array_equal(found[20], wanted)


def test_tracklets_without_a_return_in_common_are_passes_of_their_own(tmp_path: Path, tree: Path) -> None:
    root = shutil.copytree(tree, tmp_path / "copy")
    for path in (root / "bbox_train" / "0102").glob("*T0001*.bin"):
        moved = np.frombuffer(path.read_bytes(), "<f4").copy()
        path.write_bytes((moved + np.float32(0.5)).tobytes())
    data = LReid(root, PREPROCESSING, ["0102"])
    assert [len(sequence) for sequence in data] == [30, 30]


def test_both_layouts_hold_the_same_clouds_in_millimetres(compact: Path) -> None:
    data = LReid(compact, PREPROCESSING)
    for entry in data.entries[2:6]:
        whole = lreid_pass(int(entry.identity), entry.lidar)  # type: ignore[attr-defined]
        found = data.clouds(entry)
        assert max(np.abs(one - other[:, :3]).max() for one, other in zip(found, whole, strict=True)) < 0.0006


@pytest.mark.parametrize("layout", ["compact", "tree"])
@pytest.mark.parametrize(
    ("part", "people"),
    [("all", ["0100", "0101", "0270"]), ("validation", ["0270"])],  # 0102 lacks the others, 0103 lacks LiDAR 4
)
def test_one_lidar_is_asked_about_the_others(
    request: pytest.FixtureRequest, layout: str, part: str, people: list[str]
) -> None:
    data = LReid(request.getfixturevalue(layout), PREPROCESSING, part=part)
    assert data.names.tolist() == people
    assert data.is_probe.tolist() == [kind == "LiDAR 4" for kind in data.condition]
    assert {len(sequence) for sequence in data} == {30}
    middle = lreid_pass(100 if part == "all" else 270, 1)[7:37]  # of 45 frames
    first = data.clouds(data.entries[0])
    assert np.abs(first[0].mean(axis=0) - middle[0][: len(first[0]), :3].mean(axis=0)).max() < 0.1
    assert first[-1][:, 0].mean() - first[0][:, 0].mean() == pytest.approx(
        middle[-1][:, 0].mean() - middle[0][:, 0].mean(), abs=0.03
    )


def test_the_official_test_is_what_the_lists_say(tree: Path) -> None:
    data = LReid(tree, PREPROCESSING, part="test")
    assert [(e.identity, e.kind, e.probe) for e in data.entries if isinstance(e, Pass)] == [
        ("0000", "LiDAR 1", False), ("0000", "LiDAR 2", False), ("0000", "LiDAR 3", False), ("0000", "LiDAR 4", True),
        ("0001", "LiDAR 1", False), ("0001", "LiDAR 4", True),
    ]  # fmt: skip
    assert {len(sequence) for sequence in data} == {30}


@pytest.mark.parametrize("turned_deg", [0.0, 90.0, 200.0])
def test_neither_place_nor_direction_tells_who_it_is(tmp_path: Path, turned_deg: float) -> None:
    """The same walk anywhere around its LiDAR, in any direction of the frame, is the same to a network."""
    cos, sin = np.cos(np.radians(turned_deg)), np.sin(np.radians(turned_deg))
    turn, lidar = (
        np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], np.float32),
        np.array([*LIDAR_PLACES_M[2], 0], np.float32),
    )
    for folder, moved in (("one", np.eye(3, dtype=np.float32)), ("other", turn)):
        for number, cloud in enumerate(lreid_pass(100, 2, frames=30)):
            path = tmp_path / folder / "bbox_train" / "0100" / f"0100C2T0000F{number:03d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                np.column_stack([(cloud[:, :3] - lidar) @ moved + lidar, cloud[:, 3]]).astype("<f4").tobytes()
            )
    axes = Preprocessing(points_frame="heading", view_coordinates=True, points=80)  # as many as a cloud has: each once
    one, other = (LReid(tmp_path / folder, axes)[0] for folder in ("one", "other"))
    order = lambda points: np.sort(points, axis=1)  # noqa: E731  # files are sorted by x in the frame of the LiDARs
    assert order(one.points) == pytest.approx(order(other.points), abs=0.01)
    assert one.range_m == pytest.approx(other.range_m, abs=0.01)
    assert not one.has_image.any()


def test_a_fifth_lidar_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bbox_train" / "0100" / "0100C5T0000F000.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(np.zeros((20, 4), "<f4").tobytes())
    with pytest.raises(ValueError, match=r"0100C5T0000 is of LiDAR 5: LReID has 1 to 4"):
        LReid(tmp_path, PREPROCESSING)[0]


def test_training_reads_it_whole(compact: Path) -> None:
    whole = load_dataset(compact, PREPROCESSING, (64, 32), identities=["0100", "0101"])
    assert (len(whole), whole.frames, len(np.unique(whole.identity))) == (6, 6 * 45, 2)
    assert whole.walk.tolist() == [0, 1, 2, 3, 0, 3]  # LiDARs: a step's sequences of one person are of different ones


def test_a_sound_set_has_no_problems_and_names_the_lidars_that_are_missing(compact: Path) -> None:
    found = check_dataset(compact)
    assert (found.dataset, found.identities, found.sequences, found.frames) == ("lreid", 5, 13, 13 * 45)
    assert found.problems == ()
    assert sorted(remark.sentence for remark in found.remarks if remark.kind == "missing LiDARs") == [
        "identity 0101 was not seen by LiDAR 2, 3",
        "identity 0102 was not seen by LiDAR 1, 2, 3",
        "identity 0103 was not seen by LiDAR 3, 4",
    ]


def test_without_the_lidar_that_is_asked_nothing_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = write_lreid_compact(tmp_path, {100: (1, 2), 101: (4,)}, frames=30)
    assert [p.kind for p in check_dataset(root).problems] == ["missing LiDARs"]
    assert main(["dataset", "check", "lreid", str(root)]) == 1
    assert "nobody was seen by LiDAR 4 and by" in " ".join(capsys.readouterr().out.split())
    assert main(["dataset", "check", "casia", str(root)]) == 1
    assert "'casia' is no kind of data set" in capsys.readouterr().err


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def rewritten(path: Path, **changed: np.ndarray) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name not in changed}
    np.savez(path, **arrays, **{name: values for name, values in changed.items() if len(values)})


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda root: (root / "train.npz").write_bytes(b""), "train.npz is damaged"),
        (lambda root: cut(root / "train.npz"), "train.npz is damaged"),
        (lambda root: rewritten(root / "train.npz", xyz_mm=np.zeros((7, 3))), "its frames have 46800 returns, it holds 7"),
        (lambda root: rewritten(root / "train.npz", frames=np.ones(13, int)), "its passes have 13 frames, it holds 585"),
        (lambda root: rewritten(root / "train.npz", cam=np.zeros(0)), "cam is not a file in the archive"),
        (lambda root: (root / "train.npz").unlink(), "holds no sequence of LReID: expected train.npz, or bbox_train"),
    ],
)  # fmt: skip
def test_a_damaged_compact_file_is_one_sentence(tmp_path: Path, compact: Path, harm, sentence: str) -> None:
    root = shutil.copytree(compact, tmp_path / "copy")
    harm(root)
    with pytest.raises(ValueError, match=sentence):
        [len(sequence) for sequence in LReid(root, PREPROCESSING)]


FRAME = Path("bbox_train", "0100", "0100C1T0000F003.bin")


@pytest.mark.parametrize(
    ("harm", "part", "sentence"),
    [
        (lambda root: cut(root / FRAME), "", r"F003.bin has 1117 bytes: expected a multiple of 16"),
        (lambda root: (root / FRAME).write_bytes(b""), "", r"F003.bin has 0 bytes"),
        (lambda root: (root / FRAME).unlink(), "", r"0100C1T0000 lacks frame 3"),
        (lambda root: (root / "info" / "query_IDX.txt").unlink(), "test", r"query_IDX.txt is missing: the official test"),
        (lambda root: (root / "info" / "query_IDX.txt").write_text("a"), "test", r"query_IDX.txt is damaged"),
        (lambda root: (root / "info" / "test_name.txt").write_text("a"), "test", r"track 0 is files 0 to 29 of 1"),
        (lambda root: [path.unlink() for path in root.glob("bbox_train/*/*C4*")], "all", "nobody was before LiDAR 4 and before another for 30 frames"),
        (lambda root: shutil.rmtree(root / "bbox_train"), "all", "nobody was before LiDAR 4"),
    ],
)  # fmt: skip
def test_a_damaged_tree_is_one_sentence(tmp_path: Path, tree: Path, harm, part: str, sentence: str) -> None:
    root = shutil.copytree(tree, tmp_path / "copy")
    harm(root)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        [len(sequence) for sequence in LReid(root, PREPROCESSING, part=part)]


def test_cut_files_are_problems_of_the_check(tmp_path: Path, tree: Path) -> None:
    root = shutil.copytree(tree, tmp_path / "copy")
    cut(root / FRAME)
    assert [problem.kind for problem in check_dataset(root).problems] == ["damaged"]


@pytest.mark.skipif(
    not (REAL / "train.npz").is_file(), reason=f"{REAL} is missing: LReID is not part of the repository"
)
def test_the_real_set() -> None:
    data = LReid(REAL, PREPROCESSING, part="all")
    assert (len(data.names), int(data.is_probe.sum()), len(data)) == (202, 202, 771)
    assert len(LReid(REAL, PREPROCESSING)) == 824
    assert len(data[0]) == 30
