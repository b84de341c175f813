"""Checkpoints: one safetensors file, written whole or not at all; nothing is pickled.

Tensors: ``model.*`` (without frozen CLIP, which has its own file), ``first.*``, ``second.*`` and ``count.*`` (the optimizer's
moments by parameter name, and of how many steps) and ``generator`` (torch's). The header's metadata carries the step and the recipe as JSON. Batches and
augmentation are functions of (seed, step), the learning rate of the step: there is no other state.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from emgait_ros.emgaitnet.weights import read_weights
from emgait_ros.inference.bundle import load_bundle, local_only
from emgait_ros.lab.training.optimizer import AdamAndMuon
from emgait_ros.whole_files import written_whole

FORMAT = "emgait-checkpoint-1"
MAY_DIFFER = (
    "runs",
    "data",
    "data_seed",
    "bundles",
    "threads",
    "dataset",
    "partition",
    "segmenter",
)  # where it runs, not what is learnt


def save_checkpoint(path: Path, network: nn.Module, optimizer: AdamAndMuon, step: int, recipe: dict[str, Any]) -> None:
    """Write a checkpoint of the state after ``step`` steps; an older one is replaced only once the new one is complete.

    Raises:
        OSError: it could not be written (a full disk, no permission); the older one is untouched.
    """
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    tensors: dict[str, Tensor] = {
        f"model.{name}": value.detach().contiguous() for name, value in learnt_state(network).items()
    }
    for parameter, count, mean, square in optimizer.moments():
        tensors[f"first.{names[id(parameter)]}"] = mean.contiguous()
        tensors[f"count.{names[id(parameter)]}"] = torch.tensor(count)
        if square is not None:
            tensors[f"second.{names[id(parameter)]}"] = square.contiguous()
    tensors["generator"] = torch.get_rng_state()
    header = {"format": FORMAT, "step": str(step), "recipe": json.dumps(recipe)}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with written_whole(path) as fresh:
            save_file(tensors, str(fresh), metadata=header)
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"the checkpoint {path} could not be written ({error}): is the disk full? The one before it is kept"
        ) from error


def load_checkpoint(path: Path, network: nn.Module, optimizer: AdamAndMuon, recipe: dict[str, Any]) -> int:
    """Restore network, optimizer and generator; returns how many steps were done.

    Raises:
        FileNotFoundError: no checkpoint there.
        ValueError: damaged, not a checkpoint, or of another recipe.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path} to resume from: start without --resume")
    header, tensors = _read(path)
    step = int(header["step"])
    _check_recipe(path, *(_up_to(json.loads(text), step) for text in (header["recipe"], json.dumps(recipe))))
    own = learnt_state(network)
    found = {name[len("model.") :]: value for name, value in tensors.items() if name.startswith("model.")}
    if set(own) != set(found):
        raise ValueError(
            f"{path} does not hold the weights of this network: {sorted(set(own) ^ set(found))[:3]} differ"
        )
    network.load_state_dict(found, strict=False)
    for name, parameter in network.named_parameters():
        if f"first.{name}" in tensors:
            count = int(tensors[f"count.{name}"])
            optimizer.restore(parameter, count, tensors[f"first.{name}"], tensors.get(f"second.{name}"))
    torch.set_rng_state(tensors["generator"])
    return step


def start_from(path: Path, network: nn.Module) -> list[str]:
    """Take over what another run has learnt, where names and shapes agree; returns the names that begin anew.

    Args:
        path: checkpoint.safetensors of a run, or the folder of a bundle.
        network: what the weights are put into, as a run's learner has it (``network.*``).

    Raises:
        FileNotFoundError: neither is there.
        ValueError: damaged, neither of them, or of a network that shares nothing with this one.
    """
    if path.is_dir():
        tensors = {
            f"model.network.{name}": value for name, value in read_weights(load_bundle(path).weights_path).items()
        }
    elif path.is_file():
        tensors = _read(path)[1]
    else:
        raise FileNotFoundError(
            f"start_from is {path}, which is missing: give the checkpoint.safetensors of a run, or the folder of a bundle"
        )
    own = learnt_state(network)
    fitting = {
        name: tensors[f"model.{name}"]
        for name, value in own.items()
        if f"model.{name}" in tensors and tensors[f"model.{name}"].shape == value.shape
    }
    if not fitting:
        raise ValueError(f"start_from is {path}: not one weight in it fits this recipe's network")
    network.load_state_dict(fitting, strict=False)
    return sorted(set(own) - set(fitting))


def kept_here(path: Path) -> str:
    """Why what a run starts from (as in :func:`start_from`) must not be passed on; empty: it may be. Errors as :func:`start_from`."""
    return local_only(path) if path.is_dir() else str(recipe_of(path).get("local_only") or "")


def recipe_of(path: Path) -> dict[str, Any]:
    """The recipe that a checkpoint was trained by; errors as :func:`start_from`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: give the checkpoint.safetensors of a run")
    with _opened(path) as file:
        recipe: dict[str, Any] = json.loads(file.metadata()["recipe"])
    return recipe


def learnt_state(network: nn.Module) -> dict[str, Tensor]:
    """The state dict without CLIP's frozen towers (and without whatever else never changes)."""
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    fixed = ("semantics.image.", "semantics.text.", "semantics.features")
    state = network.state_dict()
    return {name: state[name] for name in state if name not in frozen and not any(part in name for part in fixed)}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A checkpoint as safetensors opens it; ValueError when it is damaged or none."""
    try:
        with safe_open(str(path), framework="pt") as file:
            if (found := (file.metadata() or {}).get("format")) != FORMAT:
                raise ValueError(
                    f"{path} is no checkpoint of emgait train: its format is {found!r}, expected '{FORMAT}'"
                )
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): delete it and start again") from error


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    with _opened(path) as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _up_to(recipe: dict[str, Any], step: int) -> dict[str, Any]:
    """The part of a recipe that decided the first ``step`` steps: what lies ahead may change."""
    ahead = dict(recipe["optimization"])
    ahead["steps"] = None
    ahead["milestones"] = [milestone for milestone in ahead["milestones"] if milestone < step]
    later = {"calibrate", "test", "calibration"} | (
        {"train"} if recipe.get("dataset") else set()
    )  # only made sets obey it
    return {**{key: value for key, value in recipe.items() if key not in later}, "optimization": ahead}


def _check_recipe(path: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ValueError naming the first key in which two recipes differ."""
    saved = {"architecture": "emgaitnet", **saved}  # as it was before there was a choice
    for key in sorted(set(saved) | set(wanted)):
        one, other = saved.get(key), wanted.get(key)
        if key in MAY_DIFFER or one == other:
            continue
        if key == "local_only" and other:  # it may be added or worded anew, never taken out
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            inner = next(k for k in sorted(set(one) | set(other)) if one.get(k) != other.get(k))
            key, one, other = f"{key}.{inner}", one.get(inner), other.get(inner)
        raise ValueError(
            f"{path} is of another recipe: {key} was {one!r} and is now {other!r}; undo that or start without --resume"
        )
