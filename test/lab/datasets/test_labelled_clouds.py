"""Folders of labelled clouds: both forms, written here, and what is said of others."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.lab.datasets.labelled_clouds import open_labelled

POINTS = np.array([[10, 0, 0], [np.nan, 0, 0], [5, -2, 1]], np.float32)
BOXES = np.array([[7, 10, 2, -0.8, 1.0, 0.6, 1.8, 0.5]], np.float32)
CALIBRATION = (
    "P2: 100 0 80 50 0 100 60 0 0 0 1 0\nR0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3\n"
)
LABELS = "Pedestrian 0 0 0 0 0 9 9 1.80 0.60 1.00 2.00 1.50 10.00 0.00\nDontCare -1 -1 -10 1 2 3 4 -1 -1 -1 -1000 -1000 -1000 -10\n"


def write_kitti(folder, official: bool = False, labels: str | None = LABELS) -> None:
    """Frame 000001 without an image, with a second cloud that nobody labelled."""
    clouds, calib, label_2 = (folder / name if official else folder for name in ("velodyne", "calib", "label_2"))
    for part in (clouds, calib, label_2):
        part.mkdir(parents=True, exist_ok=True)
    for name in ("000001", "000002"):
        np.column_stack([POINTS, POINTS[:, 0]]).astype("<f4").tofile(clouds / f"{name}.bin")
        (calib / f"{name}{'' if official else '.calib'}.txt").write_text(CALIBRATION)
    if labels is not None:
        (label_2 / f"000001{'' if official else '.label'}.txt").write_text(labels)


@pytest.mark.parametrize("official", [False, True])
def test_kitti_without_images(tmp_path, official):
    write_kitti(tmp_path, official)
    folder = open_labelled(tmp_path)
    assert (folder.form, len(folder), folder.names) == ("KITTI", 2, ("000001", "000002"))
    cloud, unlabelled = folder
    assert unlabelled is None
    np.testing.assert_array_equal(cloud.points, POINTS[[0, 2]])
    np.testing.assert_allclose(cloud.boxes.center, [[10.3, -2.0, -0.7]], atol=1e-6)
    np.testing.assert_array_equal(cloud.not_labelled, [[1, 2, 3, 4]])
    assert (cloud.camera.width, cloud.camera.height) == (160, 120)  # twice the principal point


@pytest.mark.parametrize("integers", [False, True])
def test_npz(tmp_path, integers):
    points = {"xyz_cm2": (POINTS[[0, 2]] * 500).astype(np.int16)} if integers else {"xyz": POINTS.astype(np.float64)}
    np.savez(tmp_path / "site_02.npz", **points, boxes=BOXES, intensity=np.zeros(0, np.uint8))
    np.savez(tmp_path / "site_01.npz", **points, boxes=np.zeros((0, 8)))
    folder = open_labelled(tmp_path)
    assert (folder.form, folder.names) == ("npz", ("site_01", "site_02"))
    empty, cloud = folder
    assert (len(empty.boxes), cloud.sequence) == (0, "site_")
    assert cloud.points.dtype == np.float32
    np.testing.assert_allclose(cloud.points, POINTS[[0, 2]])
    np.testing.assert_allclose(
        [*cloud.boxes.center[0], *cloud.boxes.size[0], cloud.boxes.yaw[0]], BOXES[0, 1:], rtol=1e-6
    )
    assert cloud.boxes.kind.tolist() == ["Pedestrian"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"xyz": POINTS}, "a.npz holds xyz: expected 'xyz' .* and 'boxes'"),
        ({"boxes": BOXES}, "a.npz holds boxes: expected"),
        (
            {"xyz": POINTS, "boxes": BOXES[:, :7]},
            r"boxes are \(1, 7\): expected \(n, 8\), the columns track, x, y, z of",
        ),
        ({"xyz": POINTS, "boxes": BOXES[0]}, r"boxes are \(8,\)"),
        ({"xyz": POINTS, "boxes": BOXES * [1, 1, 1, 1, 1, -1, 1, 1]}, "a size of 0 or less"),
        ({"xyz": POINTS, "boxes": BOXES * np.nan}, "not finite"),
        ({"xyz": POINTS[:, :2], "boxes": BOXES}, r"points are \(3, 2\) float32"),
        ({"xyz_cm2": POINTS, "boxes": BOXES}, "'xyz_cm2' of int16"),
        ({"xyz": POINTS[[0, 2]].astype(int), "boxes": BOXES}, "'xyz' of float"),
        ({"xyz": np.array([{}]), "boxes": BOXES}, "a.npz is a damaged .npz file"),
    ],
)
def test_npz_of_another_form(tmp_path, content, words):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(ValueError, match=words):
        list(open_labelled(tmp_path))


def test_a_damaged_npz_is_named(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match=r"a.npz is a damaged .npz file"):
        list(open_labelled(tmp_path))


def test_folders_of_another_form(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing is no folder"):
        open_labelled(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"no labelled cloud: expected NAME\.npz"):
        open_labelled(tmp_path)
    write_kitti(tmp_path, labels=None)
    with pytest.raises(ValueError, match="without labels"):
        open_labelled(tmp_path)
    np.savez(tmp_path / "a.npz", xyz=POINTS, boxes=BOXES)
    with pytest.raises(ValueError, match=r"both \.npz files and KITTI frames"):
        open_labelled(tmp_path)
