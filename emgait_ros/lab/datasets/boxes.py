"""Labelled boxes in a cloud."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from emgait_ros.samples import Bool, Float32, Float64, Int64

Boxes = TypeVar("Boxes", bound="OrientedBoxes")


@dataclass(frozen=True)
class OrientedBoxes:
    """Upright boxes, a struct of arrays over L objects; indexing with a mask or with indices picks some of them.

    Attributes:
        kind: (L,) str, what is labelled: "Pedestrian", "Cyclist", "Car" ...
        center: (L, 3) float64, m, box centre in the LiDAR frame.
        size: (L, 3) float64, m: length, width, height of the oriented box.
        yaw: (L,) float64, rad, about the LiDAR's z axis; 0 looks along x.
    """

    kind: np.ndarray[tuple[int], np.dtype[np.str_]]
    center: Float64
    size: Float64
    yaw: Float64

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self: Boxes, which: Any) -> Boxes:
        return type(self)(*(getattr(self, field.name)[which] for field in fields(self)))

    def of_kind(self: Boxes, *kinds: str) -> Boxes:
        """Only the objects of these kinds."""
        return self[np.isin(self.kind, kinds)]

    def upright_size(self) -> Float64:
        """(L, 3) m, extents of the boxes along the LiDAR's x, y, z axes, as :class:`emgait_ros.samples.Detections` has them."""
        cosine, sine = np.abs(np.cos(self.yaw)), np.abs(np.sin(self.yaw))
        length, width, height = self.size.T
        return np.stack([length * cosine + width * sine, length * sine + width * cosine, height], axis=1)

    def contains(self, points: Float32, margin_m: float = 0.0) -> Bool:
        """(L, N) bool: which points (N, 3), m, LiDAR frame, lie in which box grown by a margin."""
        offset = points[None, :, :2] - self.center[:, None, :2]
        cosine, sine = np.cos(self.yaw)[:, None], np.sin(self.yaw)[:, None]
        along = np.abs(offset[..., 0] * cosine + offset[..., 1] * sine)
        across = np.abs(offset[..., 1] * cosine - offset[..., 0] * sine)
        above = np.abs(points[None, :, 2] - self.center[:, None, 2])
        half = self.size[:, None, :] / 2 + margin_m
        return (along <= half[..., 0]) & (across <= half[..., 1]) & (above <= half[..., 2])

    def returns(self, points: Float32) -> Int64:
        """(L,) int64: how many of a cloud's points (N, 3), m, LiDAR frame, lie in each box; one box at a time saves memory."""
        return np.array([self[[i]].contains(points).sum() for i in range(len(self))], np.int64)
