"""Files that are there whole or not at all: written beside their place and moved there complete.

What a killed process left of one is removed when the next is written.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

SIDE_FILES = ("-journal", "-wal", "-shm")
"""What SQLite writes beside a file."""


def unfinished_beside(path: Path) -> Path:
    """Where this process writes a file before it is moved to ``path``; leftovers of processes that are gone are deleted.

    They may hold templates or keys. Of a link, the file it leads to counts.
    """
    path = Path(os.path.realpath(path))
    pattern = re.compile(re.escape(f".{path.name}.") + rf"(\d+)\.new({'|'.join(SIDE_FILES)})?")
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            found = pattern.fullmatch(other.name)
            if found and not _runs(int(found[1])):
                other.unlink(missing_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    return fresh


@contextlib.contextmanager
def written_whole(path: Path, private: bool = False) -> Iterator[Path]:
    """A new empty file that is moved to ``path`` at the end, or removed with its side files when anything is raised.

    Args:
        path: where to; its folder exists. Of a link, what it leads to is replaced, on whatever disk that is. A pipe or a
            terminal is given as it is, to be written to.
        private: mode 0600 and on the disk before it is moved, as templates and keys need; else as the umask says.

    Raises:
        OSError: it cannot be made or moved; what was there before is untouched.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    fresh = unfinished_beside(path)
    try:
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600 if private else 0o666))
        yield fresh
        if private:
            _flush(fresh)
        os.replace(fresh, os.path.realpath(path))
    finally:
        for suffix in ("", *SIDE_FILES):
            Path(f"{fresh}{suffix}").unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all; folders that are missing are made.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
