"""`emgait play --follow` over real DDS: it keeps step with whoever answers, and plays on when nobody does."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import PointCloud2  # noqa: E402

from emgait_msgs.msg import IdentityArray  # noqa: E402
from emgait_ros.nodes import answers  # noqa: E402
from emgait_ros.nodes.answers import stamp_of  # noqa: E402
from emgait_ros.simulation.recording import BagWriter  # noqa: E402
from emgait_ros.transport import use_shipped_profile  # noqa: E402

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


class Answerer:
    """Answers each cloud after a while, in a thread; None: never."""

    def __init__(self, after_s: float | None) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("answerer", context=self.context)
        self.received_s: list[float] = []
        self._after_s = after_s
        self._publisher = self.node.create_publisher(IdentityArray, TOPIC, 10)
        self.node.create_subscription(PointCloud2, "/lidar/points", self._answer, 10)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _answer(self, message: PointCloud2) -> None:
        self.received_s.append(time.monotonic())
        if self._after_s is not None:
            time.sleep(self._after_s)
            self._publisher.publish(IdentityArray(header=message.header))

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def answerer(request: pytest.FixtureRequest) -> Iterator[Answerer]:
    made = Answerer(request.param)
    yield made
    made.close()


def follow(bag: Path, report: Path, *words: str) -> tuple[int, str, dict[str, Any]]:
    """Play and follow; exit status, what it said, and its report."""
    command = [sys.executable, "-m", "emgait_ros", "play", str(bag), "--follow", TOPIC, "--json", str(report), *words]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return process.returncode, process.stderr, json.loads(report.read_text()) if report.is_file() else {}


@pytest.mark.parametrize("answerer", [0.2], indirect=True)
def test_a_slow_listener_is_waited_for(answerer: Answerer, bag: Path, tmp_path: Path) -> None:
    status, said, report = follow(bag, tmp_path / "report.json")
    assert status == 0, said
    assert len(answerer.received_s) == CLOUDS
    assert min(np.diff(answerer.received_s)) >= 0.2, "the next cloud must not come before the answer"
    assert report["unanswered"] == 0
    assert report["held_s"] > (CLOUDS - 2) * (0.2 - PERIOD_S)
    assert "this machine is slower than the recording" in said


@pytest.mark.parametrize("answerer", [0.0], indirect=True)
def test_a_fast_listener_gets_the_pace_of_the_recording(answerer: Answerer, bag: Path, tmp_path: Path) -> None:
    status, said, report = follow(bag, tmp_path / "report.json")
    assert (status, len(answerer.received_s)) == (0, CLOUDS), said
    assert report["seconds"] >= (CLOUDS - 1) * PERIOD_S


@pytest.mark.parametrize("answerer", [None], indirect=True)
def test_without_answers_it_plays_on(answerer: Answerer, bag: Path, tmp_path: Path) -> None:
    impatient = (
        "import sys\nfrom emgait_ros.nodes import answers\nfrom emgait_ros.cli.main import main\n"
        "answers.FIRST_PATIENCE_S = answers.PATIENCE_S = 0.1\nsys.exit(main(sys.argv[1:]))"
    )
    words = ["play", str(bag), "--follow", TOPIC, "--json", str(tmp_path / "r.json")]
    process = subprocess.run(
        [sys.executable, "-c", impatient, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 0, process.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["published"]["/lidar/points"] == CLOUDS
    assert report["unanswered"] == answers.MOST_UNANSWERED, "after that many in a row nothing is waited for"
    assert "5 clouds were never answered" in process.stderr


def test_nobody_to_follow_is_an_error(bag: Path, tmp_path: Path) -> None:
    status, said, report = follow(bag, tmp_path / "report.json", "--wait", "0.3")
    assert (status, report) == (1, {})
    assert f"nobody publishes {TOPIC}" in " ".join(said.split())


@pytest.mark.parametrize(("order", "flag"), [("little", 1), ("big", 0)])
def test_the_stamp_is_read_in_both_byte_orders(order: str, flag: int) -> None:
    raw = bytes([0, flag, 0, 0]) + (7).to_bytes(4, order) + (250).to_bytes(4, order) + b"\0" * 8
    assert stamp_of(raw) == 7_000_000_250
