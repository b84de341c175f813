"""One person walking: body and gait of the identity, today's variation, clothes, bag, and a path over the ground.

Everything follows from three numbers: ``identity`` fixes shape, gait, skin and hair; ``identity`` and ``walk``
together fix that day's gait, clothes and bag; ``seed`` shifts the whole population, so that training, test and demo
stay separate. World: z up, ground at z = 0, meters, seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.ndimage import gaussian_filter1d

from emgait_ros.jit import njit
from emgait_ros.lab.simulation.appearance import BAGS, OUTFITS, bag_mesh, carrying, draw_appearance, dressed, paint
from emgait_ros.lab.simulation.body import Body, BodyShape, forward_kinematics, skin
from emgait_ros.lab.simulation.gait import GaitParameters, GaitSpace, StepVariation
from emgait_ros.lab.simulation.real_walks import RecordedSteps
from emgait_ros.samples import Float32, Float64

TRACE_RATE_HZ = 60.0
MAX_CYCLES = 512


@dataclass(frozen=True)
class Path:
    """Where a walker goes on the ground: a polyline, its corners rounded; straight on beyond the last point.

    Attributes:
        points: (N, 2) float64, m, N >= 2.
        turn_m: length over which a corner is taken.
    """

    points: Float64
    turn_m: float = 1.2

    def __post_init__(self) -> None:
        points = np.asarray(self.points, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not np.isfinite(points).all():
            raise ValueError(f"a path has shape {points.shape}: expected (N, 2) finite numbers with N >= 2")
        if np.any(np.linalg.norm(np.diff(points, axis=0), axis=1) < 1e-6):
            raise ValueError("a path repeats a point: consecutive points must differ")
        object.__setattr__(self, "points", points)

    @staticmethod
    def straight(start: tuple[float, float], heading_rad: float) -> Path:
        """From ``start`` along ``heading_rad`` (0 = +x, counter-clockwise) without end."""
        begin = np.asarray(start, np.float64)
        return Path(np.stack([begin, begin + np.array([np.cos(heading_rad), np.sin(heading_rad)])]))

    @cached_property
    def _edges(self) -> tuple[Float64, Float64]:
        """Unit direction (N - 1, 2) and start along the path (N - 1,) of each piece."""
        edges = np.diff(self.points, axis=0)
        lengths = np.linalg.norm(edges, axis=1)
        return edges / lengths[:, None], np.concatenate([[0.0], np.cumsum(lengths)[:-1]])

    @property
    def length_m(self) -> float:
        """Length of the polyline."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())

    def at(self, distance_m: float) -> tuple[Float64, Float64]:
        """Point (2,) and unit direction (2,) after ``distance_m``; also before the start and beyond the end."""
        directions, _ = self._edges
        if len(directions) == 1:
            return self.points[0] + distance_m * directions[0], directions[0]
        behind, middle, ahead = (self._on_polyline(distance_m + d) for d in (-self.turn_m / 2, 0.0, self.turn_m / 2))
        way = ahead - behind
        return (behind + ahead + 2 * middle) / 4, way / max(float(np.linalg.norm(way)), 1e-9)

    def _on_polyline(self, distance_m: float) -> Float64:
        directions, starts = self._edges
        piece = max(int(np.searchsorted(starts, distance_m, side="right")) - 1, 0)
        return np.asarray(self.points[piece] + directions[piece] * (distance_m - starts[piece]))


class Steps(Protocol):
    """Joint rotations over time; ``gait.StepVariation`` and ``real_walks.RecordedSteps`` are some."""

    def rotation_vectors(self, gait: GaitParameters, time_s: Float64) -> Float64:
        """(T, B, 3) at times (T,), rad."""


