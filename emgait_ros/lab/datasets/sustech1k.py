"""SUSTech1K as released: the pickle tree, of which the files synchronised to the LiDAR's 10 Hz are read.

SUSTech1K-Released-pkl/0000/01-bg/045/08-sync-045-LiDAR-PCDs.pkl        T clouds (N_i, 3), m, LiDAR frame
                                      12-sync-045-Camera-Ratios-HW.pkl  (T, 2) height and width of the images, px
                                      13-sync-045-Camera-RGB_raw.pkl    (T, 64, 64, 3) RGB, squeezed to a square
                                      NN-sync-045-Camera-Sils.pkl       (T, h, w) silhouettes; read when they are asked for
       identity / number-covariates / view
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from emgait_ros.lab.datasets.numpy_pickle import load_numpy_pickle
from emgait_ros.lab.datasets.recorded import (
    Entry,
    RawSequence,
    RecordedSet,
    as_clouds,
    as_images,
    as_silhouettes,
    nested,
)
from emgait_ros.samples import UInt8

IDENTITY, KIND, VIEW = re.compile(r"\d{4}"), re.compile(r"\d{2}-[a-z]{2}.*"), re.compile(r"(\d{3})(-near|-far)?")
VIEWS = (
    "000", "000-far", "045", "090", "090-near", "135", "180", "180-far", "225", "270", "270-far", "315",
)  # fmt: skip
POINTS, SIZES, IMAGES, SILHOUETTES = "LiDAR-PCDs", "Camera-Ratios-HW", "Camera-RGB_raw", "Camera-Sils*"


class Sustech1k(RecordedSet):
    """The whole tree, or the people of a partition; ``kind`` is the folder's name, e.g. "00-nm" (see ``RecordedSet``)."""

    name = "SUSTech1K"
    layout = "0000/00-nm/000/08-sync-000-LiDAR-PCDs.pkl (identity/number-covariates/view)"

    def scan(self, root: Path) -> Iterator[Entry]:
        """Identity, kind and view folders; folders of other names are passed over."""
        for person, kind, view in nested(root, IDENTITY, KIND, VIEW):
            yield Entry(view, person.name, kind.name, view.name, float(view.name[:3]))

    def read(self, entry: Entry) -> RawSequence:
        """Clouds and images; a sequence without images is read as points alone."""
        clouds_path = _file(entry.path, POINTS)
        if clouds_path is None:
            raise FileNotFoundError(f"{entry.path} has no file NN-sync-{entry.view}-{POINTS}.pkl")
        clouds = as_clouds(load_numpy_pickle(clouds_path), clouds_path)
        silhouettes = self._masks(entry, len(clouds))
        images_path = _file(entry.path, IMAGES)
        if images_path is None:
            return RawSequence(clouds, [None] * len(clouds), silhouettes)
        images = as_images(load_numpy_pickle(images_path), images_path)
        if len(images) != len(clouds):
            raise ValueError(f"{images_path} has {len(images)} images, {clouds_path.name} {len(clouds)} clouds")
        sizes_path = _file(entry.path, SIZES)
        return RawSequence(clouds, images if sizes_path is None else _unsqueezed(images, sizes_path), silhouettes)

    def _masks(self, entry: Entry, frames: int) -> list[UInt8 | None] | None:
        path = _file(entry.path, SILHOUETTES) if self.preprocessing.silhouettes else None
        if path is None:
            return None
        masks = as_silhouettes(load_numpy_pickle(path), path)
        if len(masks) != frames:
            raise ValueError(f"{path} has {len(masks)} silhouettes, the sequence {frames} clouds")
        return masks


def _file(folder: Path, modality: str) -> Path | None:
    """The synchronised file of a modality; its number is not relied upon."""
    found = sorted(folder.glob(f"[0-9][0-9]-sync-*-{modality}.pkl"))
    return found[0] if found else None


def _unsqueezed(images: list[UInt8 | None], path: Path) -> list[UInt8 | None]:
    """Images with their own proportions again, at the height they were stored with."""
    try:
        sizes = np.asarray(load_numpy_pickle(path), np.float64).reshape(-1, 2)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if len(sizes) != len(images) or not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise ValueError(f"{path} has shape {sizes.shape}: expected height and width of {len(images)} images")
    restored: list[UInt8 | None] = []
    for image, (height, width) in zip(images, sizes, strict=True):
        if image is None:
            restored.append(None)
            continue
        wide = max(2, round(image.shape[0] * width / height))
        restored.append(np.asarray(cv2.resize(image, (wide, image.shape[0]), interpolation=cv2.INTER_AREA), np.uint8))
    return restored
