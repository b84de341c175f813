"""The documentation builds without a warning, every page is reachable, and nothing of it is loaded from a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="sphinx is one of the development packages")


def test_the_site_builds(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(repository), os.environ.get("PYTHONPATH", "")])}
    built = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, timeout=240)
    assert built.returncode == 0, built.stderr
    pages = {path.stem for path in (repository / "docs").glob("*.md")}
    assert pages <= {path.stem for path in tmp_path.glob("*.html")}
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert {f"{page}.html" for page in pages - {"index"}} <= set(re.findall(r'href="([a-z_]+\.html)"', index))
    for page in tmp_path.glob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link)[^>]*(?:src|href)=\"(https?:[^\"]*)", page.read_text(encoding="utf-8")
        )
        assert not [address for address in loaded if "canonical" not in address], page.name


COMMANDS = re.compile(r"(?:\.venv/bin/|`|^ {4})emgait ((?:[a-z-]+ ?)+)", re.MULTILINE)


def test_the_commands_it_names_exist(repository: Path) -> None:
    """First words of every `emgait ...` in the README and the pages, against the command line's own parser."""
    from emgait_ros.cli.main import COMMANDS as KNOWN

    files = [repository / "README.md", repository / "SECURITY.md", *(repository / "docs").glob("*.md")]
    for file in files:
        for words in COMMANDS.findall(file.read_text(encoding="utf-8")):
            assert words.split()[0] in KNOWN, f"{file.name}: emgait {words}"
