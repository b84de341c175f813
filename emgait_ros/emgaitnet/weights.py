"""Weights in and out of safetensors files; nothing is ever pickled."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emgait_ros.emgaitnet.fast import FastEMGaitNet
from emgait_ros.emgaitnet.model import EMGaitNet
from emgait_ros.emgaitnet.network_config import EMGaitNetConfig
from emgait_ros.inference.bundle import Bundle


def save_weights(network: Any, path: Path, classifier: bool = True) -> None:
    """Write a network's weights; ``classifier=False`` leaves out the BNNeck, which inference does not need."""
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file({name: value for name, value in state.items() if classifier or not name.startswith("neck.")}, str(path))
    with contextlib.suppress(PermissionError):  # exFAT and the like have no modes
        path.chmod(0o644)  # safetensors makes files of mode 0600; a bundle is read by other users too


def load_weights(network: nn.Module, path: Path) -> None:
    """Read weights into a network of the same configuration.

    Raises:
        ValueError: the file is damaged or of another configuration.
    """
    try:
        network.load_state_dict(read_weights(path))
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the weights of this network: {error}") from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a bundle's weights by name; ValueError when the file is damaged."""
    try:
        return load_file(str(path))
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): copy the bundle again") from error


def load_network(bundle: Bundle) -> EMGaitNet:
    """A bundle's network, without classifier and in evaluation mode: for the torch backend, fine-tuning and export.

    Raises:
        ValueError: configuration and weights of the bundle do not fit.
    """
    config = dataclasses.replace(EMGaitNetConfig.from_dict(bundle.network), classes=0)
    network = FastEMGaitNet(config, load_pretrained=False)
    load_weights(network, bundle.weights_path)
    return network.eval()
