"""Look at and change the gallery: who is enrolled.

    emgait gallery list                          who is enrolled, since when, with how many templates of which model
    emgait gallery show "Anna"                   her templates: number, walk, range, sensors
    emgait gallery rename "Anna" "Anna B."       another name; onto a name that exists, the two become one person
    emgait gallery split "Anna" "Eve" 12 13      move some of her templates to a new person
    emgait gallery disable "Ben"                 keep him but never name him (enable: name him again, also when he expired)
    emgait gallery remove "Ben"                  delete a person for good, from the file, its side files and its backup
    emgait gallery undo                          take back the newest change (not a removal)
    emgait gallery export people.emgait          people in one signed file; import brings them into another gallery
    emgait gallery import people.emgait --preview
    emgait gallery calibrate                     the threshold for a wanted false-accept rate, from walks of strangers
    emgait gallery reembed                       templates for another model, from saved samples
    emgait gallery new-key FILE / rekey          encrypt, or change the key
    emgait gallery backup, check, audit, expire  a copy; damage (exit status 1); every change ever made; retention

A running recognizer follows changes at its next frame; nothing needs a restart, but for another key. Templates belong to
the model that made them and are never compared across models: after a change of model `list` shows who has to walk past
once more. The gallery is ~/.local/share/emgait/gallery.db unless --gallery or the parameter gallery.path says otherwise;
postgresql://user@host/name is one that several robots share. It holds biometric data: it is kept readable for its owner
only, and so should copies of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from rich.text import Text

from emgait_ros.cli import gallery_calibrate, gallery_keys, gallery_transfer
from emgait_ros.cli.outputs import output_file, write_json
from emgait_ros.cli.terminal import agreed, console_of, table
from emgait_ros.config import GalleryConfig
from emgait_ros.gallery.encryption import find_key
from emgait_ros.gallery.expiry import GRACE_DAYS
from emgait_ros.gallery.history import COMMAND_LINE, asked_by
from emgait_ros.gallery.records import EnrolledIdentity
from emgait_ros.gallery.store import Gallery

Answer = tuple[int, dict[str, Any]]
Action = Callable[[Gallery, argparse.Namespace], Answer]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    common, agree = common_arguments(), argparse.ArgumentParser(add_help=False)
    agree.add_argument("--yes", action="store_true", help="do not ask")

    def add(name: str, action: Action, summary: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made = actions.add_parser(
            name,
            parents=[common, *parents],
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(do=action)
        return made

    add("list", _list, "who is enrolled")
    add("show", _show, "the templates of a person").add_argument("name", help="name as listed")
    rename = add("rename", _rename, "give a person another name, or merge two", agree)
    rename.add_argument("old_name", help="name as listed")
    rename.add_argument("new_name", help="1 to 64 characters; an existing name merges the two")
    split = add("split", _split, "move some templates of a person to a new one", agree)
    split.add_argument("name", help="name as listed")
    split.add_argument("new_name", help="a name that is not enrolled yet")
    split.add_argument("templates", type=int, nargs="+", metavar="NUMBER", help="numbers as `show` lists them")
    for word in ("disable", "enable"):
        text = "keep a person but never name them" if word == "disable" else "name a disabled or expired person again"
        add(word, _disable, text).add_argument("name", help="name as listed")
    remove = add("remove", _remove, "delete a person with all templates, for good", agree)
    remove.add_argument("name", help="name as listed")
    add("undo", _undo, "take back the newest change that can be")
    text = f"hide everybody whose newest template is older; delete who was hidden {GRACE_DAYS} days ago"
    expire = add("expire", _expire, text, agree)
    expire.add_argument("--keep-days", type=float, required=True, metavar="D", help="days a person is kept")
    expire.add_argument(
        "--trust-clock", action="store_true", help="the clock is right, although the gallery's entries say otherwise"
    )
    backup = add("backup", _backup, "copy the whole gallery into a file")
    backup.add_argument(
        "file", type=output_file, nargs="?", help="default: beside the gallery, with .backup behind its name"
    )
    add("check", _check, "look for damage")
    add("audit", _audit, "every change ever made")
    gallery_transfer.configure(add, agree)
    gallery_keys.configure(add, agree)
    gallery_calibrate.configure(add)


def common_arguments() -> argparse.ArgumentParser:
    """A parent parser with what says which gallery is meant."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--gallery",
        default=GalleryConfig().path,
        metavar="PLACE",
        help="the gallery file, or postgresql://user@host/name (default: %(default)s)",
    )
    common.add_argument(
        "--key-file", default="", metavar="FILE", help="key of an encrypted gallery (or the environment's)"
    )
    common.add_argument("--json", type=output_file, metavar="FILE", help="also write the answer to this file")
    return common


