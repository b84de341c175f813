"""Boxes as vision_msgs has them: plain objects with the same fields, and real messages where the package is installed."""

from __future__ import annotations

from types import SimpleNamespace as Plain
from typing import Any


def box(
    center: tuple[float, float, float],
    size: tuple[float, float, float] = (0.6, 0.6, 1.8),
    quaternion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0),
    **scores: float,
) -> Plain:
    """One Detection3D; ``scores`` by class_id, m."""
    return Plain(
        header=Plain(stamp=Plain(sec=0, nanosec=0), frame_id=""),
        results=[Plain(hypothesis=Plain(class_id=k, score=v), pose=None) for k, v in scores.items()],
        bbox=Plain(
            center=Plain(
                position=Plain(x=center[0], y=center[1], z=center[2]),
                orientation=Plain(x=quaternion[0], y=quaternion[1], z=quaternion[2], w=quaternion[3]),
            ),
            size=Plain(x=size[0], y=size[1], z=size[2]),
        ),
        id="",
    )


def array(*boxes: Plain, frame_id: str = "lidar", stamp_ns: int = 10**9) -> Plain:
    """A Detection3DArray."""
    stamp = Plain(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return Plain(header=Plain(stamp=stamp, frame_id=frame_id), detections=list(boxes))


def real(message: Plain) -> Any:
    """The same as a vision_msgs/Detection3DArray."""
    from builtin_interfaces.msg import Time
    from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
    from std_msgs.msg import Header
    from vision_msgs.msg import BoundingBox3D, Detection3D, Detection3DArray, ObjectHypothesis, ObjectHypothesisWithPose

    header = Header(stamp=Time(**vars(message.header.stamp)), frame_id=message.header.frame_id)
    made = Detection3DArray(header=header)
    for item in message.detections:
        center = Pose(
            position=Point(**vars(item.bbox.center.position)),
            orientation=Quaternion(**vars(item.bbox.center.orientation)),
        )
        results = [ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(**vars(r.hypothesis))) for r in item.results]
        bounds = BoundingBox3D(center=center, size=Vector3(**vars(item.bbox.size)))
        made.detections.append(Detection3D(header=header, results=results, bbox=bounds))
    return made
