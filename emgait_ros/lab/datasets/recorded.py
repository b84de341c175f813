"""Recorded gait data sets as folders of sequences: what SUSTech1K, FreeGait and LRGait have in common.

A sequence is a list of point clouds cut to one pedestrian, LiDAR frame (z up, m), 10 Hz, and for each an RGB crop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from emgait_ros.inference.preprocessing import LidarViews, Preprocessing, points_where, resample
from emgait_ros.inference.representations import normalized_silhouettes
from emgait_ros.inference.segmenter import Segmenter
from emgait_ros.inference.steady_box import steady_ground, steady_height
from emgait_ros.lab.datasets.sequences import Sequence, place_of
from emgait_ros.samples import Bool, Float32, Float64, Int64, UInt8

RATE_HZ = 10.0
SMOOTHING_FRAMES = 5  # a velocity is the slope over this many frames to either side
MIN_FRAMES = 2  # a single frame holds no gait


@dataclass(frozen=True)
class Entry:
    """Where one sequence lies and what its path says of it.

    Attributes:
        path: its folder.
        identity: name of the person.
        kind: what the data set calls its kind, e.g. "01-bg".
        view: name of the view; equal names are identical views.
        view_deg, range_m: as far as the path tells; NaN range: measured from the points.
    """

    path: Path
    identity: str
    kind: str
    view: str
    view_deg: float = 0.0
    range_m: float = float("nan")


@dataclass(frozen=True)
class RawSequence:
    """T clouds (N_i, 3) float32, T images (H, W, 3) uint8 RGB or None where there is none, and T masks (H, W) uint8 likewise.

    ``silhouettes`` is None where the set brings none.
    """

    clouds: list[Float32]
    images: list[UInt8 | None]
    silhouettes: list[UInt8 | None] | None = None


class RecordedSet:
    """A data set on disk; sequences are read when they are asked for.

    Args:
        root: its folder.
        preprocessing: what the network takes.
        identities: names to keep; None: all.

    Raises:
        ValueError: no sequence is found; the sentence says what was looked for.

    Attributes:
        entries: S sequences in the order of their paths.
        identity: (S,) int64 numbers of the people, in the order of their names (``names``).
        walk: (S,) int64 number of each sequence's kind (``kinds``).
        segmenter: makes silhouettes of the images where the set brings none; None: nothing does.
        view: (S,) str; view_deg: (S,) float32; range_m: (S,) float32; condition: (S,) str, the kind.
    """

    name = ""
    layout = ""  # what the folder must look like, for error messages
    has_images = True

    def __init__(self, root: str | Path, preprocessing: Preprocessing, identities: Iterable[str] | None = None) -> None:
        self.root, self.preprocessing = Path(root), preprocessing
        self.segmenter: Segmenter | None = None
        if not self.root.is_dir():
            raise FileNotFoundError(f"{root} is missing: give the folder of {self.name}")
        wanted = None if identities is None else set(identities)
        self.entries = [e for e in self.scan(self.root) if wanted is None or e.identity in wanted]
        if not self.entries:
            raise ValueError(
                f"{root} holds no sequence of {self.name}{'' if wanted is None else ' of the wanted identities'}: expected {self.layout}"
            )
        self.names, number = np.unique([e.identity for e in self.entries], return_inverse=True)
        self.kinds, kind = np.unique([e.kind for e in self.entries], return_inverse=True)
        self.identity, self.walk = number.astype(np.int64), kind.astype(np.int64)
        self.condition = np.array([e.kind for e in self.entries])
        self.view = np.array([e.view for e in self.entries])
        self.view_deg = np.array([e.view_deg for e in self.entries], np.float32)
        self.range_m = np.array([e.range_m for e in self.entries], np.float32)

    def scan(self, root: Path) -> Iterator[Entry]:
        """Every sequence of the folder, by paths alone."""
        raise NotImplementedError

    def read(self, entry: Entry) -> RawSequence:
        """One sequence; ValueError or FileNotFoundError names the file that is wrong."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, sequence: int) -> Sequence:
        number = place_of(sequence, len(self))
        entry = self.entries[number]
        raw = self.read(entry)
        if len(raw.clouds) < MIN_FRAMES:
            raise ValueError(f"{entry.path} has {len(raw.clouds)} frames: a gait needs at least {MIN_FRAMES}")
        points, count, distance, views = prepared_clouds(raw.clouds, self.preprocessing)
        crops, has_image = prepared_crops(raw.images, self.preprocessing)
        silhouettes = self._silhouettes(entry, raw, views)
        return Sequence(
            identity=int(self.identity[number]),
            walk=int(self.walk[number]),
            view_deg=float(self.view_deg[number]),
            range_m=distance if np.isnan(entry.range_m) else entry.range_m,
            condition=entry.kind,
            crops=crops,
            points=points,
            point_count=count,
            has_image=has_image,
            has_points=count > 0,
            silhouettes=silhouettes,
            has_silhouette=np.asarray(silhouettes.any(axis=(1, 2)), bool),
            depth_maps=views.depth_maps,
        )

    def _silhouettes(self, entry: Entry, raw: RawSequence, views: LidarViews) -> UInt8:
        """(T, h, w): what the set brings, else the segmenter's masks of the images; zeros where there is neither."""
        made = self.preprocessing
        if not made.silhouettes or made.silhouette_source == "points":
            return views.silhouettes
        masks = raw.silhouettes
        if masks is None and self.segmenter is not None:
            masks = [None if image is None else self.segmenter.masks([image])[0] for image in raw.images]
        if masks is None or not any(mask is not None for mask in masks):
            raise ValueError(
                f"{entry.path} holds no silhouettes, and the network looks at them: {self.name} brings some only with its camera files; "
                "name a segmenter for its images, or take a network that looks at points"
            )
        found = np.zeros((len(masks), made.silhouette_height, made.silhouette_width), np.uint8)
        for row, mask in enumerate(masks):
            if mask is not None:
                found[row] = normalized_silhouettes(mask[None], made.silhouette_height, made.silhouette_width)[0]
        return found


