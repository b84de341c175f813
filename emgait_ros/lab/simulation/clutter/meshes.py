"""Things as small meshes: a few primitives, put together, turned and set down.

Frame of a thing: x forward, y left, z up, ground at z = 0, m. Glass is kept apart from what is opaque, and foliage is a
list of ellipsoids filled with leaves: a beam comes some way into them, or through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from emgait_ros.samples import Float32, Float64

Point = Sequence[float] | Float64
Rectangle = tuple[float, float, float, float]
_BOX_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 5, 7], [1, 7, 3]], np.int32
)  # fmt: skip
_BOX_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], np.float64)
LOW_M = 1.95  # what hangs higher than this can be walked under


@dataclass
class Mesh:
    """A thing made of triangles, glass and leaves.

    Attributes:
        parts: opaque (vertices (V, 3) float64 m, faces (F, 3) int32).
        glass: panes, in the same form.
        leaves: (cx, cy, cz, rx, ry, rz, hits per m) of each ellipsoid.
        footprint: rectangles (x low, x high, y low, y high) that nothing else may stand on; empty: around everything
            below 1.95 m.
    """

    parts: list[tuple[Float64, np.ndarray]] = field(default_factory=list)
    glass: list[tuple[Float64, np.ndarray]] = field(default_factory=list)
    leaves: list[tuple[float, ...]] = field(default_factory=list)
    footprint: list[Rectangle] = field(default_factory=list)

    def add(self, vertices: Float64, faces: np.ndarray, glass: bool = False) -> Mesh:
        """Any triangles."""
        (self.glass if glass else self.parts).append((np.asarray(vertices, np.float64), faces))
        return self

    def box(self, low: Point, high: Point, glass: bool = False) -> Mesh:
        """An axis-aligned box between two corners."""
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        return self.add(low + _BOX_CORNERS * (high - low), _BOX_FACES, glass)

    def sheet(self, corners: Sequence[Point], glass: bool = False) -> Mesh:
        """A flat polygon of K corners, seen from both sides."""
        count = len(corners)
        fan = np.array([[0, k, k + 1] for k in range(1, count - 1)], np.int32)
        return self.add(np.asarray(corners, np.float64), fan, glass)

    def bar(self, start: Point, end: Point, radius: float, end_radius: float | None = None, sides: int = 6) -> Mesh:
        """A round bar between two points, open at its ends."""
        start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
        along = end - start
        along = along / max(float(np.linalg.norm(along)), 1e-9)
        first = np.cross(along, (0.0, 0.0, 1.0) if abs(along[2]) < 0.9 else (1.0, 0.0, 0.0))
        first /= np.linalg.norm(first)
        ring, faces = _tube(sides)
        around = ring[:, :1] * first + ring[:, 1:] * np.cross(along, first)
        far = radius if end_radius is None else end_radius
        return self.add(np.concatenate([start + radius * around, end + far * around]), faces)

    def column(self, x: float, y: float, low: float, high: float, radius: float, top: float | None = None) -> Mesh:
        """An upright round column, closed on top; ``top``: its radius there."""
        sides = 8 if radius < 0.1 else 14
        top = radius if top is None else top
        self.bar((x, y, low), (x, y, high), radius, top, sides)
        ring = _tube(sides)[0] * top
        return self.sheet([(x + a, y + b, high) for a, b in ring])

    def ball(self, center: Point, radii: Point) -> Mesh:
        """An ellipsoid."""
        directions, faces = _sphere()
        return self.add(np.asarray(center, np.float64) + directions * np.asarray(radii, np.float64), faces)

    def prism(self, profile: Sequence[tuple[float, float]], low: float, high: float, inset: float = 0.0) -> Mesh:
        """A side view of (x, z) corners, convex, drawn out from y = low to high; above half its height it leans in by ``inset``."""
        outline = np.asarray(profile, np.float64)
        count = len(outline)
        middle = (outline[:, 1].min() + outline[:, 1].max()) / 2
        lean = np.where(outline[:, 1] > middle, inset, 0.0)
        right = np.stack([outline[:, 0], low + lean, outline[:, 1]], axis=1)
        left = np.stack([outline[:, 0], high - lean, outline[:, 1]], axis=1)
        side = [[0, k, k + 1] for k in range(1, count - 1)]
        faces = side + [[a + count for a in face] for face in side]
        for k in range(count):
            after = (k + 1) % count
            faces += [[k, after, k + count], [after, after + count, k + count]]
        return self.add(np.concatenate([right, left]), np.array(faces, np.int32))

    def loft(self, low: Sequence[float], high: Sequence[float]) -> Mesh:
        """A skirt between two level ellipses (x, y, z, radius along x, along y)."""
        ring, faces = _tube(14)
        rings = [
            np.column_stack([e[0] + e[3] * ring[:, 0], e[1] + e[4] * ring[:, 1], np.full(14, e[2])])
            for e in (low, high)
        ]
        return self.add(np.concatenate(rings), faces)

    def wheel(self, center: Point, radius: float, width: float, thin: float = 0.0) -> Mesh:
        """A wheel rolling along x; ``thin``: only a rim of that thickness with some spokes, as of a bicycle."""
        x, y, z = center
        if thin:
            corners = [(x + radius * c, y, z + radius * s) for c, s in _tube(12)[0]]
            for k in range(12):
                self.bar(corners[k], corners[(k + 1) % 12], thin, sides=4)
            for k in range(0, 12, 2):
                self.bar((x, y, z), corners[k], 0.004, sides=3)
            return self.bar((x, y - width / 2, z), (x, y + width / 2, z), 0.03)
        self.bar((x, y - width / 2, z), (x, y + width / 2, z), radius, sides=14)
        for side in (y - width / 2, y + width / 2):
            self.sheet([(x + radius * c, side, z + radius * s) for c, s in _tube(14)[0]])
        return self

    def foliage(self, center: Point, radii: Point, density: float) -> Mesh:
        """An ellipsoid of leaves in which a beam hits ``density`` leaves per meter."""
        self.leaves.append((*(float(c) for c in center), *(float(r) for r in radii), float(density)))
        return self

    def join(self, other: Mesh, x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> Mesh:
        """Another thing becomes a part of this one."""
        moved = other.at(x, y, z, yaw)
        self.parts += moved.parts
        self.glass += moved.glass
        self.leaves += moved.leaves
        return self

    def at(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Mesh:
        """Rolled about x, pitched about y, turned about z, then moved."""
        turn = rotation(yaw, pitch, roll).T
        offset = np.array([x, y, z])
        leaves = [(*(np.array(leaf[:3]) @ turn + offset), *leaf[3:]) for leaf in self.leaves]
        parts = [(vertices @ turn + offset, faces) for vertices, faces in self.parts]
        return Mesh(parts, [(vertices @ turn + offset, faces) for vertices, faces in self.glass], leaves)

    def scaled(self, factor: float | Point) -> Mesh:
        """Larger or smaller, about the origin."""
        factors = np.broadcast_to(np.asarray(factor, np.float64), 3)
        parts, glass = ([(v * factors, f) for v, f in group] for group in (self.parts, self.glass))
        leaves = [(*(np.array(leaf[:3]) * factors), *(np.array(leaf[3:6]) * factors), leaf[6]) for leaf in self.leaves]
        return Mesh(parts, glass, leaves)

    def bounds(self) -> tuple[Float64, Float64]:
        """Lowest and highest corner (3,) of everything, m."""
        low = [v.min(0) for v, _ in (*self.parts, *self.glass)] + [np.subtract(b[:3], b[3:6]) for b in self.leaves]
        high = [v.max(0) for v, _ in (*self.parts, *self.glass)] + [np.add(b[:3], b[3:6]) for b in self.leaves]
        return np.min(low, axis=0), np.max(high, axis=0)

    def ground_plan(self) -> list[Rectangle]:
        """Its footprint; of what is below 1.95 m where none is given: empty when everything hangs higher."""
        if self.footprint:
            return self.footprint
        corners = [v[v[:, 2] < LOW_M, :2] for v, _ in (*self.parts, *self.glass)]
        for leaf in self.leaves:
            if leaf[2] - leaf[5] < LOW_M:
                corners += [np.array([[leaf[0] - leaf[3], leaf[1] - leaf[4]], [leaf[0] + leaf[3], leaf[1] + leaf[4]]])]
        low = np.concatenate(corners) if corners else np.zeros((0, 2))
        if not len(low):
            return []
        return [(float(low[:, 0].min()), float(low[:, 0].max()), float(low[:, 1].min()), float(low[:, 1].max()))]


def rotation(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Float64:
    """(3, 3) about x by ``roll``, then y by ``pitch``, then z by ``yaw``, rad."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def merged(parts: Sequence[tuple[Float64, np.ndarray]]) -> tuple[Float32, np.ndarray]:
    """One mesh of many: vertices (V, 3) float32 and faces (F, 3) int32."""
    if not parts:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    first = np.cumsum([0, *(len(v) for v, _ in parts[:-1])])
    faces = np.concatenate([f + start for (_, f), start in zip(parts, first, strict=True)])
    return np.concatenate([v for v, _ in parts]).astype(np.float32), faces.astype(np.int32)


