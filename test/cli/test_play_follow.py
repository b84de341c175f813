"""`emgait play --follow` over real DDS: it keeps step with whoever answers, and plays on when nobody does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from live_graph import LiveGraph, SpunNode
from sensor_msgs.msg import PointCloud2

from emgait_msgs.msg import IdentityArray
from emgait_ros.config import CameraConfig, TrackerNodeConfig
from emgait_ros.live import answers
from emgait_ros.live.answers import after_their_images
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.bag_writer import BagWriter
from emgait_ros.recordings.rosbag import CLOUD, IMAGE, BagMessage
from emgait_ros.recordings.serialized_header import stamp_of
from emgait_ros.samples import CameraModel
from emgait_ros.transport import use_shipped_profile

pytestmark = pytest.mark.ros
use_shipped_profile()

START_NS = 1_700_000_000_000_000_000
CLOUDS, PERIOD_S = 12, 0.05
TOPIC = "/gait_recognizer/identities"


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("follow") / "bag"
    with BagWriter(path) as writer:
        for n in range(CLOUDS):
            at = START_NS + round(n * PERIOD_S * 1e9)
            writer.cloud(at, at, {name: np.full(1000, n, np.float32) for name in "xyz"})
    return path


class Answerer(SpunNode):
    """Answers each cloud after a while, in a thread; None: never."""

    def __init__(self, after_s: float | None) -> None:
        super().__init__("answerer")
        self.received_s: list[float] = []
        self._after_s = after_s
        self._publisher = self.node.create_publisher(IdentityArray, TOPIC, 10)
        self.node.create_subscription(PointCloud2, "/lidar/points", self._answer, 10)
        self.start()

    def _answer(self, message: PointCloud2) -> None:
        self.received_s.append(time.monotonic())
        if self._after_s is not None:
            time.sleep(self._after_s)
            self._publisher.publish(IdentityArray(header=message.header))


@pytest.fixture
def answerer(request: pytest.FixtureRequest) -> Iterator[Answerer]:
    made = Answerer(request.param)
    yield made
    made.close()


def all_received(answerer: Answerer) -> bool:
    """The last comes when the player has ended already."""
    deadline = time.monotonic() + 60.0
    while len(answerer.received_s) < CLOUDS and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(answerer.received_s) == CLOUDS


def follow(bag: Path, report: Path, *words: str) -> tuple[int, str, dict[str, Any]]:
    """Play and follow; exit status, what it said, and its report."""
    command = [sys.executable, "-m", "emgait_ros", "play", str(bag), "--follow", TOPIC, "--json", str(report), *words]
    command += ["--wait-for", "answerer"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return process.returncode, process.stderr, json.loads(report.read_text()) if report.is_file() else {}


@pytest.mark.parametrize("answerer", [0.2], indirect=True)
def test_a_slow_listener_is_waited_for(answerer: Answerer, bag: Path, tmp_path: Path) -> None:
    status, said, report = follow(bag, tmp_path / "report.json")
    assert status == 0, said
    assert all_received(answerer)
    assert min(np.diff(answerer.received_s)) >= 0.2, "the next cloud must not come before the answer"
    assert report["unanswered"] == 0
    assert report["held_s"] > (CLOUDS - 2) * (0.2 - PERIOD_S)
    assert "this machine is slower than the recording" in said


@pytest.mark.parametrize("answerer", [0.0], indirect=True)
def test_a_fast_listener_gets_the_pace_of_the_recording(answerer: Answerer, bag: Path, tmp_path: Path) -> None:
    status, said, report = follow(bag, tmp_path / "report.json")
    assert status == 0, said
    assert all_received(answerer), answerer.received_s
    assert report["seconds"] >= (CLOUDS - 1) * PERIOD_S


@pytest.mark.parametrize("answerer", [None], indirect=True)
def test_without_answers_it_plays_on(answerer: Answerer, bag: Path, tmp_path: Path) -> None:
    impatient = (
        "import sys\nfrom emgait_ros.live import answers\nfrom emgait_ros.cli.main import main\n"
        "answers.FIRST_PATIENCE_S = answers.PATIENCE_S = 0.1\nsys.exit(main(sys.argv[1:]))"
    )
    words = ["play", str(bag), "--follow", TOPIC, "--json", str(tmp_path / "r.json"), "--wait-for", "answerer"]
    process = subprocess.run(
        [sys.executable, "-c", impatient, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["published"]["/lidar/points"] == CLOUDS
    assert report["unanswered"] == answers.MOST_UNANSWERED, "after that many in a row nothing is waited for"
    assert "5 clouds were never answered" in process.stderr
    assert "had no answer on" in process.stderr


def test_nobody_to_follow_is_an_error(bag: Path, tmp_path: Path) -> None:
    status, said, report = follow(bag, tmp_path / "report.json", "--wait", "0.3")
    assert (status, report) == (1, {})
    assert f"nobody publishes {TOPIC}" in " ".join(said.split())


def message(kind: str, topic: str, stamp_ms: int, log_ms: int) -> BagMessage:
    raw = b"\0\1\0\0" + (stamp_ms // 1000).to_bytes(4, "little") + (stamp_ms % 1000 * 1_000_000).to_bytes(4, "little")
    return BagMessage(topic, kind, log_ms * 1_000_000, raw)


@pytest.mark.parametrize("cameras", [(), (0,), (120,), (-200,), (5, 400), (0, None), (None,)])
def test_a_cloud_comes_after_the_images_it_can_be_paired_with(cameras: tuple[int | None, ...]) -> None:
    """Lags of the cameras in the recording, ms; None: it stops after 3 s."""
    clouds = [message(CLOUD, "/points", 1000 + 100 * k, 1010 + 100 * k) for k in range(100)]
    images = [
        message(IMAGE, f"/image{n}", stamp, stamp + 10 + (lag or 0))
        for n, lag in enumerate(cameras)
        for stamp in range(1000, 4000 if lag is None else 12_000, 33)
    ]
    recorded = sorted(clouds + images, key=lambda m: m.log_time_ns)
    played = list(after_their_images(recorded, [f"/image{n}" for n in range(len(cameras))]))
    assert sorted(m.raw for m in played) == sorted(m.raw for m in recorded)
    assert [m.raw for m in played if m.type == CLOUD] == [m.raw for m in clouds]
    newest = dict.fromkeys(range(len(cameras)), 0)
    assert all(now.log_time_ns >= before.log_time_ns for before, now in pairwise(played))
    for item in played:
        if item.type == IMAGE:
            newest[int(item.topic[-1])] = stamp_of(item.raw)
            continue
        for n, lag in enumerate(cameras):
            if lag is not None:
                assert newest[n] >= stamp_of(item.raw)
        assert item.log_time_ns - stamp_of(item.raw) <= (920 if None in cameras else 450) * 1_000_000


def record_late_images(path: Path, late_ms: int) -> None:
    """30 clouds at 10 Hz and 110 images at 30 Hz that arrive late."""
    camera = CameraModel(64, 48, np.diag([50.0, 50, 1]), np.zeros(5), "plumb_bob", np.eye(4))
    events = [(100 * k + 10, "cloud", 100 * k) for k in range(30)]
    events += [(round(100 / 3 * k) + 4 + 10 + late_ms, "image", round(100 / 3 * k) + 4) for k in range(110)]
    with BagWriter(path) as writer:
        for log_ms, kind, stamp_ms in sorted(events):
            stamp, log = START_NS + stamp_ms * 1_000_000, START_NS + log_ms * 1_000_000
            if kind == "cloud":
                writer.cloud(stamp, log, {name: np.linspace(1, 20, 1000).astype(np.float32) for name in "xyz"})
            else:
                writer.camera_info(stamp, log, camera)
                writer.image(stamp, log, np.zeros((48, 64, 3), np.uint8))


def play_to_the_tracker(folder: Path, *parameters: str) -> tuple[dict[str, Any], dict[str, str], str]:
    """The real tracker on simulated time: the player's report, what the tracker says of its pairs, what the player says."""
    words = ["use_sim_time:=true", "camera.T_camera_lidar:=[1.,0.,0.,0.,0.,1.,0.,0.,0.,0.,1.,0.,0.,0.,0.,1.]"]
    command = [sys.executable, "-m", "emgait_ros.nodes.pedestrian_tracker", "--ros-args"]
    command += [word for pair in (*words, *parameters) for word in ("-p", pair)]
    graph = LiveGraph()
    tracker = subprocess.Popen(command)
    try:
        answers_topic = "/pedestrian_tracker/pedestrians"
        play = [sys.executable, "-m", "emgait_ros", "play", str(folder / "bag"), "--clock", "--wait", "120"]
        play += ["--follow", answers_topic, "--json", str(folder / "report.json")]
        said = subprocess.run(play, check=True, timeout=400, capture_output=True, text=True).stderr
        report = json.loads((folder / "report.json").read_text())
        pairs = lambda: graph.values("pedestrian_tracker: pairing")  # noqa: E731  # told every second
        graph.wait(lambda: sum(int(pairs().get(name, 0)) for name in ("paired", "unpaired")) >= 30)
    finally:
        tracker.terminate()
        tracker.wait(60)
        graph.close()
    return report, pairs(), " ".join(said.split())


