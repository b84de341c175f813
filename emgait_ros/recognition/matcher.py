"""Exact search over all templates of one model, held in memory.

The distance to a person is the mean over their nearest few templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from emgait_ros.recognition.distances import as_compiled, part_distances, write_distances
from emgait_ros.samples import Bool, Float32, Int64, Modality

BLOCK = 1024
"""Templates that are held and searched together: growing copies nothing."""


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
    comparable: Bool
    identity_id: Int64
    names: tuple[str, ...]


class Matcher:
    """Templates of one model in memory, in float32; identities come and go without a rebuild.

    Args:
        templates_per_identity: how many nearest templates of a person their distance is averaged over.
        threads: that share a search.
    """

    def __init__(self, templates_per_identity: int, threads: int = 1) -> None:
        part_distances(np.zeros((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.float32))  # compiled or loaded now
        self._nearest = templates_per_identity
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._count = 0
        self._blocks: list[Float32] = []  # each (BLOCK, parts, d)
        self._owner = np.zeros(0, np.int64)  # (capacity,) column of the identity
        self._modalities = np.zeros(0, np.int64)  # (capacity,)
        self._columns: dict[int, int] = {}
        self._identity_ids: list[int] = []
        self._names: list[str] = []
        self._by_count: list[tuple[Int64, Int64]] | None = None  # until the next change

    def __len__(self) -> int:
        """Number of templates."""
        return self._count

    def __contains__(self, identity_id: int) -> bool:
        return identity_id in self._columns

    @property
    def identities(self) -> int:
        """Number of identities with templates."""
        return len(self._identity_ids)

    @property
    def columns(self) -> dict[int, int]:
        """Column of each identity number in what :meth:`search` returns over everybody; until the next change."""
        return dict(self._columns)

    @property
    def nbytes(self) -> int:
        """Memory of all templates and what belongs to them."""
        return sum(block.nbytes for block in self._blocks) + self._owner.nbytes + self._modalities.nbytes

    def average_over(self, templates_per_identity: int) -> None:
        """Another number of nearest templates from now on; the templates stay."""
        self._nearest = templates_per_identity

    def replace(self, identity_id: int, name: str, embedding: Float32, modalities: Int64) -> None:
        """Make these the templates of an identity.

        Args:
            identity_id, name: who.
            embedding: (N, parts, d) float32; N = 0 removes the identity.
            modalities: (N,) sensors of each template.

        Raises:
            ValueError: parts or d differ from the templates already held.
        """
        self.replace_all([(identity_id, name, embedding, modalities)])

    def replace_all(self, people: Sequence[tuple[int, str, Float32, Int64]]) -> None:
        """As :meth:`replace` for many identities."""
        for identity_id, name, embedding, modalities in people:
            self.remove(identity_id)
            if not len(embedding):
                continue
            self._check_shape(*embedding.shape[1:])
            first, column = self._count, len(self._identity_ids)
            self._reserve(first + len(embedding), *embedding.shape[1:])
            for row, template in enumerate(embedding, first):
                self._blocks[row // BLOCK][row % BLOCK] = template
            self._count += len(embedding)
            self._owner[first : self._count] = column
            self._modalities[first : self._count] = modalities
            self._columns[identity_id] = column
            self._identity_ids.append(identity_id)
            self._names.append(name)
        self._by_count = None

    def remove(self, identity_id: int) -> None:
        """Forget an identity; unknown ones are no error."""
        column = self._columns.pop(identity_id, None)
        if column is None:
            return
        self._by_count = None
        for row in np.flatnonzero(self._owner[: self._count] == column)[::-1].tolist():
            self._move(self._count - 1, row)
        last = len(self._identity_ids) - 1
        if column != last:
            kept = self._owner[: self._count]
            kept[kept == last] = column
            self._identity_ids[column], self._names[column] = self._identity_ids[last], self._names[last]
            self._columns[self._identity_ids[column]] = column
        del self._identity_ids[last], self._names[last]

    def search(
        self, probes: Float32, modalities: Sequence[Modality], people: int | None = None, also: Iterable[int] = ()
    ) -> Matches:
        """Distances of all probes to all identities, or to those that matter.

        Args:
            probes: (B, parts, d) float32.
            modalities: sensors behind each probe: an identity's templates from the same sensors are preferred.
            people: only identities that are among so many nearest of a probe; None: all.
            also: identity numbers to be among them in any case.

        Raises:
            ValueError: parts or d differ from the templates held.
        """
        total = len(self._identity_ids)
        distance, same = np.zeros((len(probes), total), np.float32), np.zeros((len(probes), total), bool)
        columns = np.arange(total)
        if len(probes) and total:
            self._check_shape(*probes.shape[1:])
            wanted = np.array([int(modality) for modality in modalities], np.int64)
            nearest = self._distances(probes)
            for of_people, rows in self._groups():
                distance[:, of_people], same[:, of_people] = self._of_people(nearest[:, rows], rows, wanted)
            if people is not None and people < total:
                columns = np.unique(np.argpartition(distance, people - 1, axis=1)[:, :people])
                columns = np.union1d(columns, [self._columns[i] for i in also if i in self._columns]).astype(np.int64)
        ids = np.array(self._identity_ids, np.int64)[columns]
        return Matches(distance[:, columns], same[:, columns], ids, tuple(self._names[c] for c in columns.tolist()))

    def _distances(self, probes: Float32) -> Float32:
        """(B, N) mean over parts of L2 to every template."""
        probes = as_compiled(probes)
        found = np.empty((len(probes), self._count), np.float32)

        def search(thread: int) -> None:
            for block in range(thread, -(-self._count // BLOCK), self._threads):
                first = block * BLOCK
                write_distances(probes, self._blocks[block][: self._count - first], found, first)

        for _ in self._pool.map(search, range(self._threads)) if self._pool else map(search, (0,)):
            pass
        return found

    def _groups(self) -> list[tuple[Int64, Int64]]:
        """Identities by their number of templates: columns (I,), and the rows (templates, I) of each."""
        if self._by_count is None:
            order = np.argsort(self._owner[: self._count], kind="stable")
            counts = np.bincount(self._owner[: self._count], minlength=len(self._identity_ids))
            starts = np.cumsum(counts) - counts
            self._by_count = []
            for count in np.unique(counts):
                columns = np.flatnonzero(counts == count)
                self._by_count.append((columns, order[starts[columns] + np.arange(count)[:, None]]))
        return self._by_count

    def _of_people(self, distance: Float32, rows: Int64, wanted: Int64) -> tuple[Float32, Bool]:
        """Means over the nearest templates.

        Args:
            distance: (B, templates, I) of each probe to the templates of each identity.
            rows: (templates, I) their rows.
            wanted: (B,) sensors of each probe.

        Returns:
            (B, I) distance; (B, I) whether the identity has templates from the probe's sensors.
        """
        same = self._modalities[rows][None] == wanted[:, None, None]
        comparable = same.any(axis=1)
        used = distance
        is_whole = bool(same.all())  # the usual case, and the quick one
        if not is_whole:
            used = np.where(same | ~comparable[:, None], distance, np.float32(np.inf))
        if used.shape[1] > self._nearest:
            used = np.partition(used, self._nearest - 1, axis=1)[:, : self._nearest]
        if is_whole:
            return used.mean(axis=1), comparable
        there = np.isfinite(used)
        return np.where(there, used, 0).sum(axis=1) / there.sum(axis=1), comparable

    def _move(self, source: int, target: int) -> None:
        """Put the last row into another's place; nothing of what was there stays in memory."""
        (b, i), (c, j) = divmod(source, BLOCK), divmod(target, BLOCK)
        self._blocks[c][j] = self._blocks[b][i]
        self._blocks[b][i] = 0
        self._owner[target], self._modalities[target] = self._owner[source], self._modalities[source]
        self._count -= 1

    def _check_shape(self, parts: int, dimensions: int) -> None:
        if not self._count:
            return
        held = self._blocks[0].shape[1:]
        if held != (parts, dimensions):
            raise ValueError(
                f"embedding is {parts}x{dimensions}, the gallery's templates are {held[0]}x{held[1]}: they are of another model"
            )

    def _reserve(self, rows: int, parts: int, dimensions: int) -> None:
        if not self._count:  # what is there may be of another shape
            self._blocks = []
        while len(self._blocks) * BLOCK < rows:
            self._blocks.append(np.zeros((BLOCK, parts, dimensions), np.float32))
        if (missing := len(self._blocks) * BLOCK - len(self._owner)) > 0:
            self._owner = np.concatenate([self._owner, np.zeros(missing, np.int64)])
            self._modalities = np.concatenate([self._modalities, np.zeros(missing, np.int64)])
