"""The readers of recorded data sets, on trees in the released layouts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from recorded_trees import FRAMES, dump, walk, write_freegait, write_lrgait, write_mmgait, write_sustech1k

from emgait_ros.inference.preprocessing import Preprocessing, prepare
from emgait_ros.lab.datasets.freegait import FreeGait
from emgait_ros.lab.datasets.lrgait import LRGait
from emgait_ros.lab.datasets.mmgait import MMGait
from emgait_ros.lab.datasets.opening import gathered, kind_of, load_dataset, open_dataset
from emgait_ros.lab.datasets.recorded import as_clouds, as_images, fitted, velocities
from emgait_ros.lab.datasets.sustech1k import Sustech1k

PREPROCESSING = Preprocessing(points_frame="heading")


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("recorded")
    return {
        "sustech1k": write_sustech1k(root / "SUSTech1K-Released-pkl"),
        "freegait": write_freegait(root / "FreeGait"),
        "lrgait": write_lrgait(root / "LRGait"),
        "mmgait": write_mmgait(root / "MMGait"),
    }


def test_labels_of_sustech1k(trees: dict[str, Path]) -> None:
    data = Sustech1k(trees["sustech1k"], PREPROCESSING)
    assert len(data) == 2 * 4 * 2
    assert data.names.tolist() == ["0000", "0003"]
    assert sorted(set(data.condition)) == ["00-nm", "01-bg", "01-nm", "02-cl-nt"]
    assert sorted(set(data.view)) == ["000", "090"]
    assert [len(s) for s in data] == [FRAMES] * 16


def test_labels_of_freegait(trees: dict[str, Path]) -> None:
    data = FreeGait(trees["freegait"], PREPROCESSING)
    assert [f"{data.names[i]}-{k}" for i, k in zip(data.identity, data.condition, strict=True)] == [
        "0001-devid_1-seq_00_new", "0001-devid_3-seq_01_new", "0007-devid_1-seq_00_new", "0007-devid_3-seq_01_new",
    ]  # fmt: skip
    assert data[0].range_m == pytest.approx(12, abs=0.5)  # measured from the points


def test_labels_of_lrgait(trees: dict[str, Path]) -> None:
    data = LRGait(trees["lrgait"], PREPROCESSING)
    assert len(data) == 2 * 4 * 2
    assert sorted(set(data.condition)) == ["D-10/nm-00", "D-20/nm-00", "D-50/cl-00", "N-20/nm-00"]
    assert {float(r) for r in data.range_m} == {10, 20, 50}
    assert {float(v) for v in data.view_deg} == {0, 90}


@pytest.mark.parametrize("kind", ["sustech1k", "freegait", "lrgait"])
def test_points_are_prepared_as_the_live_system_does(trees: dict[str, Path], kind: str) -> None:
    """The heading and the ground are found from the clouds alone; live they come from the tracker."""
    data = open_dataset(trees[kind], PREPROCESSING)
    found = data[0]
    number = {"sustech1k": (0, 0, 10.0, 0.0), "freegait": (1, 0, 12.0, 40.0), "lrgait": (1, 0, 10.0, 0.0)}[kind]
    live = prepare(walk(*number), PREPROCESSING)
    assert found.points.shape == (FRAMES, PREPROCESSING.points, 3)
    for frame in range(FRAMES):
        ours, theirs = found.points[frame], live.points[frame]
        assert np.abs(ours.mean(axis=0) - theirs.mean(axis=0)).max() < 0.2
        assert np.abs(np.ptp(ours, axis=0) - np.ptp(theirs, axis=0)).max() < 0.25
    assert found.has_points.all()
    assert found.has_image.all()
    assert found.crops.shape == (FRAMES, 128, 64, 3)
    assert np.abs(found.crops.astype(float) / 255 - np.moveaxis(live.crops, 1, -1)).mean() < 0.05


def test_freegait_is_read_as_rearranged_for_opengait(tmp_path: Path, trees: dict[str, Path]) -> None:
    other = FreeGait(write_freegait(tmp_path, rearranged=True), PREPROCESSING)
    assert np.array_equal(other[2].points, FreeGait(trees["freegait"], PREPROCESSING)[2].points)


def test_mmgait_pairs_pictures_with_clouds_and_reads_what_is_asked_for(trees: dict[str, Path], tmp_path: Path) -> None:
    data = MMGait(trees["mmgait"], PREPROCESSING)
    assert len(data) == 2 * 4 * 2
    assert sorted(set(data.condition)) == ["BG-01", "CL-01", "NM-01", "NM-02"]
    assert {float(v) for v in data.view_deg} == {0, 90}
    found = data[0]
    assert found.has_image.all()
    pictured = Preprocessing(points_frame="heading", silhouette_height=64, silhouette_width=44)
    assert MMGait(trees["mmgait"], pictured)[0].has_silhouette.all()
    shutil.copytree(trees["mmgait"] / "0001" / "NM-01" / "000", tmp_path / "0001" / "NM-01" / "000")
    folder = tmp_path / "0001" / "NM-01" / "000"
    colors = np.zeros((2 * FRAMES, 3, 64, 64), np.uint8)  # twice as many pictures as clouds; red tells which
    colors[:, 0], colors[:, 2] = np.arange(2 * FRAMES)[:, None, None], 200
    dump(colors, folder / "rgb.pkl")
    crops = MMGait(tmp_path, PREPROCESSING)[0].crops
    assert crops[:, 5, 5].tolist() == [[red, 0, 200] for red in (0, 2, 4, 7, 9, 11)]
    (folder / "rgb.pkl").write_bytes(b"")  # as the set has it where a sensor saw nothing
    assert not MMGait(tmp_path, PREPROCESSING)[0].has_image.any()
    (folder / "rgb_sils.pkl").unlink()
    with pytest.raises(ValueError, match="holds no silhouettes, and the network looks at them: MMGait"):
        MMGait(tmp_path, pictured)[0]
    dump([], folder / "rgb.pkl")
    with (folder / "rgb.pkl").open("ab") as file:
        file.write(bytes(20))
    with pytest.raises(ValueError, match=r"rgb.pkl holds no picture: expected those of 6 clouds"):
        MMGait(tmp_path, PREPROCESSING)[0]
    (folder / "lidar_points.pkl").unlink()
    with pytest.raises(FileNotFoundError, match=r"lidar_points.pkl is missing or empty"):
        MMGait(tmp_path, PREPROCESSING)[0]


@pytest.mark.parametrize("kind", ["sustech1k", "freegait", "lrgait", "mmgait"])
def test_the_layout_tells_the_kind(trees: dict[str, Path], kind: str) -> None:
    assert kind_of(trees[kind]) == kind


def test_a_set_can_be_loaded_whole_for_training(trees: dict[str, Path]) -> None:
    whole = load_dataset(trees["sustech1k"], PREPROCESSING, (64, 32), identities=["0003"])
    assert len(whole) == 8
    assert whole.crops.shape == (8 * FRAMES, 64, 32, 3)
    lazy = Sustech1k(trees["sustech1k"], PREPROCESSING, ["0003"])
    assert np.array_equal(whole[5].points, lazy[5].points)
    assert gathered(lazy).crops.shape == (8 * FRAMES, 128, 64, 3)


def test_unknown_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is missing"):
        kind_of(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds no data set that is known.*SUSTech1K: .*LRGait: "):
        kind_of(tmp_path)
    with pytest.raises(ValueError, match=r"holds no sequence of SUSTech1K: expected 0000/00-nm"):
        Sustech1k(tmp_path, PREPROCESSING)
    with pytest.raises(ValueError, match="unknown: known are simulated, bag, sustech1k"):
        open_dataset(tmp_path, PREPROCESSING, "casia")


def test_nobody_of_the_wanted_people(trees: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="of the wanted identities"):
        Sustech1k(trees["sustech1k"], PREPROCESSING, ["0999"])


SYNC = "08-sync-000-LiDAR-PCDs.pkl"


@pytest.mark.parametrize(
    ("harm", "kind", "sentence"),
    [
        (lambda f: (f / SYNC).unlink(), FileNotFoundError, "has no file NN-sync-000-LiDAR-PCDs.pkl"),
        (lambda f: (f / SYNC).write_bytes(b"\x80\x04"), ValueError, "08-sync-000-LiDAR-PCDs.pkl is damaged"),
        (lambda f: dump([Path("x")], f / SYNC), ValueError, "is refused: it holds an object of pathlib"),
        (lambda f: dump([], f / SYNC), ValueError, "0 clouds"),
        (lambda f: dump([np.zeros((4, 2))] * FRAMES, f / SYNC), ValueError, r"cloud 0 has shape \(4, 2\)"),
        (lambda f: dump({"a": 1}, f / SYNC), ValueError, "holds dict: expected a list of point clouds"),
        (lambda f: dump([["a"]] * FRAMES, f / SYNC), ValueError, "cloud 0 does not hold numbers"),
        (
            lambda f: dump(np.zeros((FRAMES, 64, 64, 5), np.uint8), f / "13-sync-000-Camera-RGB_raw.pkl"),
            ValueError,
            r"image 0 has shape \(64, 64, 5\)",
        ),
        (lambda f: dump(np.zeros((FRAMES, 3)), f / "12-sync-000-Camera-Ratios-HW.pkl"), ValueError, "12-sync-000-Camera-Ratios-HW.pkl has shape"),
    ],
)  # fmt: skip
def test_damage_names_the_file(
    tmp_path: Path, trees: dict[str, Path], harm, kind: type[Exception], sentence: str
) -> None:
    root = shutil.copytree(trees["sustech1k"], tmp_path / "copy")
    harm(root / "0000" / "00-nm" / "000")
    with pytest.raises(kind, match=sentence):
        Sustech1k(root, PREPROCESSING)[0]


def test_one_frame_is_no_gait(tmp_path: Path) -> None:
    dump([np.zeros((30, 3))], tmp_path / "0001" / "devid_1" / "seq_00" / "lidar" / "lidar.pkl")
    with pytest.raises(ValueError, match="has 1 frames: a gait needs at least 2"):
        FreeGait(tmp_path, PREPROCESSING)[0]


def test_points_alone_and_frames_without_returns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clouds = [rng.normal((10, 0, 0), 0.3, (40, 3)), np.zeros((0, 3)), np.full((3, 3), np.nan), rng.random((9, 5))]
    dump(clouds, tmp_path / "0001" / "devid_1" / "seq_00" / "lidar" / "lidar.pkl")
    found = FreeGait(tmp_path, PREPROCESSING)[0]
    assert found.point_count.tolist() == [40, 0, 0, 9]
    assert found.has_points.tolist() == [True, False, False, True]
    assert not found.has_image.any()
    assert np.isfinite(found.points).all()


def test_crops_keep_their_proportions() -> None:
    image = np.zeros((100, 20, 3), np.uint8)
    image[:, 5:15] = 200
    narrow = fitted(image, 128, 64)
    assert narrow.shape == (128, 64, 3)
    columns = np.flatnonzero(narrow[60, :, 0] > 100)
    assert 10 <= len(columns) <= 16  # 10 px of 100 rows become 12.8 of 128
    assert abs(columns.mean() - 31.5) < 1.5  # still in the middle
    assert fitted(np.zeros((50, 200, 3), np.uint8), 128, 64).shape == (128, 64, 3)


@pytest.mark.parametrize(
    ("image", "shape"),
    [
        (np.zeros((3, 8, 6), np.uint8), (8, 6, 3)),  # channels first
        (np.ones((8, 6)), (8, 6, 3)),  # a silhouette 0..1
        (np.full((8, 6, 3), 255.0), (8, 6, 3)),  # floats up to 255
    ],
)
def test_images_of_every_kind(image: np.ndarray, shape: tuple[int, ...]) -> None:
    found = as_images([image], Path("x.pkl"))[0]
    assert found is not None
    assert found.shape == shape
    assert found.max() in (0, 255)


def test_velocity_is_the_slope_of_the_way() -> None:
    time = np.arange(12) / 10
    way = np.stack([1.5 * time, -0.5 * time, 0 * time], axis=1)
    assert velocities(way, time) == pytest.approx(np.tile([1.5, -0.5, 0.0], (12, 1)))
    assert velocities(way[:1], time[:1]).tolist() == [[0, 0, 0]]


def test_clouds_may_have_more_columns() -> None:
    assert as_clouds(np.zeros((2, 5, 4)), Path("x"))[1].shape == (5, 3)
