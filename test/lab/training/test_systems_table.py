"""The paper's tables: every system alike, nothing done twice, what is stopped goes on, and a report of what is finished."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from made_up_sets import tiny_network_config  # noqa: E402
from recorded_trees import write_freegait, write_lrgait, write_sustech1k  # noqa: E402

from emgait_ros.cli.main import main  # noqa: E402
from emgait_ros.lab.bench.systems import flops  # noqa: E402
from emgait_ros.lab.datasets.plans import TABLE_LAYOUTS, plan_protocol  # noqa: E402
from emgait_ros.lab.evaluation.published import simulated_protocol  # noqa: E402
from emgait_ros.lab.evaluation.table_report import gather, markdown, page  # noqa: E402
from emgait_ros.lab.systems.registry import build  # noqa: E402
from emgait_ros.lab.training.run import Run  # noqa: E402
from emgait_ros.lab.training.systems_table import ABLATION, SystemsTable, load_recipes  # noqa: E402

TINY = {
    "shared": {
        "threads": 1,
        "optimization": {
            "steps": 2, "identities": 2, "sequences": 2, "frames": 3, "warmup_steps": 0, "milestones": [1], "precision": "fp32",
        },
    },
    "systems": {
        "gaitbase": {"architecture": "gaitbase", "points_frame": "ray", "model": {"points": 16, "channels": [4, 8, 8, 16], "width": 8}},
        "lidargait++": {
            "architecture": "lidargait++",
            "model": {"points": 16, "centers": [16, 8], "neighbours": 4, "channels": [8, 16], "pyramid": [1, 2], "width": 8},
        },
        "emgaitnet": {"model": {"points": 16}},
        "shipped": {
            "model": {"points": 16}, "augment": {"mirror": 0.0}, "pose_pretraining": {"steps": 2}, "optimization": {"steps": 1},
        },
    },
}  # fmt: skip


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY, sort_keys=False))
    return path


@pytest.fixture
def recorded(tmp_path: Path, recipes: Path) -> list[str]:
    """Words of a table on a small tree in SUSTech1K's layout."""
    root = write_sustech1k(tmp_path / "set", identities=(0, 1, 2, 3))
    partition = tmp_path / "partition.json"
    partition.write_text(json.dumps({"TRAIN_SET": ["0000", "0001"], "TEST_SET": ["0002", "0003"]}))
    return ["--data", str(root), "--partition", str(partition), "--recipes", str(recipes)]


