"""What an enrolment rests on, in numbers a person can judge: frames, ranges, points, images, how straight the walk was, and
whether legs swing in it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emgait_ros.config import EnrollmentConfig
from emgait_ros.samples import Float64, Sample

_VIEWS = ("from the front", "from the side", "from behind")
_SMOOTHED = 5  # samples between the places a path is measured at: noise of the box centre must not count as walking
_LEGS = 0.07, 0.42  # of the height: above the shoes to above the knee
_REACH_M = 1.0  # from the middle of the box: what lies farther off is no leg of this person
_MOVES_M_S = 0.3
_FEWEST_RETURNS, _FEWEST_SAMPLES = 8, 10  # on the legs of a sample; samples that have so many


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
        leg_swing_m: how much the legs open and close (:func:`leg_swing`), m; NaN when too few returns show them.
    """

    samples: int
    ranges_m: tuple[float, float]
    points: float
    images: float
    distance_m: float
    straightness: float
    view_deg: float
    leg_swing_m: float = float("nan")

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
        if np.isfinite(self.leg_swing_m):
            said.append(f"legs swing by {self.leg_swing_m:.3f} m")
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
        if self.leg_swing_m < config.min_leg_swing_m:
            return (
                f"this is no gait, the legs hardly swing (by {self.leg_swing_m:.3f} m, enrolling takes {config.min_leg_swing_m:.3f}, "
                "enrollment.min_leg_swing_m): let the person walk past on foot, legs in view; who stands, glides or sits in a wheelchair "
                "cannot be enrolled"
            )
        return ""


def leg_spread(pedestrian: Sample) -> tuple[float, float]:
    """How far the returns on the legs lie apart along the way (standard deviation, m), by each half of them.

    Of who hardly moves: in all directions. NaN when there are too few returns. From the ground up returns go to one half, twice to the
    other, twice to the first and so on: both see both legs, and what differs between them is chance.
    """
    points, way = pedestrian.points, pedestrian.velocity[:2]
    if points is None:
        return float("nan"), float("nan")
    speed = float(np.hypot(*way))
    low, high = np.array(_LEGS) * pedestrian.size[2] + pedestrian.center[2] - pedestrian.size[2] / 2
    off = points[:, :2] - pedestrian.center[:2]
    on_legs = (points[:, 2] > low) & (points[:, 2] < high) & (np.square(off).sum(axis=1) < _REACH_M**2)
    along = off[on_legs] @ (way[:, None] / speed if speed > _MOVES_M_S else np.eye(2))
    rows = np.column_stack([along, points[on_legs, 2]])
    rows = np.unique(rows[:, ::-1], axis=0)  # by height; a sample with few returns holds some of them several times
    found = rows[:, 1:]
    if len(found) < _FEWEST_RETURNS:
        return float("nan"), float("nan")
    half = np.arange(len(found)) % 4 % 3 == 0
    one, other = (float(np.sqrt(found[part].var(axis=0).sum())) for part in (half, ~half))
    return one, other


def leg_swing(spreads: Sequence[tuple[float, float]]) -> float:
    """How much the spread of the legs changes over the samples of a walk: its standard deviation, m.

    The square root of the covariance of the two halves, which has no part in what few returns make of chance.

    Args:
        spreads: of each sample, :func:`leg_spread`.

    Returns:
        0 or more; NaN when too few samples show legs.
    """
    seen = np.array(spreads, np.float64).reshape(-1, 2)
    seen = seen[np.isfinite(seen).all(axis=1)]
    if len(seen) < _FEWEST_SAMPLES:
        return float("nan")
    return float(np.sqrt(max(np.cov(seen.T)[0, 1], 0.0)))


def walk_quality(
    ranges_m: Sequence[float],
    points: Sequence[int],
    has_image: Sequence[bool],
    positions: Float64,
    legs: Sequence[tuple[float, float]] = (),
) -> WalkQuality:
    """Quality of samples in order of time; ``positions`` is (n, 2), m in the LiDAR frame, NaN where unknown; ``legs`` their spreads."""
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
        leg_swing_m=round(leg_swing(legs), 4),
    )
