"""Labelled candidates for the scorer: simulated clouds through the detector's own first steps, kept in shards."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from emgait_ros.config import DetectorConfig
from emgait_ros.lab.evaluation.detection_matching import apart_m
from emgait_ros.lab.simulation.clutter.people import CARRYING, CHILD, LEANING, PUSHING, RIDER, STANDING, WALKER
from emgait_ros.lab.simulation.cluttered_scenes import cluttered_cloud
from emgait_ros.samples import Float32, Float64, Int64, UInt8
from emgait_ros.sensing.perception.candidates import CandidateFinder
from emgait_ros.sensing.perception.views import Views
from emgait_ros.whole_files import written_whole

PERSON_M = 0.35  # a candidate this near to a person is one
NOBODY_M = 0.6  # farther from everybody it is none; between it is not learned from
GROUP_M = 0.5  # people this near to each other are a group
LEAST_RETURNS = 5
NEGATIVES = 80  # kept of a cloud at most
NOBODY, PERSON, GROUP = 0, 1, 2
UPRIGHT = (WALKER, STANDING, CHILD, PUSHING, CARRYING, LEANING)  # who is to be found


@dataclass(frozen=True)
class Examples:
    """N candidates with what they are; the views as bytes: 0..1 as 0..255, the mean depth -1..1 as 0..254.

    Attributes:
        front: (N, 6, 16, 20) uint8. top: (N, 2, 16, 16) uint8. measures: (N, M) float32.
        kind: (N,) uint8 NOBODY, PERSON or GROUP.
    """

    front: UInt8
    top: UInt8
    measures: Float32
    kind: UInt8

    def __len__(self) -> int:
        return len(self.kind)


def packed(views: Views) -> tuple[UInt8, UInt8]:
    """Front and top views as bytes."""
    front = views.front.copy()
    front[:, 3] = (front[:, 3] + 1.0) * (127.0 / 255.0)
    return np.rint(front * 255).clip(0, 255).astype(np.uint8), np.rint(views.top * 255).clip(0, 255).astype(np.uint8)


def kinds(place: Float64, people: Float64, returns: Int64, kind: tuple[str, ...]) -> Int64:
    """What each candidate is: NOBODY, PERSON, GROUP, or -1 where that is not clear or does not matter.

    Args:
        place: (K, 2) candidates, m.
        people: (P, 2) middles of everybody, m.
        returns: (P,) on each.
        kind: (P,) of ``clutter.people.KINDS``.
    """
    out = np.zeros(len(place), np.int64)
    if len(people) == 0 or len(place) == 0:
        return out
    wanted, riding = np.array([k in UPRIGHT for k in kind]), np.array([k == RIDER for k in kind])
    seen = wanted & (returns >= LEAST_RETURNS)
    apart = apart_m(place, people)  # (K, P)
    nearest = apart.argmin(1)
    near = apart.min(1)
    out[near < NOBODY_M] = -1
    out[(near < PERSON_M) & seen[nearest]] = PERSON
    out[(near < NOBODY_M) & riding[nearest]] = NOBODY
    between = apart_m(people, people)
    np.fill_diagonal(between, np.inf)
    beside = np.where(seen[None], between, np.inf).min(1) < GROUP_M  # (P,) who has somebody else that close
    out[(out == PERSON) & beside[nearest]] = GROUP
    return out


def examples_of(seed: int, finder: CandidateFinder, hard: bool = False) -> Examples:
    """Candidates of the simulated cloud of that seed, of the ``hard`` series or the other: all people, and some of the rest."""
    cloud = cluttered_cloud(seed, hard)
    found = finder.find(cloud.points)
    returns = np.bincount(cloud.owner[cloud.owner > 0] - 1, minlength=len(cloud.people))
    kind = kinds(found.place.astype(np.float64), cloud.people[:, :2], returns, cloud.kinds)
    nobody = np.random.default_rng([seed, 77]).permutation(np.flatnonzero(kind == NOBODY))[:NEGATIVES]
    kept = np.concatenate([np.flatnonzero(kind > 0), nobody])
    front, top = packed(found.views)
    return Examples(front[kept], top[kept], found.views.measures[kept], kind[kept].astype(np.uint8))


def joined(parts: list[Examples]) -> Examples:
    """Examples one after another."""
    return Examples(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Examples)))


def write_shard(path: Path, seeds: range, config: DetectorConfig, hard: bool = False) -> None:
    """Examples of these seeds of a series into one file; an existing file is kept."""
    if not path.exists():
        finder = CandidateFinder(config)
        examples = joined([examples_of(seed, finder, hard) for seed in seeds])
        with written_whole(path) as fresh, fresh.open("wb") as file:
            np.savez_compressed(file, **{f.name: getattr(examples, f.name) for f in fields(Examples)})


def read_shard(path: Path) -> Examples:
    """Examples of a file of :func:`write_shard`."""
    with np.load(path) as data:
        return Examples(**{f.name: data[f.name] for f in fields(Examples)})
