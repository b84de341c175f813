"""Isolated walks for training and evaluation: one person seen by a LiDAR and a camera, frame by frame.

Each frame becomes the sample the live system would hand on: returns that survived the ground removal, a box around
what was seen (not around the truth), and a crop cut by the live code's rules. Everything is fixed by the seed.
LiDAR frame: x forward, y left, z up, the sensor 1.5 to 2 m above the ground.
"""

from __future__ import annotations

import copy
from functools import lru_cache

import cv2
import numpy as np

from emgait_ros.config import SampleConfig
from emgait_ros.lab.simulation.body import Body
from emgait_ros.lab.simulation.camera_rendering import Surface, expose, render, window_matrix
from emgait_ros.lab.simulation.lidar import LidarModel, RangeImage, cast_mesh, returns
from emgait_ros.lab.simulation.stations import Station, backdrop_window, draw_occluder, draw_station
from emgait_ros.lab.simulation.walker import Path, Walker
from emgait_ros.samples import CameraModel, Float32, Float64, Sample, UInt8
from emgait_ros.sensing.perception.camera import box_rectangles
from emgait_ros.sensing.perception.crops import resample

CONDITIONS = ("normal", "clothing", "bag", "occlusion", "night")
JOINTS = (
    "Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "RightUpLeg", "RightLeg", "RightFoot", "RightToeBase",
    "Spine1", "Head", "LeftArm", "LeftForeArm", "LeftHand", "RightArm", "RightForeArm", "RightHand",
)  # fmt: skip
BODY_DEPTH_M = 0.1  # the trunk's middle lies behind the surface that returns the beams, as the detector assumes
DENSITY = 2.0  # drawn pixels per native pixel
WALK_S = 20.0  # length of a day's walk that samples are taken from
BOX_SMOOTHING = 0.5  # weight of the newest box in the tracked one


def generate_walk(
    identity: int,
    walk: int,
    range_m: float,
    view_deg: float,
    frames: int = 20,
    *,
    rate_hz: float = 10.0,
    lidar: LidarModel | None = None,
    camera: CameraModel | None = None,
    condition: str = "normal",
    seed: int = 0,
    sample: SampleConfig | None = None,
    walker: Walker | None = None,
) -> list[Sample]:
    """One walk of one person, sampled at the LiDAR's rate.

    Args:
        identity, walk: of the population ``seed``; the same walk number is the same gait and (but for the conditions
            "clothing" and "bag") the same clothes, whatever the range and view.
        range_m: horizontal distance in the middle of the walk; it changes along the walk as they go.
        view_deg: heading against the direction to the sensor: 0 comes towards it, 90 and 270 pass by, 180 goes away.
        frames: samples.
        lidar, camera: fixed sensors; default: drawn per walk among usual ones.
        condition: one of ``CONDITIONS``.
        sample: size of crop and number of points, as the live system's.
        walker: a person who walks instead of the one drawn for ``identity`` and ``walk``, in clothes of his own.

    Returns:
        ``frames`` samples in the LiDAR frame; one without returns has ``points`` None and ``point_count`` 0.

    Raises:
        ValueError: unknown condition, no frames, range outside 2..100 m, or a rate outside 1..50 Hz.
    """
    walker, station, rng = _setting(
        identity, walk, range_m, view_deg, frames, rate_hz, lidar, camera, condition, seed, walker
    )
    sample = sample or SampleConfig()
    occluder = draw_occluder(station, range_m, rng) if condition == "occlusion" else None
    return _record(walker, station, occluder, frames, rate_hz, sample, rng)


def walk_joints(
    identity: int,
    walk: int,
    range_m: float,
    view_deg: float,
    frames: int = 20,
    condition: str = "normal",
    seed: int = 0,
) -> Float32:
    """Where the joints of ``JOINTS`` truly were in each sample of :func:`generate_walk` with the same arguments, 10 Hz.

    Returns:
        (frames, J, 3) float32 m, LiDAR frame.
    """
    walker, station, _ = _setting(identity, walk, range_m, view_deg, frames, 10.0, None, None, condition, seed)
    bone = Body.load().bone
    chosen = [bone[name] for name in JOINTS]
    height = np.array([0.0, 0.0, station.height_m])
    return np.array([walker.joints(frame / 10.0)[chosen] - height for frame in range(frames)], np.float32)


