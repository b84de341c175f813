"""The space of gaits: people, their walks, their steps."""

from __future__ import annotations

import numpy as np
import pytest

from emgait_ros.lab.simulation.body import Body
from emgait_ros.lab.simulation.gait import POSTURE, SPREAD, GaitSpace, StepVariation


@pytest.fixture(scope="module")
def space() -> GaitSpace:
    return GaitSpace.load()


def drawn(space: GaitSpace, people: int) -> list:
    rng = np.random.default_rng(3)
    return [space.parameters(space.draw_person(rng)) for _ in range(people)]


@pytest.mark.parametrize("joint", ["UpLeg", "Leg", "Foot"])
def test_first_harmonics_spread_as_measured(space: GaitSpace, joint: str) -> None:
    bone = Body.load().bone
    gaits = drawn(space, 300)
    amplitude = [
        np.degrees(np.mean([abs(g.coefficients[bone[s + joint], 1, 1]) for s in ("Left", "Right")])) for g in gaits
    ]
    mean, between = SPREAD[joint][:2]
    assert np.mean(amplitude) == pytest.approx(mean, rel=0.15)  # the knee a little more: swinging feet must clear
    assert 0.5 * between < np.std(amplitude) < 1.5 * between


def test_cadence_spreads_as_measured(space: GaitSpace) -> None:
    cadence = [g.cadence_steps_min for g in drawn(space, 400)]
    assert np.mean(cadence) == pytest.approx(105.5, abs=3)
    assert 9 < np.std(cadence) < 14


def test_a_person_is_nearer_to_themselves_than_to_others(space: GaitSpace) -> None:
    rng = np.random.default_rng(5)
    phase = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    walks = []
    for _ in range(40):
        person = space.draw_person(rng)
        walks.append([space.parameters(space.draw_walk(person, rng)).rotation_vectors(phase).ravel() for _ in range(2)])
    vectors = np.array(walks)  # (people, walks, joints)
    within = np.linalg.norm(vectors[:, 0] - vectors[:, 1], axis=1)
    between = np.linalg.norm(vectors[:, None, 0] - vectors[None, :, 1], axis=2)[~np.eye(40, dtype=bool)]
    assert np.median(within) < 0.8 * np.median(between)


def test_left_and_right_are_alike_over_the_population(space: GaitSpace) -> None:
    bone = Body.load().bone
    difference = [
        np.degrees(abs(g.coefficients[bone["LeftArm"], 1, 1]) - abs(g.coefficients[bone["RightArm"], 1, 1]))
        for g in drawn(space, 300)
    ]
    assert abs(np.mean(difference)) < 1.5
    assert np.std(difference) > 1.5  # single people are not symmetric


def test_knees_never_bend_forward_and_feet_stand_flat(space: GaitSpace) -> None:
    bone = Body.load().bone
    phase = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    stance = (phase > 0.14 * 2 * np.pi) & (phase < 0.36 * 2 * np.pi)
    for gait in drawn(space, 50):
        pitch = gait.rotation_vectors(phase)[:, :, 1]
        assert np.degrees(pitch[:, [bone["LeftLeg"], bone["RightLeg"]]]).min() > -1
        sole = sum(pitch[:, bone[b]] for b in ("Hips", "LeftUpLeg", "LeftLeg", "LeftFoot"))
        assert abs(np.degrees(sole[stance].mean())) < 0.5


def test_posture_is_not_that_of_the_captured_people(space: GaitSpace) -> None:
    """Capture calibration leaves constants; ours come from the table alone."""
    bone = Body.load().bone
    mean = np.mean([g.coefficients[..., 0].real for g in drawn(space, 400)], axis=0)
    for name, axis, value, _, _ in POSTURE:
        assert np.degrees(mean[bone[name], axis]) == pytest.approx(value, abs=1.5)


def test_nobody_bends_beyond_reason(space: GaitSpace) -> None:
    bone = Body.load().bone
    phase = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    rng = np.random.default_rng(9)
    for _ in range(200):
        pitch = np.degrees(
            space.parameters(space.draw_walk(space.draw_person(rng), rng)).rotation_vectors(phase)[:, :, 1]
        )
        assert pitch[:, [bone["LeftLeg"], bone["RightLeg"]]].max() < 110
        assert np.abs(pitch[:, [bone["LeftUpLeg"], bone["RightUpLeg"]]]).max() < 62


def test_steps_vary_around_the_mean_cycle(space: GaitSpace) -> None:
    rng = np.random.default_rng(7)
    gait = space.parameters(space.draw_person(rng))
    steps = StepVariation.draw(gait, 100, rng)
    lengths = np.diff(steps.start_s)
    assert lengths.mean() == pytest.approx(gait.period_s, rel=0.01)
    assert 0.005 < lengths.std() / gait.period_s < 0.04
    time = np.linspace(0, 20, 2000)
    poses = steps.rotation_vectors(gait, time)
    speed = np.abs(np.diff(poses, axis=0)).max() / (time[1] - time[0])
    assert speed < 15  # rad/s: no jump where two cycles meet


def test_wrong_latent(space: GaitSpace) -> None:
    with pytest.raises(ValueError, match="expected"):
        space.parameters(np.zeros(3))
