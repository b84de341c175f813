"""Quality of service: what the nodes ask for, and why a publisher's offer does not fit."""

from __future__ import annotations

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)


def sensor_qos(reliability: str, depth: int) -> QoSProfile:
    """QoS of a sensor subscription; ``reliability`` is "best_effort" or "reliable"."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.VOLATILE,
    )


def output_qos(depth: int) -> QoSProfile:
    """QoS of what the nodes publish: reliable, so that both kinds of subscription match."""
    return sensor_qos("reliable", depth)


def described(profile: QoSProfile) -> str:
    """The policies two ends must agree on, in words: "reliable, volatile"."""
    return f"{profile.reliability.name.lower()}, {profile.durability.name.lower()}"


def mismatch(offered: QoSProfile, requested: QoSProfile) -> str:
    """Empty when a publisher can serve a subscription, else what each end says."""
    compatibility, reason = qos_check_compatible(offered, requested)
    if compatibility != QoSCompatibility.ERROR:
        return ""
    return f"the publisher offers {described(offered)}, the subscription requests {described(requested)} ({reason.strip(' ;')})"
