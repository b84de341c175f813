"""Exact nearest-template search: 16-bit templates whose upper bytes alone decide for nearly all that they are too far.

A template's part is stored in steps of its own largest value / 127: a rounded byte, and a second byte of 1/256 steps.
The triangle inequality turns the distance between rounded vectors into a bound on the true one: the rounding errors of
a template and of a probe are known lengths. Only templates whose lower bound undercuts the k-th upper bound are measured
with both bytes, so that the result is that of exhaustive search. Memory is 2 bytes a value and about 9 % (d = 64).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.gallery.kernels import (
    LANES,
    PROBES,
    ZERO,
    estimate_bytes,
    estimate_floats,
    exact,
    has_vnni,
    least,
    within,
)
from emgait_ros.samples import Float32, Int64

CHUNK = 4096
"""Templates a chunk holds: growing never copies what is there."""
# Share of a vector's length that an estimate may be off: float32 in |a|^2 + |b|^2 - 2ab, sqrt(8 x 2^-24), and the root, 2^-14.
_ROUNDING = 7e-4 + 7e-5


@dataclass
class _Chunk:
    """``CHUNK`` templates; arrays as ``kernels`` describes them, ``slack`` (CHUNK,) is how far an estimate may be off."""

    high: NDArray[np.uint8]
    low: NDArray[np.int8]
    scale: Float32
    norm: Float32

    @property
    def nbytes(self) -> int:
        return self.high.nbytes + self.low.nbytes + self.scale.nbytes + self.norm.nbytes


@dataclass(frozen=True)
class _Rounded:
    """(n, parts, d4) vectors in steps: v = 256 high + low, in 1/256 of ``scale`` (n, parts)."""

    high: NDArray[np.int32]
    low: NDArray[np.int32]
    scale: Float32
    norm: Float32
    slack: Float32


def _rounded(vectors: Float32) -> _Rounded:
    scale = (np.abs(vectors).max(axis=2) / 127.0).astype(np.float32)
    step = np.where(scale > 0, scale, 1.0).astype(np.float32)
    fine = np.rint(vectors / step[..., None] * 256.0).astype(np.int32)
    high = (fine + 128) >> 8
    low = fine - (high << 8)
    norm = (np.square(high, dtype=np.float64).sum(axis=2) * np.square(scale, dtype=np.float64)).astype(np.float32)
    error = np.sqrt(np.square(low / 256.0).sum(axis=2)) * scale + _ROUNDING * np.sqrt(norm)
    return _Rounded(high, low, scale, norm, (error.mean(axis=1) * (1 + 1e-6)).astype(np.float32))


class TemplateIndex:
    """Templates in rows 0..len-1, searched by mean over parts of L2.

    Args:
        parts, dimensions: of an embedding.
        threads: that share a search.

    Attributes:
        slack: (capacity,) float32, largest error of each row's estimate, without the probe's own.
    """

    def __init__(self, parts: int, dimensions: int, threads: int = 1) -> None:
        self.parts, self.dimensions = parts, dimensions
        self.slack = np.zeros(0, np.float32)
        self._width = -(-dimensions // 4) * 4
        self._chunks: list[_Chunk] = []
        self._count = 0
        self._vnni = has_vnni()
        self._pool = ThreadPoolExecutor(threads, "gallery") if threads > 1 else None
        self._threads = threads

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, unused capacity included."""
        return sum(chunk.nbytes for chunk in self._chunks) + self.slack.nbytes

    @property
    def scanned_bytes(self) -> int:
        """Bytes that one search has to read at least: upper bytes, steps and lengths."""
        return sum(chunk.high.nbytes + chunk.scale.nbytes + chunk.norm.nbytes for chunk in self._chunks)

    def append(self, embedding: Float32) -> None:
        """Add (n, parts, d) float32 as the last rows.

        Raises:
            ValueError: another shape.
        """
        if embedding.shape[1:] != (self.parts, self.dimensions):
            raise ValueError(f"embedding is {embedding.shape[1:]}, the index holds {(self.parts, self.dimensions)}")
        for start in range(0, len(embedding), 512):
            self._write(self._count, self._padded(embedding[start : start + 512]))

    def remove(self, rows: Int64) -> tuple[Int64, Int64]:
        """Forget rows; rows from the end move into the gaps, and their old places are overwritten.

        Args:
            rows: (n,) ascending, without repeats.

        Returns:
            Places that were filled and the rows that moved there, same length.
        """
        kept = self._count - len(rows)
        movers = np.setdiff1d(np.arange(kept, self._count), rows, assume_unique=True)
        places = rows[rows < kept]
        for place, mover in zip(places.tolist(), movers.tolist(), strict=True):
            self._copy(mover, place)
        for row in range(kept, self._count):
            self._clear(row)
        self._count = kept
        del self._chunks[max(1, -(-kept // CHUNK)) :]
        self.slack = self.slack[: len(self._chunks) * CHUNK]
        return places, movers

    def decode(self, rows: Int64) -> Float32:
        """(n, parts, d) float32 of some rows, as they are stored."""
        found = np.empty((len(rows), self.parts, self._width), np.float32)
        for target, row in enumerate(rows.tolist()):
            chunk, place = self._chunks[row // CHUNK], row % CHUNK
            block, lane = divmod(place, LANES)
            high = chunk.high[block, :, :, lane].reshape(self.parts, self._width).astype(np.float32) - ZERO
            found[target] = (high + chunk.low[place] / np.float32(256)) * chunk.scale[block, :, lane, None]
        return found[:, :, : self.dimensions]

    def estimates(self, probes: Float32) -> tuple[Float32, Float32]:
        """Distances of all rows to (B, parts, d) probes: (B, N) float32, and (B,) what a probe adds to a row's slack."""
        rounded = _rounded(self._padded(probes))
        blocks = -(-self._count // LANES)
        out = np.empty((-(-len(probes) // PROBES) * PROBES, blocks * LANES), np.float32)
        for first in range(0, len(probes), PROBES):
            group = slice(first, min(first + PROBES, len(probes)))
            terms = np.zeros((PROBES, self.parts, 3), np.float32)
            values = np.zeros((PROBES, self.parts, self._width), np.int8 if self._vnni else np.float32)
            used = slice(0, group.stop - first)
            values[used] = rounded.high[group]
            terms[used, :, 0] = -ZERO * rounded.high[group].sum(axis=2)
            terms[used, :, 1] = 2.0 * rounded.scale[group]
            terms[used, :, 2] = rounded.norm[group]
            self._scan(values, terms, blocks, out[first : first + PROBES])
        return out[: len(probes), : self._count], rounded.slack

    def exact(self, probes: Float32, which: Int64, rows: Int64) -> Float32:
        """(n,) float32 distances of pairs: probe ``which[i]`` and template ``rows[i]``."""
        padded = self._padded(probes)
        order = np.argsort(rows, kind="stable")
        sorted_rows, sorted_which = rows[order], which[order]
        found = np.empty(len(rows), np.float32)
        bounds = np.searchsorted(sorted_rows, np.arange(0, len(self._chunks) + 1) * CHUNK)
        for number, (start, end) in enumerate(itertools.pairwise(bounds.tolist())):
            if start < end:
                chunk, part = self._chunks[number], slice(start, end)
                here = sorted_rows[part] - number * CHUNK
                exact(chunk.high, chunk.low, chunk.scale, padded, sorted_which[part], here, found[part])
        distance = np.empty_like(found)
        distance[order] = found
        return distance

    def nearest(self, probes: Float32, count: int) -> tuple[Float32, Int64]:
        """The nearest rows of each probe, nearest first.

        Args:
            probes: (B, parts, d) float32. count: k, at least 1.

        Returns:
            (B, k) float32 distances and (B, k) int64 rows; k is at most the number of rows.
        """
        count = min(count, self._count)
        if not len(probes) or not count:
            return np.zeros((len(probes), count), np.float32), np.zeros((len(probes), count), np.int64)
        estimate, own = self.estimates(probes)
        slack = self.slack[: self._count]
        # So many rows, measured, bound the distance of the last one wanted: whoever may undercut it is measured too.
        first = np.stack(list(self._map(lambda b: least(estimate[b], count), len(probes))))
        measured = self.exact(probes, np.repeat(np.arange(len(probes)), count), first.ravel())
        bound = measured.reshape(first.shape).max(axis=1) * (1 + 1e-6) + own
        limit = np.nextafter(bound.astype(np.float32), np.float32(np.inf))
        chosen = list(self._map(lambda b: within(estimate[b], slack, limit[b]), len(probes)))
        which = np.repeat(np.arange(len(probes)), [len(rows) for rows in chosen])
        rows = np.concatenate(chosen)
        distance = self.exact(probes, which, rows)
        found, places = np.empty((len(probes), count), np.float32), np.empty((len(probes), count), np.int64)
        for probe, (start, end) in enumerate(itertools.pairwise(np.searchsorted(which, np.arange(len(probes) + 1)))):
            best = np.lexsort((rows[start:end], distance[start:end]))[:count]
            found[probe], places[probe] = distance[start:end][best], rows[start:end][best]
        return found, places

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _map(self, function, count: int) -> Iterator:  # type: ignore[no-untyped-def]
        return self._pool.map(function, range(count)) if self._pool is not None else map(function, range(count))

    def _scan(self, values: NDArray, terms: Float32, blocks: int, out: Float32) -> None:
        per_chunk = CHUNK // LANES
        kernel = estimate_bytes if self._vnni else estimate_floats
        pieces = -(-blocks // self._threads) if self._pool is not None else blocks

        def scan(piece: int) -> None:
            block, end = piece * pieces, min((piece + 1) * pieces, blocks)
            while block < end:
                chunk, start = self._chunks[block // per_chunk], block % per_chunk
                part = slice(start, min(per_chunk, start + end - block))
                kernel(chunk.high[part], chunk.scale[part], chunk.norm[part], values, terms, block * LANES, out)
                block += part.stop - start

        for _ in self._map(scan, -(-blocks // pieces) if blocks else 0):
            pass

    def _padded(self, embedding: Float32) -> Float32:
        if self._width == self.dimensions:
            return np.ascontiguousarray(embedding, np.float32)
        found = np.zeros((len(embedding), self.parts, self._width), np.float32)
        found[:, :, : self.dimensions] = embedding
        return found

    def _write(self, first: int, embedding: Float32) -> None:
        rounded = _rounded(embedding)
        while len(self._chunks) * CHUNK < first + len(embedding):
            self._grow()
        rows = np.arange(first, first + len(embedding))
        for number in np.unique(rows // CHUNK).tolist():
            mine = rows // CHUNK == number
            chunk, place = self._chunks[number], rows[mine] % CHUNK
            block, lane = place // LANES, place % LANES
            grouped = (rounded.high[mine] + ZERO).astype(np.uint8).reshape(len(place), self.parts, -1, 4)
            chunk.high[block, :, :, lane] = grouped
            chunk.low[place] = rounded.low[mine]
            chunk.scale[block, :, lane] = rounded.scale[mine]
            chunk.norm[block, :, lane] = rounded.norm[mine]
        self.slack[rows] = rounded.slack
        self._count = first + len(embedding)

    def _grow(self) -> None:
        blocks = CHUNK // LANES
        self._chunks.append(
            _Chunk(
                np.full((blocks, self.parts, self._width // 4, LANES, 4), ZERO, np.uint8),
                np.zeros((CHUNK, self.parts, self._width), np.int8),
                np.zeros((blocks, self.parts, LANES), np.float32),
                np.zeros((blocks, self.parts, LANES), np.float32),
            )
        )
        self.slack = np.concatenate([self.slack, np.zeros(CHUNK, np.float32)])

    def _copy(self, source: int, target: int) -> None:
        old, new = self._chunks[source // CHUNK], self._chunks[target // CHUNK]
        (block, lane), (to_block, to_lane) = divmod(source % CHUNK, LANES), divmod(target % CHUNK, LANES)
        new.high[to_block, :, :, to_lane] = old.high[block, :, :, lane]
        new.low[target % CHUNK] = old.low[source % CHUNK]
        new.scale[to_block, :, to_lane] = old.scale[block, :, lane]
        new.norm[to_block, :, to_lane] = old.norm[block, :, lane]
        self.slack[target] = self.slack[source]

    def _clear(self, row: int) -> None:
        chunk, (block, lane) = self._chunks[row // CHUNK], divmod(row % CHUNK, LANES)
        chunk.high[block, :, :, lane] = ZERO
        chunk.low[row % CHUNK] = 0
        chunk.scale[block, :, lane] = chunk.norm[block, :, lane] = 0.0
        self.slack[row] = 0.0