@pytest.mark.parametrize("late_ms", [0, 150, 400])
def test_late_images_are_paired_by_the_real_tracker_as_offline(tmp_path: Path, late_ms: int) -> None:
    record_late_images(tmp_path / "bag", late_ms)
    report, values, _ = play_to_the_tracker(tmp_path)
    assert report["unanswered"] == 0, report
    assert (values["paired"], values["unpaired"]) == ("30", "0"), values
    assert float(values["dt_p95_ms"]) < 5.0
    config = TrackerNodeConfig(camera=CameraConfig(T_camera_lidar=tuple(np.eye(4).ravel())))
    with BagRecording(tmp_path / "bag") as bag:
        assert [frame.image_dt_s for frame in bag.sensor_frames(config)] == pytest.approx([0.004] * 30, abs=1e-3)


def test_a_tracker_that_waits_for_images_of_another_topic_answers_all_the_same(tmp_path: Path) -> None:
    """The tracker waits by /clock, which the player stops while it waits for the tracker."""
    record_late_images(tmp_path / "bag", 0)
    report, values, said = play_to_the_tracker(tmp_path, "topics.image:=/elsewhere")
    assert report["unanswered"] == 0, said
    assert (values["paired"], values["unpaired"]) == ("0", "30"), values
    assert said.count("waiting for /pedestrian_tracker to answer on /pedestrian_tracker/pedestrians") == 1
    assert "nobody subscribes to /camera/image, which is played" in said
