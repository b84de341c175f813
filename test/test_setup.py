"""scripts/setup.sh: which Python it takes, and that another one makes the environment again. Nothing is downloaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

VERSIONS = ("3.10", "3.11", "3.12", "3.13")


@pytest.fixture
def set_up(tmp_path, repository):
    """Runs a copy of the set-up that finds no package, so that it ends after making the environment."""
    for name in ("scripts", "requirements", "ros_compat"):
        shutil.copytree(repository / name, tmp_path / name)
    for name in ("emgait_msgs", "emgait_ros", "resource", "launch", "config", "models"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    for name in ("package.xml", "setup.py", "setup.cfg"):
        (tmp_path / name).touch()

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "_ROS"))}
        environ |= {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, **variables}
        command = ["bash", str(tmp_path / "scripts" / "setup.sh"), "runtime"]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=240)

    return run


def pythons() -> dict[str, str]:
    """Version -> command of those on this machine that can make an environment to build in."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    check = (
        "import ensurepip, os, sys, sysconfig as s; "
        "print('%d.%d' % sys.version_info[:2], os.path.exists(s.get_path('include') + '/Python.h'))"
    )
    found: dict[str, str] = {}
    own = f"python3.{sys.version_info.minor}"
    for command in (own, *(f"python{v}" for v in VERSIONS), *map(str, sorted(pyenv.glob("3.1*/bin/python3")))):
        try:
            said = subprocess.run([command, "-c", check], capture_output=True, text=True, timeout=30).stdout.split()
        except OSError:
            continue
        if said[1:] == ["True"] and said[0] in VERSIONS:
            found.setdefault(said[0], command)
    return found


def version_of(environment: Path) -> str:
    return re.search(r"^version\S* = (\d+\.\d+)", (environment / "pyvenv.cfg").read_text(), re.MULTILINE)[1]


@pytest.mark.parametrize(
    "stand_in", [None, "#!/bin/sh\nexit 1\n", "#!/bin/sh\necho 3.9.18\ncase $* in *realpath*) exit 1;; esac\n"]
)
def test_a_python_that_cannot_be_used_is_named(tmp_path, set_up, stand_in):
    command = tmp_path / "some-python"
    if stand_in:
        command.write_text(stand_in)
        command.chmod(0o755)
    done = set_up(PYTHON=str(command))
    assert done.returncode == 1
    for words in (
        "Python 3.10 to 3.13 is needed",
        f"{command} is {'3.9.18' if '3.9' in (stand_in or '') else 'no Python'}",
    ):
        assert words in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_another_python_makes_the_environment_again(tmp_path, set_up):
    if shutil.which("cc") is None or shutil.which("make") is None or len(found := pythons()) < 2:
        pytest.skip("takes a compiler, make and two Pythons of 3.10 to 3.13 with header files")
    (first, one), (second, other) = list(found.items())[:2]
    for command, version, new in (
        (one, first, True),
        ("", first, False),
        (other, second, True),
        (other, second, False),
    ):
        done = set_up(PYTHON=command)
        assert "pip could not install the packages" in done.stderr
        assert version_of(tmp_path / ".venv") == version
        assert ("creating .venv" in done.stdout) is new, done.stdout
