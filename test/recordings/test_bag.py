"""Real rosbag2 files of both storages, good and bad, read without ROS."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from emgait_ros.config import TrackerNodeConfig, TrackerTopicsConfig, with_options
from emgait_ros.lab.simulation.recording import write_ground_truth
from emgait_ros.lab.simulation.simulator import Truth
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.bag_writer import BagWriter
from emgait_ros.recordings.rosbag import COMPRESSED_IMAGE, IMAGE, message_types
from emgait_ros.samples import CameraModel
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing
from emgait_ros.sensing.perception.box_detector import BoxDetector

MS = 1_000_000
START_NS = 1_700_000_000_000 * MS
K = np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]])
T_CAMERA_LIDAR = np.array([[0.0, -1, 0, 0.1], [0, 0, -1, -0.2], [1, 0, 0, -0.3], [0, 0, 0, 1]])
CAMERA = CameraModel(64, 48, K, np.zeros(5), "plumb_bob", T_CAMERA_LIDAR)


def cloud_columns(value: float, count: int = 20) -> dict[str, np.ndarray]:
    columns = {name: np.full(count, value, np.float32) for name in ("x", "y", "z", "intensity")}
    columns["y"] = np.arange(count, dtype=np.float32)
    return columns


def picture(value: int) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


def write_bag(
    path: Path,
    *,
    storage: str = "mcap",
    compress: bool = False,
    clouds: int = 10,
    images: int = 30,
    info: bool = True,
    transform: bool = True,
    camera: CameraModel = CAMERA,
    image_late_ms: int = 0,
    more: Callable[[BagWriter], None] | None = None,
) -> Path:
    """A second of a 10 Hz LiDAR and a 30 Hz camera that is 4 ms off; clouds and images hold their number.

    Images are logged ``image_late_ms`` later than clouds (earlier when negative)."""
    with BagWriter(path, storage, compress) as writer:
        if transform:
            # two steps: lidar -> mast -> camera_optical
            mast = np.eye(4)
            mast[:3, 3] = 0.0, 0.0, 1.0
            poses = {("mast", "lidar"): mast, ("mast", "camera_optical"): mast @ np.linalg.inv(T_CAMERA_LIDAR)}
            writer.static_transform(START_NS, poses)
        events = [(100 * n + 20, "cloud", n) for n in range(clouds)] + [
            (100 * n // 3 + 4 + 10 + image_late_ms, "image", n) for n in range(images)
        ]
        for log_ms, kind, number in sorted(events):
            log_ns = START_NS + log_ms * MS
            if kind == "cloud":
                stamp_ns = START_NS + 100 * number * MS
                writer.cloud(stamp_ns, log_ns, cloud_columns(number))
                center = np.array([[5.0, number, -1.0]])
                truth = Truth(np.array([3]), center, np.ones((1, 3)), np.zeros((1, 3)), np.array([20]))
                write_ground_truth(writer, stamp_ns, log_ns, truth)
            else:
                stamp_ns = START_NS + (100 * number // 3 + 4) * MS
                if info:
                    writer.camera_info(stamp_ns, log_ns, camera)
                writer.image(stamp_ns, log_ns, picture(number))
        if more is not None:
            more(writer)
    return path


def test_the_cure_for_a_bag_of_ros_1_is_right(tmp_path: Path) -> None:
    """The sentence names a command; what that command writes can be read."""
    types = get_typestore(Stores.ROS1_NOETIC)
    header = types.types["std_msgs/msg/Header"](1, types.types["builtin_interfaces/msg/Time"](5, 0), "camera")
    image = types.types[IMAGE](header, 48, 64, "rgb8", 0, 192, picture(1).ravel())
    with Ros1Writer(tmp_path / "old walk.bag") as writer:
        connection = writer.add_connection("/camera/image", IMAGE, typestore=types)
        writer.write(connection, 5_000_000_000, types.serialize_ros1(image, IMAGE))
    with pytest.raises(ValueError, match="is a bag of ROS 1") as error:
        BagRecording(tmp_path / "old walk.bag")
    command = shlex.split(str(error.value).split("`")[1])
    subprocess.run([Path(sys.executable).with_name(command[0]), *command[1:]], check=True, timeout=60)
    with BagRecording(tmp_path / "old walk") as bag:
        message = bag.deserialize(next(bag.messages()))
        assert (message.header.frame_id, message.header.stamp.sec) == ("camera", 5)


@pytest.mark.parametrize(("storage", "compress"), [("mcap", False), ("mcap", True), ("sqlite3", False)])
@pytest.mark.parametrize("name", ["recording", "walk.bag"])  # a folder may end in .bag, as ROS 1 files do
def test_a_bag_is_read_as_it_was_written(tmp_path: Path, storage: str, compress: bool, name: str) -> None:
    with BagRecording(write_bag(tmp_path / name, storage=storage, compress=compress)) as bag:
        assert {t.name: t.count for t in bag.topics.values()} == {
            "/tf_static": 1,
            "/lidar/points": 10,
            "/ground_truth": 10,
            "/camera/image": 30,
            "/camera/camera_info": 30,
        }
        assert bag.topics["/camera/image"].rate_hz == pytest.approx(30, rel=0.05)
        assert bag.latched_topics == {"/tf_static"}
        frames = list(bag.sensor_frames())
        assert bag.lidar_frame_id == "lidar"
        assert [t.centers[0, 1] for t in bag.ground_truth] == list(range(10))
        assert bag.ground_truth[3].walkers.tolist() == [3]
        assert not bag.problems
        assert bag.health is not None
        assert bag.health.paired == 10
    for number, frame in enumerate(frames):
        assert frame.stamp_ns == START_NS + 100 * number * MS
        np.testing.assert_array_equal(frame.points[:, 0], np.full(20, number, np.float32))
        # image 3n is 4 ms after cloud n: the nearest
        assert frame.image is not None
        assert frame.image[0, 0, 0] == 3 * number
        assert frame.image_dt_s == pytest.approx(0.004)
        assert frame.camera is not None
        np.testing.assert_allclose(frame.camera.T_camera_lidar, T_CAMERA_LIDAR, atol=1e-9)
        np.testing.assert_allclose(frame.camera.K, K)


@pytest.mark.parametrize("image_late_ms", [-900, -60, 130, 900])
def test_log_times_do_not_decide_who_gets_which_image(tmp_path: Path, image_late_ms: int) -> None:
    """The recorder wrote one topic later than the other: the same pairs as without."""
    with BagRecording(write_bag(tmp_path / "bag", image_late_ms=image_late_ms)) as bag:
        frames = list(bag.sensor_frames())
    assert [f.image is not None and int(f.image[0, 0, 0]) for f in frames] == [3 * n for n in range(10)]
    assert [f.image_dt_s for f in frames] == pytest.approx([0.004] * 10)


def test_twice_the_same(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag")
    runs = []
    for _ in range(2):
        with BagRecording(path) as bag:
            runs.append(
                [(f.stamp_ns, f.image_dt_s, f.points.tobytes(), f.image.tobytes()) for f in bag.sensor_frames()]
            )  # type: ignore[union-attr]
    assert runs[0] == runs[1]


def test_a_storage_file_alone_is_enough(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag")
    with BagRecording(folder / "bag.mcap") as bag:
        assert len(list(bag.sensor_frames())) == 10
    (folder / "metadata.yaml").unlink()  # the recorder was killed
    with BagRecording(folder) as bag:
        assert len(list(bag.sensor_frames())) == 10


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_metadata_that_describes_topics_otherwise_loses_none(tmp_path: Path, storage: str) -> None:
    """As in bags that were converted or whose QoS was edited: the storage files are right."""
    path = write_bag(tmp_path / "bag", storage=storage)
    with BagRecording(path) as bag:
        before = [message.topic for message in bag.messages()]
    metadata = path / "metadata.yaml"
    text = metadata.read_text(encoding="utf-8")
    assert "depth: 10" in text
    metadata.write_text(text.replace("depth: 10", "depth: 3"), encoding="utf-8")
    with BagRecording(path) as bag:
        assert [message.topic for message in bag.messages()] == before


def test_without_a_camera_every_cloud_goes_alone(tmp_path: Path) -> None:
    with BagRecording(write_bag(tmp_path / "bag", images=0)) as bag:
        frames = list(bag.sensor_frames())
        assert any("no image" in problem for problem in bag.problems)
    assert len(frames) == 10
    assert all(f.image is None and f.camera is None for f in frames)


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"info": False}, "no CameraInfo for /camera/image"),
        (
            {"transform": False},
            "camera.T_camera_lidar is empty.*from 'lidar' to 'camera_optical'.*does not connect them.*set the parameter",
        ),
        ({"camera": replace(CAMERA, width=32)}, "its CameraInfo is for 32 x 48"),
        ({"camera": replace(CAMERA, K=np.zeros((3, 3)))}, "uncalibrated"),
    ],
)
def test_images_without_calibration_are_named_once(tmp_path: Path, change: dict[str, Any], phrase: str) -> None:
    with BagRecording(write_bag(tmp_path / "bag", **change)) as bag:
        frames = list(bag.sensor_frames())
        assert len(frames) == 10
        assert all(frame.camera is None for frame in frames)
        assert len(bag.problems) == 1
        assert re.search(phrase, next(iter(bag.problems)))


def test_configured_extrinsics_need_no_transforms(tmp_path: Path) -> None:
    config = with_options(TrackerNodeConfig(), {"camera.T_camera_lidar": tuple(T_CAMERA_LIDAR.ravel())})
    with BagRecording(write_bag(tmp_path / "bag", transform=False)) as bag:
        for frame in bag.sensor_frames(config):
            assert frame.camera is not None
            np.testing.assert_allclose(frame.camera.T_camera_lidar, T_CAMERA_LIDAR)


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        (
            {"topics.cloud": "/ouster/points"},
            r"no topic /ouster/points \(topics.cloud\): its topics are /camera/camera_info",
        ),
        ({"topics.cloud": "/camera/image"}, "is sensor_msgs/msg/Image: expected sensor_msgs/msg/PointCloud2"),
        ({"topics.image": "/lidar/points"}, "is sensor_msgs/msg/PointCloud2: expected sensor_msgs/msg/Image or"),
    ],
)
def test_wrong_topics_are_refused(tmp_path: Path, options: dict[str, Any], phrase: str) -> None:
    with BagRecording(write_bag(tmp_path / "bag")) as bag, pytest.raises(ValueError, match=phrase):
        next(bag.sensor_frames(with_options(TrackerNodeConfig(), options)))


def renamed(path: Path, cloud: str, image: str, info: str, second_cloud: str = "") -> Path:
    with BagWriter(path, topics=TrackerTopicsConfig(cloud=cloud, image=image, camera_info=info)) as writer:
        writer.cloud(START_NS, START_NS + 20 * MS, cloud_columns(1))
        writer.camera_info(START_NS, START_NS + 10 * MS, CAMERA)
        writer.image(START_NS, START_NS + 11 * MS, picture(9))
        if second_cloud:
            message = writer.make(
                "sensor_msgs/msg/PointCloud2",
                writer.header(START_NS, "rear"),
                1,
                0,
                [],
                False,
                0,
                0,
                np.zeros(0, np.uint8),
                True,
            )
            writer.write(second_cloud, "sensor_msgs/msg/PointCloud2", START_NS, message)
    return path


def test_topics_of_other_names_are_found_when_there_is_one_of_each(tmp_path: Path) -> None:
    path = renamed(tmp_path / "bag", "/ouster/points", "/cam0/image_raw", "/cam0/camera_info")
    with BagRecording(path) as bag:
        topics = bag.resolve_topics(TrackerTopicsConfig())
    assert (topics.cloud, topics.image, topics.camera_info) == (
        "/ouster/points",
        "/cam0/image_raw",
        "/cam0/camera_info",
    )


def test_several_lidars_have_to_be_chosen_from(tmp_path: Path) -> None:
    path = renamed(tmp_path / "bag", "/front/points", "/cam/image", "/cam/camera_info", second_cloud="/rear/points")
    with BagRecording(path) as bag:
        with pytest.raises(
            ValueError, match="several sensor_msgs/msg/PointCloud2: /front/points, /rear/points; choose one"
        ):
            bag.resolve_topics(TrackerTopicsConfig())
        assert bag.resolve_topics(TrackerTopicsConfig(cloud="/rear/points")).cloud == "/rear/points"


def test_compressed_images(tmp_path: Path) -> None:
    def jpegs(writer: BagWriter) -> None:
        for number in range(30):
            stamp_ns = START_NS + (100 * number // 3 + 4) * MS
            data = cv2.imencode(".jpg", picture(8 * number))[1].reshape(-1)
            if number == 3:
                data = data[: len(data) // 2]  # cut off on the way
            message = writer.make(COMPRESSED_IMAGE, writer.header(stamp_ns, "camera_optical"), "jpeg", data)
            writer.write("/camera/image/compressed", COMPRESSED_IMAGE, stamp_ns + 10 * MS, message)
            writer.camera_info(stamp_ns, stamp_ns + 10 * MS, CAMERA)

    with BagRecording(write_bag(tmp_path / "bag", images=0, more=jpegs)) as bag:
        frames = list(bag.sensor_frames())
        assert [p for p in bag.problems if "cut off" in p]
    assert [f.image is None for f in frames] == [False, True] + [False] * 8
    assert frames[5].image is not None
    assert abs(int(frames[5].image[10, 10, 0]) - 120) <= 2
    assert frames[5].camera is not None


def test_unusable_messages_are_left_out_and_counted(tmp_path: Path) -> None:
    def bad(writer: BagWriter) -> None:
        def at(number: int) -> int:
            return START_NS + (1000 + 100 * number) * MS

        writer.cloud(0, at(0), cloud_columns(1))  # a stamp of zero
        writer.cloud(at(1), at(1), {"u": np.zeros(3, np.float32), "v": np.zeros(3, np.float32)})  # no x, y, z
        writer.cloud(at(2), at(2), cloud_columns(2, count=0))  # empty: nobody is there
        columns = cloud_columns(3)
        columns["z"][:5] = np.nan
        writer.cloud(at(3), at(3), columns)

    with BagRecording(write_bag(tmp_path / "bag", more=bad)) as bag:
        frames = list(bag.sensor_frames())
        problems = " | ".join(bag.problems)
    assert "a stamp of zero" in problems
    assert "has no field x, y, z" in problems
    assert [len(f.points) for f in frames[10:]] == [0, 15]


def test_problems_that_differ_in_numbers_only_are_one(tmp_path: Path) -> None:
    """Two publishers of one cloud: a sentence for each second one would fill pages. Read twice, they are counted once."""

    def again(writer: BagWriter) -> None:
        for number in range(10, 30):
            stamp_ns = START_NS + 100 * (number - number % 2) * MS
            writer.cloud(stamp_ns, START_NS + 100 * number * MS, cloud_columns(number))
            writer.image(stamp_ns, START_NS + 100 * number * MS, picture(number))

    with BagRecording(write_bag(tmp_path / "bag", more=again)) as bag:
        for _ in range(2):
            list(bag.sensor_frames())
            (clouds, count), *others = bag.problems.items()
            assert "is not newer than the one before it" in clouds
            assert f"(stamp {START_NS + 1000 * MS} ns)" in clouds, "the first of them is shown"
            assert (count, [times for _, times in others]) == (10, [10])


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("damage", ["cut", "zeros", "garbage", "no storage", "bad metadata"])
def test_damaged_bags_give_a_sentence(tmp_path: Path, storage: str, damage: str) -> None:
    folder = write_bag(tmp_path / "bag", storage=storage)
    file = next(f for f in folder.iterdir() if f.suffix in (".mcap", ".db3"))
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[:1000])
    elif damage == "zeros":
        file.write_bytes(data[:2000] + bytes(len(data) - 4000) + data[-2000:])
    elif damage == "garbage":
        file.write_bytes(np.random.default_rng(0).bytes(len(data)))
    elif damage == "no storage":
        file.unlink()
    else:
        (folder / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: 9")
    said = {"garbage": "is no .* file", "no storage": "no .mcap or .db3 file"}
    words = said.get(damage, "(seems damaged|is damaged|no message)")
    with pytest.raises(ValueError, match=rf"bag.* {words}"), BagRecording(folder) as bag:
        list(bag.sensor_frames())


@pytest.mark.parametrize(
    ("make", "error", "phrase"),
    [
        (lambda p: p, FileNotFoundError, "there is no bag at"),
        (lambda p: p.mkdir(), ValueError, "no metadata.yaml"),
        (lambda p: p.write_text("hello"), ValueError, "expected a folder"),
    ],
)
def test_what_is_no_bag_is_refused(tmp_path: Path, make: Any, error: type[Exception], phrase: str) -> None:
    path = tmp_path / "thing"
    make(path)
    with pytest.raises(error, match=phrase):
        BagRecording(path)


def test_an_empty_bag_is_refused(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag"):
        pass
    with pytest.raises(ValueError, match="is empty"):
        BagRecording(tmp_path / "bag")


def test_messages_of_a_part(tmp_path: Path) -> None:
    with BagRecording(write_bag(tmp_path / "bag")) as bag:
        late = list(bag.messages(["/lidar/points"], start_s=0.5))
        assert [bag.deserialize(m).header.stamp.nanosec // (100 * MS) for m in late] == [5, 6, 7, 8, 9]
        times = [m.log_time_ns for m in bag.messages()]
        assert times == sorted(times)
        assert len(times) == 81
        with pytest.raises(ValueError, match="has no topic /nothing"):
            next(bag.messages(["/nothing"]))


BOXES, ARRAY = "/detector/boxes", "vision_msgs/msg/Detection3DArray"


def boxes_of_every(step: int, late_ms: int, frame: str, repository: Path) -> Callable[[BagWriter], None]:
    """A detector that looks at every n-th of ten clouds: a person, 5 m ahead in its frame, and a car."""
    store = message_types()
    for file in sorted((repository / "ros_compat" / "vision_msgs" / "msg").glob("*.msg")):
        store.register(get_types_from_msg(file.read_text(encoding="utf-8"), f"vision_msgs/msg/{file.stem}"))

    def write(writer: BagWriter) -> None:
        types = store.types
        pose, vector = types["geometry_msgs/msg/Pose"], types["geometry_msgs/msg/Vector3"]
        upright = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
        for number in range(0, 10, step):
            stamp_ns = START_NS + number * 100 * MS
            header, found = writer.header(stamp_ns, frame), []
            for place_m, name in ((5.0, "pedestrian"), (9.0, "car")):
                center = pose(types["geometry_msgs/msg/Point"](place_m, float(number), 0.0), upright)
                hypothesis = types["vision_msgs/msg/ObjectHypothesis"](name, 0.8)
                nowhere = types["geometry_msgs/msg/PoseWithCovariance"](center, np.zeros(36))
                result = types["vision_msgs/msg/ObjectHypothesisWithPose"](hypothesis, nowhere)
                bounds = types["vision_msgs/msg/BoundingBox3D"](center, vector(0.6, 0.6, 1.8))
                found.append(types["vision_msgs/msg/Detection3D"](header, [result], bounds, ""))
            raw = store.serialize_cdr(types[ARRAY](header, found), ARRAY)
            writer.write_serialized(BOXES, ARRAY, stamp_ns + late_ms * MS, raw, types=store)

    return write


@pytest.mark.parametrize(
    ("step", "late_ms", "use", "with_boxes"),
    [
        (1, 0, "instead", list(range(10))),
        (1, 150, "instead", list(range(10))),
        # a detector slower than the LiDAR sets the pace, or helps where it has looked
        (2, 150, "instead", [0, 2, 4, 6, 8]),
        (2, 150, "beside", [0, None, 2, None, 4, None, 6, None, 8, None]),
    ],
)
def test_boxes_are_read_as_the_live_node_reads_them(tmp_path, repository, step, late_ms, use, with_boxes):
    """In the frame of the robot, 1 m behind the LiDAR; the car is no person."""

    def more(writer: BagWriter) -> None:
        pose = np.eye(4)
        pose[0, 3] = 1.0
        writer.static_transform(START_NS, {("base_link", "lidar"): pose})
        boxes_of_every(step, late_ms, "base_link", repository)(writer)

    path = write_bag(tmp_path / "bag", more=more)
    config = with_options(TrackerNodeConfig(), {"topics.boxes": BOXES, "boxes.use": use})
    with BagRecording(path) as bag:
        frames = list(bag.sensor_frames(config))
    assert [None if f.boxes is None else round(float(f.boxes.center[0, 1])) for f in frames] == with_boxes
    for frame in frames:
        assert (frame.stamp_ns - START_NS) % (100 * MS) == 0
        if frame.boxes is not None:
            assert frame.boxes.center[:, 0] == pytest.approx([4.0])
    assert isinstance(PedestrianSensing(config).detector, BoxDetector), "offline commands look with the boxes too"
    with BagRecording(path) as bag:
        assert [f.boxes for f in bag.sensor_frames(TrackerNodeConfig())] == [None] * 10, "only when asked for"


@pytest.mark.parametrize(
    ("topic", "words"), [("/other", "has no topic /other (topics.boxes)"), ("/lidar/points", "topics.boxes is")]
)
def test_boxes_that_are_not_recorded_are_named(tmp_path, topic, words):
    config = with_options(TrackerNodeConfig(), {"topics.boxes": topic})
    with BagRecording(write_bag(tmp_path / "bag")) as bag, pytest.raises(ValueError, match=re.escape(words)):
        next(bag.sensor_frames(config))
