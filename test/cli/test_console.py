"""`emgait console`: what it needs, what it refuses, and that the built package has its page."""

import argparse
import subprocess
import sys

import pytest

from emgait_ros.cli import console
from emgait_ros.cli.main import main


@pytest.mark.parametrize(
    ("words", "namespace", "ros"),
    [
        ([], "", ["--ros-args"]),
        (["--namespace", "robot1"], "robot1", ["--ros-args", "-r", "__ns:=/robot1"]),
        # as ros2 launch starts it
        (["--ros-args", "-r", "__ns:=/robot1", "-r", "a:=b"], "", ["--ros-args", "-r", "__ns:=/robot1", "-r", "a:=b"]),
    ],
)
def test_what_follows_ros_args_is_for_ros(words, namespace, ros):
    parser = argparse.ArgumentParser()
    console.configure(parser)
    args = parser.parse_args(words)
    assert args.namespace == namespace
    assert console.ros_words(args.namespace, args.ros_args) == ros


@pytest.mark.parametrize("words", [["--port", "70000"], ["--picture-hz", "0"], ["--map-hz", "1000"]])
def test_a_value_that_cannot_be_is_a_sentence(words, capsys):
    assert main(["console", *words]) == 1
    assert "allowed is" in capsys.readouterr().err


def test_without_aiohttp_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    for name in [name for name in sys.modules if name.startswith("emgait_ros.console.")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["console", "--data", str(tmp_path)]) == 1
    assert "pip install aiohttp" in capsys.readouterr().err


def test_the_built_package_has_the_page(repository, tmp_path):
    command = [
        sys.executable, "setup.py", "-q", "egg_info", "-e", str(tmp_path), "build_py", "--build-lib",
        str(tmp_path / "lib"),
    ]  # fmt: skip
    subprocess.run(command, cwd=repository, check=True, capture_output=True, timeout=120)
    static = "emgait_ros/console/static"
    expected = {path.name for path in (repository / static).iterdir()}
    assert {path.name for path in (tmp_path / "lib" / static).iterdir()} == expected
    assert {"index.html", "console.js", "console.css"} <= expected
