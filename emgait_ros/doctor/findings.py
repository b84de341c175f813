"""What a check has found, and the page that shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


class Level(IntEnum):
    """How bad: OK, something to know about, or something that will not work."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True)
class Finding:
    """One line of the page.

    Attributes:
        subject: what was looked at: a package, a file, a topic.
        level: how bad it is.
        what: what was found.
        fix: what to do about it; empty when nothing is to be done.
        values: figures for the JSON file.
    """

    subject: str
    level: Level
    what: str
    fix: str = ""
    values: dict[str, Any] = field(default_factory=dict)


def ok(subject: str, what: str, **values: Any) -> Finding:
    """A finding that is as it should be."""
    return Finding(subject, Level.OK, what, "", values)


def warn(subject: str, what: str, fix: str, **values: Any) -> Finding:
    """A finding that costs something, or will under other circumstances."""
    return Finding(subject, Level.WARN, what, fix, values)


def fail(subject: str, what: str, fix: str, **values: Any) -> Finding:
    """A finding that keeps something from working."""
    return Finding(subject, Level.FAIL, what, fix, values)


def collect(check: Callable[[], Iterable[Finding]], subject: str) -> list[Finding]:
    """All findings of a check; an exception in it is a finding too, so that the other checks still run."""
    found: list[Finding] = []
    try:
        found.extend(check())
    except ImportError as error:
        found.append(
            fail(subject, f"cannot be checked: {error}", "install what is missing, see the section Installation")
        )
    except (OSError, ValueError) as error:
        found.append(fail(subject, str(error), "correct that and run the doctor again"))
    except Exception as error:  # whatever a broken installation throws
        found.append(fail(subject, f"the check itself failed: {type(error).__name__}: {error}", "report this"))
    return found


class Page:
    """The findings by section, in the order they were added."""

    def __init__(self) -> None:
        self.sections: dict[str, list[Finding]] = {}

    def add(self, section: str, findings: Iterable[Finding]) -> None:
        """Put findings under a heading; none, and there is no heading."""
        if found := list(findings):
            self.sections.setdefault(section, []).extend(found)

    @property
    def level(self) -> Level:
        """The worst of all findings."""
        return max((finding.level for finding in self), default=Level.OK)

    def __iter__(self) -> Iterator[Finding]:
        return (finding for findings in self.sections.values() for finding in findings)

    def show(self, console: Console) -> None:
        """Print the page in colours."""
        from rich.markup import escape
        from rich.table import Table

        colours = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
        for section, findings in self.sections.items():
            table = Table(
                title=escape(section),
                title_justify="left",
                title_style="bold",
                box=None,
                show_header=False,
                pad_edge=False,
            )
            table.add_column(width=4)
            table.add_column(max_width=36, overflow="fold")
            table.add_column(ratio=1, overflow="fold")
            for finding in findings:
                colour = colours[finding.level]
                text = escape(finding.what) + (f"\n[{colour}]-> {escape(finding.fix)}[/]" if finding.fix else "")
                table.add_row(f"[{colour}]{finding.level.name}[/]", escape(finding.subject), text)
            console.print(table)
            console.print()
        console.print(f"[{colours[self.level]}]{self.summary}[/]")

    def text(self) -> str:
        """The page without colours, for a machine where even rich is missing."""
        lines = []
        for section, findings in self.sections.items():
            lines.append(section)
            for finding in findings:
                lines.append(f"{finding.level.name:4}  {finding.subject}: {finding.what}")
                lines += [f"      -> {finding.fix}"] if finding.fix else []
        return "\n".join([*lines, self.summary])

    @property
    def summary(self) -> str:
        """How many findings there are of each level."""
        count = {level: sum(finding.level == level for finding in self) for level in Level}
        return f"{count[Level.FAIL]} broken, {count[Level.WARN]} to look at, {count[Level.OK]} fine"

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        sections = {
            name: [dataclasses.asdict(f) | {"level": f.level.name} for f in findings]
            for name, findings in self.sections.items()
        }
        return {"level": self.level.name, "sections": sections}
