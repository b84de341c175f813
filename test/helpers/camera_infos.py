"""CameraInfo as drivers fill it in, without ROS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def camera_info(**changes: Any) -> SimpleNamespace:
    """A sensor_msgs/CameraInfo of 1280 x 720 px with these fields changed."""
    values: dict[str, Any] = {
        "width": 1280,
        "height": 720,
        "k": [1000.0, 0, 640, 0, 1000, 360, 0, 0, 1],
        "p": [900.0, 0, 650, 0, 0, 910, 350, 0, 0, 0, 1, 0],
        "d": [0.1, -0.2, 0, 0, 0],
        "distortion_model": "plumb_bob",
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False),
    }
    return SimpleNamespace(**{**values, **changes})
