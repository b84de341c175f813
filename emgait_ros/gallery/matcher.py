"""Exact search over all templates of one model, held in memory.

The distance of two embeddings is the mean over parts of the L2 distance of each part (not squared), as the network is
trained with. The distance to a person is the mean over their nearest few templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgait_ros.gallery.index import TemplateIndex
from emgait_ros.gallery.kernels import least, scores_of_groups, within
from emgait_ros.samples import Float32, Int64, Modality

FIRST_LOOK = 4
"""Nearest templates looked at first, as a multiple of the people wanted."""


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
    """Templates of one model in memory, two bytes a value; identities come and go without a rebuild.

    Args:
        templates_per_identity: how many nearest templates of a person their distance is averaged over.
        threads: that share a search.
    """

    def __init__(self, templates_per_identity: int, threads: int = 1) -> None:
        self._nearest = templates_per_identity
        self._threads = threads
        self._index: TemplateIndex | None = None
        self._owner = np.zeros(0, np.int64)  # (capacity,) column of the identity
        self._modalities = np.zeros(0, np.int64)  # (capacity,)
        self._columns: dict[int, int] = {}
        self._grouped: tuple[Int64, Int64] | None = None  # rows by column, until the next change
        self._identity_ids: list[int] = []
        self._names: list[str] = []

    def __len__(self) -> int:
        """Number of templates."""
        return 0 if self._index is None else len(self._index)

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
        index = 0 if self._index is None else self._index.nbytes
        return index + self._owner.nbytes + self._modalities.nbytes

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
        """As :meth:`replace` for many identities at once: loading a large gallery takes one pass."""
        for identity_id, _, _, _ in people:
            self.remove(identity_id)
        self._grouped = None
        people = [person for person in people if len(person[2])]
        if not people:
            return
        for _, _, embedding, _ in people:
            self._check_shape(*embedding.shape[1:])
        if self._index is None or not len(self._index):
            self._index = TemplateIndex(people[0][2].shape[1], people[0][2].shape[2], self._threads)
        counts = [len(embedding) for _, _, embedding, _ in people]
        first, columns = len(self._index), len(self._identity_ids)
        self._index.append(np.concatenate([embedding for _, _, embedding, _ in people]))
        self._reserve(len(self._index))
        rows = slice(first, len(self._index))
        self._owner[rows] = np.repeat(np.arange(columns, columns + len(people)), counts)
        self._modalities[rows] = np.concatenate([modalities for _, _, _, modalities in people])
        for column, (identity_id, name, _, _) in enumerate(people, columns):
            self._columns[identity_id] = column
            self._identity_ids.append(identity_id)
            self._names.append(name)

    def remove(self, identity_id: int) -> None:
        """Forget an identity; unknown ones are no error."""
        column = self._columns.pop(identity_id, None)
        if column is None or self._index is None:
            return
        self._grouped = None
        count = len(self._index)
        places, movers = self._index.remove(np.flatnonzero(self._owner[:count] == column))
        self._owner[places], self._modalities[places] = self._owner[movers], self._modalities[movers]
        last = len(self._identity_ids) - 1
        if column != last:
            kept = self._owner[: len(self._index)]
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
            people: only identities that are among so many nearest of a probe (at least those; exact); None: all.
            also: identity numbers to be among them in any case.

        Raises:
            ValueError: parts or d differ from the templates held.
        """
        index, total = self._index, len(self._identity_ids)
        if not len(probes) or index is None or not len(index):
            shape = (len(probes), total)
            ids = np.array(self._identity_ids, np.int64)
            return Matches(np.zeros(shape, np.float32), np.zeros(shape, bool), ids, tuple(self._names))
        self._check_shape(*probes.shape[1:])
        wanted = np.array([int(modality) for modality in modalities], np.int64)
        if people is None or 2 * people * len(probes) >= total:
            columns = np.arange(total)
        else:
            columns = self._shortlist(index, probes, wanted, people, also)
        return self._measured(index, probes, wanted, columns)

    def _shortlist(
        self, index: TemplateIndex, probes: Float32, wanted: Int64, people: int, also: Iterable[int]
    ) -> Int64:
        """Columns of the identities that are among the nearest ``people`` of a probe, ascending.

        The people of the nearest templates, measured, bound the distance of the last one wanted. Only who has a template
        within that bound can undercut it (a mean is no smaller than its smallest part); whose estimates, less their
        errors, do is measured too.
        """
        estimate, own = index.estimates(probes)
        slack, owner = index.slack[: len(index)], self._owner[: len(index)]
        everybody = np.arange(len(self._identity_ids))
        looked_at = []
        for row in range(len(probes)):
            near = np.unique(owner[least(estimate[row], min(len(index), FIRST_LOOK * people))])
            looked_at.append(near if len(near) >= people else everybody)  # a few people have all the nearest templates
        bound = self._last_wanted(index, probes, wanted, looked_at, people)
        limit = np.nextafter((bound * (1 + 1e-6) + own).astype(np.float32), np.float32(np.inf))
        possible = []
        for row in range(len(probes)):
            columns = np.unique(owner[within(estimate[row], slack, limit[row])])
            rows, groups = self._rows_of(columns)
            lower = estimate[row, rows] - slack[rows]
            sensors = np.full(len(columns), wanted[row])
            score, _ = scores_of_groups(lower, groups, self._modalities[rows], sensors, self._nearest)
            possible.append(columns[score <= limit[row]])
        chosen = np.zeros(len(everybody), bool)
        chosen[[self._columns[identity] for identity in also if identity in self._columns]] = True
        for columns, score in zip(possible, self._scores(index, probes, wanted, possible), strict=True):
            chosen[columns[score <= np.partition(score, people - 1)[people - 1]]] = True
        return np.flatnonzero(chosen)

    def _last_wanted(
        self, index: TemplateIndex, probes: Float32, wanted: Int64, columns: list[Int64], people: int
    ) -> Float32:
        """(B,) distance of the ``people``-th nearest of each probe's columns."""
        found = self._scores(index, probes, wanted, columns)
        return np.array([np.partition(score, people - 1)[people - 1] for score in found], np.float32)

    def _scores(self, index: TemplateIndex, probes: Float32, wanted: Int64, columns: list[Int64]) -> list[Float32]:
        """Exact distances of each probe to its columns."""
        counts = np.array([len(mine) for mine in columns])
        probe = np.repeat(np.arange(len(probes)), counts)
        rows, groups = self._rows_of(np.concatenate(columns))
        distance = index.exact(probes, np.repeat(probe, np.diff(groups)), rows)
        score, _ = scores_of_groups(distance, groups, self._modalities[rows], wanted[probe], self._nearest)
        return np.split(score, np.cumsum(counts)[:-1])

    def _measured(self, index: TemplateIndex, probes: Float32, wanted: Int64, columns: Int64) -> Matches:
        """Exact distances to the identities in some columns."""
        rows, groups = self._rows_of(columns)
        count = len(probes)
        pairs = index.exact(probes, np.tile(np.arange(count), len(rows)), np.repeat(rows, count)).reshape(-1, count)
        distance, same = np.empty((count, len(columns)), np.float32), np.empty((count, len(columns)), bool)
        for row in range(count):
            mine, sensors = np.ascontiguousarray(pairs[:, row]), np.full(len(columns), wanted[row])
            distance[row], same[row] = scores_of_groups(mine, groups, self._modalities[rows], sensors, self._nearest)
        ids = np.array(self._identity_ids, np.int64)[columns]
        return Matches(distance, same, ids, tuple(self._names[column] for column in columns.tolist()))

    def _rows_of(self, columns: Int64) -> tuple[Int64, Int64]:
        """Rows of some columns, one column behind the other, and (n + 1,) where each begins."""
        order, starts = self._by_identity()
        counts = starts[columns + 1] - starts[columns]
        groups = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return order[np.arange(groups[-1]) + np.repeat(starts[columns] - groups[:-1], counts)], groups

    def _by_identity(self) -> tuple[Int64, Int64]:
        """Rows grouped by column: (N,) rows, and (I + 1,) where each column begins."""
        if self._grouped is None:
            owner = self._owner[: len(self)]
            order = np.argsort(owner, kind="stable")
            starts = np.searchsorted(owner[order], np.arange(len(self._identity_ids) + 1))
            self._grouped = order, starts
        return self._grouped

    def _check_shape(self, parts: int, dimensions: int) -> None:
        if self._index is None or not len(self._index):
            return
        held = (self._index.parts, self._index.dimensions)
        if held != (parts, dimensions):
            raise ValueError(
                f"embedding is {parts}x{dimensions}, the gallery's templates are {held[0]}x{held[1]}: they are of another model"
            )

    def _reserve(self, rows: int) -> None:
        if rows > len(self._owner):
            more = np.zeros(max(rows, len(self._owner) + len(self._owner) // 4 + 64) - len(self._owner), np.int64)
            self._owner = np.concatenate([self._owner, more])
            self._modalities = np.concatenate([self._modalities, more])


def compile_search() -> None:
    """Compile what a search runs: seconds the first time on a machine, then read from numba's cache."""
    matcher = Matcher(1)
    one = np.ones((1, 1, 4), np.float32)
    matcher.replace_all([(number, "", one, np.array([int(Modality.BOTH)])) for number in range(1, 5)])
    matcher.search(one, [Modality.BOTH])
    matcher.search(one, [Modality.BOTH], people=1)
