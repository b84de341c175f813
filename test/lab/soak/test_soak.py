"""`emgait soak` and `emgait bench live` in small: the real nodes over DDS, judged by states and counts, never by time."""

import contextlib
import json
import math
import os
import signal
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from live_graph import PATIENCE_S, SpunNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from emgait_msgs.msg import PedestrianArray
from emgait_ros.cli import soak as command
from emgait_ros.cli.main import main
from emgait_ros.config import TrackerTopicsConfig
from emgait_ros.lab.bench.live import people_walking
from emgait_ros.lab.soak.graph import Graph
from emgait_ros.lab.soak.robot import wait_until
from emgait_ros.lab.soak.soak import SoakPlan, slope


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (lambda hour: 400.0 + 3.0 * hour, 3.0),
        (lambda hour: 400.0 + np.sin(40 * hour), 0.0),
        # what grows at first only is no leak
        (lambda hour: 400.0 + 100.0 * min(hour, 1.0), 0.0),
        (lambda hour: 400.0 + 3.0 * min(hour, 2.0), 0.19),  # all after the first hour counts
    ],
)
def test_the_slope_is_that_of_the_later_part_within_its_error(values, expected):
    hours = [n / 20 for n in range(1, 161)]
    found, error = slope(hours, [values(hour) for hour in hours])
    assert abs(found - expected) <= max(error, 1e-6)
    assert error < 1.0


def test_too_short_for_a_slope():
    assert all(math.isnan(value) for value in slope([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]))


@pytest.mark.ros
@pytest.mark.parametrize("with_tracker", [False, True])
def test_it_is_ready_once_the_recognizer_listens_too(with_tracker):
    """Its own subscription to the tracker is not the recognizer's."""
    listener, topics = SpunNode("listener"), TrackerTopicsConfig()
    try:
        for kind, topic in ((CameraInfo, topics.camera_info), (Image, topics.image), (PointCloud2, topics.cloud)):
            listener.node.create_subscription(kind, topic, print, 1)
        with Graph(with_tracker) as graph:
            heard = lambda: all(sender.get_subscription_count() for sender in graph._senders)  # noqa: E731
            assert wait_until(heard, PATIENCE_S)
            assert not graph.ready()
            listener.node.create_subscription(PedestrianArray, "pedestrian_tracker/pedestrians", print, 1)
            assert wait_until(graph.ready, PATIENCE_S)
    finally:
        listener.start()
        listener.close()


@pytest.mark.ros
def test_two_at_once_on_one_domain_are_refused(monkeypatch):
    monkeypatch.setattr("emgait_ros.lab.soak.graph.FORGOTTEN_S", 1.0)
    with Graph() as first:
        with Graph() as second, pytest.raises(ValueError, match="ROS_DOMAIN_ID"):
            second.alone()
        monkeypatch.undo()
        first.alone()


def interrupt_after(file):
    """Ctrl-C as soon as the file is there."""
    while not file.is_file():
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)


@contextlib.contextmanager
def asked_already():
    """Ctrl-C came while the first answers were compared."""
    asked = threading.Event()
    asked.set()
    yield asked


@pytest.mark.ros
@pytest.mark.parametrize("stopped", ["never", "by Ctrl-C", "before the first round"])
def test_a_short_soak_loses_nothing_and_answers_alike(tmp_path, monkeypatch, capsys, stopped):
    minutes = 0.3 if stopped == "never" else 600
    if stopped == "by Ctrl-C":
        threading.Thread(target=interrupt_after, args=(tmp_path / "out/copy.backup",), daemon=True).start()
    elif minutes > 1:
        monkeypatch.setattr("emgait_ros.lab.soak.soak.asked_to_stop", asked_already)
    small = {"seconds": 6.0}
    monkeypatch.setattr("emgait_ros.lab.soak.soak.ANSWER_S", 30.0)  # a busy machine is late, and loses nothing
    monkeypatch.setattr(command, "SoakPlan", lambda **options: SoakPlan(**options, **small))
    file = tmp_path / "soak.json"
    words = ["--minutes", str(minutes), "--kills", "1", "--people", "20", "--width", "320", "--json", str(file)]
    assert main(["soak", *words, "--out", str(tmp_path / "out")]) == 0, capsys.readouterr()
    figures = json.loads(file.read_text())
    assert 0 < figures["simulated_hours"] < 0.02
    assert figures["lost_answers"] == 0
    assert figures["identical_answers"]
    assert figures["compared_answers"] >= 50
    assert figures["unanswered"] <= 2
    assert (figures["kills"], figures["enrolled"] >= 3) == (1, True)
    for what in ("files", "threads"):
        first, most, last = figures[what]
        assert last <= most <= first + 3, what
    assert figures["wal_mb_max"] < 10
    assert figures["log_mb"] < 1
    assert 0 < figures["tracks_max"] < 30


@pytest.mark.ros
def test_live_figures_of_two_people(tmp_path, capsys):
    file = tmp_path / "live.json"
    words = ["--people", "2", "--seconds", "2", "--beams", "32", "--width", "320", "--json", str(file)]
    assert main(["bench", "live", *words]) == 0
    figures = json.loads(file.read_text())
    row = figures["by_people"]["2"]
    assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"]
    assert (row["frames"], row["lost"] < 20) == (20, True)
    assert 1 <= row["people_in_view"] <= 4
    assert all(row["memory_mb"][name] > 50 < 5000 for name in ("pedestrian_tracker", "gait_recognizer"))
    assert {"sense_ms", "encode_ms", "match_ms"} <= set(row["stages_ms"])
    assert "people_in_view" in capsys.readouterr().out


def test_people_stay_on_the_road():
    walks = people_walking(32).walks
    assert len({walk.points[0] for walk in walks}) == 32
    assert max(abs(walk.points[0][1]) for walk in walks) < 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["soak", "--minutes", "0"], "must be above 0"),
        (["bench", "live", "--seconds", "0"], "at least 1"),
        (["bench", "live", "--people", "33"], "from 1 to 32"),
    ],
)
def test_what_is_not_possible_is_said(words, said, capsys):
    assert main(words) == 1
    assert said in capsys.readouterr().err
