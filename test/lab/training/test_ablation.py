"""The ablation table: the same budget for every row, several seeds, and nothing done twice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from made_up_sets import made_up_set, tiny_network_config  # noqa: E402

from emgait_ros.lab.datasets.sequences import SequenceSet  # noqa: E402
from emgait_ros.lab.simulated_supervision.auxiliary_losses import AuxiliaryHeads  # noqa: E402
from emgait_ros.lab.simulated_supervision.poses import Joints  # noqa: E402
from emgait_ros.lab.training import ablation  # noqa: E402
from emgait_ros.lab.training.ablation import FIGURES, ROWS, make_table, row_config, rows  # noqa: E402
from emgait_ros.lab.training.recipe import OptimizationConfig, PeopleConfig, PosePretrainingConfig, TrainingConfig  # noqa: E402
from emgait_ros.lab.training.run import Run  # noqa: E402


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    optimization = OptimizationConfig(steps=3, identities=4, sequences=2, frames=3, warmup_steps=0, precision="fp32")
    test = PeopleConfig(first_identity=200_000, identities=6, frames=3)
    return TrainingConfig(
        "tiny",
        runs=str(tmp_path / "runs"),
        model=tiny_network_config(),
        optimization=optimization,
        test=test,
        threads=1,
    )


def test_rows_have_the_switches_of_the_paper_and_one_budget(config: TrainingConfig, tmp_path: Path) -> None:
    made = {row: row_config(config, row, 7, tmp_path) for row in ROWS}
    switches = {
        row: tuple(getattr(c.model, f"use_{name}") for name in ("image", "points", "sga", "semi", "st"))
        for row, c in made.items()
    }
    assert switches == {
        "points only": (False, True, False, False, True),
        "RGB only": (True, False, False, False, True),
        "baseline": (True, True, False, False, False),
        "+SGA": (True, True, True, False, False),
        "+SGA+SeMi": (True, True, True, True, False),
        "+SGA+SeMi+ST": (True, True, True, True, True),
    }
    assert {c.optimization.steps for c in made.values()} == {3}
    assert len({c.name for c in made.values()}) == 6
    assert {c.seed for c in made.values()} == {7}
    assert made["points only"].augment.drop_points == 0.0  # a lone modality is never dropped


def test_a_table_of_two_seeds(config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made_up(run: Run, which: str, shrunk: bool) -> SequenceSet:
        if which == "train":
            return made_up_set()
        data = made_up_set(6, 6, 3)
        range_m = data.range_m * 0 + [10, 20, 30, 40, 50, 20] * 6
        view = data.view_deg * 0 + [0, 90, 180, 270, 90, 180] * 6
        return dataclasses.replace(data, range_m=range_m.astype("float32"), view_deg=view.astype("float32"))

    def knows_poses(run: Run, data: SequenceSet) -> AuxiliaryHeads:
        places = np.full((data.frames, 3, 2), 0.5, np.float32)
        return AuxiliaryHeads(run.config.model, Joints(data.points[:, :3].astype(np.float32), places), None)

    still = dataclasses.replace(config.augment, mirror=0.0)
    config = dataclasses.replace(config, pose_pretraining=PosePretrainingConfig(steps=2, frames=6), augment=still)
    monkeypatch.setattr(Run, "_auxiliary_heads", knows_poses)
    monkeypatch.setattr(Run, "load", made_up)
    monkeypatch.setattr(Run, "people", lambda run, which: tmp_path)
    path = tmp_path / "table.md"
    table = make_table(config, [1, 2], path, "emgait train tiny.yaml --table table.md")
    assert list(table) == list(ROWS)
    for found in table.values():
        assert set(found["seeds"]) == {"1", "2"}
        assert set(found["mean"]) == set(FIGURES) == set(found["spread"])
        values = [found["seeds"][seed]["rank1_overall"] for seed in ("1", "2")]
        assert found["mean"]["rank1_overall"] == pytest.approx(sum(values) / 2, abs=0.01)
    seen = [path.parent.name for path in Path(config.runs).glob("*/pose_pretraining/*/pose_pretraining")]
    assert len(seen) == 5 * 2, seen  # six rows, the last two of which see alike; two seeds
    text = path.read_text()
    assert "| +SGA+SeMi+ST |" in text
    assert "`emgait train tiny.yaml --table table.md`" in text
    assert json.loads(path.with_suffix(".json").read_text()) == json.loads(json.dumps(table))

    def never(run: Run) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Run, "train_network", never)
    assert make_table(config, [1, 2], path, "again") == table


def test_no_row_for_st_where_the_closed_form_leaves_it_out(config: TrainingConfig) -> None:
    assert rows(config) == list(ROWS)
    closed = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, use_moments=True),
        augment=dataclasses.replace(config.augment, mirror=0.0),
        optimization=dataclasses.replace(
            config.optimization, plda_initialization=True, pose_weight=1.0, trait_weight=1.0
        ),
    )
    assert rows(closed) == list(ROWS)[:-1]


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_bad_seeds(config: TrainingConfig, tmp_path: Path, seeds: list[int]) -> None:
    with pytest.raises(ValueError, match="expected different numbers"):
        make_table(config, seeds, tmp_path / "table.md", "")
    assert ablation.SHARED[0] == "clip.safetensors"
