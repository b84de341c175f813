"""Frames of the KITTI object data set (Geiger et al., CVPR 2012): a LiDAR cloud, a colour image, calibration, labels.

Reads the official folders (``velodyne/``, ``image_2/``, ``calib/``, ``label_2/``) and flat folders that hold
``NAME.bin`` or ``NAME.pcd``, ``NAME.png``, ``NAME.calib.txt`` or ``NAME.calib.json``, and ``NAME.label.txt`` if there is one.
KITTI is CC BY-NC-SA 3.0: nothing of it may be put into this repository.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emgait_ros.lab.datasets.boxes import OrientedBoxes
from emgait_ros.samples import CameraModel, Float32, Float64, Int64, UInt8
from emgait_ros.sensing.conversions import rigid_transform

PCD_TYPES = {("F", 4): "<f4", ("F", 8): "<f8", ("U", 4): "<u4", ("U", 2): "<u2", ("U", 1): "u1", ("I", 4): "<i4"}


@dataclass(frozen=True)
class KittiLabels(OrientedBoxes):
    """The labelled objects of a frame ("DontCare" regions are left out), with what KITTI says of them beside the box.

    Attributes:
        rectangle: (L, 4) float64, px: left, top, right, bottom in the image.
        occlusion: (L,) int64: 0 visible, 1 partly, 2 largely hidden, 3 unknown.
        truncation: (L,) float64, 0..1, part that lies outside the image.
    """

    rectangle: Float64
    occlusion: Int64
    truncation: Float64


@dataclass(frozen=True)
class KittiFrame:
    """One frame.

    Attributes:
        name: its number, "000134".
        points: (N, 3) float32, m, LiDAR frame (x forward, y left, z up).
        intensity: (N,) float32, 0..1.
        image: (H, W, 3) uint8 RGB, rectified.
        camera: its calibration; T_camera_lidar leads to the optical frame of this (left colour) camera.
        labels: None where there is no label file.
        not_labelled: (R, 4) float64, px: left, top, right, bottom of the "DontCare" regions, in which nothing is labelled.
    """

    name: str
    points: Float32
    intensity: Float32
    image: UInt8
    camera: CameraModel
    labels: KittiLabels | None
    not_labelled: Float64 = field(default_factory=lambda: np.zeros((0, 4)))


class KittiFrames:
    """The frames of a folder, in order of their numbers: ``len()``, indexing by position or by name, iteration.

    Args:
        folder: with the official folders, or flat.
        need_images: False: a frame whose image is missing gets a black one, twice as large as the calibration's
            principal point says.

    Raises:
        FileNotFoundError: the folder is not there or holds no frame; a file of a frame is missing (on access).
        ValueError: a file cannot be read (on access); the sentence names it.
    """

    def __init__(self, folder: str | Path, need_images: bool = True) -> None:
        self.folder = Path(folder).expanduser()
        self._need_images = need_images
        self._official = (self.folder / "velodyne").is_dir()
        clouds = self.folder / "velodyne" if self._official else self.folder
        files = [file for file in clouds.glob("*.*") if file.suffix in (".bin", ".pcd")]
        if not files:
            raise FileNotFoundError(
                f"{self.folder} holds no KITTI frame: expected velodyne/, image_2/ and calib/, or NAME.bin (or .pcd) with NAME.png and NAME.calib.txt (or .json)"
            )
        self._clouds = {file.stem: file for file in sorted(files)}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all frames."""
        return tuple(self._clouds)

    def __len__(self) -> int:
        return len(self._clouds)

    def __getitem__(self, which: int | str) -> KittiFrame:
        name = self.names[which] if isinstance(which, int) else which
        if name not in self._clouds:
            raise ValueError(f"{self.folder} has no frame '{name}': its frames are {', '.join(self.names[:20])}")
        points, intensity = _read_cloud(self._clouds[name])
        calibration = self._file(name, "calib", ".txt" if self._official else ".calib.txt", ".calib.json")
        K, T_camera_lidar, T_rectified_lidar = _read_calibration(calibration)
        image = self._image(name, K)
        camera = CameraModel(image.shape[1], image.shape[0], K, np.empty(0), "plumb_bob", T_camera_lidar)
        label_file = self.folder / "label_2" / f"{name}.txt" if self._official else self.folder / f"{name}.label.txt"
        frame = KittiFrame(name, points, intensity, image, camera, None)
        return replace(frame, **_read_labels(label_file, T_rectified_lidar)) if label_file.is_file() else frame

    def _image(self, name: str, K: Float64) -> UInt8:
        try:
            file = self._file(name, "image_2", ".png")
        except FileNotFoundError:
            if self._need_images:
                raise
            return np.zeros((round(2 * K[1, 2]), round(2 * K[0, 2]), 3), np.uint8)
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{file} is no picture that can be read")
        return np.ascontiguousarray(image[:, :, ::-1], np.uint8)

    def _file(self, name: str, official_folder: str, *endings: str) -> Path:
        folder = self.folder / official_folder if self._official else self.folder
        files = [folder / f"{name}{ending}" for ending in endings]
        for file in files:
            if file.is_file():
                return file
        raise FileNotFoundError(f"frame {name} is incomplete: there is no {' or '.join(map(str, files))}")


def _read_cloud(file: Path) -> tuple[Float32, Float32]:
    """Finite points (N, 3) and their intensities (N,)."""
    points, intensity = _read_pcd(file) if file.suffix == ".pcd" else _read_bin(file)
    finite = np.isfinite(points).all(axis=1)
    return np.ascontiguousarray(points[finite]), np.ascontiguousarray(intensity[finite])


