"""Do the people the LiDAR sees stand where the camera shows people? Measured over a recording, in degrees and milliseconds.

The image's people are what moves before a background that does not (the median of the recording), or the boxes of a 2D
detector when the options name one. Each walker's projected box is shifted until it covers them best, and from side to side
their upper bodies are compared: head and trunk as the LiDAR sees them and as the image shows them. Shadows and swinging legs
are not there. What all shifts have in common is the error of the extrinsics, what grows with the speed across the image is
an offset in time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from emgait_ros.config import TrackerNodeConfig
from emgait_ros.doctor.findings import Finding, fail, ok, warn
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.samples import CameraModel, Float64, Sample, SensorFrame, UInt8
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing, load_models
from emgait_ros.sensing.perception.camera import box_rectangles, project
from emgait_ros.sensing.perception.image_detector import ImageDetector

BACKGROUND_IMAGES = 31
WIDTH_PX = 640  # wider images are looked at in a half, a third ... of their size
DIFFERENT = 16  # levels of a colour
STILL = 0.25  # more of the picture changing than this: the camera moves
NEAR_M, FAR_M = 3.0, 40.0
SEARCH = 0.6  # of a person's height, to each side
COVERED, EMPTY = 0.35, 0.1  # of the box, at the best shift: from here on somebody is there; up to here nobody is
CLOSE = 0.2  # of a person's height: a shift that a crop tolerates
ENOUGH = 20
GOOD, BAD = 0.8, 0.5
WORTH_DEG, WORTH_PX, WORTH_S = 0.5, 5.0, 0.015
UPPER = 0.5  # of the height: from here up there are no legs, and no shadow on the ground
UNSURE = 0.01  # of a person's height (2 cm): so far one walk as a whole may be off, however many images show it
UNSURE_PX = 1.0  # at least
FEWEST = 5  # images of one walk that count
SPREAD_PX_S = 20.0  # between the speeds of walks; with less nothing can be said of time


@dataclass
class Agreement:
    """What was measured: one entry for each walker in each image.

    Attributes:
        shift: u, v from where the LiDAR sees somebody to where the image shows them, px.
        height: of the projected box, px.
        speed: across the image, px/s.
        track: number of the walker's track.
        focal: (2,) px.
        unseen: walkers whose place in the image shows nobody near.
        images: looked at.
        problem: of the extrinsics, as the live system says it.
        note: why nothing could be measured; empty when it could.
    """

    shift: list[tuple[float, float]] = field(default_factory=list)
    height: list[float] = field(default_factory=list)
    speed: list[float] = field(default_factory=list)
    track: list[int] = field(default_factory=list)
    focal: Float64 = field(default_factory=lambda: np.ones(2))
    unseen: int = 0
    images: int = 0
    problem: str = ""
    note: str = ""


@dataclass(frozen=True)
class Delay:
    """How much later than their stamps say images were taken, s, give or take ``error_s`` (two standard deviations).

    NaN when all walk at about the same speed across the image.
    """

    seconds: float = float("nan")
    error_s: float = float("nan")


def measure_agreement(bag: BagRecording, config: TrackerNodeConfig, report: Callable[[float], None]) -> Agreement:
    """Go through a recording.

    Args:
        bag: with clouds, images and CameraInfo.
        config: topics, extrinsics, and image_detector.model when boxes are to be used.
        report: called with the part done, 0..1.

    Raises:
        ValueError: the bag is damaged, or a model cannot be used.
    """
    models = load_models(config)
    detector = models.image_detector
    background = None if detector else _background(bag, config, lambda part: report(0.4 * part))
    found = Agreement()
    if background is None and detector is None:
        found.note = "the recording has too few images with a usable calibration"
        return found
    sensing = PedestrianSensing(config, "doctor", models=models)
    changing: list[float] = []
    for frame in bag.sensor_frames(config):
        report(0.4 + 0.6 * _part(bag, frame))
        people = sensing.process(frame, bag.lidar_frame_id).pedestrians
        if frame.image is None or frame.camera is None:
            continue
        found.images += 1
        if detector is not None:
            mask = _boxes_as_mask(detector, frame.image)
        else:
            small = _small(frame.image)
            if background is None or small.shape != background.shape:
                continue
            mask = _clean(cv2.absdiff(small, background).max(axis=2) > DIFFERENT)
            changing.append(float(mask.mean()))
        _compare(found, frame.camera, people, mask)
    found.problem = sensing.calibration_problem
    if changing and float(np.median(changing)) > STILL:
        found.note = "the camera moves: name a 2D detector in image_detector.model (ONNX) to compare with"
    return found


def judge_agreement(found: Agreement) -> Iterator[Finding]:
    """Findings of one recording."""
    subject, count = "calibration", len(found.shift)
    if found.problem:
        yield fail(
            subject,
            found.problem,
            "correct camera.T_camera_lidar (16 numbers, row-major) or the transform on /tf_static",
        )
        return
    if found.note or count + found.unseen < ENOUGH:
        why = found.note or f"{count + found.unseen} walkers in {found.images} images are too few"
        yield warn(subject, why, "record half a minute of somebody who walks both ways through the picture")
        return
    agree = agreement_share(found)
    constant, delay = common_shift(found) if count else (np.full(2, np.nan), Delay())
    angle = np.degrees(np.arctan2(constant, found.focal))
    text = f"{agree * 100:.0f} % of {count + found.unseen} walkers stand where the image shows somebody"
    if count:
        text += f" (shift {constant[0]:+.0f} px right, {constant[1]:+.0f} px down)"
    figures = {
        "agreement": agree,
        "walkers": count + found.unseen,
        "shift_right_px": float(constant[0]),
        "shift_down_px": float(constant[1]),
        "yaw_error_deg": float(angle[0]),
        "pitch_error_deg": float(angle[1]),
        "delay_s": delay.seconds,
        "delay_error_s": delay.error_s,
    }
    turned = [
        f"{abs(value):.1f} degrees {words[int(value > 0)]}"
        for value, pixels, words in zip(angle, constant, (("left", "right"), ("up", "down")), strict=True)
        if abs(value) > WORTH_DEG and abs(pixels) > WORTH_PX
    ]
    fix = (
        f"people appear {' and '.join(turned)} of where they are projected: turn T_camera_lidar by that"
        if turned
        else ""
    )
    if agree < BAD:
        yield fail(subject, text, fix or "check T_camera_lidar, CameraInfo and the stamps", **figures)
    elif agree < GOOD or turned:
        yield warn(subject, text, fix or "look at ~/overlay (camera.overlay: true)", **figures)
    else:
        yield ok(subject, text, **figures)
    if count:
        yield from _judge_delay(delay)


def _judge_delay(delay: Delay) -> Iterator[Finding]:
    figures = {"delay_s": delay.seconds, "delay_error_s": delay.error_s}
    error = f"± {delay.error_s * 1e3:.0f} ms"
    if math.isnan(delay.seconds):
        text = "whether images show the moment their stamps say cannot be told: all walk across them at about the same speed"
        yield ok("stamps", text, **figures)
    elif abs(delay.seconds) <= max(WORTH_S, delay.error_s):
        yield ok(
            "stamps", f"images show the moment their stamps say: {round(delay.seconds * 1e3):+d} {error}", **figures
        )
    else:
        later = "later" if delay.seconds > 0 else "earlier"
        yield warn(
            "stamps",
            f"the faster people walk across the image, the farther off they are: images show a moment "
            f"{abs(delay.seconds) * 1e3:.0f} {error} {later} than their stamps say",
            f"add {delay.seconds:+.3f} to pairing.image_offset_s",
            **figures,
        )


def agreement_share(found: Agreement) -> float:
    """Part of the walkers whom the image shows within a fifth of their height of where they are projected, 0..1."""
    close = [math.hypot(*shift) <= CLOSE * height for shift, height in zip(found.shift, found.height, strict=True)]
    return sum(close) / max(len(close) + found.unseen, 1)


def common_shift(found: Agreement) -> tuple[Float64, Delay]:
    """Shift (2,) that all walkers share, px, and the delay by which it grows with their speed."""
    shift, speed = np.array(found.shift), np.array(found.speed)
    middle = np.median(shift, axis=0)
    # One walk is one measurement, and back is another: what makes a person look shifted goes with them all the way.
    way = np.column_stack([found.track, np.sign(speed)])
    walks = [which for walk in np.unique(way, axis=0) if (which := (way == walk).all(axis=1)).sum() >= FEWEST]
    speeds = np.array([np.median(speed[which]) for which in walks])
    if len(walks) < 2 or np.ptp(speeds) < SPREAD_PX_S:
        return middle, Delay()
    right = np.array([np.median(shift[which, 0]) for which in walks])
    unsure = np.array([_unsure(shift[which, 0], np.array(found.height)[which]) for which in walks])
    across = np.column_stack([np.ones(len(walks)), speeds]) / unsure[:, None]
    covariance = np.linalg.inv(across.T @ across)
    solved = covariance @ across.T @ (right / unsure)
    rest = float(np.sum((right / unsure - across @ solved) ** 2)) / max(len(walks) - 2, 1)
    delay = Delay(float(solved[1]), 2.0 * math.sqrt(covariance[1, 1] * max(rest, 1.0)))
    return np.array([solved[0] if abs(delay.seconds) > delay.error_s else middle[0], middle[1]]), delay


def _unsure(right: Float64, height: Float64) -> float:
    """Standard deviation of the median shift of one walk, px."""
    spread = 1.48 * float(np.median(np.abs(right - np.median(right))))
    return math.hypot(max(UNSURE * float(np.median(height)), UNSURE_PX), spread / math.sqrt(len(right)))


def _compare(found: Agreement, camera: CameraModel, people: tuple[Sample, ...], mask: UInt8) -> None:
    """Shift of each walker who can be seen alone."""
    found.focal = np.array([camera.K[0, 0], camera.K[1, 1]])
    walkers = [p for p in people if p.moving and p.point_count and NEAR_M < p.range_m < FAR_M and p.occlusion < 0.3]
    if not walkers:
        return
    size = np.stack([p.size for p in walkers])
    place = np.stack([p.center + p.velocity * p.image_dt_s for p in walkers])
    later = place + np.stack([p.velocity for p in walkers]) * 0.1
    rectangles, visible = box_rectangles(place, size, camera)
    moved, visible_later = box_rectangles(later, size, camera)
    sums, scale = cv2.integral(mask), camera.width / mask.shape[1]
    for i in range(len(walkers)):
        left, top, right, bottom = rectangles[i] / scale
        inside = left > 0 and top > 0 and right < mask.shape[1] and bottom < mask.shape[0]
        lonely = all(
            abs(rectangles[i, 0] + rectangles[i, 2] - rectangles[j, 0] - rectangles[j, 2]) / 2 > 1.3 * (bottom - top)
            for j in range(len(walkers))
            if j != i
        )
        if not (visible[i] and visible_later[i] and inside and lonely):
            continue
        best, covered = _best_shift(sums, left, top, right, bottom)
        found.unseen += covered < EMPTY
        if covered < COVERED:  # clothes in the colour of the street are no disagreement
            continue
        right = _upper_shift(mask, rectangles[i] / scale, best, _upper_body(walkers[i], camera) / scale)
        found.shift.append(((best[0] if right is None else right) * scale, best[1] * scale))
        found.track.append(walkers[i].track_id)
        found.height.append((bottom - top) * scale)
        found.speed.append(float(moved[i, 0] + moved[i, 2] - rectangles[i, 0] - rectangles[i, 2]) / 2 / 0.1)


def _upper_body(walker: Sample, camera: CameraModel) -> Float64:
    """Columns (M,) of the LiDAR's returns from the upper body, px, where it is at the time of the image."""
    points = np.zeros((0, 3)) if walker.points is None else walker.points[:, :3].astype(np.float64)
    upper = points[:, 2] > walker.center[2] + (UPPER - 0.5) * walker.size[2]
    pixels, valid = project(points[upper] + walker.velocity * walker.image_dt_s, camera)
    return pixels[valid, 0]


