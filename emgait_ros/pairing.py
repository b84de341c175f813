"""Each LiDAR cloud gets the image nearest to it in time. No ROS, no threads, no clock of its own.

The node and offline bag evaluation feed the same object: stamps come from the messages, and every call says what
time it is (``now_ns``: any clock that runs at the pace of the data, e.g. ROS time or a bag's log time).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from emgait_ros.config import PairingConfig
from emgait_ros.stamps import OffsetEstimate

NO_PAIR_ALARM_S = 2.0
RATE_WINDOW_S = 5.0


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


@dataclass
class TopicCounts:
    """What became of the messages of one topic.

    Attributes:
        received: all of them.
        used: clouds handed out / images that were part of a pair (an image may serve two clouds).
        zero_stamp: refused, header.stamp was zero.
        out_of_order: refused, the stamp was not newer than one handed out before.
        dropped: thrown away unused on a time jump or because too many waited.
    """

    received: int = 0
    used: int = 0
    zero_stamp: int = 0
    out_of_order: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class PairingHealth:
    """A snapshot for /diagnostics and reports.

    Attributes:
        cloud, image: counts per topic.
        paired, unpaired: clouds that went on with an image, and without one.
        last_dt_s, p50_dt_s, p95_dt_s: |image - cloud| over the last 300 pairs, s; NaN before the first.
        cloud_rate_hz, image_rate_hz: over the last 5 s of ``now_ns``.
        camera_silent: as in :class:`Pair`.
        time_jumps: how often time jumped backwards.
        problems: full sentences, empty when all is well.
        constant_offset_s: image minus cloud where that hardly varies (sensors that trigger each other), s; NaN where it
            does (free-running sensors) or too few pairs were seen. After the configured offsets.
        arrival_offset_s: how much later after its stamp an image arrives than a cloud does, s: delays when the sensors
            share a clock, else mostly the difference of their clocks; NaN before both have come.
        hint: what to set when the offset is constant, a sentence; empty otherwise.
    """

    cloud: TopicCounts
    image: TopicCounts
    paired: int
    unpaired: int
    last_dt_s: float
    p50_dt_s: float
    p95_dt_s: float
    cloud_rate_hz: float
    image_rate_hz: float
    camera_silent: bool
    time_jumps: int
    problems: tuple[str, ...]
    constant_offset_s: float = float("nan")
    arrival_offset_s: float = float("nan")
    hint: str = ""


class StampPairer:
    """Pairs by nearest corrected stamp.

    A cloud is handed out as soon as an image at or after its stamp is there (images come in order, so no nearer one
    can follow), else after ``image_wait_s``. Not thread-safe: callers on several threads hold a lock.

    Args:
        config: offsets, limits and waits.
        cloud_topic, image_topic: names for the sentences in :meth:`health`; an empty image topic means that there is
            no camera, and every cloud goes on alone at once.
    """

    def __init__(self, config: PairingConfig, cloud_topic: str = "clouds", image_topic: str = "images") -> None:
        self._config = config
        self._cloud_topic, self._image_topic = cloud_topic, image_topic
        self._cloud_offset_ns = round(config.cloud_offset_s * 1e9)
        self._image_offset_ns = round(config.image_offset_s * 1e9)
        self._max_dt_ns = round(config.max_dt_s * 1e9)
        self._wait_ns = round(config.image_wait_s * 1e9)
        self._silent_ns = round(config.image_silent_s * 1e9)
        self._buffer_ns = round(config.buffer_s * 1e9)
        self.reset()

    def reset(self) -> None:
        """Forget everything, counts included."""
        self._counts_cloud, self._counts_image = TopicCounts(), TopicCounts()
        self._paired = self._unpaired = self._epoch = 0
        self._offset = OffsetEstimate()
        self._gap_s: deque[float] = deque(maxlen=20)  # newest image minus cloud, of clouds that found none
        self._cloud_arrivals: deque[int] = deque(maxlen=1000)
        self._image_arrivals: deque[int] = deque(maxlen=1000)
        self._first_arrival_ns: int | None = None
        self._forget_messages()

    def _forget_messages(self) -> None:
        self._waiting: deque[tuple[int, int, Any]] = deque()  # corrected stamp, arrival, cloud
        self._image_stamps: list[int] = []
        self._images: list[Any] = []
        self._image_is_used: list[bool] = []
        self._newest_cloud_ns: int | None = None
        self._newest_image_ns: int | None = None
        self._last_image_arrival_ns: int | None = None
        self._last_pair_arrival_ns: int | None = None

    def add_cloud(self, stamp_ns: int, cloud: Any, now_ns: int) -> str:
        """Take a cloud in; its Pair comes out of a later :meth:`poll`.

        Args:
            stamp_ns: header stamp as received, before correction.
            cloud: handed back in the Pair, never looked into.
            now_ns: arrival time.

        Returns:
            Empty, or the reason why the cloud was refused.
        """
        self._note_arrival(self._cloud_arrivals, now_ns)
        self._counts_cloud.received += 1
        if stamp_ns <= 0:
            self._counts_cloud.zero_stamp += 1
            return f"a cloud on {self._cloud_topic} has a stamp of zero: its driver must set header.stamp"
        stamp_ns += self._cloud_offset_ns
        self._offset.add_arrival("cloud", (now_ns - stamp_ns) * 1e-9)
        if self._jumps_back(stamp_ns, self._newest_cloud_ns):
            self._start_epoch()
        elif self._newest_cloud_ns is not None and stamp_ns <= self._newest_cloud_ns:
            self._counts_cloud.out_of_order += 1
            return f"a cloud on {self._cloud_topic} is not newer than the one before it (stamp {stamp_ns} ns): dropped"
        self._newest_cloud_ns = stamp_ns
        self._waiting.append((stamp_ns, now_ns, cloud))
        while self._waiting[0][0] < stamp_ns - self._buffer_ns:
            self._waiting.popleft()
            self._counts_cloud.dropped += 1
        return ""

    def add_image(self, stamp_ns: int, image: Any, now_ns: int) -> str:
        """Take an image in; arguments and result as for :meth:`add_cloud`."""
        self._note_arrival(self._image_arrivals, now_ns)
        self._counts_image.received += 1
        if stamp_ns <= 0:
            self._counts_image.zero_stamp += 1
            return f"an image on {self._image_topic} has a stamp of zero: its driver must set header.stamp"
        stamp_ns += self._image_offset_ns
        self._offset.add_arrival("image", (now_ns - stamp_ns) * 1e-9)
        if self._jumps_back(stamp_ns, self._newest_image_ns):
            self._start_epoch()
        self._last_image_arrival_ns = now_ns
        place = bisect_left(self._image_stamps, stamp_ns)
        if place < len(self._image_stamps) and self._image_stamps[place] == stamp_ns:
            self._counts_image.out_of_order += 1
            return f"an image on {self._image_topic} has the stamp of an earlier one ({stamp_ns} ns): dropped"
        self._image_stamps.insert(place, stamp_ns)
        self._images.insert(place, image)
        self._image_is_used.insert(place, False)
        self._newest_image_ns = self._image_stamps[-1]
        self._drop_images_before(self._newest_image_ns - self._buffer_ns)
        return ""

    def poll(self, now_ns: int) -> list[Pair]:
        """Hand out every cloud that need not wait any longer, oldest first."""
        pairs = []
        while self._waiting:
            stamp_ns, arrival_ns, cloud = self._waiting[0]
            silent = self.camera_is_silent(now_ns)
            nearer_is_impossible = self._newest_image_ns is not None and self._newest_image_ns >= stamp_ns
            waited = not 0 <= now_ns - arrival_ns < self._wait_ns  # a clock set back ends the wait too
            if not (silent or nearer_is_impossible or waited):
                break
            self._waiting.popleft()
            pairs.append(self._pair(stamp_ns, cloud, silent, now_ns))
        if self._newest_cloud_ns is not None:
            oldest_cloud_ns = self._waiting[0][0] if self._waiting else self._newest_cloud_ns
            self._drop_images_before(oldest_cloud_ns - self._max_dt_ns)
        return pairs

    def flush(self, now_ns: int) -> list[Pair]:
        """Hand out every waiting cloud: the recording has ended."""
        pairs = []
        while self._waiting:
            stamp_ns, _, cloud = self._waiting.popleft()
            pairs.append(self._pair(stamp_ns, cloud, self.camera_is_silent(now_ns), now_ns))
        return pairs

    def camera_is_silent(self, now_ns: int) -> bool:
        """True without a camera, or when no image has come for ``image_silent_s``."""
        if not self._image_topic:
            return True
        since = self._last_image_arrival_ns
        since = self._first_arrival_ns if since is None else since
        return since is not None and now_ns - since >= self._silent_ns

    def health(self, now_ns: int) -> PairingHealth:
        """Counts, |dt|, rates, and what is wrong in full sentences."""
        last_dt_s, p50_dt_s, p95_dt_s = self._offset.absolute_s
        return PairingHealth(
            cloud=TopicCounts(**vars(self._counts_cloud)),
            image=TopicCounts(**vars(self._counts_image)),
            paired=self._paired,
            unpaired=self._unpaired,
            last_dt_s=last_dt_s,
            p50_dt_s=p50_dt_s,
            p95_dt_s=p95_dt_s,
            cloud_rate_hz=_rate_hz(self._cloud_arrivals, now_ns),
            image_rate_hz=_rate_hz(self._image_arrivals, now_ns),
            camera_silent=self.camera_is_silent(now_ns),
            time_jumps=self._epoch,
            problems=tuple(self._problems(now_ns)),
            constant_offset_s=self._offset.constant_s,
            arrival_offset_s=self._offset.arrival_s,
            hint=self._offset.hint(self._config.image_offset_s),
        )

    def _pair(self, stamp_ns: int, cloud: Any, silent: bool, now_ns: int) -> Pair:
        self._counts_cloud.used += 1
        nearest = self._nearest(stamp_ns)
        if nearest is None or silent:
            self._unpaired += 1
            if self._newest_image_ns is not None:
                self._gap_s.append((self._newest_image_ns - stamp_ns) * 1e-9)
            return Pair(cloud, stamp_ns, None, 0.0, silent, self._epoch)
        self._paired += 1
        self._last_pair_arrival_ns = now_ns
        self._gap_s.clear()
        if not self._image_is_used[nearest]:
            self._image_is_used[nearest] = True
            self._counts_image.used += 1
        dt_s = (self._image_stamps[nearest] - stamp_ns) * 1e-9
        self._offset.add_pair(dt_s)
        return Pair(cloud, stamp_ns, self._images[nearest], dt_s, False, self._epoch)

    def _nearest(self, stamp_ns: int) -> int | None:
        """Index of the image nearest in time (the earlier of two equally near), if one is near enough."""
        after = bisect_left(self._image_stamps, stamp_ns)
        around = [i for i in (after - 1, after) if 0 <= i < len(self._image_stamps)]
        near = [i for i in around if abs(self._image_stamps[i] - stamp_ns) <= self._max_dt_ns]
        return min(near, key=lambda i: abs(self._image_stamps[i] - stamp_ns), default=None)

    def _jumps_back(self, stamp_ns: int, newest_ns: int | None) -> bool:
        return newest_ns is not None and stamp_ns < newest_ns - self._max_dt_ns

    def _start_epoch(self) -> None:
        """Time runs backwards (a bag loops): what is buffered belongs to another time."""
        self._counts_cloud.dropped += len(self._waiting)
        self._counts_image.dropped += self._image_is_used.count(False)
        self._epoch += 1
        self._gap_s.clear()
        self._offset.clear()
        last_image_arrival_ns = self._last_image_arrival_ns
        self._forget_messages()
        self._last_image_arrival_ns = last_image_arrival_ns

    def _drop_images_before(self, stamp_ns: int) -> None:
        keep = bisect_left(self._image_stamps, stamp_ns)
        if keep:
            del self._image_stamps[:keep], self._images[:keep], self._image_is_used[:keep]

    def _note_arrival(self, arrivals: deque[int], now_ns: int) -> None:
        if self._first_arrival_ns is None or now_ns < self._first_arrival_ns:
            self._first_arrival_ns = now_ns
        if arrivals and now_ns < arrivals[-1]:  # the clock was set back: waits and rates start over
            for times in (self._cloud_arrivals, self._image_arrivals):
                times.clear()
            self._first_arrival_ns = now_ns
            self._last_image_arrival_ns = self._last_pair_arrival_ns = None
        arrivals.append(now_ns)

    def _problems(self, now_ns: int) -> list[str]:
        found = []
        if self._first_arrival_ns is None:
            return [f"nothing has arrived on {self._cloud_topic} yet"]
        for topic, counts in ((self._cloud_topic, self._counts_cloud), (self._image_topic, self._counts_image)):
            if counts.zero_stamp:
                found.append(
                    f"{counts.zero_stamp} of {counts.received} messages on {topic} had a stamp of zero and were refused: "
                    "their driver must set header.stamp"
                )
        quiet_s = (now_ns - (self._cloud_arrivals[-1] if self._cloud_arrivals else self._first_arrival_ns)) * 1e-9
        if quiet_s > NO_PAIR_ALARM_S:
            return [*found, f"no cloud on {self._cloud_topic} for {quiet_s:.1f} s"]
        if not self._image_topic:
            return found
        if self.camera_is_silent(now_ns):
            since = self._first_arrival_ns if self._last_image_arrival_ns is None else self._last_image_arrival_ns
            silent_s = (now_ns - since) * 1e-9
            return [
                *found,
                f"no image on {self._image_topic} for {silent_s:.1f} s: clouds go on without one (LiDAR only)",
            ]
        since = self._first_arrival_ns if self._last_pair_arrival_ns is None else self._last_pair_arrival_ns
        if now_ns - since > NO_PAIR_ALARM_S * 1e9 and self._gap_s:
            found.append(self._gap_sentence(now_ns))
        return found

    def _gap_sentence(self, now_ns: int) -> str:
        gap_s = float(np.median(np.array(self._gap_s)))
        rates = (
            f"clouds come at {_rate_hz(self._cloud_arrivals, now_ns):.1f} Hz, "
            f"images at {_rate_hz(self._image_arrivals, now_ns):.1f} Hz"
        )
        if abs(gap_s) <= self._config.max_dt_s:
            return (
                f"nothing pairs: images on {self._image_topic} are too rare for clouds on {self._cloud_topic} ({rates}): "
                f"raise pairing.max_dt_s (now {self._config.max_dt_s} s) or the camera's rate"
            )
        where = "behind" if gap_s < 0 else "ahead of"
        sentence = f"nothing pairs: images on {self._image_topic} are {abs(gap_s):.2f} s {where} clouds on {self._cloud_topic} ({rates})"
        if abs(gap_s) > 10:
            return (
                f"{sentence}: the two sensors use different clocks, synchronise them (PTP, NTP) or use one driver clock"
            )
        return f"{sentence}: set pairing.image_offset_s to about {self._config.image_offset_s - gap_s:.2f}"


def _rate_hz(arrivals: deque[int], now_ns: int) -> float:
    recent = [t for t in arrivals if now_ns - t <= RATE_WINDOW_S * 1e9]
    if len(recent) < 2:
        return 0.0
    return (len(recent) - 1) / max((max(now_ns - recent[0], recent[-1] - recent[0])) * 1e-9, 1e-9)
