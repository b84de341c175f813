"""The paper's tables: every system trained on the same people for the same time, several seeds, and tested by the data set's protocol.

Every (system, seed) is a run of its own in ``FOLDER/SYSTEM-SEED`` with a checkpoint and, when it is done, ``result.json``: what is
finished is not done again, what was stopped goes on. Seed by seed, so that a table that is not finished holds as many of each system.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from emgait_ros.config import EngineConfig, SampleConfig
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.segmenter import open_segmenter
from emgait_ros.lab.bench.systems import flops
from emgait_ros.lab.datasets.opening import RECORDED
from emgait_ros.lab.datasets.plans import TABLE_LAYOUTS, plan_protocol
from emgait_ros.lab.datasets.sequences import SequenceSource
from emgait_ros.lab.datasets.simulated import SimulatedSet
from emgait_ros.lab.evaluation.embedding import embed_source
from emgait_ros.lab.evaluation.published import Scored, as_json, load_partition, protocol_of, simulated_protocol
from emgait_ros.lab.simulation.walk_sets import generate
from emgait_ros.lab.systems.registry import network_of
from emgait_ros.lab.training.checkpoint_bundle import bundle_of_checkpoint
from emgait_ros.lab.training.recipe import TrainingConfig
from emgait_ros.lab.training.recipe_file import recipe_of_values
from emgait_ros.lab.training.run import Run
from emgait_ros.whole_files import write_text

WINDOW = 10  # frames of the published FLOP
ABLATION: dict[str, dict[str, Any]] = {  # row: what its network has
    "points only": {"use_image": False, "use_sga": False, "use_semi": False},
    "RGB only": {"use_points": False, "use_sga": False, "use_semi": False},
    "baseline": {"use_sga": False, "use_semi": False, "use_st": False},
    "+SGA": {"use_semi": False, "use_st": False},
    "+SGA+SeMi": {"use_st": False},
    "+SGA+SeMi+ST": {},
}


@dataclass(frozen=True)
class SystemsTable:
    """What is compared.

    Attributes:
        table: "lrgait", "sustech1k", "freegait" or "ablation".
        recipes: of each row, by its name; ``runs``, ``name``, ``seed`` and where the data lie are set here.
        seeds: of training; the people are the same for all.
        folder: for runs, made sets and results.
        budget_s: processor seconds of training for each run: a few steps of the first seed are timed, and every seed takes as many
            as fit. 0: the steps of the recipe.
        data, partition: folder of the recorded set and its JSON file of TRAIN_SET and TEST_SET; None: simulated people.
        segmenter: makes silhouettes where the set brings none; "": nothing does.
    """

    table: str
    recipes: dict[str, TrainingConfig]
    seeds: tuple[int, ...]
    folder: Path
    budget_s: float = 0.0
    data: Path | None = None
    partition: Path | None = None
    segmenter: str = ""

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds are {list(self.seeds)}: expected different numbers, at least one")
        if self.budget_s < 0:
            raise ValueError(
                f"the budget is {self.budget_s:g} s: expected seconds for each run, or 0 for the recipe's steps"
            )
        if (self.data is None) != (self.partition is None):
            raise ValueError(
                "a recorded set needs its folder and its partition: both --data and --partition, or neither"
            )
        for name, config in self.recipes.items():
            if self.data and (config.pose_pretraining.steps or config.optimization.plda_initialization):
                raise ValueError(
                    f"{name} learns poses and traits, which only simulated people tell: leave it out with --data"
                )

    @property
    def recorded(self) -> str:
        """Name of the data set's reader and protocol."""
        return "lrgait" if self.table == "ablation" else self.table

    def results(self) -> dict[str, dict[int, dict[str, Any]]]:
        """What is finished: system, seed, its ``result.json``."""
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for name in self.recipes:
            paths = {seed: self.folder / run_name(name, seed) / "result.json" for seed in self.seeds}
            found[name] = {
                seed: json.loads(path.read_text(encoding="utf-8")) for seed, path in paths.items() if path.is_file()
            }
        return found