def prepared_clouds(clouds: list[Float32], preprocessing: Preprocessing) -> tuple[Float32, Int64, float, LidarViews]:
    """Clouds of one walk as the network takes them: points (T, N, 3 or 7), returns (T,), median range in m, pictures.

    The ground lies under the lowest returns and the box ends at the highest, both as far as the walk has got; the heading
    follows from the way of the centre.
    """
    count = np.array([len(cloud) for cloud in clouds], np.int64)
    seen = np.flatnonzero(count)
    if not len(seen):
        nothing = np.zeros((0, 3))
        points, views = points_where(
            count > 0, np.zeros((0, 0, 3), np.float32), nothing, nothing, nothing, preprocessing
        )
        return points, count, float("nan"), views
    centre = np.array([clouds[i].mean(axis=0) for i in seen], np.float64)
    fixed = np.stack([resample(clouds[i], preprocessing.points) for i in seen])
    ground = steady_ground(np.array([clouds[i][:, 2].min() for i in seen], np.float64))
    height = steady_height(fixed[:, :, 2].max(axis=1).astype(np.float64) - ground)
    size = np.stack([np.full(len(seen), 0.7), np.full(len(seen), 0.7), height], axis=1)
    box = np.column_stack([centre[:, :2], ground + size[:, 2] / 2])
    points, views = points_where(count > 0, fixed, box, size, velocities(centre, seen / RATE_HZ), preprocessing)
    return points, count, float(np.median(np.hypot(centre[:, 0], centre[:, 1]))), views


def velocities(centre: Float64, time_s: Float64) -> Float64:
    """(T, 3) m/s along the ground: the slope of a line through the neighbouring centres (T, 3)."""
    found = np.zeros_like(centre)
    for row in range(len(centre)):
        near = slice(max(0, row - SMOOTHING_FRAMES), row + SMOOTHING_FRAMES + 1)
        time = time_s[near] - time_s[near].mean()
        if np.square(time).sum() > 0:
            found[row, :2] = time @ (centre[near, :2] - centre[near, :2].mean(axis=0)) / np.square(time).sum()
    return found


