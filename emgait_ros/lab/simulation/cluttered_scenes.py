"""Single LiDAR clouds of streets, squares, parks and rooms as cluttered as real ones, with labelled people.

Made to train and test what tells people from things. Everything follows from the seed. What a place looks like is in
``clutter/places.py``, the things in ``props``, ``vehicles``, ``greenery`` and ``buildings``, the people in ``people``,
the sensors in ``sensors``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emgait_ros.lab.simulation.clutter.furnishing import furnish, rehearse
from emgait_ros.lab.simulation.clutter.layout import Layout
from emgait_ros.lab.simulation.clutter.meshes import rotation
from emgait_ros.lab.simulation.clutter.scanning import Scenery, scan
from emgait_ros.lab.simulation.clutter.sensors import Scanner
from emgait_ros.samples import Float32, Float64


@dataclass(frozen=True)
class LabelledCloud:
    """One turn of a LiDAR with the owner of every return.

    Attributes:
        points: (N, 3) float32, LiDAR frame, m.
        owner: (N,) int32: 0 the ground, p + 1 person p, -1 - t the thing ``things[t]``.
        people: (P, 7) float64 x, y, z of the box's center, length, width, height (m), yaw (rad), LiDAR frame; with what
            is worn and ridden, without what is pushed or led.
        kinds: of each person, one of ``people.KINDS``; a "rider" is no pedestrian.
        things: names.
        place, sensor: what kind of place and of sensor.
        height_m, beams, tilt_deg: of the sensor; tilt is the angle of its z axis from upright.
    """

    points: Float32
    owner: np.ndarray
    people: Float64
    kinds: tuple[str, ...]
    things: tuple[str, ...]
    place: str
    sensor: str
    height_m: float
    beams: int
    tilt_deg: float


def cluttered_cloud(seed: int, hard: bool = False) -> LabelledCloud:
    """Scene number ``seed`` (>= 0) as its sensor sees it; ``hard``: of another series, full of what is easily mistaken.

    Raises:
        ValueError: a negative seed.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}: expected 0 or more")
    rng = np.random.default_rng([seed, 2312 if hard else 2311])
    place, layout, scanner, spot = rehearse(rng) if hard else furnish(rng)
    T = scanner.pose(*spot, layout.ground.height(*spot))
    scenery = Scenery.of(layout)
    scans = [
        scan(scenery, scanner, model, T @ offset, rng)
        for model, offset in zip(scanner.models, scanner.offsets, strict=True)
    ]
    points = np.concatenate([s.points @ o[:3, :3].T + o[:3, 3] for s, o in zip(scans, scanner.offsets, strict=True)])
    time = np.concatenate([s.time_s for s in scans])
    people = _boxes(layout, T)
    if any(scanner.velocity):
        points, people = _skew(points, time, people, scanner)
    return LabelledCloud(
        points=np.ascontiguousarray(points, np.float32),
        owner=np.concatenate([s.object_id for s in scans]),
        people=people,
        kinds=tuple(person.kind for person, *_ in layout.people),
        things=(*(name for name, _ in layout.things), "air"),
        place=place,
        sensor=scanner.name,
        height_m=scanner.height_m,
        beams=scanner.beams,
        tilt_deg=float(np.degrees(np.arccos(np.clip(T[2, 2], -1, 1)))),
    )


def _boxes(layout: Layout, T: Float64) -> Float64:
    """(P, 7) boxes of the people in the LiDAR frame."""
    boxes = np.zeros((len(layout.people), 7))
    for row, (person, x, y, z, yaw) in zip(boxes, layout.people, strict=True):
        low, high = person.box()
        center = rotation(yaw) @ ((low + high) / 2) + (x, y, z)
        ahead = T[:3, :3].T @ (np.cos(yaw), np.sin(yaw), 0.0)
        row[:3], row[3:6] = T[:3, :3].T @ (center - T[:3, 3]), high - low
        row[6] = np.arctan2(ahead[1], ahead[0])
    return boxes


def _skew(points: Float64, time_s: Float32, people: Float64, scanner: Scanner) -> tuple[Float64, Float64]:
    """Points and boxes as they come out when the carrier moves during the turn and nobody compensates it."""
    forward, left, yaw_rate = scanner.velocity

    def moved(x: np.ndarray, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c, s = np.cos(yaw_rate * t), np.sin(yaw_rate * t)
        return c * x + s * y - forward * t, -s * x + c * y - left * t

    skewed, boxes = points.copy(), people.copy()
    t = time_s - 0.5 / scanner.models[0].rate_hz
    skewed[:, 0], skewed[:, 1] = moved(points[:, 0], points[:, 1], t)
    at = (np.arctan2(people[:, 1], people[:, 0]) / (2 * np.pi)) / scanner.models[0].rate_hz
    boxes[:, 0], boxes[:, 1] = moved(people[:, 0], people[:, 1], at)
    boxes[:, 6] -= yaw_rate * at
    return skewed, boxes
