"""Look at and mend the gallery: the SQLite file that holds who is enrolled.

    emgait gallery list                     who is enrolled, since when, with how many templates of which model
    emgait gallery rename "Anna" "Anna B."  another name; onto a name that exists, the two become one person
    emgait gallery remove "Ben"             delete a person and overwrite their templates in the file
    emgait gallery check                    read everything and say what is damaged (exit status 1 if anything is)
    emgait gallery audit                    every change ever made: when, what, whom

A running recognizer follows changes at its next frame; nothing needs a restart. Templates belong to the model that made
them and are never compared across models: after a change of model `list` shows who has to walk past once more.
The file is ~/.local/share/emgait/gallery.db unless --gallery or the parameter gallery.path says otherwise. It holds
biometric data: it is kept readable for its owner only, and so should copies of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emgait_ros.config import GalleryConfig
from emgait_ros.gallery.store import Gallery


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--gallery",
        type=Path,
        default=Path(GalleryConfig().path),
        metavar="PATH",
        help="the gallery file (default: %(default)s)",
    )
    common.add_argument("--json", type=Path, metavar="FILE", help="also write the answer to this file")
    agree = argparse.ArgumentParser(add_help=False)
    agree.add_argument("--yes", action="store_true", help="do not ask")
    actions.add_parser("list", parents=[common], help="who is enrolled")
    rename = actions.add_parser("rename", parents=[common, agree], help="give a person another name, or merge two")
    rename.add_argument("old_name", help="name as listed")
    rename.add_argument("new_name", help="1 to 64 characters; an existing name merges the two")
    remove = actions.add_parser("remove", parents=[common, agree], help="delete a person with all templates")
    remove.add_argument("name", help="name as listed")
    actions.add_parser("check", parents=[common], help="look for damage")
    actions.add_parser("audit", parents=[common], help="every change ever made")


def run(args: argparse.Namespace) -> int:
    """Do one action; the exit status is 1 when `check` found damage or a question was answered with no."""
    with Gallery(args.gallery, create=False) as gallery:
        status, answer = _ACTIONS[args.action](gallery, args)
    if args.json is not None:
        args.json.write_text(
            json.dumps({"gallery": gallery.place, **answer}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return status


def _list(gallery: Gallery, _: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    people = gallery.identities()
    table = Table(box=box.SIMPLE_HEAD, title=Text(f"{len(people)} enrolled in {gallery.place}"), title_justify="left")
    for column in ("name", "enrolled", "templates", "of model"):
        table.add_column(column, justify="right" if column == "templates" else "left")
    for person in people:
        models = ", ".join(
            f"{fingerprint[:12]} ({count})" for fingerprint, count in sorted(person.templates_by_model.items())
        )
        table.add_row(Text(person.name), _time(person.enrolled_ns), str(person.templates), Text(models))
    Console().print(table)
    listed = [
        {
            "name": person.name,
            "enrolled": _time(person.enrolled_ns),
            "templates": person.templates,
            "templates_by_model": person.templates_by_model,
        }
        for person in people
    ]
    return 0, {"identities": listed}


def _rename(gallery: Gallery, args: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    exists = any(person.name == args.new_name for person in gallery.identities()) and args.new_name != args.old_name
    if exists and not _agreed(args, f"'{args.new_name}' exists: make the two one person?"):
        return 1, {"renamed": False}
    outcome = gallery.rename(args.old_name, args.new_name)
    done = "merged into" if outcome.merged else "renamed to"
    print(f"'{args.old_name}' {done} '{args.new_name}': {outcome.templates} templates")
    return 0, {"renamed": True, "merged": outcome.merged, "templates": outcome.templates}


def _remove(gallery: Gallery, args: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    if not _agreed(args, f"delete '{args.name}' with all templates? This cannot be undone."):
        return 1, {"removed": False}
    templates = gallery.remove(args.name)
    print(f"removed '{args.name}' and {templates} templates")
    return 0, {"removed": True, "templates": templates}


def _check(gallery: Gallery, _: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    problems = gallery.check()
    people = gallery.identities()
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(
            f"{gallery.place} is sound: {len(people)} identities, {sum(person.templates for person in people)} templates"
        )
    return int(bool(problems)), {"sound": not problems, "problems": problems, "identities": len(people)}


def _audit(gallery: Gallery, _: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    entries = gallery.audit()
    for entry in entries:
        print(f"{_time(entry.at_ns)}  {entry.action:<7} '{entry.name}' {entry.detail}")
    return 0, {
        "changes": [
            {"time": _time(entry.at_ns), "action": entry.action, "name": entry.name, "detail": entry.detail}
            for entry in entries
        ]
    }


def _agreed(args: argparse.Namespace, question: str) -> bool:
    if args.yes:
        return True
    if not sys.stdin.isatty():
        raise ValueError(f"{question} Nobody can be asked here: say --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9).astimezone().isoformat(timespec="seconds")


_ACTIONS = {"list": _list, "rename": _rename, "remove": _remove, "check": _check, "audit": _audit}