def load_recipes(path: Path, table: str, wanted: Sequence[str] = ()) -> dict[str, TrainingConfig]:
    """The recipes of a table's rows, from a YAML file with ``shared`` keys and, below ``systems``, those of each.

    Args:
        table: "ablation" gives the rows of ``ABLATION`` of the system "emgaitnet".
        wanted: which systems, in this order; none: all.

    Raises:
        FileNotFoundError: no such file.
        ValueError: of another form, a system that is not in it, or a wrong recipe; the sentence names it.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: give the YAML file of a table's recipes, such as config/tables/small.yaml"
        )
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or not isinstance(values.get("systems"), dict):
        raise ValueError(
            f"{path} has no 'systems': expected keys for all below 'shared', and those of each below 'systems'"
        )
    shared, systems = values.get("shared") or {}, values["systems"]
    names = list(wanted) or (["emgaitnet"] if table == "ablation" else list(systems))
    if unknown := sorted(set(names) - set(systems)):
        raise ValueError(f"system '{unknown[0]}' is unknown: known are all, {', '.join(systems)}")
    made = {}
    for name in names:
        own = {
            key: {**shared[key], **value} if isinstance(value, dict) and key in shared else value
            for key, value in systems[name].items()
        }
        try:
            made[name] = recipe_of_values({**shared, **own, "name": name})
        except ValueError as error:
            raise ValueError(f"{path}, {name}: {error}") from error
    if table != "ablation":
        return made
    full = made["emgaitnet"]
    # A closed form that sets ST and HPP to zero cannot show what ST adds.
    rows = [row for row in ABLATION if row != "+SGA+SeMi+ST" or not full.optimization.plda_initialization]
    return {row: _without(full, ABLATION[row]) for row in rows}


def _without(config: TrainingConfig, switches: dict[str, Any]) -> TrainingConfig:
    """The recipe with other switches of the network; the one modality that is left is never dropped."""
    if "use_image" in switches or "use_points" in switches:
        augment = dataclasses.replace(config.augment, drop_image=0.0, drop_points=0.0)
        config = dataclasses.replace(config, augment=augment)
    return dataclasses.replace(config, model=dataclasses.replace(config.emgaitnet, **switches))


def run_name(system: str, seed: int) -> str:
    """Of the folder of one run."""
    return f"{system.replace(' ', '-')}-{seed}"


def run_table(table: SystemsTable) -> Iterator[tuple[str, int]]:
    """Train and test what is not finished, seed by seed; yields (system, seed) after each.

    Raises:
        ValueError, OSError: of data and recipes; a modality that a system needs is looked for before anything is trained.
        Interrupted: asked to stop; a second call goes on.
    """
    if table.data:
        for name, config in table.recipes.items():
            try:
                _test_set(table, config)[0]
            except ValueError as error:
                raise ValueError(f"{name} cannot be tested on {table.data}: {error}") from error
    for seed in table.seeds:
        for name in table.recipes:
            result = table.folder / run_name(name, seed) / "result.json"
            if not result.is_file():
                write_text(result, json.dumps(_measure(table, name, seed), indent=2) + "\n")
                yield name, seed


def _measure(table: SystemsTable, name: str, seed: int) -> dict[str, Any]:
    """Train one system with one seed, and test it with the inference of the live nodes."""
    config = _config(table, name, seed)
    _share_clip(config)
    config = _planned(table, name, config)
    Run(config, resume=True).all_stages("network")
    bundle = bundle_of_checkpoint(config.run_folder / "checkpoint.safetensors", config.run_folder / "bundle")
    encoder = GaitEncoder(
        bundle, EngineConfig(backend="onnxruntime", threads=config.threads, segmenter=table.segmenter)
    )
    source = _test_set(table, config)
    began = time.process_time()
    embedded = embed_source(encoder, source)
    taken_ms = 1e3 * (time.process_time() - began)
    if table.partition is None:
        protocol = simulated_protocol(table.recorded)
    else:
        probes = load_partition(table.partition).probes
        protocol = protocol_of(table.recorded, None if probes is None else set(probes))
    scored = Scored.of(protocol, source, embedded.embedding, embedded.read)
    network = network_of(bundle)
    frame, head = flops(network, WINDOW)
    return {
        "figures": as_json(scored.figures()),
        "steps": config.pose_pretraining.steps + config.optimization.steps,
        "training_s": json.loads((config.run_folder / "seconds.json").read_text(encoding="utf-8"))["network"],
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "gflop": round(frame + head / WINDOW, 4),
        "ms_per_frame": round(taken_ms / embedded.frames, 3),
        "identities": len(np.unique(source.identity)),
        "probes": len(scored.comparison.probes),
    }


def _config(table: SystemsTable, name: str, seed: int) -> TrainingConfig:
    """The recipe of one run: in its own folder, on the data that all share."""
    config = table.recipes[name]
    made = table.folder / "data" / f"{config.model.points}-points-{config.train.identities}-people"
    return dataclasses.replace(
        config,
        name=run_name(name, seed),
        runs=str(table.folder),
        seed=seed,
        data=str(made),
        dataset=str(table.data or ""),
        partition=str(table.partition or ""),
        segmenter=table.segmenter,
    )


def _share_clip(config: TrainingConfig) -> None:
    """One small CLIP for all rows and seeds, as the paper's comes with its weights."""
    path = config.run_folder / "clip.safetensors"
    if not config.clip.steps or path.is_file():
        return
    shared = Run(dataclasses.replace(config, name="clip", seed=0), resume=True)
    shared.all_stages("clip")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shared.clip_path, path)


