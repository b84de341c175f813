"""What commands show and ask on the terminal: tables, progress, questions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emgait_ros.config import RecognizerNodeConfig, TrackerNodeConfig

# Imported where it is used: the doctor has something to say on a machine without it.
if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress
    from rich.table import Table


class Bar:
    """A progress bar; see :func:`progress`."""

    def __init__(self, bars: Progress, text: str, total: float | None) -> None:
        self.console, self._bars = bars.console, bars
        self._task = bars.add_task(text, total=total)

    def at(self, done: float, total: float | None = None) -> None:
        """So much is done (of another total, where one is given)."""
        self._bars.update(self._task, completed=done, total=total)

    def say(self, text: str, done: float | None = None) -> None:
        """What is being done, and how much of it is."""
        self._bars.update(self._task, description=text, completed=done)


@contextmanager
def progress(text: str = "", total: float | None = 1.0) -> Iterator[Bar]:
    """A bar on stderr that is gone at the end; ``total`` None: not known yet."""
    from rich.progress import Progress, TextColumn

    text_column = TextColumn("{task.description}", markup=False)
    columns = (text_column, *Progress.get_default_columns()[1:])
    with Progress(*columns, console=console_of(stderr=True), transient=True) as bars:
        yield Bar(bars, text, total)


def console_of(width: int | None = None, *, stderr: bool = False) -> Console:
    """Where commands print; text is printed as it is, whatever brackets a path or a name holds.

    Args:
        width: of what is piped into a file, where no terminal says one; None: rich's.
        stderr: print there.
    """
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width, stderr=stderr, markup=False, highlight=False)


def table(
    title: RenderableType,
    headings: Sequence[str],
    rows: Iterable[Sequence[RenderableType]],
    left: Sequence[int] = (0,),
    **options: Any,
) -> Table:
    """A table; columns but those of ``left`` are right-aligned. ``options``: of rich's Table."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=SIMPLE_HEAD, **options)  # type: ignore[arg-type]
    for number, heading in enumerate(headings):
        made.add_column(heading, justify="left" if number in left else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def print_figures(title: str, figures: dict[str, Any]) -> None:
    """Print figures as a table, the machine below it."""
    rows = [
        (name, "not installed" if value is None else str(value)) for name, value in figures.items() if name != "machine"
    ]
    console_of(100).print(table(title, ("", ""), rows, caption=figures["machine"]))


def agreed(args: argparse.Namespace, question: str) -> bool:
    """Whether the user wants it; ``args.yes`` answers beforehand.

    Raises:
        ValueError: there is nobody to ask.
    """
    if args.yes:
        return True
    if not sys.stdin.isatty():
        raise ValueError(f"{question} Nobody can be asked here: say --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def node_options(path: Path | None, say: Callable[[str], None]) -> tuple[TrackerNodeConfig, RecognizerNodeConfig]:
    """The nodes' options by the file of ``--params``; ``say`` is told of each that no node knows.

    Raises:
        OSError, ValueError: it cannot be read, or holds a value that is not allowed.
    """
    if path is None:
        return TrackerNodeConfig(), RecognizerNodeConfig()
    from emgait_ros.parameter_file import load_parameters

    tracker, recognizer, unknown = load_parameters(path)
    for sentence in unknown:
        say(sentence)
    return tracker, recognizer
