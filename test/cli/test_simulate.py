"""`emgait simulate`: writes a bag, says what is in it, and refuses what makes no sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emgait_ros.cli.main import main
from emgait_ros.recordings.bag import BagRecording


def test_a_bag_and_its_story_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, story = tmp_path / "walk", tmp_path / "walk.json"
    words = ["simulate", str(out), "--scene", "crossing", "--seconds", "0.5", "--json", str(story)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "5 clouds and 14 images" in printed
    assert "(simulated)" in printed
    assert [walk["name"] for walk in json.loads(story.read_text())["walks"]] == ["Anna"]
    assert (tmp_path / "walk.params.yaml").is_file()
    with BagRecording(out) as bag:
        image = bag.deserialize(next(bag.messages(["/camera/image"])))
        assert (image.width, image.height) == (1280, 720)
    # again: refused, unless told to overwrite
    assert main(words) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "phrase"),
    [
        (["--seconds", "0"], "--seconds is 0: expected more than 0"),
        (["--seed", "-1"], "--seed is -1"),
        (["--storage", "sqlite3", "--compress"], "only mcap compresses"),
    ],
)
def test_wrong_use_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], phrase: str) -> None:
    assert main(["simulate", str(tmp_path / "walk"), *words]) == 1
    assert phrase in capsys.readouterr().err
    assert not (tmp_path / "walk").exists()
