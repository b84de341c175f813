"""People in one moment: walking, standing, sitting, riding, with what they wear, carry, push and lead.

Frame of a person: x forward, y left, z up, the pelvis over the origin, ground at z = 0, m.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from emgait_ros.lab.simulation.appearance import bag_mesh, draw_appearance, dressed
from emgait_ros.lab.simulation.body import Body, PersonalBody, forward_kinematics, skin
from emgait_ros.lab.simulation.clutter.furniture import dog, pram, shopping_cart, suitcase
from emgait_ros.lab.simulation.clutter.meshes import Mesh, rotation
from emgait_ros.lab.simulation.clutter.vehicles import bicycle, kick_scooter, wheelchair
from emgait_ros.lab.simulation.gait import GaitSpace
from emgait_ros.samples import Float32, Float64

Rng = np.random.Generator
POOL = 240  # bodies and gaits that exist; each is drawn once per process, then scaled and dressed up anew
POOL_SEED = 4711
WALKER, STANDING, CHILD, SITTING, RIDER, WHEELCHAIR, PUSHING, CARRYING, LEANING, CROUCHING = KINDS = (
    "walker", "standing", "child", "sitting", "rider", "wheelchair", "pushing", "carrying", "leaning", "crouching",
)  # fmt: skip


@dataclass(frozen=True)
class PooledBody:
    """A dressed body with a gait: rest vertices (V, 3) float32, the body itself, joint rotations over the cycle."""

    vertices: Float32
    body: PersonalBody
    coefficients: np.ndarray


@dataclass
class PosedPerson:
    """A person in one moment.

    Attributes:
        kind: one of ``KINDS``.
        vertices: (V, 3) float32 of the body, faces as ``Body.faces``.
        worn: clothes, bags, a wheelchair or bicycle: what belongs to the person's box.
        companions: name and mesh of what goes along but is not the person: prams, dogs, umbrellas.
    """

    kind: str
    vertices: Float32
    worn: Mesh = field(default_factory=Mesh)
    companions: list[tuple[str, Mesh]] = field(default_factory=list)

    def box(self) -> tuple[Float64, Float64]:
        """Lowest and highest corner (3,) of body and what is worn, m."""
        low, high = self.vertices.min(0).astype(np.float64), self.vertices.max(0).astype(np.float64)
        if not self.worn.parts:
            return low, high
        worn_low, worn_high = self.worn.bounds()
        return np.minimum(low, worn_low), np.maximum(high, worn_high)


@lru_cache(maxsize=POOL)
def pooled_body(number: int) -> PooledBody:
    """Body ``number`` of the pool."""
    body, space = Body.load(), GaitSpace.load()
    rng = np.random.default_rng([POOL_SEED, number])
    person = body.personal(body.draw_shape(rng))
    outfit = str(rng.choice(["light", "random", "coat"]))
    look = draw_appearance(rng, rng, "none", outfit, body.region_names)
    gait = space.parameters(space.draw_walk(space.draw_person(rng), rng))
    return PooledBody(dressed(body, person.vertices, look), person, gait.coefficients)


def as_child(pooled: PooledBody, larger_head: float = 0.32) -> PooledBody:
    """With a child's large head for its limbs, larger by that part, still of adult size."""
    body = Body.load()
    head = body.bone["Head"]
    weight = ((body.skin_index == head) * body.skin_weight).sum(1)[:, None]
    larger = pooled.vertices + larger_head * weight * (pooled.vertices - pooled.body.heads[head])
    return replace(pooled, vertices=larger.astype(np.float32))


class Pose:
    """Joint rotations (B, 3) rad of one moment, changed by name in degrees."""

    def __init__(self, rotations: Float64) -> None:
        self.rotations = rotations
        self._bone = Body.load().bone

    def bend(self, name: str, degrees: float) -> Pose:
        """Flexion about -y: a thigh or arm forward, a trunk back, a knee (negative) closed."""
        self.rotations[self._bone[name], 1] = -np.radians(degrees)
        return self

    def lift(self, name: str, degrees: float) -> Pose:
        """Abduction: an arm or a leg sideways, away from the body."""
        self.rotations[self._bone[name], 0] = np.radians(degrees if name.startswith("Left") else -degrees)
        return self

    def legs(self, hip: float, knee: float, spread: float = 4.0) -> Pose:
        """Both legs bent alike."""
        for side in ("Left", "Right"):
            self.bend(f"{side}UpLeg", hip).bend(f"{side}Leg", -knee).bend(f"{side}Foot", knee - hip).lift(
                f"{side}UpLeg", spread
            )
        return self

    def arms(self, shoulder: float, elbow: float, spread: float = 6.0) -> Pose:
        """Both arms held alike."""
        for side in ("Left", "Right"):
            self.bend(f"{side}Arm", shoulder).bend(f"{side}ForeArm", elbow).lift(f"{side}Arm", spread)
        return self

    def trunk(self, forward: float) -> Pose:
        """The trunk leans forward."""
        for name, share in (("LowerBack", 0.5), ("Spine", 0.3), ("Spine1", 0.2)):
            self.bend(name, -forward * share)
        return self


