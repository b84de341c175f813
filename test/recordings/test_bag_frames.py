"""Transforms of a bag: a robot that drives and turns, read as the live node reads it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import CAMERA, CLOUD_STAMP_S, CLOUDS, IMAGE_STAMP_S, START_NS, lidar_pose, write_drive

from emgait_ros.config import TrackerNodeConfig, with_options
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.walks import matched_walkers, places_of, truth_at
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing

RIGHT = {"frames.fixed": "odom", "pairing.cloud_offset_s": -CLOUD_STAMP_S, "pairing.image_offset_s": -IMAGE_STAMP_S}


def options(**changes: Any) -> TrackerNodeConfig:
    return with_options(TrackerNodeConfig(), {**RIGHT, **changes})


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drive(tmp_path_factory.mktemp("drive") / "bag")


def switches(path: Path, config: TrackerNodeConfig) -> tuple[int, float]:
    """Changes of a person's track number, and the part of people x clouds that were tracked."""
    count, found, people = 0, 0, 0
    last: dict[int, int] = {}
    with BagRecording(path) as bag:
        sensing = PedestrianSensing(config, "drive")
        for frame in bag.sensor_frames(config):
            seen = sensing.process(frame, bag.lidar_frame_id).pedestrians
            truth = truth_at(bag.ground_truth, frame.stamp_ns)
            assert truth is not None
            people += len(truth.walkers)
            for pedestrian, walker in zip(
                seen, matched_walkers(truth, places_of([p.center for p in seen]))[0], strict=True
            ):
                if walker is not None:
                    found += 1
                    count += last.get(walker, pedestrian.track_id) != pedestrian.track_id
                    last[walker] = pedestrian.track_id
    return count, found / people


def test_a_driving_robot_keeps_its_tracks(drive: Path) -> None:
    count, tracked = switches(drive, options())
    assert count == 0
    assert tracked > 0.9


def test_transforms_are_those_of_the_corrected_stamps(drive: Path) -> None:
    with BagRecording(drive) as bag:
        frames = list(bag.sensor_frames(options()))
        assert bag.problems == Counter()
        assert bag.lidar_frame_id == "/lidar"
    assert len(frames) == CLOUDS
    for number, frame in enumerate(frames):
        at_s = number / 10
        assert frame.stamp_ns == START_NS + number * 100_000_000
        np.testing.assert_allclose(frame.T_fixed_lidar, lidar_pose(at_s), atol=1e-3)
        assert frame.image_dt_s == pytest.approx(0.01, abs=1e-6)
        np.testing.assert_allclose(frame.T_fixed_lidar_at_image, lidar_pose(at_s + frame.image_dt_s), atol=1e-3)
        np.testing.assert_allclose(frame.camera.T_camera_lidar, CAMERA.T_camera_lidar, atol=1e-6)


def test_a_bag_that_starts_over_forgets_the_transforms_of_before(tmp_path: Path) -> None:
    path = write_drive(tmp_path / "bag", times=2)
    with BagRecording(path) as bag:
        frames = list(bag.sensor_frames(options()))
    assert len(frames) >= 2 * CLOUDS - 8  # what still waits for transforms when time jumps is lost
    for frame in frames:
        at_s = (frame.stamp_ns - START_NS) * 1e-9
        np.testing.assert_allclose(frame.T_fixed_lidar, lidar_pose(at_s), atol=1e-3)


@pytest.mark.parametrize(
    ("bag", "fixed", "words"),
    [
        ({"tf": False}, "odom", "no transform from 'lidar' to 'odom'.*does not connect them.*frames.fixed"),
        ({}, "map", "no transform from 'lidar' to 'map'.*it has base_link, camera_optical, lidar, odom"),
    ],
)
def test_a_fixed_frame_that_is_not_in_the_bag_is_said(
    tmp_path: Path, bag: dict[str, Any], fixed: str, words: str
) -> None:
    path = write_drive(tmp_path / "bag", **bag)
    with BagRecording(path) as recording, pytest.raises(ValueError, match=words):
        list(recording.sensor_frames(options(**{"frames.fixed": fixed})))
