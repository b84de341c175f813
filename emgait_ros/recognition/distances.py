"""The distance of two embeddings: the mean over parts of the L2 distance of each part (not squared), as the network is trained with."""

from __future__ import annotations

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.samples import Float32

GROUP = 4
"""Probes that a template is compared with at once: each of its numbers is read once for all of them."""


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
    grouped = in_groups(probes)
    found = np.empty((len(grouped), len(templates)), np.float32)
    write_distances(grouped, np.require(templates, np.float32, "CW"), found, 0)
    return found[: len(probes)]


def in_groups(probes: Float32) -> Float32:
    """(B, parts, d) -> the same with B rounded up to a multiple of :data:`GROUP`; the new ones are zeros."""
    grouped = np.zeros((-(-len(probes) // GROUP) * GROUP, *probes.shape[1:]), np.float32)
    grouped[: len(probes)] = probes
    return grouped


@njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz", "reassoc"})
def write_distances(
    probes: Float32, templates: Float32, found: Float32, first: int
) -> None:  # pragma: no cover - compiled
    """:func:`part_distances` into ``found[:, first : first + N]``; other threads go on meanwhile.

    Args:
        probes: (B, parts, d) float32 of :func:`in_groups`. templates: (N, parts, d) float32, contiguous and writable.
        found: (B, columns) float32.
    """
    rows, parts, dimensions = templates.shape
    squares = np.empty((GROUP, parts), np.float32)
    for row in range(rows):
        for group in range(0, len(probes), GROUP):
            for part in range(parts):
                a = b = c = d = np.float32(0)
                for k in range(
                    dimensions
                ):  # four sums by name: the compiler keeps them in registers, an array it would not
                    value = templates[row, part, k]
                    a += (probes[group, part, k] - value) ** 2
                    b += (probes[group + 1, part, k] - value) ** 2
                    c += (probes[group + 2, part, k] - value) ** 2
                    d += (probes[group + 3, part, k] - value) ** 2
                squares[0, part], squares[1, part], squares[2, part], squares[3, part] = a, b, c, d
            for i in range(GROUP):
                total = np.float32(0)
                for part in range(parts):
                    total += np.sqrt(squares[i, part])
                found[group + i, first + row] = total / np.float32(parts)
