"""From pedestrians to the tensors the network takes; live inference and training call the same code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from emgait_ros.inference.representations import depth_maps, normalized_silhouettes, point_silhouettes, scaled
from emgait_ros.inference.segmenter import Segmenter
from emgait_ros.samples import Bool, Float32, Float64, Sample, UInt8

SILHOUETTE_SOURCES = ("camera", "points")
POINTS_FRAMES = ("sensor", "ray", "heading")
STANDING_M_S = 0.1  # slower than this a velocity has no direction


@dataclass(frozen=True)
class Preprocessing:
    """How a bundle wants its input.

    Attributes:
        crop_height, crop_width: RGB crop, px.
        points: LiDAR points per sample.
        points_frame: axes of the points around the pedestrian: "sensor" (those of the LiDAR), "ray" (+x points
            horizontally from the LiDAR to the pedestrian) or "heading" (+x is where the pedestrian walks).
        view_coordinates: a point is x, y, z and its column and row in the crop (:func:`view_coordinates`).
        silhouette_height, silhouette_width: size of the silhouettes (``representations``), px; 0: the network takes none.
        silhouette_source: what they were made of in training: "camera" (masks of images) or "points" (projected returns).
        depth_size: side of the LiDAR depth maps, px; 0: the network takes none.
    """

    crop_height: int = 128
    crop_width: int = 64
    points: int = 128
    points_frame: str = "ray"
    view_coordinates: bool = False
    silhouette_height: int = 0
    silhouette_width: int = 0
    silhouette_source: str = "camera"
    depth_size: int = 0

    def __post_init__(self) -> None:
        if self.points_frame not in POINTS_FRAMES:
            raise ValueError(f"points_frame is '{self.points_frame}': allowed are {', '.join(POINTS_FRAMES)}")
        for name in ("crop_height", "crop_width", "points"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"preprocessing.{name} is {value!r}: expected a whole number above 0")
        if self.silhouette_source not in SILHOUETTE_SOURCES:
            raise ValueError(
                f"silhouette_source is '{self.silhouette_source}': allowed are {', '.join(SILHOUETTE_SOURCES)}"
            )
        if min(self.silhouette_height, self.silhouette_width, self.depth_size) < 0 or (
            bool(self.silhouette_height) != bool(self.silhouette_width)
        ):
            raise ValueError(
                f"silhouettes of {self.silhouette_height} x {self.silhouette_width} px and depth maps of {self.depth_size} px: "
                "expected 0 for none, or sizes above 0"
            )

    @property
    def silhouettes(self) -> bool:
        """Whether the network takes silhouettes."""
        return self.silhouette_height > 0

    @property
    def silhouettes_of_images(self) -> bool:
        """Whether they were masks of images in training."""
        return self.silhouettes and self.silhouette_source == "camera"

    @property
    def point_values(self) -> int:
        """Numbers that describe a point."""
        return 7 if self.view_coordinates else 3

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for the manifest; what only other networks take is left out, so that fingerprints stay."""
        values = asdict(self)
        return {name: value for name, value in values.items() if name not in LATER or value != LATER[name]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """The inverse of :meth:`to_dict`; raises ValueError for unknown or missing fields."""
        expected = set(cls.__dataclass_fields__)
        if isinstance(values, dict):
            values = {"view_coordinates": False, **LATER, **values}  # bundles made before there was a choice
        if not isinstance(values, dict) or set(values) != expected:
            raise ValueError(f"preprocessing has fields {sorted(values)}: expected {sorted(expected)}")
        return cls(**values)


LATER: dict[str, Any] = {"silhouette_height": 0, "silhouette_width": 0, "silhouette_source": "camera", "depth_size": 0}
"""Fields that bundles of EMGaitNet do not name."""


@dataclass(frozen=True)
class FrameBatch:
    """B samples as the frame encoder takes them.

    Attributes:
        crops: (B, 3, H, W) float32 RGB in 0..1; zeros where there is none.
        points: (B, N, 3 or 7) float32, see :func:`prepare_points`; zeros where there are none.
        has_image, has_points: (B,) bool.
        silhouettes: (B, h, w) float32 in 0..1; (B, 0, 0) where none are asked for, likewise ``depth_maps``.
        has_silhouette: (B,) bool.
        depth_maps: (B, side, side) float32 in 0..1, 0 where nothing returns; there where ``has_points`` is.
    """

    crops: Float32
    points: Float32
    has_image: Bool
    has_points: Bool
    silhouettes: Float32 = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    has_silhouette: Bool = field(default_factory=lambda: np.zeros(0, bool))
    depth_maps: Float32 = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))

    def __post_init__(self) -> None:
        for name, empty in (("silhouettes", (0, 0)), ("has_silhouette", ()), ("depth_maps", (0, 0))):
            values = getattr(self, name)
            if len(values) == 0 != len(self):
                object.__setattr__(self, name, np.zeros((len(self), *empty), values.dtype))

    def __len__(self) -> int:
        return len(self.has_image)

    def feeds(self, start: int = 0, stop: int | None = None) -> dict[str, NDArray[Any]]:
        """Inputs of the frame encoder by name, for samples ``start`` to ``stop``."""
        return {item.name: getattr(self, item.name)[start:stop] for item in fields(self)}


