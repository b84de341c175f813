"""numba's ``njit`` for the kernels of this package: compiled once, and read from a cache at later starts.

By itself numba keeps compiled code under the path of the source. Here it is kept in the user's cache folder under the content
of the sources, so that a working tree and an installed copy compile once; beside the source where that folder cannot be
written. Where neither can (a read-only container, a user without a home) numba refuses to load the function; then a private
temporary folder serves.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import UserWideCacheLocator

from emgait_ros.shipped import cache_folder

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
log = logging.getLogger(__name__)


class ContentCacheLocator(UserWideCacheLocator):
    """Where numba keeps the compiled code of a function: in a folder named after what it was compiled from."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        super().__init__(py_func, py_file)
        folder = Path(py_file).parent
        self._digest = kernels_digest(folder)
        root = Path(numba.config.CACHE_DIR or cache_folder("kernels"))  # type: ignore[attr-defined]
        self._cache_path = str(root / f"{folder.name}-{self._digest}")

    def get_source_stamp(self) -> str:
        """What tells sources apart: not when a copy was written, as numba before 0.68 has it."""
        return self._digest


LOCATORS = f"{__name__}.{ContentCacheLocator.__name__},InTreeCacheLocator"


@cache
def kernels_digest(folder: Path) -> str:
    """Hash of all modules of a folder that have kernels: one kernel is compiled into another, of its own folder only."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        content = path.read_bytes()
        if b"njit(" in content:
            digest.update(path.name.encode() + b"\0" + content)
    return digest.hexdigest()[:16]


@contextmanager
def _located_by_content() -> Iterator[None]:
    """Let numba cache what is declared meanwhile there, unless the user has chosen another way."""
    config: Any = numba.config
    before = config.CACHE_LOCATOR_CLASSES
    config.CACHE_LOCATOR_CLASSES = before or LOCATORS
    try:
        yield
    finally:
        config.CACHE_LOCATOR_CLASSES = before


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: ``numba.njit(cache=True, **options)``, wherever the cache can be."""

    def compiled(function: Callable[..., Any]) -> Any:
        with _located_by_content():
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
