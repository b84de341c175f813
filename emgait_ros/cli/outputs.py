"""Files and folders that commands write to: looked at when the command line is read, not after an hour of work."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from emgait_ros.whole_files import write_text


def output_file(text: str) -> Path:
    """Type of an argument that names a file to be written; missing folders are made when it is.

    Raises:
        argparse.ArgumentTypeError: it cannot be written.
    """
    path = Path(text).expanduser()
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder: expected a file to write")
    if path.exists() and not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path} cannot be written: you have no right to")
    output_folder(str(path.absolute().parent))
    return path


def output_folder(text: str) -> Path:
    """Type of an argument that names a folder to write into; it is made when that happens.

    Raises:
        argparse.ArgumentTypeError: it cannot be written, or not be made.
    """
    path = Path(text).expanduser()
    there = path.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{path} cannot be written: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{path} cannot be written: you have no right to write in {there}")
    return path


def write_json(path: Path | None, content: Any) -> None:
    """Write what ``--json`` asks for; None: nothing was asked for.

    Raises:
        OSError: it cannot be written.
    """
    if path is not None:
        write_text(path, json.dumps(content, indent=2, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """What JSON has no form for: numpy's numbers, and paths."""
    return value.item() if hasattr(value, "item") else str(value)
