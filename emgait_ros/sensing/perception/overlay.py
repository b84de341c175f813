"""A picture that shows at a glance whether LiDAR and camera agree: boxes, projected points, names and |dt|."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from emgait_ros.samples import CameraModel, Float32, Sample, UInt8
from emgait_ros.sensing.perception.camera import box_rectangles, project
from emgait_ros.sensing.perception.labels import write_label

MOVING, STANDING, COASTING = (40, 220, 60), (240, 200, 40), (160, 160, 160)  # RGB
JPEG_QUALITY = 85  # text stays legible
POINT_STEP = 7  # every seventh return of the cloud is drawn


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
