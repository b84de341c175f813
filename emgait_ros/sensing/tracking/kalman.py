"""Constant-velocity Kalman filter in the ground plane for all tracks at once, with a process noise that follows the data.

Both axes share one 2x2 covariance (the noise is the same along x and y), so that a filter step is a dozen
operations on arrays over the tracks.

Innovations of a filter whose process noise is right are not correlated in time. Where they are, the track turns, stops
or starts, or all tracks do because the sensor drives and its pose is not known: the noise is raised until the correlation
is gone (Mehra 1970), for each track and for all together. Small ones that are correlated raise nothing: the sway of a walker
makes those, too, and an uncertain track takes the detection of whoever crosses its way. Where they are larger than expected
without being correlated, the detector is noisier than the options say: the measurement noise is raised, for all together.
"""

from __future__ import annotations

import numpy as np

from emgait_ros.samples import Float64

WALKING_SIGMA_M_S = 1.2  # a new pedestrian walks anywhere, at up to walking pace
SENSOR_SIGMA_M_S = 4.0  # on top of what all tracks share: the motion of a sensor whose pose is not given
RATE = 0.5  # how fast the process noise follows the correlation, in log units a frame
CLIP = 4.0  # largest product of two normalized innovations that counts
LAGS = 0.5  # squared, normalized innovation (1 is expected) from which on a correlation says that the filter lags
KNOWN = 3  # updates, before which the velocity is a guess and innovations say nothing about the noise
MOST_ACCELERATION_M_S2 = 8.0  # a car that brakes or turns
NOISE_RATE = 0.1  # how fast the measurement noise follows, in log units a frame
MOST_NOISE = 5.0  # times the standard deviation of the options


class KalmanBank:
    """Position and velocity of T tracks.

    Attributes:
        position: (T, 2) m.
        velocity: (T, 2) m/s.
        covariance: (T, 3): variance of position (m^2), covariance, variance of velocity (m^2/s^2).
        noise: factor of the standard deviation of measurements that the data ask for, at least 1.

    Args:
        acceleration_m_s2: standard deviation of the acceleration between two updates of a track that goes straight on.
    """

    def __init__(self, acceleration_m_s2: float) -> None:
        self._acceleration = acceleration_m_s2
        self._most = max(0.0, float(np.log(MOST_ACCELERATION_M_S2 / acceleration_m_s2)))
        self.position: Float64 = np.zeros((0, 2))
        self.velocity: Float64 = np.zeros((0, 2))
        self.covariance: Float64 = np.zeros((0, 3))
        self._innovation: Float64 = np.zeros((0, 2))  # of the last update, in standard deviations
        self._updated = np.zeros(0, np.int64)  # times
        self._raised: Float64 = np.zeros(0)  # log of the factor of each track's acceleration
        self.noise = 1.0
        self._all_raised = 0.0  # log of the factor that all tracks share

    def __len__(self) -> int:
        return len(self.position)

    def predict(self, dt_s: float) -> None:
        """Move all tracks on by ``dt_s`` seconds."""
        self.position += self.velocity * dt_s
        variance, cross, speed = self.covariance.T.copy()
        noise = (self._acceleration * np.exp(np.maximum(self._raised, self._all_raised))) ** 2
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
        self._adapt(tracks, innovation / np.sqrt(total)[:, None])
        self.position[tracks] += gain_position[:, None] * innovation
        self.velocity[tracks] += gain_velocity[:, None] * innovation
        kept = 1.0 - gain_position
        self.covariance[tracks, 2] = covariance[:, 2] - gain_velocity * covariance[:, 1]
        self.covariance[tracks, 0] = kept * covariance[:, 0]
        self.covariance[tracks, 1] = kept * covariance[:, 1]

    def _adapt(self, tracks: np.ndarray, innovation: Float64) -> None:
        """Raise or lower the noises by normalized innovations (M, 2) and their correlation with those before."""
        if len(tracks) == 0:
            return
        product = np.clip((innovation * self._innovation[tracks]).mean(1), -CLIP, CLIP)
        product[(product > 0.0) & ((innovation**2).mean(1) < LAGS)] = 0.0
        self._raised[tracks] = np.clip(self._raised[tracks] + RATE * product, 0.0, self._most)
        self._all_raised = float(np.clip(self._all_raised + RATE * product.mean(), 0.0, self._most))
        self._innovation[tracks] = innovation
        known = self._updated[tracks] >= KNOWN
        self._updated[tracks] += 1
        if known.any():
            squared = np.minimum((innovation[known] ** 2).mean(1), CLIP).mean()
            excess = squared - 1.0 - max(0.0, product[known].mean())  # what the process noise does not explain
            self.noise = float(np.clip(self.noise * np.exp(NOISE_RATE * excess), 1.0, MOST_NOISE))

    def add(self, measured: Float64, variance: Float64) -> None:
        """Append tracks that start at measured positions (M, 2), with variance (M,) m^2.

        Their velocity is what the tracks so far share: none, unless the sensor moves and its pose is not given.
        """
        count = len(measured)
        weight = 1.0 / (WALKING_SIGMA_M_S**2 + self.covariance[:, 2])
        total = 1.0 / SENSOR_SIGMA_M_S**2 + weight.sum()
        shared = weight @ self.velocity / total
        start = np.tile([0.0, 0.0, WALKING_SIGMA_M_S**2 + 1.0 / total], (count, 1))
        start[:, 0] = variance
        self.position = np.concatenate([self.position, measured])
        self.velocity = np.concatenate([self.velocity, np.tile(shared, (count, 1))])
        self.covariance = np.concatenate([self.covariance, start])
        self._innovation = np.concatenate([self._innovation, np.zeros((count, 2))])
        self._updated = np.concatenate([self._updated, np.zeros(count, np.int64)])
        self._raised = np.concatenate([self._raised, np.zeros(count)])

    def keep(self, mask: np.ndarray) -> None:
        """Drop all tracks but those in the boolean mask (T,)."""
        self.position, self.velocity, self.covariance = self.position[mask], self.velocity[mask], self.covariance[mask]
        self._innovation, self._raised = self._innovation[mask], self._raised[mask]
        self._updated = self._updated[mask]
