"""Files that are written beside their place and moved there complete; what a killed process left of one is removed."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path


def unfinished_beside(path: Path) -> Path:
    """Where this process writes a file before it is moved to ``path``; leftovers of processes that are gone are deleted.

    They may hold templates or keys.
    """
    pattern = re.compile(re.escape(f".{path.name}.") + r"(\d+)\.new(-wal|-shm|-journal)?")
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            found = pattern.fullmatch(other.name)
            if found and not _runs(int(found[1])):
                other.unlink(missing_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    return fresh


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A new empty file (mode 0600) that is moved to ``path`` at the end, or removed with its side files when anything is raised."""
    fresh = unfinished_beside(path)
    try:
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield fresh
        os.replace(fresh, path)
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{fresh}{suffix}").unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
