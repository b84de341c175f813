"""TensorRT's code against the type stubs of TensorRT: what cannot run without a GPU is at least called rightly."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = ["emgait_ros/inference/tensorrt_builder.py", "emgait_ros/inference/tensorrt_engine.py"]
REPAIRS = {"in: list": "in_: list", "channel_axis: int)": "channel_axis: int = 0)"}  # of what is no Python in them


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    """The stubs where mypy looks for them (as installed they have no py.typed, and mypy passes them over)."""
    pytest.importorskip("mypy")
    try:
        files = importlib.metadata.files("tensorrt-stubs") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tensorrt-stubs is not installed: requirements/stubs.txt")
    folder = tmp_path_factory.mktemp("stubs")
    for file in files:
        if file.suffix == ".pyi":
            target = folder / str(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = Path(str(file.locate())).read_text(encoding="utf-8")
            for wrong, right in REPAIRS.items():
                text = text.replace(wrong, right)
            target.write_text(f"# mypy: ignore-errors\n{text}", encoding="utf-8")
    return folder


def checked(stubs, repository, *files):
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(stubs / ".cache"), "--follow-imports=silent", *files]
    environment = {**os.environ, "MYPYPATH": str(stubs)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=repository, env=environment, timeout=240, check=False
    )


def test_tensorrt_is_called_as_it_is_declared(stubs, repository):
    result = checked(stubs, repository, *MODULES)
    assert result.returncode == 0, result.stdout


def test_a_wrong_call_would_be_found(stubs, repository, tmp_path):
    source = (repository / MODULES[0]).read_text(encoding="utf-8")
    wrong = source.replace("profile.set_shape(", "profile.set_shapes(")
    assert wrong != source
    (tmp_path / "wrong.py").write_text(wrong, encoding="utf-8")
    result = checked(stubs, repository, str(tmp_path / "wrong.py"))
    assert 'has no attribute "set_shapes"' in result.stdout
