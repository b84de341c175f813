"""Every architecture by its name, for training, evaluation, export and benchmarks. The live node needs none of it: it runs the graphs of a bundle."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from emgait_ros.emgaitnet.fast import FastEMGaitNet
from emgait_ros.emgaitnet.model import EMGaitNet
from emgait_ros.emgaitnet.weights import load_weights
from emgait_ros.inference.bundle import Bundle
from emgait_ros.lab.systems.configs import ModelConfig, config_type
from emgait_ros.lab.systems.gaitbase import GaitBase
from emgait_ros.lab.systems.hmrnet import HmrNet
from emgait_ros.lab.systems.licaf import LiCaf
from emgait_ros.lab.systems.lidargait_plus_plus import LidarGaitPlusPlus
from emgait_ros.lab.systems.parts import GaitSystem

Network = EMGaitNet | GaitSystem
SYSTEMS: dict[str, Callable[[Any], GaitSystem]] = {
    kind.architecture: kind for kind in (GaitBase, LidarGaitPlusPlus, LiCaf, HmrNet)
}


def build(architecture: str, config: ModelConfig | dict[str, Any], load_pretrained: bool = False) -> Network:
    """A network by its architecture and configuration (or that as plain types, from a bundle).

    Raises:
        ValueError: an architecture or a configuration that is not known.
    """
    if isinstance(config, dict):
        config = config_type(architecture).from_dict(config)
    if not isinstance(config, config_type(architecture)):
        raise ValueError(f"architecture is '{architecture}', its configuration is of another: {type(config).__name__}")
    if architecture in SYSTEMS:
        return SYSTEMS[architecture](config)
    return FastEMGaitNet(config, load_pretrained)  # type: ignore[arg-type]


def network_of(bundle: Bundle) -> Network:
    """A bundle's network, without classifier and in evaluation mode.

    Raises:
        ValueError: configuration and weights of the bundle do not fit.
    """
    network = build(bundle.architecture, {**bundle.network, "classes": 0})
    load_weights(network, bundle.weights_path)
    return network.eval()


def with_classes(config: ModelConfig, classes: int) -> ModelConfig:
    """A configuration with so many training identities; 0: without the classifier."""
    return dataclasses.replace(config, classes=classes)
