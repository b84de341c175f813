"""Gaits drawn in the space of real walks: differences between persons, between their walks, and between steps.

A gait is a Fourier series of joint rotations over the cycle. ``data/gait_space.npz`` (``scripts/fit_gait_space.py``)
holds the mean of real walks and the principal components of their *dynamics*; mean posture is drawn separately, because
motion capture leaves calibration constants in it. On top of the components every joint gets its own amplitude, phase
and left-right difference, as much as is missing to the spread measured between and within persons (``SPREAD``).
A person is a vector of independent standard normal numbers ("latent"); a walk is that vector plus within-person noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.lab.simulation.body import DATA, Body
from emgait_ros.samples import Float64

WITHIN_FACTOR = 1.5  # the measured takes of a person are from one session: days apart people differ more
COMPONENT_WITHIN = 0.6  # typical within / between of the table below
CADENCE_STEPS_MIN = (105.5, 11.5, 7.3)  # mean, between persons, within a person
HIP_CADENCE_CORRELATION = 0.7  # long strides are quick ones: gives the measured spread of speed

# joint: mean, between, within of the 1st harmonic and of the 2nd; phase of the 1st between, within;
# left-right difference of the 1st between, within. Degrees; flexion-extension channel.
SPREAD: dict[str, tuple[float, ...]] = {
    "UpLeg": (24.6, 3.8, 2.7, 6.6, 1.0, 0.4, 4, 3, 0.6, 0.6),
    "Leg": (16.2, 2.1, 1.3, 18.6, 2.2, 1.3, 10, 6, 1.3, 1.3),
    "Foot": (8.3, 2.3, 1.4, 9.2, 1.6, 0.6, 17, 8, 2.4, 1.5),
    "Arm": (11.4, 8.2, 4.7, 2.0, 1.0, 0.6, 18, 6, 5.2, 4.0),
    "ForeArm": (13.0, 10.3, 2.9, 3.7, 1.0, 0.9, 17, 7, 5.1, 4.8),
}

# posture: bone, axis, mean, between, within in degrees. Axes: 0 about x (left side: + abducts), 1 about y (+ leans
# forward, - flexes hip and elbow), 2 about z (left side: + turns out). "Left" entries are mirrored to the right.
POSTURE: tuple[tuple[str, int, float, float, float], ...] = (
    ("LowerBack", 1, 1.5, 2.0, 0.9),
    ("Spine", 1, 1.0, 1.5, 0.6),
    ("Spine1", 1, 0.5, 2.0, 0.7),
    ("Neck", 1, 6.0, 3.5, 1.5),
    ("Head", 1, -5.0, 4.0, 2.0),
    ("Head", 0, 0.0, 1.5, 0.8),
    ("LeftUpLeg", 0, -1.5, 1.2, 0.4),
    ("LeftUpLeg", 1, -9.5, 2.0, 0.9),
    ("LeftUpLeg", 2, 5.0, 4.0, 1.5),
    ("LeftShoulder", 0, -1.0, 2.0, 0.8),
    ("LeftShoulder", 2, -2.0, 3.0, 1.0),
    ("LeftArm", 0, 9.0, 2.5, 1.2),
    ("LeftArm", 1, 6.0, 2.5, 2.0),
    ("LeftArm", 2, -22.0, 7.0, 3.0),
    ("LeftForeArm", 0, 8.0, 3.0, 1.0),
    ("LeftForeArm", 1, -27.0, 6.9, 2.0),
    ("LeftHand", 2, 8.0, 6.0, 3.0),
)
# The same for one side only: how far left and right differ (left gets +1/2, right -1/2).
SIDE_DIFFERENCE: tuple[tuple[str, int, float, float], ...] = (
    ("UpLeg", 2, 3.0, 1.0),
    ("Arm", 0, 2.0, 1.0),
    ("Arm", 1, 3.0, 1.5),
    ("ForeArm", 1, 5.0, 2.0),
    ("Shoulder", 0, 1.5, 0.4),
)
KNEE_MINIMUM = (4.0, 2.2, 0.9)  # least flexion in the cycle, deg: mean, between, within
LARGEST_DEVIATION = 2.2  # of a joint's amplitude, in standard deviations over persons and walks
LARGEST_KNEE_RANGE = np.radians(84)  # from stance to swing
CLEARANCE = 0.008  # least height of a swinging sole over the standing one, in leg lengths: 7 mm
STEP_PERIOD_VARIATION = 0.018  # of a cycle's duration, from one cycle to the next
STEP_AMPLITUDE_VARIATION = 0.03
STEP_POSTURE_DEG = 0.7


@dataclass(frozen=True)
class GaitParameters:
    """The gait of one walk.

    Attributes:
        period_s: mean duration of a cycle (two steps).
        coefficients: (B, 3, H + 1) complex128; the joint rotation vectors (rad, away from the neutral stance, body
            axes) are the real part of the sum of ``coefficients[..., h] * exp(i h phase)``. Phase 0 is the left
            thigh's most forward point.
    """

    period_s: float
    coefficients: np.ndarray

    @property
    def cadence_steps_min(self) -> float:
        """Steps a minute."""
        return 120.0 / self.period_s

    def rotation_vectors(self, phase: Float64) -> Float64:
        """(T, B, 3) joint rotation vectors at phases (T,), rad."""
        harmonics = np.exp(1j * np.outer(np.atleast_1d(phase), np.arange(self.coefficients.shape[-1])))
        flat = self.coefficients.reshape(-1, self.coefficients.shape[-1])
        return (harmonics.real @ flat.real.T - harmonics.imag @ flat.imag.T).reshape(-1, *self.coefficients.shape[:2])


class GaitSpace:
    """The population of gaits: draws persons, their walks, and turns them into ``GaitParameters``."""

    def __init__(self, path: Path, body: Body) -> None:
        if not path.is_file():
            raise FileNotFoundError(
                f"gait data is missing: {path}; run scripts/fit_gait_space.py or reinstall the package"
            )
        with np.load(path) as data:
            names = tuple(str(name) for name in data["bone_names"])
            if names != body.bone_names:
                raise ValueError(f"{path} was fitted to another rig than body.npz: run scripts/fit_gait_space.py again")
            self._template = data["template"].astype(np.complex128)
            self._components = data["components"].astype(np.complex128) * data["component_scale"][:, None, None, None]
        self._bone = body.bone
        for joint in SPREAD:
            self._limit_components(joint)
        self._own = {joint: self._own_spread(joint) for joint in SPREAD}
        self.latent_size = 1 + len(self._components) + 4 * len(SPREAD) + len(POSTURE) + len(SIDE_DIFFERENCE) + 1
        self._within = WITHIN_FACTOR * self._within_ratio()

    @staticmethod
    @lru_cache(maxsize=1)
    def load() -> GaitSpace:
        """The shipped space; read once per process."""
        return GaitSpace(DATA / "gait_space.npz", Body.load())

    def draw_person(self, rng: np.random.Generator) -> Float64:
        """(L,) latent of a new person."""
        return np.clip(rng.standard_normal(self.latent_size), -2.5, 2.5)

    def draw_walk(self, person: Float64, rng: np.random.Generator) -> Float64:
        """(L,) latent of one walk of that person."""
        today = person + self._within * np.clip(rng.standard_normal(self.latent_size), -2.5, 2.5)
        return np.clip(today, -3.0, 3.0)

    def parameters(self, latent: Float64) -> GaitParameters:
        """The gait a latent stands for.

        Raises:
            ValueError: the latent has another length than ``latent_size``.
        """
        if latent.shape != (self.latent_size,):
            raise ValueError(f"gait latent has shape {latent.shape}: expected ({self.latent_size},)")
        cadence, components, joints, posture, sides, knee = np.split(latent, self._splits())
        dynamics = self._template + np.tensordot(np.clip(components, -2.2, 2.2), self._components, axes=1)
        for joint, own in zip(SPREAD, joints.reshape(-1, 4), strict=True):
            self._individualize(dynamics, joint, own)
        hip = float(np.clip((self._hip_swing(dynamics) - SPREAD["UpLeg"][0]) / SPREAD["UpLeg"][1], -2, 2))
        mean, between, _ = CADENCE_STEPS_MIN
        rho = HIP_CADENCE_CORRELATION
        steps = mean + between * (rho * hip + np.sqrt(1 - rho**2) * float(cadence[0]))
        self._set_posture(dynamics, posture, sides, float(knee[0]))
        self._clear_swing(dynamics)
        return GaitParameters(period_s=120.0 / float(np.clip(steps, 75, 140)), coefficients=dynamics)

    def mean_posture(self, dynamics: np.ndarray) -> Float64:
        """(B, 3) mean joint rotations of the average person who moves by ``dynamics`` (B, 3, H + 1), rad: knees as straight
        and feet as flat in mid-stance as usual."""
        posed = dynamics.copy()
        self._set_posture(posed, np.zeros(len(POSTURE)), np.zeros(len(SIDE_DIFFERENCE)), 0.0)
        return np.asarray(posed[..., 0].real)

    def _splits(self) -> list[int]:
        sizes = [1, len(self._components), 4 * len(SPREAD), len(POSTURE), len(SIDE_DIFFERENCE)]
        return np.cumsum(sizes).tolist()

    def _within_ratio(self) -> Float64:
        """(L,) within-person over between-person standard deviation."""
        joints = []
        for row in SPREAD.values():
            joints += [row[2] / row[1], row[5] / row[4], row[7] / row[6], row[9] / row[8]]
        return np.array(
            [CADENCE_STEPS_MIN[2] / CADENCE_STEPS_MIN[1]]
            + [COMPONENT_WITHIN] * len(self._components)
            + joints
            + [row[4] / row[3] for row in POSTURE]
            + [row[3] / row[2] for row in SIDE_DIFFERENCE]
            + [KNEE_MINIMUM[2] / KNEE_MINIMUM[1]]
        )

    def _hip_swing(self, dynamics: np.ndarray) -> float:
        """Mean amplitude of the hips' 1st harmonic over both sides, deg."""
        sides = [abs(dynamics[self._bone[f"{side}UpLeg"], 1, 1]) for side in ("Left", "Right")]
        return float(np.degrees(np.mean(sides)))

    def _limit_components(self, joint: str) -> None:
        """Scale the components of a joint down, in place, where they alone exceed the spread between persons."""
        for harmonic, total in ((1, SPREAD[joint][1]), (2, SPREAD[joint][4])):
            for side in ("Left", "Right"):
                bone = self._bone[f"{side}{joint}"]
                base = self._template[bone, 1, harmonic]
                along = np.degrees(np.real(np.conj(base) / abs(base) * self._components[:, bone, 1, harmonic]))
                harmonics = slice(1, 2) if harmonic == 1 else slice(2, None)
                self._components[:, bone, :, harmonics] *= min(1.0, 0.92 * total / float(np.linalg.norm(along)))

    def _own_spread(self, joint: str) -> tuple[float, float, float, float]:
        """What the components leave of the spread between persons: 1st, 2nd harmonic, phase, side difference, deg."""
        left, right = self._bone[f"Left{joint}"], self._bone[f"Right{joint}"]
        row = SPREAD[joint]
        explained = []
        for harmonic in (1, 2):
            base = self._template[left, 1, harmonic]
            explained.append(np.real(np.conj(base) / abs(base) * self._components[:, left, 1, harmonic]))
        base = self._template[left, 1, 1]
        phase = np.imag(np.conj(base) / abs(base) ** 2 * self._components[:, left, 1, 1])
        other = np.real(np.conj(-base) / abs(base) * self._components[:, right, 1, 1])
        per_row = zip((row[1], row[4], row[6], row[8]), (*explained, phase, explained[0] - other), strict=True)
        left_over = [
            max(total**2 - float(np.square(np.degrees(part)).sum()), (0.35 * total) ** 2) for total, part in per_row
        ]
        first, second, turn, difference = np.sqrt(left_over)
        return float(first), float(second), float(turn), float(difference)

    def _individualize(self, dynamics: np.ndarray, joint: str, own: Float64) -> None:
        """Amplitudes, phase and side difference of one joint, in place."""
        spread, row = self._own[joint], SPREAD[joint]
        first, second, turn, difference = own * spread
        left = self._bone[f"Left{joint}"]
        base = np.degrees(np.abs(self._template[left, 1, 1:3]))
        for side, sign in (("Left", 0.5), ("Right", -0.5)):
            bone = self._bone[f"{side}{joint}"]
            wanted = row[0] + first + sign * difference, row[3] + second
            gains = np.clip(np.array(wanted) / base, (0.25, 0.3), 2.0)
            # Components and own draw together must stay within the population: no knee bends by 120 degrees.
            for harmonic in (1, 2):
                middle, between, within = row[3 * harmonic - 3 : 3 * harmonic]
                most = middle + LARGEST_DEVIATION * float(np.hypot(between, WITHIN_FACTOR * within))
                now = np.degrees(np.abs(dynamics[bone, :, harmonic]).max())
                gains[harmonic - 1] = min(gains[harmonic - 1], max(most, base[harmonic - 1]) / max(now, 1e-6))
            dynamics[bone, :, 1] *= gains[0] * np.exp(1j * np.radians(turn))
            dynamics[bone, :, 2:] *= gains[1]
            if joint == "Leg":
                angle = GaitParameters(1.0, dynamics[bone : bone + 1]).rotation_vectors(np.linspace(0, 2 * np.pi, 48))
                dynamics[bone, :, 1:] *= min(1.0, LARGEST_KNEE_RANGE / float(np.ptp(angle[:, 0, 1])))

    def _set_posture(self, dynamics: np.ndarray, posture: Float64, sides: Float64, knee: float) -> None:
        """Constant part of every joint, in place: drawn posture, straightest knee, flat foot in mid-stance."""
        dynamics[..., 0] = 0
        for (name, axis, mean, between, _), z in zip(POSTURE, posture, strict=True):
            value = np.radians(mean + between * z)
            dynamics[self._bone[name], axis, 0] += value
            if name.startswith("Left"):
                mirror = 1.0 if axis == 1 else -1.0
                dynamics[self._bone[name.replace("Left", "Right")], axis, 0] += mirror * value
        for (joint, axis, between, _), z in zip(SIDE_DIFFERENCE, sides, strict=True):
            half = np.radians(between * z) / 2
            dynamics[self._bone[f"Left{joint}"], axis, 0] += half
            dynamics[self._bone[f"Right{joint}"], axis, 0] -= half if axis == 1 else -half
        phase = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        for side, mid_stance in (("Left", (0.14, 0.36)), ("Right", (0.64, 0.86))):
            hip, shank, foot = (self._bone[f"{side}{joint}"] for joint in ("UpLeg", "Leg", "Foot"))
            parameters = GaitParameters(1.0, dynamics[[self._bone["Hips"], hip, shank, foot]])
            pitch = parameters.rotation_vectors(phase)[:, :, 1]
            least = np.radians(max(KNEE_MINIMUM[0] + KNEE_MINIMUM[1] * knee, 0.0))
            bend = least - pitch[:, 2].min()
            dynamics[shank, 1, 0] += bend
            flat = (phase >= 2 * np.pi * mid_stance[0]) & (phase < 2 * np.pi * mid_stance[1])
            dynamics[foot, 1, 0] -= pitch[flat].sum(1).mean() + bend

    def _clear_swing(self, dynamics: np.ndarray) -> None:
        """Bend a swinging leg more, in place, until its foot passes over the ground: independent joints may drag it."""
        mid_swing = {"Left": 0.77, "Right": 0.27}
        for _ in range(8):
            lacking = [
                side for side, center in mid_swing.items() if self._clearance(dynamics, side, center) < CLEARANCE
            ]
            for side in lacking:
                # ((1 + cos) / 2)^5 has exactly five harmonics and is nearly zero in stance.
                bump = (
                    np.array([252, 420, 240, 90, 20, 2]) / 1024 * np.exp(-2j * np.pi * mid_swing[side] * np.arange(6))
                )
                for joint, degrees in (("UpLeg", -1.5), ("Leg", 2.2), ("Foot", -2.0)):
                    dynamics[self._bone[f"{side}{joint}"], 1] += np.radians(degrees) * bump
            if not lacking:
                return

    def _clearance(self, dynamics: np.ndarray, side: str, center: float) -> float:
        """Least height of a swinging sole over the standing one, in leg lengths, of a leg moving in its own plane."""
        phase = 2 * np.pi * (center + np.linspace(-0.09, 0.11, 15))
        soles = {}
        for leg in ("Left", "Right"):
            bones = [self._bone[name] for name in ("Hips", f"{leg}UpLeg", f"{leg}Leg", f"{leg}Foot")]
            pitch = np.cumsum(GaitParameters(1.0, dynamics[bones]).rotation_vectors(phase)[:, :, 1], axis=1)
            ankle = -0.46 * np.cos(pitch[:, 1]) - 0.46 * np.cos(pitch[:, 2])
            points = [ankle - x * np.sin(pitch[:, 3]) - 0.08 * np.cos(pitch[:, 3]) for x in (-0.06, 0.05, 0.2)]
            soles[leg] = np.min(points, axis=0)
        other = "Right" if side == "Left" else "Left"
        return float((soles[side] - soles[other]).min())