def _setting(
    identity: int,
    walk: int,
    range_m: float,
    view_deg: float,
    frames: int,
    rate_hz: float,
    lidar: LidarModel | None,
    camera: CameraModel | None,
    condition: str,
    seed: int,
    walker: Walker | None = None,
) -> tuple[Walker, Station, np.random.Generator]:
    """Who walks where before which sensors; the generator continues with the randomness of the samples."""
    if condition not in CONDITIONS:
        raise ValueError(f"condition is '{condition}': allowed are {', '.join(CONDITIONS)}")
    if frames < 1 or not 2 <= range_m <= 100 or not 1 <= rate_hz <= 50:
        raise ValueError(
            f"frames {frames}, range {range_m} m, rate {rate_hz} Hz: expected 1 or more, 2..100 m, 1..50 Hz"
        )
    if min(seed, identity, walk) < 0:
        raise ValueError(f"seed {seed}, identity {identity}, walk {walk}: expected numbers of 0 or more")
    key = [seed, identity, walk, CONDITIONS.index(condition), round(10 * range_m), round(view_deg) % 360]
    rng = np.random.default_rng(key)
    station = draw_station(rng, lidar, camera, condition == "night")
    if walker is None:
        walker = _todays(identity, walk, condition, seed, rng)
    return _placed(walker, range_m, view_deg, frames / rate_hz, station, rng), station, rng


def _todays(identity: int, walk: int, condition: str, seed: int, rng: np.random.Generator) -> Walker:
    """The person dressed according to the condition."""
    outfit = {"clothing": "coat", "bag": "random"}.get(condition, "light")
    bag = str(rng.choice(("backpack", "shoulder", "hand"))) if condition == "bag" else "none"
    clothes = 100_000 + walk if condition in ("clothing", "bag") else walk
    return _walker(identity, walk, seed, bag, clothes, outfit)


def _placed(
    person: Walker, range_m: float, view_deg: float, duration_s: float, station: Station, rng: np.random.Generator
) -> Walker:
    """A copy at the wanted range half-way through, with the wanted view; frame of the world: under the LiDAR."""
    heading = station.bearing_rad + np.pi + np.radians(view_deg + rng.uniform(-6, 6))
    middle = range_m * np.array([np.cos(station.bearing_rad), np.sin(station.bearing_rad)])
    walker = copy.copy(person)
    # Another stretch of the same day's walk each time: no two samples of a walk number share their steps.
    walker.start_s = -float(rng.uniform(0, WALK_S - duration_s - 2)) if duration_s < WALK_S - 2 else 0.0
    walker.path = Path.straight((0.0, 0.0), heading)
    half_way = walker.position(duration_s / 2)[:2]
    walker.path = Path.straight(tuple(middle - half_way), heading)
    return walker


@lru_cache(maxsize=8)
def _walker(identity: int, walk: int, seed: int, bag: str, clothes: int, outfit: str) -> Walker:
    """The person on that day; ranges and views share it."""
    return Walker(identity, walk, seed=seed, bag=bag, clothes=clothes, outfit=outfit)


def _record(
    walker: Walker,
    station: Station,
    occluder: Surface | None,
    frames: int,
    rate_hz: float,
    sample: SampleConfig,
    rng: np.random.Generator,
) -> list[Sample]:
    """Sample by sample, with the tracker's smoothing of the box."""
    pedestrians: list[Sample] = []
    center = size = np.zeros(3)
    bottom = -station.height_m
    for frame in range(frames):
        time = frame / rate_hz
        truth = walker.position(time) - [0.0, 0.0, station.height_m]
        points = _returns(walker, station, occluder, time, truth, rng)
        ground = -station.height_m + rng.normal(0, 0.012)
        bottom = ground if frame == 0 else 0.7 * bottom + 0.3 * ground
        found, extent = _box(points, truth, -station.height_m, walker.stature_m, rng)
        center = (
            found
            if frame == 0
            else (1 - BOX_SMOOTHING) * (center + walker.velocity(time) / rate_hz) + BOX_SMOOTHING * found
        )
        size = extent if frame == 0 else 0.8 * size + 0.2 * extent
        place = np.array([center[0], center[1], bottom + size[2] / 2])
        velocity = walker.velocity(time) + np.append(rng.normal(0, 0.08, 2), 0.0)
        image_dt = float(rng.uniform(-0.017, 0.017))
        crop, mask, native = _crop(
            walker, station, occluder, time + image_dt, place + velocity * image_dt, size, sample, rng
        )
        pedestrians.append(
            Sample(
                track_id=walker.identity,
                center=place,
                size=size.copy(),
                velocity=velocity,
                moving=True,
                range_m=float(np.hypot(place[0], place[1])),
                score=float(np.clip(len(points) / 40, 0.3, 1.0)),
                point_count=len(points),
                points=resample(points, sample.points, frame, walker.identity),
                crop=crop,
                crop_native_height_px=native if crop is not None else 0.0,
                image_dt_s=image_dt,
                silhouette=mask,
            )
        )
    return pedestrians