def person(
    rng: Rng,
    kind: str,
    alone: bool = True,
    seated: bool = False,
    stature_m: float | None = None,
    larger_head: float = 0.32,
) -> PosedPerson:
    """A person of one of ``KINDS``.

    Args:
        rng: draws everything.
        kind: what they do.
        alone: there is room for dogs, prams and suitcases beside.
        seated: who sits has a seat already.
        stature_m: None: drawn.
        larger_head: of a child, by that part.
    """
    child = kind == CHILD
    pooled = pooled_body(int(rng.integers(POOL)))
    if child:
        pooled = as_child(pooled, larger_head)
    tall = pooled.body.stature_m
    stature = float(rng.uniform(0.95, 1.5) if child else np.clip(tall * rng.normal(1.0, 0.025), 1.42, 2.08))
    stature = stature if stature_m is None else stature_m
    size = np.array([1.0, 1.0, 1.0]) * stature / tall
    size[:2] *= rng.normal(1.0, 0.05) * (1.08 if child else 1.0)
    moving = kind in (WALKER, PUSHING) or (kind in (CHILD, CARRYING) and rng.random() < 0.6)
    pose = _gait_pose(pooled, moving, rng)
    _take_position(pose, kind, rng)
    if kind in (WALKER, STANDING, CHILD, LEANING):
        _busy_arms(pose, rng)
    vertices, joints, turns = _pose_body(pooled, pose.rotations, size)
    posed = PosedPerson(kind, vertices)
    lift = -float(vertices[:, 2].min())
    if kind == RIDER:
        lift = _mount(posed, joints, lift, rng)
    elif kind == WHEELCHAIR:
        posed.worn.join(wheelchair(rng))
        lift = float(rng.uniform(0.58, 0.64))
    posed.vertices += np.array([0, 0, lift], np.float32)
    joints[:, 2] += lift
    if kind == LEANING:
        _tilt(posed, joints, np.radians(rng.uniform(-14, -4)))
    _wear(posed, pooled, joints, turns, size, moving, rng)
    if kind == SITTING and not seated:
        top, deep = float(joints[Body.load().bone["Hips"], 2]) - 0.1 * stature / tall, float(rng.uniform(0.15, 0.35))
        wide = float(rng.uniform(0.2, 1.2))
        posed.companions.append(("seat", Mesh().box((-deep - 0.1, -wide, 0), (0.12, wide, top))))
    if kind in (WALKER, STANDING, CHILD, PUSHING, CARRYING):
        _companions(posed, joints, alone, rng)
    return posed


def _gait_pose(pooled: PooledBody, moving: bool, rng: Rng) -> Pose:
    mean = pooled.coefficients[..., 0].real
    if moving:
        harmonics = np.exp(1j * rng.uniform(0, 2 * np.pi) * np.arange(pooled.coefficients.shape[-1]))
        runs = rng.random() < 0.06
        rotations = mean + rng.uniform(*((1.3, 1.7) if runs else (0.6, 1.2))) * (
            np.real(pooled.coefficients @ harmonics) - mean
        )
        pose = Pose(rotations + rng.normal(0, 0.02, mean.shape))
        return pose.trunk(12).bend("LeftForeArm", 85).bend("RightForeArm", 85) if runs else pose
    pose = Pose(mean * 0.5 + rng.normal(0, 0.035, mean.shape))
    weight = rng.uniform(-6, 10)  # one leg carries, the other is put forward
    front = str(rng.choice(["Left", "Right"]))
    back = "Left" if front == "Right" else "Right"
    pose.bend(f"{front}UpLeg", weight + rng.uniform(0, 10)).bend(f"{front}Leg", -rng.uniform(2, 20)).bend(
        f"{back}UpLeg", 0
    ).bend(f"{back}Leg", -3)
    return pose.lift("LeftUpLeg", rng.uniform(0, 9)).lift("RightUpLeg", rng.uniform(0, 9))


