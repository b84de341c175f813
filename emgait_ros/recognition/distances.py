"""The distance of two embeddings: the mean over parts of the L2 distance of each part (not squared), as the network is trained with."""

from __future__ import annotations

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.samples import Float32


def part_distances(probes: Float32, templates: Float32) -> Float32:
    """Mean over parts of L2 between every probe and every template.

    Args:
        probes: (B, parts, d) float32. templates: (N, parts, d) float32.

    Returns:
        (B, N) float32.

    Raises:
        ValueError: parts or d differ.
    """
    if probes.shape[1:] != templates.shape[1:]:
        raise ValueError(
            f"probes are {probes.shape[1:]} (parts, d), templates {templates.shape[1:]}: expected the same"
        )
    found = np.empty((len(probes), len(templates)), np.float32)
    write_distances(as_compiled(probes), as_compiled(templates), found, 0)
    return found


def as_compiled(embeddings: Float32) -> Float32:
    """The array in the form that :func:`write_distances` is compiled for: float32, contiguous, writable."""
    return np.require(embeddings, np.float32, ["C", "W"])


@njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})
def write_distances(
    probes: Float32, templates: Float32, found: Float32, first: int
) -> None:  # pragma: no cover - compiled
    """:func:`part_distances` into ``found[:, first : first + N]``; other threads go on meanwhile.

    Args:
        probes: (B, parts, d). templates: (N, parts, d); both of :func:`as_compiled`.
        found: (B, columns) float32.
    """
    rows, parts, dimensions = templates.shape
    squares = np.empty((4, parts), np.float32)
    for row in range(0, rows, 4):  # four templates for each number of a probe; the last one again where fewer are left
        second, third, fourth = min(row + 1, rows - 1), min(row + 2, rows - 1), min(row + 3, rows - 1)
        for probe in range(len(probes)):
            for part in range(parts):
                a = b = c = d = np.float32(0)  # by name, because the compiler keeps no array in registers
                for k in range(dimensions):
                    value = probes[probe, part, k]
                    a += (value - templates[row, part, k]) ** 2
                    b += (value - templates[second, part, k]) ** 2
                    c += (value - templates[third, part, k]) ** 2
                    d += (value - templates[fourth, part, k]) ** 2
                squares[0, part], squares[1, part], squares[2, part], squares[3, part] = a, b, c, d
            for i in range(min(4, rows - row)):
                total = np.float32(0)
                for part in range(parts):
                    total += np.sqrt(squares[i, part])
                found[probe, first + row + i] = total / np.float32(parts)