def _read_bin(file: Path) -> tuple[Float32, Float32]:
    size = file.stat().st_size
    if size % 16:
        raise ValueError(
            f"{file} has {size} bytes: expected four float32 (x, y, z, intensity) a point, a multiple of 16"
        )
    values = np.fromfile(file, "<f4").reshape(-1, 4)
    return values[:, :3], values[:, 3]


def _read_pcd(file: Path) -> tuple[Float32, Float32]:
    """A binary PCD file; "intensity", or the brightness of a packed "rgb" field, which some converters use for it."""
    content = file.read_bytes()
    header: dict[str, list[str]] = {}
    start = 0
    while "DATA" not in header:
        end = content.find(b"\n", start)
        if end < 0 or end > 4096:
            raise ValueError(f"{file} is no PCD file: it has no DATA line")
        words = content[start:end].decode("ascii", errors="replace").split()
        start = end + 1
        if words and not words[0].startswith("#"):
            header[words[0]] = words[1:]
    if header["DATA"] != ["binary"]:
        raise ValueError(f"{file} holds its points as '{' '.join(header['DATA'])}': expected binary")
    try:
        types = [PCD_TYPES[kind, int(size)] for kind, size in zip(header["TYPE"], header["SIZE"], strict=True)]
        counts = [int(count) for count in header.get("COUNT", ["1"] * len(types))]
        layout = np.dtype(
            [
                (name, kind, (count,)) if count > 1 else (name, kind)
                for name, kind, count in zip(header["FIELDS"], types, counts, strict=True)
            ]
        )
        values = np.frombuffer(content, layout, int(header["POINTS"][0]), start)
        points = np.stack([values[axis] for axis in "xyz"], axis=1).astype(np.float32)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{file} is a damaged PCD file, or one without float x, y, z: {error}") from error
    if "intensity" in header["FIELDS"]:
        return points, values["intensity"].astype(np.float32)
    if "rgb" in header["FIELDS"]:
        packed = np.ascontiguousarray(values["rgb"]).view(np.uint8).reshape(-1, 4)  # b, g, r, unused
        return points, packed[:, :3].max(axis=1).astype(np.float32) / 255.0
    return points, np.zeros(len(points), np.float32)


def _read_calibration(file: Path) -> tuple[Float64, Float64, Float64]:
    """K (3, 3) px, T_camera_lidar (4, 4), and the (4, 4) transform into the frame that labels are given in."""
    try:
        if file.suffix == ".json":
            values = json.loads(file.read_text(encoding="utf-8"))
            K = np.array(values["intrinsic_3x3"], np.float64).reshape(3, 3)
            T = _homogeneous(np.array(values["extrinsic_lidar_to_camera_3x4"], np.float64).reshape(3, 4))
            return K, rigid_transform(T, f"{file}: extrinsic"), T
        lines = (line.split(":", 1) for line in file.read_text(encoding="utf-8").splitlines() if ":" in line)
        rows = {key.strip(): np.array(numbers.split(), np.float64) for key, numbers in lines}
        P = rows["P2"].reshape(3, 4)
        T_rectified_lidar = _homogeneous(rows["R0_rect"].reshape(3, 3)) @ _homogeneous(
            rows["Tr_velo_to_cam"].reshape(3, 4)
        )
    except KeyError as error:
        raise ValueError(f"{file} has no {error}: expected KITTI's calibration of one frame") from error
    except ValueError as error:
        raise ValueError(f"{file} is a damaged calibration file: {error}") from error
    # P2 projects from the rectified frame of the left grey camera: its last column says where the colour camera sits.
    T_camera_rectified = np.eye(4)
    T_camera_rectified[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    return (
        P[:, :3],
        rigid_transform(T_camera_rectified @ T_rectified_lidar, f"{file}: Tr_velo_to_cam"),
        T_rectified_lidar,
    )


def _homogeneous(rows: Float64) -> Float64:
    matrix = np.eye(4)
    matrix[:3, : rows.shape[1]] = rows
    return matrix


def _read_labels(file: Path, T_rectified_lidar: Float64) -> dict[str, Any]:
    """``labels`` and ``not_labelled`` of a frame."""
    rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    try:
        numbers = np.array([row[1:15] for row in rows], np.float64).reshape(len(rows), 14)
    except ValueError as error:
        raise ValueError(f"{file} is a damaged label file: expected a kind and 14 numbers a line ({error})") from error
    kind = np.array([row[0] for row in rows], dtype=np.str_)
    not_labelled = numbers[kind == "DontCare", 3:7]
    kind, numbers = kind[kind != "DontCare"], numbers[kind != "DontCare"]
    height, width, length = numbers[:, 7], numbers[:, 8], numbers[:, 9]
    # KITTI's place of a box is the middle of its bottom, in a frame whose y points down.
    middle = numbers[:, 10:13] - np.stack([np.zeros(len(kind)), height / 2, np.zeros(len(kind))], axis=1)
    T_lidar_rectified = np.linalg.inv(T_rectified_lidar)
    heading = (
        np.stack([np.cos(numbers[:, 13]), np.zeros(len(kind)), -np.sin(numbers[:, 13])], axis=1)
        @ T_lidar_rectified[:3, :3].T
    )
    labels = KittiLabels(
        kind=kind,
        center=middle @ T_lidar_rectified[:3, :3].T + T_lidar_rectified[:3, 3],
        size=np.stack([length, width, height], axis=1),
        yaw=np.arctan2(heading[:, 1], heading[:, 0]),
        rectangle=numbers[:, 3:7],
        occlusion=numbers[:, 1].astype(np.int64),
        truncation=numbers[:, 0],
    )
    return {"labels": labels, "not_labelled": not_labelled}
