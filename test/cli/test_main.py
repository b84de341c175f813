"""The command line as a whole: every sub-command can be reached, teaches with --help, and fails in a sentence."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from emgait_ros.cli import main as cli

FOLDER = Path(cli.__file__).parent


def test_every_command_module_is_reachable():
    modules = {path.stem for path in FOLDER.glob("*.py") if "def configure(" in path.read_text(encoding="utf-8")}
    parts = [part for module, _ in cli.COMMANDS.values() if not isinstance(module, str) for part, _ in module.values()]
    reached = {
        name.rsplit(".", 1)[1] for name in (*(m for m, _ in cli.COMMANDS.values() if isinstance(m, str)), *parts)
    }
    assert {name for name in modules if not name.startswith("gallery_")} == reached


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_help_teaches(name, capsys):
    if name == "train":
        pytest.importorskip("torch")
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 8
    module = cli.COMMANDS[name][0]
    assert not isinstance(module, str) or import_module(module).__doc__


@pytest.mark.parametrize(
    ("words", "said"),
    [
        # a file that is not there
        (["evaluate", "bag", "/nowhere/at/all.bag"], "/nowhere/at/all.bag"),
        # a value that cannot be
        (["simulate", "/tmp/emgait-never-written", "--seconds", "-1"], "--seconds is -1"),
    ],
)
def test_what_a_user_can_mend_is_a_sentence(words, said, capsys):
    assert cli.main(words) == 1
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_an_unknown_command_is_wrong_use(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["fly"])
    assert ended.value.code == 2


LOADED = """
import sys
from emgait_ros.cli.main import main
try:
    main(sys.argv[2:])
except SystemExit:
    pass
sys.exit(sys.argv[1] in sys.modules)
"""


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["--help"], "numba"),
        (["bench", "--help"], "numba"),
        (["gallery", "list", "--gallery", "none.db"], "numba"),
        (["gallery", "calibrate", "--help"], "numba"),
        (["up", "--help"], "numba"),
        (["doctor", "--gallery", "none.db"], "emgait_ros.jit"),  # which tries whether numba itself can be imported
    ],
)
def test_commands_that_need_no_kernels_load_none(words, module, tmp_path, repository):
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(repository)!r})" + LOADED, module, *words]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120).returncode == 0


def test_an_interrupt_while_a_command_is_imported_is_no_traceback(monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("emgait_ros.cli.commands.import_module", interrupted)
    assert cli.main(["dataset", "check", "/nowhere"]) == 130
