"""`emgait doctor BAG`: what of a recording can be read, what its messages say wrongly, what its clouds contain."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rosbags.interfaces import Connection

from emgait_ros.cli.main import main
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.bag_writer import BagWriter
from emgait_ros.recordings.rosbag import CLOUD
from emgait_ros.samples import CameraModel

START_NS, STEP_NS = 1_700_000_000_000_000_000, 100_000_000
K = np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]])
CAMERA = CameraModel(64, 48, K, np.zeros(5), "plumb_bob", np.eye(4))


def street(number: int) -> np.ndarray:
    """(N, 3) m: a flat ground around the sensor, never twice the same."""
    return np.random.default_rng(number).uniform((-20, -20, -1.8), (20, 20, -1.7), (3000, 3))


def halves(number: int) -> np.ndarray:
    points = street(number)
    return points[(points[:, 1] > 0) == bool(number % 2)]


def write(path: Path, kind: str = "", ahead_s: float = 0.0) -> Path:
    """Three seconds of clouds, and a camera that shows noise; stamps are so far ahead of the log times."""
    make = {"zeros": lambda number: np.zeros((3000, 3)), "halves": halves}.get(kind, street)
    with BagWriter(path) as writer:
        writer.static_transform(START_NS, {("camera_optical", "lidar"): np.eye(4)})
        for number in range(30):
            log_ns = START_NS + number * STEP_NS
            stamp_ns = log_ns + round(ahead_s * 1e9)
            points = make(number).astype(np.float32)
            columns = dict(zip("xyz", points.T, strict=True))
            if kind == "row_step":
                _write_organized(writer, stamp_ns, points)
            else:
                writer.cloud(stamp_ns, log_ns, columns)
            writer.camera_info(stamp_ns, log_ns, CAMERA)
            noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
            writer.image(stamp_ns, log_ns + 1, noise)
        if kind == "service event":
            _write_service_event(writer)
    return path


def _write_organized(writer: BagWriter, stamp_ns: int, points: np.ndarray) -> None:
    """30 rows of 100 points, with the row_step that PointCloud2Modifier leaves: all bytes."""
    fields = [writer.make("sensor_msgs/msg/PointField", name, 4 * i, 7, 1) for i, name in enumerate("xyz")]
    data = np.ascontiguousarray(points).reshape(-1).view(np.uint8)
    header = writer.header(stamp_ns, "lidar")
    message = writer.make(CLOUD, header, 30, 100, fields, False, 12, len(data), data, True)
    writer.write("/lidar/points", CLOUD, stamp_ns, message)


def _write_service_event(writer: BagWriter) -> None:
    definition = f"{'=' * 80}\nSRV: a_srvs/srv/Add\nint64 a\n---\nint64 sum\n"
    event: Connection = writer._writer.add_connection(
        "/add/_service_event", "a_srvs/srv/Add_Event", msgdef=definition, rihs01="RIHS01_" + "0" * 64
    )
    writer._writer.write(event, START_NS, bytes(16))


def cut(folder: Path) -> Path:
    file = folder / f"{folder.name}.mcap"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * 0.9)])
    return folder


def check(bag: Path, report: Path) -> tuple[int, dict[tuple[str, str], str]]:
    """Exit status, and findings of the first section: (subject, level) -> what was found."""
    status = main(["doctor", str(bag), "--json", str(report)])
    sections = json.loads(report.read_text())["sections"]
    found: dict[tuple[str, str], str] = {}
    for f in sections[f"Recording {bag}"]:
        key = f["subject"], f["level"]
        found[key] = f"{found.get(key, '')} {f['what']}"
    return status, found


@pytest.mark.parametrize(
    ("kind", "status", "finding", "words"),
    [
        ("", 0, ("/lidar/points", "OK"), "30 clouds, 2"),
        ("zeros", 1, ("/lidar/points", "FAIL"), "(0, 0, 0)"),
        ("halves", 1, ("/lidar/points", "FAIL"), "180 of the 360 degrees"),
        ("row_step", 0, ("messages", "WARN"), "row_step is 36000 bytes"),
        ("service event", 0, ("recording", "WARN"), "/add/_service_event is left out"),
    ],
)
def test_what_is_in_a_recording(tmp_path: Path, kind: str, status: int, finding: tuple[str, str], words: str) -> None:
    found_status, found = check(write(tmp_path / "bag", kind), tmp_path / "report.json")
    assert found_status == status, found
    assert words in found[finding]
    if not kind:
        assert not any(level != "OK" for _, level in found), found


@pytest.mark.parametrize("ahead_s", [0.0, 37.0, 10.0 - START_NS * 1e-9], ids=["system time", "TAI", "since boot"])
def test_stamps_may_be_of_another_clock(tmp_path: Path, ahead_s: float) -> None:
    path = write(tmp_path / "bag", ahead_s=ahead_s)
    main(["doctor", "calibration", str(path), "--json", str(tmp_path / "report.json")])
    (finding,) = json.loads((tmp_path / "report.json").read_text())["sections"][f"Camera and LiDAR in {path}"]
    assert "the camera moves" in finding["what"], "noise: all images were looked at"
    with BagRecording(path) as bag:
        at_s = [(frame.stamp_ns - bag.begin_ns) * 1e-9 for frame in bag.sensor_frames()]
    np.testing.assert_allclose(at_s, np.arange(30) / 10, atol=1e-6)


def test_a_cut_recording_is_judged_by_what_is_left(tmp_path: Path) -> None:
    _, found = check(cut(write(tmp_path / "bag")), tmp_path / "report.json")
    assert "mcap recover" in found["recording", "WARN"]
    assert "clouds" in found["/lidar/points", "OK"]


def test_one_recording_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "calibration"]) == 1
    assert main(["doctor", "a", "b"]) == 1
    assert capsys.readouterr().err.count("name one recording") == 2


def test_a_recording_can_be_judged_without_its_camera(tmp_path: Path) -> None:
    bag, report = write(tmp_path / "walk.bag"), tmp_path / "report.json"
    main(["doctor", str(bag), "--image", "none", "--json", str(report)])
    sections = json.loads(report.read_text())["sections"]
    assert list(sections) == [f"Recording {bag}"]
    counts = [f["values"]["with_image"] for f in sections[f"Recording {bag}"] if "with_image" in f["values"]]
    assert counts == [0]
