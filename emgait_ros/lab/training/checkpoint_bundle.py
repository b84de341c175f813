"""A bundle of a checkpoint, to be measured as the live nodes would run it; it has no threshold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import nn

from emgait_ros.emgaitnet.export import write_bundle
from emgait_ros.emgaitnet.fast import FastEMGaitNet
from emgait_ros.inference.bundle import Bundle
from emgait_ros.lab.training.checkpoint import recipe_of, start_from
from emgait_ros.lab.training.recipe import TrainingConfig
from emgait_ros.lab.training.recipe_file import with_values


def bundle_of_checkpoint(path: Path, folder: Path) -> Bundle:
    """Write the bundle of ``checkpoint.safetensors`` into a folder.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, not a checkpoint, or of an unknown recipe.
    """
    recipe = recipe_of(path)
    config: TrainingConfig = with_values(TrainingConfig(name=str(recipe["name"])), recipe, "")
    model = dataclasses.replace(config.model, classes=0)
    if config.clip.steps:
        clip = dataclasses.replace(model.clip, pretrained=str(path.parent / "clip.safetensors"))
        model = dataclasses.replace(model, clip=clip)
    network = FastEMGaitNet(model)
    if anew := start_from(path, nn.ModuleDict({"network": network})):
        raise ValueError(f"{path} lacks weights of its network: {', '.join(anew[:3])}")
    network.eval()
    return write_bundle(network, folder, config.name, config.preprocessing, training={"recipe": recipe})
