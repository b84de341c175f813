"""Points alone, in closed form: what the map of ``extensions.PointsAlone`` weighs down is what differs between sensors and days.

Simulated people pass several LiDARs at once (``passes``), with the errors of recordings and trackers (``nuisances``). The mean
over time of the frames' parts is a sequence's description. Its covariance within a pass (another sensor, other errors) and
within a person (another day) is made white, the directions that differ most between passes are kept. The frame encoder stays as it
is. The gain is found last: strangers by points alone are then named as seldom as by points and picture, at one threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.progress import track
from scipy.linalg import eigh

from emgait_ros.emgaitnet.model import EMGaitNet
from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.simulated_supervision.nuisances import NuisanceConfig, prepared_with_nuisances
from emgait_ros.lab.simulated_supervision.passes import PassesConfig, PassFile, write_passes
from emgait_ros.lab.simulated_supervision.plda_initialization import LinearMap
from emgait_ros.lab.training.measurement import calibrate
from emgait_ros.lab.training.recipe import CalibrationConfig
from emgait_ros.samples import Float32, Float64, Int64

SHRINKAGE = 0.2  # of the covariance within: people of the simulator vary in fewer ways than real ones
DAY_SHARE = 0.5  # of the covariance within a person in it, the rest is that within a pass
DIRECTIONS = 48  # that are kept: those beyond tell simulated errors rather than real people apart
FEWEST_PEOPLE = 20
STRANGERS = PassesConfig(500_000, 200, sensors=1, frames=50)  # 5 s, as the threshold's walks are


class Described(NamedTuple):
    """Mean parts (S, P * d) of S sequences, whose they are and of which walk (S,)."""

    parts: Float64
    identity: Int64
    walk: Int64


def fit_points_alone(
    network: EMGaitNet, preprocessing: Preprocessing, config: PassesConfig, folder: Path, workers: int = 1
) -> int:
    """Set ``points_alone`` of a network with ``alone_parts``; returns from how many people.

    Args:
        folder: of the passes, which are simulated when they are not there.

    Raises:
        ValueError: fewer than 20 people, or more numbers than the parts have.
    """
    if config.identities < FEWEST_PEOPLE:
        raise ValueError(f"passes.identities is {config.identities}: points alone take at least {FEWEST_PEOPLE} people")
    assert network.frame.points_alone is not None  # noqa: S101
    network.eval()
    seen = described(network, preprocessing, write_passes(config, folder, workers))
    layer = network.frame.points_alone.tell
    numbers = network.config.alone_parts * network.config.width
    if numbers > seen.parts.shape[1]:
        raise ValueError(
            f"model.alone_parts is {network.config.alone_parts}: at most model.parts, {network.config.parts}"
        )
    found = discriminant(seen, min(numbers, DIRECTIONS))
    strided(padded(found, numbers), network.config.alone_parts).put_into(layer)
    return len(np.unique(seen.identity))


def find_gain(
    network: EMGaitNet,
    preprocessing: Preprocessing,
    threshold: float,
    folder: Path,
    calibration: CalibrationConfig,
    people: PassesConfig = STRANGERS,
    workers: int = 1,
) -> dict[str, Any]:
    """Set the gain of windows of points alone for a bundle's ``threshold``; returns what it rests on.

    Args:
        folder: of the walks, which are simulated when they are not there.
        calibration, people: as many walks as the threshold's rule asks for, other people's.
    """
    assert network.sequence.alone is not None  # noqa: S101
    network.sequence.alone.gain.fill_(1.0)
    data = _sequences(write_passes(people, folder, workers), preprocessing)
    found = calibrate(network, data, calibration)
    network.sequence.alone.gain.fill_(threshold / found.threshold)
    kept = ("stranger_tracks", "false_accept_rate", "true_accept_rate", "true_accept_interval95")
    facts = {name: found.facts[name] for name in kept}
    return {"gain": round(threshold / found.threshold, 4), "strangers": found.facts["people"], **facts}


def described(network: EMGaitNet, preprocessing: Preprocessing, files: list[Path]) -> Described:
    """Every sequence of the files, with errors drawn from their names' numbers; what is too short is left out."""
    parts, identity, walk = [], [], []
    text = _text_without_picture(network)
    for path in track(files, description="points alone"):
        arrays = PassFile(path).arrays
        for sequence, points in _with_errors(path, preprocessing):
            parts.append(_mean_parts(network, text, points))
            identity.append(arrays["identity"][sequence])
            walk.append(arrays["walk"][sequence])
    return Described(np.array(parts), np.array(identity, np.int64), np.array(walk, np.int64))


