"""Pickles from other people, read without running anything in them: only numpy arrays and plain containers come out."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

ADMITTED = {  # module, name: what pickles of numpy arrays call, under the names of old and new numpy
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),  # bytes of protocol 2 and older
}


class ForeignObjectError(ValueError):
    """A pickle holds something that is not numpy."""


class _NumpyUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name == "bytes":  # the empty array of protocol 2 and older
            return _no_bytes
        if (module, name) not in ADMITTED:
            raise ForeignObjectError(
                f"it holds an object of {module}.{name}: only numpy arrays, lists, tuples, dicts, numbers and text are admitted"
            )
        return super().find_class(module, name)


def _no_bytes() -> bytes:
    """``bytes()`` and nothing else: with a number it would take memory at a stranger's wish."""
    return b""


def load_numpy_pickle(path: str | Path) -> Any:
    """Read a pickle of numpy arrays in plain containers.

    Raises:
        FileNotFoundError: no such file.
        ForeignObjectError: it holds anything else; nothing of it was run.
        ValueError: it is cut off or damaged. Both name the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        with path.open("rb") as file:
            return _NumpyUnpickler(file).load()
    except ForeignObjectError as error:
        raise ForeignObjectError(f"{path} is refused: {error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"{path} is damaged: {type(error).__name__}: {error}. Fetch it again") from error
