"""``emgait evaluate dataset``: from a folder to table, JSON and page with the shipped bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recorded_trees import (
    dump,
    write_freegait,
    write_lreid_compact,
    write_lreid_tree,
    write_lrgait,
    write_mmgait,
    write_sustech1k,
)

from emgait_ros.cli.main import main

KEYS = {"rank1_overall", "mAP", "mINP", "EER", "TAR_at_FAR_1pct", "DIR_at_FAR_1pct"}


def evaluate(*arguments: object) -> int:
    return main(["evaluate", "dataset", *map(str, arguments)])


def test_sustech1k(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = write_sustech1k(tmp_path / "set", identities=(0, 1, 2, 3))
    partition = tmp_path / "SUSTech1K.json"
    partition.write_text(json.dumps({"TRAIN_SET": ["0000"], "TEST_SET": ["0001", "0002", "0003"]}))
    figures, page = tmp_path / "figures.json", tmp_path / "page.html"
    assert evaluate("sustech1k", root, "--partition", partition, "--json", figures, "--html", page) == 0
    found = json.loads(figures.read_text())
    assert found["identities"] == 3
    assert (found["probes"], found["gallery_sequences"]) == (3 * 3 * 2, 3 * 2)
    assert {f"rank{k}_overall" for k in range(1, 6)} <= set(found)
    for key in KEYS:
        low, high = found[f"{key}_ci95"]
        assert low <= found[key] <= high or key == "EER"
    assert set(found["baselines"]) == {"body height", "cloud extents", "number of points", "mean crop colour"}
    assert {"rank1", "rank1_ci95", "rank1_n", "mAP", "EER"} <= set(found["by_group"]["clothing"])
    assert found["simulated"] is False
    text = page.read_text()
    assert text.count("<svg") >= 4
    assert "http" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons", ""
    ).replace("https://matplotlib.org", "")
    assert "SUSTech1K: gallery 00-nm" in capsys.readouterr().out


@pytest.mark.parametrize("write", [write_freegait, write_lrgait, write_mmgait])
def test_other_sets(tmp_path: Path, capsys: pytest.CaptureFixture, write) -> None:
    name = write.__name__.removeprefix("write_")
    root = write(tmp_path / "set", (1, 2, 3, 4))
    assert evaluate(name, root, "--json", tmp_path / "figures.json") == 0
    assert set(json.loads((tmp_path / "figures.json").read_text())) >= KEYS
    assert "everybody in the folder was scored" in capsys.readouterr().out


LREID = "real people, LiDAR alone, same pass, other LiDAR"


@pytest.mark.parametrize(
    ("write", "part"),
    [
        (lambda root, seen: write_lreid_compact(root, {100 + n: lidars for n, lidars in seen.items()}, 30), "all"),
        (lambda root, seen: write_lreid_tree(root, {}, seen), "test"),
    ],
)
def test_lreid(tmp_path: Path, capsys: pytest.CaptureFixture, write, part: str) -> None:
    root = write(tmp_path / "set", {person: (1, 4) for person in range(6)})
    figures, page = tmp_path / "figures.json", tmp_path / "page.html"
    assert evaluate("lreid", root, "--json", figures, "--html", page) == 0
    found = json.loads(figures.read_text())
    assert (found["people"], found["probes"], found["part"], found["simulated"]) == (6, 6, part, False)
    for key in ("rank1", "rank5", "mAP", "EER", "TAR_at_FAR_1pct"):
        low, high = found[f"{key}_ci95"]
        assert 0 <= low <= high <= 100
        assert 0 <= found[key] <= 100
    assert found["baselines"]["height + speed"]["rank1"] == 100.0  # the made-up people differ in both
    assert (found["open_set"]["enrolled"], found["open_set"]["draws"]) == (4, 200)
    assert {"named_rightly", "named_rightly_ci95", "strangers_named", "strangers_named_ci95"} <= set(found["open_set"])
    assert found["protocol"] == LREID
    assert LREID in page.read_text()
    assert LREID in capsys.readouterr().out


def test_damaged_sequences_stop_or_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = write_freegait(tmp_path / "set", (1, 2, 3, 4))
    dump([], root / "0002" / "devid_3" / "seq_01_new" / "lidar" / "lidar.pkl")
    figures = tmp_path / "figures.json"
    assert evaluate("freegait", root, "--json", figures) == 1
    assert "seq_01_new" in capsys.readouterr().err
    assert not figures.exists()
    assert evaluate("freegait", root, "--skip-damaged", "--json", figures) == 0
    assert len(json.loads(figures.read_text())["left_out"]) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sustech1k",), "the folder of the data set is missing"),
        (("sim", "."), "sim takes no folder"),
        (("sim", "--identities", "3"), "expected at least 4"),
        (("sim", "--threads", "0"), "expected 1 or more"),
        (("lrgait", "/nowhere"), "/nowhere is missing"),
        (("freegait", ".", "--partition", "/nowhere.json"), "/nowhere.json is missing"),
        (("sim", "--bundle", "/nowhere"), "is not a model bundle"),
        (("lreid", "/nowhere"), "/nowhere is missing"),
        (("lreid", "/tmp", "--part", "test"), "test_name.txt is missing"),
        (("sim", "--part", "test"), "--part goes with lreid"),
        (("lreid", ".", "--weights", "/nowhere"), "/nowhere is missing"),
        (("sim", "--weights", "/nowhere", "--bundle", "."), "--weights and --bundle exclude each other"),
    ],
)
def test_wrong_use_is_a_sentence(capsys: pytest.CaptureFixture, arguments: tuple[str, ...], sentence: str) -> None:
    assert evaluate(*arguments) == 1
    assert sentence in capsys.readouterr().err


def test_the_simulated_set_in_short(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch) -> None:
    from emgait_ros.lab.evaluation import simulated_test

    monkeypatch.setattr(simulated_test, "FRAMES", 2)
    figures = tmp_path / "figures.json"
    assert evaluate("sim", "--identities", 4, "--data", tmp_path / "set", "--json", figures) == 0
    found = json.loads(figures.read_text())
    wanted = {"rank1_overall", *(f"rank1_D{r}" for r in (20, 30, 40, 50)), *(f"rank1_N{r}" for r in (20, 30, 40))}
    wanted |= {"rank1_clothing", "mAP", "mINP", "EER", "DIR_at_FAR_1pct"}
    assert wanted <= set(found)
    assert all(len(found[f"{key}_ci95"]) == 2 for key in wanted)
    assert (found["identities"], found["probes"]) == (4, 4 * 26)
    assert "Simulated people" in capsys.readouterr().out
