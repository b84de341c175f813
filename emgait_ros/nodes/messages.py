"""Our own messages to and from the plain data types of ``emgait_ros.samples``."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Vector3
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from emgait_msgs.msg import Candidate as CandidateMessage
from emgait_msgs.msg import Enrollment, Identity, IdentityArray, PedestrianArray
from emgait_msgs.msg import Pedestrian as PedestrianMessage
from emgait_ros.recognition.enrollments_over_time import EnrollmentNews
from emgait_ros.recognition.identity_results import IdentityResult
from emgait_ros.samples import Float32, Float64, PedestrianFrame, Sample, UInt8
from emgait_ros.sensing.conversions import stamp_ns

POINT_FIELDS = [
    *(PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate("xyz")),
    PointField(name="track_id", offset=12, datatype=PointField.UINT32, count=1),
]

FARTHEST_M, LARGEST_M, FASTEST_M_S = 1e4, 20.0, 100.0
"""Beyond these a pedestrian is none, and what the network made of the numbers would spoil the others of the frame."""


def header_of(stamp: int, frame_id: str) -> Header:
    """A header from a stamp in ns."""
    return Header(stamp=Time(sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000), frame_id=frame_id)


def frame_to_message(frame: PedestrianFrame, header: Header | None = None) -> PedestrianArray:
    """What the pedestrian_tracker publishes; ``header``: that of the cloud, else one is made from the frame."""
    message = PedestrianArray(header=header or header_of(frame.stamp_ns, frame.frame_id), tracker_id=frame.tracker_id)
    message.pedestrians = [_pedestrian_to_message(p) for p in frame.pedestrians]
    return message


def message_to_frame(message: PedestrianArray) -> tuple[PedestrianFrame, list[str]]:
    """Read a PedestrianArray of any publisher.

    A pedestrian whose place or size is no number, or whose track came before in the message, is left out; one whose
    points or crop do not fit their sizes keeps what is right.

    Returns:
        The frame, and a sentence for each thing that was wrong.

    Raises:
        ValueError: the header's stamp is zero, or no time.
    """
    stamp = stamp_ns(message.header)
    if message.header.stamp.nanosec >= 1_000_000_000:
        raise ValueError(
            f"a PedestrianArray has a stamp with {message.header.stamp.nanosec} ns beside its seconds: that is no time"
        )
    if stamp <= 0:
        raise ValueError("a PedestrianArray has a stamp of zero: it must carry the stamp of the LiDAR frame")
    repeated = {track for track, count in Counter(p.track_id for p in message.pedestrians).items() if count > 1}
    problems, pedestrians, seen = [], [], set()
    for item in message.pedestrians:
        if item.track_id in seen:
            continue
        seen.add(item.track_id)
        pedestrian, wrong = _message_to_pedestrian(item)
        problems += wrong
        if pedestrian is not None:
            pedestrians.append(pedestrian)
    problems += [
        f"pedestrian {track} comes more than once in one message: only the first is used" for track in sorted(repeated)
    ]
    frame = PedestrianFrame(stamp, message.header.frame_id, message.tracker_id, tuple(pedestrians))
    return frame, problems


def identities_to_message(results: list[IdentityResult], header: Header, model: str) -> IdentityArray:
    """What the gait_recognizer publishes; ``header``: that of the PedestrianArray, ``model``: the bundle's fingerprint."""
    message = IdentityArray(header=header, model=model)
    message.identities = [_identity_to_message(r) for r in results]
    return message


def returns_to_message(returns: Mapping[int, Float32], header: Header) -> PointCloud2:
    """The returns of each track (M, 3) as one cloud with the fields x y z track_id; ``header``: that of the LiDAR's."""
    if not returns:  # upstream's create_cloud refuses to make an empty cloud
        return PointCloud2(header=header, height=1, fields=POINT_FIELDS, point_step=16)
    points = np.empty(sum(map(len, returns.values())), point_cloud2.dtype_from_fields(POINT_FIELDS))
    points["x"], points["y"], points["z"] = np.concatenate(list(returns.values())).T
    points["track_id"] = np.repeat(np.array(list(returns), np.uint32), [len(r) for r in returns.values()])
    return point_cloud2.create_cloud(header, POINT_FIELDS, points)


