"""numba's ``njit`` for the kernels of this package: compiled once, and read from a cache at later starts.

numba keeps compiled code beside the source, else in the user's cache folder. Where it may write to neither (a read-only
container, a user without a home) it refuses to load the function; here a private temporary folder serves instead.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
log = logging.getLogger(__name__)


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: ``numba.njit(cache=True, **options)``, wherever the cache can be."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
        if use_temporary_cache():
            return numba.njit(cache=True, **options)(function)
        return numba.njit(**options)(function)

    return compiled


@cache
def use_temporary_cache() -> bool:
    """Let numba, here and in processes started from here, keep its cache in a temporary folder; False when there is none."""
    advice = f"set {CACHE_VARIABLE} to a folder that can be written"
    try:
        folder = str(private_folder(Path(tempfile.gettempdir())))
    except OSError as error:
        log.warning(
            "numba may write its cache of compiled code nowhere (%s): each start takes a minute; %s", error, advice
        )
        return False
    log.warning("numba may not write its cache of compiled code in its usual places: it is in %s; %s", folder, advice)
    os.environ[CACHE_VARIABLE] = folder
    numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]  # numba read the variable when it was imported
    return True


def private_folder(parent: Path) -> Path:
    """This user's folder for compiled code, mode 0700, the same at each start: code in it is run, so nobody else may write it.

    Raises:
        OSError: it cannot be made.
    """
    folder = parent / f"emgait-numba-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or stat.S_IMODE(state.st_mode) & 0o077:
            return Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=parent))
    return folder
