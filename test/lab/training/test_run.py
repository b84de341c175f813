"""Runs of ``emgait train`` on recorded data sets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


from made_up_sets import tiny_network_config  # noqa: E402
from recorded_trees import write_sustech1k  # noqa: E402

from emgait_ros.lab.training.recipe import OptimizationConfig, TrainingConfig  # noqa: E402
from emgait_ros.lab.training.run import Run  # noqa: E402


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    root = write_sustech1k(tmp_path / "set", identities=(0, 1, 2))
    partition = tmp_path / "partition.json"
    partition.write_text(json.dumps({"TRAIN_SET": ["0000", "0002"], "TEST_SET": ["0001"]}))
    optimization = OptimizationConfig(steps=2, identities=2, sequences=2, frames=3, warmup_steps=0, precision="fp32")
    model = tiny_network_config(use_sga=False, use_semi=False)
    return TrainingConfig(
        "recorded", runs=str(tmp_path / "runs"), dataset=str(root), partition=str(partition), model=model,
        optimization=optimization, threads=1,
    )  # fmt: skip


def test_a_recorded_set_is_trained_on(config: TrainingConfig) -> None:
    run = Run(config)
    assert run.load("train", shrunk=True).identity.max() == 1  # the two people of TRAIN_SET
    assert run.all_stages("network") is None
    lines = (config.run_folder / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


@pytest.mark.parametrize("part", ["pose_weight", "trait_weight", "relation_weight", "clip"])
def test_what_only_simulated_walkers_tell_is_refused(config: TrainingConfig, part: str) -> None:
    if part == "clip":
        changed = {"clip": dataclasses.replace(config.clip, steps=1)}
    else:
        optimization = dataclasses.replace(config.optimization, **{part: 1.0})
        changed = {"optimization": optimization, "augment": dataclasses.replace(config.augment, mirror=0.0)}
    with pytest.raises(ValueError, match=r"is recorded \(sustech1k\): set optimization.pose_weight"):
        Run(dataclasses.replace(config, **changed)).all_stages("data")


def test_people_with_one_sequence_are_no_training_set(config: TrainingConfig) -> None:
    lonely = dataclasses.replace(
        config, optimization=dataclasses.replace(config.optimization, identities=8), partition=""
    )
    with pytest.raises(ValueError, match="3 identities with at least two sequences"):
        Run(lonely).all_stages("network")
