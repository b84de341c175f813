"""Message fields to arrays, without ROS.

Works on anything that has the fields of the ROS message: what rclpy receives (``data`` is an ``array.array``) and what
``rosbags`` reads (``data`` is a numpy array). Wrong messages raise ``ValueError`` with a sentence that names what is
missing; callers add the topic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from emgait_ros.samples import Float32, Float64, UInt8
from emgait_ros.sensing.image_encodings import DEPTH, SignificantBits, pixels_to_rgb

# sensor_msgs/PointField datatypes
_FLOAT_TYPES = {7: "f4", 8: "f8"}
_TYPE_NAMES = {1: "INT8", 2: "UINT8", 3: "INT16", 4: "UINT16", 5: "INT32", 6: "UINT32", 7: "FLOAT32", 8: "FLOAT64"}

_MOST_SCANS = 100  # of a JPEG; progressive ones have ten, and each costs a pass over the whole picture
_VIDEO = ("h264", "h265", "hevc", "av1", "vp9", "ffmpeg", "x264", "nvenc")

Note = Callable[[str], None]  # takes a sentence on what a message says wrongly, but can be read all the same


def unnoted(sentence: str) -> None:
    """Ignore the sentence."""


def stamp_ns(header: Any) -> int:
    """The stamp of a std_msgs/Header in ns."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def cloud_to_points(message: Any, note: Note = unnoted) -> Float32:
    """The finite points of a sensor_msgs/PointCloud2.

    x, y and z may lie at any offsets, be float32 or float64 of either byte order; the cloud may be organized and
    its rows padded. When nothing has to be changed the result is a view of the message's data.

    Args:
        message: the PointCloud2; its data decides where height, width and row_step contradict each other.
        note: given a sentence on each such contradiction.

    Returns:
        (N, 3) float32, C-contiguous, m, in the cloud's frame; NaN and infinite points are left out.

    Raises:
        ValueError: no x, y or z, another datatype, or data that the layout does not explain.
    """
    data = np.ascontiguousarray(np.frombuffer(message.data, np.uint8))
    step = int(message.point_step)
    shape, row_step = _cloud_rows(message, len(data), note)
    if shape[0] * shape[1] == 0:
        return np.empty((0, 3), np.float32)
    offsets, dtype = _xyz_layout(message.fields, step)
    if message.is_bigendian:
        if _is_little_endian(data[: row_step * shape[0]], step, offsets, dtype):
            note("the cloud says is_bigendian, but its numbers make sense as little-endian only: read as such")
        else:
            dtype = dtype.newbyteorder(">")
    points = _strided_points(data, shape, (row_step, step), offsets, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(np.add.reduce(points, axis=None))
    if np.isfinite(total):  # one pass; NaN or infinity anywhere would show in the sum
        return points
    finite = np.isfinite(points)
    keep = finite[:, 0] & finite[:, 1] & finite[:, 2]
    return points if keep.all() else points[keep]


def _cloud_rows(message: Any, size: int, note: Note) -> tuple[tuple[int, int], int]:
    """(height, width) and row_step as the ``size`` bytes of data have them: full packed rows, whatever row_step says,
    or padded ones."""
    height, width, step, row_step = (int(getattr(message, n)) for n in ("height", "width", "point_step", "row_step"))
    if height * width == 0:
        width = max(height, width)
        if size == 0:
            return (0, 0), 0
        if size != width * step:
            raise ValueError(
                f"the cloud's height is {message.height} and its width {message.width}, but its data has {size} bytes: "
                "the driver must set height 1 and width to the number of points"
            )
        note(f"the cloud's height is {message.height} and its width {message.width}: read as {width} points in one row")
        height, row_step = 1, size
    row, packed = width * step, height * width * step
    askew = (
        row_step * height != size if height > 1 else width >= 64
    )  # a row may be padded, but not by bytes for every point
    if size > packed and askew and size % (height * width) == 0 and height * width > 1:
        raise ValueError(
            f"the cloud's data has {size} bytes: {height} rows of {width} points of {step} bytes are {packed}, with row_step {row_step}; "
            f"its points seem to be {size // (height * width)} bytes: the driver's point_step, width or height is wrong"
        )
    if size == packed or (height == 1 and size > packed):
        if row_step != row:
            note(f"the cloud's row_step is {row_step} bytes, {width} points of {step} bytes are {row}: read as packed")
        return (height, width), row
    if size < packed:
        raise ValueError(
            f"the cloud's data has {size} bytes: {height} rows of {width} points of {step} bytes need {packed}; "
            "the driver's height, width or point_step is wrong"
        )
    if row_step < row:
        raise ValueError(
            f"the cloud's row_step is {row_step} bytes: {width} points of {step} bytes need {row}, and its {size} bytes of "
            f"data are not {height} packed rows either"
        )
    if size < (height - 1) * row_step + row:
        raise ValueError(
            f"the cloud's data has {size} bytes: {height} rows of {row_step} bytes need {height * row_step}"
        )
    if size not in (height * row_step, (height - 1) * row_step + row):
        raise ValueError(
            f"the cloud's data has {size} bytes: {height} rows of {row_step} bytes are {height * row_step}; "
            "the driver's row_step or height is wrong"
        )
    return (height, width), row_step


def _xyz_layout(fields: Sequence[Any], point_step: int) -> tuple[list[int], np.dtype[Any]]:
    """Byte offsets of x, y, z in a point and their common number type, little-endian; ``count`` is not looked at."""
    by_name = {field.name.lower(): field for field in reversed(fields)}  # of one name the first counts, as in PCL
    missing = [name for name in "xyz" if name not in by_name]
    if missing:
        names = ", ".join(field.name for field in fields)
        raise ValueError(f"the cloud has no field {', '.join(missing)}: its fields are {names or 'none'}")
    types = {int(by_name[name].datatype) for name in "xyz"}
    if len(types) != 1 or not types <= set(_FLOAT_TYPES):
        found = ", ".join(f"{n} {_TYPE_NAMES.get(int(by_name[n].datatype), by_name[n].datatype)}" for n in "xyz")
        raise ValueError(f"the cloud's fields are {found}: expected all FLOAT32 or all FLOAT64, in metres")
    dtype = np.dtype("<" + _FLOAT_TYPES[types.pop()])
    offsets = [int(by_name[name].offset) for name in "xyz"]
    if min(np.diff(sorted(offsets))) < dtype.itemsize:
        raise ValueError(f"the cloud's fields x, y, z lie at the offsets {offsets}: they overlap")
    if max(offsets) + dtype.itemsize > point_step:
        raise ValueError(
            f"the cloud's point_step is {point_step} bytes: x, y, z at offsets {offsets} need {max(offsets) + dtype.itemsize}"
        )
    return offsets, dtype


def _is_little_endian(data: UInt8, step: int, offsets: list[int], dtype: np.dtype[Any]) -> bool:
    """Whether a thousand coordinates are metres as little-endian numbers, and are not as big-endian ones."""
    whole = data[: len(data) // step * step].reshape(-1, step)
    some = np.ascontiguousarray(whole[:: max(len(whole) // 330, 1)])
    columns = [np.ascontiguousarray(some[:, o : o + dtype.itemsize]).view(dtype)[:, 0] for o in offsets]
    values = np.abs(np.concatenate(columns))
    little, big = (
        float(((v > 1e-4) & (v < 1e4)).sum() / max(((v != 0) & ~np.isnan(v)).sum(), 1))
        for v in (values, np.abs(np.concatenate([c.byteswap() for c in columns])))
    )
    return little > 0.9 and big < 0.5


def _strided_points(
    data: UInt8, shape: tuple[int, int], strides: tuple[int, int], offsets: list[int], dtype: np.dtype[Any]
) -> Float32:
    """(height * width, 3) float32, a view of ``data`` where that is possible."""
    gap = offsets[1] - offsets[0]
    if gap > 0 and offsets[2] - offsets[1] == gap:
        view: Any = np.ndarray((*shape, 3), dtype, data, offsets[0], (*strides, gap))
    else:
        view = np.stack([np.ndarray(shape, dtype, data, offset, strides) for offset in offsets], axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(view.reshape(-1, 3), dtype=np.float32)


def picture_to_rgb(message: Any, compressed: bool, note: Note = unnoted, bits: SignificantBits | None = None) -> UInt8:
    """A sensor_msgs/CompressedImage or Image as (H, W, 3) uint8 RGB; arguments and errors as :func:`image_to_rgb`."""
    return (compressed_to_rgb if compressed else image_to_rgb)(message, note, bits)


def image_to_rgb(message: Any, note: Note = unnoted, bits: SignificantBits | None = None) -> UInt8:
    """The pixels of a sensor_msgs/Image as (H, W, 3) uint8 RGB (a view of the data for a packed rgb8 image).

    Args:
        message: the Image.
        note: given a sentence when its fields contradict each other but can be read in only one way, or not all 16 bits are used.
        bits: of the images before it.

    Raises:
        ValueError: an encoding that is unknown or no picture, an empty image, or data that does not fit the fields.
    """
    data = np.ascontiguousarray(np.frombuffer(message.data, np.uint8))
    pixels, remark = pixels_to_rgb(
        data,
        message.encoding,
        int(message.width),
        int(message.height),
        int(message.step),
        bool(getattr(message, "is_bigendian", False)),
        bits,
    )
    if remark:
        note(remark)
    return pixels


def compressed_to_rgb(message: Any, note: Note = unnoted, bits: SignificantBits | None = None) -> UInt8:
    """Decode a sensor_msgs/CompressedImage (JPEG, PNG, WebP, ...) to (H, W, 3) uint8 RGB; arguments as :func:`image_to_rgb`.

    Raises:
        ValueError: the data is no image (a depth image, a frame of a video stream), or is cut off.
    """
    data = np.frombuffer(message.data, np.uint8)
    kind = message.format.lower()
    described = f"the compressed image (format '{message.format}', {len(data)} bytes)"
    if len(data) == 0:
        raise ValueError(f"{described} is empty")
    start = bytes(data[:4])
    if start == b"\0\0\0\1" or start[:3] == b"\0\0\1" or any(name in kind for name in _VIDEO):
        raise ValueError(
            f"{described} is a packet of a video, which cannot be decoded on its own: let the camera's driver send JPEG or "
            "raw images, or decode the video with the driver's own decoder node and use that topic"
        )
    pattern = kind.split(";")[0].strip()
    if "compresseddepth" in kind or pattern in DEPTH:
        raise ValueError(f"{described} is a depth image: choose the color image's topic")
    if start[:2] == b"\xff\xd8":
        jpeg = data.tobytes()
        # libjpeg fills what is missing with grey instead of failing: a whole JPEG ends with the marker FF D9. Webcams pad with zeros.
        if b"\xff\xd9" not in jpeg.rstrip(b"\0")[-64:]:
            raise ValueError(f"{described} is cut off: it has no end-of-image marker")
        if jpeg.count(b"\xff\xda") > _MOST_SCANS:
            raise ValueError(f"{described} is no picture of a camera: it has more than {_MOST_SCANS} scans")
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ValueError(f"{described} cannot be decoded: {error}") from error
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{described} cannot be decoded: it is no JPEG or PNG picture, or it is damaged")
    if pixels.dtype == np.uint16:
        pixels, remark = (bits or SignificantBits()).upper_eight(np.asarray(pixels, np.uint16))
        if remark:
            note(remark)
    if pixels.ndim == 2:  # a mosaic keeps its pattern in the first word of the format
        encoding = pattern.replace("16", "8") if pattern.startswith("bayer_") else "mono8"
        return pixels_to_rgb(
            np.asarray(pixels.reshape(-1), np.uint8), encoding, pixels.shape[1], pixels.shape[0], pixels.shape[1]
        )[0]
    # The last word says in which order the encoder took the colors: with rgb8 they are swapped in the JPEG itself.
    if kind.endswith(("compressed rgb8", "compressed rgb16")):
        return np.asarray(pixels, np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


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
