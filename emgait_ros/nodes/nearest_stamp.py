"""Each cloud with the image nearest to it in time: a filter to be put into a chain of ``message_filters``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from message_filters import SimpleFilter
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from emgait_ros.config import PairingConfig
from emgait_ros.sensing.conversions import stamp_ns
from emgait_ros.sensing.pairing import Pair, StampPairer
from emgait_ros.sensing.pairing_health import PairingHealth

POLL_S = 0.01
STANDING_S = 1.0
"""A simulated clock that has stood still for so long (a player that waits for an answer stops it) lets no cloud wait on."""
LOG_EVERY_S = 5.0


class NearestStamp(SimpleFilter):
    """Pairs the output of a filter of clouds with that of a filter of images, by the stamps in their headers.

        nearest = NearestStamp([cloud_subscriber, image_subscriber], node)
        nearest.registerCallback(callback)  # callback(cloud, image)

    Used like ``ApproximateTimeSynchronizer``, but every cloud comes out, once and in order: with the nearest image, as
    soon as no nearer one can follow, or with None when there is none within ``pairing.max_dt_s`` or the camera is
    silent. It waits for images as long as they are measured to arrive later than clouds (on a simulated clock that stands
    still for a second at most), and takes time that jumps back (a bag starts over). Callbacks run in the subscriptions' callbacks or in a timer's: they should return at once.

    Args:
        fs: the filter of clouds and the filter of images; without the second every cloud goes on alone.
        node: whose clock and executor are used.
        config: offsets, limits and waits.
        report: called with a sentence on each message that is refused; by default the node's log.
        image: what messages of the second filter are called in these sentences.

    Attributes:
        pair: what the callback that runs now is given, with corrected stamp, time difference and epoch (see ``Pair``).
    """

    def __init__(
        self,
        fs: Sequence[Any],
        node: Node,
        config: PairingConfig | None = None,
        report: Callable[[str], None] | None = None,
        image: str = "an image",
    ) -> None:
        super().__init__()
        self._image = image
        self._node, self._report = node, report or self._log
        self._lock = threading.RLock()
        self.pair: Pair | None = None
        # A cloud that waits for an image that never comes must be let go without another message.
        self._timer = node.create_timer(POLL_S, self._signal_ready, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()
        self._clock_ns, self._moved_s = 0, 0.0  # the time when it last moved or nothing waited, and when that was
        self.connectInput(fs, config or PairingConfig())

    def connectInput(self, fs: Sequence[Any], config: PairingConfig) -> None:
        """Take clouds and images from these filters (see the class)."""
        if len(fs) not in (1, 2):
            raise ValueError(f"NearestStamp was given {len(fs)} filters: expected one of clouds and one of images")
        names = [f.getTopic() if hasattr(f, "getTopic") else ("clouds", "images")[i] for i, f in enumerate(fs)]
        self._pairer = StampPairer(config, names[0], names[1] if len(fs) == 2 else "", image=self._image)
        adders = (self._pairer.add_cloud, self._pairer.add_image)[: len(fs)]
        self.input_connections = [
            f.registerCallback(partial(self._add, add)) for f, add in zip(fs, adders, strict=True)
        ]

    def close(self) -> None:
        """Release the timer; what waits is dropped. The filters are the caller's."""
        self._node.destroy_timer(self._timer)

    def configure(self, config: PairingConfig) -> None:
        """Take other options from now on; what is buffered is forgotten."""
        with self._lock:
            self._pairer.configure(config)

    def health(self, cloud_lost: float = 0.0, image_lost: float = 0.0) -> PairingHealth:
        """How the pairing goes (see ``StampPairer.health``)."""
        with self._lock:
            return self._pairer.health(self._now_ns(), cloud_lost, image_lost)

    def _add(self, add: Callable[[int, Any, int], str], message: Any) -> None:
        with self._lock:
            if not self._pairer.pending:
                self._moved_s = time.monotonic()
            refused = add(stamp_ns(message.header), message, self._now_ns())
            if refused:
                self._report(refused)
            self._signal_ready()

    def _signal_ready(self) -> None:
        """Hand out what need not wait any longer; the timer runs while anything waits."""
        with self._lock:
            now_ns = self._now_ns()
            for pair in self._pairer.flush(now_ns) if self._stands_still(now_ns) else self._pairer.poll(now_ns):
                self.pair = pair
                self.signalMessage(pair.cloud, pair.image)
            if not self._pairer.pending:
                self._timer.cancel()
            elif self._timer.is_canceled():
                self._timer.reset()

    def _stands_still(self, now_ns: int) -> bool:
        now_s = time.monotonic()
        if now_ns != self._clock_ns:
            self._clock_ns, self._moved_s = now_ns, now_s
        return now_s - self._moved_s > STANDING_S

    def _now_ns(self) -> int:
        """Time that runs at the pace of the data: simulated time where it runs, else a monotonic clock."""
        if self._node.get_parameter("use_sim_time").value:
            now_ns = self._node.get_clock().now().nanoseconds
            if now_ns:
                return int(now_ns)
        return time.monotonic_ns()

    def _log(self, sentence: str) -> None:
        self._node.get_logger().warning(sentence, throttle_duration_sec=LOG_EVERY_S)
