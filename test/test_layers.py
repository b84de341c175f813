"""The layers of CONTRIBUTING.md, read from the import statements."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "emgait_ros"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROS = {
    "rclpy", "emgait_msgs", "sensor_msgs", "std_msgs", "std_srvs", "geometry_msgs", "visualization_msgs", "diagnostic_msgs",
    "builtin_interfaces", "lifecycle_msgs", "rosgraph_msgs", "rcl_interfaces", "tf2_ros", "tf2_msgs", "message_filters",
    "sensor_msgs_py", "rosidl_runtime_py", "launch", "launch_ros", "ament_index_python",
}  # fmt: skip
TORCH = {"torch", "torchvision", "open_clip", "safetensors"}
TORCH_LAZILY = {"inference/torch_engine.py"}  # inside its functions only
CORE = {  # folder or module -> what of this package it may import beside itself
    "config": set(),
    "samples": set(),
    "jit": set(),
    "perception": {"config", "samples", "jit"},
    "tracking": {"config", "samples"},
    "gallery": {"config", "samples"},
    "shipped": set(),
    "parameter_file": {"config"},
    "starting": {"config"},
    "image_encodings": {"samples"},
    "conversions": {"config", "samples", "image_encodings"},
    "camera_info": {"samples", "conversions"},
    "frames": {"samples", "conversions"},
    "calibration": {"samples", "conversions", "camera_info", "frames"},
    "assembly": {"config", "samples", "conversions", "frames", "calibration", "pairing"},
    "inference": {"config", "samples", "shipped"},
    "stamps": {"samples"},
    "pairing_health": {"config"},
    "pairing": {"config", "samples", "stamps", "pairing_health"},
    "windows": {"config", "samples", "gallery"},
    "sensing": {"config", "samples", "perception", "tracking"},
    "track_choice": {"windows"},
    "identity_results": {"config", "samples", "windows", "gallery"},
    "enrollment": {"config", "samples", "windows", "track_choice", "inference", "gallery"},
    "enrollments_over_time": {"config", "windows", "track_choice", "enrollment"},
    "recognition": {
        "config",
        "samples",
        "windows",
        "track_choice",
        "identity_results",
        "inference",
        "gallery",
        "enrollment",
        "enrollments_over_time",
    },
    "reembedding": {"config", "samples", "inference", "gallery", "enrollment"},
    "pipeline": {"config", "samples", "sensing", "recognition", "inference", "gallery"},
}


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


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def outside(path: Path, deep: bool = True) -> set[str]:
    return {name.split(".")[0] for name in imports(path, deep)}


def inside(path: Path, deep: bool) -> set[str]:
    return {parts[1] for name in imports(path, deep) if len(parts := name.split(".")) > 1 and parts[0] == "emgait_ros"}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) != "nodes"], ids=name_of)
def test_only_nodes_import_ros(path):
    assert not outside(path) & ROS


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) not in ("emgaitnet", "training")], ids=name_of)
def test_only_the_network_and_training_import_torch(path):
    assert not outside(path, deep=name_of(path) not in TORCH_LAZILY) & TORCH


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) in CORE], ids=name_of)
def test_arrows_point_one_way(path):
    allowed = CORE[room(path)] | {room(path)}
    assert inside(path, deep=name_of(path) not in TORCH_LAZILY) <= allowed


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) not in ("nodes", "cli", "__main__")], ids=name_of)
def test_nothing_imports_the_fronts(path):
    assert not inside(path, deep=True) & {"nodes", "cli"}


def test_every_folder_of_the_core_exists():
    assert {room(path) for path in MODULES} >= set(CORE)


def test_the_rules_see_an_import_wherever_it_stands(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("import a.b\nfrom c import d\ndef f():\n    import e\nif TYPE_CHECKING:\n    import g\n")
    assert imports(module, deep=False) == {"a.b", "c.d"}
    assert imports(module, deep=True) == {"a.b", "c.d", "e", "g"}
