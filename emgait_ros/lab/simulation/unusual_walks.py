"""People who move otherwise than the network learnt: backwards, in haste, behind a pram, with a box, in a wheelchair, gliding.

Only what follows from bodies and gaits that are there is simulated. Walking backwards is the walk with time turned round, which
is near to what people do (Winter, Pluck and Yang, J. Motor Behavior 1989). Haste is larger and quicker steps without a flight
phase. Running and crutches are not simulated: nothing here knows how bodies then move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.lab.simulation.body import Body
from emgait_ros.lab.simulation.clutter.furniture import pram
from emgait_ros.lab.simulation.clutter.meshes import Mesh, merged
from emgait_ros.lab.simulation.clutter.people import Pose
from emgait_ros.lab.simulation.clutter.vehicles import wheelchair
from emgait_ros.lab.simulation.gait import GaitParameters
from emgait_ros.lab.simulation.walker import Steps, Walker
from emgait_ros.lab.simulation.walks import WALK_S
from emgait_ros.samples import Float32, Float64

WALKS = ("normal", "swapped clothes", "backwards", "in haste", "with a box", "behind a pram", "shuffling")
NO_GAIT = ("wheelchair", "gliding", "standing")
THING_TONE, THING_REFLECTIVITY = (70, 70, 78), 0.4
HASTE, HASTE_SWING = 1.25, 1.15
"""Steps a minute and swing of the joints against the usual ones."""
SHUFFLE_SWING = 0.3


@dataclass(frozen=True)
class ChangedSteps:
    """Steps with another tempo and swing, and joints that are held still.

    Attributes:
        steps: of the walker.
        tempo, swing: factors; swing is that of every joint about its mean.
        held: (B, 3) rad, NaN where the joint goes on moving.
    """

    steps: Steps
    tempo: float
    swing: float
    held: Float64

    def rotation_vectors(self, gait: GaitParameters, time_s: Float64) -> Float64:
        """(T, B, 3) at times (T,), rad."""
        mean = gait.coefficients[..., 0].real
        moved = mean + self.swing * (self.steps.rotation_vectors(gait, time_s * self.tempo) - mean)
        return np.where(np.isnan(self.held), moved, self.held)


class UnusualWalker(Walker):
    """A person of the simulator who moves in another way.

    Args:
        identity, walk, seed: as of :class:`Walker`; outfit "light".
        way: one of ``WALKS`` or ``NO_GAIT``.
        clothes_of: identity whose clothes of walk 0 they wear ("swapped clothes").

    Raises:
        ValueError: unknown way, or no identity whose clothes these are.
    """

    def __init__(self, identity: int, walk: int, way: str, *, seed: int = 0, clothes_of: int | None = None) -> None:
        if way not in WALKS + NO_GAIT or (way == "swapped clothes") != (clothes_of is not None):
            raise ValueError(f"way is '{way}', clothes of {clothes_of}: expected one of {', '.join(WALKS + NO_GAIT)}")
        clothes = None if clothes_of is None else 0
        super().__init__(identity, walk, seed=seed, outfit="light", clothes=clothes, clothes_of=clothes_of)
        self._way, rng = way, np.random.default_rng([seed, identity, 5, walk])
        held, thing = _posture(way, self.gait, rng)
        tempo, swing = (
            (HASTE, HASTE_SWING) if way == "in haste" else (1.0, SHUFFLE_SWING if way == "shuffling" else 1.0)
        )
        self._steps = ChangedSteps(self._steps, tempo, swing, held)
        self._thing, faces = merged(thing.parts)
        self.faces = np.concatenate([self.faces, faces + len(self._rest)]).astype(np.int32)
        tone = np.tile(np.array(THING_TONE, np.uint8), (len(faces), 1))
        self.face_colors = np.concatenate([self.face_colors, tone])
        reflectivity = np.full(len(faces), THING_REFLECTIVITY, np.float32)
        self.face_reflectivity = np.concatenate([self.face_reflectivity, reflectivity])
        self._glides_m_s = 0.0 if way == "standing" else float(rng.uniform(0.8, 1.4))
        if way in NO_GAIT:
            lowest = float(self._standing_height())
            self._height_m = float(rng.uniform(0.58, 0.64)) if way == "wheelchair" else lowest
        else:
            self._trace_root(WALK_S + 2.0)

    def vertices(self, t_s: float) -> Float32:
        """See :class:`Walker`; with what they carry, push or sit in."""
        root, turn = self._placement(t_s)
        thing = self._thing @ turn.T + [root[0], root[1], 0.0]
        return np.concatenate([super().vertices(t_s), thing.astype(np.float32)])

    def rotation_vectors(self, t_s: float) -> Float64:
        """See :class:`Walker`."""
        return super().rotation_vectors(self._own_time(t_s))

    def _root_at(self, t_s: float) -> Float64:
        if self._way in NO_GAIT:
            return np.array([self._glides_m_s * (t_s - self.start_s), 0.0, self._height_m])
        return super()._root_at(self._own_time(t_s))

    def _own_time(self, t_s: float) -> float:
        """Of a walk backwards time runs the other way, within the walk of that day."""
        return 2 * self.start_s + WALK_S - t_s if self._way == "backwards" else t_s

    def _standing_height(self) -> Float64:
        """Height of the root over the soles, m."""
        self._height_m = 0.0
        return -np.min(super().vertices(self.start_s)[:, 2])


def _posture(way: str, gait: GaitParameters, rng: np.random.Generator) -> tuple[Float64, Mesh]:
    """Joints that are held still (B, 3) rad, NaN where they move, and the thing that goes along."""
    mean, bone = gait.coefficients[..., 0].real, Body.load().bone
    held, thing = np.full(mean.shape, np.nan), Mesh()
    arms = [bone[f"{side}{joint}"] for side in ("Left", "Right") for joint in ("Arm", "ForeArm")]
    if way == "with a box":
        half, deep, high = rng.uniform(0.15, 0.3), rng.uniform(0.24, 0.5), rng.uniform(0.2, 0.45)
        low = rng.uniform(0.85, 1.0)
        thing.box((0.2, -half, low), (0.2 + deep, half, low + high))
        held[arms] = Pose(mean.copy()).arms(rng.uniform(15, 35), rng.uniform(70, 95)).rotations[arms]
    elif way == "behind a pram":
        thing = pram(rng).at(0.95 + rng.uniform(-0.1, 0.1), 0)
        held[arms] = Pose(mean.copy()).arms(rng.uniform(25, 45), rng.uniform(25, 60)).rotations[arms]
    elif way == "wheelchair":
        thing = wheelchair(rng)
        pose = Pose(mean.copy()).legs(rng.uniform(80, 95), rng.uniform(70, 100), rng.uniform(2, 16))
        held = pose.trunk(rng.uniform(-8, 22)).arms(rng.uniform(10, 45), rng.uniform(30, 90)).rotations
    elif way in NO_GAIT:
        held = Pose(0.5 * mean).legs(rng.uniform(0, 6), rng.uniform(2, 10)).rotations
    return held, thing
