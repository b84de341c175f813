"""Simulated walks as a data set: read back lazily (``SimulatedSet``) or whole (``load_simulated``).

The files are those of ``simulation.walk_sets``. They keep points around the box a tracker gave, in the LiDAR's axes, so
that one set serves every ``points_frame``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from emgait_ros.inference.preprocessing import Preprocessing, lidar_views, prepare_points
from emgait_ros.inference.representations import normalized_silhouettes
from emgait_ros.lab.datasets.sequences import FRAME_FIELDS, SEQUENCE_FIELDS, Sequence, SequenceSet, place_of
from emgait_ros.lab.simulation.walk_sets import WalkFile, identity_file
from emgait_ros.lab.simulation.walks import CONDITIONS
from emgait_ros.samples import UInt8


class SimulatedSet:
    """A set on disk, one person in memory at a time: for evaluation in the order of the files.

    Args:
        folder: as written by ``simulation.walk_sets.generate``.
        preprocessing: size of crops and clouds, axes of the points.
        crop_size: (height, width) to shrink crops to by whole factors, e.g. to what the gait branch sees; a 2 x 2 mean
            is what the network's own resize gives for half the size. None: as stored.

    Raises:
        FileNotFoundError: not a set, or people are missing.
        ValueError: sizes are not those of ``preprocessing``; a damaged file, when it is read.

    Attributes:
        identity, walk, view_deg, range_m, condition: labels of the S sequences, as in ``SequenceSet``.
    """

    def __init__(
        self, folder: str | Path, preprocessing: Preprocessing, crop_size: tuple[int, int] | None = None
    ) -> None:
        self.folder, self.preprocessing, self.crop_size = Path(folder), preprocessing, crop_size
        plan = sorted(_plan(self.folder, preprocessing), key=lambda walk: walk[0])
        self.identity = np.array([walk[0] for walk in plan], np.int64)
        self.walk = np.array([walk[1] for walk in plan], np.int64)
        self.range_m = np.array([walk[2] for walk in plan], np.float32)
        self.view_deg = np.array([walk[3] for walk in plan], np.float32)
        self.condition = np.array([walk[5] for walk in plan])
        names, first = np.unique(self.identity, return_index=True)
        self._first = dict(zip(names.tolist(), first.tolist(), strict=True))
        paths = [identity_file(self.folder, name) for name in self._first]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise FileNotFoundError(
                f"{folder} lacks {len(missing)} of its files, the first is {missing[0]}: generate the set again, it goes on where it stopped"
            )
        self._person: tuple[int, SequenceSet] | None = None

    def __len__(self) -> int:
        return len(self.identity)

    def __getitem__(self, sequence: int) -> Sequence:
        number = place_of(sequence, len(self))
        identity = int(self.identity[number])
        if self._person is None or self._person[0] != identity:
            self._person = identity, _as_set([self.read_person(identity)])
        return self._person[1][number - self._first[identity]]

    @property
    def people(self) -> list[int]:
        """Identity numbers, in the order of the sequences."""
        return list(self._first)

    def read_person(self, identity: int) -> dict[str, NDArray[Any]]:
        """Arrays of one person, named as in ``SequenceSet``, and ``lengths`` of the sequences."""
        return _read_person(identity_file(self.folder, identity), self.preprocessing, self.crop_size)

    def load(self, people: Iterable[int]) -> SequenceSet:
        """Some people whole in memory."""
        return _as_set([self.read_person(identity) for identity in people])


def load_simulated(
    folder: str | Path, preprocessing: Preprocessing, crop_size: tuple[int, int] | None = None
) -> SequenceSet:
    """Read a set whole into memory, points normalised as the live system does (arguments, errors: ``SimulatedSet``)."""
    found = SimulatedSet(folder, preprocessing, crop_size)
    return found.load(found.people)


def stored_preprocessing(folder: Path) -> Preprocessing:
    """Sizes a set was made with, points as the LiDAR saw them."""
    try:
        description = json.loads((folder / "set.json").read_text(encoding="utf-8"))
        height, width = description["crop"]
        return Preprocessing(int(height), int(width), int(description["points"]), "sensor")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'set.json'} is damaged ({error}): generate the set again") from error


def _plan(folder: Path, preprocessing: Preprocessing) -> list[list[Any]]:
    """The walks of set.json, checked against the sizes that are wanted."""
    index = folder / "set.json"
    if not index.is_file():
        raise FileNotFoundError(f"{folder} is no simulated set: it has no set.json. `emgait train` generates one")
    try:
        description = json.loads(index.read_text(encoding="utf-8"))
        made, plan = (description["crop"], description["points"]), description["plan"]
        [(int(w[0]), int(w[1]), float(w[2]), float(w[3]), int(w[4]), str(w[5])) for w in plan]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{index} is damaged ({error}): remove the folder and generate the set again") from error
    wanted = ([preprocessing.crop_height, preprocessing.crop_width], preprocessing.points)
    if made != wanted:
        raise ValueError(
            f"{folder} holds crops and points of {made}, the network takes {wanted}: generate the set anew"
        )
    return list(plan)


def _as_set(people: list[dict[str, NDArray[Any]]]) -> SequenceSet:
    whole = {name: np.concatenate([person[name] for person in people]) for name in people[0]}
    start = np.concatenate([[0], np.cumsum(whole.pop("lengths"))]).astype(np.int64)
    return SequenceSet(start=start, **whole)


def _read_person(
    path: Path, preprocessing: Preprocessing, crop_size: tuple[int, int] | None
) -> dict[str, NDArray[Any]]:
    """Arrays of one person, named as in ``SequenceSet``, and ``lengths`` of the sequences."""
    try:
        file = WalkFile.read(path)
        arrays = file.arrays
        lengths = np.bincount(arrays["sequence"], minlength=file.sequences)
        center, size, velocity = (arrays[name].astype(np.float64) for name in ("center", "size", "velocity"))
        has_points = arrays["point_count"] > 0
        points = (arrays["points"].astype(np.float64) + center[:, None]).astype(np.float32)
        views = lidar_views(points, center, size, preprocessing)
        points = prepare_points(points, center, size, velocity, preprocessing)
        silhouettes = views.silhouettes
        if preprocessing.silhouettes and preprocessing.silhouette_source == "camera":
            silhouettes = _silhouettes(path, arrays, preprocessing)
        found: dict[str, NDArray[Any]] = {
            "identity": np.full(len(lengths), file.identity, np.int64),
            "walk": arrays["walk_number"].astype(np.int64),
            "view_deg": arrays["walk_view_deg"],
            "range_m": arrays["walk_range_m"],
            "condition": np.array(CONDITIONS)[arrays["walk_condition"]],
            "lengths": lengths.astype(np.int64),
            "crops": arrays["crops"] if crop_size is None else shrink(arrays["crops"], crop_size),
            "points": points * has_points[:, None, None].astype(np.float32),
            "point_count": arrays["point_count"].astype(np.int64),
            "has_image": arrays["has_crop"],
            "has_points": has_points,
            "silhouettes": silhouettes,
            "has_silhouette": np.asarray(silhouettes.any(axis=(1, 2)), bool),
            "depth_maps": views.depth_maps * has_points[:, None, None],
        }
    except NoSilhouettesError:
        raise
    except (KeyError, ValueError, IndexError, OSError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({error}): remove it and generate the set again") from error
    frames = int(lengths.sum())
    uneven = [name for name in FRAME_FIELDS if len(found[name]) != frames]
    uneven += [name for name in SEQUENCE_FIELDS if len(found[name]) != len(lengths)]
    if uneven or not lengths.all():
        raise ValueError(
            f"{path} is damaged: {', '.join(uneven) or 'a sequence'} does not fit its {frames} samples; remove it and generate the set again"
        )
    return found


class NoSilhouettesError(ValueError):
    """A set that lacks what the network looks at: nothing is damaged."""


def _silhouettes(path: Path, arrays: dict[str, NDArray[Any]], preprocessing: Preprocessing) -> UInt8:
    """(F, h, w) of the masks that were drawn with the crops."""
    if "masks" not in arrays:
        raise NoSilhouettesError(
            f"{path} holds no silhouettes, and the network looks at them: this set was made before they were kept, generate it again"
        )
    masks = np.unpackbits(arrays["masks"], axis=-1, count=arrays["crops"].shape[2]) * np.uint8(255)
    return normalized_silhouettes(masks, preprocessing.silhouette_height, preprocessing.silhouette_width)


def shrink(crops: UInt8, size: tuple[int, int]) -> UInt8:
    """(F, H, W, 3) -> (F, *size, 3) by the mean over whole blocks; unchanged when the factors are not whole."""
    height, width = crops.shape[1:3]
    if height % size[0] or width % size[1] or size == (height, width):
        return crops
    rows, columns = height // size[0], width // size[1]
    blocks = crops.reshape(len(crops), size[0], rows, size[1], columns, 3)
    return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