def prepare(
    pedestrians: Sequence[Sample], preprocessing: Preprocessing, segmenter: Segmenter | None = None
) -> FrameBatch:
    """Tensors of a batch of samples; a missing or unusable modality is flagged, never an error.

    Args:
        pedestrians: B samples, of any crop size and number of points.
        preprocessing: what the bundle asks for.
        segmenter: makes silhouettes of crops. Without one, and for samples that bring no mask of their own, a silhouette
            is made of the projected returns.
    """
    crops, has_image = _crops(pedestrians, preprocessing)
    points, views, has_points = _points(pedestrians, preprocessing)
    silhouettes, has_silhouette = _silhouettes(pedestrians, preprocessing, segmenter, views, has_points)
    return FrameBatch(
        scale_crops(crops), points, has_image, has_points, scaled(silhouettes), has_silhouette, scaled(views.depth_maps)
    )


@dataclass(frozen=True)
class LidarViews:
    """What the LiDAR sees of B pedestrians: depth_maps (B, side, side) and silhouettes (B, h, w) uint8; (B, 0, 0): not asked for."""

    depth_maps: UInt8
    silhouettes: UInt8


def lidar_views(
    points: Float32, center: Float64, size: Float64, preprocessing: Preprocessing, silhouettes: bool | None = None
) -> LidarViews:
    """The pictures of clouds that a network takes.

    Args:
        points: (B, N, 3) float32 m, LiDAR frame.
        center, size: (B, 3) m, box of the pedestrian in the LiDAR frame.
        preprocessing: what is asked for.
        silhouettes: whether they are made of points; None: where the preprocessing says so.
    """
    made = preprocessing.silhouette_source == "points" if silhouettes is None else silhouettes
    height, width = (preprocessing.silhouette_height, preprocessing.silhouette_width) if made else (0, 0)
    return LidarViews(
        depth_maps(points, center, size, preprocessing.depth_size),
        point_silhouettes(points, center, size, height, width),
    )


def _silhouettes(
    pedestrians: Sequence[Sample],
    preprocessing: Preprocessing,
    segmenter: Segmenter | None,
    views: LidarViews,
    has_points: Bool,
) -> tuple[UInt8, Bool]:
    """Silhouettes (B, h, w) and whether there is one: of the sample's own mask, of its crop, or of its points."""
    height, width = preprocessing.silhouette_height, preprocessing.silhouette_width
    if not preprocessing.silhouettes:
        return np.zeros((len(pedestrians), 0, 0), np.uint8), np.zeros(len(pedestrians), bool)
    camera = preprocessing.silhouette_source == "camera"
    masks = {row: p.silhouette for row, p in enumerate(pedestrians) if camera and p.silhouette is not None}
    if camera and segmenter is not None:
        rows = [row for row, p in enumerate(pedestrians) if row not in masks and p.crop is not None and p.crop.size]
        masks |= dict(zip(rows, segmenter.masks([pedestrians[row].crop for row in rows]), strict=True))  # type: ignore[misc]
    if not masks and (segmenter is None or not camera):
        return views.silhouettes, np.asarray(has_points & views.silhouettes.any(axis=(1, 2)), bool)
    made = np.zeros((len(pedestrians), height, width), np.uint8)
    for row, mask in masks.items():
        made[row] = normalized_silhouettes(mask[None], height, width)[0]
    return made, np.asarray(made.any(axis=(1, 2)), bool)