@dataclass(frozen=True)
class StepVariation:
    """How the cycles of one walk differ from each other; knots at whole cycles, interpolated between them.

    Attributes:
        start_s: (C,) float64 time at which each cycle begins.
        gain: (C, B) float64 amplitude factors around 1.
        posture: (C, B, 3) float64 offsets, rad.
    """

    start_s: Float64
    gain: Float64
    posture: Float64

    @staticmethod
    def draw(gait: GaitParameters, cycles: int, rng: np.random.Generator) -> StepVariation:
        """Draw ``cycles`` cycles, the first beginning at a random point of it before time 0."""
        bones = len(gait.coefficients)
        begin = -rng.random() * gait.period_s
        lengths = gait.period_s * (1 + STEP_PERIOD_VARIATION * np.clip(rng.standard_normal(cycles), -2, 2))
        moving = np.abs(gait.coefficients[..., 1:]).sum((1, 2)) > 1e-6
        return StepVariation(
            start_s=begin + np.concatenate([[0.0], np.cumsum(lengths)[:-1]]),
            gain=1 + STEP_AMPLITUDE_VARIATION * np.clip(rng.standard_normal((cycles, bones)), -2, 2),
            posture=np.radians(STEP_POSTURE_DEG) * moving[:, None] * rng.standard_normal((cycles, bones, 3)),
        )

    def rotation_vectors(self, gait: GaitParameters, time_s: Float64) -> Float64:
        """(T, B, 3) joint rotation vectors at times (T,) with this variation, rad."""
        time = np.ascontiguousarray(time_s, np.float64)
        return np.asarray(_vary(gait.coefficients, self.start_s, self.gain, self.posture, time))


