"""Constant-velocity Kalman filter in the ground plane for all tracks at once.

Both axes share one 2x2 covariance (the noise is the same along x and y), so that a filter step is a dozen
operations on arrays over the tracks.
"""

from __future__ import annotations

import numpy as np

from emgait_ros.samples import Float64

INITIAL_SPEED_SIGMA_M_S = 1.2  # a new pedestrian walks anywhere, at up to walking pace


class KalmanBank:
    """Position and velocity of T tracks.

    Attributes:
        position: (T, 2) m.
        velocity: (T, 2) m/s.
        covariance: (T, 3): variance of position (m^2), covariance, variance of velocity (m^2/s^2).

    Args:
        acceleration_m_s2: standard deviation of the acceleration between two updates.
    """

    def __init__(self, acceleration_m_s2: float) -> None:
        self._acceleration_variance = acceleration_m_s2**2
        self.position: Float64 = np.zeros((0, 2))
        self.velocity: Float64 = np.zeros((0, 2))
        self.covariance: Float64 = np.zeros((0, 3))

    def __len__(self) -> int:
        return len(self.position)

    def predict(self, dt_s: float) -> None:
        """Move all tracks on by ``dt_s`` seconds."""
        self.position += self.velocity * dt_s
        variance, cross, speed = self.covariance.T.copy()
        noise = self._acceleration_variance
        self.covariance[:, 0] = variance + 2 * dt_s * cross + dt_s**2 * speed + noise * dt_s**4 / 4
        self.covariance[:, 1] = cross + dt_s * speed + noise * dt_s**3 / 2
        self.covariance[:, 2] = speed + noise * dt_s**2

    def update(self, tracks: np.ndarray, measured: Float64, variance: Float64) -> None:
        """Correct the given tracks.

        Args:
            tracks: (M,) int indices, each at most once.
            measured: (M, 2) measured positions, m.
            variance: (M,) variance of the measurements, m^2.
        """
        covariance = self.covariance[tracks]
        total = covariance[:, 0] + variance
        gain_position, gain_velocity = covariance[:, 0] / total, covariance[:, 1] / total
        innovation = measured - self.position[tracks]
        self.position[tracks] += gain_position[:, None] * innovation
        self.velocity[tracks] += gain_velocity[:, None] * innovation
        kept = 1.0 - gain_position
        self.covariance[tracks, 2] = covariance[:, 2] - gain_velocity * covariance[:, 1]
        self.covariance[tracks, 0] = kept * covariance[:, 0]
        self.covariance[tracks, 1] = kept * covariance[:, 1]

    def add(self, measured: Float64, variance: Float64) -> None:
        """Append tracks that start at measured positions (M, 2), standing, with variance (M,)."""
        count = len(measured)
        self.position = np.concatenate([self.position, measured])
        self.velocity = np.concatenate([self.velocity, np.zeros((count, 2))])
        start = np.stack([variance, np.zeros(count), np.full(count, INITIAL_SPEED_SIGMA_M_S**2)], axis=1)
        self.covariance = np.concatenate([self.covariance, start])

    def keep(self, mask: np.ndarray) -> None:
        """Drop all tracks but those in the boolean mask (T,)."""
        self.position, self.velocity = self.position[mask], self.velocity[mask]
        self.covariance = self.covariance[mask]