def _planned(table: SystemsTable, name: str, config: TrainingConfig) -> TrainingConfig:
    """The recipe with as many steps as fit into the budget, its milestones moved in proportion."""
    if not table.budget_s:
        return config
    poses, recipe = config.pose_pretraining, config.optimization
    if poses.steps and recipe.steps:
        raise ValueError(
            f"{name} has steps of two kinds, which one budget cannot divide: set one to 0, or leave out --budget"
        )
    path = table.folder / f"{run_name(name, table.seeds[0])}-steps.json"
    if not path.is_file():
        step_s = Run(config, resume=True).step_seconds()
        plan = {"budget_s": table.budget_s, "step_s": round(step_s, 4), "steps": max(1, round(table.budget_s / step_s))}
        write_text(path, json.dumps(plan) + "\n")
    plan = json.loads(path.read_text(encoding="utf-8"))
    if plan["budget_s"] != table.budget_s:
        raise ValueError(
            f"{table.folder} was begun with {plan['budget_s']:g} s a run, now {table.budget_s:g} s are asked for: give the same, "
            "or another folder"
        )
    steps = plan["steps"]
    if poses.steps:
        return dataclasses.replace(config, pose_pretraining=dataclasses.replace(poses, steps=steps))
    milestones = tuple(round(milestone * steps / recipe.steps) for milestone in recipe.milestones)
    return dataclasses.replace(config, optimization=dataclasses.replace(recipe, steps=steps, milestones=milestones))


def _test_set(table: SystemsTable, config: TrainingConfig) -> SequenceSource:
    """Who is tested: the partition's TEST_SET, or simulated people in the layout of the data set."""
    made = config.preprocessing
    if table.data and table.partition:
        source = RECORDED[table.recorded](table.data, made, load_partition(table.partition).test)
        source.segmenter = open_segmenter(table.segmenter) if table.segmenter else None
        return source
    people = config.test
    folder = table.folder / "data" / f"{made.points}-points-test-{table.recorded}"
    plan = plan_protocol(
        people.first_identity, people.identities, people.frames, TABLE_LAYOUTS[table.recorded], config.data_seed
    )
    sample = SampleConfig(made.points, made.crop_height, made.crop_width)
    generate(plan, folder, config.population, sample, config.threads)
    return SimulatedSet(folder, made)
