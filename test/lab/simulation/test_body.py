"""Shape, pose and skin of the simulated body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emgait_ros.lab.simulation.body import (
    Body,
    BodyShape,
    forward_kinematics,
    rotation_between,
    rotation_matrix,
    skin,
    vertex_normals,
)

MEAN = BodyShape(gender=0.5, age=0.75, muscle=0.5, weight=0.5, height=0.5, proportions=0.5)


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.load()


def stand(body: Body, shape: BodyShape) -> np.ndarray:
    person = body.personal(shape)
    rotations, positions = forward_kinematics(
        np.zeros((len(body.parent), 3)), body.parent, person.heads, person.neutral, np.zeros(3)
    )
    return skin(person.vertices, body.skin_index, body.skin_weight, rotations, positions, person.heads)


@pytest.mark.parametrize("gender", [0.0, 1.0])
@pytest.mark.parametrize("stature", [1.48, 1.70, 1.95])  # short, mean, tall
def test_stature_is_as_asked(body: Body, gender: float, stature: float) -> None:
    standing = stand(body, body.shape_of_stature(replace(MEAN, gender=gender), stature))
    assert np.ptp(standing[:, 2]) == pytest.approx(stature, abs=2e-3)


def test_neutral_stance_is_upright_and_faces_forward(body: Body) -> None:
    standing = stand(body, MEAN)
    nose_side = standing[body.faces[body.face_region == body.region_names.index("face")]].reshape(-1, 3)
    assert nose_side[:, 0].max() > standing[:, 0].mean() + 0.1  # the face looks along +x
    assert abs(standing[:, 1].mean()) < 0.01  # left and right alike
    assert np.ptp(standing[:, 1]) < 0.75  # arms hang down


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """m^3 inside a closed surface; negative when its triangles are inside out."""
    corners = vertices[faces].astype(np.float64)
    return float(np.einsum("ni,ni->n", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6)


def test_surface_is_closed_outwards(body: Body) -> None:
    assert 0.045 < volume(body.personal(MEAN).vertices, body.faces) < 0.11


def test_weight_is_weight(body: Body) -> None:
    """At the same stature; 1 litre weighs about 1 kg."""
    slim, mean, heavy = (
        volume(stand(body, body.shape_of_stature(replace(MEAN, weight=w), 1.7)), body.faces) for w in (0.05, 0.5, 0.95)
    )
    assert 0.035 < slim < 0.95 * mean
    assert 1.06 * mean < heavy < 0.14


def test_drawn_statures_are_those_of_adults(body: Body) -> None:
    rng = np.random.default_rng(0)
    statures = [body.personal(body.draw_shape(rng)).stature_m for _ in range(120)]
    assert 1.65 < np.mean(statures) < 1.73
    assert 0.07 < np.std(statures) < 0.12
    assert min(statures) > 1.44
    assert max(statures) < 2.03


@pytest.mark.parametrize("stature", [0.9, 2.5])  # a child, a giant
def test_impossible_stature(body: Body, stature: float) -> None:
    with pytest.raises(ValueError, match=r"1\.3 to 2\.2 m"):
        body.shape_of_stature(MEAN, stature)


def test_skin_follows_a_rigid_motion_exactly(body: Body) -> None:
    person = body.personal(MEAN)
    turn = np.array([0.3, -0.8, 0.5])
    pose = np.zeros((len(body.parent), 3))
    pose[0] = turn
    rotations, positions = forward_kinematics(
        pose, body.parent, person.heads, person.neutral, np.array([1.0, 2.0, 3.0])
    )
    moved = skin(person.vertices, body.skin_index, body.skin_weight, rotations, positions, person.heads)
    expected = stand(body, MEAN) @ rotation_matrix(turn).T + [1.0, 2.0, 3.0]
    assert np.abs(moved - expected).max() < 1e-4


def test_bending_a_knee_leaves_bone_lengths(body: Body) -> None:
    person = body.personal(MEAN)
    pose = np.zeros((len(body.parent), 3))
    pose[body.bone["LeftLeg"], 1] = 1.0
    _, positions = forward_kinematics(pose, body.parent, person.heads, person.neutral, np.zeros(3))
    for bone, parent in enumerate(body.parent):
        if parent >= 0:
            rest = np.linalg.norm(person.heads[bone] - person.heads[parent])
            assert np.linalg.norm(positions[bone] - positions[parent]) == pytest.approx(rest, abs=1e-9)
    assert positions[body.bone["LeftFoot"], 0] < positions[body.bone["RightFoot"], 0] - 0.2  # the heel goes back


def test_rotation_helpers() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        a, b = rng.normal(size=(2, 3))
        R = rotation_between(a, b)
        assert np.allclose(R @ a / np.linalg.norm(a), b / np.linalg.norm(b))
        assert np.allclose(R @ R.T, np.eye(3))
    assert np.allclose(
        rotation_matrix(np.array([0.0, -np.pi / 2, 0.0])) @ [0, 0, -1], [1, 0, 0]
    )  # a thigh swings forward


def test_normals_point_outwards(body: Body) -> None:
    standing = stand(body, MEAN)
    normals = vertex_normals(standing, body.faces)
    crown = standing[:, 2].argmax()
    assert normals[crown, 2] > 0.8
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)
