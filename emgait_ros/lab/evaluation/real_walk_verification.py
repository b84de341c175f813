"""Same person or another, on real walks: motion-capture takes on simulated bodies, seen by the simulated sensors.

Two ways: every subject on a body of his own, as people are; and all on one body, where gait alone can tell. Pairs are takes
of one subject at 10 m and at 20 m, never the same take; impostors are the other subjects and simulated strangers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.config import SampleConfig
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.inference.preprocessing import Preprocessing, prepare
from emgait_ros.lab.datasets.sequences import Sequence, frames_of
from emgait_ros.lab.evaluation.embedding import embed_source
from emgait_ros.lab.evaluation.metrics import distance_matrix
from emgait_ros.lab.evaluation.protocols import Figure, Labels, Verification
from emgait_ros.lab.simulation.real_walks import Take
from emgait_ros.lab.simulation.walker import Walker
from emgait_ros.lab.simulation.walks import generate_walk
from emgait_ros.samples import Float32, Int64

FIRST_BODY = 900_000  # identities whose bodies the subjects get: nobody trains on them
RANGES_M = (10.0, 20.0)
VIEWS_DEG = tuple(range(0, 360, 45))


class RealWalks:
    """Sequences of takes as a data set (``datasets.sequences.SequenceSource``); ``identity`` numbers the subjects.

    Args:
        takes: at least two subjects, one of them with two takes.
        preprocessing: what the bundle takes.
        frames: samples a sequence at 10 Hz.
        own_bodies: every subject on a body of his own; else all on one.

    Attributes:
        take: (S,) int64 number of the take.
    """

    def __init__(self, takes: list[Take], preprocessing: Preprocessing, frames: int, own_bodies: bool) -> None:
        subjects = sorted({take.subject for take in takes})
        counts = [sum(take.subject == subject for take in takes) for subject in subjects]
        if len(subjects) < 2 or max(counts) < 2:
            raise ValueError(
                f"{len(takes)} takes of {len(subjects)} subjects: expected at least two subjects, one of them with two takes"
            )
        self.takes, self.preprocessing, self.frames, self.own_bodies = takes, preprocessing, frames, own_bodies
        grid = [(t, r, v) for t in range(len(takes)) for r in RANGES_M for v in VIEWS_DEG]
        self.take = np.array([t for t, _, _ in grid], np.int64)
        self.identity = np.array([subjects.index(takes[t].subject) for t, _, _ in grid], np.int64)
        self.walk = self.take
        self.range_m = np.array([r for _, r, _ in grid], np.float32)
        self.view_deg = np.array([v for _, _, v in grid], np.float32)
        self.condition = np.full(len(grid), "normal")
        self._walker: tuple[int, Walker] | None = None

    def __len__(self) -> int:
        return len(self.take)

    def __getitem__(self, sequence: int) -> Sequence:
        take = int(self.take[sequence])
        body = FIRST_BODY + (int(self.identity[sequence]) if self.own_bodies else 0)
        if self._walker is None or self._walker[0] != take:
            self._walker = take, Walker(body, take, outfit="light", steps=self.takes[take].steps)
        sample = SampleConfig(self.preprocessing.points, self.preprocessing.crop_height, self.preprocessing.crop_width)
        range_m, view = float(self.range_m[sequence]), float(self.view_deg[sequence])
        samples = generate_walk(body, take, range_m, view, self.frames, sample=sample, walker=self._walker[1])
        batch = prepare(samples, self.preprocessing)
        return Sequence(
            identity=int(self.identity[sequence]),
            walk=take,
            view_deg=view,
            range_m=range_m,
            condition="normal",
            point_count=np.array([s.point_count for s in samples], np.int64),
            **frames_of(batch),
        )


@dataclass(frozen=True)
class Strangers:
    """Simulated people that were embedded already: (n, parts, d) embeddings and who they are (n,)."""

    embedding: Float32
    identity: Int64

    @classmethod
    def of(cls, labels: Labels, walk: Int64, embedding: Float32) -> Strangers:
        """The published set's second walks by day at 20 m."""
        chosen = (walk != 0) & (labels.condition == "normal") & (np.round(labels.range_m / 10) == 2)
        return cls(embedding[chosen], labels.identity[chosen])


def verify(encoder: GaitEncoder, takes: list[Take], frames: int, strangers: Strangers) -> dict[str, dict[str, Figure]]:
    """EER and TAR at FAR 1 % of real walks.

    Returns:
        By "own bodies" and "one body": "EER" against everybody, "EER_real" against the other subjects, "EER_simulated"
        against the strangers, and "TAR_at_FAR_1pct". Intervals
        resample the takes and strangers that are probes; so few subjects stand for nobody but themselves.
    """
    found: dict[str, dict[str, Figure]] = {}
    for name, own in (("own bodies", True), ("one body", False)):
        source = RealWalks(takes, encoder.bundle.preprocessing, frames, own)
        embedded = embed_source(encoder, source)
        found[name] = _figures(source, embedded.embedding, strangers.embedding, strangers.identity)
    return found


def _figures(source: RealWalks, embedding: Float32, stranger: Float32, stranger_identity: Int64) -> dict[str, Figure]:
    names, number = np.unique(source.take, return_index=True)
    subject_of = dict(zip(names.tolist(), source.identity[number].tolist(), strict=True))
    several = [s for s in set(subject_of.values()) if sum(v == s for v in subject_of.values()) > 1]
    near, far = source.range_m == RANGES_M[0], source.range_m == RANGES_M[1]
    gallery = near & np.isin(source.identity, several)
    distance = distance_matrix(np.concatenate([embedding[far], stranger]), embedding[gallery])
    take = np.concatenate([source.take[far], np.full(len(stranger), -1)])
    subject = np.concatenate([source.identity[far], np.full(len(stranger), -1)])
    same = subject[:, None] == source.identity[gallery]
    allowed = take[:, None] != source.take[gallery]
    drawn = np.concatenate([source.take[far], len(names) + stranger_identity])  # who is resampled
    against = {"": np.ones(len(take), bool), "_real": take >= 0}
    if len(stranger):
        against["_simulated"] = (take < 0) | np.isin(subject, several)
    figures = {}
    for suffix, rows in against.items():
        kept = allowed[rows] if suffix != "_simulated" else allowed[rows] & (same[rows] | (take[rows, None] < 0))
        pairs = Verification.of(distance[rows], same[rows], kept, drawn[rows])
        figures[f"EER{suffix}"] = pairs.equal_error_rate()
        if not suffix:
            figures["TAR_at_FAR_1pct"] = pairs.true_accept_rate(0.01)
    return figures
