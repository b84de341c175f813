"""PointCloud2 messages to numpy arrays and back: same names, arguments and results as upstream's module.

Like upstream, wrong use raises ``AssertionError``. Unlike upstream, reading a cloud of the other byte order leaves the
message as it was.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

__all__ = ["create_cloud", "create_cloud_xyz32", "dtype_from_fields", "read_points", "read_points_numpy"]

DUMMY_FIELD_PREFIX = "unnamed_field"

_NUMBER_TYPES = {
    PointField.INT8: np.dtype(np.int8),
    PointField.UINT8: np.dtype(np.uint8),
    PointField.INT16: np.dtype(np.int16),
    PointField.UINT16: np.dtype(np.uint16),
    PointField.INT32: np.dtype(np.int32),
    PointField.UINT32: np.dtype(np.uint32),
    PointField.FLOAT32: np.dtype(np.float32),
    PointField.FLOAT64: np.dtype(np.float64),
}


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise AssertionError(sentence)


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype[Any]:
    """The structured dtype of one point.

    Args:
        fields: a field of ``count`` n > 1 becomes n entries ``name_0`` ... ``name_{n-1}``; one without a name is called
            ``unnamed_field_{position}``.
        point_step: bytes of a point; by default up to the end of the last field.
    """
    layout: dict[str, tuple[str, int]] = {}
    for position, field in enumerate(fields):
        _require(field.count > 0, f"field '{field.name}' has count 0: expected 1 or more")
        name, number_type = field.name or f"{DUMMY_FIELD_PREFIX}_{position}", _NUMBER_TYPES[field.datatype]
        for k in range(field.count):
            entry = name if field.count == 1 else f"{name}_{k}"
            _require(entry not in layout, f"the field name '{entry}' occurs twice")
            layout[entry] = (number_type.str, field.offset + k * number_type.itemsize)
    description: dict[str, Any] = {
        "names": list(layout),
        "formats": [number_format for number_format, _ in layout.values()],
        "offsets": [offset for _, offset in layout.values()],
    }
    if point_step is not None:
        description["itemsize"] = point_step
    return np.dtype(description)


def read_points(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray[Any, Any]:
    """The points of a cloud as a structured array, a view of the message's data where nothing has to be changed.

    Args:
        cloud: the message.
        field_names: the fields to keep, in this order; None: all.
        skip_nans: leave out points with a NaN in a kept field, unless the cloud says it is dense.
        uvs: indices of the points to keep, after NaNs were left out.
        reshape_organized_cloud: return (width, height) instead of (width * height,) for a cloud of several rows.
    """
    _require(isinstance(cloud, PointCloud2), f"expected a sensor_msgs.msg.PointCloud2, not a {type(cloud).__name__}")
    dtype = dtype_from_fields(cloud.fields, cloud.point_step)
    foreign_order = bool(cloud.is_bigendian) != (sys.byteorder == "big")
    points: np.ndarray[Any, Any] = np.ndarray(
        (cloud.width * cloud.height,), dtype.newbyteorder() if foreign_order else dtype, cloud.data
    )
    if foreign_order:
        points = points.astype(dtype)
    if field_names is not None:
        missing = [name for name in field_names if name not in points.dtype.names]
        _require(
            not missing, f"the cloud has no field {', '.join(missing)}: its fields are {', '.join(points.dtype.names)}"
        )
        points = points[list(field_names)]
    if skip_nans and not cloud.is_dense:
        points = points[~np.any([np.isnan(points[name]) for name in points.dtype.names], axis=0)]
    if uvs is not None:
        points = points[uvs if isinstance(uvs, np.ndarray) else np.fromiter(uvs, int)]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.width, cloud.height)
    return points


def read_points_numpy(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray[Any, Any]:
    """As ``read_points``, as a plain (..., fields) array: for clouds whose kept fields all have one datatype."""
    others = {f.datatype for f in cloud.fields[1:] if field_names is None or f.name in field_names}
    _require(
        not others - {cloud.fields[0].datatype},
        "the fields have different datatypes: use read_points() for such clouds",
    )
    return structured_to_unstructured(read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud))


def create_cloud(
    header: Header, fields: Sequence[PointField], points: Any, point_step: int | None = None
) -> PointCloud2:
    """A PointCloud2 from points.

    Args:
        header: the cloud's header.
        fields: layout of a point.
        points: (N, fields) or (width, height, fields) array, a structured array of exactly this layout, (N,) or
            (width, height), or a sequence of sequences, one a point.
        point_step: bytes of a point; by default up to the end of the last field.
    """
    dtype = dtype_from_fields(fields, point_step)
    if not isinstance(points, np.ndarray):
        points = np.array([tuple(point) for point in points], dtype=dtype)
    elif points.dtype.names is None:
        same = len({field.datatype for field in fields}) == 1
        _require(same, "the fields have different datatypes: pass a structured array of that layout")
        points = unstructured_to_structured(points, dtype=dtype)
    else:
        _require(points.dtype == dtype, f"the array's layout is {points.dtype}, but the fields say {dtype}")
    _require(points.ndim <= 2, f"the points have {points.ndim} dimensions: expected (N,) or (width, height)")
    width = points.shape[0]
    cloud = PointCloud2(
        header=header,
        height=points.shape[1] if points.ndim == 2 else 1,
        width=width,
        fields=fields,
        is_dense=False,
        is_bigendian=sys.byteorder == "big",
        point_step=dtype.itemsize,
        row_step=dtype.itemsize * width,
    )
    # Assigning anything but an array.array makes rclpy check and copy byte by byte.
    cloud.data = array.array("B", points.tobytes())
    return cloud


def create_cloud_xyz32(header: Header, points: Any) -> PointCloud2:
    """A PointCloud2 of float32 x, y, z from (N, 3) or (width, height, 3) points."""
    fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate("xyz")]
    return create_cloud(header, fields, points)
