"""Which samples of which track make a window: what is kept, what is left out and why, when a window starts over."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from emgait_ros.config import WindowConfig
from emgait_ros.recognition.track_window import TrackWindow, WindowSample
from emgait_ros.samples import Modality, PedestrianFrame, Sample, UInt8

GROUP = "a group of people who cannot be distinguished"
"""What a track with ``Pedestrian.group`` is; such tracks have no samples and get no name."""
TOO_MANY_TRACKS = "more tracks than window.max_tracks"
"""Why a track in view is not kept."""
TOO_SOON = "more often than window.min_step_s"
"""Why a sample of a fast LiDAR is not used; the track goes on."""
MOST_TRACKERS = 100
"""Trackers kept at most, those heard first go first: one that takes a new name for every frame must not fill the memory."""
BACKWARDS = "time ran backwards"
"""Why all tracks of a tracker start over."""


@dataclass
class _Head:
    """A tracker: ``newest_ns`` is the stamp of its last frame; ``others`` the stamps of the first frame of each other tracker
    since then. Clocks of different trackers are never compared."""

    newest_ns: int
    others: dict[str, int] = field(default_factory=dict)


class TrackWindows:
    """The windows of all tracks, of any number of trackers, whose clocks need not agree.

    Args:
        config: which samples count and how many are kept.
        sensors: which the model looks at: one that looks at images alone takes samples without LiDAR returns, and none without an image.

    Attributes:
        config: in use.
        left_out: how many samples were left out, by reason.
    """

    def __init__(self, config: WindowConfig, sensors: Modality = Modality.BOTH) -> None:
        self.config, self.sensors = config, sensors
        self._windows: dict[tuple[str, int], TrackWindow] = {}
        self._heads: dict[str, _Head] = {}
        self._frames = 0
        self.left_out: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def trackers(self) -> list[str]:
        """Trackers heard lately, sorted."""
        return sorted(self._heads)

    def reconfigure(self, config: WindowConfig) -> None:
        """Use other options from now on; samples that were taken stay, as far as the new length holds them."""
        self.config = config
        for window in self._windows.values():
            window.samples = deque(window.samples, maxlen=config.max_samples)
            if len(window.samples) < config.min_samples:
                window.embedding, window.fresh = None, False

    def clear(self) -> None:
        """Forget all tracks; the counters stay."""
        self._keep(lambda _: False)
        self._heads.clear()

    def observe(self, frame: PedestrianFrame) -> list[tuple[TrackWindow, Sample]]:
        """Note who is in view; returns the samples to encode, with the window each belongs to.

        A stamp before the tracker's last one (a bag starts over) forgets that tracker's tracks; the same stamp again
        brings no new samples.
        """
        head = self._heads.get(frame.tracker_id)
        if head is not None and frame.stamp_ns < head.newest_ns:
            self._keep(lambda window: window.tracker_id != frame.tracker_id)
            self.left_out[BACKWARDS] += 1
        repeated = head is not None and head.newest_ns == frame.stamp_ns
        self._heads[frame.tracker_id] = _Head(frame.stamp_ns)
        self._frames += 1
        self._drop_gone(frame)
        usable: dict[int, tuple[TrackWindow, Sample]] = {}
        for pedestrian in frame.pedestrians:
            self._follow_new_number(frame.tracker_id, pedestrian)
            window = self._window_of(frame, pedestrian)
            reason, sample = "its frame came twice", None
            if not repeated and pedestrian.track_id not in usable:
                reason, sample = self._usable_part(pedestrian)
            if sample is not None and window.too_soon(frame.stamp_ns, sample.crop is not None):
                self.left_out[TOO_SOON] += 1
                continue
            if sample is not None:
                usable[pedestrian.track_id] = (window, sample)
            else:
                self.left_out[reason] += 1
            window.last_left_out = reason
        self._drop_oldest()
        return [(window, sample) for window, sample in usable.values() if not window.gone]

    def skip(self, frame: PedestrianFrame, reason: str) -> None:
        """Note who is in view without taking samples: tracks go on, only this frame is missing in their windows."""
        self.left_out[reason] += len(self.observe(frame))

    def get(self, tracker_id: str, track_id: int) -> TrackWindow | None:
        """The window of one track, if it is kept."""
        return self._windows.get((tracker_id, track_id))

    def in_view(self) -> list[TrackWindow]:
        """Tracks in the newest frame of their tracker, by track number."""
        newest = {tracker: head.newest_ns for tracker, head in self._heads.items()}
        found = [window for window in self._windows.values() if window.seen_ns == newest.get(window.tracker_id)]
        return sorted(found, key=lambda window: (window.track_id, window.tracker_id))

    def kept(self) -> list[TrackWindow]:
        """All tracks kept, those that left the view not long ago included, by track number."""
        return sorted(self._windows.values(), key=lambda window: (window.track_id, window.tracker_id))

    def _follow_new_number(self, tracker_id: str, pedestrian: Sample) -> None:
        """A track that got its earlier number back keeps the window it has filled since."""
        previous = pedestrian.previous_track_id
        if previous is None:
            return
        window = self._windows.pop((tracker_id, previous), None)
        if window is not None:
            earlier = self._windows.get((tracker_id, pedestrian.track_id))
            if earlier is not None:
                earlier.gone = True
            window.track_id = pedestrian.track_id
            self._windows[tracker_id, pedestrian.track_id] = window

    def _window_of(self, frame: PedestrianFrame, pedestrian: Sample) -> TrackWindow:
        key = (frame.tracker_id, pedestrian.track_id)
        window = self._windows.get(key)
        if window is None:
            samples: deque[WindowSample] = deque(maxlen=self.config.max_samples)
            window = self._windows[key] = TrackWindow(*key, samples, observed_ns=frame.stamp_ns)
        window.seen_ns, window.seen_frame = frame.stamp_ns, self._frames
        window.step_ns = round(self.config.min_step_s * 1e9)
        if pedestrian.group and not window.group:
            window.clear()  # whoever the track is once they part
        window.group = pedestrian.group
        if (pedestrian.crop if self.sensors == Modality.IMAGE else pedestrian.points) is not None:
            if frame.stamp_ns - window.observed_ns > self.config.max_gap_s * 1e9:
                window.clear()
                self.left_out["window cleared by a gap"] += 1
            window.observed_ns = frame.stamp_ns
        window.fresh = False
        return window

    def _usable_part(self, pedestrian: Sample) -> tuple[str, Sample | None]:
        """Why a sample is left out, or the sample, its crop taken away when that is too small to show anything."""
        config = self.config
        if pedestrian.group:
            return GROUP, None
        by_lidar = self.sensors != Modality.IMAGE
        if by_lidar and (pedestrian.points is None or len(pedestrian.points) == 0):
            return "no LiDAR returns", None
        if _broken(pedestrian):
            if by_lidar:
                return "broken points", None
            pedestrian = dataclasses.replace(pedestrian, points=None)
        if config.require_moving and not pedestrian.moving:
            return "standing still", None
        if by_lidar and pedestrian.point_count < config.min_points:
            return f"fewer than {config.min_points} LiDAR returns", None
        if pedestrian.occlusion > config.max_occlusion:
            return "hidden by something nearer", None
        if pedestrian.crop is not None and (problem := self._crop_problem(pedestrian, pedestrian.crop)):
            self.left_out[f"crop not used: {problem}"] += 1
            pedestrian = dataclasses.replace(pedestrian, crop=None)
        if not by_lidar and pedestrian.crop is None:
            return "no image, and the model looks at nothing else", None
        return "", pedestrian

    def _crop_problem(self, pedestrian: Sample, crop: UInt8) -> str:
        """Why a crop shows too little; empty when it can be used."""
        config = self.config
        if crop.ndim != 3 or crop.shape[2] != 3 or crop.size == 0 or crop.dtype != np.uint8:
            return "no RGB picture"
        if pedestrian.crop_native_height_px < config.min_crop_height_px:
            return "too small"
        if 0.0 < pedestrian.sharpness < config.min_sharpness:
            return "blurred"
        if abs(pedestrian.image_dt_s) > config.max_image_dt_s:
            return "its image is of another moment"
        return ""

    def _drop_gone(self, frame: PedestrianFrame) -> None:
        """Tracks unseen for too long by their tracker's own clock, and trackers silent for too long by another's."""
        keep_ns = max(self.config.keep_s, self.config.max_gap_s) * 1e9
        for tracker, head in list(self._heads.items()):
            if tracker != frame.tracker_id:
                since_ns = head.others.setdefault(frame.tracker_id, frame.stamp_ns)
                if frame.stamp_ns < since_ns:  # that tracker's time ran backwards
                    head.others[frame.tracker_id] = frame.stamp_ns
                if frame.stamp_ns - since_ns > keep_ns or len(self._heads) > MOST_TRACKERS:
                    del self._heads[tracker]
        self._keep(
            lambda window: (
                window.tracker_id in self._heads
                and (window.tracker_id != frame.tracker_id or frame.stamp_ns - window.seen_ns <= keep_ns)
            )
        )

    def _keep(self, wanted: Callable[[TrackWindow], bool]) -> None:
        for key, window in list(self._windows.items()):
            if not wanted(window):
                window.gone = True
                del self._windows[key]

    def _drop_oldest(self) -> None:
        excess = len(self._windows) - self.config.max_tracks
        if excess > 0:
            newest_first = reversed(self._windows.values())  # a newcomer goes, not who has been in view for longer
            dropped = set(sorted(newest_first, key=lambda window: window.seen_frame)[:excess])
            self.left_out[TOO_MANY_TRACKS] += excess
            self._keep(lambda window: window not in dropped)


def _broken(pedestrian: Sample) -> bool:
    points = pedestrian.points
    if points is None or points.ndim != 2 or points.shape[1] != 3:
        return True
    return not all(np.isfinite(values).all() for values in (points, pedestrian.center, pedestrian.size))


def window_for(window: WindowConfig, min_frames: int, max_frames: int, model: str) -> WindowConfig:
    """The window options within what a model takes, which is ``min_frames`` to ``max_frames`` samples.

    Raises:
        ValueError: no window length satisfies both; the sentence names the options and the ``model``.
    """
    if window.min_samples > window.max_samples:
        raise ValueError(
            f"window.min_samples is {window.min_samples}: it cannot be more than window.max_samples, {window.max_samples}"
        )
    low, high = max(window.min_samples, min_frames), min(window.max_samples, max_frames)
    if low > high:
        raise ValueError(
            f"window.min_samples to max_samples is {window.min_samples} to {window.max_samples}, "
            f"but {model} takes windows of {min_frames} to {max_frames} samples"
        )
    return dataclasses.replace(window, min_samples=low, max_samples=high)