def prepared_crops(images: list[UInt8 | None], preprocessing: Preprocessing) -> tuple[UInt8, Bool]:
    """Crops (T, H, W, 3) and which frames have one; proportions are kept, sides are cut or filled with their edge."""
    height, width = preprocessing.crop_height, preprocessing.crop_width
    crops = np.zeros((len(images), height, width, 3), np.uint8)
    for row, image in enumerate(images):
        if image is not None:
            crops[row] = fitted(image, height, width)
    return crops, np.array([image is not None for image in images], bool)


def fitted(image: UInt8, height: int, width: int) -> UInt8:
    """An image (h, w, 3) at ``height``, cut or filled at the sides to ``width``."""
    scaled = max(1, round(image.shape[1] * height / image.shape[0]))
    flags = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(image, (scaled, height), interpolation=flags), np.uint8)
    spare = scaled - width
    if spare >= 0:
        return image[:, spare // 2 : spare // 2 + width]
    left = -spare // 2
    return np.asarray(cv2.copyMakeBorder(image, 0, 0, left, -spare - left, cv2.BORDER_REPLICATE), np.uint8)


def as_clouds(values: Any, path: Path) -> list[Float32]:
    """The clouds of a file: a list or array of (N, 3 or more); points that are not finite are left out."""
    if not isinstance(values, (list, tuple, np.ndarray)):
        raise ValueError(f"{path} holds {type(values).__name__}: expected a list of point clouds")
    clouds = []
    for number, cloud in enumerate(values):
        try:
            cloud = np.asarray(cloud, np.float32)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: cloud {number} does not hold numbers") from error
        if cloud.size == 0:
            cloud = cloud.reshape(0, 3)
        if cloud.ndim != 2 or cloud.shape[1] < 3:
            raise ValueError(f"{path}: cloud {number} has shape {cloud.shape}: expected (points, 3)")
        clouds.append(np.ascontiguousarray(cloud[np.isfinite(cloud[:, :3]).all(axis=1), :3]))
    return clouds


def as_images(values: Any, path: Path) -> list[UInt8 | None]:
    """The images of a file: RGB (h, w, 3) or (3, h, w), or grey (h, w), which becomes three equal channels."""
    if not isinstance(values, (list, tuple, np.ndarray)):
        raise ValueError(f"{path} holds {type(values).__name__}: expected a list of images")
    images: list[UInt8 | None] = []
    for number, image in enumerate(values):
        try:
            image = np.asarray(image)
            if image.dtype != np.uint8:
                scale = 255.0 if image.dtype.kind == "f" and image.size and image.max() <= 1.0 else 1.0
                image = np.clip(image.astype(np.float32) * scale, 0, 255).astype(np.uint8)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: image {number} does not hold numbers") from error
        if image.ndim == 3 and image.shape[0] == 3 and image.shape[2] != 3:
            image = np.moveaxis(image, 0, -1)
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 2:
            raise ValueError(f"{path}: image {number} has shape {image.shape}: expected (height, width, 3) RGB")
        images.append(np.ascontiguousarray(image))
    return images


def as_silhouettes(values: Any, path: Path) -> list[UInt8 | None]:
    """The silhouettes of a file: (h, w) masks of any size, 0 and 255, 0 and 1 or shares; an empty one is None.

    Raises:
        ValueError: another form; the sentence names file and number.
    """
    found: list[UInt8 | None] = []
    for number, image in enumerate(as_images(values, path)):
        if image is None or not (image == image[..., :1]).all():
            raise ValueError(f"{path}: silhouette {number} is coloured: expected a mask (height, width)")
        mask = image[..., 0]
        mask = mask * np.uint8(255) if mask.max(initial=0) == 1 else mask
        found.append(np.ascontiguousarray(mask) if mask.any() else None)
    return found


ANY_NAME = re.compile(r"(?s).*")


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, in the order of their names; hidden ones left out."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def nested(root: Path, *patterns: re.Pattern[str]) -> Iterator[list[Path]]:
    """The folders below a root, outermost first, whose names fit a pattern at every level; others are passed over."""
    for folder in subfolders(root) if patterns else ():
        if not patterns[0].fullmatch(folder.name):
            continue
        if len(patterns) == 1:
            yield [folder]
        else:
            yield from ([folder, *inner] for inner in nested(folder, *patterns[1:]))
