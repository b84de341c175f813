"""What the pedestrian_tracker reports of its pairs and frames on /diagnostics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from emgait_ros.nodes.diagnostics import OK, WARN, status
from emgait_ros.sensing.pairing import PairingHealth

SLOW_S = 0.03


@dataclass(frozen=True)
class FrameTimes:
    """How the last frame went: seconds by step, ms by stage of the sensing, and what was found."""

    convert_s: float = 0.0
    sense_s: float = 0.0
    publish_s: float = 0.0
    points: int = 0
    pedestrians: int = 0
    with_crop: int = 0
    stages_ms: dict[str, float] = field(default_factory=dict)


def frame_status(times: FrameTimes) -> DiagnosticStatus:
    """Who is in view, and what it cost."""
    values: dict[str, Any] = {
        "points": times.points,
        "convert_ms": f"{times.convert_s * 1e3:.1f}",
        "sense_ms": f"{times.sense_s * 1e3:.1f}",
        "publish_ms": f"{times.publish_s * 1e3:.1f}",
    }
    values |= {f"{stage}_ms": f"{ms:.1f}" for stage, ms in times.stages_ms.items()}
    return status("pedestrians", OK, f"{times.pedestrians} in view, {times.with_crop} with a crop", values)


def pairing_status(health: PairingHealth, any_cloud: bool) -> DiagnosticStatus:
    """How clouds and images come together; nothing is wrong with pairing while no cloud has come at all."""
    values = {
        "paired": health.paired,
        "unpaired": health.unpaired,
        "dt_last_ms": f"{health.last_dt_s * 1e3:.1f}",
        "dt_p50_ms": f"{health.p50_dt_s * 1e3:.1f}",
        "dt_p95_ms": f"{health.p95_dt_s * 1e3:.1f}",
        "cloud_rate_hz": f"{health.cloud_rate_hz:.2f}",
        "image_rate_hz": f"{health.image_rate_hz:.2f}",
        "constant_offset_ms": f"{health.constant_offset_s * 1e3:.1f}",
        "arrival_offset_ms": f"{health.arrival_offset_s * 1e3:.1f}",
        "arrival_offset_p95_ms": f"{health.arrival_p95_s * 1e3:.1f}",
        "wait_ms": f"{health.wait_s * 1e3:.1f}",
        "nearest_came_late": f"{health.late_share:.2f}",
        "lidar_only": health.camera_silent,
        "time_jumps": health.time_jumps,
    }
    for sensor, counts in (("cloud", health.cloud), ("image", health.image)):
        values |= {f"{sensor}_{name}": count for name, count in vars(counts).items()}
    if not any_cloud:
        return status("pairing", OK, "waiting for clouds", values)
    # Zero stamps are named as bad input while they come, and stay counted here.
    problems = [p for p in health.problems if "stamp of zero" not in p]
    if problems:
        return status("pairing", WARN, "; ".join(problems), values)
    if not health.paired:
        return status("pairing", OK, "no pairs yet", values)
    text = f"|dt| {health.p50_dt_s * 1e3:.0f} ms (median)"
    if abs(health.arrival_offset_s) > SLOW_S:
        late, other = ("images", "clouds") if health.arrival_offset_s > 0 else ("clouds", "images")
        text += f", {late} arrive {abs(health.arrival_offset_s) * 1e3:.0f} ms later than {other} with the same stamp"
    text += f", clouds wait at most {health.wait_s * 1e3:.0f} ms"
    return status("pairing", OK, f"{text}; {health.hint}" if health.hint else text, values)
