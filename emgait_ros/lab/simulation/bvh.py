"""Real walks: a BVH loader and the retargeting of CMU motion capture onto the simulated body.

Each bone takes the captured bone's global rotation times a constant alignment of the two rest poses (limbs: the
smallest rotation between the rest directions; trunk: none); forward kinematics then uses the body's own bone
lengths, so a walk keeps its angles on any build.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from emgait_ros.lab.simulation.body import DOWN, Body, PersonalBody, rotation_between
from emgait_ros.samples import Float64

CMU_UNIT_M = 0.05644
BVH_TO_BODY = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # y up, faces z -> x forward, y left, z up
RENAMED = {"LeftHandIndex1": "LeftHandFinger1", "RightHandIndex1": "RightHandFinger1"}
LIMBS = ("UpLeg", "Leg", "Foot", "Arm", "ForeArm", "Hand")
FROZEN = ("Thumb", "Finger", "HipJoint")  # finger and thumb channels flip; the hip joints carry none


@dataclass(frozen=True)
class BvhMotion:
    """A motion-capture take, body axes (x forward, y left, z up).

    Attributes:
        names: J joint names.
        directions: (J, 3) float64 rest offset from each joint to its first child, m.
        rotations: (T, J, 3, 3) float64 global rotations from the rest pose.
        root: (T, 3) float64 position of the root, m.
        rate_hz: frames per second.
    """

    names: tuple[str, ...]
    directions: Float64
    rotations: Float64
    root: Float64
    rate_hz: float


@dataclass(frozen=True)
class RetargetedWalk:
    """A take on one body, walking along +x on average.

    Attributes:
        rotation_vectors: (T, B, 3) float64 joint rotations as ``forward_kinematics`` takes them, rad.
        root: (T, 3) float64 root path scaled by the ratio of leg lengths, m, starting at x = y = 0.
        rate_hz: frames per second.
    """

    rotation_vectors: Float64
    root: Float64
    rate_hz: float


def load_bvh(path: str | Path, meters_per_unit: float = CMU_UNIT_M) -> BvhMotion:
    """Read a BVH file; its first frame (the T-pose of CMU takes) is left out.

    Raises:
        ValueError: not a BVH file, another number of values than channels, fewer than 3 frames.
    """
    text = Path(path).read_text(encoding="ascii", errors="replace")
    hierarchy, found, motion = text.partition("MOTION")
    words = motion.split()
    if (
        not hierarchy.lstrip().startswith("HIERARCHY")
        or not found
        or words[:1] != ["Frames:"]
        or words[2:4] != ["Frame", "Time:"]
    ):
        raise ValueError(f"{path} is not a BVH file: expected HIERARCHY, then MOTION with 'Frames:' and 'Frame Time:'")
    names, parents, children, channels = _parse_hierarchy(hierarchy)
    width = sum(len(c) for c in channels)
    values = np.array(words[5:], np.float64)
    frames = int(words[1])
    if frames < 3 or len(values) != frames * width:
        raise ValueError(
            f"{path} holds {len(values)} numbers: expected {frames} frames of {width} channels, at least 3 frames"
        )
    values = values.reshape(frames, width)[1:]
    rotations = np.empty((len(values), len(names), 3, 3))
    root = np.zeros((len(values), 3))
    start = 0
    for joint, own in enumerate(channels):
        block, start = values[:, start : start + len(own)], start + len(own)
        turning = [i for i, c in enumerate(own) if c.endswith("rotation")]
        axes = "".join(own[i][0] for i in turning)
        local = Rotation.from_euler(axes.upper(), block[:, turning], degrees=True).as_matrix()
        if parents[joint] < 0:
            root = block[:, [own.index(f"{axis}position") for axis in "XYZ"]]
            rotations[:, joint] = local
        else:
            rotations[:, joint] = rotations[:, parents[joint]] @ local
    return BvhMotion(
        names=tuple(names),
        directions=np.array([children[j] for j in range(len(names))]) @ BVH_TO_BODY.T * meters_per_unit,
        rotations=BVH_TO_BODY @ rotations @ BVH_TO_BODY.T,
        root=root @ BVH_TO_BODY.T * meters_per_unit,
        rate_hz=1.0 / float(words[4]),
    )


def _parse_hierarchy(text: str) -> tuple[list[str], list[int], dict[int, Float64], list[list[str]]]:
    """Names, parents, offset of each joint's first child, channel names."""
    names: list[str] = []
    parents: list[int] = []
    offsets: list[Float64] = []
    channels: list[list[str]] = []
    children: dict[int, Float64] = {}
    stack: list[int] = []
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word in ("ROOT", "JOINT"):
            parents.append(stack[-1] if stack else -1)
            names.append(rest[0])
            channels.append([])
            stack.append(len(names) - 1)
        elif word == "End":
            stack.append(-1)
        elif word == "OFFSET":
            offset = np.array(rest, np.float64)
            if stack[-1] >= 0:
                offsets.append(offset)
            if len(stack) > 1 and np.any(offset):
                children.setdefault(stack[-2], offset)
        elif word == "CHANNELS":
            channels[stack[-1]] = rest[1:]
        elif word == "}":
            stack.pop()
    for joint, own in enumerate(offsets):
        children.setdefault(joint, own if np.any(own) else np.array([0.0, 1.0, 0.0]))
    return names, parents, children, channels


