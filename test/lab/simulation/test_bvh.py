"""BVH files and their retargeting onto the body."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emgait_ros.lab.simulation.body import Body, BodyShape, forward_kinematics, skin
from emgait_ros.lab.simulation.bvh import load_bvh, retarget

TINY = """HIERARCHY
ROOT Hips
{
    OFFSET 0 0 0
    CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
    JOINT Leg
    {
        OFFSET 0 -10 0
        CHANNELS 3 Zrotation Yrotation Xrotation
        End Site
        {
            OFFSET 0 -5 0
        }
    }
}
MOTION
Frames: 3
Frame Time: 0.01
0 0 0 0 0 0 0 0 0
0 1 2 0 90 0 0 0 0
0 1 4 0 90 0 0 0 30
"""


def test_channels_axes_and_units(tmp_path: Path) -> None:
    file = tmp_path / "tiny.bvh"
    file.write_text(TINY)
    motion = load_bvh(file, meters_per_unit=0.1)
    assert motion.names == ("Hips", "Leg")
    assert motion.rate_hz == pytest.approx(100)
    assert motion.root == pytest.approx(
        np.array([[0.2, 0, 0.1], [0.4, 0, 0.1]])
    )  # forward z -> x, up y -> z; T-pose left out
    assert motion.directions[1] == pytest.approx([0, 0, -0.5])
    # 90 degrees about the file's y is 90 degrees about our z: forward becomes left.
    assert motion.rotations[0, 0] @ [1, 0, 0] == pytest.approx([0, 1, 0], abs=1e-9)
    # The leg is carried by the hips, then turned about the file's x, which is our y (left).
    local = motion.rotations[1, 0].T @ motion.rotations[1, 1]
    assert local @ [0, 0, -1] == pytest.approx([-np.sin(np.radians(30)), 0, -np.cos(np.radians(30))], abs=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("HIERARCHY", "SKELETON"), "not a BVH file"),
        (("Frames: 3", "Frames: 4"), "expected 4 frames"),  # fewer numbers than promised
        (("MOTION", "MOVES"), "not a BVH file"),
    ],
)
def test_bad_files(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    file = tmp_path / "bad.bvh"
    file.write_text(TINY.replace(*change))
    with pytest.raises(ValueError, match=message):
        load_bvh(file)


def test_a_skeleton_without_legs_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tiny.bvh"
    file.write_text(TINY.replace("0 1 4", "0 1 40"))
    body = Body.load()
    with pytest.raises(ValueError, match="no joint"):
        retarget(load_bvh(file), body, body.personal(BodyShape(0.5, 0.75, 0.5, 0.5, 0.5, 0.5)))


@pytest.mark.parametrize("take", ["02_01", "05_01", "07_01"])
def test_real_walks_walk(shared_data: Path, take: str) -> None:
    body = Body.load()
    person = body.personal(body.shape_of_stature(BodyShape(0.3, 0.75, 0.5, 0.5, 0.5, 0.5), 1.75))
    walk = retarget(load_bvh(shared_data / "cmu_walk" / f"{take}.bvh"), body, person)
    seconds = len(walk.root) / walk.rate_hz
    assert 0.7 < (walk.root[-1, 0] - walk.root[0, 0]) / seconds < 1.8
    assert abs(walk.root[-1, 1]) < 0.6  # straight on
    knees = np.degrees(walk.rotation_vectors[:, [body.bone["LeftLeg"], body.bone["RightLeg"]], 1])
    assert knees.min() > -10
    assert 50 < knees.max() < 90
    lowest = []
    for pose, root in zip(walk.rotation_vectors[::10], walk.root[::10], strict=True):
        rotations, positions = forward_kinematics(pose, body.parent, person.heads, person.neutral, root)
        lowest.append(
            skin(person.vertices, body.skin_index, body.skin_weight, rotations, positions, person.heads)[:, 2].min()
        )
    assert np.ptp(lowest) < 0.08  # feet stay at one level