def _crops(pedestrians: Sequence[Sample], preprocessing: Preprocessing) -> tuple[UInt8, Bool]:
    height, width = preprocessing.crop_height, preprocessing.crop_width
    images = np.zeros((len(pedestrians), height, width, 3), np.uint8)
    has_image = np.zeros(len(pedestrians), bool)
    for row, pedestrian in enumerate(pedestrians):
        crop = pedestrian.crop
        if crop is None or crop.size == 0:
            continue
        if crop.ndim != 3 or crop.shape[2] != 3 or crop.dtype != np.uint8:
            raise ValueError(
                f"the crop of track {pedestrian.track_id} is {crop.shape} {crop.dtype}: expected (height, width, 3) uint8 RGB"
            )
        if crop.shape[:2] != (height, width):
            shrinking = crop.shape[0] > height
            images[row] = cv2.resize(
                crop, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
            )
        else:
            images[row] = crop
        has_image[row] = True
    return images, has_image


def scale_crops(images: UInt8) -> Float32:
    """(..., H, W, 3) uint8 -> (..., 3, H, W) float32 in 0..1."""
    return np.ascontiguousarray(np.moveaxis(images, -1, -3)).astype(np.float32) * np.float32(1 / 255)


def _points(pedestrians: Sequence[Sample], preprocessing: Preprocessing) -> tuple[Float32, LidarViews, Bool]:
    count = preprocessing.points
    clouds = np.zeros((len(pedestrians), count, 3), np.float32)
    has_points = np.zeros(len(pedestrians), bool)
    for row, pedestrian in enumerate(pedestrians):
        cloud = pedestrian.points
        if cloud is None or cloud.size == 0:
            continue
        if cloud.ndim != 2 or cloud.shape[1] != 3:
            raise ValueError(
                f"the points of track {pedestrian.track_id} have shape {cloud.shape}: expected (points, 3)"
            )
        cloud = resample(cloud, count)
        if len(cloud) and np.isfinite(pedestrian.center).all() and np.isfinite(pedestrian.size).all():
            clouds[row] = cloud
            has_points[row] = True
    center, size, velocity = (
        np.array([getattr(pedestrian, name) for pedestrian in pedestrians], np.float64).reshape(-1, 3)[has_points]
        for name in ("center", "size", "velocity")
    )
    return *points_where(has_points, clouds[has_points], center, size, velocity, preprocessing), has_points


def points_where(
    there: Bool, clouds: Float32, center: Float64, size: Float64, velocity: Float64, preprocessing: Preprocessing
) -> tuple[Float32, LidarViews]:
    """Points (B, N, 3 or 7) and pictures of B samples: of those that are ``there`` (B,) as :func:`prepare_points` and
    :func:`lidar_views` make them of their clouds, boxes and velocities; zeros of the others."""
    made = np.zeros((len(there), preprocessing.points, preprocessing.point_values), np.float32)
    side, height, width = preprocessing.depth_size, preprocessing.silhouette_height, preprocessing.silhouette_width
    views = LidarViews(*(np.zeros((len(made), *shape), np.uint8) for shape in ((side, side), (height, width))))
    if there.any():
        made[there] = prepare_points(clouds, center, size, velocity, preprocessing)
        seen = lidar_views(clouds, center, size, preprocessing, preprocessing.silhouettes)
        views.depth_maps[there], views.silhouettes[there] = seen.depth_maps, seen.silhouettes
    return made, views


