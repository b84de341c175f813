"""Judges what the messages of a running system hold, and whether cloud, image and calibration fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from emgait_ros.config import DetectorConfig, PairingConfig
from emgait_ros.doctor.findings import Finding, fail, ok, warn
from emgait_ros.doctor.observations import CAMERA_INFO, IMAGE, LiveSystem, TopicSeen
from emgait_ros.samples import CameraModel, Float32, Float64, UInt8
from emgait_ros.sensing.camera_info import camera_from_info, is_rectified
from emgait_ros.sensing.conversions import cloud_to_points, picture_to_rgb, stamp_ns
from emgait_ros.sensing.pairing_health import OTHER_CLOCK_S
from emgait_ros.sensing.perception.agreement import IN_IMAGE, share_in_image
from emgait_ros.sensing.perception.cloud_watch import CloudWatch
from emgait_ros.sensing.stamps import WORTH_SAYING_S, constant_offset_s

PAIRED_WELL, PAIRED_BADLY = 0.9, 0.5


def judge_cloud(seen: TopicSeen, detector: DetectorConfig) -> tuple[list[Finding], Float32 | None]:
    """Fields, points and frame of the newest cloud; its points too when they can be read."""
    message, found = seen.last, []
    subject, frame = f"{seen.topic} content", message.header.frame_id
    names = ", ".join(f.name for f in message.fields)
    notes: list[str] = []
    try:
        points = cloud_to_points(message, notes.append)
    except ValueError as error:
        return [
            fail(
                subject,
                str(error),
                "nobody can be seen: the cloud needs x, y, z as floats (look at the driver's settings)",
            )
        ], None
    found += _noted(subject, notes)
    if not frame:
        found.append(fail(subject, "frame_id is empty", "let the driver fill header.frame_id: transforms need it"))
    if "optical" in frame:
        found.append(
            warn(
                subject,
                f"frame '{frame}' is a camera frame, z forward",
                "the LiDAR's z axis must point up: transform the cloud first",
            )
        )
    total = int(message.width) * int(message.height)
    ranges = np.hypot(points[:, 0], points[:, 1])
    used = int(((ranges >= detector.min_range_m) & (ranges <= detector.max_range_m)).sum())
    text = f"{total} points ({names}), {len(points)} finite, {used} within {detector.min_range_m:g} to {detector.max_range_m:g} m, frame '{frame}'"
    figures = {"points": total, "finite": len(points), "in_range": used, "frame_id": frame}
    if sentence := _watched(seen):
        found.append(fail(subject, sentence, "nobody can be recognised from such clouds", **figures))
    elif used == 0:
        found.append(
            fail(
                subject,
                text,
                "nobody can be seen: is something in front of the LiDAR? Are its units metres?",
                **figures,
            )
        )
    else:
        found.append(ok(subject, text, **figures))
    return found, points


def _noted(subject: str, notes: list[str]) -> list[Finding]:
    """What is wrong in a message that can still be used."""
    return [warn(subject, note, "it is read anyway; other nodes may refuse it") for note in notes]


def _watched(seen: TopicSeen) -> str:
    """What is wrong with all of the last clouds; empty when nothing is."""
    watch = CloudWatch()
    for message in seen.recent:
        with suppress(ValueError):
            watch.observe(cloud_to_points(message), stamp_ns(message.header))
    return watch.problem()


def judge_image(seen: TopicSeen, compressed: bool) -> tuple[list[Finding], UInt8 | None]:
    """Encoding and size of the newest image; its pixels too when they can be read."""
    message, subject = seen.last, f"{seen.topic} content"
    notes: list[str] = []
    try:
        pixels = picture_to_rgb(message, compressed, notes.append)
    except ValueError as error:
        return [
            fail(
                subject,
                str(error),
                "the image cannot be used: set the driver to rgb8 or bgr8, or compressed to JPEG or PNG",
            )
        ], None
    kind = message.format if compressed else message.encoding
    found = _noted(subject, notes)
    text = f"{pixels.shape[1]} x {pixels.shape[0]}, {kind}, frame '{message.header.frame_id}'"
    if float(pixels[::8, ::8].std()) < 2.0:
        return [
            *found,
            warn(subject, f"{text}: the picture is all of one colour", "is the lens covered, the exposure far off?"),
        ], pixels
    return [*found, ok(subject, text, width=pixels.shape[1], height=pixels.shape[0], encoding=kind)], pixels


def judge_pairing(cloud: TopicSeen, image: TopicSeen, config: PairingConfig) -> Iterator[Finding]:
    """How many clouds have an image near enough in time, whether it arrives in time, and what would help."""
    clouds = np.unique([s for s in cloud.stamps_ns if s > 0]) * 1e-9 + config.cloud_offset_s
    images = np.unique([s for s in image.stamps_ns if s > 0]) * 1e-9 + config.image_offset_s
    if len(clouds) == 0 or len(images) < 2:
        return
    nearest = np.clip(np.searchsorted(images, clouds), 1, len(images) - 1)
    before, after = images[nearest - 1] - clouds, images[nearest] - clouds
    dt = np.where(np.abs(before) <= np.abs(after), before, after)
    # Clouds before the first and after the last image seen have had no fair chance.
    fair = (clouds >= images[0] - config.max_dt_s) & (clouds <= images[-1] + config.max_dt_s)
    dt = dt[fair]
    paired = float((np.abs(dt) <= config.max_dt_s).mean()) if len(dt) else 0.0
    lag_s = float(np.median(_ages(image)) - config.image_offset_s - np.median(_ages(cloud)) + config.cloud_offset_s)
    text = f"{paired * 100:.0f} % of clouds have an image within {config.max_dt_s * 1e3:.0f} ms"
    text += f" (|dt| median {np.median(np.abs(dt)) * 1e3:.0f} ms)" if len(dt) else ""
    figures = {"paired": paired, "arrival_offset_s": lag_s}
    if cloud.lost_share or image.lost_share:
        fix = "stamps cannot be judged while messages are lost: see what is said of the topics"
        yield warn("pairing", text, fix, **figures)
    elif not len(dt):  # the stamps do not overlap at all
        offset_s = config.image_offset_s + lag_s
        corrected = f"where they differ by a constant, set pairing.image_offset_s to {offset_s:.3f}"
        if abs(offset_s) > OTHER_CLOCK_S:
            corrected = "that is more than pairing.image_offset_s can correct"
        fix = f"synchronise the sensors' clocks (PTP, NTP); {corrected}"
        yield fail("pairing", f"{text}: their stamps lie {abs(lag_s):.2f} s apart", fix, **figures)
    elif paired < PAIRED_WELL:
        yield (fail if paired < PAIRED_BADLY else warn)("pairing", text, _nearer(dt, config), **figures)
    elif lag_s + config.image_wait_s > max(config.max_wait_s, config.image_wait_s):
        fix = f"raise pairing.max_wait_s (now {config.max_wait_s:g} s) to {lag_s + config.image_wait_s + 0.01:.2f}, or shorten the delay"
        late = f"{text}, but images arrive {lag_s * 1e3:.0f} ms later than clouds with the same stamp"
        yield warn("pairing", late, fix, **figures)
    else:
        if lag_s > config.image_wait_s:
            text += f"; images arrive {lag_s * 1e3:.0f} ms later than clouds with the same stamp, and are waited for"
        yield ok("pairing", text, **figures)


def _nearer(dt_s: Float64, config: PairingConfig) -> str:
    """What brings images nearer to their clouds, given the differences (N,) of the nearest ones, s."""
    offset_s = constant_offset_s(dt_s)
    if abs(offset_s) > WORTH_SAYING_S:
        return f"if both show the same moment, set pairing.image_offset_s to {config.image_offset_s - offset_s:.3f}"
    return f"the camera is too slow for this LiDAR: raise its rate, or pairing.max_dt_s (now {config.max_dt_s:g} s)"


def judge_calibration(system: LiveSystem, points: Float32 | None, pixels: UInt8 | None) -> Iterator[Finding]:
    """CameraInfo against image and extrinsics: does the cloud fall into the picture?"""
    subject, info = "calibration", system.topics[CAMERA_INFO]
    if system.T_camera_lidar is None:
        yield fail(
            subject,
            system.extrinsics_problem,
            "set camera.T_camera_lidar (16 numbers, row-major), or publish the transform on /tf_static",
        )
    if info.last is None or pixels is None:
        return
    image_frame, info_frame = system.topics[IMAGE].last.header.frame_id, info.last.header.frame_id
    if image_frame != info_frame:
        yield warn(
            subject,
            f"the image's frame is '{image_frame}', its CameraInfo's '{info_frame}'",
            "are they of the same camera?",
        )
    extrinsics = np.eye(4) if system.T_camera_lidar is None else system.T_camera_lidar
    notes: list[str] = []
    try:
        rectified = is_rectified(system.topics[IMAGE].topic)
        camera = camera_from_info(info.last, extrinsics, pixels.shape, notes.append, rectified)
    except ValueError as error:
        yield fail(
            subject, f"{info.topic}: {error}", "no crops can be cut: publish the CameraInfo of this image at this size"
        )
        return
    yield from _noted(info.topic, notes)
    if system.T_camera_lidar is None or points is None or len(points) == 0:
        return
    yield judge_projection(camera, points, system.extrinsics_from)


def judge_projection(camera: CameraModel, points: Float32, extrinsics_from: str) -> Finding:
    """The share of a cloud that falls into the image, and whether the inverse transform would do better."""
    share = share_in_image(points, camera)
    T = np.asarray(np.linalg.inv(camera.T_camera_lidar), np.float64)
    inverse = share_in_image(points, replace(camera, T_camera_lidar=T))
    text = f"{share * 100:.1f} % of the cloud falls into the image (extrinsics from {extrinsics_from})"
    if share >= IN_IMAGE:
        return ok("calibration", text, share_in_image=share)
    hint = (
        f"its inverse gives {inverse * 100:.1f} %: it seems to map camera to LiDAR"
        if inverse >= IN_IMAGE
        else "look at its axes"
    )
    fix = f"the matrix must map LiDAR points (z up) into the optical frame (z forward, x right, y down): {hint}"
    return fail("calibration", text, fix, share_in_image=share, share_of_inverse=inverse)


def _ages(seen: TopicSeen) -> Sequence[float]:
    """How far each stamp lies behind the clock on arrival, s; one zero when nothing came."""
    return [(now - stamp) * 1e-9 for now, stamp in zip(seen.clock_ns, seen.stamps_ns, strict=True) if stamp > 0] or [
        0.0
    ]
