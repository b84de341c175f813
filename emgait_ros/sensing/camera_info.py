"""sensor_msgs/CameraInfo to a camera model, as calibration tools and drivers fill it in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from emgait_ros.samples import CameraModel, Float64
from emgait_ros.sensing.conversions import Note, rigid_transform, unnoted

# distortion model -> numbers of coefficients it may have, in OpenCV's order
_DISTORTIONS: dict[str, tuple[int, ...]] = {
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (4,),
}
_MODEL_NAMES = {
    "fisheye": "equidistant",
    "kannala_brandt": "equidistant",
    "brown_conrady": "plumb_bob",
    "radtan": "plumb_bob",
}
_PINHOLES = ("", "none", "pinhole", "perspective", "rectilinear")  # say nothing of the distortion


def is_rectified(image_topic: str) -> bool:
    """Whether the name says that images are rectified, as ROS names them: image_rect, image_rect_color, left/rect/image, or image_rectified."""
    return not {"rect", "rectified"}.isdisjoint(re.split("[/_]", image_topic))


def camera_from_info(
    info: Any, T_camera_lidar: Float64, image_shape: Sequence[int], note: Note = unnoted, rectified: bool = False
) -> CameraModel:
    """Calibration of an image from its sensor_msgs/CameraInfo; binning and region of interest are applied.

    Args:
        info: the CameraInfo.
        T_camera_lidar: (4, 4), LiDAR to the camera's optical frame, m.
        image_shape: shape of the image it is used with, (H, W, ...).
        note: given a sentence on what is wrong in the CameraInfo but can be read in only one way.
        rectified: the image is; where the CameraInfo is that of the raw one, its P says how it projects.

    Raises:
        ValueError: uncalibrated, made for another image size, unknown distortion, or no rigid transform.
    """
    K = np.array(info.k, dtype=np.float64).reshape(3, 3)
    if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise ValueError(
            f"CameraInfo is uncalibrated (fx {K[0, 0]:g}, fy {K[1, 1]:g}): calibrate the camera or publish its K"
        )
    K[2] = 0.0, 0.0, 1.0
    binning = (max(int(info.binning_x), 1), max(int(info.binning_y), 1))
    full = (int(info.width), int(info.height))
    if full == (0, 0) and binning == (1, 1) and _is_central(K, image_shape):
        full = (int(image_shape[1]), int(image_shape[0]))
        note(f"CameraInfo gives no width and height: taken from the image, {full[0]} x {full[1]}")
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
    model, coefficients = _distortion(info, note)
    if rectified and len(coefficients):
        P = np.array(info.p, dtype=np.float64).reshape(3, 4)[:, :3]
        K = P if P[0, 0] > 0 and P[1, 1] > 0 and np.isfinite(P).all() else K
        model, coefficients = "plumb_bob", np.empty(0)
    K[0, 2] -= int(info.roi.x_offset)
    K[1, 2] -= int(info.roi.y_offset)
    K[0] /= binning[0]
    K[1] /= binning[1]
    return CameraModel(width, height, K, coefficients, model, rigid_transform(T_camera_lidar, "T_camera_lidar"))


def _is_central(K: Float64, image_shape: Sequence[int]) -> bool:
    """Whether the principal point lies where it does in an image of that size."""
    x, y = K[0, 2] / image_shape[1], K[1, 2] / image_shape[0]
    return bool(abs(x - 0.5) < 0.15 and abs(y - 0.5) < 0.15)


def _distortion(info: Any, note: Note) -> tuple[str, Float64]:
    """Model and coefficients as OpenCV takes them: without surplus zeros; the number may correct the model."""
    found = np.array(info.d, dtype=np.float64)
    said = str(info.distortion_model)
    name = said.strip().lower().replace("-", "_").replace(" ", "_")
    model = _MODEL_NAMES.get(name, name)
    used = int(np.flatnonzero(found)[-1]) + 1 if found.any() else 0
    if model in ("plumb_bob", "rational_polynomial", *_PINHOLES) and not used:
        return "plumb_bob", np.empty(0)
    if model == "equidistant" and not used:
        return model, np.zeros(4)
    if name in ("", "pinhole") and len(found) in (5, 8, 12, 14):  # four could be of a fisheye lens as well
        model = "plumb_bob" if len(found) == 5 else "rational_polynomial"
    if model not in _DISTORTIONS:
        raise ValueError(
            f"CameraInfo's distortion_model '{said}' is unknown for {len(found)} coefficients: known are "
            f"{', '.join(_DISTORTIONS)}; images that are rectified already have none"
        )
    if len(found) in _DISTORTIONS[model] and np.isfinite(found).all():
        return model, found
    kinds = (model,) if model == "equidistant" else (model, "plumb_bob", "rational_polynomial")
    for kind in kinds if np.isfinite(found).all() else ():
        for count in _DISTORTIONS[kind]:
            if used <= count <= len(found):
                note(
                    f"CameraInfo has {len(found)} distortion coefficients for '{said}': the first {count} are used, as {kind}"
                )
                return kind, found[:count]
    expected = " or ".join(map(str, _DISTORTIONS[model]))
    raise ValueError(
        f"CameraInfo has {len(found)} distortion coefficients for '{said}': expected {expected} finite ones"
    )
