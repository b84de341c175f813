"""A LiDAR that is not the right way up is named, whatever stands around; one that is never is."""

from __future__ import annotations

import numpy as np
import pytest
from kitti_frames import FRAMES, load_frame
from synthetic_clouds import SENSOR_HEIGHT_M, person, scan

from emgait_ros.sensing.perception.ground import GroundEstimator
from emgait_ros.sensing.perception.orientation import OTHERS, TILTED, orientation_problem, tilt

SCENE = [*person(10, 0), ("box", (15.6, 16.0, -5.0, 5.0, 0.0, 3.0)), ("box", (-8.0, -4.0, 6.0, 8.0, 0.2, 1.5))]


@pytest.fixture(scope="module")
def ground() -> GroundEstimator:
    return GroundEstimator(1.0, 55.0)


@pytest.mark.parametrize("frame", ["scene", *FRAMES])
def test_upright_is_not_complained_of_and_every_other_way_is(ground, request, frame):
    cloud = scan(SCENE) if frame == "scene" else load_frame(request.getfixturevalue("shared_data"), frame).points
    assert orientation_problem(cloud, ground) == ""
    for name, advice, turn in OTHERS:
        said = orientation_problem(np.ascontiguousarray(cloud @ turn.astype(np.float32)), ground)
        assert name in said
        assert advice in said


@pytest.mark.parametrize("frame", ["scene", "000000"])
@pytest.mark.parametrize(
    ("degrees", "towards_deg", "named"),
    [(10.0, 80.0, False), (25.0, 0.0, True), (30.0, 80.0, True), (30.0, 290.0, True), (35.0, 200.0, True)],
)
def test_a_tilted_sensor_is_named(ground, request, frame, degrees, towards_deg, named):
    """From 15 degrees on people are missed, from 25 on nobody is found."""
    cloud = scan(SCENE) if frame == "scene" else load_frame(request.getfixturevalue("shared_data"), frame).points[:, :3]
    tilted = np.ascontiguousarray(cloud @ tilt(degrees, towards_deg).T)
    assert ("tilted" in orientation_problem(tilted, ground)) == named
    looks = [orientation_problem(tilted, ground, look) for look in range(len(TILTED))]
    assert any("tilted" in said for said in looks) == named


@pytest.mark.parametrize(
    "cloud",
    [
        np.zeros((0, 3), np.float32),
        np.random.default_rng(0).uniform(-60, 60, (20000, 3)).astype(np.float32),  # no ground at all: unclear
        scan([("box", (-30.0, 30.0, -30.0, 30.0, 2.5, 2.6))]),  # a ceiling: as flat as the floor
    ],
    ids=["empty", "chaos", "hall"],
)
def test_unclear_clouds_are_not_complained_of(ground, cloud):
    assert orientation_problem(cloud, ground) == ""


@pytest.mark.parametrize("frame", ["scene", "000000"])
def test_a_cloud_in_a_frame_on_the_ground_is_named(ground, request, frame):
    cloud = scan(SCENE) if frame == "scene" else load_frame(request.getfixturevalue("shared_data"), frame).points[:, :3]
    for over_ground_m, named in ((0.0, True), (0.1, True), (0.5, False)):
        moved = np.ascontiguousarray(cloud + np.float32([0, 0, SENSOR_HEIGHT_M - over_ground_m]), np.float32)
        assert ("base_link" in orientation_problem(moved, ground)) == named
