"""`emgait gallery export`, `import` and `trust`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.text import Text

from emgait_ros.cli.outputs import output_file
from emgait_ros.cli.terminal import agreed, console_of, table
from emgait_ros.gallery.encryption import find_key
from emgait_ros.gallery.exchange import RULES, ImportLine
from emgait_ros.gallery.export_file import SIGNING_KEY
from emgait_ros.gallery.store import Gallery

WORDS = {
    "new": "new here",
    "same": "all of it is here already",
    "add": "templates are added",
    "replace": "takes the place of what is here",
    "rename": "comes under another name",
    "skip": "left out",
    "refuse": "other templates under this name",
}


def configure(add: Any, agree: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    signing = argparse.ArgumentParser(add_help=False)
    signing.add_argument(
        "--signing-key", default=SIGNING_KEY, metavar="FILE", help="made when missing (default: %(default)s)"
    )
    export = add("export", _export, "write people to one signed file", signing)
    export.add_argument("file", type=output_file, help="the file; encrypted with the gallery's key when it has one")
    export.add_argument("names", nargs="*", metavar="NAME", help="whom; default: everybody")
    export.add_argument("--plain", action="store_true", help="do not encrypt it, although the gallery is")
    bring = add("import", _import, "take people over from an exported file", signing, agree)
    bring.add_argument("file", type=Path, help="written by `emgait gallery export`")
    bring.add_argument("--preview", action="store_true", help="only say what it would do")
    rules = "; ".join(f"{rule}: {text}" for rule, text in RULES.items())
    bring.add_argument(
        "--conflict",
        choices=tuple(RULES),
        default="refuse",
        help=f"people whose name is taken by somebody with other templates. {rules} (default: %(default)s)",
    )
    bring.add_argument("--export-key", default="", metavar="FILE", help="key of the gallery it comes from, if another")
    bring.add_argument("--trust", default="", metavar="SIGNER", help="take files of this signer, now and from now on")


def _export(gallery: Gallery, args: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    names = gallery.exchange.export(args.file, args.names, args.signing_key, args.plain)
    encrypted = gallery.encrypted and not args.plain
    how = "encrypted with the gallery's key" if encrypted else "NOT encrypted: whoever has it has these people's gait"
    print(f"{len(names)} people written to {args.file}, signed, {how}")
    return 0, {"file": str(args.file), "people": names, "encrypted": encrypted}


def _import(gallery: Gallery, args: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    if args.trust:
        gallery.exchange.trust(args.trust)
    key = find_key(args.export_key) if args.export_key else None
    people = gallery.exchange.read_export(args.file, args.signing_key, key)
    lines = gallery.exchange.preview(people, args.conflict)
    _print(lines, str(args.file))
    listed = [vars(line) for line in lines]
    if args.preview:
        return 0, {"imported": False, "people": listed}
    coming = sum(line.templates > 0 for line in lines)
    asks = coming and all(line.action != "refuse" for line in lines)
    if asks and not agreed(args, f"import {coming} people into {gallery.place}?"):
        return 1, {"imported": False, "people": listed}
    lines = gallery.exchange.import_people(people, args.conflict)
    templates = sum(line.templates for line in lines)
    print(f"{coming} people and {templates} templates imported; `emgait gallery undo` takes all of it back")
    return 0, {"imported": True, "people": listed}


def _print(lines: list[ImportLine], source: str) -> None:
    rows = []
    for line in lines:
        said = WORDS[line.action] + (f": '{line.target}'" if line.target != line.name else "")
        rows.append((Text(line.name), Text(said), str(line.templates), str(line.here)))
    headings = ("name", "what happens", "templates", "here")
    console_of().print(table(Text(f"people in {source}"), headings, rows, left=(0, 1)))
