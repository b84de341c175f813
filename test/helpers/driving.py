"""A bag of a robot that drives and turns past people, with its odometry on /tf: no real data, exact truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from synthetic_clouds import SENSOR_HEIGHT_M, person, scan

from emgait_ros.lab.simulation.recording import write_ground_truth
from emgait_ros.lab.simulation.simulator import Truth
from emgait_ros.recordings.bag_writer import BagWriter
from emgait_ros.samples import CameraModel

MS = 1_000_000
START_NS = 1_750_000_000_000 * MS
CLOUD_STAMP_S = -0.05  # the driver stamps the start of a sweep, half a turn too early
IMAGE_STAMP_S = 0.02  # and the camera's clock runs ahead
CLOUDS = 80
PEOPLE = {
    1: (12.0, -4.0, 1.2),
    2: (14.0, 5.0, -1.0),
    3: (15.0, 1.0, 0.0),
}  # x, y at the start (m, odom), speed along y (m/s)
CAMERA = CameraModel(
    320, 240, np.array([[200.0, 0, 160], [0, 200, 120], [0, 0, 1]]), np.zeros(5), "plumb_bob",
    np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.2], [1, 0, 0, -0.1], [0, 0, 0, 1]]),
)  # fmt: skip


def robot(at_s: float) -> np.ndarray:
    """(4, 4) pose of base_link in odom: 0.8 m/s ahead, and it swings about by up to 1.2 rad/s."""
    angle = 0.4 * np.sin(3.0 * at_s)
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose[:2, 3] = 0.8 * at_s, 0.1 * np.sin(at_s)
    return pose


def lidar_pose(at_s: float) -> np.ndarray:
    """(4, 4) pose of the LiDAR in odom."""
    return robot(at_s) @ mounted()


def mounted() -> np.ndarray:
    """(4, 4) pose of the LiDAR in base_link."""
    pose = np.eye(4)
    pose[:3, 3] = 0.2, 0.0, SENSOR_HEIGHT_M
    return pose


def seen_from(at_s: float) -> dict[int, np.ndarray]:
    """Where everybody is then, (3,) m on the ground, LiDAR frame."""
    to_lidar = np.linalg.inv(lidar_pose(at_s))
    return {who: (to_lidar @ [x, y + v * at_s, 0, 1])[:3] for who, (x, y, v) in PEOPLE.items()}


def write_drive(path: Path, *, tf: bool = True, fixed: str = "odom", times: int = 1) -> Path:
    """Eight seconds at 10 Hz, images at 20 Hz, /tf at 50 Hz; ``times`` > 1 plays it again with the same stamps.

    Stamps of clouds and images are wrong by ``CLOUD_STAMP_S`` and ``IMAGE_STAMP_S``, those of transforms and truth right.
    """
    events = [(at, "tf") for at in np.arange(-0.5, CLOUDS / 10 + 0.1, 0.02)] if tf else []
    events += [(n / 10, "cloud") for n in range(CLOUDS)] + [(n / 20 + 0.01, "image") for n in range(2 * CLOUDS)]
    delay_s = {"tf": 0.055, "cloud": 0.05, "image": 0.03}  # transforms come last
    ordered = sorted((at + delay_s[kind], at, kind) for at, kind in events)
    with BagWriter(path) as writer:
        statics = {("base_link", "lidar"): mounted()}
        statics["lidar", "camera_optical"] = np.linalg.inv(CAMERA.T_camera_lidar)
        writer.static_transform(START_NS - 1000 * MS, statics)
        for turn in range(times):
            for log_s, at_s, kind in ordered:
                _write(writer, kind, float(at_s), START_NS + round((log_s + 10.0 * turn) * 1e9), fixed)
    return path


def _write(writer: BagWriter, kind: str, at_s: float, log_ns: int, fixed: str) -> None:
    def stamp(shift_s: float = 0.0) -> int:
        return START_NS + round((at_s + shift_s) * 1e9)

    if kind == "tf":
        writer.transform(stamp(), log_ns, {(fixed, "base_link"): robot(at_s)})
    elif kind == "image":
        writer.camera_info(stamp(IMAGE_STAMP_S), log_ns, CAMERA)
        writer.image(stamp(IMAGE_STAMP_S), log_ns, np.zeros((240, 320, 3), np.uint8))
    else:
        places = seen_from(at_s)
        solids = [solid for x, y, _ in places.values() for solid in person(float(x), float(y))]
        points = scan(solids, azimuth_step_deg=0.4, beams=48, seed=round(at_s * 10))
        centers = np.array([(x, y, z + 0.9) for x, y, z in places.values()])
        counts = np.full(len(places), 100)
        nothing = np.zeros((len(places), 3))
        write_ground_truth(
            writer, stamp(), log_ns, Truth(np.array(list(places)), centers, nothing + 0.7, nothing, counts)
        )
        # ROS 1 names have a leading slash: the same frame
        writer.cloud(stamp(CLOUD_STAMP_S), log_ns, dict(zip("xyz", points.T, strict=True)), frame_id="/lidar")


def write_parameters(path: Path, fixed: str = "odom") -> Path:
    """The parameter file a drive needs."""
    path.write_text(
        "pedestrian_tracker:\n  ros__parameters:\n"
        f"    frames.fixed: {fixed}\n"
        f"    pairing.cloud_offset_s: {-CLOUD_STAMP_S}\n    pairing.image_offset_s: {-IMAGE_STAMP_S}\n"
    )
    return path
