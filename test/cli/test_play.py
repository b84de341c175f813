"""`emgait play` over real DDS: every byte arrives, at the right pace, and it stops when asked."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from live_graph import SpunNode
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from emgait_msgs.msg import PedestrianArray
from emgait_ros.cli.main import main
from emgait_ros.lab.simulation.recording import write_ground_truth
from emgait_ros.lab.simulation.simulator import Truth
from emgait_ros.recordings.bag_writer import BagWriter
from emgait_ros.recordings.rosbag import Rosbag
from emgait_ros.samples import CameraModel
from emgait_ros.transport import use_shipped_profile

pytestmark = pytest.mark.ros
use_shipped_profile()

TYPES: dict[str, Any] = {
    "/lidar/points": PointCloud2,
    "/camera/image": Image,
    "/camera/camera_info": CameraInfo,
    "/ground_truth": PedestrianArray,
    "/clock": Clock,
    "/robot1/camera/camera_info": CameraInfo,
    "/renamed": CameraInfo,
}
START_NS = 1_700_000_000_000_000_000
CLOUDS, IMAGES = 10, 20


def write_bag(path: Path, storage: str) -> Path:
    """One second; the clouds are as large as real ones (2 MB), so that the transport has something to carry."""
    camera = CameraModel(64, 48, np.diag([50.0, 50, 1]), np.zeros(5), "plumb_bob", np.eye(4))
    rng = np.random.default_rng(1)
    with BagWriter(path, storage) as writer:
        writer.static_transform(START_NS, {("lidar", "camera_optical"): np.eye(4)})
        for n in range(CLOUDS):
            at = START_NS + n * 100_000_000
            points = rng.normal(size=(4, 130_000)).astype(np.float32)
            writer.cloud(at, at, dict(zip(("x", "y", "z", "intensity"), points, strict=True)))
            truth = Truth(np.array([7]), np.ones((1, 3)), np.ones((1, 3)), np.zeros((1, 3)), np.array([5]))
            write_ground_truth(writer, at, at, truth)
        for n in range(IMAGES):
            at = START_NS + n * 50_000_000
            writer.camera_info(at, at, camera)
            writer.image(at, at, rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    return path


class Listener(SpunNode):
    """Subscribes to raw bytes, reliable or best effort, in a thread; a lifecycle node where it is to begin later."""

    def __init__(self, reliability: ReliabilityPolicy, name: str = "listener", starts_in_s: float = 0.0) -> None:
        self.received: dict[str, list[bytes]] = defaultdict(list)
        self.arrived_s: dict[str, list[float]] = defaultdict(list)
        super().__init__(name, LifecycleNode if starts_in_s else Node)
        self._reliability = reliability
        if starts_in_s:
            self._start = self.node.create_timer(starts_in_s, self._subscribe)
        else:
            self._subscribe()
        self.start()

    def _subscribe(self) -> None:
        profile = QoSProfile(depth=30, reliability=self._reliability, durability=DurabilityPolicy.VOLATILE)
        for topic, message_type in TYPES.items():
            self.node.create_subscription(message_type, topic, self._taker(topic), profile, raw=True)
        if hasattr(self, "_start"):
            self._start.cancel()

    def _taker(self, topic: str) -> Any:
        def take(data: bytes) -> None:
            self.received[topic].append(bytes(data))
            self.arrived_s[topic].append(time.monotonic())

        return take

    def wait_for(self, topic: str, count: int, timeout_s: float = 60.0) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and len(self.received[topic]) < count:
            time.sleep(0.02)
        return len(self.received[topic]) >= count


@pytest.fixture(params=[ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT], ids=["reliable", "best_effort"])
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    made = Listener(request.param)
    yield made
    made.close()


@pytest.fixture
def reliable_listener() -> Iterator[Listener]:
    made = Listener(ReliabilityPolicy.RELIABLE)
    yield made
    made.close()


@pytest.fixture(scope="module", params=["mcap", "sqlite3"])
def bag_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("play") / "bag", request.param)


@pytest.fixture(scope="module")
def mcap_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("play") / "walk.bag", "mcap")


def play(*words: str | Path, wait_for: str = "listener") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "emgait_ros", "play", *map(str, words)]
    command += ["--wait-for", *wait_for.split()] if wait_for else []
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_every_byte_arrives(bag_path: Path, listener: Listener, tmp_path: Path) -> None:
    process = play(bag_path, "--json", tmp_path / "report.json")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    counts = {"/lidar/points": CLOUDS, "/ground_truth": CLOUDS, "/camera/image": IMAGES, "/camera/camera_info": IMAGES}
    for topic, count in counts.items():
        assert listener.wait_for(topic, count), topic
    with Rosbag(bag_path) as bag:
        for topic in counts:
            sent = [bytes(m.raw) for m in bag.messages([topic])]
            # DDS fills a message up to a multiple of four bytes
            assert [data[: len(raw)] for data, raw in zip(listener.received[topic], sent, strict=True)] == sent, topic
            assert not b"".join(
                data[len(raw) :] for data, raw in zip(listener.received[topic], sent, strict=True)
            ).strip(b"\0")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["published"]["/lidar/points"] == CLOUDS
    try:
        import tf2_msgs.msg  # noqa: F401
    except ImportError:
        assert "not played: /tf_static: the message type tf2_msgs/msg/TFMessage is not installed" in " ".join(
            errors.split()
        )
        assert "/tf_static" in report["skipped"]


@pytest.mark.parametrize(("rate", "seconds"), [(1.0, 0.95), (0.25, 3.8)])
def test_the_pace_is_that_of_the_recording(
    mcap_path: Path, reliable_listener: Listener, tmp_path: Path, rate: float, seconds: float
) -> None:
    play(mcap_path, "--rate", str(rate), "--json", tmp_path / "report.json").communicate(timeout=120)
    assert reliable_listener.wait_for("/camera/camera_info", IMAGES)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["seconds"] >= seconds, "never early"
    assert report["seconds"] >= seconds + report["stalled_s"], "it goes on at its pace after a stall"


def test_clock_runs_through_the_recording(mcap_path: Path, reliable_listener: Listener) -> None:
    process = play(mcap_path, "--clock", "--topics", "/camera/camera_info")
    process.communicate(timeout=120)
    assert reliable_listener.wait_for("/clock", 20)
    ticks = [
        np.frombuffer(data, "<i4", 2, 4).astype(np.int64) @ [10**9, 1] for data in reliable_listener.received["/clock"]
    ]
    assert ticks == sorted(ticks)
    assert ticks[0] >= START_NS - 20_000_000
    assert ticks[-1] <= START_NS + 960_000_000
    assert not reliable_listener.received["/lidar/points"]


@pytest.mark.parametrize(
    ("words", "clouds", "images", "truths"),
    [
        (["--start-offset", "0.55"], 4, 9, 4),
        (["--playback-duration", "0.35"], 4, 7, 4),
        (["--start-offset", "0.25", "--playback-duration", "0.3"], 3, 6, 3),
        (["--exclude-topics", "/lidar/points", "/ground_truth"], 0, IMAGES, 0),
        (["--topics", "/lidar/points", "/camera/image", "--exclude-topics", "/camera/image"], CLOUDS, 0, 0),
    ],
)
def test_a_part_is_played(
    mcap_path: Path, reliable_listener: Listener, words: list[str], clouds: int, images: int, truths: int
) -> None:
    process = play(mcap_path, "--rate", "2", *words)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    wanted = {"/lidar/points": clouds, "/camera/image": images, "/ground_truth": truths}
    assert all(reliable_listener.wait_for(topic, count) for topic, count in wanted.items())
    assert {topic: len(reliable_listener.received[topic]) for topic in wanted} == wanted


def test_space_and_arrows_of_a_terminal(mcap_path: Path, reliable_listener: Listener) -> None:
    """Paused from the start, three steps, then on at the bag's own pace."""
    child, terminal = pty.fork()
    if child == 0:
        words = ["play", str(mcap_path), "--topics", "/camera/image", "--start-paused", "--wait-for", "listener"]
        os.execv(sys.executable, [sys.executable, "-m", "emgait_ros", *words])
    received = reliable_listener.received["/camera/image"]
    try:
        output = b""
        while b"keys: space" not in output:
            output += os.read(terminal, 4096)
        threading.Thread(target=_drain, args=(terminal,), daemon=True).start()
        time.sleep(2.0)
        assert not received
        for count in (1, 2, 3):
            os.write(terminal, b"\x1b[C")
            assert reliable_listener.wait_for("/camera/image", count)
            time.sleep(0.2)
            assert len(received) == count
        os.write(terminal, b" ")
        assert reliable_listener.wait_for("/camera/image", IMAGES)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.close(terminal)


