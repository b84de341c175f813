"""The lists of packages agree with each other, with the doctor's, and with what is imported."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_layers import MODULES, ROS, outside

from emgait_ros.doctor.installation import PACKAGES, PYTHON_FROM, PYTHON_TO

# package -> who brings it on a ROS machine
FROM_THE_DISTRIBUTION = {
    "numpy": "python3-numpy",
    "scipy": "python3-scipy",
    "opencv-python-headless": "python3-opencv",
    "pyyaml": "python3-yaml",
    "matplotlib": "python3-matplotlib",
    "cryptography": "python3-cryptography",
    "aiohttp": "python3-aiohttp",
}
PIP_SETUP = ("3.10", "3.11", "3.12", "3.13")  # ROS 2 has wheels for these
BY_OTHERS = {  # imported under a name that belongs to none of the listed
    "cuda": "cuda-python",
    "llvmlite": "numba",  # that very version, with numba
    "lz4": "rosbags",  # which reads bags with it
    "mediapipe": "ai-edge-litert",  # only its models, optional.txt says how
    "tensorrt": "tensorrt-rtx-cu12-bindings",  # the same API, where there is a GPU
}


def listed(path) -> list[Requirement]:
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return [Requirement(line) for line in lines if line]


def pins(path, python: str) -> dict[str, str]:
    """Name -> version of what pip installs from a list on that Python."""
    found: dict[str, str] = {}
    for requirement in listed(path):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            assert found.setdefault(canonicalize_name(requirement.name), specifier.version) == specifier.version
    return found


@pytest.fixture(scope="module")
def folder(repository):
    return repository / "requirements"


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt", "optional.txt", "ros-jazzy.txt", "ros-kilted.txt"])
def test_every_python_gets_the_same_packages_pinned(folder, name):
    names = {canonicalize_name(requirement.name) for requirement in listed(folder / name)}
    assert all(set(pins(folder / name, python)) == names for python in PIP_SETUP)


def test_a_ros_machine_gets_all_of_the_run_time(repository, folder):
    newest = pins(folder / "runtime.txt", PIP_SETUP[-1])
    by_pip = {canonicalize_name(r.name): r.specifier for r in listed(folder / "ros-machine.txt")}
    assert set(by_pip) == set(newest) - set(FROM_THE_DISTRIBUTION)
    package = (repository / "package.xml").read_text()
    assert all(f"<exec_depend>{key}</exec_depend>" in package for key in FROM_THE_DISTRIBUTION.values())
    oldest = {canonicalize_name(p.distribution or p.module): p.minimum for p in PACKAGES}
    for name, specifier in by_pip.items():
        # A range, so that a package the distribution brought can stay: pip cannot replace it.
        bounds = {s.operator: s.version for s in specifier}
        assert set(bounds) == {">=", "<="}, name
        assert bounds[">="] == oldest[name], name
        assert bounds["<="] == newest[name] or name == "onnxruntime", name


# The doctor's table


def test_the_doctor_looks_for_the_run_time(folder):
    names = {canonicalize_name(package.distribution or package.module) for package in PACKAGES}
    assert names == set(pins(folder / "runtime.txt", PIP_SETUP[-1]))
    # One Python more: ROS Lyrical has it, as packages of its distribution.
    assert [f"{PYTHON_FROM[0]}.{minor}" for minor in range(PYTHON_FROM[1], PYTHON_TO[1])] == list(PIP_SETUP)


LOADED = """
import json, sys
import emgait_ros.nodes.gait_recognizer, emgait_ros.nodes.pedestrian_tracker, emgait_ros.cli.gallery
from emgait_ros.config import EngineConfig
from emgait_ros.inference.bundle import load_bundle
from emgait_ros.inference.encoder import GaitEncoder
GaitEncoder(load_bundle(""), EngineConfig())
print(json.dumps(list(sys.modules)))
"""


@pytest.mark.ros
def test_the_doctor_calls_needed_what_the_nodes_and_the_command_line_load(repository):
    pytest.importorskip("rclpy")
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=repository, capture_output=True, text=True, timeout=120, check=True
    )
    loaded = set(json.loads(done.stdout))
    assert {p.module for p in PACKAGES if p.needed} == {p.module for p in PACKAGES if p.module in loaded}


def test_whatever_is_imported_is_listed(folder):
    distributions = metadata.packages_distributions()
    names = {canonicalize_name(r.name) for path in folder.glob("*.txt") for r in listed(path)}
    imported = set().union(*(outside(path) for path in MODULES)) - ROS - set(sys.stdlib_module_names)
    assert set(BY_OTHERS.values()) <= names
    known = {package.module for package in PACKAGES} | set(BY_OTHERS) | {"emgait_ros"}
    for module in sorted(imported - known):
        by = {canonicalize_name(name) for name in distributions.get(module, [])}
        assert by & names or not by, (
            f"{module} is in no list of requirements/"
        )  # nothing is known of what is not installed


# module -> who brings it, where the two names differ
BROUGHT_BY = {
    "aiohttp": "python3-aiohttp",
    "cryptography": "python3-cryptography",
    "cv2": "python3-opencv",
    "llvmlite": "numba",
    "lz4": "rosbags",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "psycopg": "psycopg[binary]",
    "scipy": "python3-scipy",
    "tf2_ros": "tf2_ros_py",
    "yaml": "python3-yaml",
}
# Training, export, other backends and benchmarks: not part of a robot's installation, each says so when it is asked for.
NOT_ON_A_ROBOT = {
    "ai_edge_litert", "cuda", "faiss", "mediapipe", "onnx", "open_clip", "safetensors", "tensorboardX", "tensorrt",
    "threadpoolctl", "torch",
}  # fmt: skip
OURS = {"emgait_ros"}


def imported(file: Path) -> Iterator[str]:
    """Top-level modules that a file imports, ``import_module("...")`` included."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            yield from (a.value.split(".")[0] for a in node.args if isinstance(a, ast.Constant))


