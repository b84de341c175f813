"""The real frames of the shared data folder, and where the pedestrians stand in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emgait_ros.lab.datasets.kitti import KittiFrames
from emgait_ros.samples import CameraModel
from emgait_ros.sensing.perception.camera import project

FRAMES = {"000000": 1, "000001": 0, "000134": 7, "000070": 1, "000074": 3}  # pedestrians looked for
PLACES = {"000070": [(7.2, 0.3)], "000074": [(6.7, -1.2), (6.6, -1.9), (8.1, -4.0)]}  # not labelled: read off by eye


@dataclass(frozen=True)
class KittiFrame:
    """A cloud, its image, and where the pedestrians stand (LiDAR frame, m)."""

    points: np.ndarray
    image: np.ndarray
    camera: CameraModel
    people: list[tuple[float, float]]

    def in_view(self, places: np.ndarray) -> np.ndarray:
        """Which places (N, 3) the camera sees."""
        pixel, valid = project(places, self.camera)
        return valid & (pixel[:, 0] >= 0) & (pixel[:, 0] < self.camera.width)


def load_frame(folder: Path, name: str) -> KittiFrame:
    """One of ``FRAMES``."""
    read = KittiFrames(folder / ("kitti_scenes" if name in PLACES else "kitti"))[name]
    people = PLACES.get(name) or [(x, y) for x, y, _ in read.labels.of_kind("Pedestrian").center.tolist()]
    return KittiFrame(read.points, read.image, read.camera, people)
