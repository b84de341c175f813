"""Pixels of sensor_msgs/Image to RGB: the encodings of sensor_msgs/image_encodings.hpp that show a scene in color or grey."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import UInt8

DEPTH = ("16uc1", "16sc1", "32sc1", "32fc1", "64fc1")
# YUV of video (BT.601, 16 to 235) to RGB, as OpenCV does it for the subsampled encodings
VIDEO_YUV_TO_RGB = np.array(
    [[1.164, 0.0, 1.596, -222.912], [1.164, -0.392, -0.813, 135.616], [1.164, 2.017, 0.0, -276.8]]
)


@dataclass(frozen=True)
class _Packed:
    """An encoding with whole pixels one after another: values a pixel, bytes a value, OpenCV conversion to RGB or None."""

    channels: int
    conversion: int | None
    depth: int = 1

    @property
    def pixel_bytes(self) -> int:
        return self.channels * self.depth


_PACKED: dict[str, _Packed] = {
    "rgb8": _Packed(3, None),
    "bgr8": _Packed(3, cv2.COLOR_BGR2RGB),
    "8uc3": _Packed(3, cv2.COLOR_BGR2RGB),
    "rgba8": _Packed(4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Packed(4, cv2.COLOR_BGRA2RGB),
    "8uc4": _Packed(4, cv2.COLOR_BGRA2RGB),
    "mono8": _Packed(1, cv2.COLOR_GRAY2RGB),
    "8uc1": _Packed(1, cv2.COLOR_GRAY2RGB),
    "rgb16": _Packed(3, None, 2),
    "bgr16": _Packed(3, cv2.COLOR_BGR2RGB, 2),
    "rgba16": _Packed(4, cv2.COLOR_RGBA2RGB, 2),
    "bgra16": _Packed(4, cv2.COLOR_BGRA2RGB, 2),
    "mono16": _Packed(1, cv2.COLOR_GRAY2RGB, 2),
    # OpenCV names a Bayer pattern after its second row: its BG is the RGGB of everybody else.
    "bayer_rggb8": _Packed(1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": _Packed(1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": _Packed(1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": _Packed(1, cv2.COLOR_BayerGB2RGB),
    "bayer_rggb16": _Packed(1, cv2.COLOR_BayerBG2RGB, 2),
    "bayer_bggr16": _Packed(1, cv2.COLOR_BayerRG2RGB, 2),
    "bayer_gbrg16": _Packed(1, cv2.COLOR_BayerGR2RGB, 2),
    "bayer_grbg16": _Packed(1, cv2.COLOR_BayerGB2RGB, 2),
    "uyvy": _Packed(2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": _Packed(2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": _Packed(2, cv2.COLOR_YUV2RGB_YUY2),
    "yuv422_yuy2": _Packed(2, cv2.COLOR_YUV2RGB_YUY2),
}
# A plane of Y, then one of UV (or VU) pairs for 2 x 2 pixels, both with the message's step.
_HALF_CHROMA = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
KNOWN = (*_PACKED, *_HALF_CHROMA, "nv24")


class SignificantBits:
    """How many of 16 bits the images of one camera use: of 10, 12, 14 and 16 the fewest that hold the brightest value.

    Drivers of 12-bit cameras fill the lower bits as they come, and nothing in the message says so. The first image decides.
    The number never falls, because a scene that is darker now would look as bright as before. It rises when ``IN_A_ROW`` images
    in a row need more bits; until then what is brighter is white. So one damaged image changes nothing.
    """

    IN_A_ROW = 3

    def __init__(self) -> None:
        self.bits = 0
        self._brighter = 0

    def upper_eight(self, values: NDArray[np.uint16]) -> tuple[UInt8, str]:
        """The upper 8 of the significant bits, and a remark when these are not all 16."""
        brightest = int(values.max(initial=0))
        needed = next(bits for bits in (10, 12, 14, 16) if brightest >> bits == 0)
        self._brighter = self._brighter + 1 if needed > self.bits else 0
        if self._brighter and (not self.bits or self._brighter >= self.IN_A_ROW):
            self.bits, self._brighter = needed, 0
        remark = f"its values use {self.bits} of 16 bits: read as {self.bits} bits"
        seen = values >> (self.bits - 8)
        return np.minimum(seen, 255).astype(np.uint8), remark if self.bits < 16 else ""


def pixels_to_rgb(
    data: UInt8,
    encoding: str,
    width: int,
    height: int,
    step: int,
    big_endian: bool = False,
    bits: SignificantBits | None = None,
) -> tuple[UInt8, str]:
    """Decode the data of a sensor_msgs/Image; the arguments are its fields, and ``bits`` what is known of the images before it.

    Returns:
        (H, W, 3) uint8 RGB, a view of the data for a packed rgb8 image, and a remark when fields contradict each other
        but allow only one reading, or not all bits are used.

    Raises:
        ValueError: the encoding is no picture, the image is empty, or data and fields do not fit.
    """
    kind = encoding.lower()
    if kind in DEPTH:
        raise ValueError(f"image encoding '{encoding}' is a depth image: choose the color image's topic")
    if kind not in KNOWN:
        known = ", ".join(name.replace("uc", "UC") for name in KNOWN)
        raise ValueError(f"image encoding '{encoding}' is unknown: known are {known}")
    if height * width == 0:
        raise ValueError(f"the image is empty: {width} x {height} pixels")
    if kind in _HALF_CHROMA:
        return _half_chroma(data, kind, width, height, step)
    if kind == "nv24":
        return _full_chroma(data, width, height, step)
    packed = _PACKED[kind]
    if kind.startswith(("yu", "uy")) and width % 2:
        raise ValueError(f"the image is {width} pixels wide: {encoding} needs an even width")
    if kind.startswith("bayer") and (height < 2 or width < 2):
        raise ValueError(f"the image is {width} x {height} pixels: {encoding} needs at least 2 x 2")
    row = width * packed.pixel_bytes
    stride, remark = _stride(data, kind, (width, height), step, row, height)
    rows = np.ndarray((height, width, packed.pixel_bytes), np.uint8, data, 0, (stride, packed.pixel_bytes, 1))
    pixels = np.ascontiguousarray(rows)
    if packed.depth == 2:
        pixels, unused = (bits or SignificantBits()).upper_eight(pixels.view(">u2" if big_endian else "<u2"))
        remark = remark or unused
    if packed.conversion is None:
        return pixels, remark
    return np.asarray(cv2.cvtColor(pixels[:, :, 0] if packed.channels == 1 else pixels, packed.conversion)), remark


def _stride(
    data: UInt8, encoding: str, size: tuple[int, int], step: int, row: int, rows: int, needed: int | None = None
) -> tuple[int, str]:
    """Bytes from row to row: the step, unless the data has exactly what packed rows take; and a remark on that.

    Args:
        row, rows: bytes of a row, and rows of the buffer, which has more of them than the image when it has planes.
        needed: bytes that the step asks for; by default that of full rows, the last without padding.
    """
    exact = row * rows
    if len(data) == exact:
        remark = f"the image's step is {step} bytes, but its data is that of packed rows of {row} bytes: read as such"
        return row, remark if step != row else ""
    described = f"{size[0]} x {size[1]} {encoding} pixels"
    if step < row:
        raise ValueError(f"the image's step is {step} bytes: {described} need {row}, and {exact} bytes of data")
    needed = (rows - 1) * step + row if needed is None else needed
    if len(data) < needed:
        raise ValueError(f"the image's data has {len(data)} bytes: {described} with step {step} need {needed}")
    return step, ""


def _half_chroma(data: UInt8, encoding: str, width: int, height: int, step: int) -> tuple[UInt8, str]:
    """NV12 and NV21. Drivers give the image's height, or (wrongly) that of the buffer, which is half as much again."""
    remark = ""
    row, rows = width + width % 2, height + (height + 1) // 2
    if height % 3 == 0 and len(data) in (step * height, width * height) and len(data) < row * rows:
        height = height // 3 * 2
        remark = f"the height of the {encoding} image is that of its buffer: read as {width} x {height} pixels"
        rows = height + height // 2
    stride, more = _stride(data, encoding, (width, height), step, row, rows)
    brightness = np.ndarray((height, width), np.uint8, data, 0, (stride, 1))
    chroma = np.ndarray((rows - height, row // 2, 2), np.uint8, data, height * stride, (stride, 2, 1))
    odd = ((0, height % 2), (0, width % 2))
    if height % 2 or width % 2:
        brightness = np.pad(brightness, odd, "edge")
    rgb = cv2.cvtColorTwoPlane(np.ascontiguousarray(brightness), np.ascontiguousarray(chroma), _HALF_CHROMA[encoding])
    return np.ascontiguousarray(rgb[:height, :width], np.uint8), remark or more


def _full_chroma(data: UInt8, width: int, height: int, step: int) -> tuple[UInt8, str]:
    """NV24: a UV pair for every pixel, in rows of twice the step."""
    stride, remark = _stride(data, "nv24", (width, height), step, width, 3 * height, 3 * height * step)
    brightness = np.ndarray((height, width, 1), np.uint8, data, 0, (stride, 1, 1))
    chroma = np.ndarray((height, width, 2), np.uint8, data, height * stride, (2 * stride, 2, 1))
    return np.asarray(cv2.transform(np.concatenate([brightness, chroma], axis=2), VIDEO_YUV_TO_RGB), np.uint8), remark