class Walker:
    """A walking person.

    Args:
        identity: number of the person, >= 0.
        walk: number of that person's walk, >= 0.
        path: where they go; default: from the origin along +x.
        seed: population; people of different seeds have nothing in common.
        bag: one of ``BAGS`` or "random" (half of all walks carry one).
        outfit: "light" (1 to 2.2 cm over the skin), "coat" (3 to 4.5 cm, covers the thighs) or "random" (1 to 4 cm).
        clothes: number that fixes colors and cut of the clothes; default: drawn per walk.
        clothes_of: identity whose clothes these are; default: their own.
        start_s: time at which the walker is at the start of the path; they walk at any other time, too.
        steps: a recorded movement to walk by; default: drawn for identity and walk.

    Attributes:
        faces: (F, 3) int32 triangles; face_colors: (F, 3) uint8 RGB; face_reflectivity: (F,) float32 0..1.
        gait, body, appearance, stature_m, speed_m_s (mean).

    Raises:
        ValueError: a negative number or an unknown bag.
    """

    def __init__(
        self,
        identity: int,
        walk: int = 0,
        path: Path | None = None,
        *,
        seed: int = 0,
        bag: str = "none",
        clothes: int | None = None,
        clothes_of: int | None = None,
        outfit: str = "random",
        start_s: float = 0.0,
        steps: RecordedSteps | None = None,
    ) -> None:
        if identity < 0 or walk < 0 or seed < 0:
            raise ValueError(f"identity {identity}, walk {walk}, seed {seed}: expected numbers of 0 or more")
        if bag not in (*BAGS, "random"):
            raise ValueError(f"bag is '{bag}': allowed are {', '.join(BAGS)}, random")
        if outfit not in OUTFITS:
            raise ValueError(f"outfit is '{outfit}': allowed are {', '.join(OUTFITS)}")
        self.identity, self.walk, self.start_s = identity, walk, start_s
        self.path = path if path is not None else Path.straight((0.0, 0.0), 0.0)
        body, space = Body.load(), GaitSpace.load()
        person = np.random.default_rng([seed, identity, 1])
        today = day_of(seed, identity, walk)
        self.shape, self.latent = person_of(seed, identity)
        self.body = body.personal(self.shape)
        self.stature_m = self.body.stature_m
        self.gait = space.parameters(space.draw_walk(self.latent, today))
        if bag == "random":
            bag = str(today.choice(BAGS, p=(0.5, 0.2, 0.15, 0.15)))
        owner = identity if clothes_of is None else clothes_of
        wardrobe = np.random.default_rng([seed, owner, 3, walk if clothes is None else clothes])
        self.appearance = draw_appearance(person, wardrobe, bag, outfit, body.region_names)
        self._bag_side = "Left" if today.random() < 0.5 else "Right"
        self.gait = carrying(self.gait, bag, self._bag_side, body)
        self._steps: Steps = StepVariation.draw(self.gait, MAX_CYCLES, today)
        if steps is not None:
            self._steps, self.gait = steps, replace(self.gait, period_s=steps.period_s)
        self._rest = dressed(body, self.body.vertices, self.appearance)
        self._bag_vertices, bag_faces = bag_mesh(bag, self._bag_side, body, self.body, today)
        self.faces = np.concatenate([body.faces, bag_faces + body.vertex_count]).astype(np.int32)
        self.face_colors, self.face_reflectivity = paint(
            body, self.body.vertices, self.appearance, len(bag_faces), wardrobe
        )
        sole = self._standing()
        soles = body.foot_vertices[sole[body.foot_vertices, 2] < sole[:, 2].min() + 0.035]
        left = sole[soles, 1] > 0
        self._soles, self._left_count = np.concatenate([soles[left], soles[~left]]), int(left.sum())
        self._trace_root(12.0)
        cycles = max(1, int(10.0 / self.gait.period_s))
        begin, end = np.interp([1.0, 1.0 + cycles * self.gait.period_s], self._times, self._root[:, 0])
        self.speed_m_s = float((end - begin) / (cycles * self.gait.period_s))

    @property
    def stride_m(self) -> float:
        """Mean length of a cycle (two steps)."""
        return self.speed_m_s * self.gait.period_s

    def vertices(self, t_s: float) -> Float32:
        """(V, 3) float32 world coordinates at time ``t_s``, m; V counts body and bag."""
        rotations, positions = self._pose(t_s)
        out = skin(self._rest, self._skin_index, self._skin_weight, rotations, positions, self.body.heads)
        if len(self._bag_vertices):
            bone = self._bag_bone
            turn = rotations[bone] if self.appearance.bag != "hand" else self._placement(t_s)[1]
            bag = self._bag_vertices @ turn.T + positions[bone]
            out = np.concatenate([out, bag.astype(np.float32)])
        return out

    def joints(self, t_s: float) -> Float64:
        """(B, 3) float64 joint positions in the world, m."""
        return self._pose(t_s)[1]

    def rotation_vectors(self, t_s: float) -> Float64:
        """(B, 3) joint rotations away from the neutral stance, rad, body axes."""
        return np.asarray(self._steps.rotation_vectors(self.gait, np.array([t_s - self.start_s]))[0])

    def position(self, t_s: float) -> Float64:
        """(3,) point on the ground under the pelvis, m."""
        place = self._placement(t_s)[0]
        return np.array([place[0], place[1], 0.0])

    def velocity(self, t_s: float) -> Float64:
        """(3,) mean velocity over half a second around ``t_s``, m/s: what a tracker can know."""
        return (self.position(t_s + 0.25) - self.position(t_s - 0.25)) / 0.5

    def time_at(self, distance_m: float) -> float:
        """When the walker has come ``distance_m`` along the path, s."""
        while self._root[-1, 0] < distance_m and self._times[-1] < 3600:
            self._trace_root(2 * self._times[-1])
        return self.start_s + float(np.interp(distance_m, self._root[:, 0], self._times))

    @property
    def _skin_index(self) -> np.ndarray:
        return Body.load().skin_index

    @property
    def _skin_weight(self) -> Float32:
        return Body.load().skin_weight

    @property
    def _bag_bone(self) -> int:
        bone = Body.load().bone
        return {"backpack": bone["Spine1"], "shoulder": bone["LowerBack"]}.get(
            self.appearance.bag, bone[f"{self._bag_side}Hand"]
        )

    def _standing(self) -> Float32:
        """(V, 3) body in the neutral stance, root at the origin."""
        body = Body.load()
        rotations, positions = forward_kinematics(
            np.zeros((len(body.parent), 3)), body.parent, self.body.heads, self.body.neutral, np.zeros(3)
        )
        return skin(self._rest, body.skin_index, body.skin_weight, rotations, positions, self.body.heads)

    def _pose(self, t_s: float) -> tuple[Float64, Float64]:
        """Bone rotations (B, 3, 3) and joint positions (B, 3) in the world."""
        rotations, positions = forward_kinematics(
            self.rotation_vectors(t_s), Body.load().parent, self.body.heads, self.body.neutral, np.zeros(3)
        )
        root, yaw = self._placement(t_s)
        return yaw @ rotations, positions @ yaw.T + root

    def _placement(self, t_s: float) -> tuple[Float64, Float64]:
        """Root joint (3,) in the world and (3, 3) rotation about z into the direction of the path."""
        along, left, height = self._root_at(t_s)
        point, way = self.path.at(along)
        root = np.array([point[0] - left * way[1], point[1] + left * way[0], height])
        return root, np.array([[way[0], -way[1], 0.0], [way[1], way[0], 0.0], [0.0, 0.0, 1.0]])

    def _root_at(self, t_s: float) -> Float64:
        """(3,) along the path, to its left, and height of the root, m."""
        time = t_s - self.start_s
        if time > self._times[-1] - 0.5:
            if time > MAX_CYCLES * 0.8 * self.gait.period_s:
                raise ValueError(f"time is {t_s:.1f} s: a walker's steps are drawn for {MAX_CYCLES} cycles only")
            self._trace_root(max(2 * self._times[-1], time + 2.0))
        exact = (time - self._times[0]) * TRACE_RATE_HZ
        below = int(exact) if exact > 0 else 0
        return np.asarray(self._root[below] + (exact - below) * (self._root[below + 1] - self._root[below]))

    def _trace_root(self, until_s: float) -> None:
        """Root path from the feet: the sole on the ground stands still, the lowest vertex touches z = 0."""
        times = -1.0 + np.arange(int((until_s + 1.0) * TRACE_RATE_HZ)) / TRACE_RATE_HZ
        body = Body.load()
        low, steps = trace_soles(
            self._steps.rotation_vectors(self.gait, times),
            body.parent,
            self.body.heads,
            self.body.neutral,
            self._rest[self._soles],
            self._left_count,
            body.skin_index[self._soles],
            body.skin_weight[self._soles],
        )
        steps = gaussian_filter1d(steps, 0.05 * TRACE_RATE_HZ, axis=0)
        way = np.cumsum(steps, axis=0)
        drift = gaussian_filter1d(way[:, 1], self.gait.period_s * TRACE_RATE_HZ / 2)
        height = -gaussian_filter1d(low, 0.025 * TRACE_RATE_HZ)
        way[:, 0] -= np.interp(0.0, times, way[:, 0])
        self._times, self._root = times, np.stack([way[:, 0], way[:, 1] - drift, height], axis=1)