def table(*words: object) -> int:
    return main(["evaluate", "table", *map(str, words)])


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_table_goes_on_where_it_was_stopped_and_does_nothing_twice(
    recorded: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    words = ["sustech1k", *recorded, "--systems", "gaitbase", "--out", out, "--budget", 0.2, "--seeds"]
    assert table(*words, 1) == 0
    plan = json.loads((out / "gaitbase-1-steps.json").read_text())
    assert plan["steps"] == max(1, round(0.2 / plan["step_s"]))
    done = (out / "gaitbase-1" / "result.json").read_text()
    trained: list[str] = []
    stages = Run.all_stages
    monkeypatch.setattr(Run, "all_stages", lambda run, last: (trained.append(run.config.name), stages(run, last))[1])
    assert table(*words, 1, 2) == 0
    assert trained == ["gaitbase-2"]
    assert (out / "gaitbase-1" / "result.json").read_text() == done
    found = json.loads((out / "sustech1k.json").read_text())
    row = found["systems"]["gaitbase"]
    assert {"seeds", "mean", "spread", "parameters", "gflop", "ms_per_frame"} <= set(row)
    values = [row["seeds"][seed]["rank1_overall"] for seed in ("1", "2")]
    assert row["mean"]["rank1_overall"] == pytest.approx(np.mean(values), abs=0.01)
    assert row["spread"]["rank1_overall"] == pytest.approx(np.std(values, ddof=1), abs=0.01)
    assert row["steps"] == plan["steps"]  # of every seed
    assert row["parameters"] > 1000
    assert found["columns"][-3:] == ["rank1_overall", "rank5_overall", "mAP"]
    assert found["title"] == "SUSTech1K"
    assert "TRAIN_SET and TEST_SET of partition.json" in capsys.readouterr().out
    (out / "gaitbase-2" / "result.json").unlink()  # as if it was stopped before its test
    log = (out / "gaitbase-2" / "log.jsonl").read_text()
    assert table(*words, 1, 2) == 0
    assert trained == ["gaitbase-2", "gaitbase-2"]
    assert (out / "gaitbase-2" / "log.jsonl").read_text() == log  # its steps were not done again
    (out / "gaitbase-2" / "result.json").unlink()
    assert table(*words[:-3], "--budget", 9, "--seeds", 1, 2) == 1
    assert "was begun with 0.2 s a run, now 9 s are asked for" in capsys.readouterr().err


def no_silhouettes(root: Path) -> None:
    for path in root.rglob("*Camera-Sils*"):
        path.unlink()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--systems", "gaitnet"], "system 'gaitnet' is unknown: known are all, gaitbase, lidargait++"),
        (["--systems", "shipped"], "shipped learns poses and traits, which only simulated people tell"),
        (["--systems", "gaitbase", "--seeds", 1, 1], "expected different numbers"),
        (["--systems", "gaitbase", "--budget", -1], "the budget is -1 s"),
        (["--systems", "gaitbase", "--recipes", "/nowhere.yaml"], "/nowhere.yaml is missing"),
        (["--systems", "gaitbase", "silhouettes"], "gaitbase cannot be tested on"),
    ],
)
def test_wrong_use_is_a_sentence_before_anything_is_trained(
    recorded: list[str], tmp_path: Path, words: list, sentence: str, capsys: pytest.CaptureFixture
) -> None:
    if "silhouettes" in words:
        no_silhouettes(tmp_path / "set")
        words.remove("silhouettes")
    assert table("sustech1k", *recorded, "--out", tmp_path / "out", *words) == 1
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "write"), [("sustech1k", write_lrgait), ("freegait", write_sustech1k), ("lrgait", write_freegait)]
)
def test_another_set_than_the_table_asks_for(recorded, tmp_path, name, write, capsys) -> None:
    words = [
        *recorded,
        "--data",
        str(write(tmp_path / "other")),
        "--systems",
        "lidargait++",
        "--out",
        str(tmp_path / "out"),
    ]
    assert table(name, *words) == 1
    assert "holds no sequence of" in capsys.readouterr().err


def test_the_ablation_has_the_paper_s_rows_and_takes_no_systems(recipes: Path, capsys: pytest.CaptureFixture) -> None:
    found = load_recipes(recipes, "ablation")
    switches = {
        row: tuple(getattr(c.emgaitnet, f"use_{name}") for name in ("image", "points", "sga", "semi", "st"))
        for row, c in found.items()
    }
    assert switches == {
        "points only": (False, True, False, False, True),
        "RGB only": (True, False, False, False, True),
        "baseline": (True, True, False, False, False),
        "+SGA": (True, True, True, False, False),
        "+SGA+SeMi": (True, True, True, True, False),
        "+SGA+SeMi+ST": (True, True, True, True, True),
    }
    assert {c.optimization.steps for c in found.values()} == {2}
    assert found["points only"].augment.drop_points == 0.0  # a lone modality is never dropped
    assert table("ablation", "--recipes", recipes, "--systems", "gaitbase") == 1
    assert "--systems goes with the other tables" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["use_image", "use_points"])
def test_what_an_ablated_network_costs_can_be_counted(part: str) -> None:
    network = build("emgaitnet", tiny_network_config(use_sga=False, use_semi=False, classes=0, **{part: False})).eval()
    frame, head = flops(network, 3)
    assert frame > head > 0