def run(args: argparse.Namespace) -> int:
    """Do one action; the exit status is 1 when `check` found damage or a question was answered with no."""
    if args.action in gallery_keys.WITHOUT_GALLERY:
        status, answer = gallery_keys.WITHOUT_GALLERY[args.action](args)
    else:
        with (
            asked_by(COMMAND_LINE),
            Gallery(args.gallery, create=args.action == "import", key=find_key(args.key_file)) as gallery,
        ):
            status, answer = args.do(gallery, args)
            answer = {"gallery": gallery.place, **answer}
    write_json(args.json, answer)
    return status


def _list(gallery: Gallery, _: argparse.Namespace) -> Answer:
    people = gallery.identities()
    encrypted = ", encrypted" if gallery.encrypted else ""
    title = Text(f"{len(people)} enrolled in {gallery.place}{encrypted}")
    rows = []
    for person in people:
        models = ", ".join(
            f"{fingerprint[:12]} ({count})" for fingerprint, count in sorted(person.templates_by_model.items())
        )
        name = Text(person.name + _state_of(person))
        rows.append((name, shown_time(person.enrolled_ns), str(person.templates), Text(models)))
    console_of().print(table(title, ("name", "enrolled", "templates", "of model"), rows, left=(0, 1, 3)))
    listed = [
        {
            "name": person.name,
            "enrolled": shown_time(person.enrolled_ns),
            "templates": person.templates,
            "templates_by_model": person.templates_by_model,
            "disabled": person.disabled,
            "expired": shown_time(person.expired_ns) if person.expired_ns else None,
        }
        for person in people
    ]
    return 0, {"encrypted": gallery.encrypted, "identities": listed}


def _state_of(person: EnrolledIdentity) -> str:
    """Why a person is not named, in words."""
    gone = person.expired_ns + GRACE_DAYS * 86_400 * 10**9
    expired = f" (expired, deleted from {shown_time(gone)} on; `enable` keeps them)" if person.expired_ns else ""
    return (" (disabled)" if person.disabled else "") + expired


def _show(gallery: Gallery, args: argparse.Namespace) -> Answer:
    templates = gallery.templates_of(args.name)
    sensors, rows = {1: "camera", 2: "LiDAR", 3: "both"}, []
    for item in templates:
        seen = (str(item.samples), f"{item.median_range_m:.0f} m", sensors.get(item.modalities, "?"))
        rows.append((str(item.template_id), shown_time(item.created_ns), *seen, item.fingerprint[:12]))
    headings = ("number", "enrolled", "samples", "range", "sensors", "of model")
    console_of().print(table(Text(f"templates of '{args.name}'"), headings, rows, left=(1, 4, 5)))
    listed = [
        {
            "number": item.template_id,
            "enrolled": shown_time(item.created_ns),
            "samples": item.samples,
            "median_range_m": item.median_range_m,
            "modalities": item.modalities,
            "model": item.fingerprint,
            "quality": json.loads(item.quality) if item.quality else None,
        }
        for item in templates
    ]
    return 0, {"name": args.name, "templates": listed}


def _rename(gallery: Gallery, args: argparse.Namespace) -> Answer:
    exists = any(person.name == args.new_name for person in gallery.identities()) and args.new_name != args.old_name
    if exists and not agreed(args, f"'{args.new_name}' exists: make the two one person?"):
        return 1, {"renamed": False}
    if not _agreed_on(args, gallery.look_alikes(args.new_name, args.old_name)):
        return 1, {"renamed": False}
    outcome = gallery.rename(args.old_name, args.new_name, confirm=True)
    done = "merged into" if outcome.merged else "renamed to"
    print(f"'{args.old_name}' {done} '{args.new_name}': {outcome.templates} templates")
    return 0, {"renamed": True, "merged": outcome.merged, "templates": outcome.templates}


