"""Do people whom the LiDAR sees project into the image, upright? Inverted extrinsics are found within seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgait_ros.samples import CameraModel, Float32, Float64
from emgait_ros.sensing.perception.camera import project

ENOUGH = 30  # people, one a frame, before anything is said about the inverse
PLENTY = 300  # ... before it is reported that no person is ever in the image
FEW, SOME = 0.05, 0.2
IN_IMAGE = 0.005  # least fraction of a cloud that a forward camera sees
SMALL_TURN_DEG, SMALL_STEP_M = 10.0, 0.1  # between two images: a camera that turns or swings, not another one
MEMORY = 2000  # people counted; then halved, so that a corrected calibration shows


class ProjectionWatch:
    """Counts how many people project upright into the image, with the extrinsics as they are and with their inverse.

    One thread may observe while another asks for the problem: the counts are replaced as a whole.
    """

    def __init__(self) -> None:
        self._camera: CameraModel | None = None
        self._inverse: CameraModel | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the counts."""
        self._counts = (0.0, 0.0, 0.0, 0.0)  # people, of them in the image, upright in it, and upright with the inverse
        self._cloud_share = 1.0

    def observe(self, center: Float64, size: Float64, camera: CameraModel, cloud: Float32) -> None:
        """Count the people of one frame.

        Args:
            center, size: (K, 3) upright boxes where they are when the image is taken, m, LiDAR frame.
            camera: of the image; another one starts over, but for one that has turned a little.
            cloud: (N, 3) m, used only in some frames.
        """
        if camera is not self._camera:
            if self._camera is None or not _turned_a_little(self._camera, camera):
                self.reset()
            T = np.asarray(np.linalg.inv(camera.T_camera_lidar), np.float64)
            self._camera, self._inverse = camera, replace(camera, T_camera_lidar=T)
        if len(center) == 0 or self._inverse is None:
            return
        before, inside, right, inverted = self._counts
        people = before + len(center)
        seen, upright = _in_image(center, size, camera)
        inside += int(seen.sum())
        right += int((seen & upright).sum())
        inverted += int(upright_inside(center, size, self._inverse).sum())
        if before // 100 != people // 100 or before == 0:
            self._cloud_share = share_in_image(cloud[::20], camera)
        fewer = 2.0 if people > MEMORY else 1.0
        self._counts = (people / fewer, inside / fewer, right / fewer, inverted / fewer)

    @property
    def share(self) -> float:
        """Fraction of the people who project upright into the image, 0..1; NaN before the first."""
        people, _, right, _ = self._counts
        return right / people if people else float("nan")

    def problem(self) -> str:
        """What is wrong with the extrinsics, in a sentence; empty while nothing is, or while too few were seen."""
        people, inside, right, inverted = self._counts
        if people < ENOUGH or right / people >= FEW:
            return ""
        inverse = inverted / people
        missed = f"projected people miss the image: {right / people * 100:.0f} % of {people:.0f} fall into it upright"
        if inverse >= SOME:
            return (
                f"{missed}, with the inverse of T_camera_lidar {inverse * 100:.0f} %: it seems to map camera to LiDAR; "
                "it must map LiDAR points into the camera's optical frame"
            )
        if inside / people >= SOME:
            return (
                f"{inside / people * 100:.0f} % of {people:.0f} projected people fall into the image, but lying or upside down: "
                "nobody can be recognized by such pictures; let the driver turn the images and their CameraInfo, or, where people "
                "stand upright in them, correct the axes of T_camera_lidar (optical: z forward, x right, y down)"
            )
        if self._cloud_share < IN_IMAGE:
            return f"{missed}, and {self._cloud_share * 100:.1f} % of the cloud: check the axes of T_camera_lidar (optical: z forward, x right, y down)"
        if people >= PLENTY:
            return f"{missed}: does the camera look where people walk? If so, check T_camera_lidar"
        return ""


def _turned_a_little(before: CameraModel, now: CameraModel) -> bool:
    """Whether it is the same camera, hardly moved."""
    lens = [(c.width, c.height, c.K.tobytes(), c.distortion.tobytes(), c.distortion_model) for c in (before, now)]
    first, second = (np.linalg.inv(c.T_camera_lidar) for c in (before, now))
    cosine = (np.trace(first[:3, :3].T @ second[:3, :3]) - 1.0) / 2.0
    step_m = np.linalg.norm(second[:3, 3] - first[:3, 3])
    return bool(lens[0] == lens[1] and cosine > np.cos(np.radians(SMALL_TURN_DEG)) and step_m < SMALL_STEP_M)


def upright_inside(center: Float64, size: Float64, camera: CameraModel) -> NDArray[np.bool_]:
    """(K,) whether each box's middle lies in the image and its axis within 45 degrees of the image's vertical, head up."""
    return np.asarray(np.logical_and(*_in_image(center, size, camera)))


def _in_image(center: Float64, size: Float64, camera: CameraModel) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(K,) whether each box's middle lies in the image, and whether it stands upright there."""
    half = np.zeros_like(center)
    half[:, 2] = size[:, 2] / 2
    pixel, valid = project(np.concatenate([center - half, center, center + half]), camera)
    feet, middle, head = np.split(pixel, 3)
    seen = np.logical_and.reduce(np.split(valid, 3))
    inside = (middle >= 0).all(1) & (middle[:, 0] < camera.width) & (middle[:, 1] < camera.height)
    rise, lean = feet[:, 1] - head[:, 1], np.abs(feet[:, 0] - head[:, 0])
    return np.asarray(seen & inside), np.asarray(rise > lean)


def share_in_image(points: Float32, camera: CameraModel) -> float:
    """Which fraction of the points (N, 3) projects into the image, 0..1."""
    if len(points) == 0:
        return 0.0
    pixel, valid = project(points, camera)
    return float((valid & (pixel >= 0).all(1) & (pixel < (camera.width, camera.height)).all(1)).mean())