def test_the_shipped_recipes_can_be_read() -> None:
    small = load_recipes(Path("config/tables/small.yaml"), "lrgait")
    assert list(small) == ["gaitbase", "lidargait++", "licaf", "hmrnet", "emgaitnet", "emgaitnet-shipped"]
    seen = {(c.train.first_identity, c.train.identities) for name, c in small.items() if name != "emgaitnet-shipped"}
    assert len(seen) == 1
    shipped, (first, count) = small["emgaitnet-shipped"], seen.pop()
    parts = shipped.train, shipped.auxiliary_identities  # the same people, divided
    assert [(p.first_identity, p.identities) for p in parts] == [(first, count // 2), (first + count // 2, count // 2)]
    paper = load_recipes(Path("config/tables/paper.yaml"), "sustech1k", ["gaitbase", "emgaitnet"])
    assert {c.optimization.steps for c in paper.values()} == {40_000}
    ablation = load_recipes(Path("config/tables/ablation.yaml"), "ablation")
    assert list(ablation) == list(ABLATION)[:-1]  # the closed form leaves ST out
    table = SystemsTable("lrgait", small, (1,), Path("x"))
    assert table.results() == {name: {} for name in small}


@pytest.mark.parametrize("name", TABLE_LAYOUTS)
def test_simulated_people_in_every_layout(name: str) -> None:
    plan = plan_protocol(200_000, 3, 8, TABLE_LAYOUTS[name])

    class Planned:
        identity, walk = (np.array([getattr(w, key) for w in plan]) for key in ("identity", "walk"))
        range_m, view_deg = (np.array([getattr(w, key) for w in plan]) for key in ("range_m", "view_deg"))
        condition = np.array([w.condition for w in plan])

    probe, gallery, groups = simulated_protocol(name).roles(Planned())
    assert next(iter(groups)) == "overall"
    assert groups["overall"].any()
    assert not (probe & gallery).any()
    assert (probe | gallery).all()
    assert ("clothing" in groups) == (name != "freegait")


def result(rank1: float) -> dict:
    figures = {
        "rank1_D20": rank1 + 5,
        "rank1_D50": rank1 - 5,
        "rank1_overall": rank1,
        "rank1_overall_ci95": [0, 99],
        "mAP": rank1,
    }
    facts = {"parameters": 2_000_000, "gflop": 0.15, "ms_per_frame": 3.0, "steps": 300, "training_s": 1500.0}
    return {"figures": figures, **facts}


def test_a_partial_table_says_how_many_seeds_it_holds() -> None:
    found = gather(
        "lrgait", {"emgaitnet": {1: result(60), 2: result(64)}, "gaitbase": {1: result(40)}, "licaf": {}}, [], True
    )
    assert list(found["systems"]) == ["emgaitnet", "gaitbase"]
    assert found["systems"]["emgaitnet"]["mean"]["rank1_overall"] == 62
    assert found["systems"]["gaitbase"]["spread"]["rank1_overall"] is None
    assert found["columns"] == ["rank1_D20", "rank1_D50", "rank1_overall", "mAP"]
    lines = markdown(found).splitlines()
    assert lines[0] == "**SIMULATED people in the layout of LRGait**"
    (ours,) = (line for line in lines if line.startswith("| emgaitnet"))
    assert ours.split(" | ")[1:7] == ["67.0 ± 2.8", "57.0 ± 2.8", "62.0 ± 2.8", "62.0 ± 2.8", "0.0 to 99.0", "2"]
    (published,) = (line for line in lines if ">published<" in line)
    assert '<span style="color:#888888">68.9</span>' in published
    (other,) = (line for line in lines if line.startswith("| gaitbase"))
    assert " ± " not in other
    assert page(found).count("<svg") == 1


@pytest.mark.parametrize("path", sorted(Path("docs/tables").glob("*.json")), ids=lambda path: path.stem)
def test_tables_in_the_docs_are_drawn_from_their_json(path: Path) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert path.with_suffix(".md").read_text(encoding="utf-8") == markdown(found)
    for row in found["systems"].values():
        assert {"seeds", "mean", "spread", "parameters", "gflop", "ms_per_frame"} <= set(row)