def discriminant(seen: Described, numbers: int) -> LinearMap:
    """(P * d) -> ``numbers``, the directions sorted by how much of their variance is between passes."""
    mean, spread = seen.parts.mean(axis=0), seen.parts.std(axis=0) + 1e-9
    x = (seen.parts - mean) / spread
    within, between = _covariances(x, np.unique(np.stack([seen.identity, seen.walk]), axis=1, return_inverse=True)[1])
    of_person, _ = _covariances(x, seen.identity)
    within += DAY_SHARE * (of_person - within)
    size = len(within)
    within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / size * np.eye(size)
    ratio, axes = eigh(between, within, subset_by_index=(size - numbers, size - 1))
    ratio = np.maximum(ratio[::-1], 1e-6)
    weight = axes[:, ::-1] / spread[:, None] * np.sqrt(ratio / (1 + 2 * ratio))  # as in the odds of a probabilistic LDA
    return LinearMap(weight, -mean @ weight)


def padded(found: LinearMap, numbers: int) -> LinearMap:
    """The same with zeros behind, ``numbers`` in all."""
    more = numbers - len(found.bias)
    return LinearMap(np.pad(found.weight, ((0, 0), (0, more))), np.pad(found.bias, (0, more)))


def strided(found: LinearMap, vectors: int) -> LinearMap:
    """The same numbers in another order: the best ``vectors`` first in one vector each, and so on."""
    order = np.arange(len(found.bias)).reshape(-1, vectors).T.ravel()
    return LinearMap(found.weight[:, order], found.bias[order])


def _covariances(x: Float64, group: np.ndarray) -> tuple[Float64, Float64]:
    """Within groups and between them, (D, D) each, of rows (S, D)."""
    _, number, count = np.unique(group.ravel(), return_inverse=True, return_counts=True)
    own = np.stack([np.bincount(number, column) / count for column in x.T], axis=1)
    residual = x - own[number]
    within = residual.T @ residual / (len(x) - len(count))
    return within, np.cov(own.T) - within * np.mean(1 / count)


def _with_errors(path: Path, preprocessing: Preprocessing) -> Iterator[tuple[int, Float32]]:
    """Number and points of every sequence of a file that is long enough."""
    file = PassFile(path)
    for sequence in range(len(file)):
        rng = np.random.default_rng([int(path.stem), sequence, 5])
        points = prepared_with_nuisances(file[sequence], preprocessing, NuisanceConfig(), rng)
        if len(points):
            yield sequence, points


@torch.no_grad()
def _text_without_picture(network: EMGaitNet) -> torch.Tensor | None:
    """t* (1, 5, E) of every frame that has none; None where no text is used."""
    if network.frame.semantics is None:
        return None
    size = (network.config.crop_height, network.config.crop_width)
    text: torch.Tensor = network.frame.semantics(torch.zeros(1, 3, *size), torch.zeros(1, dtype=torch.bool))
    return text


@torch.no_grad()
def _mean_parts(network: EMGaitNet, text: torch.Tensor | None, points: Float32) -> Float64:
    """(P * d,) mean over a sequence (F, N, 3 or 7) of the parts of frames without a picture."""
    frame, count = network.frame, len(points)
    image = frame.missing_image.expand(count, -1, -1)
    cloud = frame.point_encoder(torch.from_numpy(points))
    fused, _ = frame.fuse(image, cloud, None if text is None else text.expand(count, -1, -1))
    return np.asarray(network.frame_parts(fused).flatten(1).double().mean(dim=0).numpy())


def _sequences(files: list[Path], preprocessing: Preprocessing) -> SequenceSet:
    """Everybody whose every walk is long enough, without pictures."""
    rows: list[tuple[int, int, float, Float32]] = []
    for path in files:
        arrays = PassFile(path).arrays
        away = np.hypot(*arrays["truth"][..., :2].mean(axis=1).T)
        rows += [
            (int(arrays["identity"][sequence]), int(arrays["walk"][sequence]), float(away[sequence]), points)
            for sequence, points in _with_errors(path, preprocessing)
        ]
    walks: dict[int, set[int]] = {}
    for identity, walk, *_ in rows:
        walks.setdefault(identity, set()).add(walk)
    rows = [row for row in rows if len(walks[row[0]]) > 1]
    lengths = [len(points) for *_, points in rows]
    frames, shape = sum(lengths), (preprocessing.crop_height, preprocessing.crop_width, 3)
    return SequenceSet(
        identity=np.array([identity for identity, *_ in rows], np.int64),
        walk=np.array([walk for _, walk, *_ in rows], np.int64),
        view_deg=np.zeros(len(rows), np.float32),
        range_m=np.array([away for _, _, away, _ in rows], np.float32),
        condition=np.array(["normal"] * len(rows)),
        start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        crops=np.broadcast_to(np.zeros(shape, np.uint8), (frames, *shape)),
        points=np.concatenate([points for *_, points in rows]),
        point_count=np.full(frames, preprocessing.points, np.int64),
        has_image=np.zeros(frames, bool),
        has_points=np.ones(frames, bool),
    )