def resample(cloud: Float32, count: int) -> Float32:
    """Exactly ``count`` of a cloud's finite points (P, 3), evenly picked or repeated; (0, 3) when none is finite."""
    if not np.isfinite(cloud.sum()):
        cloud = cloud[np.isfinite(cloud).all(axis=1)]
    if len(cloud) in (0, count):
        return cloud
    return cloud[np.arange(count) * len(cloud) // count]


def prepare_points(
    points: Float32, center: Float64, size: Float64, velocity: Float64, preprocessing: Preprocessing
) -> Float32:
    """Clouds as the network takes them: moved to the pedestrian's feet and turned about z, in metres (height is part of a gait).

    Args:
        points: (B, N, 3) float32 m, LiDAR frame.
        center, size: (B, 3) m, box of the pedestrian in the LiDAR frame.
        velocity: (B, 3) m/s; used by "heading" only. Who stands is turned as by "ray".
        preprocessing: the axes, and whether ``view_coordinates`` are asked for.

    Returns:
        (B, N, 3) float32: x and y in m relative to the mean of the points, z in m above the ground; or (B, N, 7): then
        column and row of :func:`crop_coordinates`, cosine and sine of the direction of sight.
    """
    origin, angle = cloud_axes(points, center, size, velocity, preprocessing.points_frame)
    turned = into_axes(points, origin, angle)
    if not preprocessing.view_coordinates:
        return turned
    sight = np.arctan2(center[:, 1], center[:, 0]) - angle
    direction = np.stack([np.cos(sight), np.sin(sight)], axis=-1).astype(np.float32)
    everywhere = np.broadcast_to(direction[:, None], (*points.shape[:2], 2))
    return np.concatenate([turned, crop_coordinates(points, center, size), everywhere], axis=-1)


def crop_coordinates(points: Float32, center: Float64, size: Float64) -> Float32:
    """Where points (B, N, 3) of the LiDAR frame lie in the crop around their box, seen from the LiDAR.

    The crop is cut around the box and as high as it, whatever the range. So this is in box heights: column to the right of
    the box's middle, row upward from its bottom. A camera some decimetres beside the LiDAR sees a pedestrian at 10 m or more
    from practically the same direction.

    Returns:
        (B, N, 2) float32 column, row.
    """
    bottom = center - np.array([0.0, 0.0, 0.5]) * size
    seen = into_axes(points, bottom, np.arctan2(center[:, 1], center[:, 0]))
    height = np.maximum(size[:, 2], 1e-3).astype(np.float32)[:, None]
    return np.stack([-seen[..., 1] / height, seen[..., 2] / height], axis=-1)


def cloud_axes(
    points: Float32, center: Float64, size: Float64, velocity: Float64, points_frame: str
) -> tuple[Float64, Float64]:
    """Origin (B, 3) in m and angle (B,) in rad about z that :func:`prepare_points` moves and turns each cloud by."""
    origin = points.mean(axis=1, dtype=np.float64)
    origin[:, 2] = center[:, 2] - size[:, 2] / 2
    if points_frame == "sensor":
        return origin, np.zeros(len(points))
    angle = np.arctan2(center[:, 1], center[:, 0])
    if points_frame == "heading":
        walking = np.nan_to_num(np.hypot(velocity[:, 0], velocity[:, 1])) >= STANDING_M_S
        angle = np.where(walking, np.arctan2(velocity[:, 1], velocity[:, 0]), angle)
    return origin, angle


def into_axes(points: Float32, origin: Float64, angle: Float64) -> Float32:
    """(B, N, 3) points of the LiDAR frame in the axes of :func:`cloud_axes`."""
    local = points - origin[:, None].astype(np.float32)
    cos, sin = (f(angle).astype(np.float32)[:, None] for f in (np.cos, np.sin))
    x, y = local[..., 0], local[..., 1]
    return np.stack([cos * x + sin * y, cos * y - sin * x, local[..., 2]], axis=-1)
