"""Text on pictures that can be read on any background."""

from __future__ import annotations

import cv2

from emgait_ros.samples import UInt8

FONT = cv2.FONT_HERSHEY_SIMPLEX
BACKGROUND = (25, 25, 25)  # RGB
PADDING_PX = 3


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
