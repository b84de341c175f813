"""What others wrote, read within bounds: JSON of any depth, YAML without aliases, arrays that claim to be of any size."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

LARGEST_BYTES = 256 * 2**20
"""Memory that the arrays of one archive may take together: 10,000 samples with pictures."""


def parsed_json(text: str | bytes) -> Any:
    """As ``json.loads``.

    Raises:
        ValueError: no JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


class _PlainLoader(yaml.SafeLoader):
    """Without aliases, which ROS does not read either: few lines with them can stand for any number of values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.YAMLError(
                f"line {mark.line + 1} has an alias (*{self.peek_event().anchor}): write the values out"
            )
        return super().compose_node(parent, index)


def parsed_yaml(text: str) -> Any:
    """As ``yaml.safe_load``, without aliases.

    Raises:
        ValueError: no YAML, nested too deeply, or a value that cannot be (a 99th of the month); in one line.
    """
    try:
        return yaml.load(text, _PlainLoader)  # noqa: S506
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def read_arrays(source: Path | bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a ``.npz`` archive; nothing is unpickled, and none is made before its size is known.

    Args:
        source: the file, or its content.

    Raises:
        ValueError: it is damaged, or larger than ``LARGEST_BYTES``. OSError: it cannot be read.
    """
    found, left = {}, LARGEST_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            for part in archive.infolist():
                name = part.filename.removesuffix(".npy")
                left -= part.file_size
                if left < 0:
                    raise ValueError(f"its arrays take more than {LARGEST_BYTES >> 20} MiB")
                content = archive.read(part)  # no more than it says
                found[name] = _array(io.BytesIO(content), len(content))
    except (
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        SyntaxError,
        TypeError,
    ) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    return found


def _array(content: io.BytesIO, size: int) -> NDArray[Any]:
    """An array in numpy's own format; its header may say no more than is there."""
    version = np.lib.format.read_magic(content)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read_header(content)
    count = 1
    for length in shape:
        count *= length  # whole numbers of any size
    if kind.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    if min(shape, default=0) < 0 or count * kind.itemsize > size - content.tell():
        raise ValueError(f"an array of {shape} {kind} is in {size} bytes")
    content.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
    return array
