"""What recording and tracking do to a pass: raw clouds -> points as the network takes them, with the errors of the way there.

Every draw is of one sequence: clouds cut off at the bottom, feet missing, returns lost, joined over two frames, an arm or a leg
out of sight, a neighbour's returns, strays, frames missing; then either the way of the recorded data sets
(``datasets.recorded.prepared_clouds``: ground, height and heading are estimated) or the live one, whose ground, box and
heading are off by what a tracker's are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.inference.preprocessing import Preprocessing, prepare_points, resample
from emgait_ros.inference.steady_box import HEAD_PERCENT, so_far
from emgait_ros.lab.datasets.recorded import prepared_clouds
from emgait_ros.lab.simulated_supervision.passes import RawPass
from emgait_ros.samples import Float32, Float64

FEWEST_RETURNS, FEWEST_FRAMES = 8, 6
BOX_M = 0.7


@dataclass(frozen=True)
class NuisanceConfig:
    """Shares are probabilities, of a sequence; spreads standard deviations.

    Attributes:
        cut_m: how much of the bottom the ground removal takes, from and to.
        no_feet, no_feet_m: share of sequences that lack more, and how much, from and to.
        thinned: share with 25 to 120 returns a frame at most.
        joined: share whose frames hold the returns of the one before.
        hidden: share of which a side is out of sight for a while.
        neighbour: share with returns of somebody beside them for a while.
        strays: share with single returns of anything around.
        missing: share that lacks 5 to 40 % of its frames.
        recorded: share that goes the way of recorded data sets; the others go the live one.
        heading_deg, ground_m: errors of the live way, one of each a sequence.
    """

    cut_m: tuple[float, float] = (0.02, 0.14)
    no_feet: float = 0.12
    no_feet_m: tuple[float, float] = (0.12, 0.4)
    thinned: float = 0.35
    joined: float = 0.15
    hidden: float = 0.2
    neighbour: float = 0.12
    strays: float = 0.15
    missing: float = 0.25
    recorded: float = 0.6
    heading_deg: float = 4.0
    ground_m: float = 0.03


def prepared_with_nuisances(
    seen: RawPass, preprocessing: Preprocessing, config: NuisanceConfig, rng: np.random.Generator
) -> Float32:
    """(F, N, 3 or 7) points of the frames that are left; (0, N, 3 or 7) where that is too little to be a sequence."""
    clouds = damaged(seen, config, rng)
    frames = np.arange(len(clouds))
    if rng.random() < config.missing:
        frames = frames[rng.random(len(frames)) > rng.uniform(0.05, 0.4)]
    frames = np.array([frame for frame in frames if len(clouds[frame]) >= FEWEST_RETURNS], np.int64)
    if len(frames) < FEWEST_FRAMES:
        return np.zeros((0, preprocessing.points, preprocessing.point_values), np.float32)
    kept = [rng.permutation(clouds[frame]) for frame in frames]
    if rng.random() < config.recorded:
        return prepared_clouds(kept, preprocessing)[0]
    return _as_tracked(kept, seen.truth[frames, 2], seen.velocity[frames], preprocessing, config, rng)


def damaged(seen: RawPass, config: NuisanceConfig, rng: np.random.Generator) -> list[Float32]:
    """The T clouds with fewer returns, others' returns and strays."""
    frames = len(seen.clouds)
    cut = rng.uniform(*(config.no_feet_m if rng.random() < config.no_feet else config.cut_m))
    joined, hidden, beside, strays = (
        rng.random() < share for share in (config.joined, config.hidden, config.neighbour, config.strays)
    )
    most = rng.uniform(25, 120) if rng.random() < config.thinned else np.inf
    hiding, hidden_while = (*rng.uniform((0.0, 0.05, 0.0), (2 * np.pi, 0.35, 1.4)),), _while(frames, rng)
    neighbour, beside_while = (rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.8)), _while(frames, rng)
    found = []
    for frame, (cloud, truth) in enumerate(zip(seen.clouds, seen.truth, strict=True)):
        if joined and frame and rng.random() < 0.7:
            cloud = np.concatenate([cloud, seen.clouds[frame - 1]])
        about = cloud - truth
        kept = about[:, 2] > cut + rng.normal(0, 0.008)
        if hidden and frame in hidden_while:
            side = about[:, 0] * np.cos(hiding[0]) + about[:, 1] * np.sin(hiding[0])
            kept &= ~((side > hiding[1]) & (about[:, 2] > hiding[2]) & (about[:, 2] < hiding[2] + 0.8))
        cloud = cloud[kept]
        if len(cloud) > most:
            count = min(len(cloud), max(1, int(most * np.exp(rng.normal(0, 0.2)))))
            cloud = cloud[rng.choice(len(cloud), count, replace=False)]
        added = [np.zeros((0, 3))]
        if beside and frame in beside_while:
            added.append(_neighbour(*neighbour, rng))
        if strays and rng.random() < 0.3:
            added.append(rng.uniform((-0.6, -0.6, 0.05), (0.6, 0.6, 1.9), (rng.integers(1, 5), 3)))
        if len(cloud):  # whom nobody sees has no neighbour either
            cloud = np.concatenate([cloud, np.concatenate(added) + truth])
        found.append(np.asarray(cloud, np.float32))
    return found


def _while(frames: int, rng: np.random.Generator) -> range:
    first, end = np.sort(rng.integers(0, frames + 1, 2))
    return range(int(first), int(end))


def _neighbour(bearing: float, distance: float, rng: np.random.Generator) -> Float64:
    """(N, 3) a few returns of a trunk, about the ground under the pedestrian."""
    count = int(rng.integers(1, 12))
    place = distance * np.array([np.cos(bearing), np.sin(bearing)])
    return np.column_stack([place + rng.normal(0, 0.06, (count, 2)), rng.uniform(0.5, 1.5, count)])


def _as_tracked(
    clouds: list[Float32],
    floor: Float64,
    velocity: Float64,
    preprocessing: Preprocessing,
    config: NuisanceConfig,
    rng: np.random.Generator,
) -> Float32:
    """Points (T, N, 3 or 7) as a tracker hands them on; ``floor`` (T,) m and ``velocity`` (T, 3) are true."""
    frames = len(clouds)
    ground = floor + rng.normal(0, config.ground_m) + rng.normal(0, 0.01, frames)
    fixed = np.stack([resample(cloud, preprocessing.points) for cloud in clouds])
    centre = np.array([cloud.mean(axis=0) for cloud in clouds], np.float64)
    tops = fixed[:, :, 2].max(axis=1).astype(np.float64) - ground
    height = so_far(tops, HEAD_PERCENT) if rng.random() < 0.6 else so_far(tops, 100) + 0.03
    box = np.column_stack([centre[:, :2] + rng.normal(0, 0.03, (frames, 2)), ground + height / 2])
    size = np.column_stack([np.full((frames, 2), BOX_M), height])
    late = velocity[np.maximum(np.arange(frames) - rng.integers(0, 4), 0)]
    wrong = np.radians(rng.normal(0, config.heading_deg)) + np.radians(rng.normal(0, 2.5, frames))
    cos, sin = np.cos(wrong), np.sin(wrong)
    heading = [late[:, 0] * cos - late[:, 1] * sin, late[:, 0] * sin + late[:, 1] * cos, np.zeros(frames)]
    return prepare_points(fixed, box, size, np.column_stack(heading), preprocessing)
