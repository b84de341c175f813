"""Every data set by its folder: which kind it is, and one interface to all of them (``sequences.SequenceSource``)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.inference.segmenter import Segmenter
from emgait_ros.lab.datasets.freegait import FreeGait
from emgait_ros.lab.datasets.lreid import LReid
from emgait_ros.lab.datasets.lrgait import LRGait
from emgait_ros.lab.datasets.mmgait import MMGait
from emgait_ros.lab.datasets.recorded import RecordedSet
from emgait_ros.lab.datasets.sequences import FRAME_FIELDS, Sequence, SequenceSet, SequenceSource
from emgait_ros.lab.datasets.simulated import SimulatedSet, load_simulated, shrink
from emgait_ros.lab.datasets.sustech1k import Sustech1k
from emgait_ros.lab.datasets.tracked_bag import BagSequences

RECORDED: dict[str, type[RecordedSet]] = {
    "sustech1k": Sustech1k,
    "freegait": FreeGait,
    "lrgait": LRGait,
    "mmgait": MMGait,
    "lreid": LReid,
}
KINDS = ("simulated", "bag", *RECORDED)


def kind_of(folder: str | Path) -> str:
    """Which data set a folder holds, by its layout.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: none that is known; the sentence lists the layouts.
    """
    folder = Path(folder)
    if folder.suffix in (".mcap", ".db3") and folder.is_file():
        return "bag"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing: give the folder of a data set")
    if (folder / "set.json").is_file():
        return "simulated"
    if (folder / "metadata.yaml").is_file():
        return "bag"
    for name, kind in RECORDED.items():
        if next(kind.scan(kind, folder), None) is not None:  # type: ignore[arg-type]
            return name
    layouts = "; ".join(f"{kind.name}: {kind.layout}" for kind in RECORDED.values())
    raise ValueError(
        f"{folder} holds no data set that is known. Expected set.json (simulated), metadata.yaml (a bag), or {layouts}"
    )


def open_dataset(
    folder: str | Path,
    preprocessing: Preprocessing,
    kind: str = "",
    identities: Iterable[str] | None = None,
    segmenter: Segmenter | None = None,
) -> SequenceSource:
    """A data set, its sequences read when they are asked for.

    Args:
        folder: of the data set.
        preprocessing: what the network takes.
        kind: one of ``KINDS``; empty: found by the layout.
        identities: names of the people to keep (recorded sets); None: all.
        segmenter: makes silhouettes of the images of a recorded set that brings none.

    Raises:
        FileNotFoundError, ValueError: no such folder, or not that data set.
    """
    kind = kind or kind_of(folder)
    if kind == "simulated":
        return SimulatedSet(folder, preprocessing)
    if kind == "bag":
        return BagSequences(folder, preprocessing)
    if kind not in RECORDED:
        raise ValueError(f"data set '{kind}' is unknown: known are {', '.join(KINDS)}")
    made = RECORDED[kind](folder, preprocessing, identities)
    made.segmenter = segmenter
    return made


def load_dataset(
    folder: str | Path,
    preprocessing: Preprocessing,
    crop_size: tuple[int, int] | None = None,
    identities: Iterable[str] | None = None,
    segmenter: Segmenter | None = None,
) -> SequenceSet:
    """A data set whole in memory, for training; arguments as ``open_dataset`` and ``simulated.load_simulated``."""
    if kind_of(folder) == "simulated":
        return load_simulated(folder, preprocessing, crop_size)
    return gathered(open_dataset(folder, preprocessing, identities=identities, segmenter=segmenter), crop_size)


def gathered(source: SequenceSource, crop_size: tuple[int, int] | None = None) -> SequenceSet:
    """Every sequence of a source, packed into arrays."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in FRAME_FIELDS}
    found: list[Sequence] = []
    for number in range(len(source)):
        sequence = source[number]
        for name in FRAME_FIELDS:
            values = getattr(sequence, name)
            parts[name].append(shrink(values, crop_size) if name == "crops" and crop_size else values)
        found.append(sequence)
    return SequenceSet(
        identity=np.asarray(source.identity, np.int64),
        walk=np.asarray(source.walk, np.int64),
        view_deg=np.asarray(source.view_deg, np.float32),
        range_m=np.array([sequence.range_m for sequence in found], np.float32),
        condition=np.asarray(source.condition),
        start=np.concatenate([[0], np.cumsum([len(sequence) for sequence in found])]).astype(np.int64),
        **{name: np.concatenate(values) for name, values in parts.items()},
    )
