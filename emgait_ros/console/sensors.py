"""The pictures a console shows: newest camera image and cloud as they came, encoded when a page asks for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from emgait_ros.console.pictures import boxes_in, places_of, seen_from_above, small_jpeg_of
from emgait_ros.recordings.serialized_header import frame_of, stamp_of
from emgait_ros.samples import UInt8
from emgait_ros.sensing.camera_calibration import CameraCalibration
from emgait_ros.sensing.conversions import cloud_to_points, picture_to_rgb, stamp_ns
from emgait_ros.sensing.frames import Lookup
from emgait_ros.sensing.image_encodings import SignificantBits

KEPT_S, KEPT_EVERY_S, KEPT = 3.0, 0.09, 14  # raw images wait for the answer about the cloud they go with
SILENT_S = 3.0
FARTHEST_NS = 400_000_000  # from a picture to an answer whose boxes are drawn in it


@dataclass(frozen=True)
class Picture:
    """A camera picture for the page.

    Attributes:
        jpeg: its bytes.
        boxes: by (tracker, track): left, top, width, height as parts of the picture.
        why_no_boxes: a sentence; empty when boxes could be placed.
    """

    jpeg: bytes
    boxes: list[dict[str, Any]]
    why_no_boxes: str


class Sensors:
    """Keeps serialized messages, and decodes only what is shown. Taking is for the ROS thread, showing for one other.

    Args:
        decode: from serialized bytes and a message class to the message.
        width: pictures are made smaller to, px.

    Attributes:
        image_topic, image_type, cloud_topic, cloud_type: what is listened to; an empty topic: nothing.
        cloud_offset_s, image_offset_s: what the tracker adds to stamps.
        frame: of the clouds; empty until one has come.
    """

    def __init__(self, decode: Callable[[bytes, Any], Any], width: int) -> None:
        self._decode, self._width = decode, width
        self._images: deque[tuple[float, bytes]] = deque()
        self._cloud: tuple[float, bytes] | None = None
        self._shown_image = self._shown_cloud = b""
        self._calibration: CameraCalibration | None = None
        self._info: Any = None
        self._bits = SignificantBits()
        self.image_type: Any = None
        self.cloud_type: Any = None
        self.image_topic = self.cloud_topic = self.frame = ""
        self.cloud_offset_s = self.image_offset_s = 0.0

    # In the ROS thread.

    def calibrate(self, lookup: Lookup, no_tf: str, info_topic: str, T_camera_lidar: tuple[float, ...]) -> None:
        """Use these extrinsics, or TF where there are none. ValueError: no rigid transform."""
        self._calibration = CameraCalibration(lookup, no_tf, info_topic, image_topic=self.image_topic)
        self._calibration.info = self._info
        self._calibration.configure(T_camera_lidar)

    def take_image(self, raw: bytes) -> None:
        """A serialized image; about ten a second are kept, 14 at most."""
        now_s = time.monotonic()
        if self._images and now_s - self._images[-1][0] < KEPT_EVERY_S:
            return
        self._images.append((now_s, raw))
        while now_s - self._images[0][0] > KEPT_S or len(self._images) > KEPT:
            self._images.popleft()

    def take_cloud(self, raw: bytes) -> None:
        """A serialized cloud; the newest is kept."""
        self._cloud = (time.monotonic(), raw)
        self.frame = frame_of(raw)

    def take_camera_info(self, message: Any) -> None:
        """The sensor_msgs/CameraInfo of the images."""
        self._info = message
        if self._calibration is not None:
            self._calibration.info = message

    def forget(self, images: bool, clouds: bool) -> None:
        """Nobody looks any more: let go of what was kept."""
        if images:
            self._images.clear()
            self._shown_image = b""
        if clouds:
            self._cloud, self._shown_cloud = None, b""

    # In a thread that may take its time.

    def picture(self, heads: Sequence[dict[str, Any]]) -> Picture | str | None:
        """The image nearest to the newest answer of these heads (``View.heads``), with the boxes of all people in it.

        Returns:
            The picture; a sentence why there is none; None when there is no newer one.
        """
        kept = [(at_s, raw) for at_s, raw in list(self._images) if time.monotonic() - at_s < SILENT_S]
        if not kept:
            return (
                f"no picture comes on {self.image_topic}: people are followed without it"
                if self.image_topic
                else ("the tracker uses no camera")
            )
        try:
            answered_ns = max((head["stamp_ns"] for head in heads), default=0)
            raw = self._nearest([raw for _, raw in kept], answered_ns)
            if raw is self._shown_image:
                return None
            message = self._decode(raw, self.image_type)
            pixels = picture_to_rgb(message, self.image_type.__name__ == "CompressedImage", bits=self._bits)
            jpeg = small_jpeg_of(pixels, self._width)
        except ValueError as error:
            return f"{self.image_topic}: {error}"
        self._shown_image = raw
        boxes, why = self._boxes(message, pixels, heads)
        return Picture(jpeg, boxes, why)

    def cloud(self) -> bytes | str | None:
        """The newest cloud from above (PNG); a sentence why there is none; None when there is no newer one."""
        kept = self._cloud
        if kept is None or time.monotonic() - kept[0] > SILENT_S:
            return f"no cloud comes on {self.cloud_topic}" if self.cloud_topic else "no LiDAR is known yet"
        if kept[1] is self._shown_cloud:
            return None
        try:
            png = seen_from_above(cloud_to_points(self._decode(kept[1], self.cloud_type)))
        except ValueError as error:
            return f"{self.cloud_topic}: {error}"
        self._shown_cloud = kept[1]
        return png

    def _nearest(self, raws: list[bytes], answered_ns: int) -> bytes:
        """The image nearest to an answer; the newest when the answer is of another time."""
        offset_ns = round((self.image_offset_s - self.cloud_offset_s) * 1e9)
        apart = [abs(stamp_of(raw) + offset_ns - answered_ns) for raw in raws]
        best = min(range(len(raws)), key=apart.__getitem__)
        return raws[best] if apart[best] < FARTHEST_NS else raws[-1]

    def _boxes(self, image: Any, pixels: UInt8, heads: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
        stamp = stamp_ns(image.header) + round((self.image_offset_s - self.cloud_offset_s) * 1e9)
        found: list[dict[str, Any]] = []
        if self._calibration is None:
            return found, "it is not known yet where the camera sits"
        try:
            for head in heads:
                dt_s = (stamp - head["stamp_ns"]) * 1e-9
                elsewhere = self.frame and head["frame"] != self.frame  # seen by another sensor head
                if not head["people"] or elsewhere or abs(dt_s) * 1e9 > FARTHEST_NS:
                    continue
                camera = self._calibration.camera(pixels.shape, image.header.frame_id, head["frame"], stamp)
                boxes = boxes_in(camera, *places_of(head["people"], dt_s))
                found += [
                    {"tracker": person["tracker"], "track": person["track"], "box": box}
                    for person, box in zip(head["people"], boxes, strict=True)
                    if box is not None
                ]
        except ValueError as error:
            return [], str(error)
        return found, ""
