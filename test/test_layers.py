"""The rules of the house, read from the import statements: the robot apart from the laboratory, arrows in one direction."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "emgait_ros"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROS = {
    "rclpy", "emgait_msgs", "sensor_msgs", "std_msgs", "std_srvs", "geometry_msgs", "visualization_msgs", "diagnostic_msgs",
    "builtin_interfaces", "lifecycle_msgs", "rosgraph_msgs", "rcl_interfaces", "tf2_ros", "tf2_msgs", "message_filters",
    "sensor_msgs_py", "vision_msgs", "hri_msgs", "people_msgs", "bond", "rosidl_runtime_py", "launch", "launch_ros", "ament_index_python",
}  # fmt: skip
WITH_ROS = ("nodes/", "live/", "console/bridge.py", "lab/demo/observer.py", "lab/soak/graph.py")
TORCH = {"torch", "torchvision", "open_clip", "safetensors"}
WITH_TORCH = (
    "emgaitnet/", "lab/adaptation/", "lab/training/", "lab/systems/", "lab/detection/", "lab/simulated_supervision/",
    "lab/bench/",
)  # fmt: skip
TESTS = Path(__file__).resolve().parent
LAZY = {"inference/torch_engine.py"}  # torch and the network inside its functions only
GROUND_FLOOR = {"config", "foreign", "samples", "shipped", "jit", "stop_signals", "whole_files"}
ALLOWED = {  # folder or module -> what of this package it may import beside itself
    "config": set(),
    "samples": set(),
    "shipped": set(),
    "jit": {"shipped"},
    "stop_signals": set(),
    "whole_files": set(),
    "foreign": set(),
    "parameter_file": {"config", "foreign"},
    "starting": {"config"},
    "transport": {"shipped"},
    "sensing": GROUND_FLOOR,
    "inference": GROUND_FLOOR,
    "gallery": GROUND_FLOOR,
    "recognition": GROUND_FLOOR | {"inference", "gallery"},
    "pipeline": GROUND_FLOOR | {"sensing", "inference", "gallery", "recognition"},
    "nodes": GROUND_FLOOR | {"transport", "sensing", "inference", "gallery", "recognition"},
    "recordings": GROUND_FLOOR | {"sensing", "inference", "gallery", "recognition", "pipeline"},
    "live": GROUND_FLOOR | {"transport", "starting", "sensing", "recordings", "doctor", "nodes"},
    "console": GROUND_FLOOR | {"sensing", "gallery", "recordings", "nodes"},
    "emgaitnet": GROUND_FLOOR | {"inference"},
    "doctor": GROUND_FLOOR | {"transport", "sensing", "inference", "gallery", "recordings"},
    "lab": {*GROUND_FLOOR, "sensing", "inference", "gallery", "recognition", "pipeline", "recordings", "emgaitnet"},
}


@functools.cache
def imports(path: Path, deep: bool) -> set[str]:
    """Dotted names a module imports: everywhere in it, or when it is loaded (functions and TYPE_CHECKING left out)."""
    names: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide what is imported"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif not deep and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        elif not deep and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending += node.orelse
            continue
        pending += ast.iter_child_nodes(node)
    return names


def loaded_with(path: Path, seen: set[Path]) -> set[str]:
    """The foreign packages that loading a module imports, through the modules of this package and helpers of the tests."""
    found: set[str] = set()
    for name in imports(path, deep=False):
        parts = name.split(".")
        candidates = [PACKAGE.parent.joinpath(*parts[:n]) for n in range(1, len(parts) + 1)] + [
            TESTS / "helpers" / parts[0]
        ]
        files = [f for c in candidates for f in (c / "__init__.py", c.with_suffix(".py")) if f.is_file()]
        if not files:
            found.add(parts[0])
        for file in files:
            if file not in seen:
                seen.add(file)
                found |= loaded_with(file, seen)
    return found


def skipped_without(path: Path) -> set[str]:
    """The packages without which a test file, or a helper that it imports, is skipped as it is loaded."""
    helpers = (TESTS / "helpers" / f"{name.split('.')[0]}.py" for name in imports(path, deep=False))
    texts = [file.read_text(encoding="utf-8") for file in (path, *helpers) if file.is_file()]
    return {
        name for text in texts for name in re.findall(r'^(?:\w+ = )?pytest\.importorskip\("(\w+)', text, re.MULTILINE)
    }


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def outside(path: Path, deep: bool = True) -> set[str]:
    return {name.split(".")[0] for name in imports(path, deep)}


def inside(path: Path, deep: bool) -> set[str]:
    return {parts[1] for name in imports(path, deep) if len(parts := name.split(".")) > 1 and parts[0] == "emgait_ros"}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", [p for p in MODULES if not name_of(p).startswith(WITH_ROS)], ids=name_of)
def test_ros_is_imported_by_nodes_and_live_programs_alone(path):
    assert not outside(path) & ROS


@pytest.mark.parametrize("path", [p for p in MODULES if not name_of(p).startswith(WITH_TORCH)], ids=name_of)
def test_torch_is_imported_by_the_network_and_the_laboratory_alone(path):
    assert not outside(path, deep=name_of(path) not in LAZY) & TORCH


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) in ALLOWED], ids=name_of)
def test_arrows_point_one_way(path):
    """Above all: the robot imports neither laboratory, recordings nor live programs, and the network knows no simulator."""
    of_its_own_accord = name_of(path) not in LAZY
    beside = {"live"} if name_of(path) == "lab/demo/observer.py" else set()
    assert inside(path, deep=of_its_own_accord) <= ALLOWED[room(path)] | {room(path)} | beside


def test_every_folder_has_a_rule():
    assert {room(path) for path in MODULES} - {"__init__", "__main__", "cli"} == set(ALLOWED)


def test_the_paper_is_not_taught_by_the_simulator():
    """What only simulated people can give is in a folder of its own; the network's folder does not know of it."""
    for path in (p for p in MODULES if room(p) == "emgaitnet"):
        assert not any("lab" in name.split(".") for name in imports(path, deep=True)), name_of(path)


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda p: p.relative_to(TESTS).as_posix())
def test_a_test_file_is_collected_where_torch_is_not_installed(path):
    """A robot has no torch: one file that needs it when it is loaded would stop the whole run there."""
    assert not loaded_with(path, set()) & TORCH or "torch" in skipped_without(path)


def test_the_rules_see_an_import_wherever_it_stands(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("import a.b\nfrom c import d\ndef f():\n    import e\nif TYPE_CHECKING:\n    import g\n")
    assert imports(module, deep=False) == {"a.b", "c.d"}
    assert imports(module, deep=True) == {"a.b", "c.d", "e", "g"}
