"""The rows of the ablation: one recipe with other switches of the network; `emgait evaluate table ablation` trains and tests them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from emgait_ros.lab.training.recipe import TrainingConfig

ROWS: dict[str, dict[str, Any]] = {  # row: what its network has
    "points only": {"use_image": False, "use_sga": False, "use_semi": False},
    "RGB only": {"use_points": False, "use_sga": False, "use_semi": False},
    "baseline": {"use_sga": False, "use_semi": False, "use_st": False},
    "+SGA": {"use_semi": False, "use_st": False},
    "+SGA+SeMi": {"use_st": False},
    "+SGA+SeMi+ST": {},
}


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