@njit(nogil=True)
def _vary(coefficients: np.ndarray, start_s: Float64, gain: Float64, posture: Float64, time_s: Float64) -> Float64:
    """(T, B, 3) the series at the phase of each time, its amplitude and mean posture eased from cycle to cycle."""
    bones, _, harmonics = coefficients.shape
    out = np.empty((len(time_s), bones, 3))
    cosine, sine = np.empty(harmonics), np.empty(harmonics)
    for frame in range(len(time_s)):
        below = min(max(np.searchsorted(start_s, time_s[frame], side="right") - 1, 0), len(start_s) - 2)
        part = (time_s[frame] - start_s[below]) / (start_s[below + 1] - start_s[below])
        phase = 2 * np.pi * part
        for h in range(harmonics):
            cosine[h], sine[h] = np.cos(h * phase), np.sin(h * phase)
        part = min(max(part, 0.0), 1.0)
        part = part * part * (3 - 2 * part)
        for bone in range(bones):
            amplitude = gain[below, bone] + part * (gain[below + 1, bone] - gain[below, bone])
            for axis in range(3):
                swing = 0.0
                for h in range(1, harmonics):
                    c = coefficients[bone, axis, h]
                    swing += c.real * cosine[h] - c.imag * sine[h]
                offset = posture[below, bone, axis] + part * (
                    posture[below + 1, bone, axis] - posture[below, bone, axis]
                )
                out[frame, bone, axis] = coefficients[bone, axis, 0].real + amplitude * swing + offset
    return out
