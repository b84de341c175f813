"""Kernels where numba may write its cache nowhere, as in a read-only container: a private temporary folder serves."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import stat
import subprocess
import sys

import pytest

from emgait_ros import jit

TWICE = "from emgait_ros.jit import njit\n\n@njit(nogil=True)\ndef twice(x):\n    return 2 * x\n"
CALL = "import emgait_ros.sensing.perception.detector, emgait_ros.lab.simulation.gait, emgait_ros.twice as t; print(t.twice(21))"
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1


def _obey_modes() -> None:
    """Let file modes hold for root too, in the program that is started next."""
    if os.getuid() == 0 and ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0):
        raise OSError("root keeps its right to write everything")


@pytest.fixture
def read_only(tmp_path, repository):
    """Runs Python on a read-only copy of the package, with a read-only home: (arguments) -> finished process."""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    shutil.copytree(repository / "emgait_ros", home / "emgait_ros", ignore=shutil.ignore_patterns("__pycache__"))
    (home / "emgait_ros" / "twice.py").write_text(TWICE)
    temporary.mkdir()
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    left_out = (jit.CACHE_VARIABLE, "XDG_CACHE_HOME")
    environ = {name: value for name, value in os.environ.items() if name not in left_out}
    environ |= {"HOME": str(home), "PYTHONPATH": str(home), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=home,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            preexec_fn=_obey_modes,
        )

    try:
        if run("-c", "open('x', 'w')").returncode == 0:
            pytest.skip("this user writes into read-only folders")
    except subprocess.SubprocessError:
        pytest.skip("this root cannot give up its right to write everything")
    yield run
    for folder in folders:
        folder.chmod(0o755)


def test_kernels_of_a_read_only_installation(tmp_path, read_only):
    folder = tmp_path / "temporary" / f"emgait-numba-{os.getuid()}"
    for _ in range(2):  # a later start finds what the first has compiled
        done = read_only("-c", CALL)
        assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr
        assert done.stderr.count("\n") == done.stderr.count(str(folder)) == 1  # one warning for all kernels
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(list(folder.rglob("*.nbc"))) == 1
    assert os.listdir(folder.parent) == [folder.name]


def test_the_command_line_of_a_read_only_installation(read_only):
    assert read_only("-m", "emgait_ros", "--help").returncode == 0
    done = read_only("-m", "emgait_ros", "gallery", "list")
    assert done.returncode == 1
    assert done.stderr.startswith("emgait gallery: there is no gallery at")  # and no warning


USES = "from emgait_ros.jit import njit\nfrom emgait_ros.twice import twice\n\n@njit()\ndef four(x):\n    return twice(twice(x))\n"
COUNT = "import emgait_ros.four as f; print(f.four(3), sum(f.four.stats.cache_hits.values()))"


def test_copies_of_the_same_sources_compile_once(tmp_path, repository):
    """A working tree and an installed copy; what was compiled from other sources is not taken, nor with other callees."""
    environ = {name: value for name, value in os.environ.items() if name != jit.CACHE_VARIABLE}
    environ |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(copy: str, twice: str = TWICE) -> str:
        package = tmp_path / copy / "emgait_ros"
        package.mkdir(parents=True, exist_ok=True)
        for name in ("__init__.py", "jit.py", "shipped.py"):
            shutil.copy(repository / "emgait_ros" / name, package / name)
        (package / "twice.py").write_text(twice)
        (package / "four.py").write_text(USES)
        command = [sys.executable, "-c", COUNT]
        return subprocess.check_output(
            command, cwd=tmp_path, env=environ | {"PYTHONPATH": str(package.parent)}, text=True
        )

    assert run("tree") == "12 0\n"
    assert run("installed") == "12 1\n"
    assert run("installed", TWICE.replace("2 * x", "3 * x")) == "27 0\n"
    assert run("tree") == "12 1\n"


def test_kernels_call_kernels_of_their_own_folder_only(repository):
    with_kernels = [path for path in repository.glob("emgait_ros/**/*.py") if "@njit(" in path.read_text()]
    assert len(with_kernels) >= 10
    for path in with_kernels:
        imported = re.findall(r"^from emgait_ros\.([\w.]+) import", path.read_text(), re.MULTILINE)
        for module in {*imported} - {"jit"}:
            other = repository / "emgait_ros" / (module.replace(".", "/") + ".py")
            assert other.parent == path.parent or other not in with_kernels, f"{path} uses {other}"


@pytest.mark.parametrize("mode", [None, 0o700, 0o770, 0o707])
def test_a_folder_that_others_could_fill_is_not_used(tmp_path, mode):
    usual = tmp_path / f"emgait-numba-{os.getuid()}"
    if mode is not None:
        usual.mkdir()
        usual.chmod(mode)
    folder = jit.private_folder(tmp_path)
    assert (folder == usual) == (mode in (None, 0o700))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_any_folder_kernels_work_uncached(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    jit.use_temporary_cache.cache_clear()
    assert not jit.use_temporary_cache()
    assert len(caplog.records) == 1
    jit.use_temporary_cache.cache_clear()
