"""Is the LiDAR the right way up? Its z axis must point up; a flipped or tilted mount or a cloud in a camera's frame shows no ground."""

from __future__ import annotations

import numpy as np

from emgait_ros.samples import Float32
from emgait_ros.sensing.perception.ground import GroundEstimator

ON_GROUND_M = 0.15
ENOUGH = 0.2  # fraction of the returns on the ground from which on an orientation is accepted
BETTER = 3.0  # times as many as the right way up
NEAR_M = 25.0
LOWEST_SENSOR_M = 0.2  # over the ground
SURE = 0.5  # ... from which on none other is looked for
TILTED_ENOUGH, TILTED_BETTER = 0.3, 1.5  # of a tilted one: much of its ground is found as it is
TILT_DEG = 30.0  # with what the ground estimator tolerates by itself, from 20 to 40 degrees are recognized
LOOKED_AT = 30_000  # returns
SIDEWAYS = "in other axes (a camera's, z forward and y down, or a LiDAR on its side)"
Z_UP = "publish it in a frame with z up"


def tilt(degrees: float, towards_deg: float) -> np.ndarray:
    """(3, 3) float32 rotation that lowers what lies in this direction (degrees from x to y) by so many degrees."""
    angle, towards = np.radians(degrees), np.radians(towards_deg)
    turn = np.array(
        [[np.cos(towards), -np.sin(towards), 0.0], [np.sin(towards), np.cos(towards), 0.0], [0.0, 0.0, 1.0]]
    )
    down = np.array([[np.cos(angle), 0.0, np.sin(angle)], [0.0, 1.0, 0.0], [-np.sin(angle), 0.0, np.cos(angle)]])
    return np.asarray(turn @ down @ turn.T, np.float32)


OTHERS: tuple[tuple[str, str, np.ndarray], ...] = (
    # what it is, what to do, rotation into z up
    ("upside down", "turn the cloud by 180 degrees about x", np.diag([1.0, -1.0, -1.0])),
    (SIDEWAYS, Z_UP, np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])),
    (SIDEWAYS, Z_UP, np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])),
)
TILTED = tuple(
    ("tilted by more than 15 degrees", Z_UP, tilt(TILT_DEG, towards)) for towards in np.arange(0.0, 360.0, 45.0)
)


def ground_share(points: Float32, estimator: GroundEstimator) -> tuple[float, float]:
    """Fraction of the returns within 25 m that lie on the ground found under them, 0..1, and z of that ground at the origin, m."""
    near = points[np.hypot(points[:, 0], points[:, 1]) < NEAR_M]
    if len(near) < 500:
        return 0.0, -np.inf
    surface, heights = estimator.estimate(np.ascontiguousarray(near, np.float32))
    return float((np.abs(heights) < ON_GROUND_M).mean()), float(surface.plane[2])


def orientation_problem(points: Float32, estimator: GroundEstimator, look: int | None = None) -> str:
    """A sentence when the cloud is in a frame on the ground, or makes sense in another orientation only; else empty.

    Args:
        points: (N, 3) float32 m, LiDAR frame.
        estimator: with the ranges of the detector.
        look: how many looks there were before: one tries one direction of tilt, in turn. None: all are tried now.
    """
    points = points[:: len(points) // LOOKED_AT | 1]
    share, ground_z = ground_share(points, estimator)
    upright = _under_sensor(share, ground_z)
    if upright >= SURE:
        return ""
    others = OTHERS if upright < ENOUGH else ()
    tilted = TILTED if look is None else (TILTED[look % len(TILTED)],)
    for ways, enough, better in ((others, ENOUGH, BETTER), (tilted, TILTED_ENOUGH, TILTED_BETTER)):
        if not ways:
            continue
        shares = [_under_sensor(*ground_share(points @ turn.T.astype(np.float32), estimator)) for _, _, turn in ways]
        best = int(np.argmax(shares))
        if upright < ENOUGH <= share and share > shares[best] and abs(ground_z) < LOWEST_SENSOR_M:
            return (
                f"the ground lies at z = {ground_z:.2f} m: the cloud seems to be in a frame on the ground (base_link), but what "
                "hides what is judged by the lines of sight from its origin; publish it in the frame of the LiDAR"
            )
        if shares[best] >= max(enough, better * upright):
            name, advice, _ = ways[best]
            return (
                f"the cloud seems to be {name}: {shares[best] * 100:.0f} % of it lies on the ground that way, "
                f"{upright * 100:.0f} % as it is; {advice}"
            )
    return ""


def _under_sensor(share: float, ground_z: float) -> float:
    """The share of :func:`ground_share`; 0 where that ground is not under the sensor: it is a ceiling, or the origin lies on it."""
    return share if ground_z < -LOWEST_SENSOR_M else 0.0
