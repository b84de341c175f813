"""The table of baselines and ablation rows: one recipe, one data set, one budget, several seeds; published whatever it shows."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emgait_ros.lab.bench.machine import machine
from emgait_ros.lab.training.recipe import TrainingConfig
from emgait_ros.lab.training.run import Run
from emgait_ros.whole_files import write_text

ROWS: dict[str, dict[str, Any]] = {  # row: what its network has
    "points only": {"use_image": False, "use_sga": False, "use_semi": False},
    "RGB only": {"use_points": False, "use_sga": False, "use_semi": False},
    "baseline": {"use_sga": False, "use_semi": False, "use_st": False},
    "+SGA": {"use_semi": False, "use_st": False},
    "+SGA+SeMi": {"use_st": False},
    "+SGA+SeMi+ST": {},
}
FIGURES = ("rank1_overall", "rank1_D20", "rank1_D30", "rank1_D40", "rank1_D50", "mAP", "EER")
SHARED = ("clip.safetensors", "clip_features.npy", "seconds.json")


def rows(config: TrainingConfig) -> list[str]:
    """The rows a recipe can fill: a closed form that sets ST and HPP to zero cannot show what ST adds."""
    return [row for row in ROWS if row != "+SGA+SeMi+ST" or not config.optimization.plda_initialization]


def row_config(config: TrainingConfig, row: str, seed: int, folder: Path) -> TrainingConfig:
    """The recipe of one row and seed: other switches, the same people and number of steps."""
    switches = ROWS[row]
    if "use_image" in switches or "use_points" in switches:
        augment = dataclasses.replace(config.augment, drop_image=0.0, drop_points=0.0)
        config = dataclasses.replace(config, augment=augment)
    return dataclasses.replace(
        config,
        name=f"{row.replace(' ', '-').replace('+', 'and-').strip('-')}-{seed}",
        runs=str(folder),
        seed=seed,
        model=dataclasses.replace(config.emgaitnet, **switches),
    )


def make_table(config: TrainingConfig, seeds: Sequence[int], path: Path, command: str) -> dict[str, Any]:
    """Train and test every row with every seed; what is finished is not done again.

    Args:
        config: recipe of the full model.
        seeds: of training; the people are the same for all.
        path: Markdown file for the table; a JSON file of the same name is written beside it.
        command: as typed, for the table's head.

    Returns:
        ``{row: {"seeds": {seed: figures}, "mean": figures, "spread": figures}}``, percent.

    Raises:
        ValueError: no seeds, or the same one twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds are {list(seeds)}: expected different numbers, at least one")
    base = _shared_run(config)
    folder = base.folder / "rows"
    table: dict[str, Any] = {}
    for row in rows(config):
        found = {seed: _measure(base, row, seed, folder) for seed in seeds}
        values = {name: np.array([found[seed]["EMGaitNet"][name] for seed in seeds]) for name in FIGURES}
        table[row] = {
            "seeds": {str(seed): {name: found[seed]["EMGaitNet"][name] for name in FIGURES} for seed in seeds},
            "mean": {name: round(float(v.mean()), 2) for name, v in values.items()},
            "spread": {name: round(float(v.std(ddof=1)), 2) if len(v) > 1 else 0.0 for name, v in values.items()},
            "ci95": {name: found[seeds[0]]["EMGaitNet"][f"{name}_ci95"] for name in FIGURES},
        }
    write_text(path, _markdown(config, seeds, table, command))
    write_text(path.with_suffix(".json"), json.dumps(table, indent=2) + "\n")
    return table


def _shared_run(config: TrainingConfig) -> Run:
    """Data and CLIP for all rows."""
    shared = dataclasses.replace(config, name=f"{config.name}-table")
    shared = dataclasses.replace(shared, data=shared.data or str(shared.run_folder / "data"))
    run = Run(shared, resume=True)
    run.all_stages("clip")
    run.people("test")
    return run


def _measure(base: Run, row: str, seed: int, folder: Path) -> dict[str, Any]:
    """Figures of one row and seed, from its folder when they are there."""
    config = row_config(base.config, row, seed, folder)
    measured = config.run_folder / "measured.json"
    if measured.is_file():
        return dict(json.loads(measured.read_text(encoding="utf-8")))
    if config.pose_pretraining.steps:
        seen = _pretrain_poses(base, row, seed)
        config = dataclasses.replace(
            config, start_from=str(seen), pose_pretraining=dataclasses.replace(config.pose_pretraining, steps=0)
        )
    run = _run_of(base, config)
    network = run.train_network()
    if not (base.folder / "clip_features.npy").exists() and (run.folder / "clip_features.npy").exists():
        shutil.copyfile(run.folder / "clip_features.npy", base.folder / "clip_features.npy")
    return run.test(network)


def _pretrain_poses(base: Run, row: str, seed: int) -> Path:
    """Checkpoint of pose pretraining with this row's modalities and text; ST takes no part in it, so two rows share one."""
    shared = "+SGA+SeMi" if row == "+SGA+SeMi+ST" else row
    return _run_of(base, row_config(base.config, shared, seed, base.folder / "pose_pretraining")).pretrain_poses()


def _run_of(base: Run, config: TrainingConfig) -> Run:
    config.run_folder.mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        source = base.folder / name
        if source.is_file() and not (config.run_folder / name).exists():
            shutil.copyfile(source, config.run_folder / name)
    return Run(config, resume=True)


def _markdown(config: TrainingConfig, seeds: Sequence[int], table: dict[str, Any], command: str) -> str:
    recipe, people, pose_pretraining = config.optimization, config.test, config.pose_pretraining
    start = (
        f"traits predicted in closed form from {config.auxiliary_identities.identities} others, then "
        if recipe.plda_initialization
        else ""
    )
    head = "| | " + " | ".join(FIGURES) + " | Rank-1 by seed |"
    lines = []
    for row, found in table.items():
        cells = [f"{found['mean'][name]:.1f} ± {found['spread'][name]:.1f}" for name in FIGURES]
        by_seed = ", ".join(f"{figures['rank1_overall']:.1f}" for figures in found["seeds"].values())
        lines.append(f"| {row} | " + " | ".join(cells) + f" | {by_seed} |")
    return "\n".join(
        [
            "# Baselines and ablation",
            "",
            f"`{command}`",
            "",
            f"Simulated people only. {config.train.identities} people to train on, {people.identities} others to test with "
            f"({people.frames} frames a sequence; gallery one walk at 10 m from four views, probes another walk at 20 to 50 m, "
            f"identical views left out). Every row: the same people, {pose_pretraining.steps} steps of {pose_pretraining.frames} frames of pose pretraining, "
            f"then {start}{recipe.steps} of {recipe.identities} x {recipe.sequences} sequences x {recipe.frames} frames, "
            f"{recipe.precision}. Percent, mean ± standard deviation over "
            f"seeds {', '.join(map(str, seeds))}. {machine()}, {config.threads} threads, torch {torch.__version__}.",
            "",
            head,
            "|---" * (len(FIGURES) + 2) + "|",
            *lines,
            "",
        ]
    )
