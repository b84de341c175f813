"""TF, where tf2_ros is installed; without it every look-up says so."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from emgait_ros.conversions import transform_to_matrix
from emgait_ros.samples import Float64

WAIT_S = 0.1  # transforms of a moving robot come a little later than the clouds they are for


class Transforms:
    """Looks transforms up for a node. :meth:`matrix` may wait: call it from a worker thread, not from a callback."""

    def __init__(self, node: Node) -> None:
        self._buffer: Any = None
        try:
            tf2_ros = import_module("tf2_ros")
        except ImportError:
            return
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    @property
    def available(self) -> bool:
        """Whether tf2_ros is installed."""
        return self._buffer is not None

    def matrix(self, target: str, source: str, stamp_ns: int | None = None) -> Float64:
        """The (4, 4) float64 that maps points (m) of frame ``source`` into frame ``target``.

        Args:
            target, source: TF frame names.
            stamp_ns: at which time; None: the newest there is.

        Raises:
            ValueError: tf2_ros is not installed, or the tree does not have it; the sentence names both frames.
        """
        if self._buffer is None:
            raise ValueError(
                f"no transform from '{source}' to '{target}': tf2_ros is not installed here, so TF cannot be read"
            )
        if not target or not source:
            raise ValueError(
                f"no transform from '{source}' to '{target}': a message has an empty frame_id, its driver must set it"
            )
        when = Time() if stamp_ns is None else Time(nanoseconds=stamp_ns)
        wait = Duration() if stamp_ns is None else Duration(seconds=WAIT_S)
        try:
            found = self._buffer.lookup_transform(target, source, when, timeout=wait)
        except Exception as error:  # tf2 has half a dozen exception classes without a common base
            raise ValueError(f"no transform from '{source}' to '{target}' in TF: {error}") from error
        return transform_to_matrix(found.transform)
