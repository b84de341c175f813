"""Clouds of a moving sensor wait until TF knows where it was."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus

from emgait_ros.config import FramesConfig
from emgait_ros.nodes.diagnostics import OK, WARN, status
from emgait_ros.nodes.transforms import Transforms
from emgait_ros.sensing.boxes import Job

MOST = 40  # clouds held, each some MB, 2 s at 20 Hz: the oldest goes on without its transform
WAITS_KEPT = 100


class TransformQueue:
    """Hands clouds on in their order: each once its transform to ``frames.fixed`` is known, or after ``frames.wait_s``.

    As tf2's MessageFilter. Odometry from the LiDAR itself comes a whole scan later than the cloud it is of; of several clouds that
    one transform tells of, each waits until there is room for it. Everything is called in the thread that spins the node.

    Args:
        transforms: are told of; tells when it has heard more.
        frames: options now.
        submit: called with each cloud.
        has_room: whether a cloud that is submitted takes no other's place.
    """

    def __init__(
        self,
        transforms: Transforms,
        frames: Callable[[], FramesConfig],
        submit: Callable[[Job], None],
        has_room: Callable[[], bool],
    ) -> None:
        self._transforms, self._frames, self._submit, self._has_room = transforms, frames, submit, has_room
        self._held: deque[tuple[float, Job]] = deque()
        self._waits_s: deque[float] = deque(maxlen=WAITS_KEPT)
        self._in_vain: deque[bool] = deque(maxlen=WAITS_KEPT)
        transforms.heard = self._hand_on

    def add(self, job: Job) -> None:
        """Take a cloud; it goes on at once where nothing has to be waited for."""
        self._held.append((time.monotonic(), job))
        self._hand_on()

    def close(self) -> None:
        """Drop what waits."""
        self._transforms.heard = lambda: None
        self._held.clear()

    def status(self) -> DiagnosticStatus | None:
        """How long clouds wait; None for a LiDAR that stands still."""
        frames = self._frames()
        if not frames.fixed or not self._waits_s:
            return None
        median_s, in_vain = statistics.median(self._waits_s), sum(self._in_vain) / len(self._in_vain)
        values = {"wait_p50_ms": f"{median_s * 1e3:.0f}", "wait_max_ms": f"{max(self._waits_s) * 1e3:.0f}"}
        values |= {"in_vain": f"{in_vain:.2f}", "waiting": str(len(self._held))}
        text = f"clouds wait {median_s * 1e3:.0f} ms (median) for their transform to '{frames.fixed}'"
        if in_vain > 0.1:
            text += f", {in_vain:.0%} in vain: their odometry is more than frames.wait_s ({frames.wait_s:.1f} s) late, or has stopped"
        return status("transforms", WARN if in_vain > 0.1 else OK, text, values)

    def _hand_on(self) -> None:
        fixed, wait_s = self._frames().fixed, self._frames().wait_s
        while self._held:
            since_s, job = self._held[0]
            waited_s = time.monotonic() - since_s
            late = waited_s > wait_s or len(self._held) > MOST
            must_wait = self._must_wait(job, fixed)
            if not late and (must_wait or (fixed and len(self._held) > 1 and not self._has_room())):
                return
            self._held.popleft()
            if fixed:
                self._waits_s.append(waited_s)
                self._in_vain.append(must_wait)
            self._submit(job)

    def _must_wait(self, job: Job, fixed: str) -> bool:
        if not fixed:
            return False
        newest_ns = job.pair.cloud_stamp_ns + max(0, round(job.pair.image_dt_s * 1e9))
        return self._transforms.may_come(fixed, job.pair.cloud.header.frame_id, newest_ns)
