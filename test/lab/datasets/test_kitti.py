"""KITTI frames: small ones written here, and the real ones where they are."""

import cv2
import numpy as np
import pytest
import yaml

from emgait_ros.config import TrackerNodeConfig, with_options
from emgait_ros.lab.datasets.kitti import KittiFrames
from emgait_ros.lab.datasets.kitti_bag import FIRST_STAMP_NS, write_bag
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.sensing.perception.camera import box_rectangles, project

POINTS = np.array([[10, 0, 0, 0.5], [10, 1, -1, 0.25], [np.nan, 0, 0, 1], [5, -2, 1, 0]], np.float32)
CALIBRATION = """P0: 100 0 80 0 0 100 60 0 0 0 1 0
P2: 100 0 80 50 0 100 60 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3

"""
# A pedestrian 10 m ahead of the grey camera, 2 m to its right, feet 1.5 m under it, looking along the camera's x axis.
LABELS = """Pedestrian 0.10 1 0.0 70 50 90 80 1.80 0.60 1.00 2.00 1.50 10.00 0.00
DontCare -1 -1 -10 0 0 1 1 -1 -1 -1 -1000 -1000 -1000 -10
Car 0.00 3 0.0 0 0 9 9 1.50 1.80 4.00 0.00 1.50 20.00 -1.5708
"""
PCD = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z {}\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH 4\nHEIGHT 1\nPOINTS 4\nDATA {}\n"


def write_frame(folder, official=False, **changes):
    """A frame 000007 in either layout; ``changes`` replace a file's content, None leaves it out."""
    image = cv2.imencode(".png", np.full((120, 160, 3), (10, 20, 200), np.uint8))[1].tobytes()
    files = {
        "cloud": POINTS.tobytes(), "image": image, "calibration": CALIBRATION.encode(), "labels": LABELS.encode(), **changes,
    }  # fmt: skip
    names = {  # in the official folders, and flat
        "cloud": ("velodyne/000007.bin", "000007.bin"),
        "image": ("image_2/000007.png", "000007.png"),
        "calibration": ("calib/000007.txt", "000007.calib.txt"),
        "labels": ("label_2/000007.txt", "000007.label.txt"),
    }
    for name, content in files.items():
        if content is not None:
            path = folder / names[name][0 if official else 1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return KittiFrames(folder)


@pytest.mark.parametrize("official", [False, True])
def test_a_frame(tmp_path, official):
    frames = write_frame(tmp_path, official)
    assert (len(frames), frames.names) == (1, ("000007",))
    frame = frames[0]
    np.testing.assert_array_equal(frame.points, POINTS[[0, 1, 3], :3])  # the point that is not finite is left out
    np.testing.assert_array_equal(frame.intensity, POINTS[[0, 1, 3], 3])
    assert frame.image.shape == (120, 160, 3)
    assert frame.image[0, 0].tolist() == [200, 20, 10]  # RGB
    assert (frame.camera.width, frame.camera.height) == (160, 120)
    # 0.5 m to the left of the colour camera, which P2's last column puts there: 50 px / 100 px per metre at 1 m.
    np.testing.assert_allclose(frame.camera.T_camera_lidar[:3, 3], (0.5, -0.1, -0.3))
    pixel, valid = project(np.array([[10.3, 0.5, -0.1]]), frame.camera)
    assert valid.all()
    np.testing.assert_allclose(pixel, [[80, 60]], atol=1e-9)


def test_labels_in_the_lidar_frame(tmp_path):
    labels = write_frame(tmp_path)[0].labels
    assert labels.kind.tolist() == ["Pedestrian", "Car"]
    np.testing.assert_allclose(labels.center, [[10.3, -2.0, -0.7], [20.3, 0.0, -0.85]], atol=1e-6)
    np.testing.assert_allclose(labels.size, [[1.0, 0.6, 1.8], [4.0, 1.8, 1.5]])
    np.testing.assert_allclose(labels.yaw, [-np.pi / 2, 0.0], atol=1e-4)  # the camera's x is the LiDAR's -y
    np.testing.assert_allclose(labels.upright_size(), [[0.6, 1.0, 1.8], [4.0, 1.8, 1.5]], atol=1e-3)
    assert labels.occlusion.tolist() == [1, 3]
    assert labels.truncation.tolist() == [0.1, 0.0]
    people = labels.of_kind("Pedestrian", "Cyclist")
    assert len(people) == 1
    probes = np.array([[10.3, -2.45, -0.7], [10.65, -2.0, -0.7], [10.3, -2.0, 0.25]], np.float32)
    assert people.contains(probes).tolist() == [[True, False, False]]
    assert people.contains(probes, margin_m=0.1).tolist() == [[True, True, True]]


@pytest.mark.parametrize(
    ("field", "packed", "intensity"),
    [
        ("intensity", [0.5, 0.25, 1.0, 0.0], [0.5, 0.25, 0.0]),
        ("rgb", np.array([0x800000, 0x404040, 0, 0x0000FF], np.uint32).view(np.float32), [128 / 255, 64 / 255, 1.0]),  # the brightest colour
        ("ring", [1.0, 2.0, 3.0, 4.0], [0, 0, 0]),
    ],
)  # fmt: skip
def test_pcd_clouds(tmp_path, field, packed, intensity):
    values = POINTS.copy()
    values[:, 3] = packed
    write_frame(tmp_path)
    (tmp_path / "000007.bin").unlink()
    (tmp_path / "000007.pcd").write_bytes(PCD.format(field, "binary").encode() + values.tobytes())
    frame = KittiFrames(tmp_path)["000007"]
    np.testing.assert_array_equal(frame.points, POINTS[[0, 1, 3], :3])
    np.testing.assert_allclose(frame.intensity, intensity, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"cloud": POINTS.tobytes()[:-3]}, ValueError, "000007.bin has 61 bytes"),
        ({"image": b"no picture"}, ValueError, "000007.png is no picture"),
        ({"image": None}, FileNotFoundError, "frame 000007 is incomplete"),
        ({"calibration": None}, FileNotFoundError, "frame 000007 is incomplete"),
        ({"calibration": b"P2: 1 2 3\n"}, ValueError, "000007.calib.txt is a damaged"),
        ({"calibration": b"P2: 1 0 0 0 0 1 0 0 0 0 1 0\n"}, ValueError, "has no 'R0_rect'"),
        ({"calibration": CALIBRATION.replace("0 -1 0 0 0 0 -1", "0 -2 0 0 0 0 -1").encode()}, ValueError, "no rigid transform"),
        ({"labels": b"Pedestrian 1 2 3\n"}, ValueError, "000007.label.txt is a damaged"),
    ],
)  # fmt: skip
def test_damaged_frames_are_named(tmp_path, changes, error, words):
    frames = write_frame(tmp_path, **changes)
    with pytest.raises(error, match=words):
        frames[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (PCD.format("i", "ascii").encode() + b"1 2 3 4\n", "'ascii'"),
        (PCD.format("i", "binary").encode() + b"too short", "damaged"),
        (PCD.format("i", "binary").replace(" x y z", " a b c").encode() + POINTS.tobytes(), "damaged"),
        (b"\x00" * 100, "no PCD file"),
    ],
)
def test_damaged_pcd_clouds_are_named(tmp_path, content, words):
    write_frame(tmp_path)
    (tmp_path / "000007.bin").unlink()
    (tmp_path / "000007.pcd").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        KittiFrames(tmp_path)[0]


