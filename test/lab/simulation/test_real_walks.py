"""Real walks on simulated bodies: loops without a jump, the take's own rhythm, feet on the ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emgait_ros.lab.simulation.body import Body
from emgait_ros.lab.simulation.bvh import RetargetedWalk
from emgait_ros.lab.simulation.gait import GaitSpace
from emgait_ros.lab.simulation.real_walks import RecordedSteps, load_takes, recorded_steps
from emgait_ros.lab.simulation.walker import Walker
from emgait_ros.lab.simulation.walks import generate_walk

RATE_HZ = 120.0


def made_up_take(seconds: float = 3.0, period_s: float = 1.1) -> RetargetedWalk:
    """The average gait, recorded, with a calibration error in the head."""
    space, body = GaitSpace.load(), Body.load()
    gait = space.parameters(np.zeros(space.latent_size))
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    vectors = gait.rotation_vectors(2 * np.pi * time / period_s)
    vectors[:, body.bone["Head"], 1] += 0.5
    return RetargetedWalk(vectors, np.zeros((len(time), 3)), RATE_HZ)


def test_a_loop_has_whole_cycles_and_no_jump() -> None:
    steps = recorded_steps(made_up_take(), Body.load())
    assert steps.period_s == pytest.approx(1.1, abs=0.01)
    assert len(steps.vectors) == pytest.approx(2 * 1.1 * RATE_HZ, abs=3)
    step = np.abs(np.diff(steps.vectors, axis=0)).max()
    assert np.abs(steps.vectors[0] - steps.vectors[-1]).max() < 2 * step
    gait = GaitSpace.load().parameters(np.zeros(GaitSpace.load().latent_size))
    around = steps.rotation_vectors(gait, np.array([0.3, 0.3 + len(steps.vectors) / RATE_HZ, -0.1]))
    assert around[0] == pytest.approx(around[1])
    assert np.isfinite(around).all()


def test_the_calibration_in_the_mean_posture_is_taken_out() -> None:
    head = Body.load().bone["Head"]
    mean = recorded_steps(made_up_take(), Body.load()).vectors[:, head, 1].mean()
    assert np.degrees(mean) == pytest.approx(-5.0, abs=0.5)  # the population's, not half a radian more


def test_a_take_shorter_than_a_cycle_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least a cycle"):
        recorded_steps(made_up_take(seconds=1.0), Body.load())


def test_a_walker_takes_the_recorded_steps() -> None:
    steps = recorded_steps(made_up_take(), Body.load())
    walker = Walker(900_001, 3, outfit="light", steps=steps)
    assert walker.gait.period_s == pytest.approx(1.1, abs=0.01)
    assert 0.8 < walker.speed_m_s < 1.8
    lowest = [walker.vertices(t)[:, 2].min() for t in np.arange(0, 3, 0.1)]
    assert np.abs(lowest).max() < 0.03  # stands on the ground
    samples = generate_walk(900_001, 3, 10, 90, 4, walker=walker)
    assert all(s.point_count > 50 for s in samples)


def test_folders_without_takes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is missing"):
        load_takes(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="SUBJECT_TAKE"):
        load_takes(tmp_path)
    (tmp_path / "07_01.bvh").write_text("nothing")
    with pytest.raises(ValueError, match=r"07_01\.bvh: .*is not a BVH file"):
        load_takes(tmp_path)


def test_real_takes_walk_as_people_do(shared_data: Path) -> None:
    takes = load_takes(shared_data / "cmu_walk")
    assert {take.subject for take in takes} == {"02", "05", "06", "07"}
    for take in takes[::4]:
        walker = Walker(900_000, 0, outfit="light", steps=take.steps)
        assert isinstance(take.steps, RecordedSteps)
        assert 0.9 < take.steps.period_s < 1.65
        assert 0.5 < walker.speed_m_s < 2.0
        knee = Body.load().bone["LeftLeg"]
        bend = np.degrees(take.steps.vectors[:, knee, 1])
        assert -5 < bend.min() < 15
        assert 40 < bend.max() < 85
