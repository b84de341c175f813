"""Where files of this package are: those it ships beside its code (config/, launch/, models/), and those it can make again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "emgait_ros"


def shipped_path(relative: str) -> Path:
    """Where a shipped file or folder lies, in a source checkout or installed (colcon, pip).

    Args:
        relative: path as in the repository, e.g. ``config/fastdds_shm.xml``.

    Raises:
        FileNotFoundError: it is in none of the places; the sentence lists them.
    """
    tried = []
    for root in _roots():
        path = root / relative
        if path.exists():
            return path
        tried.append(str(path))
    raise FileNotFoundError(
        f"{relative} of {PACKAGE} was not found: looked for {', '.join(tried)}; install the package again"
    )


def cache_folder(kind: str) -> Path:
    """Where files are kept that can be made again: ``~/.cache/emgait_ros/KIND``, or below $XDG_CACHE_HOME."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / PACKAGE / kind


def _roots() -> Iterator[Path]:
    """Candidate folders, the one this very code belongs to first."""
    module = Path(__file__).resolve()
    checkout = module.parent.parent
    if (checkout / "package.xml").is_file():
        yield checkout
    share = Path("share") / PACKAGE
    for parent in module.parents:  # PREFIX/lib/python3.x/site-packages/emgait_ros/shipped.py
        if (parent / share).is_dir():
            yield parent / share
    # A symlink install resolves to the checkout; other installs may lie on another prefix than the code.
    for prefix in [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]:
        if prefix:
            yield Path(prefix) / share
