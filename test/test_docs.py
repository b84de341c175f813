"""The documentation builds without a warning, loads nothing from a network, and names what exists: commands, options, links."""

from __future__ import annotations

import argparse
import fnmatch
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pytest

from emgait_ros.cli.commands import Commands, add_commands
from emgait_ros.cli.main import COMMANDS
from emgait_ros.config import BridgesNodeConfig, RecognizerNodeConfig, TrackerNodeConfig, options_of

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


def _pages(repository: Path) -> list[Path]:
    named = [repository / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")]
    return [*named, *sorted((repository / "docs").glob("*.md")), *sorted(repository.glob("models/*/MODEL_CARD.md"))]


BLOCK = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)


def _code(page: Path) -> list[str]:
    """Lines of code blocks, and what stands between backticks."""
    text = page.read_text(encoding="utf-8")
    blocks = [line for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return blocks + [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", BLOCK.sub("\n", text))]


def _commands(lines: Iterable[str]) -> list[list[str]]:
    """Words of every call of `emgait`, without comments and explanations."""
    calls = [re.search(r"(?:^\s*|\.venv/bin/|`|emgait_ros |-m )emgait(?:_ros)? ([^`]*)", line) for line in lines]
    return [re.split(r"  +|#|\|", call[1])[0].split() for call in calls if call]


def _parser(words: list[str]) -> argparse.ArgumentParser | None:
    """The parser of the (sub-)command that the words name; None where there is no such command."""
    parser: argparse.ArgumentParser = argparse.ArgumentParser()
    add_commands(parser, COMMANDS, "command", "COMMAND")
    names = iter(words)
    while choices := next((a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None):
        if (name := next(names, None)) is None or not re.fullmatch("[a-z][a-z-]*", name):
            return parser
        if name not in choices:
            return None
        parser = choices[name]
        if module := getattr(parser, "module", ""):
            parser.module = ""
            import_module(module).configure(parser)
    return parser


def _modules(commands: Commands) -> list[str]:
    return [name for part, _ in commands.values() for name in ([part] if isinstance(part, str) else _modules(part))]


def test_the_commands_and_options_it_names_exist(repository: Path) -> None:
    """Every `emgait ...` of the pages and of the help texts, against the command line's own parsers."""
    pytest.importorskip("torch", reason="emgait train cannot be asked for its options without it")
    sources = {page.name: _code(page) for page in _pages(repository)}
    sources |= {name: (import_module(name).__doc__ or "").splitlines() for name in _modules(COMMANDS)}
    wrong = []
    for source, lines in sources.items():
        for words in _commands(lines):
            known = set(getattr(_parser(words), "_option_string_actions", {}))
            ours = words[: words.index("--ros-args")] if "--ros-args" in words else words
            options = [option for option in (word.strip("[]") for word in ours) if re.match("--?[a-z]", option)]
            if not known or not known.issuperset(options):
                wrong.append(f"{source}: emgait {' '.join(words)}")
    assert not wrong


def test_the_parameters_and_launch_arguments_it_names_exist(repository: Path) -> None:
    nodes = (TrackerNodeConfig(), RecognizerNodeConfig(), BridgesNodeConfig())
    known = {name for node in nodes for name in options_of(node)}
    groups = "|".join({name.split(".")[0] for name in known if "." in name})
    launch = (repository / "launch/gait.launch.py").read_text(encoding="utf-8")
    others = {"vision", "__ns"}  # -p vision:=true of bridges, -r __ns:=/rear of all nodes
    arguments = set(re.findall(r'^    "(\w+)": \(', launch, re.MULTILINE)) | others
    wrong = []
    for page in _pages(repository):
        for code in _code(page):
            named = re.findall(rf"(?<![\w/.])(?:{groups})\.(?!py\b|md\b|yaml\b|onnx\b)[\w*]+(?![\w/])", code)
            wrong += [f"{page.name}: {name}" for name in named if not fnmatch.filter(known, name)]
            wrong += [
                f"{page.name}: {name}:=" for name in re.findall(r"(?<![\w/.])(\w+):=", code) if name not in arguments
            ]
    assert not wrong


def test_links_lead_to_a_file_and_a_heading(repository: Path) -> None:
    """The site's own check is off for links to files that are no pages, and with it that of headings."""

    def anchors(page: Path) -> list[str]:
        headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]

    for page in _pages(repository):
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {link}"
