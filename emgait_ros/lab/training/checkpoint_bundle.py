"""A bundle of a checkpoint, to be measured as the live nodes would run it; it has no threshold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import nn

from emgait_ros.emgaitnet.export import write_bundle
from emgait_ros.inference.bundle import Bundle
from emgait_ros.lab.systems.registry import build, with_classes
from emgait_ros.lab.training.checkpoint import recipe_of, start_from
from emgait_ros.lab.training.recipe_file import recipe_of_values


def bundle_of_checkpoint(path: Path, folder: Path) -> Bundle:
    """Write the bundle of ``checkpoint.safetensors`` into a folder.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, not a checkpoint, or of an unknown recipe.
    """
    recipe = recipe_of(path)
    config = recipe_of_values(recipe)
    model = with_classes(config.model, 0)
    if config.clip.steps:
        clip = dataclasses.replace(config.emgaitnet.clip, pretrained=str(path.parent / "clip.safetensors"))
        model = dataclasses.replace(config.emgaitnet, clip=clip, classes=0)
    network = build(config.architecture, model, load_pretrained=True)
    if anew := start_from(path, nn.ModuleDict({"network": network})):
        raise ValueError(f"{path} lacks weights of its network: {', '.join(anew[:3])}")
    network.eval()
    return write_bundle(network, folder, config.name, config.preprocessing, training={"recipe": recipe})
