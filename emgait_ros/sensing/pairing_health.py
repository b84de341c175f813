"""State of the pairing: counts, lags, losses, and what is wrong in full sentences."""

from __future__ import annotations

from dataclasses import dataclass

from emgait_ros.config import PairingConfig

NO_PAIR_ALARM_S = QUIET_S = 2.0
OTHER_CLOCK_S = 10.0  # no message is on its way for so long
LONGEST_WAIT_S = 1.0  # as far as pairing.max_wait_s can be raised
MANY_LATE = 0.1


@dataclass
class TopicCounts:
    """Counts of the messages of one topic.

    Attributes:
        received: all of them.
        used: clouds passed on / images that were part of a pair (an image may serve two clouds).
        zero_stamp: refused, header.stamp was zero.
        out_of_order: clouds refused because their stamp was not newer than the one before, images with a stamp that
            another one had.
        dropped: discarded on a time jump or because too many waited.
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
        camera_silent: no image has come for ``image_silent_s``, or there is no camera.
        time_jumps: how often time jumped backwards.
        arrival_offset_s, arrival_p95_s: how much later an image arrives than a cloud with the same stamp, median and
            95th percentile over the last 3 s, s: delays when the sensors share a clock, else mostly the difference of
            their clocks; NaN before both have come.
        wait_s: how long a cloud waits for its image at most, s.
        late_share: fraction of the last 100 clouds that went on before their nearest image came, 0..1.
        cloud_lost, image_lost: fraction of the messages that were lost on the way, 0..1 (``stamps.lost_share``).
        no_pair_s: how long nothing has paired although clouds and images come, s.
        constant_offset_s: nearest image minus cloud where that hardly varies (sensors that trigger each other), s; NaN
            where it does (free-running sensors) or too few were seen. After the configured offsets.
        cloud_quiet_s, image_quiet_s: how long no cloud or no image has come, s.
        hint: what to set when the offset is constant, a sentence; empty otherwise, and while messages are lost.
        problems: full sentences, empty when all is well.
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
    arrival_offset_s: float
    arrival_p95_s: float
    wait_s: float
    late_share: float
    cloud_lost: float
    image_lost: float
    no_pair_s: float
    constant_offset_s: float
    cloud_quiet_s: float
    image_quiet_s: float
    hint: str = ""
    problems: tuple[str, ...] = ()


def problems_of(health: PairingHealth, config: PairingConfig, cloud_topic: str, image_topic: str) -> tuple[str, ...]:
    """What is wrong, in full sentences; an empty image topic means that there is no camera."""
    if not health.cloud.received + health.image.received:
        return (f"nothing has arrived on {cloud_topic} yet",)
    found = [
        f"{counts.zero_stamp} of {counts.received} messages on {topic} had a stamp of zero and were refused: "
        "their driver must set header.stamp"
        for topic, counts in ((cloud_topic, health.cloud), (image_topic, health.image))
        if counts.zero_stamp
    ]
    if health.cloud_quiet_s > QUIET_S:
        found.append(f"no cloud on {cloud_topic} for {health.cloud_quiet_s:.1f} s")
    elif image_topic and health.camera_silent:
        quiet = f"no image on {image_topic} for {health.image_quiet_s:.1f} s"
        found.append(f"{quiet}: clouds go on without one (LiDAR only)")
    elif image_topic and (problem := pair_problem(health, config, cloud_topic, image_topic)):
        found.append(problem)
    return tuple(found)


def pair_problem(health: PairingHealth, config: PairingConfig, cloud_topic: str, image_topic: str) -> str:
    """Why clouds find no image, or not the nearest; empty when they do.

    Where images arrive later, a stamp offset is never the advice: a delay on the way is not corrected by one.
    """
    silent = health.no_pair_s > NO_PAIR_ALARM_S
    if not silent and health.late_share < MANY_LATE:
        return ""
    lag_s = health.arrival_offset_s
    start = "nothing pairs" if silent else f"{health.late_share:.0%} of clouds went on before their nearest image came"
    rates = f"clouds come at {health.cloud_rate_hz:.1f} Hz, images at {health.image_rate_hz:.1f} Hz"
    if abs(lag_s) > OTHER_CLOCK_S:
        where = "behind" if lag_s > 0 else "ahead of"
        return (
            f"{start}: images on {image_topic} are {abs(lag_s):.1f} s {where} clouds on {cloud_topic} ({rates}): the two sensors "
            "use different clocks, synchronise them (PTP, NTP) or use one driver clock"
        )
    if health.arrival_p95_s + config.image_wait_s > health.wait_s:
        return f"{start}: {_late_images(health, config, cloud_topic, image_topic, rates)}"
    if health.cloud_lost or health.image_lost:
        return (
            f"{start}: messages are lost on their way ({health.cloud_lost:.0%} of {cloud_topic}, {health.image_lost:.0%} of "
            f"{image_topic}): see their own statuses; stamps cannot be judged before that is put right"
        )
    if -lag_s > config.buffer_s:
        return (
            f"{start}: clouds on {cloud_topic} arrive {-lag_s:.2f} s later than images on {image_topic} with the same stamp ({rates}), "
            f"which are kept for {config.buffer_s:g} s: raise pairing.buffer_s above {-lag_s:.1f} if the LiDAR's driver is that "
            "slow; if the two clocks differ, synchronise them (PTP, NTP), or, where the difference is constant, set "
            f"pairing.image_offset_s to about {config.image_offset_s + lag_s:.2f}"
        )
    if not silent:
        return ""
    if health.hint:
        raised_s = abs(health.constant_offset_s) + 0.01
        return f"{start}: {health.hint}; if they do not, raise pairing.max_dt_s (now {config.max_dt_s:g} s) to {raised_s:.2f}"
    return (
        f"{start}: images on {image_topic} are too rare for clouds on {cloud_topic} ({rates}): "
        f"raise pairing.max_dt_s (now {config.max_dt_s:g} s) or the camera's rate"
    )


def _late_images(health: PairingHealth, config: PairingConfig, cloud_topic: str, image_topic: str, rates: str) -> str:
    lag_s, needed_s = health.arrival_p95_s, health.arrival_p95_s + config.image_wait_s
    cure = f"raise pairing.max_wait_s to {needed_s + 0.005:.2f} or shorten the delay"
    if needed_s > LONGEST_WAIT_S:
        cure = "too late to wait for: shorten the delay (queues, compression, network)"
    return (
        f"images on {image_topic} arrive {lag_s:.2f} s later than clouds on {cloud_topic} with the same stamp ({rates}), "
        f"pairing.max_wait_s is {config.max_wait_s:g} s: {cure}; if it is the camera's clock that is behind, synchronise it "
        "(PTP, NTP). `emgait doctor calibration BAG` tells whether stamps are wrong"
    )
