"""The linear part of an embedding, refitted to people of whom nobody is named.

Windows of one track are one person: how they differ is no identity. Tracks differ by that and by who walks there. So the
shipped traits are centred on the place's people and made equally loud: those that waver within tracks, or vary with
everything else between them, are turned down. What another sensor, another day or other clothes change is not seen within a track and
cannot be learnt from it; traits stay those of the shipped weights, in new proportions, and with few tracks in nearly the old ones.
The numbers for points alone, of which there are more, are made equally loud by half: with 256 of them a full one adds noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.samples import Float64, Int64

RADIUS = 0.5  # of the sphere (``emgaitnet.extensions.on_sphere``)
TOTAL = 0.3  # weight of the whole variance beside that within tracks, both of trace 1: 0.1 to 0.5 are as good on LReID
LOUD, LOUD_ALONE = 0.5, 0.25  # powers of the variance traits, and numbers for points alone, are divided by
FIRST, AVERAGE = 0.5, 0.25  # spread of the first trait in radii, and the constant beside directions of mean length 1


@dataclass(frozen=True)
class TrackTraits:
    """Traits of the windows of all tracks: what the linear part of the shipped weights makes of them, before the sphere.

    Attributes:
        traits: (W, D) float64, columns that the shipped weights use.
        alone: (W, A) float64, mean over the window of what the network gives for points alone; A is 0 where it has no vectors for
            them, or a camera saw the tracks.
        track: (W,) number of the track each window is of; ascending, the windows of a track in the order of time.
    """

    traits: Float64
    alone: Float64
    track: Int64

    @property
    def tracks(self) -> int:
        """How many tracks have a window."""
        return len(np.unique(self.track))


@dataclass(frozen=True)
class Refit:
    """What takes the place of the shipped traits.

    Attributes:
        matrix: (D, D); offset: (D,): new traits are ``traits @ matrix + offset``.
        alone_matrix: (A, A); alone_offset: (A,): the same for points alone.
        constant: that stands beside the directions on the sphere.
        within: share of the traits' variance that is within tracks, 0..1: how much the windows of one track differ.
    """

    matrix: Float64
    offset: Float64
    alone_matrix: Float64
    alone_offset: Float64
    constant: float
    within: float


def refit(seen: TrackTraits) -> Refit:
    """Proportions of the traits in which people of this place differ and windows of one track do not.

    Args:
        seen: at least two windows each of at least two tracks.

    Raises:
        ValueError: fewer, or traits that do not vary.
    """
    weight = _equal_tracks(seen.track)
    matrix, middle, within = _proportions(seen.traits, seen.track, weight, LOUD)
    found = (seen.traits - middle) @ matrix
    length = np.sqrt(weight @ np.square(found[:, 1:]).sum(axis=1))
    matrix[:, 0] *= FIRST * RADIUS / np.sqrt(weight @ np.square(found[:, 0]))
    matrix[:, 1:] /= length
    alone, alone_middle = np.zeros((0, 0)), np.zeros(0)
    if seen.alone.size:
        alone, alone_middle, _ = _proportions(seen.alone, seen.track, weight, LOUD_ALONE)
    return Refit(matrix, -middle @ matrix, alone, -alone_middle @ alone, AVERAGE, within)


def _equal_tracks(track: Int64) -> Float64:
    """(W,) weights of the windows with which every track counts once."""
    _, number, count = np.unique(track, return_inverse=True, return_counts=True)
    return np.asarray((1.0 / count)[number] / len(count))


def _proportions(values: Float64, track: Int64, weight: Float64, power: float) -> tuple[Float64, Float64, float]:
    """(D, D) that divides values (W, D) by a power of their variance, their middle (D,), and which share of it is within tracks."""
    count = np.unique(track, return_counts=True)[1]
    first, last = np.cumsum(count) - count, np.cumsum(count) - 1
    several = count > 1
    if several.sum() < 2:
        raise ValueError(f"{several.sum()} tracks have two windows: expected at least 2")
    middle = weight @ values
    apart = values - middle
    total = shrunk((apart * weight[:, None]).T @ apart, len(count))
    differences = values[last[several]] - values[first[several]]
    within = shrunk(differences.T @ differences / (2 * several.sum()), int(several.sum()))
    if not np.trace(total) > 0 or not np.trace(within) > 0:
        raise ValueError("the traits of these tracks do not vary: they are copies of one track")
    mixed = (1 - TOTAL) * within / np.trace(within) + TOTAL * total / np.trace(total)
    spread, axes = np.linalg.eigh(mixed)
    matrix = (
        axes * spread**-power
    ) @ axes.T  # symmetric: every trait stays the one it was, the first (stature) the first
    return matrix, middle, float(np.trace(within) / np.trace(total))


def shrunk(covariance: Float64, tracks: int) -> Float64:
    """A covariance (D, D) moved towards equal variances, in which the shipped traits stand: by D numbers known beforehand to ``tracks`` seen."""
    dimensions = len(covariance)
    share = dimensions / (dimensions + tracks)
    return np.asarray((1 - share) * covariance + share * np.trace(covariance) / dimensions * np.eye(dimensions))
