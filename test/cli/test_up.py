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
from typing import Any

import pytest
import yaml

from emgait_ros.cli import up
from emgait_ros.cli.main import main
from emgait_ros.starting import NODES


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    up.configure(parser)
    return parser.parse_args(words)


def parameters(words: list[str]) -> dict[str, Any]:
    """What the last parameter file of a command line sets."""
    files = [word for flag, word in itertools.pairwise(words) if flag == "--params-file"]
    if not files:
        return {}
    (block,) = yaml.safe_load(Path(files[-1]).read_text()).values()
    return block["ros__parameters"]


@pytest.mark.parametrize(
    ("words", "tracker", "recognizer"),
    [
        ((), {}, {}),
        (
            ("--cloud", "/points", "--image", "/img", "--camera-info", "/info", "--compressed"),
            {
                "topics.cloud": "/points",
                "topics.image": "/img",
                "topics.camera_info": "/info",
                "topics.image_compressed": True,
            },
            {},
        ),
        # no camera: an empty string is a value too
        (("--image", ""), {"topics.image": ""}, {}),
        (("--use-sim-time", "--overlay"), {"use_sim_time": True, "camera.overlay": True}, {"use_sim_time": True}),
        (("--gallery", "/data/my: people.db"), {}, {"gallery.path": "/data/my: people.db"}),
        (("--bundle", "/models/x"), {}, {"engine.bundle": "/models/x"}),
        # a namespace changes no parameter
        (("--namespace", "robot1", "--namespaced-tf"), {}, {}),
    ],
)
def test_command_lines(tmp_path, words, tracker, recognizer):
    args = parsed(*words)
    assert parameters(up.command_of("pedestrian_tracker", args, tmp_path)) == tracker
    assert parameters(up.command_of("gait_recognizer", args, tmp_path)) == recognizer


def test_what_is_given_comes_after_your_file(tmp_path):
    mine = tmp_path / "mine.yaml"
    words = up.command_of("gait_recognizer", parsed("--params", str(mine), "--gallery", "/g.db"), tmp_path)
    files = [word for flag, word in itertools.pairwise(words) if flag == "--params-file"]
    assert files == [str(mine), str(tmp_path / "gait_recognizer.yaml")]


@pytest.mark.parametrize(
    ("words", "remappings"),
    [
        ((), []),
        (("--namespace", "robot1"), ["__ns:=/robot1"]),
        (("--namespace", "/fleet/robot1/"), ["__ns:=/fleet/robot1"]),
        (("--namespace", "robot1", "--namespaced-tf"), ["__ns:=/robot1", "/tf:=tf", "/tf_static:=tf_static"]),
    ],
)
def test_remappings(tmp_path, words, remappings):
    for node in NODES:
        command = up.command_of(node, parsed(*words), tmp_path)
        assert [word for flag, word in itertools.pairwise(command) if flag == "-r"] == remappings


@pytest.mark.parametrize(("words", "started"), [((), []), (("--console", "--namespace", "robot1"), ["robot1"])])
def test_the_console_comes_along_when_asked_for(monkeypatch, words, started):
    commands: dict[str, list[str]] = {}
    monkeypatch.setattr(up, "supervise", lambda given, environment: commands.update(given) or 0)
    assert main(["up", *words]) == 0
    assert [command[-1] for name, command in commands.items() if name not in NODES] == started
    assert commands.get("console", [])[-3:-1] == (["console", "--namespace"] if started else [])


def test_a_missing_parameter_file_is_said(tmp_path, capsys):
    assert main(["up", "--params", str(tmp_path / "none.yaml")]) == 1
    assert "there is no parameter file" in capsys.readouterr().err


SLEEP = [sys.executable, "-u", "-c", "import time; print('here', flush=True); time.sleep(3600)"]


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
    assert up.supervise({"sleeps": SLEEP, "dies": dies}, os.environ) == status
    out, err = capfd.readouterr()
    assert f"dies ended with status {status}" in err
    assert all(line.startswith("[") for line in out.splitlines())


def test_a_signal_stops_both(capfd, tmp_path):
    before, signs = signal.getsignal(signal.SIGINT), [tmp_path / "one", tmp_path / "two"]

    def interrupt():
        """Once both have printed."""
        while not all(sign.exists() for sign in signs):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    program = (
        "import pathlib, sys, time; print('here', flush=True); pathlib.Path(sys.argv[1]).touch(); time.sleep(3600)"
    )
    commands = {sign.name: [sys.executable, "-u", "-c", program, str(sign)] for sign in signs}
    assert up.supervise(commands, os.environ) == 0
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
    ended = subprocess.run(words, cwd=repository, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "[gait_recognizer] " in ended.stdout
    assert "gait_recognizer ended with status 1" in ended.stderr
    assert "Traceback" not in ended.stdout
    assert Path(gallery).read_bytes() == b"no database" * 200


@pytest.mark.ros
def test_a_robot_in_a_namespace_stays_in_it(repository, tmp_path):
    """All that both nodes subscribe to lies in the namespace, and what the tracker finds reaches the recognizer."""
    pytest.importorskip("rclpy")
    sys.path.insert(0, str(repository / "test" / "helpers"))
    from live_graph import LiveGraph, cloud, street, topics_outside

    from emgait_msgs.msg import IdentityArray

    params = tmp_path / "params.yaml"  # as `emgait simulate` writes it, with a topic of its own
    params.write_text("/**/pedestrian_tracker:\n  ros__parameters: {topics.cloud: points}\n")
    options = ["--namespace", "up_robot", "--namespaced-tf", "--params", str(params), "--image", ""]
    words = [sys.executable, "-m", "emgait_ros", "up", *options, "--gallery", str(tmp_path / "gallery.db")]
    graph = LiveGraph()
    process = subprocess.Popen(words, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        answers, count = graph.collect(IdentityArray, "/up_robot/gait_recognizer/identities"), itertools.count(1)
        assert graph.wait(lambda: graph.node.count_subscribers("/up_robot/points"), 120.0)
        send = lambda: graph.publish("/up_robot/points", cloud(street(), next(count) * 100_000_000))  # noqa: E731
        assert graph.wait(lambda: answers, 120.0, send)
        assert [topics_outside(graph, name, "/up_robot") for name in NODES] == [set(), set()]
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        graph.close()
    assert process.returncode == 0, output


@pytest.mark.parametrize("namespace", ["1 bad", "robot-1", "a//b c"])
def test_a_namespace_that_ros_cannot_take_is_a_sentence(namespace, capsys):
    assert main(["up", "--namespace", namespace]) == 1
    assert f"--namespace is '{namespace}'" in capsys.readouterr().err
