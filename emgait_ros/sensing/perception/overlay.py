"""A picture that shows at a glance whether LiDAR and camera agree: boxes, projected points, names and |dt|."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from emgait_ros.samples import CameraModel, Float32, Sample, UInt8
from emgait_ros.sensing.perception.camera import box_rectangles, project

MOVING, STANDING, COASTING = (40, 220, 60), (240, 200, 40), (160, 160, 160)  # RGB
JPEG_QUALITY = 85  # text stays legible
POINT_STEP = 7  # every seventh return of the cloud is drawn
FONT = cv2.FONT_HERSHEY_SIMPLEX
BACKGROUND = (25, 25, 25)  # of labels, RGB
PADDING_PX = 3


def draw_overlay(
    image: UInt8,
    camera: CameraModel,
    pedestrians: tuple[Sample, ...],
    names: Mapping[int, str] | None = None,
    cloud: Float32 | None = None,
    image_dt_s: float = 0.0,
) -> UInt8:
    """Copy of the image with what was found drawn on it.

    Args:
        image: (H, W, 3) uint8 RGB.
        camera: its calibration with extrinsics.
        pedestrians: of the cloud that goes with the image.
        names: label by track id; the number where absent.
        cloud: (N, 3) float32 m, LiDAR frame: drawn coloured by range (a wrong calibration shows at edges).
        image_dt_s: image stamp minus cloud stamp, s.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    picture = np.ascontiguousarray(image).copy()
    if cloud is not None:
        _draw_cloud(picture, camera, cloud)
    for pedestrian in pedestrians:
        _draw_pedestrian(picture, camera, pedestrian, (names or {}).get(pedestrian.track_id, ""))
    text = f"{len(pedestrians)} pedestrians  |dt| {abs(image_dt_s) * 1e3:.0f} ms"
    write_label(picture, text, (8, 20), (255, 255, 255))
    return picture


def jpeg_of(picture: UInt8, quality: int = JPEG_QUALITY) -> UInt8:
    """(n,) bytes of a picture (H, W, 3) uint8 RGB as a JPEG file; ``quality`` 1 to 100."""
    written, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not written:
        raise ValueError(f"a picture of {picture.shape[1]} x {picture.shape[0]} pixels could not be encoded")
    return np.asarray(data, np.uint8).reshape(-1)


def _draw_cloud(picture: UInt8, camera: CameraModel, cloud: Float32) -> None:
    some = cloud[::POINT_STEP]
    pixel, valid = project(some, camera)
    valid &= (pixel >= 0).all(1) & (pixel[:, 0] < picture.shape[1] - 1) & (pixel[:, 1] < picture.shape[0] - 1)
    place = pixel[valid].astype(np.int64)
    shade = np.clip(np.hypot(some[valid, 0], some[valid, 1]) * (255 / 50), 0, 255).astype(np.uint8)
    color = cv2.applyColorMap(255 - shade.reshape(-1, 1), cv2.COLORMAP_TURBO).reshape(-1, 3)[:, ::-1]
    picture[place[:, 1], place[:, 0]] = color


def _draw_pedestrian(picture: UInt8, camera: CameraModel, pedestrian: Sample, name: str) -> None:
    shift = pedestrian.velocity * pedestrian.image_dt_s
    rectangle, visible = box_rectangles((pedestrian.center + shift)[None], pedestrian.size[None], camera)
    if not visible[0]:
        return
    left, top, right, bottom = (round(float(v)) for v in rectangle[0])
    color = COASTING if pedestrian.coasting else MOVING if pedestrian.moving else STANDING
    cv2.rectangle(picture, (left, top), (right, bottom), color, 2)
    if pedestrian.points is not None:
        pixel, valid = project(pedestrian.points + shift.astype(np.float32), camera)
        for u, v in pixel[valid].round().astype(int).tolist():
            cv2.circle(picture, (u, v), 1, color, -1)
    label = name or f"#{pedestrian.track_id}"
    write_label(picture, f"{label} {pedestrian.range_m:.0f} m", (left, max(top - 6, 14)), color)


def write_label(
    picture: UInt8, text: str, place: tuple[int, int], color: tuple[int, int, int], scale: float = 0.5
) -> None:
    """Write into a picture: ``color`` on a dark plate. (An outline does not do: OpenCV 5 spaces bold letters wider.)

    Args:
        picture: (H, W, 3) uint8 RGB, changed.
        text: what to write.
        place: left end of the base line, px; moved so that all of it lies inside the picture, where it fits.
        color: RGB.
        scale: of OpenCV's Hershey font; 0.5 is about 11 px high.
    """
    (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
    left = max(min(place[0], picture.shape[1] - width - PADDING_PX), PADDING_PX)
    bottom = max(min(place[1], picture.shape[0] - below), height + PADDING_PX)
    corners = (left - PADDING_PX, bottom - height - PADDING_PX), (left + width + PADDING_PX, bottom + below)
    cv2.rectangle(picture, *corners, BACKGROUND, -1)
    cv2.putText(picture, text, (left, bottom), FONT, scale, color, 1, cv2.LINE_AA)
