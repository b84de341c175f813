"""What a walker looks like: clothes over the skin, hair, colors, and bags carried."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emgait_ros.lab.simulation.body import Body, PersonalBody, vertex_normals
from emgait_ros.lab.simulation.gait import GaitParameters
from emgait_ros.samples import Float32, Float64, UInt8

BAGS = ("none", "backpack", "shoulder", "hand")
OUTFITS = {"light": (0.010, 0.022), "coat": (0.030, 0.045), "random": (0.010, 0.040)}  # clothing over the skin, m
SKIN_TONES = np.array([[236, 198, 174], [222, 177, 146], [198, 150, 116], [160, 113, 82], [112, 76, 54], [78, 52, 40]])
HAIR_TONES = np.array([[30, 24, 22], [58, 40, 30], [92, 64, 42], [140, 104, 66], [186, 150, 104], [128, 124, 122]])
CLOTH_TONES = np.array(
    [[24, 24, 28], [52, 54, 60], [112, 114, 118], [214, 212, 206], [30, 44, 88], [58, 92, 150], [150, 184, 214],
     [128, 28, 34], [196, 60, 52], [212, 150, 40], [226, 206, 92], [42, 84, 52], [110, 132, 74], [92, 66, 48],
     [164, 132, 98], [96, 52, 108], [210, 140, 158]]
)  # fmt: skip


@dataclass(frozen=True)
class Appearance:
    """What a walker wears on one walk.

    Attributes:
        clothing_m: thickness of clothing over the skin, 0.01 to 0.04 m.
        bag: one of ``BAGS``.
        colors: tone of each body region (R, 3) uint8 RGB, then of the bag.
        pattern: relative brightness of stripes on the torso, and stripes per meter.
        coat: reaches over the thighs.
        long_sleeves, long_legs: whether arms and legs are covered.
        hair_m: thickness of the hair.
    """

    clothing_m: float
    coat: bool
    bag: str
    colors: UInt8
    pattern: tuple[float, float]
    long_sleeves: bool
    long_legs: bool
    hair_m: float


def draw_appearance(
    person: np.random.Generator, walk: np.random.Generator, bag: str, outfit: str, regions: tuple[str, ...]
) -> Appearance:
    """Skin and hair of the ``person``, clothes of the ``walk``."""
    skin_tone = SKIN_TONES[person.integers(len(SKIN_TONES))] + person.normal(0, 5, 3)
    hair_tone = HAIR_TONES[person.integers(len(HAIR_TONES))] + person.normal(0, 5, 3)
    hair_m = float(person.choice([0.002, 0.012, 0.025]))
    top, legs, shoe, bag_tone = (_tone(walk) for _ in range(4))
    coat = outfit == "coat"
    long_sleeves, long_legs = bool(walk.random() < 0.65) or coat, bool(walk.random() < 0.8) or coat
    upper = {"torso": top, "upper_arm": top, "forearm": top if long_sleeves else skin_tone}
    over = top if coat else legs
    lower = {"hips": over, "thigh": over, "shank": legs if long_legs else skin_tone, "foot": shoe}
    tones = {"face": skin_tone, "hand": skin_tone, "hair": hair_tone} | upper | lower
    striped = walk.random() < 0.3
    return Appearance(
        clothing_m=float(walk.uniform(*OUTFITS[outfit])),
        coat=coat,
        bag=bag,
        colors=np.clip([*(tones[r] for r in regions), bag_tone], 5, 250).astype(np.uint8),
        pattern=(float(walk.uniform(0.1, 0.4)) if striped else 0.0, float(walk.uniform(4, 14))),
        long_sleeves=long_sleeves,
        long_legs=long_legs,
        hair_m=hair_m,
    )


def _tone(rng: np.random.Generator) -> Float64:
    return np.asarray(CLOTH_TONES[rng.integers(len(CLOTH_TONES))] * rng.uniform(0.8, 1.15) + rng.normal(0, 6, 3))


def dressed(body: Body, vertices: Float32, appearance: Appearance) -> Float32:
    """(V, 3) rest vertices with clothing, soles and hair: each vertex moved along its normal."""
    thickness = {region: appearance.clothing_m for region in ("torso", "hips", "thigh", "upper_arm")}
    thickness |= {"upper_arm": 0.8 * appearance.clothing_m, "hair": appearance.hair_m, "foot": 0.009}
    thickness["forearm"] = 0.8 * appearance.clothing_m if appearance.long_sleeves else 0.0
    if appearance.coat:
        thickness |= {"hips": 1.3 * appearance.clothing_m, "thigh": 1.3 * appearance.clothing_m}
    thickness["shank"] = min(appearance.clothing_m, 0.02) if appearance.long_legs else 0.0
    by_face = np.array([thickness.get(region, 0.0) for region in body.region_names])[body.face_region]
    offset, count = np.zeros(len(vertices)), np.zeros(len(vertices))
    for corner in range(3):
        np.add.at(offset, body.faces[:, corner], by_face)
        np.add.at(count, body.faces[:, corner], 1.0)
    offset /= np.maximum(count, 1)
    inner = _facing_other_leg(body, vertices)
    moved = vertices + (offset * inner)[:, None] * vertex_normals(vertices, body.faces)
    return np.ascontiguousarray(moved, np.float32)


def _facing_other_leg(body: Body, vertices: Float32) -> Float64:
    """(V,) factor: trousers hang outwards, between the thighs there is no room."""
    normal = vertex_normals(vertices, body.faces)
    thighs = [body.bone["LeftUpLeg"], body.bone["RightUpLeg"]]
    weight = (np.isin(body.skin_index, thighs) * body.skin_weight).sum(1)
    inwards = np.clip(-normal[:, 1] * np.sign(vertices[:, 1]), 0, 1)
    return np.asarray(1.0 - 0.7 * weight * inwards)


def paint(
    body: Body, vertices: Float32, appearance: Appearance, bag_faces: int, rng: np.random.Generator
) -> tuple[UInt8, Float32]:
    """Colors (F, 3) uint8 and LiDAR reflectivity (F,) float32 of the body's and the bag's triangles."""
    colors = appearance.colors[body.face_region].astype(np.float64)
    height = vertices[body.faces].mean(1)[:, 2]
    amount, per_meter = appearance.pattern
    torso = np.isin(body.face_region, [body.region_names.index(r) for r in ("torso", "upper_arm")])
    colors[torso] *= 1 + amount * np.sign(np.sin(2 * np.pi * per_meter * height[torso]))[:, None]
    colors = np.concatenate([colors, np.tile(appearance.colors[-1].astype(np.float64), (bag_faces, 1))])
    colors *= 1 + 0.03 * rng.standard_normal((len(colors), 1))
    colors = np.clip(colors, 0, 255).astype(np.uint8)
    # Near infrared (905 nm) follows visible brightness only loosely: dyes are transparent to it.
    by_region = 0.25 + 0.35 * rng.random(len(appearance.colors)) + 0.2 * appearance.colors.mean(1) / 255
    region = np.concatenate([body.face_region, np.full(bag_faces, len(appearance.colors) - 1)])
    return colors, by_region[region].astype(np.float32)


def bag_mesh(
    bag: str, side: str, body: Body, person: PersonalBody, rng: np.random.Generator
) -> tuple[Float32, np.ndarray]:
    """Vertices (N, 3) relative to the joint that carries the bag, body axes, m, and faces (M, 3); empty for "none"."""
    if bag == "none":
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    left = 1.0 if side == "Left" else -1.0
    back = person.vertices[(body.skin_index[:, 0] == body.bone["Spine1"])]
    hip = person.vertices[(body.skin_index[:, 0] == body.bone[f"{side}UpLeg"])]
    spine, waist = (person.heads[body.bone[name]] for name in ("Spine1", "LowerBack"))
    if bag == "backpack":
        size = np.array([rng.uniform(0.12, 0.22), rng.uniform(0.26, 0.34), rng.uniform(0.38, 0.52)])
        center = np.array([back[:, 0].min() - spine[0] - size[0] / 2 + 0.01, 0.0, rng.uniform(-0.02, 0.05)])
    elif bag == "shoulder":
        size = np.array([rng.uniform(0.24, 0.38), rng.uniform(0.08, 0.14), rng.uniform(0.2, 0.32)])
        center = np.array([0.0, left * (np.abs(hip[:, 1]).max() + size[1] / 2), -rng.uniform(0.06, 0.16)])
        center[0] -= waist[0]
    else:
        size = np.array([rng.uniform(0.25, 0.4), rng.uniform(0.08, 0.14), rng.uniform(0.22, 0.34)])
        center = np.array([0.0, left * 0.02, -0.09 - size[2] / 2])
    return _rounded_box(size, center)


def _rounded_box(size: Float64, center: Float64) -> tuple[Float32, np.ndarray]:
    """A box with soft corners: a 6 x 10 sphere pushed towards the box."""
    polar, around = np.linspace(0, np.pi, 7), np.linspace(0, 2 * np.pi, 10, endpoint=False)
    directions = np.stack(
        [
            np.outer(np.sin(polar), np.cos(around)),
            np.outer(np.sin(polar), np.sin(around)),
            np.outer(np.cos(polar), np.ones_like(around)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    rounded = directions / (np.abs(directions) ** 6).sum(1, keepdims=True) ** (1 / 6)
    first = np.arange(6)[:, None] * 10 + np.arange(10)
    right = np.arange(6)[:, None] * 10 + np.roll(np.arange(10), -1)
    lower = np.stack([first, first + 10, right], axis=-1).reshape(-1, 3)
    upper = np.stack([right, first + 10, right + 10], axis=-1).reshape(-1, 3)
    return (rounded * size / 2 + center).astype(np.float32), np.concatenate([lower, upper]).astype(np.int32)


def carrying(gait: GaitParameters, bag: str, side: str, body: Body) -> GaitParameters:
    """The gait with a bag: an arm that holds one swings less, a backpack is leant against."""
    coefficients = gait.coefficients.copy()
    arm, forearm = body.bone[f"{side}Arm"], body.bone[f"{side}ForeArm"]
    outwards = np.radians(1.0 if side == "Left" else -1.0)
    if bag == "backpack":
        coefficients[body.bone["LowerBack"], 1, 0] += np.radians(3.0)
    elif bag == "shoulder":
        coefficients[arm, :, 1:] *= 0.45
        coefficients[arm, 0, 0] += 7 * outwards
        coefficients[forearm, :, 1:] *= 0.5
    elif bag == "hand":
        coefficients[arm, :, 1:] *= 0.5
        coefficients[arm, 0, 0] += 5 * outwards
        coefficients[forearm, :, 1:] *= 0.4
        coefficients[forearm, 1, 0] *= 0.35
    return replace(gait, coefficients=coefficients)
