"""Small trees in the exact layouts of the released data sets, filled with simulated walks."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emgait_ros.lab.simulation.walks import generate_walk
from emgait_ros.samples import Sample

FRAMES = 6
SUSTECH1K_KINDS = ("00-nm", "01-nm", "01-bg", "02-cl-nt")


def walk(identity: int, number: int, range_m: float, view_deg: float, condition: str = "normal") -> list[Sample]:
    """Samples of one walk; points still in the LiDAR frame."""
    return generate_walk(identity, number, range_m, view_deg, FRAMES, condition=condition)


def dump(values: Any, path: Path) -> None:
    """A pickle as the data sets' own tools write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pickle.dump(values, file)


def clouds_of(samples: list[Sample]) -> list[np.ndarray]:
    """Distinct returns of each frame, as many as there were."""
    return [np.unique(np.asarray(s.points, np.float64), axis=0) for s in samples]


def write_sustech1k(root: Path, identities: tuple[int, ...] = (0, 3), views: tuple[str, ...] = ("000", "090")) -> Path:
    """Identity / number-covariates / view / NN-sync-view-modality.pkl."""
    for identity in identities:
        for number, kind in enumerate(SUSTECH1K_KINDS):
            for view in views:
                samples = walk(identity, number, 10.0, float(view[:3]))
                folder = root / f"{identity:04d}" / kind / view
                clouds = clouds_of(samples)
                crops = [np.asarray(s.crop) for s in samples]
                squares = np.asarray([cv2.resize(c, (64, 64), interpolation=cv2.INTER_CUBIC) for c in crops])
                dump(clouds, folder / f"00-{view}-LiDAR-PCDs.pkl")  # 10 Hz, not synchronised: must not be read
                dump(clouds, folder / f"08-sync-{view}-LiDAR-PCDs.pkl")
                dump(np.asarray([c.shape[:2] for c in crops]), folder / f"12-sync-{view}-Camera-Ratios-HW.pkl")
                dump(squares, folder / f"13-sync-{view}-Camera-RGB_raw.pkl")
    return root


def write_freegait(root: Path, identities: tuple[int, ...] = (1, 7), rearranged: bool = False) -> Path:
    """Identity / device / sequence / modality(/modality).pkl."""
    for identity in identities:
        for number, (device, sequence) in enumerate((("devid_1", "seq_00_new"), ("devid_3", "seq_01_new"))):
            samples = walk(identity, number, 12.0, 40.0 + 100 * number)
            folder = root / f"{identity:04d}" / device / sequence
            for name, values in (("lidar", clouds_of(samples)), ("image", [np.asarray(s.crop) for s in samples])):
                dump(values, folder / f"{name}.pkl" if rearranged else folder / name / f"{name}.pkl")
    return root


def write_lrgait(root: Path, identities: tuple[int, ...] = (1, 2)) -> Path:
    """Identity / light-distance / condition-number / view / lidar, rgb."""
    places = (("D-10", "nm-00"), ("D-20", "nm-00"), ("D-50", "cl-00"), ("N-20", "nm-00"))
    for identity in identities:
        for number, (place, kind) in enumerate(places):
            for view in ("000", "090"):
                condition = "night" if place[0] == "N" else "normal"
                samples = walk(identity, number, float(place[2:]), float(view), condition)
                folder = root / f"{identity:04d}" / place / kind / view
                for name in ("lidar", "rgb"):
                    (folder / name).mkdir(parents=True, exist_ok=True)
                for frame, sample in enumerate(samples):
                    np.save(folder / "lidar" / f"{frame:06d}.npy", np.asarray(sample.points, np.float32))
                    cv2.imwrite(str(folder / "rgb" / f"{frame:06d}.png"), np.asarray(sample.crop)[..., ::-1])
    return root
