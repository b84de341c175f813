"""Where the joints of a simulated walker were: in the frame the network sees their points in, and in the picture.

With a pose loss in every frame a network learns poses within minutes; from identities alone, which give one label for a
whole sequence, it takes hours.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from emgait_ros.config import SampleConfig
from emgait_ros.inference.preprocessing import Preprocessing, cloud_axes, crop_coordinates, into_axes
from emgait_ros.lab.simulation.walk_sets import WalkFile
from emgait_ros.lab.simulation.walks import JOINTS
from emgait_ros.samples import Float32

PAIRS = tuple(
    (number, JOINTS.index(name.replace("Left", "Right"))) for number, name in enumerate(JOINTS) if "Left" in name
)


class Joints(NamedTuple):
    """Of the F frames of a set; NaN where a sample has no points to go by.

    Attributes:
        poses: (F, J, 3) float32 m, in the axes of the points.
        places: (F, J, 2) float32 column and row in the crop, 0 to 1 from its upper left corner. Of a left and a right joint
            the one on the left of the picture comes first: an outline does not tell a person's sides apart.
    """

    poses: Float32
    places: Float32


def load_joints(files: list[Path], preprocessing: Preprocessing) -> Joints:
    """Joints in all frames of the people's files, in order.

    Raises:
        ValueError: a file holds no joints (an older set): generate it anew.
    """
    found = [_joints(path, preprocessing) for path in files]
    return Joints(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


def _joints(path: Path, preprocessing: Preprocessing) -> Joints:
    arrays = WalkFile.read(path).arrays
    if "joints" not in arrays:
        raise ValueError(
            f"{path} holds no joints: it was made by an earlier version, remove the set and generate it anew"
        )
    center, size, velocity = (arrays[name].astype(np.float64) for name in ("center", "size", "velocity"))
    points, joints = (
        (arrays[name].astype(np.float64) + center[:, None]).astype(np.float32) for name in ("points", "joints")
    )
    poses = into_axes(joints, *cloud_axes(points, center, size, velocity, preprocessing.points_frame))
    places = _in_crop(crop_coordinates(joints, center, size), preprocessing.crop_width / preprocessing.crop_height)
    unseen = arrays["point_count"] == 0
    poses[unseen], places[unseen] = np.nan, np.nan
    return Joints(poses, places)


def _in_crop(places: Float32, aspect: float) -> Float32:
    """Box heights right of and above the middle of the box's bottom -> 0..1 from the crop's corner, sides in order."""
    height = 1 + 2 * SampleConfig().crop_margin
    found = np.stack([places[..., 0] / (height * aspect) + 0.5, (0.5 - places[..., 1]) / height + 0.5], axis=-1)
    for left, right in PAIRS:
        swapped = found[:, left, 0] > found[:, right, 0]
        found[swapped, left], found[swapped, right] = found[swapped, right], found[swapped, left]
    return np.asarray(found, np.float32)
