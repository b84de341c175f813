"""MMGait (CVPR 2026) in the layout its README and loader describe; no released file was at hand.

MMGait/0001/NM-01/VIEW/lidar_points.pkl   T clouds (N_i, 3 or more), m
                      /rgb.pkl            images (3, 64, 64) or (64, 64, 3); may be absent
                      /rgb_sils.pkl       silhouettes (64, 64); read when they are asked for
       identity / condition-number / view

Ten further modalities (radar, infrared, depth, events, poses) lie beside them and are not read. The camera need not be as fast as the LiDAR: the
picture of a cloud is the one as far into its sequence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from emgait_ros.lab.datasets.numpy_pickle import load_numpy_pickle
from emgait_ros.lab.datasets.recorded import (
    ANY_NAME,
    Entry,
    RawSequence,
    RecordedSet,
    as_clouds,
    as_images,
    as_silhouettes,
    nested,
)
from emgait_ros.samples import UInt8

IDENTITY, KIND = re.compile(r"\d{4}"), re.compile(r"(NM|BG|CL)-\d{2}")
EMPTY_BYTES = 10  # the set's own loader takes a file of so few for a modality that is missing
Picture = TypeVar("Picture")


class MMGait(RecordedSet):
    """The whole tree, or the people of a partition; ``kind`` is "NM-01", "NM-02", "BG-01" or "CL-01" (see ``RecordedSet``)."""

    name = "MMGait"
    layout = "0001/NM-01/VIEW/lidar_points.pkl (identity/condition-number/view)"

    def scan(self, root: Path) -> Iterator[Entry]:
        """Identity, kind and view folders; folders of other names are passed over."""
        for person, kind, view in nested(root, IDENTITY, KIND, ANY_NAME):
            degrees = float(view.name) % 360 if view.name.isdigit() and len(view.name) == 3 else 0.0
            yield Entry(view, person.name, kind.name, view.name, degrees)

    def read(self, entry: Entry) -> RawSequence:
        """Clouds, and images and silhouettes where they are there."""
        path = entry.path / "lidar_points.pkl"
        if not _is_there(path):
            raise FileNotFoundError(f"{path} is missing or empty: a sequence without LiDAR is not read")
        clouds = as_clouds(load_numpy_pickle(path), path)
        frames = len(clouds)
        pictures, silhouettes = entry.path / "rgb.pkl", entry.path / "rgb_sils.pkl"
        images: list[UInt8 | None] = [None]
        if _is_there(pictures):
            images = as_images(load_numpy_pickle(pictures), pictures)
        masks = None
        if self.preprocessing.silhouettes and _is_there(silhouettes):
            masks = _spread(as_silhouettes(load_numpy_pickle(silhouettes), silhouettes), frames, silhouettes)
        return RawSequence(clouds, _spread(images, frames, pictures), masks)


def _is_there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > EMPTY_BYTES


def _spread(pictures: list[Picture], frames: int, path: Path) -> list[Picture]:
    """One picture for each of the frames: that as far into the sequence."""
    if not pictures:
        raise ValueError(f"{path} holds no picture: expected those of {frames} clouds")
    return [pictures[row] for row in np.rint(np.linspace(0, len(pictures) - 1, frames)).astype(int).tolist()]
