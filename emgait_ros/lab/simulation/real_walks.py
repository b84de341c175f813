"""Real walks on simulated bodies: a motion-capture take becomes an endless walk with the take's own steps.

Motion capture leaves constants of its calibration in the mean posture, which would distinguish subjects without being gait;
the mean is replaced by the population's, so that only the movement is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emgait_ros.lab.simulation.body import Body, BodyShape
from emgait_ros.lab.simulation.bvh import RetargetedWalk, load_bvh, retarget
from emgait_ros.lab.simulation.gait import GaitParameters, GaitSpace
from emgait_ros.samples import Float64

HARMONICS = 5
BLEND_S = 0.12  # over which the end of the loop passes into its beginning
MEAN_ADULT = BodyShape(gender=0.5, age=0.75, muscle=0.5, weight=0.5, height=0.5, proportions=0.5)
MEAN_STATURE_M = 1.70


@dataclass(frozen=True)
class RecordedSteps:
    """The steps of a take, over and over; stands in for ``gait.StepVariation``.

    Attributes:
        vectors: (T, B, 3) float64 joint rotation vectors of the loop, rad.
        rate_hz: frames a second.
        period_s: mean duration of a cycle.
    """

    vectors: Float64
    rate_hz: float
    period_s: float

    def rotation_vectors(self, gait: GaitParameters, time_s: Float64) -> Float64:
        """(N, B, 3) joint rotation vectors at times (N,), rad; ``gait`` is not used."""
        frame = np.asarray(time_s, np.float64) * self.rate_hz % len(self.vectors)
        below = np.floor(frame).astype(int) % len(self.vectors)
        part = (frame - np.floor(frame))[:, None, None]
        return np.asarray((1 - part) * self.vectors[below] + part * self.vectors[(below + 1) % len(self.vectors)])


@dataclass(frozen=True)
class Take:
    """A motion-capture file named SUBJECT_TAKE.bvh, as steps."""

    subject: str
    name: str
    steps: RecordedSteps


def load_takes(folder: str | Path) -> list[Take]:
    """Every SUBJECT_TAKE.bvh of a folder, in the order of their names.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no such file in it, or one that is damaged or too short; the sentence names it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing: give a folder of SUBJECT_TAKE.bvh files")
    paths = sorted(path for path in folder.glob("*.bvh") if "_" in path.stem)
    if not paths:
        raise ValueError(f"{folder} holds no file named SUBJECT_TAKE.bvh, such as 07_01.bvh")
    body = Body.load()
    person = body.personal(body.shape_of_stature(MEAN_ADULT, MEAN_STATURE_M))
    takes = []
    for path in paths:
        try:
            steps = recorded_steps(retarget(load_bvh(path), body, person), body)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        takes.append(Take(path.stem.split("_")[0], path.stem, steps))
    return takes


def recorded_steps(walk: RetargetedWalk, body: Body) -> RecordedSteps:
    """The whole cycles of a take as a loop, with the population's mean posture.

    Raises:
        ValueError: the take is shorter than one cycle.
    """
    series, period = fourier_series(walk, body)
    frames = len(walk.rotation_vectors)
    blend = round(BLEND_S * walk.rate_hz)
    length = round(int((frames - blend) / walk.rate_hz / period) * period * walk.rate_hz)
    if length < 1:
        raise ValueError(f"the take lasts {frames / walk.rate_hz:.1f} s: expected at least a cycle of {period:.2f} s")
    loop = walk.rotation_vectors[:length].copy()
    weight = np.linspace(0, 1, blend, endpoint=False)[:, None, None]
    loop[:blend] = weight * loop[:blend] + (1 - weight) * walk.rotation_vectors[length : length + blend]
    loop += GaitSpace.load().mean_posture(series) - loop.mean(axis=0)
    return RecordedSteps(loop, walk.rate_hz, period)


def fourier_series(walk: RetargetedWalk, body: Body) -> tuple[np.ndarray, float]:
    """(B, 3, HARMONICS + 1) complex coefficients over the cycle and the period, s; phase 0: left thigh most forward."""
    time = np.arange(len(walk.rotation_vectors)) / walk.rate_hz
    left, right = (walk.rotation_vectors[:, body.bone[f"{side}UpLeg"], 1] for side in ("Left", "Right"))
    apart = left - right
    periods = np.arange(0.8, 1.7, 0.005)
    errors = [
        np.square(apart - _design(time, p, 3) @ np.linalg.lstsq(_design(time, p, 3), apart)[0]).sum() for p in periods
    ]
    period = float(periods[int(np.argmin(errors))])
    design = _design(time, period, HARMONICS)
    flat = walk.rotation_vectors.reshape(len(time), -1)
    solution = np.linalg.lstsq(design, flat)[0]
    coefficients = np.concatenate([solution[:1].astype(complex), solution[1::2] - 1j * solution[2::2]]).T
    coefficients = coefficients.reshape(-1, 3, HARMONICS + 1)
    first = coefficients[body.bone["LeftUpLeg"], 1, 1] - coefficients[body.bone["RightUpLeg"], 1, 1]
    shift = np.pi - np.angle(first)  # left minus right becomes -cos(phase): the left thigh is forward at phase 0
    return coefficients * np.exp(1j * np.arange(HARMONICS + 1) * shift), period


def _design(time: Float64, period: float, harmonics: int) -> Float64:
    columns = [np.ones_like(time)]
    for h in range(1, harmonics + 1):
        angle = 2 * np.pi * h * time / period
        columns += [np.cos(angle), np.sin(angle)]
    return np.stack(columns, axis=1)
