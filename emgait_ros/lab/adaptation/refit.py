"""The linear part of an embedding, refitted to people of whom nobody is named.

Windows of one track are one person: how they differ is no identity. Tracks differ by that and by who walks there. So the
shipped traits are centred on the place's people and made equally loud: those that waver within tracks, or vary with
everything else between them, are turned down. What another sensor, another day or other clothes change is not seen within a track and
cannot be learnt from it; traits stay those of the shipped weights, in new proportions, and with few tracks in nearly the old ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.samples import Float64, Int64

RADIUS = 0.5  # of the sphere (``emgaitnet.extensions.on_sphere``)
TOTAL = 0.3  # weight of the whole variance beside that within tracks, both of trace 1: 0.1 to 0.5 are as good on LReID
FIRST, AVERAGE = 0.5, 0.25  # spread of the first trait in radii, and the constant beside directions of mean length 1


@dataclass(frozen=True)
class TrackTraits:
    """Traits of the windows of all tracks: what the linear part of the shipped weights makes of them, before the sphere.

    Attributes:
        traits: (W, D) float64, columns that the shipped weights use.
        track: (W,) number of the track each window is of; ascending, the windows of a track in the order of time.
    """

    traits: Float64
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
        constant: that stands beside the directions on the sphere.
        within: share of the traits' variance that is within tracks, 0..1: how much the windows of one track differ.
    """

    matrix: Float64
    offset: Float64
    constant: float
    within: float


def refit(seen: TrackTraits) -> Refit:
    """Proportions of the traits in which people of this place differ and windows of one track do not.

    Args:
        seen: at least two windows each of at least two tracks.

    Raises:
        ValueError: fewer, or traits that do not vary.
    """
    _, number, count = np.unique(seen.track, return_inverse=True, return_counts=True)
    first, last = np.cumsum(count) - count, np.cumsum(count) - 1
    several = count > 1
    if several.sum() < 2:
        raise ValueError(f"{several.sum()} tracks have two windows: expected at least 2")
    weight = (1.0 / count)[number] / len(count)  # every track counts once
    middle = weight @ seen.traits
    apart = seen.traits - middle
    total = shrunk((apart * weight[:, None]).T @ apart, len(count))
    differences = seen.traits[last[several]] - seen.traits[first[several]]
    within = shrunk(differences.T @ differences / (2 * several.sum()), int(several.sum()))
    if not np.trace(total) > 0 or not np.trace(within) > 0:
        raise ValueError("the traits of these tracks do not vary: they are copies of one track")
    mixed = (1 - TOTAL) * within / np.trace(within) + TOTAL * total / np.trace(total)
    values, axes = np.linalg.eigh(mixed)
    matrix = (
        axes / np.sqrt(values)
    ) @ axes.T  # symmetric: every trait stays the one it was, the first (stature) the first
    found = apart @ matrix
    length = np.sqrt(weight @ np.square(found[:, 1:]).sum(axis=1))
    matrix[:, 0] *= FIRST * RADIUS / np.sqrt(weight @ np.square(found[:, 0]))
    matrix[:, 1:] /= length
    return Refit(matrix, -middle @ matrix, AVERAGE, float(np.trace(within) / np.trace(total)))


def shrunk(covariance: Float64, tracks: int) -> Float64:
    """A covariance (D, D) moved towards equal variances, in which the shipped traits stand: by D numbers known beforehand to ``tracks`` seen."""
    dimensions = len(covariance)
    share = dimensions / (dimensions + tracks)
    return np.asarray((1 - share) * covariance + share * np.trace(covariance) / dimensions * np.eye(dimensions))
