"""What an enrolment rests on, in numbers a person can judge: frames, ranges, points, images, how straight the walk was."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emgait_ros.config import EnrollmentConfig
from emgait_ros.samples import Float64

_VIEWS = ("from the front", "from the side", "from behind")
_SMOOTHED = 5  # samples between the places a path is measured at: noise of the box centre must not count as walking


@dataclass(frozen=True)
class WalkQuality:
    """Of the samples of one enrolment.

    Attributes:
        samples: how many.
        ranges_m: smallest and largest, m.
        points: median LiDAR returns a sample, before resampling.
        images: share of samples with a usable crop, 0..1.
        distance_m: from the first place to the last; NaN when places are unknown.
        straightness: that distance over the length of the path, 0..1; NaN for less than 0.5 m of path.
        view_deg: direction of walking against the line to the sensor: 0 comes nearer, 180 goes away; NaN likewise.
    """

    samples: int
    ranges_m: tuple[float, float]
    points: float
    images: float
    distance_m: float
    straightness: float
    view_deg: float

    def to_json(self) -> str:
        """As it is stored with the templates; numbers that are not known are null."""
        values = dataclasses.asdict(self)
        return json.dumps({k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()})

    def __str__(self) -> str:
        near, far = self.ranges_m
        said = [
            f"{self.samples} samples at {near:.0f}-{far:.0f} m",
            f"{self.points:.0f} points",
            f"{self.images:.0%} with image",
        ]
        if np.isfinite(self.straightness):
            said.append(f"{self.distance_m:.1f} m walked, straightness {self.straightness:.2f}")
        if np.isfinite(self.view_deg):
            said.append(f"seen {_VIEWS[int(self.view_deg // 60.001)]}")
        return ", ".join(said)

    def refusal(self, config: EnrollmentConfig) -> str:
        """Why the walk is not good enough to enrol, and what to do; empty when it is."""
        if self.points < config.min_points:
            return (
                f"the walk has {self.points:.0f} LiDAR points a sample, enrolling takes {config.min_points} "
                "(enrollment.min_points): let the person pass nearer"
            )
        if self.straightness < config.min_straightness:
            return (
                f"the walk is not straight ({self.straightness:.2f} of the path leads on, enrolling takes {config.min_straightness:.2f}, "
                "enrollment.min_straightness): let the person walk past in one line"
            )
        return ""


def walk_quality(
    ranges_m: Sequence[float], points: Sequence[int], has_image: Sequence[bool], positions: Float64
) -> WalkQuality:
    """Quality of samples in order of time; ``positions`` is (n, 2), m in the LiDAR frame, NaN where unknown."""
    ranges, places = np.asarray(ranges_m, np.float64), np.asarray(positions, np.float64).reshape(-1, 2)
    usable = places[np.isfinite(places).all(axis=1)]
    groups = np.array_split(usable, max(1, len(usable) // _SMOOTHED)) if len(usable) else []
    path = np.array([group.mean(axis=0) for group in groups]).reshape(-1, 2)
    length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    net = path[-1] - path[0] if len(path) else np.zeros(2)
    known = length >= 0.5
    towards = -path.mean(axis=0) if known else np.zeros(2)
    norms = float(np.linalg.norm(net) * np.linalg.norm(towards))
    return WalkQuality(
        samples=len(ranges),
        ranges_m=(round(float(ranges.min()), 2), round(float(ranges.max()), 2)),
        points=float(np.median(points)),
        images=float(np.mean(has_image)),
        distance_m=float(np.linalg.norm(net)) if known else float("nan"),
        straightness=float(np.linalg.norm(net)) / length if known else float("nan"),
        view_deg=float(np.degrees(np.arccos(np.clip(net @ towards / norms, -1, 1))))
        if known and norms
        else float("nan"),
    )