def _upper_shift(mask: UInt8, rectangle: Float64, coarse: tuple[float, float], returns: Float64) -> float | None:
    """Shift in px of the mask from the middle of the returns to that of the upper body in the image; None without either."""
    left, top, right, bottom = rectangle + np.array([*coarse, *coarse])
    height = bottom - top
    begin = max(round(left - 0.1 * height), 0)
    rows = slice(max(round(top - 0.05 * height), 0), max(round(top + (1.0 - UPPER) * height), 0))
    filled = np.cumsum(mask[rows, begin : max(round(right + 0.1 * height), 0)].sum(axis=0, dtype=np.int64))
    if not len(returns) or not len(filled) or not filled[-1]:
        return None
    middle = begin + float(np.interp(0.5 * filled[-1], filled, np.arange(1.0, len(filled) + 1.0)))
    return middle - float(np.median(returns))


def _best_shift(
    sums: np.ndarray, left: float, top: float, right: float, bottom: float
) -> tuple[tuple[float, float], float]:
    """Shift u, v in px of the mask at which the box covers what moves best, and which part of it is filled there."""
    reach = SEARCH * (bottom - top)
    step = max((bottom - top) / 50, 1.0)
    offsets = np.arange(-reach, reach + step / 2, step)
    u, v = (grid.ravel() for grid in np.meshgrid(offsets, offsets))
    margin = 0.25 * (right - left)
    inner = _sum(sums, left + u, top + v, right + u, bottom + v)
    outer = _sum(sums, left + u - margin, top + v - margin, right + u + margin, bottom + v + margin)
    area = (right - left) * (bottom - top)
    value = inner / area - (outer - inner) / area - 0.02 * np.hypot(u, v) / reach
    best = int(np.argmax(value))
    near = value >= value[best] - 0.03  # a flat top: its middle
    return (float(u[near].mean()), float(v[near].mean())), float(inner[best] / area)