def retarget(motion: BvhMotion, body: Body, person: PersonalBody) -> RetargetedWalk:
    """The take on this person's body, turned so that it walks along +x.

    Raises:
        ValueError: the take lacks one of the rig's bones.
    """
    heading = _heading(motion)
    upright = Rotation.from_euler("z", -heading).as_matrix()
    column = {RENAMED.get(name, name): number for number, name in enumerate(motion.names)}
    missing = [n for n in body.bone_names if n not in column and not any(f in n for f in FROZEN)]
    if missing:
        raise ValueError(f"the take has no joint {', '.join(missing)}: expected the CMU skeleton")
    turned = np.empty((len(motion.root), len(body.bone_names), 3, 3))
    vectors = np.zeros((len(motion.root), len(body.bone_names), 3))
    for bone, name in enumerate(body.bone_names):
        parent = body.parent[bone]
        if any(f in name for f in FROZEN):
            turned[:, bone] = turned[:, parent]
            continue
        rotation = upright @ motion.rotations[:, column[name]]
        if name.removeprefix("Left").removeprefix("Right") in LIMBS:
            rotation = rotation @ _rest_alignment(motion, column, body, person, bone)
        elif name.endswith("ToeBase"):
            rotation = turned[:, parent]
        turned[:, bone] = rotation
        local = rotation if parent < 0 else turned[:, parent].transpose(0, 2, 1) @ rotation
        vectors[:, bone] = Rotation.from_matrix(local).as_rotvec()
    legs = [np.linalg.norm(motion.directions[column[name]]) for name in ("LeftUpLeg", "LeftLeg")]
    own = np.linalg.norm(
        np.diff(person.heads[[body.bone[n] for n in ("LeftUpLeg", "LeftLeg", "LeftFoot")]], axis=0), axis=1
    )
    root = (motion.root @ upright.T) * (own.sum() / sum(legs))
    root[:, :2] -= root[0, :2]
    return RetargetedWalk(vectors, root, motion.rate_hz)


def _rest_alignment(motion: BvhMotion, column: dict[str, int], body: Body, person: PersonalBody, bone: int) -> Float64:
    """(3, 3) from the neutral stance to the take's rest pose; a foot is carried by its shank, whose rest is slanted."""
    name = body.bone_names[bone]
    target = motion.directions[column[name]]
    if not name.endswith("Foot"):
        return rotation_between(DOWN, target)
    shank = rotation_between(DOWN, motion.directions[column[name.replace("Foot", "Leg")]])
    return rotation_between(shank @ foot_direction(body, person, bone), target) @ shank


def foot_direction(body: Body, person: PersonalBody, foot: int) -> Float64:
    """(3,) ankle to toe of the neutral stance, where the sole is flat."""
    toe = int(np.flatnonzero(body.parent == foot)[0])
    return person.neutral[foot] @ (person.heads[toe] - person.heads[foot])


def _heading(motion: BvhMotion) -> float:
    """Direction of the walk, rad from +x; raises ValueError when the take goes nowhere."""
    way = motion.root[-1, :2] - motion.root[0, :2]
    if np.linalg.norm(way) < 0.5:
        raise ValueError(f"the take moves {np.linalg.norm(way):.2f} m in all: expected a walk of at least 0.5 m")
    return float(np.arctan2(way[1], way[0]))