def _returns(
    walker: Walker, station: Station, occluder: Surface | None, time: float, truth: Float64, rng: np.random.Generator
) -> Float32:
    """(N, 3) returns a detector would give to this person: body, a few strays, not the lowest centimetres."""
    model = station.lidar
    distance = float(np.hypot(truth[0], truth[1]))
    half = np.arctan2(1.1, max(distance, 1.2))
    azimuth = float(np.arctan2(truth[1], truth[0]))
    step = np.radians(model.azimuth_step_deg)
    first = int(np.floor((azimuth - half + np.pi) / step))
    image = RangeImage.empty(model, first, int(2 * half / step) + 2)
    down = np.array([0.0, 0.0, station.height_m], np.float32)
    cast_mesh(model, walker.vertices(time) - down, walker.faces, image, closed=True)
    owner = np.ones(len(walker.faces), np.int32)
    if occluder is not None:
        cast_mesh(model, occluder.vertices - down, occluder.faces, image, len(walker.faces))
        owner = np.concatenate([owner, np.full(len(occluder.faces), 2, np.int32)])
    reflectivity = np.concatenate([walker.face_reflectivity, np.full(len(owner) - len(walker.faces), 0.4, np.float32)])
    scan = returns(model, image, reflectivity, owner, rng)
    height = scan.points[:, 2] + station.height_m
    near = np.hypot(scan.points[:, 0] - truth[0], scan.points[:, 1] - truth[1]) < 0.8
    cut = station.ground_cut_m + rng.normal(0, 0.01) + 0.0006 * distance
    kept = near & (height > cut) & ((scan.object_id == 1) | (rng.random(len(height)) < 0.02))
    kept &= (scan.object_id != 2) | (height < 0.6)
    points = scan.points[kept]
    if rng.random() < 0.05 and len(points):  # something of the surroundings sticks to the cluster
        count = 1 + rng.integers(max(1, len(points) // 15))
        stray = np.array([truth[0], truth[1], -station.height_m]) + rng.uniform(
            (-0.6, -0.6, 0.1), (0.6, 0.6, 0.5), (count, 3)
        )
        points = np.concatenate([points, stray.astype(np.float32)])
    return points


def _box(
    points: Float32, truth: Float64, ground: float, stature_m: float, rng: np.random.Generator
) -> tuple[Float64, Float64]:
    """Center and size of the box the geometric detector puts around the returns."""
    trunk = points[points[:, 2] > ground + 0.7]
    if len(trunk) < 3:
        noise = np.append(rng.normal(0, 0.08, 2), 0.0)
        return truth + noise + [0.0, 0.0, stature_m / 2], np.array([0.7, 0.7, stature_m + rng.normal(0, 0.05)])
    middle = trunk.mean(0).astype(np.float64)
    distance = max(float(np.hypot(middle[0], middle[1])), 0.1)
    middle *= (distance + BODY_DEPTH_M) / distance
    half = np.clip(np.abs(points[:, :2] - middle[:2]).max(0) + 0.02, 0.25, 0.65)
    height = float(np.clip(points[:, 2].max() - ground + 0.03, 1.0, 2.2))
    return np.array([middle[0], middle[1], ground + height / 2]), np.array([2 * half[0], 2 * half[1], height])


def _crop(
    walker: Walker,
    station: Station,
    occluder: Surface | None,
    time: float,
    center: Float64,
    size: Float64,
    sample: SampleConfig,
    rng: np.random.Generator,
) -> tuple[UInt8 | None, UInt8 | None, float]:
    """The crop ``perception.crops.cut_crop`` would cut, drawn window by window; what of it shows the walker; the box's native height, px."""
    camera = station.camera
    rectangles, visible = box_rectangles(center[None], size[None], camera)
    left, top, right, bottom = rectangles[0]
    height = (bottom - top) * (1 + 2 * sample.crop_margin)
    if not visible[0] or not 4 <= height < 4000:
        return None, None, 0.0
    width = max(round(height * sample.crop_width_px / sample.crop_height_px), 1)
    x0, y0 = round((left + right - width) / 2), round((top + bottom - height) / 2)
    rows = max(round(height), 1)
    density = min(DENSITY, max(1.0, 2.0 * sample.crop_height_px / rows))
    drawn = (max(round(width * density), 1), max(round(rows * density), 1))
    K = window_matrix(camera.K, x0, y0, 1.0)
    K = np.diag([drawn[0] / width, drawn[1] / rows, 1.0]) @ K
    image = backdrop_window(station.panorama, K, drawn)
    T = camera.T_camera_lidar @ _lift(-station.height_m)
    before = np.full(image.shape[:2], np.inf, np.float32)
    if occluder is not None:
        render(K, T, [occluder], image, station.light, before)
    body = Surface(walker.vertices(time), walker.faces, walker.face_colors, closed=True)
    shown = render(K, T, [body], image, station.light, before.copy()) < before
    native = expose(
        np.asarray(cv2.resize(image, (width, rows), interpolation=cv2.INTER_AREA), np.uint8), station.exposure, rng
    )
    interpolation = cv2.INTER_AREA if rows > sample.crop_height_px else cv2.INTER_LINEAR
    crop = cv2.resize(native, (sample.crop_width_px, sample.crop_height_px), interpolation=interpolation)
    mask = cv2.resize(shown.astype(np.uint8) * 255, crop.shape[1::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8), np.asarray(mask, np.uint8), float(bottom - top)


def _lift(z: float) -> Float64:
    T = np.eye(4)
    T[2, 3] = z
    return T
