"""FreeGait as released, or rearranged for OpenGait.

FreeGait/0001/devid_3/seq_00_new/lidar/lidar.pkl    T clouds (N_i, 3 or more), m     or .../seq_00_new/lidar.pkl
                                 image/image.pkl    T images, RGB or silhouettes     or .../seq_00_new/image.pkl
         identity / device / sequence
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

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

IDENTITY, DEVICE, SEQUENCE = re.compile(r"\d{4}"), re.compile(r"devid.*"), re.compile(r"seq.*")


class FreeGait(RecordedSet):
    """The whole tree, or the people of a partition; ``kind`` is "device-sequence" (see ``RecordedSet``).

    Views are not known: none are identical, and view_deg is 0.
    """

    name = "FreeGait"
    layout = "0001/devid_1/seq_00_new/lidar/lidar.pkl or .../seq_00_new/lidar.pkl (identity/device/sequence)"

    def scan(self, root: Path) -> Iterator[Entry]:
        """Identity, device and sequence folders; folders of other names are passed over."""
        for person, device, sequence in nested(root, IDENTITY, DEVICE, SEQUENCE):
            yield Entry(sequence, person.name, f"{device.name}-{sequence.name}", "")

    def read(self, entry: Entry) -> RawSequence:
        """Clouds and images; a sequence without images is read as points alone."""
        path = _file(entry.path, "lidar")
        if path is None:
            raise FileNotFoundError(f"{entry.path} has no file lidar.pkl and no lidar/lidar.pkl")
        clouds = as_clouds(load_numpy_pickle(path), path)
        images_path = _file(entry.path, "image")
        if images_path is None:
            return RawSequence(clouds, [None] * len(clouds))
        content = load_numpy_pickle(images_path)
        images = as_images(content, images_path)
        if len(images) != len(clouds):
            raise ValueError(f"{images_path} has {len(images)} images, {path.name} {len(clouds)} clouds")
        masks = all(np.ndim(image) == 2 for image in content)  # silhouettes, as released
        return RawSequence(clouds, images, as_silhouettes(content, images_path) if masks else None)


def _file(folder: Path, modality: str) -> Path | None:
    for path in (folder / f"{modality}.pkl", folder / modality / f"{modality}.pkl"):
        if path.is_file():
            return path
    return None
