"""Ground and height of a pedestrian from the frames of a track so far: one sparse cloud lacks now the feet, now the head.

Live and in recordings alike, and causal: a frame sees only what came before it, because it is encoded once. Of real people
before a LiDAR with 40 to 190 returns on them the top of a single frame wanders by 0.10 m about the person's own; the upper
tenth of thirty frames agrees between LiDARs to 0.02 m.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable

import numpy as np

from emgait_ros.samples import Float64, Sample

FRAMES = 30  # of a track that count: three strides at 10 Hz
HEAD_PERCENT = 90  # of the frames' heights: most frames miss the top of the head, few hold something above it
SOLE_PERCENT = 5  # of the frames' lowest returns: a stray return may lie deeper
SOLE_M = 0.05  # the ground removal takes what lies lower


def steady_ground(lowest: Float64) -> Float64:
    """(T,) z of the ground under each frame in m, from the lowest return (T,) of each, where nothing else tells it."""
    return so_far(lowest, SOLE_PERCENT) - SOLE_M


def steady_height(height: Float64) -> Float64:
    """(T,) height of the box in m, from the height (T,) of the highest return of each frame above the ground."""
    return so_far(height, HEAD_PERCENT)


def so_far(values: Float64, percent: float) -> Float64:
    """(T,) percentile over each value and those of the ``FRAMES`` - 1 frames before it."""
    return np.array([np.percentile(values[max(0, row + 1 - FRAMES) : row + 1], percent) for row in range(len(values))])


def with_steady_height(pedestrian: Sample, heights: deque[float]) -> Sample:
    """A sample of a track, its box as high as the track's frames so far say, on the ground where its tracker put it.

    A sample with a crop is left as it is: the crop shows what was in that box.

    Args:
        pedestrian: with points.
        heights: of the track's frames so far, at most ``FRAMES``; this one's is added.
    """
    if pedestrian.points is None or not len(pedestrian.points):
        return pedestrian
    bottom = float(pedestrian.center[2] - pedestrian.size[2] / 2)
    heights.append(float(np.nanmax(pedestrian.points[:, 2])) - bottom)
    height = float(np.percentile(heights, HEAD_PERCENT))
    if pedestrian.crop is not None or not height > 0:
        return pedestrian
    center = np.array([pedestrian.center[0], pedestrian.center[1], bottom + height / 2])
    size = np.array([pedestrian.size[0], pedestrian.size[1], height])
    return dataclasses.replace(pedestrian, center=center, size=size)


def steadied(track: Iterable[Sample]) -> list[Sample]:
    """The samples of a whole track, each as the live recognizer takes it."""
    heights: deque[float] = deque(maxlen=FRAMES)
    return [with_steady_height(pedestrian, heights) for pedestrian in track]
