"""The neighbors of a shape: people do not count against a person, anything else does; people who touch are a group.

Two shapes with a gap between their heads and shoulders are two people. Where only their heads are separate, they are two
people who touch. Without any gap they are two people, a board or a hedge: only walking distinguishes them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emgait_ros.samples import Float32, Float64
from emgait_ros.sensing.perception.clusters import BodyMap
from emgait_ros.sensing.perception.shape_kernels import HEAD_BAND_M
from emgait_ros.sensing.perception.shapes import Candidates, gaps

COLUMN_SPACING = 0.0045  # horizontal distance of neighboring returns over range: 0.26 degrees
HEADS_BAND_M = 0.22  # heads alone, above the shoulders
JOINED_M = 0.5  # people who touch and stand no farther apart are one detection
TOUCHING_M = 0.9  # people who touch stand no farther apart
MOST_TOUCHING = 3  # what has more peaks without a gap is a hedge or a fence
LIKE_PEOPLE = 0.69  # of each one who touches another: a shape at the edge of the view scores 0.7
DOUBTFUL_SCORE = (
    0.59  # at most, where only walking distinguishes people from things: no detection, but it may start a track
)


def ramp(value: np.ndarray, zero: float | np.ndarray, one: float | np.ndarray) -> np.ndarray:
    """0 at and beyond ``zero``, 1 at and beyond ``one``, linear between; either may be the larger."""
    return np.clip((value - zero) / (one - zero), 0.0, 1.0)


def with_company(
    alone: Float64, wide: Float64, candidates: Candidates, body: BodyMap, found: Float32
) -> tuple[Float64, NDArray[np.bool_]]:
    """Score of each shape with what stands close by, and whether it is one of people who touch, or several of them.

    Args:
        alone: (K,) how much each candidate looks like a person, without its surroundings.
        wide: (K,) how much it looks like several people side by side.
        candidates, body, found: the shapes, the map and its peaks.

    Returns:
        (K,) score 0..1 and (K,) group.
    """
    apart, heads_apart = _parted(alone, candidates, body, found)
    single, company = _beside(alone, candidates, apart, len(found))
    touching = _touching(alone, candidates, apart, found)
    together, _ = _beside(alone, candidates, np.maximum(apart, touching), len(found))
    parted = np.zeros(len(alone))
    np.maximum.at(parted, candidates.beside, touching * np.maximum(apart, heads_apart))
    together *= np.where(parted >= 0.5, 1.0, DOUBTFUL_SCORE)
    several = DOUBTFUL_SCORE * wide * ramp(company, 0.4, 0.1)
    aside, _ = _beside(alone, candidates, apart, len(found), things=1.0)
    score = np.maximum.reduce([single, together, several, DOUBTFUL_SCORE * aside])
    group = np.maximum(together, several) > single
    _join(candidates, found, touching, score, group)
    return score, group


def _parted(alone: Float64, candidates: Candidates, body: BodyMap, found: Float32) -> tuple[Float64, Float64]:
    """(P,) 0..1 how surely a gap separates each pair of neighbors at head and shoulders, and at the heads alone."""
    of_peak = np.zeros(len(found))
    of_peak[candidates.peak] = alone
    first = candidates.peak[candidates.beside]
    people = (of_peak[first] > 0.1) & (of_peak[candidates.other] > 0.1)
    maybe = np.flatnonzero(people | (of_peak[first] >= LIKE_PEOPLE))
    narrow = COLUMN_SPACING * candidates.shape["range"][candidates.beside[maybe]]
    parted = []
    for band in (HEAD_BAND_M, HEADS_BAND_M):
        free = gaps(body, found, candidates.owner, first[maybe], candidates.other[maybe], band)
        result = np.zeros(len(first))
        result[maybe] = ramp(free, np.maximum(0.03, narrow), np.maximum(0.07, 1.6 * narrow))
        parted.append(result)
    return parted[0], parted[1]


def _beside(
    alone: Float64, candidates: Candidates, friendly: Float64, peaks: int, things: float = 0.0
) -> tuple[Float64, Float64]:
    """Score with neighbors, and the ratio of foreign returns to the shape's own.

    ``friendly``: (P,) 0..1 how far a neighbor that looks like a person counts as one; ``things``: how much of a person
    every neighbor is.
    """
    shape, score = candidates.shape, alone
    of_peak = np.zeros(peaks)
    for _ in range(3):
        of_peak[candidates.peak] = score
        strange = candidates.ring_returns * (
            1.0 - np.maximum(ramp(of_peak[candidates.other], 0.1, 0.4), things) * friendly
        )
        foreign = np.bincount(candidates.beside, strange, minlength=len(score))
        company = (
            (1.0 - things) * shape["clutter"] + foreign + 0.5 * shape["attached"] + 0.05 * shape["structure"]
        ) / np.maximum(shape["count"], 1)
        score = alone * ramp(company, 0.7, 0.1)
    return score, company


def _touching(alone: Float64, candidates: Candidates, apart: Float64, found: Float32) -> Float64:
    """(P,) 1 for neighbors without a gap that may be people who touch: few of them, near, each like a person."""
    row = np.full(len(found), -1)
    row[candidates.peak] = np.arange(len(alone))
    a, b = candidates.beside, row[candidates.other]
    close = np.hypot(*(found[candidates.peak[a]] - found[candidates.other]).T) < TOUCHING_M
    good = (b >= 0) & (apart < 1.0) & close & (alone[a] >= LIKE_PEOPLE) & (alone[b] >= LIKE_PEOPLE)
    links = coo_array((np.ones(good.sum()), (a[good], b[good])), shape=(len(alone), len(alone)))
    label = connected_components(links, directed=False)[1]
    few = np.bincount(label)[label] <= MOST_TOUCHING
    return np.where(good & few[a], 1.0, 0.0)


def _join(candidates: Candidates, found: Float32, touching: Float64, score: Float64, group: NDArray[np.bool_]) -> None:
    """Make one shape, in place, of people who touch and stand so close that the next cloud may show a single peak."""
    shape, row = candidates.shape, np.full(len(found), -1)
    row[candidates.peak] = np.arange(len(score))
    for pair in np.flatnonzero(touching):
        a, b = int(candidates.beside[pair]), int(row[candidates.other[pair]])
        peaks = found[candidates.peak[[a, b]]]
        if a > b or not (group[a] and group[b] and score[b]) or np.hypot(*(peaks[0] - peaks[1])) > JOINED_M:
            continue
        weight = shape["count"][[a, b]] / shape["count"][[a, b]].sum()
        for axis, half in (("x", "half_x"), ("y", "half_y")):
            middle = float(weight @ shape[axis][[a, b]])
            shape[half][a] = (np.abs(shape[axis][[a, b]] - middle) + shape[half][[a, b]]).max()
            shape[axis][a] = middle
        shape["range"][a] = np.hypot(shape["x"][a], shape["y"][a])
        shape["top"][a], shape["bottom"][a] = shape["top"][[a, b]].max(), shape["bottom"][[a, b]].min()
        shape["count"][a] = shape["count"][[a, b]].sum()
        score[a], score[b] = score[[a, b]].max(), 0.0
        found[candidates.peak[a]] = weight @ peaks
        candidates.owner[candidates.owner == candidates.peak[b]] = candidates.peak[a]
