"""Simulated bags: any reader finds the same scene in them, in any storage and however many threads wrote it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emgait_ros.lab.simulation.recording import record
from emgait_ros.lab.simulation.scene import Scene, SensorHead, crossing_scene, shortened
from emgait_ros.parameter_file import load_parameters
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.bag_writer import BagWriter
from emgait_ros.sensing.conversions import stamp_ns as stamp_of

HEAD = SensorHead(width=320, height=180, focal_px=250.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return replace(shortened(crossing_scene(), 1.5), head=HEAD)


@pytest.fixture(scope="module")
def bag_path(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(scene, tmp_path_factory.mktemp("bags") / "walk").path


def test_what_is_in_the_bag(bag_path: Path) -> None:
    with BagRecording(bag_path) as bag:
        assert {name: (t.type, t.count) for name, t in bag.topics.items()} == {
            "/lidar/points": ("sensor_msgs/msg/PointCloud2", 15),
            "/camera/image": ("sensor_msgs/msg/Image", 44),
            "/camera/camera_info": ("sensor_msgs/msg/CameraInfo", 44),
            "/tf_static": ("tf2_msgs/msg/TFMessage", 1),
            "/ground_truth": ("emgait_msgs/msg/PedestrianArray", 15),
        }
        by_topic = {name: [bag.deserialize(m) for m in bag.messages([name])] for name in bag.topics}
        arrived = {name: [m.log_time_ns for m in bag.messages([name])] for name in bag.topics}
    cloud, image = by_topic["/lidar/points"][3], by_topic["/camera/image"][10]
    assert [f.name for f in cloud.fields] == ["x", "y", "z", "intensity", "time"]
    assert (cloud.header.frame_id, image.header.frame_id, image.encoding) == ("lidar", "camera_optical", "rgb8")
    stamps = {
        n: [stamp_of(m.header) for m in by_topic[n]] for n in ("/lidar/points", "/camera/image", "/camera/camera_info")
    }
    assert stamps["/camera/image"] == stamps["/camera/camera_info"]
    assert not set(stamps["/camera/image"]) & set(stamps["/lidar/points"])
    assert [stamp_of(m.header) for m in by_topic["/ground_truth"]] == stamps["/lidar/points"]
    # messages arrive after their stamps, the cloud only after the whole turn
    assert min(np.subtract(arrived["/lidar/points"], stamps["/lidar/points"])) == 60_000_000
    assert min(np.subtract(arrived["/camera/image"], stamps["/camera/image"])) == 28_000_000


def test_the_times_of_returns_follow_the_sweep(bag_path: Path) -> None:
    with BagRecording(bag_path) as bag:
        cloud = bag.deserialize(next(bag.messages(["/lidar/points"])))
    data = np.frombuffer(cloud.data, "<f4").reshape(-1, 5)
    azimuth = np.arctan2(data[:, 1], data[:, 0])
    # the stamp is when the sweep faces the camera (azimuth 0); it runs counter-clockwise, ten times a second
    np.testing.assert_allclose(data[:, 4], azimuth / (2 * np.pi) / 10, atol=2e-4)


def test_every_cloud_gets_an_image_and_the_camera_fits(bag_path: Path) -> None:
    with BagRecording(bag_path) as bag:
        frames = list(bag.sensor_frames())
        assert not bag.problems
    assert len(frames) == 15
    assert all(f.image is not None and f.camera is not None and abs(f.image_dt_s) < 0.019 for f in frames)


def test_parameters_beside_the_bag_are_those_of_its_transforms(bag_path: Path) -> None:
    config, _, useless = load_parameters(f"{bag_path}.params.yaml", "robot1")  # whatever the namespace
    assert useless == []
    with BagRecording(bag_path) as bag:
        from_tf = next(bag.sensor_frames()).camera
    assert from_tf is not None
    np.testing.assert_allclose(np.reshape(config.camera.T_camera_lidar, (4, 4)), from_tf.T_camera_lidar, atol=1e-7)


@pytest.mark.parametrize(("storage", "workers"), [("sqlite3", 1), ("mcap", 3)])
def test_content_depends_on_the_scene_alone(
    scene: Scene, bag_path: Path, tmp_path: Path, storage: str, workers: int
) -> None:
    done: list[float] = []
    recording = record(scene, tmp_path / "again", storage=storage, workers=workers, on_progress=done.append)
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1.5, abs=0.1)
    assert (recording.clouds, recording.images) == (15, 44)
    assert [(w.name, w.is_probe, w.end_ns - w.begin_ns) for w in recording.walks] == [
        ("Anna", False, 1_500_000_000),
        ("Boris", False, 500_000_000),
    ]
    with BagRecording(bag_path) as one, BagRecording(recording.path) as other:
        for topic in one.topics:
            pairs = zip(one.messages([topic]), other.messages([topic]), strict=True)
            assert all((a.log_time_ns, bytes(a.raw)) == (b.log_time_ns, bytes(b.raw)) for a, b in pairs), topic


@pytest.mark.parametrize(
    ("arguments", "error", "phrase"),
    [
        ({"storage": "hdf5"}, ValueError, "allowed are mcap, sqlite3"),
        ({"storage": "sqlite3", "compress": True}, ValueError, "only mcap compresses"),
    ],
)
def test_wrong_storages_are_refused(
    tmp_path: Path, arguments: dict[str, object], error: type[Exception], phrase: str
) -> None:
    with pytest.raises(error, match=phrase):
        BagWriter(tmp_path / "bag", **arguments)  # type: ignore[arg-type]


def test_an_existing_bag_is_not_overwritten(bag_path: Path, scene: Scene) -> None:
    with pytest.raises(FileExistsError, match="exists already"):
        record(scene, bag_path)
