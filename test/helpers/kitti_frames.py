"""The real frames of the shared data folder in our conventions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from emgait_ros.samples import CameraModel
from emgait_ros.sensing.perception.camera import project

FRAMES = {"000000": 1, "000001": 0, "000134": 7, "000070": 1, "000074": 3}  # pedestrians looked for
PLACES = {
    "000070": [(7.2, 0.3)],
    "000074": [(6.7, -1.2), (6.6, -1.9), (8.1, -4.0)],
}  # unlabelled frames, read off by eye


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
    if name in PLACES:
        return _load_scene(folder / "kitti_scenes", name)
    folder = folder / "kitti"
    points = np.fromfile(folder / f"{name}.bin", np.float32).reshape(-1, 4)[:, :3].copy()
    lines = (line.split(":") for line in (folder / f"{name}.calib.txt").read_text().splitlines() if ":" in line)
    values = {key: np.array(numbers.split(), float) for key, numbers in lines}
    P2, T = values["P2"].reshape(3, 4), np.eye(4)
    T[:3] = values["Tr_velo_to_cam"].reshape(3, 4)
    turn, shift = np.eye(4), np.eye(4)
    turn[:3, :3] = values["R0_rect"].reshape(3, 3)
    shift[:3, 3] = np.linalg.inv(P2[:, :3]) @ P2[:, 3]
    people = []
    for line in (folder / f"{name}.label.txt").read_text().splitlines():
        word = line.split()
        if word[0] == "Pedestrian":
            x, y, _, _ = np.linalg.inv(turn @ T) @ [*map(float, word[11:14]), 1.0]
            people.append((float(x), float(y)))
    return _frame(points, folder / f"{name}.png", P2[:, :3], shift @ turn @ T, people)


def _load_scene(folder: Path, name: str) -> KittiFrame:
    raw = (folder / f"{name}.pcd").read_bytes()
    begin = raw.index(b"DATA binary\n") + 12
    points = np.frombuffer(raw[begin:], np.float32).reshape(-1, 4)[:, :3].copy()
    calibration = json.loads((folder / f"{name}.calib.json").read_text())
    T = np.eye(4)
    T[:3] = np.array(calibration["extrinsic_lidar_to_camera_3x4"]).reshape(3, 4)
    K = np.array(calibration["intrinsic_3x3"], float).reshape(3, 3)
    return _frame(points, folder / f"{name}.png", K, T, PLACES[name])


def _frame(
    points: np.ndarray, picture: Path, K: np.ndarray, T: np.ndarray, people: list[tuple[float, float]]
) -> KittiFrame:
    image = np.ascontiguousarray(cv2.imread(str(picture))[:, :, ::-1])
    camera = CameraModel(image.shape[1], image.shape[0], K, np.zeros(0), "plumb_bob", T)
    return KittiFrame(points, image, camera, people)
