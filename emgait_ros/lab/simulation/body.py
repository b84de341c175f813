"""A parametric adult body: shape from a few human parameters, posed by linear blend skinning.

The data (``data/body.npz``, CC0) comes from ``scripts/export_body.py``. Coordinates of the body: x forward, y left,
z up, meters. Poses are given as rotations away from a *neutral stance* (upright, legs and arms straight down), in
axes of the body, so that a rotation about -y swings a thigh or an arm forward.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from emgait_ros.jit import njit
from emgait_ros.lab.simulation.proportions import draw_segments, stretch, stretch_factors
from emgait_ros.samples import Float32, Float64

DATA = Path(__file__).resolve().parent / "data"
STATURE_M = {"male": (1.755, 0.070), "female": (1.625, 0.065)}  # adult mean and standard deviation, m
FOOT_BONES = ("LeftFoot", "LeftToeBase", "RightFoot", "RightToeBase")
DOWN = np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True)
class BodyShape:
    """Phenotype of one adult; all 0..1, of which only ``height`` may lie a little outside.

    Attributes:
        gender: 0 male .. 1 female.
        age: 2/3 is 25 years, 1 is 90.
        muscle, weight, proportions: lean to strong, slim to heavy, plain to ideal.
        height: solved for the stature by ``Body.shape_of_stature``.
        segments: how long limbs and trunk are for that stature (``proportions.SEGMENTS``), standard normal; empty: average.
    """

    gender: float
    age: float
    muscle: float
    weight: float
    height: float
    proportions: float
    segments: tuple[float, ...] = ()


@dataclass(frozen=True)
class PersonalBody:
    """The body of one person at rest, ready to be posed.

    Attributes:
        vertices: (V, 3) float32 rest vertices, m.
        heads: (B, 3) float64 joint positions at rest, m.
        neutral: (B, 3, 3) float64 rotation of each bone from rest to the neutral stance.
        stature_m: height standing in the neutral stance.
        leg_length_m: hip joint to sole.
    """

    vertices: Float32
    heads: Float64
    neutral: Float64
    stature_m: float
    leg_length_m: float


class Body:
    """The topology, rig and shape space shared by all people.

    Attributes:
        faces: (F, 3) int32 triangles, counter-clockwise seen from outside.
        face_region: (F,) uint8 index into ``region_names``.
        bone_names, parent: rig; ``parent`` is (B,) int64, -1 for the root.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(
                f"body data is missing: {path}; run scripts/export_body.py or reinstall the package"
            )
        with np.load(path) as data:
            self.faces = data["faces"].astype(np.int32)
            self.face_region = data["face_region"]
            self.region_names = tuple(str(name) for name in data["region_names"])
            self.skin_index = data["skin_index"].astype(np.int64)
            weight = data["skin_weight"].astype(np.float32)
            self.skin_weight = weight / weight.sum(1, keepdims=True)  # float16 sums are off by up to 1e-3
            self.bone_names = tuple(str(name) for name in data["bone_names"])
            self.parent = data["bone_parent"].astype(np.int64)
            self._mean = data["shape_mean"].astype(np.float64)
            self._basis = data["shape_basis"].astype(np.float64)
            self._coefficients = data["grid_coefficients"].astype(np.float64)
            self._axes = [data[f"grid_{name}"].astype(np.float64) for name in data["grid_names"]]
        self.bone = {name: number for number, name in enumerate(self.bone_names)}
        self.vertex_count = len(self.skin_weight)
        feet = [self.bone[name] for name in FOOT_BONES]
        self.foot_vertices = np.flatnonzero((np.isin(self.skin_index, feet) * self.skin_weight).sum(1) > 0.5)

    @staticmethod
    @lru_cache(maxsize=1)
    def load() -> Body:
        """The shipped body; read once per process."""
        return Body(DATA / "body.npz")

    def personal(self, shape: BodyShape) -> PersonalBody:
        """Rest mesh and joints of one person."""
        vertices, heads, tails = self._rest(shape)
        neutral = self._neutral_rotations(heads, tails)
        rotations, positions = forward_kinematics(
            np.zeros((len(self.parent), 3)), self.parent, heads, neutral, np.zeros(3)
        )
        standing = skin(vertices, self.skin_index, self.skin_weight, rotations, positions, heads)
        sole = float(standing[:, 2].min())
        return PersonalBody(
            vertices=vertices,
            heads=heads,
            neutral=neutral,
            stature_m=float(standing[:, 2].max()) - sole,
            leg_length_m=float(positions[self.bone["LeftUpLeg"], 2]) - sole,
        )

    def shape_of_stature(self, shape: BodyShape, stature_m: float) -> BodyShape:
        """``shape`` with the height that makes the person ``stature_m`` tall (to 1 mm).

        Raises:
            ValueError: no adult of this shape is that tall.
        """
        if not 1.3 <= stature_m <= 2.2:
            raise ValueError(f"stature is {stature_m} m: the adult body covers 1.3 to 2.2 m")
        low, high = 0.3, 0.7
        at_low, at_high = (self.personal(replace(shape, height=h)).stature_m for h in (low, high))
        for _ in range(3):  # stature is linear in height but for the slant of the legs at rest
            height = low + (stature_m - at_low) * (high - low) / (at_high - at_low)
            found = self.personal(replace(shape, height=height)).stature_m
            if abs(found - stature_m) < 1e-3:
                return replace(shape, height=height)
            low, at_low, high, at_high = height, found, low, at_low
        return replace(shape, height=height)

    def draw_shape(self, rng: np.random.Generator) -> BodyShape:
        """One adult out of the population: sex, stature given the sex, age, build."""
        sex = "female" if rng.random() < 0.5 else "male"
        mean, deviation = STATURE_M[sex]
        stature = float(np.clip(rng.normal(mean, deviation), 1.45, 2.02))
        gender = rng.beta(8, 1.5) if sex == "female" else rng.beta(1.5, 8)
        shape = BodyShape(
            gender=float(gender),
            age=float(2 / 3 + rng.beta(1.2, 2.5) / 3),
            muscle=float(np.clip(rng.normal(0.5, 0.17), 0.05, 0.95)),
            weight=float(np.clip(rng.normal(0.55, 0.19), 0.05, 0.98)),
            height=0.5,
            proportions=float(np.clip(rng.normal(0.5, 0.2), 0.0, 1.0)),
            segments=draw_segments(rng),
        )
        return self.shape_of_stature(shape, stature)

    def _rest(self, shape: BodyShape) -> tuple[Float32, Float64, Float64]:
        """Rest vertices, bone heads and tails: the grid interpolated linearly along each of its axes."""
        coefficients = self._coefficients
        values = (shape.gender, shape.age, shape.muscle, shape.weight, shape.height, shape.proportions)
        for value, axis in zip(values, self._axes, strict=True):
            cell = int(np.clip(np.searchsorted(axis, value) - 1, 0, len(axis) - 2))
            part = (value - axis[cell]) / (axis[cell + 1] - axis[cell])
            coefficients = (1 - part) * coefficients[cell] + part * coefficients[cell + 1]
        state = (self._mean + coefficients @ self._basis).reshape(-1, 3)
        joints = len(self.parent)
        vertices = np.ascontiguousarray(state[: self.vertex_count], np.float32)
        heads, tails = state[self.vertex_count : -joints].copy(), state[-joints:].copy()
        if not shape.segments:
            return vertices, heads, tails
        factors = stretch_factors(shape.segments, self.bone_names)
        return stretch(vertices, heads, tails, self.parent, factors, self.skin_index, self.skin_weight)

    def _neutral_rotations(self, heads: Float64, tails: Float64) -> Float64:
        """(B, 3, 3) from rest (arms out, legs apart) to the neutral stance; trunk and head stay as they are."""
        rotations = np.tile(np.eye(3), (len(self.parent), 1, 1))
        for bone, parent in enumerate(self.parent):
            name = self.bone_names[bone].replace("Left", "").replace("Right", "")
            direction = tails[bone] - heads[bone]
            if name in ("UpLeg", "Leg", "Arm", "ForeArm", "Hand"):
                inherited = rotations[parent]
                rotations[bone] = rotation_between(inherited @ direction, DOWN) @ inherited
            elif name == "Foot":
                flat = np.array([direction[0], direction[1], 0.0])
                rotations[bone] = rotation_between(flat, np.array([1.0, 0.0, 0.0]))
            elif parent >= 0 and name not in ("Shoulder",):
                rotations[bone] = rotations[parent]
        return rotations