def _sum(sums: np.ndarray, left: Float64, top: Float64, right: Float64, bottom: Float64) -> Float64:
    """Set pixels inside rectangles, from the integral image."""
    x = [np.clip(np.rint(c), 0, sums.shape[1] - 1).astype(int) for c in (left, right)]
    y = [np.clip(np.rint(c), 0, sums.shape[0] - 1).astype(int) for c in (top, bottom)]
    return np.asarray(sums[y[1], x[1]] - sums[y[0], x[1]] - sums[y[1], x[0]] + sums[y[0], x[0]], np.float64)


def _background(bag: BagRecording, config: TrackerNodeConfig, report: Callable[[float], None]) -> UInt8 | None:
    """Median of images spread over the recording, shrunk; None when there are too few."""
    wanted_s = max(bag.duration_s / BACKGROUND_IMAGES, 0.1)
    kept: list[UInt8] = []
    next_s = 0.0
    for frame in bag.sensor_frames(config):
        part = _part(bag, frame)
        report(part)
        if frame.image is None or frame.camera is None or part * bag.duration_s < next_s:
            continue
        small = _small(frame.image)
        if kept and small.shape != kept[0].shape:
            continue
        kept.append(small)
        next_s = part * bag.duration_s + wanted_s
    return np.median(np.stack(kept), axis=0).astype(np.uint8) if len(kept) >= 5 else None


def _part(bag: BagRecording, frame: SensorFrame) -> float:
    return float(np.clip((frame.stamp_ns - bag.begin_ns) * 1e-9 / max(bag.duration_s, 1e-3), 0.0, 1.0))


def _small(image: UInt8) -> UInt8:
    scale = max(round(image.shape[1] / WIDTH_PX), 1)
    size = (image.shape[1] // scale, image.shape[0] // scale)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small if scale > 1 else cv2.blur(small, (3, 3)), np.uint8)


def _clean(different: np.ndarray) -> UInt8:
    """Remove specks and close holes: (h, w) uint8 0 or 1."""
    mask = cv2.medianBlur(different.astype(np.uint8), 3)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), np.uint8)


def _boxes_as_mask(detector: ImageDetector, image: UInt8) -> UInt8:
    height, width = _small(image).shape[:2]
    mask = np.zeros((height, width), np.uint8)
    scale = image.shape[1] / width
    boxes, _ = detector.detect(image)
    for left, top, right, bottom in np.rint(boxes / scale).astype(int).tolist():
        mask[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 1
    return mask
