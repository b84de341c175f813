"""What is missing or broken in a data set: ``emgait dataset check``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.datasets.lreid import LIDARS, PROBE_LIDAR, LReid
from emgait_ros.lab.datasets.numpy_pickle import ForeignObjectError
from emgait_ros.lab.datasets.opening import RECORDED, kind_of
from emgait_ros.lab.datasets.recorded import MIN_FRAMES, RecordedSet
from emgait_ros.lab.datasets.sequences import SequenceSource
from emgait_ros.lab.datasets.simulated import SimulatedSet, stored_preprocessing
from emgait_ros.lab.datasets.sustech1k import VIEWS as SUSTECH1K_VIEWS
from emgait_ros.lab.datasets.tracked_bag import BagSequences

LRGAIT_VIEWS = tuple(f"{angle:03d}" for angle in range(0, 360, 45))
HARMLESS = ("few points", "no images")
SPARSE_POINTS = 5  # fewer returns on the median frame say nothing about a gait


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: ``kind`` in a word or two, ``path``, and a sentence."""

    kind: str
    path: str
    sentence: str


@dataclass(frozen=True)
class Findings:
    """What a data set holds and what is wrong with it.

    Attributes:
        dataset: which kind it is.
        identities, sequences, frames, views, kinds: what was found; frames of the sequences that could be read.
        problems: hard ones: training or evaluation stops there.
        remarks: what is incomplete, but does no harm.
    """

    dataset: str
    identities: int
    sequences: int
    frames: int
    views: tuple[str, ...]
    kinds: tuple[str, ...]
    problems: tuple[Problem, ...]
    remarks: tuple[Problem, ...]


def check_dataset(
    folder: str | Path, kind: str = "", on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Findings:
    """Read everything once.

    Args:
        folder: of the data set.
        kind: one of ``opening.KINDS``; empty: found by the layout.
        on_progress: told sequences done and in all.

    Raises:
        FileNotFoundError, ValueError: there is no data set at all.
    """
    kind = kind or kind_of(folder)
    source: SimulatedSet | RecordedSet | BagSequences
    if kind == "simulated":
        source = SimulatedSet(folder, stored_preprocessing(Path(folder)))
    elif kind == "bag":
        source = BagSequences(
            folder, Preprocessing(), on_progress=lambda done, total: on_progress(int(done), int(total))
        )
    else:
        source = RECORDED[kind](folder, Preprocessing())
    problems: list[Problem] = []
    remarks: list[Problem] = []
    frames = 0
    for number in range(len(source)):
        where = str(source.entries[number].path) if isinstance(source, RecordedSet) else str(folder)
        found, length = _check_sequence(source, number, where)
        if found:
            (remarks if found.kind in HARMLESS else problems).append(found)
        frames += length
        on_progress(number + 1, len(source))
    if isinstance(source, RecordedSet):
        problems += _empty_folders(source)
        remarks += _missing_views(source)
    if isinstance(source, LReid):
        remarks += _missing_lidars(source)
        problems += _nobody_to_compare(source)
    if isinstance(source, BagSequences):
        remarks += [
            Problem("messages", str(folder), f"{text} ({count} times)") for text, count in source.problems.items()
        ]
    if not isinstance(source, LReid) and (not isinstance(source, BagSequences) or source.has_truth):
        problems += _single_sequences(source, str(folder))
    views = np.unique(source.view) if isinstance(source, RecordedSet) else np.unique(source.view_deg.astype(int))
    return Findings(
        dataset=kind,
        identities=len(np.unique(source.identity)),
        sequences=len(source),
        frames=frames,
        views=tuple(str(v) for v in views),
        kinds=tuple(str(v) for v in np.unique(source.condition)),
        problems=tuple(problems),
        remarks=tuple(remarks),
    )


def _check_sequence(source: SequenceSource, number: int, where: str) -> tuple[Problem | None, int]:
    """What is wrong with one sequence, and how many frames it has."""
    try:
        sequence = source[number]
    except FileNotFoundError as error:
        return Problem("missing file", where, str(error)), 0
    except ForeignObjectError as error:
        return Problem("not numpy", where, str(error)), 0
    except ValueError as error:
        return Problem("damaged", where, str(error)), 0
    if len(sequence) < MIN_FRAMES:
        return Problem("too short", where, f"{where} has {len(sequence)} frames"), len(sequence)
    if not sequence.has_points.any():
        return Problem("no points", where, f"{where} has no LiDAR return in {len(sequence)} frames"), len(sequence)
    if not sequence.has_image.any() and getattr(source, "has_images", True):
        return Problem("no images", where, f"{where} has points alone"), len(sequence)
    if float(np.median(sequence.point_count)) < SPARSE_POINTS:
        found = f"{where} has {np.median(sequence.point_count):.0f} returns a frame"
        return Problem("few points", where, found), len(sequence)
    return None, len(sequence)


def _empty_folders(source: RecordedSet) -> list[Problem]:
    """People's folders in which no sequence was recognised."""
    people = {entry.identity for entry in source.entries}
    layout = f"expected {source.layout}"
    return [
        Problem("nothing found", str(path), f"{path} holds no sequence: {layout}")
        for path in sorted(source.root.iterdir())
        if path.is_dir() and path.name.isdigit() and path.name not in people
    ]


def _missing_views(source: RecordedSet) -> list[Problem]:
    """Kinds of a person's sequences that lack views which the data set has."""
    whole = {"sustech1k": SUSTECH1K_VIEWS, "lrgait": LRGAIT_VIEWS}.get(source.name.lower())
    if whole is None:
        return []
    seen: dict[tuple[str, str], set[str]] = {}
    for entry in source.entries:
        seen.setdefault((entry.identity, entry.kind), set()).add(entry.view)
    found = []
    for (identity, kind), views in seen.items():
        if lacking := [view for view in whole if view not in views]:
            path = source.root / identity / kind
            found.append(
                Problem("missing views", str(path), f"{path} lacks {len(lacking)} views: {', '.join(lacking)}")
            )
    return found


def _missing_lidars(source: LReid) -> list[Problem]:
    """People whom some of the LiDARs did not see."""
    lacking = {
        person: [str(n) for n in LIDARS if f"LiDAR {n}" not in kinds] for person, kinds in _lidars_of(source).items()
    }
    return [
        Problem(
            "missing LiDARs", f"{source.root}/{person}", f"identity {person} was not seen by LiDAR {', '.join(names)}"
        )
        for person, names in lacking.items()
        if names
    ]


def _nobody_to_compare(source: LReid) -> list[Problem]:
    """The protocol asks one LiDAR about what the others saw."""
    probe = f"LiDAR {PROBE_LIDAR}"
    if any(probe in kinds and len(kinds) > 1 for kinds in _lidars_of(source).values()):
        return []
    sentence = f"{source.root}: nobody was seen by {probe} and by another: there is nothing to compare"
    return [Problem("missing LiDARs", str(source.root), sentence)]


def _lidars_of(source: LReid) -> dict[str, set[str]]:
    """Kinds of each person's passes."""
    seen: dict[str, set[str]] = {}
    for entry in source.entries:
        seen.setdefault(entry.identity, set()).add(entry.kind)
    return seen


def _single_sequences(source: SequenceSource, folder: str) -> list[Problem]:
    """People who cannot be compared with themselves."""
    numbers, counts = np.unique(source.identity, return_counts=True)
    names = source.names[numbers] if isinstance(source, RecordedSet) else numbers
    return [
        Problem(
            "one sequence",
            f"{folder}/{name}",
            f"{folder}: identity {name} has one sequence only, nothing to compare it with",
        )
        for name in names[counts == 1]
    ]