def test_folders_without_frames(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no KITTI frame"):
        KittiFrames(tmp_path)
    with pytest.raises(ValueError, match="no frame '000099'"):
        write_frame(tmp_path)["000099"]


def test_a_bag_gives_the_frame_back(tmp_path):
    frame = write_frame(tmp_path / "data")[0]
    params = write_bag(frame, tmp_path / "bag", clouds=4)
    with BagRecording(tmp_path / "bag") as bag:
        frames = list(bag.sensor_frames())
        truth = bag.ground_truth
        assert not bag.problems
        assert bag.topics["/lidar/points"].count == bag.topics["/camera/image"].count == 4
    assert [f.stamp_ns - FIRST_STAMP_NS for f in frames] == [0, 100_000_000, 200_000_000, 300_000_000]
    for read in frames:
        np.testing.assert_array_equal(read.points, frame.points)
        np.testing.assert_array_equal(read.image, frame.image)
        np.testing.assert_allclose(read.camera.T_camera_lidar, frame.camera.T_camera_lidar, atol=1e-9)
        np.testing.assert_array_equal(read.camera.K, frame.camera.K)
    assert [t.walkers.tolist() for t in truth] == [[0]] * 4
    np.testing.assert_allclose(truth[0].centers, frame.labels.center[:1])
    # The parameters beside it are those the live tracker takes.
    values = yaml.safe_load(params.read_text())["/**/pedestrian_tracker"]["ros__parameters"]
    config = with_options(TrackerNodeConfig(), values)
    np.testing.assert_array_equal(np.reshape(config.camera.T_camera_lidar, (4, 4)), frame.camera.T_camera_lidar)


@pytest.mark.parametrize(
    ("name", "people", "returns"),
    [
        ("000000", 1, [350, 450]),  # one man at 8.6 m
        ("000001", 0, None),
        ("000134", 7, [25, 110]),  # seven people at 17 to 25 m
    ],
)
def test_real_labels_lie_on_real_points_and_pixels(shared_data, name, people, returns):
    frame = KittiFrames(shared_data / "kitti")[name]
    labels = frame.labels.of_kind("Pedestrian")
    assert len(labels) == people
    if not people:
        return
    count = labels.contains(frame.points).sum(axis=1)
    assert returns[0] <= count.min() <= count.max() <= returns[1], count
    # The upright box is drawn around the oriented one: same top and bottom in the image, at most 0.6 m wider.
    rectangles, visible = box_rectangles(labels.center, labels.upright_size(), frame.camera)
    assert visible.all()
    off = rectangles - labels.rectangle
    assert np.abs(off[:, [1, 3]]).max() < 2.0
    assert np.abs(off[:, [0, 2]]).max() < 25.0


@pytest.mark.parametrize("name", ["000070", "000074"])
def test_real_scenes(shared_data, name):
    frame = KittiFrames(shared_data / "kitti_scenes")[name]
    assert frame.labels is None
    assert frame.points.shape[0] > 100_000
    assert 0.9 < frame.intensity.max() <= 1.0
    pixel, valid = project(frame.points, frame.camera)
    inside = valid & (pixel >= 0).all(1) & (pixel < (frame.camera.width, frame.camera.height)).all(1)
    assert 0.1 < inside.mean() < 0.3  # a 90 degree camera in a full turn, less the part above the horizon