def person_of(seed: int, identity: int) -> tuple[BodyShape, Float64]:
    """Shape and gait latent of one identity."""
    rng = np.random.default_rng([seed, identity, 0])
    return Body.load().draw_shape(rng), GaitSpace.load().draw_person(rng)


def day_of(seed: int, identity: int, walk: int) -> np.random.Generator:
    """Random generator of one walk; ``GaitSpace.draw_walk`` comes first."""
    return np.random.default_rng([seed, identity, 2, walk])


@njit(nogil=True)
def trace_soles(
    rotation_vectors: Float64,
    parent: np.ndarray,
    heads: Float64,
    neutral: Float64,
    sole_vertices: Float32,
    left_count: int,
    skin_index: np.ndarray,
    skin_weight: Float32,
) -> tuple[Float64, Float64]:
    """Height of the lowest sole vertex below the root (T,) and the root's step forward and left (T, 2), m.

    The first ``left_count`` vertices are the left sole. The root steps by minus the motion of the standing sole:
    of each foot the vertices that touch the ground (within 6 mm of its lowest), of the two feet the one that moves
    backwards under the body, both in double support.
    """
    frames = len(rotation_vectors)
    low = np.empty(frames)
    steps = np.zeros((frames, 2))
    before = np.zeros_like(sole_vertices)
    root = np.zeros(3)
    bounds = (0, left_count, len(sole_vertices))
    for frame in range(frames):
        rotations, positions = forward_kinematics(rotation_vectors[frame], parent, heads, neutral, root)
        now = skin(sole_vertices, skin_index, skin_weight, rotations, positions, heads)
        low[frame] = now[:, 2].min()
        if frame > 0:
            trust = np.zeros(2)
            motion = np.zeros((2, 2))
            for foot in range(2):
                lowest = now[bounds[foot] : bounds[foot + 1], 2].min()
                total = 0.0
                for v in range(bounds[foot], bounds[foot + 1]):
                    height = now[v, 2] - lowest
                    if height < 0.04:
                        weight = np.exp(-height / 0.006)
                        total += weight
                        motion[foot, 0] += weight * (now[v, 0] - before[v, 0])
                        motion[foot, 1] += weight * (now[v, 1] - before[v, 1])
                motion[foot] /= total
                trust[foot] = np.exp(-(lowest - low[frame]) / 0.03)
            backwards = (motion[0, 0] - motion[1, 0]) / 0.004
            trust[0] /= 1 + np.exp(min(max(backwards, -30.0), 30.0))
            trust[1] /= 1 + np.exp(min(max(-backwards, -30.0), 30.0))
            steps[frame] = -(trust[0] * motion[0] + trust[1] * motion[1]) / (trust[0] + trust[1])
        before = now
    steps[0] = steps[min(1, frames - 1)]
    return low, steps