def _take_position(pose: Pose, kind: str, rng: Rng) -> None:
    if kind in (SITTING, WHEELCHAIR):
        pose.legs(rng.uniform(80, 95), rng.uniform(70, 100), rng.uniform(2, 16)).trunk(rng.uniform(-8, 22))
        pose.arms(rng.uniform(10, 45), rng.uniform(30, 90), rng.uniform(4, 14))
    elif kind == RIDER:
        pose.trunk(rng.uniform(10, 45)).arms(rng.uniform(45, 75), rng.uniform(5, 40), rng.uniform(4, 12))
        crank = rng.uniform(0, 2 * np.pi)
        for side, half in (("Left", 0.0), ("Right", np.pi)):
            raised = 0.5 + 0.5 * np.cos(crank + half)
            pose.bend(f"{side}UpLeg", 28 + 48 * raised).bend(f"{side}Leg", -25 - 65 * raised).bend(f"{side}Foot", 5)
    elif kind == PUSHING:
        pose.arms(rng.uniform(25, 45), rng.uniform(25, 60)).trunk(rng.uniform(0, 16))
    elif kind == CARRYING:
        pose.arms(rng.uniform(15, 45), rng.uniform(65, 100), rng.uniform(4, 12)).trunk(rng.uniform(-10, 6))
    elif kind == CROUCHING:
        if rng.random() < 0.5:
            pose.legs(rng.uniform(95, 125), rng.uniform(110, 140), 8).trunk(rng.uniform(15, 50)).arms(
                rng.uniform(40, 80), rng.uniform(10, 60)
            )
        else:
            pose.trunk(rng.uniform(50, 95)).arms(rng.uniform(50, 100), rng.uniform(0, 40)).legs(5, 12)
    elif rng.random() < 0.3:
        pose.trunk(rng.uniform(-4, 22))
        pose.bend("Neck", -rng.uniform(0, 30))


def _busy_arms(pose: Pose, rng: Rng) -> None:
    """Hands in pockets, at a phone, on the hips, crossed, pointing, waving, behind the back."""
    if rng.random() < 0.45:
        return
    way = int(rng.integers(7))
    sides = ("Left", "Right") if rng.random() < 0.4 else (str(rng.choice(["Left", "Right"])),)
    flexion, elbow, spread = (
        (12, 100, 8),
        (-15, 55, 16),
        (-20, 75, 38),
        (35, 95, -8),
        (85, 10, 10),
        (150, 30, 20),
        (-30, 45, 4),
    )[way]
    for side in sides:
        pose.bend(f"{side}Arm", flexion + rng.normal(0, 8)).bend(f"{side}ForeArm", elbow + rng.normal(0, 10)).lift(
            f"{side}Arm", spread
        )


def _pose_body(pooled: PooledBody, rotations: Float64, size: Float64) -> tuple[Float32, Float64, Float64]:
    """Vertices, joints (B, 3) and bone rotations (B, 3, 3) with the pelvis over the origin."""
    body = Body.load()
    turned = rotations.copy()
    turned[body.bone["Hips"], 2] = 0.0
    turns, joints = forward_kinematics(
        np.ascontiguousarray(turned), body.parent, pooled.body.heads, pooled.body.neutral, np.zeros(3)
    )
    vertices = skin(pooled.vertices, body.skin_index, body.skin_weight, turns, joints, pooled.body.heads)
    return (vertices * size).astype(np.float32), joints * size, turns


def _tilt(posed: PosedPerson, joints: Float64, pitch: float) -> None:
    turn = rotation(0.0, pitch).T
    posed.vertices = (posed.vertices @ turn).astype(np.float32)
    joints[:] = joints @ turn
    lift = -posed.vertices[:, 2].min()
    posed.vertices[:, 2] += lift
    joints[:, 2] += lift


def _mount(posed: PosedPerson, joints: Float64, lift: float, rng: Rng) -> float:
    """A bicycle, motor scooter or kick scooter under the rider; the height of the pelvis over the root."""
    if rng.random() < 0.25:
        posed.worn.join(kick_scooter(rng), 0.05)
        return lift + 0.16
    posed.worn.join(bicycle(rng), 0.25)
    return float(rng.uniform(0.93, 1.02))


