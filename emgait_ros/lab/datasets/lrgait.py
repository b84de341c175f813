"""LRGait in a folder form of our own, until its release is out; no pickles.

    LRGait/0001/D-20/nm-00/045/lidar/000000.npy   (N, 3 or more) float32, m, LiDAR frame, z up, cut to the person
                               rgb/000000.png     RGB crop of the person, any size (.png or .jpg); may be absent
           identity / light-distance / condition-number / view in degrees
    light: D by day, N at night; distance 10 to 50 m; condition: nm, bg (bag), cl (clothing), oc (occlusion)

Files of equal names belong together; they are ordered by name, 10 a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from emgait_ros.lab.datasets.recorded import ANY_NAME, Entry, RawSequence, RecordedSet, as_clouds, nested
from emgait_ros.samples import UInt8

PLACE, KIND, VIEW = re.compile(r"[DN]-(\d{2})"), re.compile(r"(nm|bg|cl|oc)-\d{2}"), re.compile(r"\d{3}")


class LRGait(RecordedSet):
    """The whole tree; ``kind`` is "light-distance/condition-number", e.g. "D-20/nm-00" (see ``RecordedSet``)."""

    name = "LRGait"
    layout = "0001/D-20/nm-00/045/lidar/000000.npy (identity/light-distance/condition-number/view)"

    def scan(self, root: Path) -> Iterator[Entry]:
        """Folders that fit the form; others are passed over."""
        for person, place, kind, view in nested(root, ANY_NAME, PLACE, KIND, VIEW):
            away_m = float(PLACE.sub(r"\1", place.name))
            yield Entry(view, person.name, f"{place.name}/{kind.name}", view.name, float(view.name), away_m)

    def read(self, entry: Entry) -> RawSequence:
        """Clouds and the images of the same names."""
        paths = sorted((entry.path / "lidar").glob("*.npy"))
        if not paths:
            raise FileNotFoundError(f"{entry.path / 'lidar'} holds no .npy file")
        clouds = []
        for path in paths:
            try:
                cloud = np.load(path, allow_pickle=False)
            except (ValueError, OSError, EOFError) as error:
                raise ValueError(f"{path} is damaged: {error}. Fetch it again") from error
            clouds += as_clouds([cloud], path)
        return RawSequence(clouds, [_image(entry.path / "rgb", path.stem) for path in paths])


def _image(folder: Path, stem: str) -> UInt8 | None:
    for suffix in (".png", ".jpg", ".jpeg"):
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                raise ValueError(f"{path} is damaged: it is no picture. Fetch it again")
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
    return None
