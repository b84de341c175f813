"""Recipes from YAML: what is read, and the sentence for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from emgait_ros.lab.evaluation.calibration_walks import CalibrationWalks
from emgait_ros.lab.training.recipe import TrainingConfig
from emgait_ros.lab.training.recipe_file import load_training_config


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    config = load_training_config(
        written(
            tmp_path,
            "name: mine\nseed: 7\nmodel: {heads: 2}\noptimization: {steps: 20, learning_rate: 1}\ntrain: {ranges_m: [10, 20]}\n",
        )
    )
    assert (config.name, config.seed, config.model.heads, config.optimization.steps) == ("mine", 7, 2, 20)
    assert config.train.ranges_m == (10, 20)
    assert config.optimization.learning_rate == 1.0
    assert isinstance(config.optimization.learning_rate, float)
    assert config.augment == TrainingConfig("mine").augment
    assert config.model.width == TrainingConfig("mine").model.width


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed: 1\n", "'name' is missing"),  # no name
        ("name: x\nsteps: 3\n", "unknown key 'steps'"),  # unknown at the top
        ("name: x\noptimization: {step: 3}\n", r"unknown key 'optimization\.step'"),  # unknown further down
        ("name: x\nmodel: {clip: {tag: openai}}\n", r"unknown key 'model\.clip\.tag'"),  # and deeper
        ("name: x\noptimization: 3\n", "expected keys and values"),  # a value for a group
        ("name: x\nseed: high\n", "expected int"),  # another type
        ("name: x\nseed: true\n", "expected int"),  # a flag is no number
        ("name: x\noptimization: {mining: soft}\n", "'all' or 'hard'"),  # not among the choices
        ("name: x\naugment: {mirror: 1.5}\n", "between 0 and 1"),  # out of range
        ("name: x\naugment: {drop_image: 0.6, drop_points: 0.6}\n", "more than 1"),  # nothing would be left
        ("name: x\ntrain: {first_identity: 200010}\n", "overlap"),  # trains on the people it is tested on
        (
            "name: x\naugment: {mirror: 0}\nmodel: {use_moments: true}\nauxiliary_identities: {first_identity: 1100}\n"
            "optimization: {plda_initialization: true, pose_weight: 1, trait_weight: 1}\n",
            "auxiliary_identities and train overlap",  # the head starts from people the network has learnt
        ),
        ("name: x\npose_pretraining: {text_after: 2}\n", "share of the steps"),  # more than all
        ("name: x\noptimization: {steps: 0}\n", "expected 1 or more"),  # nothing would be learnt
        ("name: x\npoints_frame: world\n", "sensor, ray, heading"),  # no such frame
        ("name: x\npoints_frame: sensor\n", "cannot be mirrored"),  # does not go with mirroring
        ("name: a/b\n", "plain folder name"),  # a path
        ("name: x\nmodel: {heads: 3}\n", "must divide"),  # the network's own checks
        ("- 1\n", "holds list"),  # not keys and values
        ("name: [\n", "is not YAML"),  # not YAML
    ],
)
def test_mistakes_are_sentences_that_name_the_file(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=sentence) as caught:
        load_training_config(path)
    assert str(path) in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml is missing"):
        load_training_config(tmp_path / "nowhere.yaml")


def test_shipped_recipes_are_valid(repository: Path) -> None:
    recipes = sorted((repository / "config" / "training").glob("*.yaml"))
    assert {path.stem for path in recipes} >= {"emgait-sim", "paper"}
    live = CalibrationWalks()
    for path in recipes:
        config = load_training_config(path)
        people, promised = config.calibrate, config.calibration
        strangers = people.identities - promised.gallery_size
        assert (people.frames, people.ranges_m) == (live.track_s * live.rate_hz, live.ranges_m), path
        assert strangers * promised.false_accept_rate > 5, "a quantile of so few strangers is luck"
        assert config.train.first_identity >= 100, "the first hundred people are those of demo and tests"