def _agreed_on(args: argparse.Namespace, alike: list[str]) -> bool:
    """Whether a new name may look like others."""
    listed = ", ".join(f"'{name}'" for name in alike)
    return not alike or agreed(args, f"'{args.new_name}' looks like {listed}: keep them apart, as different people?")


def _split(gallery: Gallery, args: argparse.Namespace) -> Answer:
    if not _agreed_on(args, gallery.look_alikes(args.new_name)):
        return 1, {"templates": 0}
    count = gallery.split(args.name, args.templates, args.new_name, confirm=True)
    print(f"{count} templates of '{args.name}' are those of '{args.new_name}' now")
    return 0, {"templates": count}


def _disable(gallery: Gallery, args: argparse.Namespace) -> Answer:
    changed = gallery.set_disabled(args.name, args.action == "disable")
    print(f"'{args.name}' is {args.action}d" + ("" if changed else " already"))
    return 0, {"changed": changed, "disabled": args.action == "disable"}


def _remove(gallery: Gallery, args: argparse.Namespace) -> Answer:
    if not agreed(args, f"delete '{args.name}' with all templates? This cannot be undone."):
        return 1, {"removed": False}
    templates = gallery.remove(args.name)
    print(f"removed '{args.name}' and {templates} templates")
    return 0, {"removed": True, "templates": templates}


def _undo(gallery: Gallery, _: argparse.Namespace) -> Answer:
    said = gallery.undo()
    print(said)
    return 0, {"undone": said}


def _expire(gallery: Gallery, args: argparse.Namespace) -> Answer:
    if args.keep_days <= 0:
        raise ValueError(f"--keep-days is {args.keep_days:g}: expected more than 0")
    question = f"stop naming everybody who was not enrolled for {args.keep_days:g} days, and delete them {GRACE_DAYS} days later?"
    if not agreed(args, question):
        return 1, {"expired": [], "deleted": [], "restored": []}
    found = gallery.expire(args.keep_days, args.trust_clock)
    if found.doubt:
        raise ValueError(f"nobody is removed: {found.doubt}; if the clock is right, call again with --trust-clock")
    for said, names in (
        (f"not named any more, deleted in {GRACE_DAYS} days", found.expired),
        ("deleted", found.deleted),
        ("named again", found.restored),
    ):
        if names or names is found.expired:
            print(f"{len(names)} people {said}" + (f": {', '.join(names)}" if names else ""))
    return 0, {"expired": found.expired, "deleted": found.deleted, "restored": found.restored}


def _backup(gallery: Gallery, args: argparse.Namespace) -> Answer:
    path = gallery.back_up(args.file)
    print(f"{gallery.place} is copied to {path}; to go back to it, put it in the gallery's place while nothing runs")
    return 0, {"backup": str(path)}


def _check(gallery: Gallery, _: argparse.Namespace) -> Answer:
    problems = gallery.check()
    people = gallery.identities()
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(
            f"{gallery.place} is sound: {len(people)} identities, {sum(person.templates for person in people)} templates"
        )
    return int(bool(problems)), {"sound": not problems, "problems": problems, "identities": len(people)}


def _audit(gallery: Gallery, _: argparse.Namespace) -> Answer:
    entries = gallery.history.audit()
    for entry in entries:
        print(f"{shown_time(entry.at_ns)}  {entry.action:<7} '{entry.name}' {entry.detail}")
    return 0, {
        "changes": [
            {"time": shown_time(entry.at_ns), "action": entry.action, "name": entry.name, "detail": entry.detail}
            for entry in entries
        ]
    }


def shown_time(nanoseconds: int) -> str:
    """Local time in words."""
    return datetime.fromtimestamp(nanoseconds / 1e9).astimezone().isoformat(timespec="seconds")
