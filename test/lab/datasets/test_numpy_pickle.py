"""Pickles from other people: numpy comes out, everything else is refused before it runs."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from emgait_ros.lab.datasets.numpy_pickle import ForeignObjectError, load_numpy_pickle

VALUES = [
    [np.arange(6.0).reshape(2, 3), np.zeros((0, 3))],
    np.zeros((2, 4, 4, 3), np.uint8),
    np.array([np.zeros((2, 3)), np.zeros((5, 3))], dtype=object),  # ragged clouds as an array of arrays
    {"a": np.float32(1.5), "b": ("text", 3, None, True)},
    np.asfortranarray(np.arange(6).reshape(2, 3)),
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", VALUES)
def test_numpy_of_every_protocol_is_read(tmp_path: Path, protocol: int, value: object) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    found = load_numpy_pickle(path)
    assert type(found) is type(value)
    assert repr(found) == repr(value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pickles_of_older_numpy_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps([np.arange(4)], 2).replace(b"numpy._core.", b"numpy.core."))
    assert load_numpy_pickle(path)[0].tolist() == [0, 1, 2, 3]


class _Runs:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.flag),)


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [np.zeros(2), v], lambda v: np.array([v, 1], dtype=object)])
def test_what_would_run_is_refused(tmp_path: Path, wrap) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(wrap(_Runs(tmp_path / "flag"))))
    with pytest.raises(ForeignObjectError, match=r"x\.pkl is refused: it holds an object of posix\.mkdir"):
        load_numpy_pickle(path)
    assert not (tmp_path / "flag").exists()


@pytest.mark.parametrize("value", [OrderedDict(a=1), Path("x"), np.random.default_rng, np.load])
def test_other_objects_are_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(ForeignObjectError, match="only numpy arrays"):
        load_numpy_pickle(path)


def test_bytes_of_any_size_are_not_made(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(b"c__builtin__\nbytes\n(I9999999999\ntR.")
    with pytest.raises(ValueError, match="is damaged"):
        load_numpy_pickle(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x05", b"hello", pickle.dumps([np.zeros(100)])[:60], b"\x80\x04]q"])
def test_damage_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pkl is damaged"):
        load_numpy_pickle(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"y\.pkl is missing"):
        load_numpy_pickle(tmp_path / "y.pkl")
