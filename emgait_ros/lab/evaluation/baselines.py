"""Trivial ways to tell people apart, to be shown beside every figure: if one of them does well, the test is too easy."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from emgait_ros.lab.datasets.sequences import Sequence, SequenceSource
from emgait_ros.samples import Float32, Float64


def body_height(sequence: Sequence) -> Float64:
    """(1,) highest return above the ground, the median over the frames, m."""
    return np.array([np.median(_clouds(sequence)[:, :, 2].max(axis=1))])


def cloud_extents(sequence: Sequence) -> Float64:
    """(6,) median and spread over the frames of the extents of the cloud, m."""
    extents = np.ptp(_clouds(sequence), axis=1)
    return np.concatenate([np.median(extents, axis=0), extents.std(axis=0)])


def point_count(sequence: Sequence) -> Float64:
    """(1,) mean number of returns, logarithmic."""
    return np.log1p([sequence.point_count.mean()])


def crop_colour(sequence: Sequence) -> Float64:
    """(9,) mean colour of head, trunk and legs in the middle of the crop."""
    crops = sequence.crops[sequence.has_image] if sequence.has_image.any() else sequence.crops
    height, width = crops.shape[1:3]
    middle = crops[:, :, width // 3 : 2 * width // 3].astype(np.float64)
    rows = [0, int(0.25 * height), int(0.55 * height), height]
    return np.concatenate([middle[:, a:b].mean(axis=(0, 1, 2)) for a, b in itertools.pairwise(rows)])


BASELINES: dict[str, Callable[[Sequence], Float64]] = {
    "body height": body_height,
    "cloud extents": cloud_extents,
    "number of points": point_count,
    "mean crop colour": crop_colour,
}


def measured(source: SequenceSource, measure: Callable[[Sequence], Float64]) -> Float32:
    """A measure of every sequence as an embedding (S, 1, n), standardised over the sequences."""
    return standardised(np.stack([measure(source[number]) for number in range(len(source))]))


def standardised(values: Float64) -> Float32:
    """(S, n) -> (S, 1, n), zero mean and unit spread."""
    return np.asarray((values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9), np.float32)[:, None]


def _clouds(sequence: Sequence) -> Float32:
    points = sequence.points[..., :3]  # what else a point may carry is not a place
    return points[sequence.has_points] if sequence.has_points.any() else points
