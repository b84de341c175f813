"""Message fields to arrays, without ROS.

Works on anything that has the fields of the ROS message: what rclpy receives (``data`` is an ``array.array``) and what
``rosbags`` reads (``data`` is a numpy array). Wrong messages raise ``ValueError`` with a sentence that names what is
missing; callers add the topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from emgait_ros.samples import CameraModel, Float32, Float64, UInt8

# sensor_msgs/PointField datatypes
_FLOAT_TYPES = {7: "f4", 8: "f8"}
_TYPE_NAMES = {1: "INT8", 2: "UINT8", 3: "INT16", 4: "UINT16", 5: "INT32", 6: "UINT32", 7: "FLOAT32", 8: "FLOAT64"}

# encoding -> (channels a pixel, OpenCV conversion to RGB or None)
_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "8UC3": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "8UC4": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    # OpenCV names a Bayer pattern after its second row: its BG is the RGGB of everybody else.
    "bayer_rggb8": (1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2RGB),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
}

# distortion model -> numbers of coefficients it may have
_DISTORTIONS: dict[str, tuple[int, ...]] = {
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (4,),
}
_DISTORTION_ALIASES = {"fisheye": "equidistant"}


def stamp_ns(header: Any) -> int:
    """The stamp of a std_msgs/Header in ns."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def cloud_to_points(message: Any) -> Float32:
    """The finite points of a sensor_msgs/PointCloud2.

    x, y and z may lie at any offsets, be float32 or float64 of either byte order; the cloud may be organised and
    its rows padded. When nothing has to be changed the result is a view of the message's data.

    Returns:
        (N, 3) float32, C-contiguous, m, in the cloud's frame; NaN and infinite points are left out.

    Raises:
        ValueError: no x, y or z, another datatype, or data shorter than the layout says.
    """
    height, width = int(message.height), int(message.width)
    if height * width == 0:
        return np.empty((0, 3), np.float32)
    step = int(message.point_step)
    row_step = step * width if height == 1 else int(message.row_step)
    offsets, dtype = _xyz_layout(message.fields, step, bool(message.is_bigendian))
    if row_step < step * width:
        raise ValueError(
            f"the cloud's row_step is {row_step} bytes: {width} points of {step} bytes need {step * width}"
        )
    data = np.frombuffer(message.data, np.uint8)
    if len(data) < height * row_step:
        raise ValueError(
            f"the cloud's data has {len(data)} bytes: {height} rows of {row_step} bytes ({width} points a row) need {height * row_step}"
        )
    points = _strided_points(data, (height, width), (row_step, step), offsets, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(np.add.reduce(points, axis=None))
    if np.isfinite(total):  # one pass; NaN or infinity anywhere would show in the sum
        return points
    finite = np.isfinite(points)
    keep = finite[:, 0] & finite[:, 1] & finite[:, 2]
    return points if keep.all() else points[keep]


def _xyz_layout(fields: Sequence[Any], point_step: int, big_endian: bool) -> tuple[list[int], np.dtype[Any]]:
    """Byte offsets of x, y, z in a point and their common number type."""
    by_name = {field.name: field for field in fields}
    missing = [name for name in "xyz" if name not in by_name]
    if missing:
        raise ValueError(f"the cloud has no field {', '.join(missing)}: its fields are {', '.join(by_name) or 'none'}")
    types = {int(by_name[name].datatype) for name in "xyz"}
    if len(types) != 1 or not types <= set(_FLOAT_TYPES):
        found = ", ".join(f"{n} {_TYPE_NAMES.get(int(by_name[n].datatype), by_name[n].datatype)}" for n in "xyz")
        raise ValueError(f"the cloud's fields are {found}: expected all FLOAT32 or all FLOAT64")
    dtype = np.dtype((">" if big_endian else "<") + _FLOAT_TYPES[types.pop()])
    offsets = [int(by_name[name].offset) for name in "xyz"]
    if max(offsets) + dtype.itemsize > point_step:
        raise ValueError(
            f"the cloud's point_step is {point_step} bytes: x, y, z at offsets {offsets} need {max(offsets) + dtype.itemsize}"
        )
    return offsets, dtype


def _strided_points(
    data: UInt8, shape: tuple[int, int], strides: tuple[int, int], offsets: list[int], dtype: np.dtype[Any]
) -> Float32:
    """(height * width, 3) float32, a view of ``data`` where that is possible."""
    gap = offsets[1] - offsets[0]
    buffer = np.ascontiguousarray(data).data
    if gap > 0 and offsets[2] - offsets[1] == gap:
        view: Any = np.ndarray((*shape, 3), dtype, buffer, offsets[0], (*strides, gap))
    else:
        view = np.stack([np.ndarray(shape, dtype, buffer, offset, strides) for offset in offsets], axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(view.reshape(-1, 3), dtype=np.float32)


def image_to_rgb(message: Any) -> UInt8:
    """The pixels of a sensor_msgs/Image as (H, W, 3) uint8 RGB (a view of the data for an unpadded rgb8 image).

    Raises:
        ValueError: unknown encoding, an empty image, a step too small for the width, or too little data.
    """
    encoding, height, width, step = message.encoding, int(message.height), int(message.width), int(message.step)
    if encoding not in _ENCODINGS:
        raise ValueError(f"image encoding '{encoding}' is unknown: known are {', '.join(_ENCODINGS)}")
    if height * width == 0:
        raise ValueError(f"the image is empty: {width} x {height} pixels")
    channels, conversion = _ENCODINGS[encoding]
    if step < width * channels:
        raise ValueError(f"the image's step is {step} bytes: {width} {encoding} pixels need {width * channels}")
    data = np.frombuffer(message.data, np.uint8)
    needed = (height - 1) * step + width * channels
    if len(data) < needed:
        raise ValueError(
            f"the image's data has {len(data)} bytes: {width} x {height} {encoding} pixels with step {step} need {needed}"
        )
    subsampled = encoding.startswith(("yu", "uy"))
    if subsampled and width % 2:
        raise ValueError(f"the image is {width} pixels wide: {encoding} needs an even width")
    if encoding.startswith("bayer") and (height < 2 or width < 2):
        raise ValueError(f"the image is {width} x {height} pixels: {encoding} needs at least 2 x 2")
    pixels = np.ndarray((height, width, channels), np.uint8, np.ascontiguousarray(data).data, 0, (step, channels, 1))
    pixels = np.ascontiguousarray(pixels)
    if conversion is None:
        return pixels
    return np.asarray(cv2.cvtColor(pixels[:, :, 0] if channels == 1 else pixels, conversion), np.uint8)


def compressed_to_rgb(message: Any) -> UInt8:
    """Decode a sensor_msgs/CompressedImage (JPEG, PNG, ...) to (H, W, 3) uint8 RGB.

    Raises:
        ValueError: the data is no image or is cut off.
    """
    data = np.frombuffer(message.data, np.uint8)
    described = f"the compressed image (format '{message.format}', {len(data)} bytes)"
    if len(data) == 0:
        raise ValueError(f"{described} is empty")
    # libjpeg fills what is missing with grey instead of failing: a whole JPEG ends with the marker FF D9.
    if bytes(data[:2]) == b"\xff\xd8" and b"\xff\xd9" not in bytes(data[-64:]):
        raise ValueError(f"{described} is cut off: it has no end-of-image marker")
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ValueError(f"{described} cannot be decoded: {error}") from error
    if pixels is None:
        raise ValueError(f"{described} cannot be decoded: it is no JPEG or PNG picture, or it is damaged")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def camera_from_info(info: Any, T_camera_lidar: Float64, image_shape: Sequence[int]) -> CameraModel:
    """Calibration of an image from its sensor_msgs/CameraInfo; binning and region of interest are worked in.

    Args:
        info: the CameraInfo.
        T_camera_lidar: (4, 4), LiDAR to the camera's optical frame, m.
        image_shape: shape of the image it is used with, (H, W, ...).

    Raises:
        ValueError: uncalibrated, made for another image size, unknown distortion, or no rigid transform.
    """
    K = np.array(info.k, dtype=np.float64).reshape(3, 3)
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise ValueError(
            f"CameraInfo is uncalibrated (fx {K[0, 0]:g}, fy {K[1, 1]:g}): calibrate the camera or publish its K"
        )
    binning = (max(int(info.binning_x), 1), max(int(info.binning_y), 1))
    full = (int(info.width), int(info.height))
    region = (int(info.roi.width) or full[0], int(info.roi.height) or full[1])
    width, height = region[0] // binning[0], region[1] // binning[1]
    if (width, height) != (int(image_shape[1]), int(image_shape[0])):
        of = (
            ""
            if region == full and binning == (1, 1)
            else f" ({full[0]} x {full[1]} with its binning and region of interest)"
        )
        raise ValueError(
            f"the image is {image_shape[1]} x {image_shape[0]} pixels, but its CameraInfo is for {width} x {height}{of}: "
            "is it the CameraInfo of this image topic?"
        )
    K[0, 2] -= int(info.roi.x_offset)
    K[1, 2] -= int(info.roi.y_offset)
    K[0] /= binning[0]
    K[1] /= binning[1]
    model, coefficients = _distortion(info)
    return CameraModel(width, height, K, coefficients, model, rigid_transform(T_camera_lidar, "T_camera_lidar"))


def _distortion(info: Any) -> tuple[str, Float64]:
    coefficients = np.array(info.d, dtype=np.float64)
    model = _DISTORTION_ALIASES.get(info.distortion_model, info.distortion_model)
    if model in ("", "none") and not coefficients.any():
        return "plumb_bob", np.empty(0)
    if model not in _DISTORTIONS:
        raise ValueError(f"CameraInfo's distortion_model '{model}' is unknown: known are {', '.join(_DISTORTIONS)}")
    allowed = _DISTORTIONS[model]
    if len(coefficients) not in allowed or not np.isfinite(coefficients).all():
        raise ValueError(
            f"CameraInfo has {len(coefficients)} distortion coefficients for '{model}': expected {' or '.join(map(str, allowed))} finite ones"
        )
    if model != "equidistant" and not coefficients.any():
        return model, np.empty(0)
    return model, coefficients


def rigid_transform(matrix: Any, name: str) -> Float64:
    """Check and return a (4, 4) float64 rigid transform, given as 4x4 or as 16 row-major numbers.

    Raises:
        ValueError: another size, not finite, or not a rotation and a translation.
    """
    transform = np.asarray(matrix, dtype=np.float64)
    if transform.size != 16:
        raise ValueError(f"{name} has {transform.size} numbers: expected 16 (4x4, row-major)")
    transform = transform.reshape(4, 4)
    rotation = transform[:3, :3]
    rigid = (
        np.isfinite(transform).all()
        and np.allclose(transform[3], (0, 0, 0, 1), atol=1e-6)
        and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-2)
        and np.linalg.det(rotation) > 0
    )
    if not rigid:
        raise ValueError(
            f"{name} is no rigid transform: its rotation must be orthonormal and its last row 0 0 0 1, found {transform.tolist()}"
        )
    return transform
