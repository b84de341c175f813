"""Whether projected people fall into the image, and which way round the extrinsics are."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest

from emgait_ros.samples import CameraModel, Float64
from emgait_ros.sensing.perception.agreement import ENOUGH, PLENTY, ProjectionWatch, upright_inside

AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
CLOUD = np.random.default_rng(0).uniform([-40, -40, -1.7], [40, 40, 3], (5000, 3)).astype(np.float32)


def camera(T: Float64 = AXES) -> CameraModel:
    K = np.array([[800.0, 0, 640], [0, 800.0, 360], [0, 0, 1]])
    return CameraModel(1280, 720, K, np.zeros(0), "plumb_bob", T)


def watched(view: CameraModel, people: int, place: tuple[float, float] = (12.0, 0.0)) -> ProjectionWatch:
    """A watch after that many frames of one pedestrian who strolls about a place."""
    watch = ProjectionWatch()
    random = np.random.default_rng(1)
    for _ in range(people):
        center = np.array([[*(place + random.uniform(-3, 3, 2)), -0.8]])
        watch.observe(center, np.array([[0.6, 0.6, 1.8]]), view, CLOUD)
    return watch


def turned(axis: int, degrees: float) -> Float64:
    angle = np.radians(degrees)
    turn = np.eye(4)
    a, b = [k for k in range(3) if k != axis]
    turn[a, a] = turn[b, b] = np.cos(angle)
    turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
    return turn


@pytest.mark.parametrize(
    ("T", "people", "words"),
    [
        (AXES, PLENTY, ""),  # right
        (turned(1, 3.0) @ AXES, PLENTY, ""),  # a little off: people are still in the picture
        (np.linalg.inv(AXES), ENOUGH, "it seems to map camera to LiDAR"),  # the wrong way round
        (np.linalg.inv(AXES), ENOUGH - 1, ""),  # too early to say
        (np.eye(4), PLENTY, "projected people miss the image"),  # axes forgotten
        (turned(1, 180.0) @ AXES, PLENTY, "does the camera look where people walk"),  # looks backwards
        (turned(2, 90.0) @ AXES, ENOUGH, "lying or upside down"),  # a camera for portraits
        (turned(2, 180.0) @ AXES, ENOUGH, "let the driver turn the images"),  # one that hangs from the ceiling
        (turned(2, 20.0) @ AXES, PLENTY, ""),
    ],
)
def test_extrinsics(T, people, words):
    said = watched(camera(T), people).problem()
    assert words in said
    assert (said == "") == (words == "")


def test_people_beside_the_picture_are_no_fault_for_a_while():
    assert watched(camera(), PLENTY - 1, (0.0, 15.0)).problem() == ""


def test_another_camera_starts_over():
    watch = watched(camera(np.linalg.inv(AXES)), PLENTY)
    assert watch.problem()
    watch.observe(np.array([[12.0, 0, -0.8]]), np.array([[0.6, 0.6, 1.8]]), dataclasses.replace(camera()), CLOUD)
    assert watch.problem() == ""
    assert watch.share == 1.0


@pytest.mark.parametrize(
    ("step_deg", "said"),
    [
        (2.0, True),  # a camera that pans at 20 degrees a second is watched all the same
        (20.0, False),  # each image could be of another calibration
    ],
)
def test_a_camera_that_is_turned_is_judged_all_the_same(step_deg, said):
    watch = ProjectionWatch()
    for frame in range(PLENTY):
        pan = turned(1, step_deg * abs(frame % 20 - 10))  # right, left, right
        view = camera(np.linalg.inv(AXES) @ pan)
        watch.observe(np.array([[12.0, 0, -0.8]]), np.array([[0.6, 0.6, 1.8]]), view, CLOUD)
    assert bool(watch.problem()) == said


@pytest.mark.parametrize(
    ("center", "inside"),
    [
        ((12.0, 0.0, -0.8), True),
        ((12.0, 11.0, -0.8), False),  # beside the picture
        ((-12.0, 0.0, -0.8), False),  # behind the camera
        ((0.3, 0.0, -0.8), False),  # at the lens
    ],
)
def test_upright_inside(center, inside):
    assert upright_inside(np.array([center]), np.array([[0.6, 0.6, 1.8]]), camera()).tolist() == [inside]


@pytest.mark.parametrize("line", range(8))
def test_it_may_start_over_in_another_thread_while_it_is_asked(line: int) -> None:
    """As with a new calibration while the node's diagnostics are made: a thread may be interrupted before any line."""
    watch = watched(camera(np.linalg.inv(AXES)), ENOUGH)
    lines = itertools.count()

    def interrupt(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_name == "problem" and event == "line" and next(lines) == line:
            watch.reset()
        return interrupt

    tracing = sys.gettrace()
    sys.settrace(interrupt)
    try:
        watch.problem()
    finally:
        sys.settrace(tracing)
