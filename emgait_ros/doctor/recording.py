"""Judges a recording: what of it can be read, whether its messages can be used, and what its clouds contain."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from emgait_ros.config import TrackerNodeConfig
from emgait_ros.doctor.findings import Finding, fail, ok, warn
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.bag_frames import kind_of
from emgait_ros.sensing.perception.cloud_watch import CloudWatch

READ_ANYWAY = "it is read anyway; other programs may refuse it"


def judge_recording(
    bag: BagRecording, config: TrackerNodeConfig, report: Callable[[float], None] = lambda part: None
) -> Iterator[Finding]:
    """Findings on the whole recording.

    Args:
        bag: opened.
        config: topics, pairing and ranges.
        report: called with the part done, 0..1.

    Raises:
        ValueError: it has no cloud, or is damaged.
    """
    messages = sum(topic.count for topic in bag.topics.values())
    yield ok("recording", f"{messages} messages on {len(bag.topics)} topics in {bag.duration_s:.1f} s")
    for note in bag.notes:
        yield warn("recording", note, READ_ANYWAY)
    known = len(bag.notes)
    topics = bag.resolve_topics(config.topics)
    watch, counts, images = CloudWatch(), [], 0
    found: dict[str, str] = {}
    for frame in bag.sensor_frames(config):
        report((frame.stamp_ns - bag.begin_ns) * 1e-9 / max(bag.duration_s, 1e-9))
        distance = np.hypot(frame.points[:, 0], frame.points[:, 1])
        counts.append(
            int(((distance >= config.detector.min_range_m) & (distance <= config.detector.max_range_m)).sum())
        )
        images += frame.image is not None
        watch.observe(frame.points, frame.stamp_ns)
        if sentence := watch.problem():
            found.setdefault(kind_of(sentence), sentence)
    for sentence in found.values():
        yield fail(topics.cloud, sentence, "nobody can be recognised from such clouds")
    for note in bag.notes[known:]:
        yield warn("messages", note, READ_ANYWAY)
    for sentence, count in bag.problems.items():
        yield warn("messages", f"{sentence} ({count} times)", "correct that first")
    middle = float(np.median(counts or [0]))
    figures = {"clouds": len(counts), "with_image": images, "returns_in_range": middle}
    text = f"{len(counts)} clouds, {middle:.0f} returns within {config.detector.max_range_m:g} m (median), {images} with an image"
    if middle == 0 and not found:
        yield fail(topics.cloud, text, "nobody can be seen", **figures)
    else:
        yield ok(topics.cloud, text, **figures)
    for sentence in bag.health.problems if bag.health is not None else ():
        yield warn("pairing", sentence, "see docs/perception.md")
