"""Sub-commands of a parser: a table of modules, each imported only when it is called."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

Commands = Mapping[str, tuple["str | Commands", str]]
"""name: (module with configure(parser) and run(args) -> exit status, or further commands; one line of help)"""


@contextmanager
def development_packages(what: str) -> Iterator[None]:
    """Around imports of what a robot need not have: ValueError says which package ``what`` lacks, and where it is listed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{what} needs the package '{error.name}', which is not installed: install requirements/dev.txt"
        ) from error


def add_numbers(parser: argparse.ArgumentParser, *options: tuple[str, float, str, str]) -> None:
    """Declare options for numbers: name, default (which says whether it is an int or a float), metavar, words of help."""
    for name, default, metavar, text in options:
        words = f"{text} (default: {default:g})"
        parser.add_argument(f"--{name}", type=type(default), default=default, metavar=metavar, help=words)


class _Command(argparse.ArgumentParser):
    """A parser that a module declares the arguments of, once there is something to parse."""

    module = ""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        if self.module:
            part = import_module(self.module)
            self.module, self.epilog = "", part.__doc__
            self.set_defaults(run=getattr(part, "run", None))
            part.configure(self)
        return super().parse_known_args(args, namespace)


def add_commands(parser: argparse.ArgumentParser, commands: Commands, dest: str, metavar: str) -> None:
    """Declare sub-commands; ``run`` of the parsed arguments is what the chosen one does."""
    actions = parser.add_subparsers(dest=dest, metavar=metavar, required=True, parser_class=_Command)
    for name, (module, summary) in commands.items():
        made = actions.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if isinstance(module, str):
            made.module = module
        else:
            add_commands(made, module, "kind", "WHAT")
