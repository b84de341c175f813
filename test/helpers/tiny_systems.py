"""The compared systems at sizes that train in seconds, and a made-up set with all that they look at."""

from __future__ import annotations

import dataclasses

import numpy as np
from made_up_sets import made_up_set

from emgait_ros.lab.datasets.sequences import SequenceSet
from emgait_ros.lab.systems.configs import (
    GaitBaseConfig,
    HmrNetConfig,
    LiCafConfig,
    LidarGaitPlusPlusConfig,
    SystemConfig,
)

CHANNELS = (4, 8, 8, 16)
TINY: dict[str, SystemConfig] = {
    "gaitbase": GaitBaseConfig(points=16, channels=CHANNELS, parts=4, width=16, max_frames=12),
    "lidargait++": LidarGaitPlusPlusConfig(
        points=16, centers=(16, 8), neighbours=4, channels=(8, 16), pyramid=(1, 2, 4), width=16, max_frames=12
    ),
    "licaf": LiCafConfig(points=16, channels=CHANNELS, attention_width=8, parts=4, width=16, max_frames=12),
    "hmrnet": HmrNetConfig(
        points=16, channels=CHANNELS, point_channels=(8, 8, 16), neighbours=4, heads=2, parts=4, width=16, max_frames=12
    ),
}


def pictured_set(identities: int = 10, frames: int = 5, **changes: int) -> SequenceSet:
    """``made_up_set`` with silhouettes and depth maps: every identity has blocks of its own, a few of which flicker."""
    data = made_up_set(identities=identities, frames=frames, **changes)
    rng = np.random.default_rng(1)
    owner = np.repeat(data.identity - 100, data.lengths)
    blocks = rng.random((identities, 8, 11)) < 0.5
    flicker = rng.random((len(owner), 8, 11)) < 0.05
    silhouettes = np.kron(blocks[owner] ^ flicker, np.ones((1, 8, 4))).astype(np.uint8) * 255
    depths = rng.integers(1, 255, (identities, 8, 8))
    depth_maps = np.kron(depths[owner], np.ones((1, 8, 8))).astype(np.uint8)
    return dataclasses.replace(
        data,
        silhouettes=silhouettes,
        has_silhouette=data.has_image,
        depth_maps=depth_maps * data.has_points[:, None, None],
    )
