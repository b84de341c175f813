"""Writes a KITTI frame as a rosbag2, as if the sensors had looked at the same scene for a while."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from emgait_ros.lab.datasets.kitti import KittiFrame
from emgait_ros.lab.simulation.recording import write_ground_truth
from emgait_ros.lab.simulation.simulator import Truth
from emgait_ros.recordings.bag_writer import CAMERA_FRAME, LIDAR_FRAME, BagWriter

FIRST_STAMP_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
DELAY_NS = 20_000_000  # from a stamp to the moment its message is there
PEOPLE = ("Pedestrian", "Person_sitting")


def write_bag(frame: KittiFrame, path: str | Path, clouds: int) -> Path:
    """Repeat a frame with growing stamps, so that a tracker confirms who is in it.

    Cloud and image of a period have the same stamp: KITTI's camera is triggered by its LiDAR. Labelled people go into
    /ground_truth, numbered by their place in the label file. Returns ``<path>.params.yaml`` beside it: the frame's extrinsics.

    Args:
        frame: the frame.
        path: folder of the bag, must not exist.
        clouds: how often it is repeated, ten times a second.

    Raises:
        FileExistsError: the bag is there already.
    """
    path = Path(path)
    x, y, z = frame.points.T
    columns = {"x": x, "y": y, "z": z, "intensity": frame.intensity}
    people = _people(frame)
    T_lidar_camera = np.asarray(np.linalg.inv(frame.camera.T_camera_lidar), np.float64)
    with BagWriter(path) as writer:
        writer.static_transform(FIRST_STAMP_NS, {(LIDAR_FRAME, CAMERA_FRAME): T_lidar_camera})
        for number in range(clouds):
            stamp = FIRST_STAMP_NS + number * PERIOD_NS
            log_time = stamp + DELAY_NS
            writer.camera_info(stamp, log_time, frame.camera)
            writer.image(stamp, log_time, frame.image)
            writer.cloud(stamp, log_time, columns)
            if people is not None:
                write_ground_truth(writer, stamp, log_time, people)
    params = Path(f"{path}.params.yaml")
    extrinsics = [float(value) for value in frame.camera.T_camera_lidar.ravel()]
    content = {"/**/pedestrian_tracker": {"ros__parameters": {"camera.T_camera_lidar": extrinsics}}}
    params.write_text(
        f"# LiDAR to camera of KITTI frame {frame.name}, for the live node.\n{yaml.safe_dump(content)}",
        encoding="utf-8",
    )
    return params


def _people(frame: KittiFrame) -> Truth | None:
    if frame.labels is None:
        return None
    chosen = np.flatnonzero(np.isin(frame.labels.kind, PEOPLE))
    people = frame.labels.of_kind(*PEOPLE)
    return Truth(
        identity=chosen.astype(np.int64),
        center=people.center,
        size=people.upright_size(),
        velocity=np.zeros_like(people.center),
        point_count=people.contains(frame.points).sum(axis=1).astype(np.int64),
    )
