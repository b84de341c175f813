"""Exact search over all templates of one model, held in memory.

The distance of two embeddings is the mean over parts of the L2 distance of each part (not squared), as the network is
trained with. The distance to a person is the mean over their nearest few templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import Float32, Int64, Modality

_BLOCK = 8192  # templates per matrix product: keeps the (probes, block) intermediates in cache


@dataclass(frozen=True)
class Matches:
    """Distances of B probes to I identities.

    Attributes:
        distance: (B, I) float32, mean over the nearest templates of the mean over parts of L2.
        comparable: (B, I) bool: the identity has templates from the same sensors as the probe, and only those were used.
            Where false all of its templates were used, and the distance is only an indication.
        identity_id: (I,) int64.
        names: of those identities.
    """

    distance: Float32
    comparable: NDArray[np.bool_]
    identity_id: Int64
    names: tuple[str, ...]


def part_distances(probes: Float32, templates: Float32) -> Float32:
    """Mean over parts of L2 between every probe and every template.

    Args:
        probes: (B, parts, d) float32. templates: (N, parts, d) float32.

    Returns:
        (B, N) float32.
    """
    by_part = np.ascontiguousarray(templates.transpose(1, 0, 2))
    return _search_block(np.ascontiguousarray(probes.transpose(1, 0, 2)), by_part, np.square(by_part).sum(axis=2))


def _search_block(probes: Float32, templates: Float32, squared_norm: Float32) -> Float32:
    """|a - b|^2 = |a|^2 + |b|^2 - 2 ab, part by part: probes (parts, B, d), templates (parts, N, d), squared_norm (parts, N)."""
    squared = np.matmul(probes, templates.transpose(0, 2, 1))  # (parts, B, N)
    squared *= -2.0
    squared += np.square(probes).sum(axis=2)[:, :, None]
    squared += squared_norm[:, None, :]
    np.maximum(squared, 0.0, out=squared)  # rounding can leave -1e-6 for equal vectors
    return np.sqrt(squared, out=squared).mean(axis=0)


class Matcher:
    """Templates of one model in arrays that grow by doubling; identities come and go without a rebuild.

    Args:
        templates_per_identity: how many nearest templates of a person their distance is averaged over.
    """

    def __init__(self, templates_per_identity: int) -> None:
        self._nearest = templates_per_identity
        self._count = 0
        self._templates = np.zeros((0, 0, 0), np.float32)  # (parts, capacity, d)
        self._squared_norm = np.zeros((0, 0), np.float32)  # (parts, capacity)
        self._owner = np.zeros(0, np.int64)  # (capacity,) column of the identity
        self._modalities = np.zeros(0, np.int64)  # (capacity,)
        self._columns: dict[int, int] = {}
        self._identity_ids: list[int] = []
        self._names: list[str] = []

    def __len__(self) -> int:
        """Number of templates."""
        return self._count

    def __contains__(self, identity_id: int) -> bool:
        return identity_id in self._columns

    @property
    def identities(self) -> int:
        """Number of identities with templates."""
        return len(self._identity_ids)

    def replace(self, identity_id: int, name: str, embedding: Float32, modalities: Int64) -> None:
        """Make these the templates of an identity.

        Args:
            identity_id, name: who.
            embedding: (N, parts, d) float32; N = 0 removes the identity.
            modalities: (N,) sensors of each template.

        Raises:
            ValueError: parts or d differ from the templates already held.
        """
        self.remove(identity_id)
        if not len(embedding):
            return
        self._reserve(len(embedding), *embedding.shape[1:])
        rows = slice(self._count, self._count + len(embedding))
        by_part = embedding.transpose(1, 0, 2)
        self._templates[:, rows] = by_part
        self._squared_norm[:, rows] = np.square(by_part).sum(axis=2)
        self._owner[rows] = self._columns[identity_id] = len(self._identity_ids)
        self._modalities[rows] = modalities
        self._identity_ids.append(identity_id)
        self._names.append(name)
        self._count = rows.stop

    def remove(self, identity_id: int) -> None:
        """Forget an identity; unknown ones are no error."""
        column = self._columns.pop(identity_id, None)
        if column is None:
            return
        self._close_gaps(np.flatnonzero(self._owner[: self._count] == column))
        last = len(self._identity_ids) - 1
        if column != last:
            self._owner[: self._count][self._owner[: self._count] == last] = column
            self._identity_ids[column], self._names[column] = self._identity_ids[last], self._names[last]
            self._columns[self._identity_ids[column]] = column
        del self._identity_ids[last], self._names[last]

    def search(self, probes: Float32, modalities: Sequence[Modality]) -> Matches:
        """Distances of all probes to all identities.

        Args:
            probes: (B, parts, d) float32.
            modalities: sensors behind each probe: an identity's templates from the same sensors are preferred.

        Raises:
            ValueError: parts or d differ from the templates held.
        """
        ids, names = np.array(self._identity_ids, np.int64), tuple(self._names)
        if not len(probes) or not self._count:
            shape = (len(probes), len(ids))
            return Matches(np.zeros(shape, np.float32), np.zeros(shape, bool), ids, names)
        self._check_shape(*probes.shape[1:])
        distance = self._distances(probes)
        per_identity = np.empty((len(probes), len(ids)), np.float32)
        comparable = np.empty(per_identity.shape, bool)
        owner, sensors = self._owner[: self._count], self._modalities[: self._count]
        for modality in set(modalities):
            rows = [row for row, other in enumerate(modalities) if other == modality]
            same = sensors == int(modality)
            has_same = np.bincount(owner[same], minlength=len(ids)) > 0
            used = same | ~has_same[owner]
            comparable[rows] = has_same
            per_identity[rows] = _mean_of_nearest(distance[np.ix_(rows, used)], owner[used], len(ids), self._nearest)
        return Matches(per_identity, comparable, ids, names)

    def _distances(self, probes: Float32) -> Float32:
        by_part = np.ascontiguousarray(probes.transpose(1, 0, 2), np.float32)
        distance = np.empty((len(probes), self._count), np.float32)
        for start in range(0, self._count, _BLOCK):
            block = slice(start, min(start + _BLOCK, self._count))
            distance[:, block] = _search_block(by_part, self._templates[:, block], self._squared_norm[:, block])
        return distance

    def _check_shape(self, parts: int, dimensions: int) -> None:
        held = (self._templates.shape[0], self._templates.shape[2])
        if self._templates.size and held != (parts, dimensions):
            raise ValueError(
                f"embedding is {parts}x{dimensions}, the gallery's templates are {held[0]}x{held[1]}: they are of another model"
            )

    def _reserve(self, more: int, parts: int, dimensions: int) -> None:
        self._check_shape(parts, dimensions)
        capacity = self._owner.shape[0]
        if self._count + more <= capacity:
            return
        capacity = max(self._count + more, 2 * capacity, 16)
        templates = np.zeros((parts, capacity, dimensions), np.float32)
        squared_norm = np.zeros((parts, capacity), np.float32)
        if self._count:
            templates[:, : self._count] = self._templates[:, : self._count]
            squared_norm[:, : self._count] = self._squared_norm[:, : self._count]
        self._templates, self._squared_norm = templates, squared_norm
        self._owner = np.resize(self._owner, capacity) if self._count else np.zeros(capacity, np.int64)
        self._modalities = np.resize(self._modalities, capacity) if self._count else np.zeros(capacity, np.int64)

    def _close_gaps(self, gone: Int64) -> None:
        """Fill removed rows with rows from the end and overwrite what is left there: removed templates leave memory too."""
        kept = self._count - len(gone)
        keepers = np.setdiff1d(np.arange(kept, self._count), gone, assume_unique=True)
        holes = gone[gone < kept]
        self._templates[:, holes] = self._templates[:, keepers]
        self._squared_norm[:, holes] = self._squared_norm[:, keepers]
        self._owner[holes] = self._owner[keepers]
        self._modalities[holes] = self._modalities[keepers]
        self._templates[:, kept : self._count] = 0.0
        self._count = kept


def _mean_of_nearest(distance: Float32, owner: Int64, identities: int, nearest: int) -> Float32:
    """(B, N) distances to templates -> (B, identities) mean of the ``nearest`` smallest of each owner (fewer: of those)."""
    order = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=identities)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.arange(len(owner)) - np.repeat(starts, counts)
    chosen = rank < nearest
    taken = np.minimum(counts, nearest)
    bounds = np.concatenate([[0], np.cumsum(taken)[:-1]])
    result = np.empty((len(distance), identities), np.float32)
    grouped = owner[order]
    for row, values in enumerate(distance[:, order]):
        by_group = np.lexsort((values, grouped))
        result[row] = np.add.reduceat(values[by_group][chosen], bounds) / taken
    return result