def _drain(terminal: int) -> None:
    with contextlib.suppress(OSError):  # the terminal ends with the player
        while os.read(terminal, 4096):
            pass


def test_the_offered_quality_of_service_can_be_set(mcap_path: Path, tmp_path: Path) -> None:
    """A reliable listener gets nothing of a topic that is offered best effort."""
    (tmp_path / "qos.yaml").write_text("/lidar/points: {reliability: best_effort}\n")
    listener = Listener(ReliabilityPolicy.RELIABLE)
    try:
        play(mcap_path, "--qos-profile-overrides-path", tmp_path / "qos.yaml").communicate(timeout=120)
        assert listener.wait_for("/camera/image", IMAGES)
        assert not listener.received["/lidar/points"]
    finally:
        listener.close()


@pytest.mark.parametrize(
    ("words", "topic"),
    [
        (("--namespace", "robot1"), "/robot1/camera/camera_info"),
        (("--remap", "/camera/camera_info:=/renamed", "/other:=/x"), "/renamed"),
        (("--namespace", "robot1", "--remap", "camera/camera_info:=/renamed"), "/renamed"),
    ],
)
def test_topics_get_other_names(
    mcap_path: Path, reliable_listener: Listener, words: tuple[str, ...], topic: str
) -> None:
    play(mcap_path, "--clock", "--rate", "2", *words).communicate(timeout=120)
    assert reliable_listener.wait_for(topic, IMAGES)
    assert reliable_listener.wait_for("/clock", 1)
    assert not reliable_listener.received["/camera/camera_info"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_loop_stops_when_asked(mcap_path: Path, reliable_listener: Listener, number: int) -> None:
    process = play(mcap_path, "--loop", "--rate", "3")
    assert reliable_listener.wait_for("/camera/image", IMAGES + 5)  # into the second round
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_nobody_listening_is_said(mcap_path: Path) -> None:
    process = play(mcap_path, "--wait", "0.3", "--rate", "20", wait_for="")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "nobody subscribed to any of its topics within 0.3 s" in errors


def gets_every_cloud(node: Listener, process: subprocess.Popen[str], timeout_s: float = 120.0) -> None:
    """What is played waited for this node, and says nothing of it; the node is closed."""
    try:
        _, errors = process.communicate(timeout=timeout_s)
        assert process.returncode == 0, errors
        assert node.wait_for("/lidar/points", CLOUDS), len(node.received["/lidar/points"])
        assert "did not subscribe" not in errors
    finally:
        node.close()


@pytest.mark.parametrize("wait_for", ["", "pedestrian_tracker", "/pedestrian_tracker", "/lidar/points:2"])
def test_somebody_else_who_listens_is_no_reason_to_start(
    mcap_path: Path, reliable_listener: Listener, wait_for: str
) -> None:
    """As rviz or `ros2 topic echo`: the node that the bag is for comes later and must get every cloud."""
    process = play(mcap_path, "--wait", "30", wait_for=wait_for)
    time.sleep(3.0)
    assert not reliable_listener.received["/lidar/points"]
    node = Listener(ReliabilityPolicy.RELIABLE, "pedestrian_tracker")
    gets_every_cloud(node, process)


def test_a_node_that_is_there_but_not_active_yet_is_waited_for(mcap_path: Path) -> None:
    """A tracker that compiles for longer than --wait before it subscribes."""
    node = Listener(ReliabilityPolicy.RELIABLE, "pedestrian_tracker", starts_in_s=30.0)
    gets_every_cloud(node, play(mcap_path, "--wait", "12", wait_for=""), 180.0)


@pytest.mark.parametrize(
    ("words", "wait_for", "seconds", "phrase"),
    [
        ([], "", 5.0, "(subscribed: /listener): played anyway"),
        (["--topics", "/camera/image"], "", 0.0, ""),  # nothing in it is for the tracker
        (["--wait", "12"], "/lidar/points:2", 12.0, "2 subscriptions of /lidar/points (there are"),
        (["--wait", "12"], "rviz2 listener", 12.0, "rviz2 did not subscribe within 12."),  # discovery takes seconds
        (["--no-wait"], "rviz2", 0.0, ""),
    ],
)
def test_waiting_has_an_end_and_says_for_whom(
    mcap_path: Path, reliable_listener: Listener, words: list[str], wait_for: str, seconds: float, phrase: str
) -> None:
    began = time.monotonic()
    process = play(mcap_path, "--rate", "20", *words, wait_for=wait_for)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert seconds <= time.monotonic() - began
    said = " ".join(errors.split())
    assert phrase in said if phrase else "did not subscribe" not in said


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (["--rate", "0"], "the rate is 0.0"),
        (["--remap", "/points"], "--remap is '/points': expected FROM:=TO"),
        (["--topics", "/nothing"], "has no topic /nothing"),
        (["--start-offset", "5"], "--start-offset is 5 s, but"),
        (["--playback-duration", "0"], "0.0 s are to be played: expected more than 0"),
        (["--exclude-topics", "/nothing"], "has no topic /nothing"),
        (["--topics", "/ground_truth", "--exclude-topics", "/ground_truth"], "every topic is excluded"),
        (["--qos-profile-overrides-path", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
        (["--wait-for", "/nothing:2"], "/nothing is not played"),
        (["--wait-for", "/lidar/points:0"], "'0' is no number of subscriptions"),
        (["--topics", "/camera/image", "--wait-for", "/lidar/points"], "/lidar/points is not played"),
    ],
)
def test_wrong_use_is_named(mcap_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], phrase: str) -> None:
    assert main(["play", str(mcap_path), *words]) == 1
    assert phrase in capsys.readouterr().err


def test_no_bag_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", str(tmp_path / "none")]) == 1
    assert "there is no bag at" in capsys.readouterr().err
