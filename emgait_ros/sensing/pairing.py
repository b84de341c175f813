"""Each LiDAR cloud gets the image nearest to it in time. No ROS, no threads, no clock of its own.

The node and offline bag evaluation feed the same object: stamps come from the messages, and every call says what
time it is (``now_ns``: any clock that runs at the pace of the data, e.g. ROS time or a bag's log time).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

from emgait_ros.config import PairingConfig
from emgait_ros.sensing.pairing_health import PairingHealth, TopicCounts, problems_of
from emgait_ros.sensing.stamps import LAG_PERCENTILE, ArrivalLag, OffsetEstimate, StampOrder

RATE_WINDOW_S = 5.0
OFFLINE_SPAN_S = 5.0  # how far recorded clouds and images may lie apart in the file
CLOCK_BACK_S = 0.5


@dataclass(frozen=True)
class Pair:
    """A cloud and its image.

    Attributes:
        cloud, image: whatever was added; ``image`` is None when the cloud goes on alone.
        cloud_stamp_ns: corrected stamp of the cloud.
        image_dt_s: image stamp minus cloud stamp after both corrections, s; 0 without an image.
        camera_silent: no image has come for ``image_silent_s`` (a cloud may also go alone because none is near).
        epoch: how often time has jumped backwards so far. When it changes, tracks belong to another time: reset.
    """

    cloud: Any
    cloud_stamp_ns: int
    image: Any | None
    image_dt_s: float
    camera_silent: bool
    epoch: int


class _Stream:
    """One topic: its name, counts of its messages, arrival times and stamps."""

    def __init__(self, sensor: str, topic: str, named: str) -> None:
        self.sensor, self.topic, self.named = sensor, topic, named
        self.offset_ns = 0
        self.counts = TopicCounts()
        self.arrivals: deque[int] = deque(maxlen=1000)
        self.order = StampOrder()


class StampPairer:
    """Pairs by nearest corrected stamp.

    A cloud is passed on as soon as an image at or after its stamp is there (images come in order, so no nearer one
    can follow). Else it waits for as long as images are measured to arrive later than clouds, and ``image_wait_s``
    more, but at most ``max_wait_s``. Not thread-safe: callers on several threads hold a lock.

    Args:
        config: offsets, limits and waits.
        cloud_topic, image_topic: names for the sentences in :meth:`health`; an empty image topic means that there is
            no camera, and every cloud goes on alone at once.
        offline: messages are read from a file: stamps alone decide, not when a message was logged.
        image: what an image is called in the sentences: other messages pair with clouds as well.
    """

    def __init__(
        self,
        config: PairingConfig,
        cloud_topic: str = "clouds",
        image_topic: str = "images",
        offline: bool = False,
        image: str = "an image",
    ) -> None:
        self._offline = offline
        self._clouds = _Stream("cloud", cloud_topic, "a cloud")
        self._images_seen = _Stream("image", image_topic, image)
        self._paired = self._unpaired = self._epoch = 0
        self._offset, self._lag = OffsetEstimate(), ArrivalLag()
        self._first_arrival_ns: int | None = None
        self._last_image_arrival_ns: int | None = None
        self._last_pair_arrival_ns: int | None = None
        self._clock_went_back = False
        self._ready: list[Pair] = []
        self.configure(config)

    def configure(self, config: PairingConfig) -> None:
        """Take other options from now on; counts and the epoch stay, the buffers are cleared."""
        self._config = config
        self._clouds.offset_ns = round(config.cloud_offset_s * 1e9)
        self._images_seen.offset_ns = round(config.image_offset_s * 1e9)
        self._max_dt_ns = round(config.max_dt_s * 1e9)
        self._silent_ns = round(config.image_silent_s * 1e9)
        longest_s = OFFLINE_SPAN_S if self._offline else config.max_wait_s + 2 * config.max_dt_s
        self._keep_ns = round(max(config.buffer_s, longest_s) * 1e9)
        self._offset.clear()
        self._lag.start_over(keep_lags=False)
        self._forget_messages()

    def _forget_messages(self) -> None:
        self._waiting: deque[tuple[int, int, Any]] = deque()  # corrected stamp, arrival, cloud
        self._image_stamps: list[int] = []
        self._images: list[Any] = []
        self._image_is_used: list[bool] = []
        self._dropped_until_ns = 0
        self._clouds.order, self._images_seen.order = StampOrder(), StampOrder()

    def add_cloud(self, stamp_ns: int, cloud: Any, now_ns: int) -> str:
        """Take a cloud in; its Pair comes out of a later :meth:`poll`.

        Args:
            stamp_ns: header stamp as received, before correction.
            cloud: returned in the Pair, never inspected.
            now_ns: arrival time.

        Returns:
            Empty, or the reason why a cloud was refused.
        """
        refused = self._arrive(self._clouds, stamp_ns, now_ns)
        return refused or self._take_cloud(stamp_ns + self._clouds.offset_ns, cloud, now_ns)

    def add_image(self, stamp_ns: int, image: Any, now_ns: int) -> str:
        """Take an image in; arguments and result as for :meth:`add_cloud`."""
        refused = self._arrive(self._images_seen, stamp_ns, now_ns)
        if not refused:
            self._last_image_arrival_ns = now_ns
        return refused or self._take_image(stamp_ns + self._images_seen.offset_ns, image, now_ns)

    def _arrive(self, stream: _Stream, stamp_ns: int, now_ns: int) -> str:
        self._note_arrival(stream.arrivals, now_ns)
        stream.counts.received += 1
        if stamp_ns > 0:
            self._lag.add(stream.sensor, stamp_ns + stream.offset_ns, now_ns)
            return ""
        stream.counts.zero_stamp += 1
        return f"{stream.named} on {stream.topic} has a stamp of zero: its driver must set header.stamp"

    def _take_cloud(self, stamp_ns: int, cloud: Any, now_ns: int) -> str:
        came_before = len(self._clouds.order.back)
        if not self._clouds.order.is_new(stamp_ns, now_ns, cloud):
            self._clouds.counts.out_of_order += 1
            if self._look_for_jump(now_ns) or len(self._clouds.order.back) > came_before:
                return ""  # it may be the first of a stream that starts over: that shows with the next ones
            return f"a cloud on {self._clouds.topic} is not newer than the one before it (stamp {stamp_ns} ns): dropped"
        self._clock_went_back = False
        self._waiting.append((stamp_ns, now_ns, cloud))
        while self._waiting[0][0] < stamp_ns - self._keep_ns:
            late_ns, arrival_ns, oldest = self._waiting.popleft()
            if self._offline:
                self._ready.append(self._pair(late_ns, oldest, arrival_ns))
            else:
                self._clouds.counts.dropped += 1
        if came_before:
            return f"{came_before} of the clouds on {self._clouds.topic} came after newer ones: dropped"
        return ""

    def _take_image(self, stamp_ns: int, image: Any, now_ns: int) -> str:
        new = self._images_seen.order.is_new(stamp_ns, now_ns, image)
        if not new and self._look_for_jump(now_ns):
            return ""
        place = bisect_left(self._image_stamps, stamp_ns)
        if place < len(self._image_stamps) and self._image_stamps[place] == stamp_ns:
            self._images_seen.counts.out_of_order += 1
            return f"{self._images_seen.named} on {self._images_seen.topic} has the stamp of an earlier one ({stamp_ns} ns): dropped"
        self._image_stamps.insert(place, stamp_ns)
        self._images.insert(place, image)
        self._image_is_used.insert(place, False)
        if new:
            self._clock_went_back = False
        self._drop_images_before(self._image_stamps[-1] - self._keep_ns)
        self._offset.add_image(stamp_ns, self._max_dt_ns)
        return ""

    @property
    def pending(self) -> bool:
        """Whether :meth:`poll` may return something without another message."""
        return bool(self._waiting or self._ready)

    def poll(self, now_ns: int) -> list[Pair]:
        """Every cloud that need not wait any longer, oldest first."""
        self._look_for_jump(now_ns)
        pairs, self._ready = self._ready, []
        wait_ns = round(self.wait_s * 1e9) if self._waiting else 0
        newest_ns = self._images_seen.order.newest_ns
        while self._waiting:
            stamp_ns, arrival_ns, cloud = self._waiting[0]
            nearer_is_impossible = newest_ns is not None and newest_ns >= stamp_ns
            waited = not 0 <= now_ns - arrival_ns < wait_ns  # a clock set back ends the wait too
            if not nearer_is_impossible and (self._offline or not (waited or self.camera_is_silent(now_ns))):
                break
            self._waiting.popleft()
            pairs.append(self._pair(stamp_ns, cloud, now_ns))
        if self._clouds.order.newest_ns is not None:
            oldest_cloud_ns = self._waiting[0][0] if self._waiting else self._clouds.order.newest_ns
            self._drop_images_before(oldest_cloud_ns - self._max_dt_ns)
        return pairs

    def flush(self, now_ns: int) -> list[Pair]:
        """Every waiting cloud: the recording has ended."""
        pairs, self._ready = self._ready, []
        while self._waiting:
            stamp_ns, _, cloud = self._waiting.popleft()
            pairs.append(self._pair(stamp_ns, cloud, now_ns))
        return pairs

    @property
    def wait_s(self) -> float:
        """How long a cloud waits for its image at most, s: all that is allowed until arrivals have been compared."""
        if not self._images_seen.topic:
            return 0.0
        longest_s = max(self._config.max_wait_s, self._config.image_wait_s)
        lag_s = self._lag.lag_s(LAG_PERCENTILE)
        if self._lag.lag_s(50) - self._config.max_dt_s > longest_s:
            return self._config.image_wait_s  # no image that is near enough comes in time
        needed_s = max(lag_s, 0.0) + self._config.image_wait_s
        return longest_s if isnan(needed_s) else min(needed_s, longest_s)

    def camera_is_silent(self, now_ns: int) -> bool:
        """True without a camera, or when no image has come for ``image_silent_s``."""
        if not self._images_seen.topic:
            return True
        return self._seconds_since(self._last_image_arrival_ns, now_ns) * 1e9 >= self._silent_ns

    def _seconds_since(self, then_ns: int | None, now_ns: int) -> float:
        """Seconds since then, or since the first message of all; 0 before that."""
        then_ns = self._first_arrival_ns if then_ns is None else then_ns
        return 0.0 if then_ns is None else (now_ns - then_ns) * 1e-9

    def health(self, now_ns: int, cloud_lost: float = 0.0, image_lost: float = 0.0) -> PairingHealth:
        """Counts, |dt|, rates, lags, and what is wrong in full sentences.

        Args:
            now_ns: as everywhere.
            cloud_lost, image_lost: fraction of the messages lost on the way, 0..1: then stamps are not judged.
        """
        last_dt_s, p50_dt_s, p95_dt_s = self._offset.absolute_s
        health = PairingHealth(
            cloud=replace(self._clouds.counts),
            image=replace(self._images_seen.counts),
            paired=self._paired,
            unpaired=self._unpaired,
            last_dt_s=last_dt_s,
            p50_dt_s=p50_dt_s,
            p95_dt_s=p95_dt_s,
            cloud_rate_hz=_rate_hz(self._clouds.arrivals, now_ns),
            image_rate_hz=_rate_hz(self._images_seen.arrivals, now_ns),
            camera_silent=self.camera_is_silent(now_ns),
            time_jumps=self._epoch,
            arrival_offset_s=self._lag.lag_s(50),
            arrival_p95_s=self._lag.lag_s(LAG_PERCENTILE),
            wait_s=self.wait_s,
            late_share=self._offset.late_share,
            cloud_lost=cloud_lost,
            image_lost=image_lost,
            no_pair_s=self._seconds_since(self._last_pair_arrival_ns, now_ns) if self._unpaired else 0.0,
            constant_offset_s=self._offset.constant_s,
            cloud_quiet_s=self._seconds_since(self._clouds.arrivals[-1] if self._clouds.arrivals else None, now_ns),
            image_quiet_s=self._seconds_since(self._last_image_arrival_ns, now_ns),
        )
        hint = "" if cloud_lost or image_lost else self._offset.hint(self._config.image_offset_s)
        health = replace(health, hint=hint)
        return replace(health, problems=problems_of(health, self._config, self._clouds.topic, self._images_seen.topic))

    def _pair(self, stamp_ns: int, cloud: Any, now_ns: int) -> Pair:
        self._clouds.counts.used += 1
        silent = self.camera_is_silent(now_ns) and not self._offline
        nearest = self._nearest(stamp_ns)
        dt_ns = None if nearest is None else self._image_stamps[nearest] - stamp_ns
        near = nearest is not None and dt_ns is not None and abs(dt_ns) <= self._max_dt_ns and not silent
        if self._dropped_until_ns < stamp_ns:  # else its nearest image may be gone already
            self._offset.add_cloud(stamp_ns, dt_ns if near else None, dt_ns)
        if nearest is None or dt_ns is None or not near:
            self._unpaired += 1
            return Pair(cloud, stamp_ns, None, 0.0, silent, self._epoch)
        self._paired += 1
        self._last_pair_arrival_ns = now_ns
        if not self._image_is_used[nearest]:
            self._image_is_used[nearest] = True
            self._images_seen.counts.used += 1
        self._offset.add_pair(dt_ns * 1e-9)
        return Pair(cloud, stamp_ns, self._images[nearest], dt_ns * 1e-9, False, self._epoch)

    def _nearest(self, stamp_ns: int) -> int | None:
        """Index of the image nearest in time (the earlier of two equally near)."""
        after = bisect_left(self._image_stamps, stamp_ns)
        around = [i for i in (after - 1, after) if 0 <= i < len(self._image_stamps)]
        return min(around, key=lambda i: abs(self._image_stamps[i] - stamp_ns), default=None)

    def _look_for_jump(self, now_ns: int) -> bool:
        """Start an epoch if time runs backwards: a bag starts over."""
        streams = self._clouds, self._images_seen
        for stream in streams:
            if stream.order.newest_was_wrong() and not self._clock_went_back:  # one stamp far ahead is no jump either
                back = stream.order.forget_newest()
                self._take_again(*((back, []) if stream is self._clouds else ([], back)))
                return True
        if not any(stream.order.has_jumped(self._clock_went_back) for stream in streams):
            return False
        clouds, images = (list(stream.order.back) for stream in streams)
        self._start_epoch(now_ns)
        self._take_again(clouds, images)
        return True

    def _take_again(self, clouds: list[tuple[int, int, Any]], images: list[tuple[int, int, Any]]) -> None:
        """Messages (stamp, arrival, message) that were taken for late ones."""
        if images:
            place = bisect_left(self._image_stamps, images[0][0])
            del self._image_stamps[place:], self._images[place:], self._image_is_used[place:]
            self._dropped_until_ns = 0
        self._clouds.counts.out_of_order -= len(clouds)
        for stamp_ns, arrival_ns, image in images:
            self._take_image(stamp_ns, image, arrival_ns)
        for stamp_ns, arrival_ns, cloud in clouds:
            self._take_cloud(stamp_ns, cloud, arrival_ns)

    def _start_epoch(self, now_ns: int) -> None:
        """What is buffered belongs to another time."""
        self._ready += [self._pair(stamp_ns, cloud, now_ns) for stamp_ns, _, cloud in self._waiting]
        self._images_seen.counts.dropped += self._image_is_used.count(False)
        self._epoch += 1
        self._clock_went_back = False
        self._offset.clear()
        self._lag.start_over()
        self._forget_messages()

    def _drop_images_before(self, stamp_ns: int) -> None:
        keep = bisect_left(self._image_stamps, stamp_ns)
        if keep:
            self._dropped_until_ns = max(self._dropped_until_ns, self._image_stamps[keep - 1])
            del self._image_stamps[:keep], self._images[:keep], self._image_is_used[:keep]

    def _note_arrival(self, arrivals: deque[int], now_ns: int) -> None:
        if self._first_arrival_ns is None or now_ns < self._first_arrival_ns:
            self._first_arrival_ns = now_ns
        if arrivals and now_ns < arrivals[-1]:  # the clock was set back: waits and rates start over
            self._clock_went_back = now_ns < arrivals[-1] - CLOCK_BACK_S * 1e9
            for stream in (self._clouds, self._images_seen):
                stream.arrivals.clear()
            self._lag.start_over(keep_lags=False)
            self._first_arrival_ns = now_ns
            self._last_image_arrival_ns = self._last_pair_arrival_ns = None
        arrivals.append(now_ns)


def _rate_hz(arrivals: deque[int], now_ns: int) -> float:
    recent = [t for t in arrivals if now_ns - t <= RATE_WINDOW_S * 1e9]
    if len(recent) < 2:
        return 0.0
    return (len(recent) - 1) / max((max(now_ns - recent[0], recent[-1] - recent[0])) * 1e-9, 1e-9)
