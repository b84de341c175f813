"""`emgait up`: the command lines it makes, and how it supervises what it started."""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from emgait_ros.cli import up
from emgait_ros.cli.main import main


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    up.configure(parser)
    return parser.parse_args(words)


def parameters(words: list[str]) -> dict[str, str]:
    """The -p options of a command line."""
    return dict(word.split(":=", 1) for flag, word in itertools.pairwise(words) if flag == "-p")


@pytest.mark.parametrize(
    ("words", "tracker", "recognizer"),
    [
        ((), {}, {}),
        (
            ("--cloud", "/points", "--image", "/img", "--camera-info", "/info", "--compressed"),
            {
                "topics.cloud": '"/points"',
                "topics.image": '"/img"',
                "topics.camera_info": '"/info"',
                "topics.image_compressed": "true",
            },
            {},
        ),
        # no camera: an empty string is a value too
        (("--image", ""), {"topics.image": '""'}, {}),
        (("--use-sim-time", "--overlay"), {"use_sim_time": "true", "camera.overlay": "true"}, {"use_sim_time": "true"}),
        # blanks and colons survive: the value is quoted as YAML wants it
        (("--gallery", "/data/my: people.db"), {}, {"gallery.path": '"/data/my: people.db"'}),
        (("--bundle", "/models/x"), {}, {"engine.bundle": '"/models/x"'}),
    ],
)
def test_command_lines(words, tracker, recognizer):
    args = parsed(*words)
    assert parameters(up.command_of("pedestrian_tracker", args)) == tracker
    assert parameters(up.command_of("gait_recognizer", args)) == recognizer


def test_your_parameters_come_after_the_shipped_ones(repository, tmp_path):
    mine = tmp_path / "mine.yaml"
    words = up.command_of("gait_recognizer", parsed("--params", str(mine)))
    files = [word for flag, word in itertools.pairwise(words) if flag == "--params-file"]
    assert files == [str(repository / "config" / "gait_recognizer.yaml"), str(mine)]


def test_a_missing_parameter_file_is_said(tmp_path, capsys):
    assert main(["up", "--params", str(tmp_path / "none.yaml")]) == 1
    assert "there is no parameter file" in capsys.readouterr().err


SLEEP = [sys.executable, "-u", "-c", "import time; print('here', flush=True); time.sleep(60)"]


@pytest.mark.parametrize(
    ("dies", "status"),
    [
        ([sys.executable, "-c", "raise SystemExit(3)"], 3),
        ([sys.executable, "-c", "print('done')"], 0),
        # killed from outside: as a shell says it
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], 137),
    ],
)
def test_when_one_ends_the_other_is_stopped(dies, status, capfd):
    begun = time.monotonic()
    assert up.supervise({"sleeps": SLEEP, "dies": dies}, os.environ) == status
    assert time.monotonic() - begun < 20
    out, err = capfd.readouterr()
    assert f"dies ended with status {status}" in err
    assert all(line.startswith("[") for line in out.splitlines())


def test_a_signal_stops_both(capfd):
    before = signal.getsignal(signal.SIGINT)
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    assert up.supervise({"one": SLEEP, "two": SLEEP}, os.environ) == 0
    out, _ = capfd.readouterr()
    assert "[one] here" in out
    assert "[two] here" in out
    assert signal.getsignal(signal.SIGINT) is before, "handlers are put back"


@pytest.mark.ros
def test_both_nodes_start_and_stop(repository, tmp_path):
    """The real nodes, with a gallery that is damaged: the recognizer ends, and so does everything, with its status."""
    pytest.importorskip("rclpy")
    gallery = tmp_path / "gallery.db"
    gallery.write_bytes(b"no database" * 200)
    words = [sys.executable, "-m", "emgait_ros", "up", "--gallery", str(gallery), "--cloud", "/up/points"]
    ended = subprocess.run(words, cwd=repository, capture_output=True, text=True, timeout=90, check=False)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "[pedestrian_tracker] " in ended.stdout
    assert "[gait_recognizer] " in ended.stdout
    assert "gait_recognizer ended with status 1" in ended.stderr
    assert "Traceback" not in ended.stdout
    assert Path(gallery).read_bytes() == b"no database" * 200
