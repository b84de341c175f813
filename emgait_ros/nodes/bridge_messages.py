"""Answers of the recognizer as messages of other packages. Their modules are given: nothing of them is imported here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from emgait_msgs.msg import Identity, IdentityArray, Pedestrian
from emgait_ros.nodes.bridged import HEAD, HIPS, Seen, body_id, confidence, heading, person_id

PEDESTRIAN = "pedestrian"
STATUS_NAMES = {Identity.STATUS_PENDING: "pending", Identity.STATUS_UNKNOWN: "unknown", Identity.STATUS_KNOWN: "known"}
Tracked = Mapping[int, Pedestrian]  # by track number


def seen_of(identity: Identity, tracked: Tracked) -> Seen:
    """One answer in the terms of the bridges."""
    known = identity.status == Identity.STATUS_KNOWN
    center, size = identity.position, identity.size
    return Seen(
        body=body_id(identity.tracker_id, identity.track_id),
        person=person_id(identity.name) if known else "",
        confidence=confidence(identity.distance, identity.threshold, identity.probability) if known else 0.0,
        x=center.x,
        y=center.y,
        bottom=center.z - size.z / 2,
        height=size.z,
        yaw=heading(_velocity(identity, tracked)),
    )


def detections_message(vision: Any, array: IdentityArray, tracked: Tracked) -> Any:
    """vision_msgs/Detection3DArray: ``id`` is tracker/track; the first hypothesis says pedestrian, the second who it is.

    Args:
        vision: the module vision_msgs.msg.
        array: of the recognizer.
        tracked: the pedestrians it answers, with their scores.
    """
    made = vision.Detection3DArray(header=array.header)
    for identity in array.identities:
        box = vision.BoundingBox3D(center=Pose(position=identity.position), size=identity.size)
        pose = PoseWithCovariance(
            pose=Pose(position=identity.position, orientation=_turned(heading(_velocity(identity, tracked))))
        )
        pedestrian = tracked.get(identity.track_id)
        classes = [(PEDESTRIAN, float(pedestrian.score) if pedestrian is not None else 1.0)]
        if identity.status == Identity.STATUS_KNOWN:
            classes.append((identity.name, confidence(identity.distance, identity.threshold, identity.probability)))
        results = [
            vision.ObjectHypothesisWithPose(
                hypothesis=vision.ObjectHypothesis(class_id=class_id, score=score), pose=pose
            )
            for class_id, score in classes
        ]
        track = f"{identity.tracker_id}/{identity.track_id}"
        made.detections.append(vision.Detection3D(header=array.header, results=results, bbox=box, id=track))
    return made


def people_message(people: Any, array: IdentityArray, tracked: Tracked) -> Any:
    """people_msgs/People: positions on the ground, velocities, the name or the track as name.

    Args:
        people: the module people_msgs.msg.
        array, tracked: as for :func:`detections_message`.
    """
    made = people.People(header=array.header)
    for identity in array.identities:
        velocity, pedestrian = _velocity(identity, tracked) or (0.0, 0.0), tracked.get(identity.track_id)
        track = body_id(identity.tracker_id, identity.track_id)
        known = identity.status == Identity.STATUS_KNOWN
        made.people.append(
            people.Person(
                name=identity.name if known else track,
                position=Point(
                    x=identity.position.x, y=identity.position.y, z=identity.position.z - identity.size.z / 2
                ),
                velocity=Point(x=velocity[0], y=velocity[1]),
                reliability=float(pedestrian.score) if pedestrian is not None else 1.0,
                tagnames=["track", "status"],
                tags=[track, STATUS_NAMES.get(identity.status, "pending")],
            )
        )
    return made


def transforms_of(seen: Seen, header: Header, with_person: bool) -> list[TransformStamped]:
    """TF body_<id> between the hips, x where it faces; person_<id> at its head.

    Args:
        seen: who.
        header: of the sensor's frame that their place is in.
        with_person: also the person's frame, when it is known who it is.
    """
    hips = Vector3(x=seen.x, y=seen.y, z=seen.bottom + HIPS * seen.height)
    body = f"body_{seen.body}"
    made = [_transform(header, body, Transform(translation=hips, rotation=_turned(seen.yaw)))]
    if with_person and seen.person:
        up = Transform(translation=Vector3(z=(HEAD - HIPS) * seen.height))
        made.append(_transform(Header(stamp=header.stamp, frame_id=body), f"person_{seen.person}", up))
    return made


def match_message(hri: Any, body: str, person: str, sure: float) -> Any:
    """hri_msgs/IdsMatch of a body and a person; ``sure`` 0 takes it back."""
    return hri.IdsMatch(
        id1=body, id1_type=hri.IdsMatch.BODY, id2=person, id2_type=hri.IdsMatch.PERSON, confidence=float(sure)
    )


def _transform(header: Header, child: str, transform: Transform) -> TransformStamped:
    return TransformStamped(header=header, child_frame_id=child, transform=transform)


def _velocity(identity: Identity, tracked: Tracked) -> tuple[float, float] | None:
    pedestrian = tracked.get(identity.track_id)
    return None if pedestrian is None else (pedestrian.velocity.x, pedestrian.velocity.y)


def _turned(yaw: float | None) -> Quaternion:
    half = (yaw or 0.0) / 2
    return Quaternion(z=math.sin(half), w=math.cos(half))