def enrollment_to_message(news: EnrollmentNews) -> Enrollment:
    """What the gait_recognizer publishes on ``~/enrollments``."""
    return Enrollment(
        stamp=Time(sec=news.stamp_ns // 1_000_000_000, nanosec=news.stamp_ns % 1_000_000_000),
        name=news.name,
        tracker_id=news.tracker_id,
        track_id=int(news.track_id) & 0xFFFFFFFF,
        state=int(news.state),
        remaining_s=float(news.remaining_s),
        samples=int(news.samples),
        samples_needed=int(news.samples_needed),
        templates=int(news.templates),
        quality=news.quality,
        message=news.message,
    )


def float_array(values: Float32) -> array[float]:
    """An ``array.array`` for a float32[] field: rclpy takes 700 times longer to copy a numpy array."""
    return array("f", np.ascontiguousarray(values, np.float32).tobytes())


def byte_array(values: UInt8) -> array[int]:
    """An ``array.array`` for a uint8[] field."""
    return array("B", np.ascontiguousarray(values, np.uint8).tobytes())


def _pedestrian_to_message(pedestrian: Sample) -> PedestrianMessage:
    message = PedestrianMessage(
        track_id=int(pedestrian.track_id),
        center=_point(pedestrian.center),
        size=_vector(pedestrian.size),
        velocity=_vector(pedestrian.velocity),
        moving=bool(pedestrian.moving),
        range_m=float(pedestrian.range_m),
        score=float(pedestrian.score),
        point_count=int(pedestrian.point_count),
        crop_native_height_px=float(pedestrian.crop_native_height_px),
        image_dt_s=float(pedestrian.image_dt_s),
        sharpness=float(pedestrian.sharpness),
        occlusion=float(pedestrian.occlusion),
        relinked=pedestrian.previous_track_id is not None,
        previous_track_id=int(pedestrian.previous_track_id or 0),
        group=bool(pedestrian.group),
        coasting=bool(pedestrian.coasting),
    )
    if pedestrian.points is not None:
        message.points = float_array(pedestrian.points)
    if pedestrian.crop is not None:
        message.crop_height, message.crop_width = pedestrian.crop.shape[:2]
        message.crop = byte_array(pedestrian.crop)
    return message


def _message_to_pedestrian(message: PedestrianMessage) -> tuple[Sample | None, list[str]]:
    who = f"pedestrian {message.track_id}"
    center, size, velocity = _numbers(message.center), _numbers(message.size), _numbers(message.velocity)
    if not (np.isfinite(center).all() and np.abs(center).max() < FARTHEST_M):
        return None, [f"{who} is left out: its center is not finite, or nowhere near {center.tolist()}"]
    if not (np.isfinite(size).all() and (size > 0).all() and size.max() < LARGEST_M):
        return None, [f"{who} is left out: its size must be positive and that of people, found {size.tolist()} m"]
    problems = []
    if not (np.isfinite(velocity).all() and np.abs(velocity).max() < FASTEST_M_S):
        problems.append(f"{who} has a velocity that is not finite, or nobody's: taken as zero")
        velocity = np.zeros(3)
    points, wrong_points = _points(message, who)
    crop, wrong_crop = _crop(message, who)
    problems += wrong_points + wrong_crop
    range_m = float(message.range_m)
    return Sample(
        track_id=int(message.track_id),
        center=center,
        size=size,
        velocity=velocity,
        moving=bool(message.moving),
        range_m=range_m if math.isfinite(range_m) and range_m >= 0 else float(np.hypot(center[0], center[1])),
        score=float(np.nan_to_num(message.score)),
        point_count=int(message.point_count) if points is not None else 0,
        points=points,
        crop=crop,
        crop_native_height_px=float(np.nan_to_num(message.crop_native_height_px)) if crop is not None else 0.0,
        image_dt_s=float(np.nan_to_num(message.image_dt_s)) if crop is not None else 0.0,
        sharpness=float(np.nan_to_num(message.sharpness)) if crop is not None else 0.0,
        occlusion=float(np.clip(np.nan_to_num(message.occlusion), 0.0, 1.0)),
        previous_track_id=int(message.previous_track_id) if message.relinked else None,
        group=bool(message.group),
        coasting=bool(message.coasting),
    ), problems


def _points(message: PedestrianMessage, who: str) -> tuple[Float32 | None, list[str]]:
    values = np.frombuffer(message.points, np.float32)
    if len(values) == 0:
        return None, []
    if len(values) % 3:
        return None, [f"the points of {who} are not used: {len(values)} numbers are no multiple of 3 (x y z)"]
    if not np.isfinite(values).all():
        return None, [f"the points of {who} are not used: {int((~np.isfinite(values)).sum())} numbers are not finite"]
    points = values.reshape(-1, 3)
    if np.abs(points - _numbers(message.center)).max() > LARGEST_M:
        return None, [f"the points of {who} are not used: some are more than {LARGEST_M:.0f} m from its center"]
    return points, []


def _crop(message: PedestrianMessage, who: str) -> tuple[UInt8 | None, list[str]]:
    height, width = int(message.crop_height), int(message.crop_width)
    values = np.frombuffer(message.crop, np.uint8)
    if len(values) == 0:
        return None, []
    if len(values) != height * width * 3:
        return None, [
            f"the crop of {who} is not used: {len(values)} bytes, but {height} x {width} RGB pixels need {height * width * 3}"
        ]
    return values.reshape(height, width, 3), []


def _identity_to_message(result: IdentityResult) -> Identity:
    return Identity(
        **result.plain_fields(),
        position=_point(result.center),
        size=_vector(result.size),
        candidates=[CandidateMessage(name=c.name, distance=float(c.distance)) for c in result.decision.candidates],
    )


def _point(values: Float64) -> Point:
    return Point(x=float(values[0]), y=float(values[1]), z=float(values[2]))


def _vector(values: Float64) -> Vector3:
    return Vector3(x=float(values[0]), y=float(values[1]), z=float(values[2]))


def _numbers(message: Point | Vector3) -> Float64:
    return np.array([message.x, message.y, message.z], dtype=np.float64)
