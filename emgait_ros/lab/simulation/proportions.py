"""How adults of one stature and build still differ: lengths of limbs, widths of shoulders and hips, size of the feet.

The body's own shape space covers sex, age, muscle, weight and height; people differ in more. Each segment below is
stretched along its bones by a factor drawn once per person. Deviations are what stature leaves unexplained in surveys of
adults (standard deviation and correlation with stature as in the US Army's ANSUR II: crotch height 47 mm, 0.85; acromion
to radiale 17 mm, 0.75; biacromial breadth 19 mm, 0.45; hip breadth 24 mm, mostly weight; foot length 13 mm, 0.7),
rounded; the rest of a stretched skeleton shrinks or grows so that the stature stays what it was drawn to be.
"""

from __future__ import annotations

import numpy as np

from emgait_ros.samples import Float32, Float64

# segment: relative standard deviation of its length, and the bones it stretches; the second list shrinks
# as the first grows.
SEGMENTS: dict[str, tuple[float, tuple[str, ...], tuple[str, ...]]] = {
    "leg": (0.055, ("UpLeg", "Leg"), ()),
    "shank against thigh": (0.018, ("Leg",), ("UpLeg",)),
    "arm": (0.030, ("Arm", "ForeArm", "Hand"), ()),
    "forearm against upper arm": (0.022, ("ForeArm",), ("Arm",)),
    "shoulder breadth": (0.045, ("Shoulder",), ()),
    "hip breadth": (0.040, ("HipJoint",), ()),
    "foot": (0.035, ("Foot", "ToeBase"), ()),
    "neck": (0.060, ("Neck", "Neck1"), ()),
}
LARGEST_DEVIATION = 2.5  # standard deviations


def draw_segments(rng: np.random.Generator) -> tuple[float, ...]:
    """Standard normal number of each segment of ``SEGMENTS``."""
    return tuple(np.clip(rng.standard_normal(len(SEGMENTS)), -LARGEST_DEVIATION, LARGEST_DEVIATION).tolist())


def stretch_factors(segments: tuple[float, ...], bone_names: tuple[str, ...]) -> Float64:
    """(B,) length of each bone over that of the average body of the same shape; both sides alike."""
    factors = np.ones(len(bone_names))
    plain = [_without_side(name) for name in bone_names]
    for z, (deviation, longer, shorter) in zip(segments, SEGMENTS.values(), strict=True):
        for names, sign in ((longer, 1.0), (shorter, -1.0)):
            factors[np.isin(plain, names)] *= 1.0 + sign * deviation * z
    return factors


def _without_side(name: str) -> str:
    for side in ("Left", "Right"):
        name = name.removeprefix(side)
    return name[1:] if name in ("LHipJoint", "RHipJoint") else name


def stretch(
    vertices: Float32,
    heads: Float64,
    tails: Float64,
    parent: np.ndarray,
    factors: Float64,
    skin_index: np.ndarray,
    skin_weight: Float32,
) -> tuple[Float32, Float64, Float64]:
    """The rest body with its bones stretched, the skin following by its weights.

    Args:
        vertices: (V, 3) m. heads, tails: (B, 3) ends of the bones, m. parent: (B,), -1 for the root.
        factors: (B,) along each bone; 1 leaves it.
        skin_index, skin_weight: (V, K) bones of each vertex.

    Returns:
        vertices, heads, tails of the same shapes.
    """
    along = tails - heads
    length = np.linalg.norm(along, axis=1, keepdims=True)
    axis = along / np.maximum(length, 1e-9)
    linear = np.eye(3) + (factors - 1.0)[:, None, None] * axis[:, :, None] * axis[:, None, :]  # (B, 3, 3)
    new_heads = heads.copy()
    for bone, above in enumerate(parent):
        if above >= 0:
            new_heads[bone] = new_heads[above] + linear[above] @ (heads[bone] - heads[above])
    new_tails = new_heads + np.einsum("bij,bj->bi", linear, along)
    shift = new_heads - np.einsum("bij,bj->bi", linear, heads)
    blended = np.einsum("vk,vkij->vij", skin_weight.astype(np.float64), linear[skin_index])
    moved = np.einsum("vij,vj->vi", blended, vertices.astype(np.float64))
    moved += np.einsum("vk,vki->vi", skin_weight.astype(np.float64), shift[skin_index])
    return np.ascontiguousarray(moved, np.float32), new_heads, new_tails
