"""Runs of ``emgait train`` on recorded data sets."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


from made_up_sets import tiny_network_config  # noqa: E402
from recorded_trees import write_lreid_compact, write_sustech1k  # noqa: E402

from emgait_ros.cli.main import main  # noqa: E402
from emgait_ros.lab.training.recipe import (  # noqa: E402
    CalibrationConfig,
    OptimizationConfig,
    TrainingConfig,
)
from emgait_ros.lab.training.recipe_file import load_training_config  # noqa: E402
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


@pytest.fixture
def lreid(config: TrainingConfig, tmp_path: Path) -> TrainingConfig:
    """Three people to train on, four that are not, before LiDARs 1 and 4; points alone."""
    root = write_lreid_compact(tmp_path / "lreid", dict.fromkeys((100, 101, 102, 262, 263, 264, 265), (1, 4)), 30)
    people = {"TRAIN_SET": ["0100", "0101", "0102"], "TEST_SET": ["0262", "0263", "0264", "0265"]}
    (tmp_path / "people.json").write_text(json.dumps(people))
    return dataclasses.replace(
        config,
        dataset=str(root),
        partition=str(tmp_path / "people.json"),
        local_only="it states no licence",
        bundles=str(tmp_path / "bundles"),
        model=tiny_network_config(use_image=False, use_sga=False, use_semi=False),
        calibration=CalibrationConfig(gallery_size=2, galleries=3),
    )


def test_real_people_are_trained_on_and_the_bundle_stays_here(
    lreid: TrainingConfig, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("onnx")
    bundle = Run(lreid).all_stages()
    assert bundle is not None
    measured = bundle.manifest["training"]["measured"]
    assert (measured["identities"], measured["probes"]) == (4, 4)
    assert measured["height + speed"]["rank1"] == 100.0
    assert measured["protocol"] == "real people, LiDAR alone, same pass, other LiDAR"
    assert 0 <= measured["EMGaitNet"]["rank1"] <= 100
    assert "Not to be passed on" in (bundle.folder / "MODEL_CARD.md").read_text()
    for kind in ("onnx", "bundle"):
        assert main(["export", str(bundle.folder), "--to", kind, "--out", str(tmp_path / "out")]) == 1
        assert "bundle 'recorded' must not be passed on (it states no licence)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    for start in (bundle.folder, lreid.run_folder / "checkpoint.safetensors"):  # nor what is made of it
        goes_on = dataclasses.replace(lreid, name="goes-on", start_from=str(start))
        Run(goes_on)
        with pytest.raises(
            ValueError, match=r"must not be passed on \(it states no licence\), nor what is made of them"
        ):
            Run(dataclasses.replace(goes_on, local_only=""))
    Run(goes_on).train_network()
    shutil.rmtree(lreid.run_folder)
    Run(goes_on, resume=True).train_network()  # what it started from is gone, and is not needed any more


def test_a_checkpoint_is_scored_as_its_run_scores_it(lreid: TrainingConfig, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    run = Run(lreid)
    measured = run.test(run.train_network())
    weights, figures = lreid.run_folder / "checkpoint.safetensors", tmp_path / "figures.json"
    words = [lreid.dataset, "--partition", lreid.partition, "--weights", str(weights), "--threads", "1"]
    assert main(["evaluate", "dataset", "lreid", *words, "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    for key in ("rank1", "mAP", "EER"):
        assert found[key] == pytest.approx(measured["EMGaitNet"][key], abs=0.1)
    assert (found["people"], found["open_set"]) == (4, None)  # a checkpoint has no threshold


@pytest.mark.parametrize("lacks", ["partition", "local_only"])
def test_lreid_is_not_trained_on_without_saying_who_and_why_not(lreid: TrainingConfig, lacks: str) -> None:
    with pytest.raises(ValueError, match="is LReID: give 'partition'"):
        Run(dataclasses.replace(lreid, **{lacks: ""})).all_stages("data")


def test_the_recipe_on_real_people_keeps_the_validation_people_out() -> None:
    config = load_training_config("config/training/lreid.yaml")
    people = json.loads(Path(config.partition).read_text())
    assert people["TRAIN_SET"] == [f"{number:04d}" for number in range(100, 262)]
    assert people["TEST_SET"] == [f"{number:04d}" for number in range(262, 322)]
    assert config.local_only
    assert not config.model.use_image
    assert Path(config.bundles).parts[0] == "runs"  # which git ignores
