"""``emgait evaluate detection``: from folders of labelled clouds to tables, JSON and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic_clouds import person, scan

from emgait_ros.cli.main import main


def write_cloud(file: Path, solids: list, labels: list[tuple[float, float]]) -> None:
    file.parent.mkdir(exist_ok=True)
    boxes = np.array([[0, x, y, -0.85, 0.9, 0.8, 1.8, 0] for x, y in labels], np.float32).reshape(-1, 8)
    np.savez(file, xyz=scan(solids), boxes=boxes)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two labelled people in two clouds, a third who is not labelled; and in another folder a post labelled as a person."""
    one, other = (tmp_path_factory.mktemp("sites") / name for name in ("one", "other"))
    write_cloud(one / "a_0001.npz", person(10, 0), [(10, 0)])
    write_cloud(one / "a_0002.npz", person(10, 1) + person(12, -4), [(10, 1)])
    write_cloud(other / "b_0001.npz", [("cylinder", (10.0, 0.0, 0.1, 0.0, 1.0))], [(10, 0)])
    return one, other


def evaluate(*words: object) -> int:
    return main(["evaluate", "detection", *map(str, words)])


def test_two_folders(sites, tmp_path, capsys):
    file, pictures = tmp_path / "f.json", tmp_path / "deep" / "pictures"
    assert evaluate(*sites, "--json", file, "--pictures", pictures) == 0
    figures = json.loads(file.read_text())
    assert (figures["clouds"], figures["people"], figures["found"]) == (3, 3, 2)
    assert (figures["false"], figures["false_in_view"], figures["missed"]["score"]) == (1, 1, 1)
    assert [folder["found"] for folder in figures["folders"]] == [2, 0]
    ranges = figures["by_range"]["all"]  # neither cloud says whether it was night
    assert {name: (row["all"]["people"], row["10-20 m"]["recall"]) for name, row in ranges.items()}["0.5 m"] == (
        3,
        0.6667,
    )
    assert figures["view"] == {"npz": "+-45 degrees about the LiDAR's x axis"}
    (miss,) = figures["folders"][1]["files"][0]["missed"]
    assert (miss["reason"], miss["range_m"]) == ("score", 10.0)
    (false,) = figures["folders"][0]["files"][1]["false_detections"]
    assert np.hypot(*(np.array(false["place"][:2]) - (12, -4))) < 0.3
    assert sorted(path.name for path in pictures.iterdir()) == ["one.png", "other.png", "precision_recall.png"]
    printed = capsys.readouterr().out
    assert "one/a_0002" in printed
    assert "66.7 %" in printed
    assert "missed: score 1" in printed


@pytest.mark.parametrize(
    ("option", "reason"), [("detector.min_points: 1000", "gate"), ("detector.max_range_m: 9.0", "no peak"), ("", None)]
)
def test_options_of_the_detector(sites, tmp_path, option, reason, capsys):
    params, file = tmp_path / "p.yaml", tmp_path / "f.json"
    params.write_text(f"pedestrian_tracker:\n  ros__parameters:\n    frames.wrong: 1\n    {option}\n")
    assert evaluate(sites[0], "--params", params, "--json", file) == 0
    figures = json.loads(file.read_text())
    assert figures["missed"] == dict.fromkeys(figures["missed"], 0) | ({reason: 2 - figures["found"]} if reason else {})
    assert (figures["found"] < 2) == (reason is not None)
    assert "no node has a parameter 'frames.wrong'" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing"], "missing is no folder"),
        (["one", "--range", 0], "--range is 0"),
        (["one", "--range", "nan"], "--range is nan"),
        (["one", "--range", "inf"], "--range is inf"),
        (["one", "--returns", 0], "--returns is 0"),
        (["one", "--within", 0], "--within is 0"),
        (["one", "--view", 200], "--view is 200"),
        (["one", "--most-pictures", 0], "--most-pictures is 0"),
        (["one", "--json", "/nowhere/at/all.json"], "/nowhere/at is missing"),
        (["one", "--params", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_wrong_use_is_a_sentence(sites, capsys, words, sentence):
    assert evaluate(*[sites[0] if word == "one" else word for word in words]) == 1
    assert sentence in capsys.readouterr().err
