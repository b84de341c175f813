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
                masks = np.asarray([np.asarray(s.silhouette) for s in samples])
                dump(masks, folder / f"14-sync-{view}-Camera-Sils.pkl")
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


def write_mmgait(root: Path, identities: tuple[int, ...] = (1, 2), views: tuple[str, ...] = ("000", "090")) -> Path:
    """Identity / condition-number / view / modality.pkl; the camera is twice as fast as the LiDAR."""
    for identity in identities:
        for number, kind in enumerate(("NM-01", "NM-02", "BG-01", "CL-01")):
            for view in views:
                samples, folder = walk(identity, number, 10.0, float(view)), root / f"{identity:04d}" / kind / view
                crops = [cv2.resize(np.asarray(s.crop), (64, 64)) for s in samples]
                masks = [cv2.resize(np.asarray(s.silhouette), (64, 64)) for s in samples]
                dump(clouds_of(samples), folder / "lidar_points.pkl")
                dump(np.repeat(np.moveaxis(np.stack(crops), -1, 1), 2, axis=0), folder / "rgb.pkl")
                dump(np.repeat(np.stack(masks), 2, axis=0), folder / "rgb_sils.pkl")
                dump(np.zeros((FRAMES, 10, 3)), folder / "radar4d.pkl")  # not read
    return root


LREID_LIDARS = (1, 2, 3, 4)


def lreid_pass(identity: int, lidar: int, frames: int = 45, returns: int = 80) -> list[np.ndarray]:
    """Clouds (N, 4) float32 x, y, z, intensity of an upright body that walks; people differ in stature and speed."""
    rng = np.random.default_rng((identity, lidar))
    stature, speed = 1.5 + 0.06 * (identity % 10), 0.9 + 0.1 * (identity % 10)
    clouds = []
    for frame in range(frames):
        around, part = rng.uniform(-np.pi / 2, np.pi / 2, returns), rng.uniform(0, 1, returns)
        part[:2] = 0, 1
        x = 9 + speed * frame / 10 + 0.2 * np.cos(around)
        y = 2 * lidar + 0.2 * np.sin(around)
        clouds.append(
            np.stack([x, y, -1.10 + part * (stature - 0.05), rng.uniform(0, 1, returns)], 1).astype(np.float32)
        )
    return clouds


def write_lreid_compact(root: Path, seen: dict[int, tuple[int, ...]], frames: int = 45) -> Path:
    """``train.npz`` of people and the LiDARs that saw them."""
    root.mkdir(parents=True, exist_ok=True)
    walks = [(person, lidar, lreid_pass(person, lidar, frames)) for person, lidars in seen.items() for lidar in lidars]
    clouds = [cloud[:, :3] for _, _, walk in walks for cloud in walk]
    centre = np.array([cloud.mean(axis=0) for cloud in clouds], np.float32)
    shifted = np.concatenate([cloud - middle for cloud, middle in zip(clouds, centre, strict=True)])
    np.savez(
        root / "train.npz",
        id=np.array([person for person, _, _ in walks], np.int16),
        cam=np.array([lidar for _, lidar, _ in walks], np.uint8),
        frames=np.array([len(walk) for _, _, walk in walks], np.int16),
        points=np.array([len(cloud) for cloud in clouds], np.int16),
        centre=centre,
        xyz_mm=np.rint(1000 * shifted).astype(np.int16),
    )
    return root


def write_lreid_tree(root: Path, train: dict[int, tuple[int, ...]], test: dict[int, tuple[int, ...]]) -> Path:
    """The released tree: passes of ``bbox_train`` in two tracklets of 30 frames that overlap by half, one track a LiDAR in ``bbox_test``."""
    rows: list[str] = []
    names: list[str] = []
    for part, people in (("train", train), ("test", test)):
        (root / f"bbox_{part}").mkdir(parents=True)
        for person, lidars in people.items():
            folder = root / f"bbox_{part}" / f"{person:04d}"
            folder.mkdir()
            for lidar in lidars:
                clouds = lreid_pass(person, lidar)
                for tracklet, first in enumerate((0, 15) if part == "train" else (0,)):
                    for frame in range(30):
                        path = folder / f"{person:04d}C{lidar}T{tracklet:04d}F{frame:03d}.bin"
                        sample = clouds[first + frame][
                            10 * tracklet : 70 + 10 * tracklet
                        ]  # other returns of the same cloud
                        path.write_bytes(sample.tobytes())
                        names += [path.name] if part == "test" else []
                if part == "test":
                    rows.append(f"{len(names) - 30} {len(names) - 1} {person} {lidar}")
    info = root / "info"
    info.mkdir()
    (info / "test_name.txt").write_text("\n".join(names))
    (info / "tracks_test_info.txt").write_text("\n".join(rows))
    (info / "query_IDX.txt").write_text("\n".join(str(row) for row, text in enumerate(rows) if text.endswith(" 4")))
    return root
