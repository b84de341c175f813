"""Limbs of adults of one stature differ; stature itself and both sides of the body stay as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emgait_ros.lab.simulation.body import Body, BodyShape, PersonalBody
from emgait_ros.lab.simulation.proportions import LARGEST_DEVIATION, SEGMENTS, draw_segments, stretch_factors

AVERAGE = BodyShape(gender=0.5, age=0.75, muscle=0.5, weight=0.5, height=0.5, proportions=0.5)
NAMES = list(SEGMENTS)


def with_segment(name: str, z: float) -> BodyShape:
    return replace(AVERAGE, segments=tuple(z if other == name else 0.0 for other in NAMES))


def length(person: PersonalBody, start: str, end: str) -> float:
    bone = Body.load().bone
    return float(np.linalg.norm(person.heads[bone[start]] - person.heads[bone[end]]))


@pytest.mark.parametrize(
    ("segment", "start", "end", "change"),
    [
        ("leg", "LeftUpLeg", "LeftLeg", 0.055),
        ("leg", "RightLeg", "RightFoot", 0.055),
        ("shank against thigh", "LeftLeg", "LeftFoot", 0.018),
        ("shank against thigh", "LeftUpLeg", "LeftLeg", -0.018),
        ("arm", "LeftArm", "LeftForeArm", 0.030),
        ("forearm against upper arm", "RightForeArm", "RightHand", 0.022),
        ("foot", "LeftFoot", "LeftToeBase", 0.035),
    ],
)
def test_a_segment_grows_as_the_table_says(segment: str, start: str, end: str, change: float) -> None:
    before, after = (Body.load().personal(with_segment(segment, z)) for z in (0.0, 1.0))
    assert length(after, start, end) / length(before, start, end) == pytest.approx(1 + change, abs=1e-3)


@pytest.mark.parametrize(("segment", "joint"), [("shoulder breadth", "Arm"), ("hip breadth", "UpLeg")])
def test_a_body_grows_wider(segment: str, joint: str) -> None:
    before, after = (Body.load().personal(with_segment(segment, z)) for z in (0.0, 1.0))
    assert (
        0.004 < length(after, f"Left{joint}", f"Right{joint}") - length(before, f"Left{joint}", f"Right{joint}") < 0.02
    )


def test_average_segments_change_nothing() -> None:
    plain, average = Body.load().personal(AVERAGE), Body.load().personal(with_segment("leg", 0.0))
    assert np.abs(plain.vertices - average.vertices).max() < 1e-5
    assert np.abs(plain.heads - average.heads).max() < 1e-9


def test_long_legs_leave_the_stature() -> None:
    body = Body.load()
    short, long = (body.shape_of_stature(with_segment("leg", z), 1.75) for z in (-2.0, 2.0))
    assert body.personal(short).stature_m == pytest.approx(body.personal(long).stature_m, abs=2e-3)
    assert body.personal(long).leg_length_m - body.personal(short).leg_length_m > 0.05


def test_draws_are_bounded_and_both_sides_alike() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([draw_segments(rng) for _ in range(400)])
    assert drawn.shape == (400, len(SEGMENTS))
    assert np.abs(drawn).max() <= LARGEST_DEVIATION
    names = Body.load().bone_names
    factors = dict(zip(names, stretch_factors(tuple(drawn[0]), names), strict=True))
    for name, factor in factors.items():
        if name.startswith("Left"):
            assert factors[name.replace("Left", "Right")] == factor
