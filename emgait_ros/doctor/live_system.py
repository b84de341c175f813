"""Judges what was seen on a running system: nodes, publishers, rates, stamps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import numpy as np

from emgait_ros.config import TrackerNodeConfig, full_name
from emgait_ros.doctor.contents import judge_calibration, judge_cloud, judge_image, judge_pairing
from emgait_ros.doctor.findings import Finding, fail, ok, warn
from emgait_ros.doctor.observations import CAMERA_INFO, CLOUD, IDENTITIES, IMAGE, PEDESTRIANS, LiveSystem, TopicSeen

LOWEST_CLOUD_RATE_HZ = 4.5  # a stride takes a second: fewer do not show it; one set to 5 Hz is a little slower
OLD_S, AHEAD_S = 1.0, 0.05
DAY_S = 86_400.0
STOPPED_S = 2.0


def judge(system: LiveSystem, config: TrackerNodeConfig) -> Iterator[Finding]:
    """All findings on a running system."""
    yield from judge_nodes(system)
    for seen in system.topics.values():
        yield from judge_topic(seen, system)
    cloud, image = system.topics.get(CLOUD), system.topics.get(IMAGE)
    points = pixels = None
    if cloud is not None and cloud.last is not None:
        found, points = judge_cloud(cloud, config.detector)
        yield from found
    if image is not None and image.last is not None:
        found, pixels = judge_image(image, config.topics.image_compressed)
        yield from found
    if cloud is not None and image is not None:
        yield from judge_pairing(cloud, image, config.pairing)
        yield from judge_calibration(system, points, pixels)
    for level, name, sentence in system.complaints:
        if not _is_of(name, system.namespace):
            continue  # another robot's
        yield (fail if level > 1 else warn)(
            name, sentence, "as it says; this is what the node itself reports on /diagnostics"
        )


def _is_of(name: str, namespace: str) -> bool:
    """Whether a diagnostic status ("robot1/pedestrian_tracker: pairing") is of a node in the namespace that is looked at."""
    node = name.split(":", 1)[0].strip().strip("/")
    return node.rpartition("/")[0] == namespace.strip("/")


def judge_nodes(system: LiveSystem) -> Iterator[Finding]:
    """Do our nodes run, once each, and are they active?"""
    start = "start them: `ros2 launch emgait_ros gait.launch.py`, or `emgait up` where there is no launch"
    for name in ("pedestrian_tracker", "gait_recognizer"):
        running = [node for node in system.nodes if node.rsplit("/", 1)[-1] == name]
        if not running:
            yield warn(name, "does not run (or is not seen: other domain, other machine)", start)
        elif full_name(name, system.namespace) not in running:
            namespace = running[0].rsplit("/", 1)[0].strip("/")
            yield warn(
                name,
                f"runs as {', '.join(running)}, not as {full_name(name, system.namespace)}",
                f"look at it with --namespace '{namespace}'",
            )
        elif len(set(running)) < len(running):
            yield fail(
                name,
                f"runs {len(running)} times under the same name {running[0]}",
                "stop all but one, or give them other names or namespaces",
            )
        else:
            yield ok(name, f"runs as {full_name(name, system.namespace)}")
    for node, state in system.states.items():
        if state != "active":
            does = "recognises" if node.endswith("gait_recognizer") else "tracks"
            fix = (
                f"`ros2 lifecycle set {node} activate` (configure first when it is unconfigured); its log says why it is not active. One "
                "that does not answer may be compiling, up to a minute at the very first start"
            )
            yield fail(node, f"its life-cycle state is '{state}': it {does} nobody", fix)


def judge_topic(seen: TopicSeen, system: LiveSystem) -> Iterator[Finding]:
    """Who publishes a topic, whether it arrives, how often, how large, and how its stamps run."""
    for sentence in seen.refused:
        yield fail(
            seen.topic,
            f"QoS mismatch: {sentence}",
            "set topics.reliability to what is offered, or change the publisher",
        )
    if seen.kept:
        yield ok(
            seen.topic,
            f"its last message is kept for who comes late, by {'; '.join(seen.publishers) or 'nobody any more'}",
        )
        return
    if not seen.arrivals_s:
        # What our own nodes publish cannot come while they do not run: that is said already.
        if seen.role in (CLOUD, IMAGE, CAMERA_INFO) or seen.publishers:
            yield fail(seen.topic, f"nothing came in {system.seconds:.0f} s", seen.why_silent)
        return
    count, largest = len(seen.arrivals_s), max(seen.sizes)
    gap_s = float(np.diff(seen.arrivals_s).max()) if count > 1 else 0.0
    figures = {
        "messages": count,
        "rate_hz": round(seen.rate_hz, 2),
        "largest_bytes": largest,
        "largest_gap_s": round(gap_s, 3),
    }
    text = f"{seen.rate_hz:.1f} Hz, {size_in_words(largest)}, largest gap {gap_s * 1e3:.0f} ms, from {'; '.join(seen.publishers) or 'nobody any more'}"
    if seen.silent_s > STOPPED_S and seen.silent_s > 3 * gap_s:
        yield fail(
            seen.topic,
            f"{count} messages, then nothing for {seen.silent_s:.1f} s",
            seen.why_silent or "see whether its driver or bag still runs",
            **figures,
        )
    elif seen.lost_share:
        lost = f"{text}: {seen.lost_share:.0%} of its messages are lost on the way"
        yield warn(seen.topic, lost, seen.loss_advice, **figures, lost_share=round(seen.lost_share, 3))
    elif seen.role == CLOUD and seen.rate_hz < LOWEST_CLOUD_RATE_HZ:
        fix = f"a stride takes a second: let the LiDAR turn at 10 Hz. If it does, clouds are lost on the way: {seen.loss_advice}"
        yield warn(seen.topic, text, fix, **figures)
    elif count > 4 and gap_s > 4 * float(np.median(np.diff(seen.arrivals_s))) and gap_s > 0.3:
        yield warn(seen.topic, text, f"messages come in bursts or are lost on the way: {seen.loss_advice}", **figures)
    else:
        yield ok(seen.topic, text, **figures)
    if len(seen.publishers) > 1 and seen.role not in (
        PEDESTRIANS,
        IDENTITIES,
    ):  # one recognizer serves several trackers
        yield warn(
            seen.topic,
            f"{len(seen.publishers)} publishers: {'; '.join(seen.publishers)}",
            "their messages mix: stop all but one, or remap",
        )
    yield from judge_stamps(seen, system.simulated_time)


def judge_stamps(seen: TopicSeen, simulated_time: bool) -> Iterator[Finding]:
    """Stamps of zero, running backwards, or far from the clock."""
    stamps, subject = np.array(seen.stamps_ns, dtype=np.int64), f"{seen.topic} stamps"
    if zero := int((stamps == 0).sum()):
        yield fail(
            subject, f"{zero} of {len(stamps)} are zero", "such messages are refused: let the driver fill header.stamp"
        )
    set_stamps = stamps[stamps > 0]
    if len(set_stamps) == 0 or seen.role not in (CLOUD, IMAGE):
        return
    steps = np.diff(set_stamps)
    if backward := int((steps < 0).sum()):
        yield warn(
            subject,
            f"ran backwards {backward} times (a bag that starts over, two publishers)",
            "tracks start over each time",
        )
    if repeated := int((steps == 0).sum()):
        yield warn(
            subject,
            f"{repeated} of {len(stamps)} repeat the one before",
            "repeated clouds and images are refused: look at the driver",
        )
    age_s = (np.array(seen.clock_ns, dtype=np.int64)[stamps > 0] - set_stamps) * 1e-9
    middle = float(np.median(age_s))
    clock = "/clock" if simulated_time else "this machine's clock"
    figures = {"age_median_s": middle, "age_largest_s": float(age_s.max())}
    synchronise = "synchronise the clocks of sensor and machine (chrony, PTP), or let the driver use ROS time"
    if abs(middle) > DAY_S:
        day = datetime.fromtimestamp(float(set_stamps[-1]) * 1e-9, timezone.utc).date()
        fix = "fine for a bag; where TF is needed play it with --clock and set use_sim_time. A driver: let it use ROS time"
        yield warn(subject, f"are of {day}, by {clock} that is {abs(middle) / DAY_S:.0f} days off", fix, **figures)
    elif middle < -AHEAD_S:
        yield warn(subject, f"{-middle:.3f} s ahead of {clock}", synchronise, **figures)
    elif middle > OLD_S:
        yield warn(
            subject,
            f"{middle:.2f} s behind {clock}",
            f"{synchronise}; or the data waits in a queue on its way",
            **figures,
        )
    else:
        yield ok(
            subject,
            f"{middle * 1e3:.0f} ms behind {clock} (median; {age_s.min() * 1e3:.0f} to {age_s.max() * 1e3:.0f})",
            **figures,
        )


def size_in_words(size: int) -> str:
    """Bytes as kB or MB."""
    return f"{size / 1e6:.2f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
