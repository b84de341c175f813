"""Reads the YAML file of a recipe; every mistake is a sentence that names the key."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from emgait_ros.lab.systems.configs import config_type
from emgait_ros.lab.training.recipe import TrainingConfig


def load_training_config(path: str | Path) -> TrainingConfig:
    """Read a recipe.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not YAML, an unknown key, a value of another type or out of range; the sentence names file and key.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} is missing: give the YAML file of a recipe, such as config/training/emgait-sim.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds {type(values).__name__}: expected keys and values of a training recipe")
    if "name" not in values:
        raise ValueError(f"{path}: the key 'name' is missing: it names the run and the bundle")
    try:
        return recipe_of_values(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def recipe_of_values(values: dict[str, Any]) -> TrainingConfig:
    """A recipe from its keys, ``name`` among them; ``architecture`` says what keys ``model`` has.

    Raises:
        ValueError: as :func:`with_values`.
    """
    architecture = str(values.get("architecture", "emgaitnet"))
    blank = TrainingConfig(name=str(values["name"]), architecture=architecture, model=config_type(architecture)())
    made: TrainingConfig = with_values(blank, values, "")
    return made


def with_values(defaults: Any, values: dict[str, Any], prefix: str) -> Any:
    """A dataclass with other values, nested dataclasses too; every mistake is a ValueError naming the key."""
    known = sorted(prefix + item.name for item in dataclasses.fields(defaults))
    unknown = sorted({f"{prefix}{name}" for name in values} - set(known))
    if unknown:
        raise ValueError(f"unknown key '{unknown[0]}': known are {', '.join(known)}")
    made: dict[str, Any] = {}
    for name, value in values.items():
        current = getattr(defaults, name)
        if not dataclasses.is_dataclass(type(current)):
            made[name] = _converted(prefix + name, value, current)
        elif isinstance(value, dict):
            made[name] = with_values(type(current)(), value, f"{prefix}{name}.")
        else:
            raise ValueError(f"'{prefix}{name}' is {value!r}: expected keys and values")
    return dataclasses.replace(defaults, **made)


def _converted(name: str, value: Any, current: Any) -> Any:
    """``value`` as the type of the default; whole numbers pass as floats."""
    if isinstance(current, tuple):
        if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in value):
            raise ValueError(f"'{name}' is {value!r}: expected a list of numbers")
        return tuple(value)
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, type(current)) or isinstance(value, bool) != isinstance(current, bool):
        raise ValueError(f"'{name}' is {value!r}: expected {type(current).__name__}")
    return value
