"""What commands write: refused when the command line is read if it cannot be written, whole or not at all otherwise."""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pytest

from emgait_ros.cli import main as cli
from emgait_ros.cli.outputs import output_file, output_folder, write_json
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.tensorrt_builder import cache_folder as engines_folder
from emgait_ros.shipped import cache_folder

FILE, FOLDER = "a file", "a folder"
OUTPUTS = [  # words before the output, and what it is
    (["adapt", "x", "--out"], FOLDER),
    (["adapt", "x", "--out", ".", "--json"], FILE),
    (["bench", "fleet", "--json"], FILE),
    (["bench", "gallery", "--json"], FILE),
    (["bench", "live", "--json"], FILE),
    (["bench", "model", "--json"], FILE),
    (["bench", "perception", "--json"], FILE),
    (["bench", "simulator", "--json"], FILE),
    (["bench", "simulator", "--kitti", "x", "--beside"], FILE),
    (["bench", "simulator", "--pictures"], FOLDER),
    (["bench", "tracking", "--json"], FILE),
    (["bench", "tracking", "--out"], FOLDER),
    (["console", "--data"], FOLDER),
    (["dataset", "check", "x", "--json"], FILE),
    (["demo", "--out"], FOLDER),
    (["demo-real", "x", "--out"], FOLDER),
    (["doctor", "--json"], FILE),
    (["enroll", "x", "--json"], FILE),
    (["evaluate", "bag", "x", "--json"], FILE),
    (["evaluate", "bag", "x", "--mcap"], FOLDER),
    (["evaluate", "detection", "x", "--json"], FILE),
    (["evaluate", "detection", "x", "--pictures"], FOLDER),
    (["evaluate", "misuse", "--json"], FILE),
    (["evaluate", "dataset", "sim", "--json"], FILE),
    (["evaluate", "dataset", "sim", "--html"], FILE),
    (["evaluate", "dataset", "sim", "--data"], FOLDER),
    (["evaluate", "table", "lrgait", "--out"], FOLDER),
    (["export", "--to", "onnx", "--json"], FILE),
    (["export", "--to", "onnx", "--out"], FOLDER),
    (["fit-alone", "--json"], FILE),
    (["fit-alone", "--out"], FOLDER),
    (["fit-alone", "--runs"], FOLDER),
    (["gallery", "backup"], FILE),
    (["gallery", "calibrate", "--walks"], FOLDER),
    (["gallery", "export"], FILE),
    (["gallery", "list", "--json"], FILE),
    (["play", "x", "--json"], FILE),
    (["simulate", "x", "--json"], FILE),
    (["simulate"], FOLDER),
    (["soak", "--json"], FILE),
    (["soak", "--out"], FOLDER),
    (["train", "x", "--json"], FILE),
    (["train-detector"], FOLDER),
    (["train-detector", "x", "--json"], FILE),
    (["train-detector", "x", "--shards"], FOLDER),
]


@pytest.mark.parametrize(("words", "kind"), OUTPUTS)
def test_an_output_that_cannot_be_is_refused_before_any_work(words, kind, tmp_path, capsys):
    (tmp_path / "occupied").write_text("")
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, str(tmp_path / "occupied" / "deeper" / "out")])
    assert ended.value.code == 2
    assert f"{tmp_path / 'occupied'} is no folder" in capsys.readouterr().err
    if kind == FILE:
        with pytest.raises(SystemExit):
            cli.main([*words, str(tmp_path)])
        assert "is a folder: expected a file to write" in capsys.readouterr().err


def test_every_output_of_the_command_line_is_in_the_table():
    """An argument of type ``Path`` is read; what is written has a type that looks at it."""
    folder = Path(cli.__file__).parent
    lines = [line for path in folder.glob("*.py") for line in path.read_text(encoding="utf-8").splitlines()]
    assert sum("type=output_" in line for line in lines) == len(OUTPUTS)
    assert not [line for line in lines if "type=Path" in line and ("write" in line or '"--json"' in line)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("kind", [output_file, output_folder])
def test_what_may_not_be_written_is_refused(kind, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(argparse.ArgumentTypeError, match="you have no right to write in"):
        kind(str(tmp_path / "locked" / "new"))


def test_missing_folders_are_made_when_it_is_written(tmp_path):
    file = output_file(str(tmp_path / "a" / "b" / "figures.json"))
    assert list(tmp_path.iterdir()) == []
    write_json(file, {"who": "Zoë", "where": Path("x"), "share": np.float32(0.5)})
    assert json.loads(file.read_text(encoding="utf-8")) == {"who": "Zoë", "where": "x", "share": 0.5}
    assert [path.name for path in file.parent.iterdir()] == ["figures.json"]
    write_json(None, {})
    assert write_json(output_file("/dev/null"), {}) is None


def test_what_can_be_made_again_is_in_one_folder(monkeypatch, tmp_path):
    for variable, root in (("XDG_CACHE_HOME", tmp_path), ("HOME", tmp_path / ".cache")):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setenv(variable, str(tmp_path))
        folder = root / "emgait_ros"
        assert cache_folder("calibration-walks") == folder / "calibration-walks"
        assert engines_folder(load_bundle("")).parent == folder / "engines"
