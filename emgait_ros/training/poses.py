"""Where the joints of a simulated walker were, in the frame the network sees their points in.

Asked for the pose in every single frame, a network learns to see bodies within minutes; from identities alone it takes
hours, because a whole sequence says only one thing then.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emgait_ros.inference.preprocessing import Preprocessing, cloud_axes, into_axes
from emgait_ros.samples import Float32
from emgait_ros.simulation.walk_sets import WalkFile


def load_poses(files: list[Path], preprocessing: Preprocessing) -> Float32:
    """(F, J, 3) float32 m of all frames of the people's files, in order; NaN where a sample has no points to go by.

    Raises:
        ValueError: a file holds no joints (an older set): generate it anew.
    """
    return np.concatenate([_poses(path, preprocessing) for path in files])


def _poses(path: Path, preprocessing: Preprocessing) -> Float32:
    arrays = WalkFile.read(path).arrays
    if "joints" not in arrays:
        raise ValueError(
            f"{path} holds no joints: it was made by an earlier version, remove the set and generate it anew"
        )
    center, size, velocity = (arrays[name].astype(np.float64) for name in ("center", "size", "velocity"))
    points, joints = (
        (arrays[name].astype(np.float64) + center[:, None]).astype(np.float32) for name in ("points", "joints")
    )
    found = into_axes(joints, *cloud_axes(points, center, size, velocity, preprocessing.points_frame))
    found[arrays["point_count"] == 0] = np.nan
    return found
