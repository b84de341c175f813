"""Sequences of samples packed into arrays: what training and evaluation read, whatever data set they came from."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emgait_ros.inference.preprocessing import FrameBatch, scale_crops
from emgait_ros.inference.representations import scaled
from emgait_ros.samples import Bool, Float32, Int64, UInt8


@dataclass(frozen=True, kw_only=True)
class Frames:
    """F samples of pedestrians.

    Attributes:
        crops: (F, H, W, 3) uint8 RGB.
        points: (F, N, 3 or 7) float32, made as the set's preprocessing says.
        point_count: (F,) LiDAR returns before resampling.
        has_image, has_points: (F,) bool.
        silhouettes: (F, h, w) uint8 (``inference.representations``); (F, 0, 0) where the preprocessing asks for none.
        has_silhouette: (F,) bool.
        depth_maps: (F, side, side) uint8, likewise; there where ``has_points`` is.
    """

    crops: UInt8
    points: Float32
    point_count: Int64
    has_image: Bool
    has_points: Bool
    silhouettes: UInt8 = field(default_factory=lambda: np.zeros((0, 0, 0), np.uint8))
    has_silhouette: Bool = field(default_factory=lambda: np.zeros(0, bool))
    depth_maps: UInt8 = field(default_factory=lambda: np.zeros((0, 0, 0), np.uint8))

    def __post_init__(self) -> None:
        """Empty arrays in place of representations that were not asked for."""
        for name in ("silhouettes", "has_silhouette", "depth_maps"):
            values = getattr(self, name)
            if len(values) == 0 != len(self.point_count):
                object.__setattr__(self, name, np.zeros((len(self.point_count), *values.shape[1:]), values.dtype))


FRAME_FIELDS = tuple(item.name for item in fields(Frames))


@dataclass(frozen=True, kw_only=True)
class Sequence(Frames):
    """One pedestrian followed for T frames, which are F.

    Attributes:
        identity: who; equal numbers are the same person.
        walk: which walk (day) of that person; clothing is the same within one.
        view_deg: heading against the direction to the sensor: 0 comes towards it, 180 goes away.
        range_m: mean horizontal distance.
        condition: "normal" or what was special: "bag", "clothing", "night", "occlusion".
    """

    identity: int
    walk: int
    view_deg: float
    range_m: float
    condition: str

    def __len__(self) -> int:
        return len(self.point_count)


class SequenceSource(Protocol):
    """Any data set: labels of its S sequences, and the sequences themselves, read when they are asked for.

    Attributes:
        identity, walk, view_deg, range_m, condition: (S,), as in :class:`Sequence`.
    """

    @property
    def identity(self) -> Int64: ...

    @property
    def walk(self) -> Int64: ...

    @property
    def view_deg(self) -> Float32: ...

    @property
    def range_m(self) -> Float32: ...

    @property
    def condition(self) -> NDArray[np.str_]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, sequence: int) -> Sequence: ...


def place_of(sequence: int, count: int) -> int:
    """Number from 0 on of a sequence of ``count``; negative ones count from the end.

    Raises:
        IndexError: there is no such sequence.
    """
    if not -count <= sequence < count:
        raise IndexError(f"sequence {sequence} of a set of {count}")
    return sequence % count


@dataclass(frozen=True, kw_only=True)
class SequenceSet(Frames):
    """S sequences with F frames in all; sequence s owns frames start[s] to start[s + 1].

    Attributes:
        identity, walk: (S,) int64. view_deg, range_m: (S,) float32. condition: (S,) str. As in :class:`Sequence`.
        start: (S + 1,) int64.
    """

    identity: Int64
    walk: Int64
    view_deg: Float32
    range_m: Float32
    condition: NDArray[np.str_]
    start: Int64

    def __len__(self) -> int:
        return len(self.identity)

    def __getitem__(self, sequence: int) -> Sequence:
        number = place_of(sequence, len(self))
        rows = slice(int(self.start[number]), int(self.start[number + 1]))
        return Sequence(
            **{name: getattr(self, name)[number].item() for name in SEQUENCE_FIELDS},
            **{name: getattr(self, name)[rows] for name in FRAME_FIELDS},
        )

    @property
    def frames(self) -> int:
        """F."""
        return len(self.point_count)

    @property
    def lengths(self) -> Int64:
        """(S,) frames of each sequence."""
        return np.diff(self.start)

    @property
    def setting(self) -> Int64:
        """(S,) code of view (45 degree sectors) and range (10 m steps)."""
        sector = np.round(self.view_deg / 45.0).astype(np.int64) % 8
        return sector * 100 + np.round(self.range_m / 10.0).astype(np.int64)

    def select(self, chosen: NDArray[Any]) -> SequenceSet:
        """Some of the sequences, by a boolean mask or by numbers, in that order."""
        numbers = np.flatnonzero(chosen) if np.asarray(chosen).dtype == bool else np.asarray(chosen, np.int64)
        lengths = self.lengths[numbers]
        rows = np.concatenate([np.arange(self.start[n], self.start[n + 1]) for n in numbers] or [np.zeros(0, np.int64)])
        return SequenceSet(
            **{name: getattr(self, name)[numbers] for name in SEQUENCE_FIELDS},
            start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            **{name: getattr(self, name)[rows] for name in FRAME_FIELDS},
        )


SEQUENCE_FIELDS = ("identity", "walk", "view_deg", "range_m", "condition")


def frames_of(batch: FrameBatch) -> dict[str, NDArray[Any]]:
    """Fields of a :class:`Sequence` from samples as the live system prepares them."""
    return {
        "crops": _pictures(np.moveaxis(batch.crops, 1, -1)),
        "points": batch.points,
        "has_image": batch.has_image,
        "has_points": batch.has_points,
        "silhouettes": _pictures(batch.silhouettes),
        "has_silhouette": batch.has_silhouette,
        "depth_maps": _pictures(batch.depth_maps),
    }


def batch_of(sequence: Sequence, rows: slice = slice(None)) -> FrameBatch:
    """The samples of a sequence as the frame encoder takes them."""
    return FrameBatch(
        scale_crops(sequence.crops[rows]),
        np.ascontiguousarray(sequence.points[rows], np.float32),
        sequence.has_image[rows],
        sequence.has_points[rows],
        scaled(sequence.silhouettes[rows]),
        sequence.has_silhouette[rows],
        scaled(sequence.depth_maps[rows]),
    )


def _pictures(values: Float32) -> UInt8:
    """0..1 -> 0..255."""
    return np.rint(values * 255).astype(np.uint8)
