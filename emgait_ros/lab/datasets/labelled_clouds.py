"""Folders of clouds in which people are labelled: KITTI's form, or one ``.npz`` file a cloud.

A ``.npz`` file holds ``xyz`` (N, 3) float, m, or ``xyz_cm2`` (N, 3) int16 in 1/500 m, in the LiDAR frame (z up), and ``boxes``
(n, 8): track, x, y, z of the centre (m), length, width, height (m), yaw (rad) of each person; ``night`` (bool), where it is known. Other
entries are not read. "sim" is no folder: simulated streets (``simulation.cluttered_scenes``), with people labelled all round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emgait_ros.foreign import read_arrays
from emgait_ros.lab.datasets.boxes import OrientedBoxes
from emgait_ros.lab.datasets.kitti import KittiFrames
from emgait_ros.lab.simulation.clutter.people import RIDER, SITTING
from emgait_ros.lab.simulation.cluttered_scenes import cluttered_cloud
from emgait_ros.samples import CameraModel, Float32, Float64

BOX_COLUMNS = "track, x, y, z of the centre, length, width, height, yaw"
XYZ_CM2_M = np.float32(1 / 500)
SIMULATED_FROM = 1_000_000
FORMS = "NAME.npz with 'xyz' or 'xyz_cm2' and 'boxes', or KITTI's NAME.bin, NAME.calib.txt and NAME.label.txt (or velodyne/, calib/, label_2/)"


@dataclass(frozen=True)
class LabelledCloud:
    """One cloud and who is in it.

    Attributes:
        name: of its file, without ending.
        points: (N, 3) float32, m, LiDAR frame, z up, finite.
        boxes: what is labelled; people are of kind "Pedestrian".
        camera: in whose view things were labelled; None where no camera is known.
        not_labelled: (R, 4) float64, px: left, top, right, bottom of regions of its image in which nothing is labelled.
        night: None where it is not known.
        all_round: people are labelled wherever they are, whatever a camera sees.
    """

    name: str
    points: Float32
    boxes: OrientedBoxes
    camera: CameraModel | None = None
    not_labelled: Float64 = field(default_factory=lambda: np.zeros((0, 4)))
    night: bool | None = None
    all_round: bool = False

    @property
    def sequence(self) -> str:
        """The name without the number it ends in: files of one sequence have the same."""
        return re.sub(r"\d+$", "", self.name)


@dataclass(frozen=True)
class LabelledFolder:
    """The clouds of a folder in order of their names, each read when it is asked for: ``len()`` and iteration.

    Attributes:
        path: of the folder.
        form: "KITTI", "npz" or "simulated".
        names: of the clouds.
    """

    path: Path
    form: str
    names: tuple[str, ...]
    _read: Callable[[str], LabelledCloud | None]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[LabelledCloud | None]:
        """The clouds; None for one without a label file.

        Raises:
            OSError, ValueError: a file cannot be read; the sentence names it.
        """
        return map(self._read, self.names)


def open_labelled(folder: str | Path) -> LabelledFolder:
    """A folder of labelled clouds, recognised by what it holds.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it holds neither form, both, or no labels; the sentence says what was expected.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: give one that holds {FORMS}")
    files = sorted(folder.glob("*.npz"))
    kitti = (folder / "velodyne").is_dir() or any(file.suffix in (".bin", ".pcd") for file in folder.iterdir())
    if bool(files) == kitti:
        held = "both .npz files and KITTI frames" if files else "no labelled cloud"
        raise ValueError(f"{folder} holds {held}: expected {FORMS}")
    if files:
        return LabelledFolder(
            folder, "npz", tuple(f.stem for f in files), lambda name: read_npz(folder / f"{name}.npz")
        )
    if not any((folder / "label_2").glob("*.txt")) and not any(folder.glob("*.label.txt")):
        raise ValueError(f"{folder} holds KITTI frames without labels: expected NAME.label.txt, or label_2/NAME.txt")
    frames = KittiFrames(folder, need_images=False)
    return LabelledFolder(folder, "KITTI", frames.names, lambda name: _from_kitti(frames, name))


def simulated_streets(clouds: int) -> LabelledFolder:
    """Clouds of the simulator that no scorer was trained on: those that do are numbered from 0."""
    if clouds < 1:
        raise ValueError(f"{clouds} simulated clouds are asked for: expected 1 or more")
    names = tuple(f"street_{SIMULATED_FROM + number}" for number in range(clouds))
    return LabelledFolder(Path("sim"), "simulated", names, lambda name: _simulated(int(name.rsplit("_", 1)[1])))


def _simulated(seed: int) -> LabelledCloud:
    cloud = cluttered_cloud(seed)
    kinds = np.array(
        [{SITTING: "Person_sitting", RIDER: "Cyclist"}.get(kind, "Pedestrian") for kind in cloud.kinds], np.str_
    )
    boxes = OrientedBoxes(kinds, cloud.people[:, :3], cloud.people[:, 3:6], cloud.people[:, 6])
    return LabelledCloud(f"{cloud.place}_{seed}_", cloud.points, boxes, all_round=True)


def _from_kitti(frames: KittiFrames, name: str) -> LabelledCloud | None:
    frame = frames[name]
    if frame.labels is None:
        return None
    return LabelledCloud(name, frame.points, frame.labels, frame.camera, frame.not_labelled)


def read_npz(file: Path) -> LabelledCloud:
    """A cloud with labelled people from a ``.npz`` file.

    Raises:
        OSError, ValueError: it cannot be read, or is of another form; the sentence says what was found and expected.
    """
    try:
        held = read_arrays(file)
    except ValueError as error:
        raise ValueError(f"{file} is a damaged .npz file: {error}") from error
    xyz, boxes = held.get("xyz_cm2", held.get("xyz")), held.get("boxes")
    if xyz is None or boxes is None:
        raise ValueError(
            f"{file} holds {', '.join(held) or 'nothing'}: expected 'xyz' (m) or 'xyz_cm2' (1/500 m), and 'boxes'"
        )
    if xyz.ndim != 2 or xyz.shape[1] != 3 or (xyz.dtype != np.int16 if "xyz_cm2" in held else xyz.dtype.kind != "f"):
        raise ValueError(
            f"{file}: its points are {xyz.shape} {xyz.dtype}: expected (N, 3), 'xyz_cm2' of int16, 'xyz' of float"
        )
    if boxes.ndim != 2 or boxes.shape[1] != 8:
        raise ValueError(f"{file}: boxes are {boxes.shape}: expected (n, 8), the columns {BOX_COLUMNS}")
    boxes = boxes.astype(np.float64)
    if not np.isfinite(boxes[:, 1:]).all() or (boxes[:, 4:7] <= 0).any():
        raise ValueError(
            f"{file}: boxes have a size of 0 or less, or a value that is not finite: the columns are {BOX_COLUMNS}"
        )
    night = held.get("night")
    if night is not None and (night.shape != () or night.dtype != bool):
        raise ValueError(f"{file}: 'night' is {night.shape} {night.dtype}: expected one bool")
    points = xyz.astype(np.float32) * XYZ_CM2_M if "xyz_cm2" in held else xyz.astype(np.float32)
    people = OrientedBoxes(np.full(len(boxes), "Pedestrian"), boxes[:, 1:4], boxes[:, 4:7], boxes[:, 7])
    finite = np.ascontiguousarray(points[np.isfinite(points).all(axis=1)])
    return LabelledCloud(file.stem, finite, people, night=None if night is None else bool(night))