def rotation_between(start: Float64, end: Float64) -> Float64:
    """(3, 3) the smallest rotation that turns the direction ``start`` into ``end``."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    v, c = np.cross(a, b), float(a @ b)
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + c)


def vertex_normals(vertices: Float32, faces: np.ndarray) -> Float32:
    """(V, 3) float32 unit normals, area-weighted over the triangles around each vertex."""
    corners = vertices[faces]
    face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normal)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


@njit(nogil=True)
def rotation_matrix(rotation_vector: Float64) -> Float64:
    """(3, 3) rotation by |v| rad about v."""
    x, y, z = rotation_vector
    angle = np.sqrt(x * x + y * y + z * z)
    if angle < 1e-9:
        s, k = 1.0, 0.5
    else:
        s, k = np.sin(angle) / angle, (1 - np.cos(angle)) / (angle * angle)
    matrix = np.empty((3, 3))
    matrix[0, 0] = 1 - k * (y * y + z * z)
    matrix[1, 1] = 1 - k * (x * x + z * z)
    matrix[2, 2] = 1 - k * (x * x + y * y)
    matrix[0, 1], matrix[1, 0] = k * x * y - s * z, k * x * y + s * z
    matrix[0, 2], matrix[2, 0] = k * x * z + s * y, k * x * z - s * y
    matrix[1, 2], matrix[2, 1] = k * y * z - s * x, k * y * z + s * x
    return matrix


@njit(nogil=True)
def forward_kinematics(
    rotation_vectors: Float64, parent: np.ndarray, heads: Float64, neutral: Float64, root: Float64
) -> tuple[Float64, Float64]:
    """Pose the skeleton.

    Args:
        rotation_vectors: (B, 3) rotation of each bone against its parent, away from the neutral stance, rad.
        parent: (B,) parents come before their children; -1 for the root.
        heads, neutral: of ``PersonalBody``.
        root: (3,) position of the root joint, m.

    Returns:
        (B, 3, 3) rotation of each bone from rest to the pose, (B, 3) joint positions, m.
    """
    bones = len(parent)
    turned = np.empty((bones, 3, 3))
    rotations = np.empty((bones, 3, 3))
    positions = np.empty((bones, 3))
    for bone in range(bones):
        own = rotation_matrix(rotation_vectors[bone])
        above = parent[bone]
        if above < 0:
            turned[bone] = own
            positions[bone] = root
        else:
            for i in range(3):
                total = positions[above, i]
                for j in range(3):
                    total += rotations[above, i, j] * (heads[bone, j] - heads[above, j])
                    entry = 0.0
                    for k in range(3):
                        entry += turned[above, i, k] * own[k, j]
                    turned[bone, i, j] = entry
                positions[bone, i] = total
        for i in range(3):
            for j in range(3):
                entry = 0.0
                for k in range(3):
                    entry += turned[bone, i, k] * neutral[bone, k, j]
                rotations[bone, i, j] = entry
    return rotations, positions


@njit(nogil=True, fastmath=True)
def skin(
    vertices: Float32,
    skin_index: np.ndarray,
    skin_weight: Float32,
    rotations: Float64,
    positions: Float64,
    heads: Float64,
) -> Float32:
    """(V, 3) float32 posed vertices: linear blend skinning with up to K bones a vertex."""
    bones = len(heads)
    affine = np.empty((bones, 3, 4), np.float32)
    for bone in range(bones):
        for i in range(3):
            offset = positions[bone, i]
            for j in range(3):
                affine[bone, i, j] = rotations[bone, i, j]
                offset -= rotations[bone, i, j] * heads[bone, j]
            affine[bone, i, 3] = offset
    out = np.zeros((len(vertices), 3), np.float32)
    for v in range(len(vertices)):
        x, y, z = vertices[v]
        for k in range(skin_weight.shape[1]):
            weight = skin_weight[v, k]
            if weight > 0:
                a = affine[skin_index[v, k]]
                for i in range(3):
                    out[v, i] += weight * (a[i, 0] * x + a[i, 1] * y + a[i, 2] * z + a[i, 3])
    return out