def test_package_xml_brings_every_import(repository):
    """rosdep installs what package.xml names, pip what ros-machine.txt pins: together all that is imported, and no more."""
    files = [*(repository / "emgait_ros").rglob("*.py"), *(repository / "launch").rglob("*.py")]
    modules = {name for file in files for name in imported(file)} - set(sys.stdlib_module_names) - OURS - NOT_ON_A_ROBOT
    needed = {BROUGHT_BY.get(module, module) for module in modules}
    named = set(re.findall(r"<exec_depend>(\S+)</exec_depend>", (repository / "package.xml").read_text()))
    by_pip = {canonicalize_name(r.name) for r in listed(repository / "requirements" / "ros-machine.txt")}
    brought = named | by_pip | {"psycopg[binary]"}
    assert needed - brought == set()
    played_or_measured = {"tf2_msgs", "sensor_msgs_py"}  # by name only: messages in bags, a peer of the benchmark
    assert named - needed - played_or_measured == set()


def licence_of(name: str) -> str:
    """What an installed distribution says of its licence, in lower case."""
    said = metadata.metadata(name)
    classifiers = [line for line in said.get_all("Classifier") or [] if line.startswith("License")]
    return " ".join([said.get("License-Expression") or "", (said.get("License") or "")[:200], *classifiers]).lower()


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt"])
def test_no_package_forbids_what_users_may_do(folder, name):
    """No AGPL, nothing for academic or non-commercial use alone, and everything says under which licence it is."""
    installed = {canonicalize_name(d.metadata["Name"]) for d in metadata.distributions()}
    looked_at = {n for n in pins(folder / name, "3.11") if n in installed} - {
        "pypatchworkpp"
    }  # BSD-2-Clause, by its repository alone
    assert len(looked_at) >= (10 if name == "runtime.txt" else 1)
    licences = {package: licence_of(package) for package in looked_at}
    forbidden = re.compile(r"agpl|affero|academic|non-?commercial|research only|cc-by-nc")
    assert {p: text for p, text in licences.items() if forbidden.search(text) or not text.strip()} == {}