@lru_cache(maxsize=32)
def _tube(sides: int) -> tuple[Float64, np.ndarray]:
    """Unit circle (S, 2) and the faces between two rings of it."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    here, after = np.arange(sides), (np.arange(sides) + 1) % sides
    faces = np.concatenate(
        [np.stack([here, after, here + sides], 1), np.stack([after, after + sides, here + sides], 1)]
    )
    return np.stack([np.cos(angle), np.sin(angle)], axis=1), faces.astype(np.int32)


@lru_cache(maxsize=1)
def _sphere() -> tuple[Float64, np.ndarray]:
    """Unit directions and faces of a sphere of 6 x 10 patches."""
    polar, around = np.linspace(0, np.pi, 7), np.linspace(0, 2 * np.pi, 10, endpoint=False)
    ring = np.stack([np.cos(around), np.sin(around), np.zeros(10)], axis=1)
    directions = np.concatenate([np.sin(p) * ring + (0, 0, np.cos(p)) for p in polar])
    first = (np.arange(6)[:, None] * 10 + np.arange(10)).ravel()
    right = (np.arange(6)[:, None] * 10 + np.roll(np.arange(10), -1)).ravel()
    faces = np.concatenate(
        [np.stack([first, first + 10, right], axis=1), np.stack([right, first + 10, right + 10], axis=1)]
    )
    return directions, faces.astype(np.int32)
