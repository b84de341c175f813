"""The simulator's bodies before a 64-beam LiDAR over level ground: children as scaled adults, couples, and things."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from emgait_ros.lab.simulation.lidar import Lidar, LidarModel, Mover
from emgait_ros.lab.simulation.walker import Walker
from emgait_ros.samples import Float32, Float64, PedestrianFrame, SensorFrame
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing

PERIOD_S = 0.1
AZIMUTH = 0.3  # rad: where the people are


class Person:
    """A walking body of the simulator, scaled to a stature, along a straight way.

    Args:
        identity, seed: who.
        start: (2,) m, where they are at time 0.
        heading_rad: where they go.
        stature_m: None: the body's own.
        beside_m: how far to the left of ``leader`` they keep, who sets the pace.
    """

    def __init__(
        self,
        identity: int,
        seed: int,
        start: Float64,
        heading_rad: float,
        stature_m: float | None = None,
        leader: Person | None = None,
        beside_m: float = 0.0,
    ) -> None:
        self._walker = Walker(identity, seed=seed)
        self._scale = 1.0 if stature_m is None else stature_m / self._walker.stature_m
        cosine, sine = np.cos(heading_rad), np.sin(heading_rad)
        self._turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
        self._start, self._leader = np.array([*start, 0.0]), leader
        self._aside = self._turn @ [0, beside_m, 0]
        self.faces, self.face_reflectivity = self._walker.faces, self._walker.face_reflectivity

    def vertices(self, t_s: float) -> Float32:
        """See ``Mover``."""
        here = self._scale * (self._walker.vertices(t_s) - self._walker.position(t_s)) @ self._turn.T
        return (here + self.position(t_s)).astype(np.float32)

    def position(self, t_s: float) -> Float64:
        """See ``Mover``."""
        if self._leader is not None:
            return self._leader.position(t_s) + self._aside
        return self._scale * self._turn @ self._walker.position(t_s) + self._start


class Block:
    """A standing box between two corners (3,), m."""

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        self._corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), np.float32).reshape(3, 8).T
        sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        self.faces = np.array([t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))], np.int32)
        self.face_reflectivity = np.full(len(self.faces), 0.4, np.float32)

    def vertices(self, t_s: float) -> Float32:
        """See ``Mover``."""
        return self._corners

    def position(self, t_s: float) -> Float64:
        """See ``Mover``."""
        return np.array([*self._corners[:, :2].mean(0), 0.0])


def way(range_m: float, direction: str) -> tuple[Float64, float]:
    """Start and heading of a way that passes the given range after a few metres, "across" the view or "away"."""
    heading = AZIMUTH + (np.pi / 2 if direction == "across" else 0.0)
    back = np.array([np.cos(heading), np.sin(heading)]) * 1.5
    return range_m * np.array([np.cos(AZIMUTH), np.sin(AZIMUTH)]) - back, heading


def couple(range_m: float, direction: str, apart_m: float, seed: int) -> list[Person]:
    """Two who walk side by side."""
    start, heading = way(range_m, direction)
    first = Person(2 * seed + 1, 60 + seed, start, heading)
    return [first, Person(2 * seed + 2, 60 + seed, start, heading, leader=first, beside_m=apart_m)]


def watch(
    sensing: PedestrianSensing, movers: Sequence[Mover], seconds: float, seed: int = 0
) -> Iterator[tuple[float, PedestrianFrame]]:
    """Time, s, and what is tracked, cloud by cloud."""
    pose = np.eye(4)
    pose[2, 3] = 1.73
    lidar, rng = Lidar(LidarModel.beams_64(), pose), np.random.default_rng(seed)
    sensing.reset()
    for k in range(round(seconds / PERIOD_S)):
        points = np.ascontiguousarray(lidar.scan(PERIOD_S * k, movers, rng).points)
        frame = SensorFrame(round(1e9 + PERIOD_S * k * 1e9), points)
        yield PERIOD_S * (k + 0.5), sensing.process(frame, "lidar")


def nearest_m(frame: PedestrianFrame, place: Float64) -> float:
    """Distance of the nearest pedestrian, m; infinite without any."""
    return min((float(np.hypot(*(p.center[:2] - place[:2]))) for p in frame.pedestrians), default=np.inf)