def _wear(
    posed: PosedPerson, pooled: PooledBody, joints: Float64, turns: Float64, size: Float64, moving: bool, rng: Rng
) -> None:
    """Skirts and long coats, hats and hoods, bags, a child in the arms."""
    bone = Body.load().bone
    head, worn = joints[bone["Head"]], posed.worn
    scale = float(size[2])
    top = float(posed.vertices[:, 2].max())
    if posed.kind in (WALKER, STANDING, CHILD, PUSHING, LEANING) and rng.random() < 0.22:
        knees = joints[[bone["LeftLeg"], bone["RightLeg"]]]
        pelvis = joints[bone["Hips"]]
        ankles = joints[[bone["LeftFoot"], bone["RightFoot"]]]
        drop = rng.uniform(0.7, 1.75)  # of a thigh: mini to ankle-long
        below = knees if drop < 1.3 else (knees + ankles) / 2
        hem = float(max(pelvis[2] - drop * (pelvis[2] - knees[:, 2].mean()), 0.06))
        reach = np.abs(below[:, :2] - below[:, :2].mean(0)).max(0) + rng.uniform(0.07, 0.16) * scale
        high = (*pelvis[:2], pelvis[2] + 0.12 * scale, 0.15 * scale, 0.19 * scale)
        worn.loft((*below[:, :2].mean(0), hem, *reach), high)
    if posed.kind != CROUCHING and rng.random() < 0.3:
        way, center = int(rng.integers(3)), head + np.array([0.0, 0.0, 0.09 * scale])
        if way == 0:  # hood or woolen hat
            worn.ball(center + np.array([-0.02, 0, 0.02]), np.array([0.13, 0.115, 0.16]) * min(scale * 1.1, 1.1))
        elif way == 1:  # brim
            worn.bar(
                (center[0], center[1], top - 0.1), (center[0], center[1], top - 0.08), rng.uniform(0.14, 0.26), sides=10
            ).ball((*center[:2], top - 0.03), (0.1, 0.09, 0.09))
        else:  # helmet
            worn.ball((*center[:2], top - 0.06), (0.14, 0.115, 0.11))
    if posed.kind == CARRYING:
        if rng.random() < 0.6:
            infant = as_child(pooled_body(int(rng.integers(POOL))))
            pose = Pose(np.zeros_like(pooled.coefficients[..., 0].real)).legs(70, 60, 20).arms(50, 40)
            small, _, _ = _pose_body(infant, pose.rotations, np.full(3, rng.uniform(0.38, 0.58)))
            turn = rotation(float(rng.choice([np.pi, np.pi / 2, 0.0]))).T
            chest = joints[bone["Spine1"]]
            worn.add(small @ turn + chest + (0.24, rng.uniform(-0.12, 0.12), -0.1), Body.load().faces)
        else:
            a, b, z = rng.uniform(0.12, 0.25), rng.uniform(0.15, 0.3), joints[bone["LowerBack"], 2]
            worn.box((0.18, -b, z), (0.18 + 2 * a, b, z + rng.uniform(0.15, 0.45)))
        return
    if rng.random() < (0.5 if posed.kind != SITTING else 0.1):
        bag, side = (
            str(rng.choice(["backpack", "shoulder", "hand"], p=[0.5, 0.3, 0.2])),
            str(rng.choice(["Left", "Right"])),
        )
        carrier = bone[{"backpack": "Spine1", "shoulder": "LowerBack"}.get(bag, f"{side}Hand")]
        vertices, faces = bag_mesh(bag, side, Body.load(), pooled.body, rng)
        turn = turns[carrier] if bag != "hand" else np.eye(3)
        worn.add((vertices @ turn.T) * size + joints[carrier], faces)


def _companions(posed: PosedPerson, joints: Float64, alone: bool, rng: Rng) -> None:
    bone = Body.load().bone
    if posed.kind == PUSHING:
        pushed, gap = (
            (("pram", pram(rng)), 0.95) if rng.random() < 0.6 else (("shopping cart", shopping_cart(rng)), 0.9)
        )
        posed.companions.append((pushed[0], pushed[1].at(gap + rng.uniform(-0.1, 0.1), 0)))
    draw = rng.random()
    if draw < 0.05 or (posed.kind == STANDING and draw < 0.07):
        hand, top = joints[bone["RightHand"]], float(posed.vertices[:, 2].max())
        height, spread = top + rng.uniform(0.15, 0.4), rng.uniform(0.4, 0.62)
        canopy = (
            Mesh()
            .bar((0.1, 0, height - 0.22), (0.1, 0, height), spread, 0.02, 8)
            .bar((0.1, -0.1, min(hand[2] + 0.3, height - 0.3)), (0.1, 0, height), 0.01, sides=4)
        )
        canopy.footprint = [(0.05, 0.15, -0.05, 0.05)]
        posed.companions.append(("umbrella", canopy))
    elif alone and draw < 0.13:
        side = float(rng.choice([-1, 1]))
        leash = Mesh().join(dog(rng), rng.uniform(-0.3, 0.9), side * rng.uniform(0.45, 0.9), 0, rng.normal(0, 0.5))
        posed.companions.append(("dog", leash))
    elif alone and draw < 0.21 and posed.kind != PUSHING:
        side = float(rng.choice([-1, 1]))
        posed.companions.append(("suitcase", suitcase(rng).at(-rng.uniform(0.35, 0.6), side * 0.28, 0, np.pi)))
    elif alone and draw < 0.27 and posed.kind in (WALKER, STANDING):
        side = float(rng.choice([-1, 1]))
        posed.companions.append(("bicycle", bicycle(rng).at(rng.uniform(-0.1, 0.3), side * rng.uniform(0.42, 0.55))))
