"""``emgait dataset check``: everything that is missing or broken is found and named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from recorded_trees import FRAMES, dump, write_freegait, write_lrgait, write_sustech1k

from emgait_ros.cli.main import main
from emgait_ros.config import SampleConfig
from emgait_ros.lab.datasets.checking import check_dataset
from emgait_ros.lab.datasets.sustech1k import VIEWS
from emgait_ros.lab.simulation import walk_sets
from emgait_ros.lab.simulation.walk_sets import PlannedWalk


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sustech1k(tmp_path_factory.mktemp("whole"), views=("000", "090"))


def test_a_sound_set_has_no_problems(whole: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = check_dataset(whole, on_progress=lambda done, total: seen.append((done, total)))
    assert (found.dataset, found.identities, found.sequences, found.frames) == ("sustech1k", 2, 16, 16 * FRAMES)
    assert found.problems == ()
    assert seen[-1] == (16, 16)
    assert all(remark.kind == "missing views" for remark in found.remarks)  # two of the twelve views are there
    assert f"lacks {len(VIEWS) - 2} views" in found.remarks[0].sentence


SYNC = "08-sync-000-LiDAR-PCDs.pkl"


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (lambda f: (f / "01-bg" / "000" / SYNC).unlink(), "missing file"),
        (lambda f: (f / "01-bg" / "000" / SYNC).write_bytes(b"junk"), "damaged"),
        (lambda f: dump(Path("x"), f / "01-bg" / "000" / SYNC), "not numpy"),
        (lambda f: dump([np.zeros((0, 3))] * FRAMES, f / "01-bg" / "000" / SYNC), "no points"),
        (lambda f: [shutil.rmtree(p) for p in f.iterdir()], "nothing found"),
    ],
)
def test_every_kind_of_harm_is_found(tmp_path: Path, whole: Path, harm, kind: str) -> None:
    root = shutil.copytree(whole, tmp_path / "copy")
    harm(root / "0003")
    found = check_dataset(root)
    assert kind in [problem.kind for problem in found.problems]
    problem = next(p for p in found.problems if p.kind == kind)
    assert "0003" in problem.sentence
    assert "0003" in problem.path


def test_people_with_one_sequence_are_named(tmp_path: Path) -> None:
    root = write_freegait(tmp_path)
    shutil.rmtree(root / "0007" / "devid_1")
    found = check_dataset(root)
    assert [p.kind for p in found.problems] == ["one sequence"]
    assert "identity 0007 has one sequence only" in found.problems[0].sentence


def test_missing_views_of_lrgait(tmp_path: Path) -> None:
    root = write_lrgait(tmp_path, (1,))
    shutil.rmtree(root / "0001" / "D-50" / "cl-00" / "090")
    remarks = [r.sentence for r in check_dataset(root).remarks if "D-50" in r.path]
    assert remarks[0].endswith("lacks 7 views: 045, 090, 135, 180, 225, 270, 315")


def test_simulated_sets_are_checked_too(tmp_path: Path) -> None:
    plan = [PlannedWalk(5, w, 10.0, 0.0, 3) for w in (0, 1)] + [PlannedWalk(6, 0, 10.0, 0.0, 3)]
    sample = SampleConfig()
    walk_sets._describe(tmp_path, plan, 0, sample)
    for identity in (5, 6):
        own = [walk for walk in plan if walk.identity == identity]
        walk_sets._write_person((walk_sets.identity_file(tmp_path, identity), own, 0, sample))
    assert [p.kind for p in check_dataset(tmp_path).problems] == ["one sequence"]
    walk_sets.identity_file(tmp_path, 5).write_bytes(b"PK")
    assert "damaged" in [p.kind for p in check_dataset(tmp_path).problems]


def test_the_command(tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["dataset", "check", str(whole), "--json", str(tmp_path / "findings.json")]) == 0
    assert "sustech1k: 2 identities, 16 sequences" in capsys.readouterr().out
    assert json.loads((tmp_path / "findings.json").read_text())["problems"] == []
    root = shutil.copytree(whole, tmp_path / "copy")
    (root / "0000" / "00-nm" / "090" / "08-sync-090-LiDAR-PCDs.pkl").write_bytes(b"")
    assert main(["dataset", "check", str(root)]) == 1
    assert "1 problems: damaged 1" in capsys.readouterr().out
    assert main(["dataset", "check", str(tmp_path / "nowhere")]) == 1
    assert "is missing: give the folder of a data set" in capsys.readouterr().err
