"""Which samples of which track make a window: what is kept, what is left out and why, when a window starts anew."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emgait_ros.config import WindowConfig
from emgait_ros.gallery.decision import TrackState
from emgait_ros.samples import Float32, Modality, Pedestrian, PedestrianFrame, UInt8

_LISTED = 10  # tracks named in a message at most


class TrackChoiceError(ValueError):
    """No single track is meant; ``tracks`` are those in view."""

    def __init__(self, message: str, tracks: tuple[int, ...]) -> None:
        super().__init__(message)
        self.tracks = tracks


@dataclass(frozen=True)
class WindowSample:
    """One encoded sample: its per-frame features (as the encoder gave them) and what is known of it.

    Attributes:
        features: of the encoder.
        modalities: sensors.
        range_m: m, horizontal distance.
        point_count: LiDAR returns before resampling.
        brightness: mean of the crop, 0..255; NaN without one.
        position: (2,) m, horizontal place in the LiDAR frame.
        pedestrian: the sample itself, where samples of enrolled walks are to be saved.
    """

    features: Any
    modalities: Modality
    range_m: float
    point_count: int = 0
    brightness: float = float("nan")
    position: tuple[float, float] = (float("nan"), float("nan"))
    pedestrian: Pedestrian | None = None


@dataclass
class TrackWindow:
    """The newest samples of one track and what was made of them.

    Attributes:
        tracker_id, track_id: whose.
        samples: oldest first, at most ``max_samples``.
        seen_ns: stamp of the last frame the track was in.
        observed_ns: stamp of the last frame with LiDAR returns on it; 0 before the first.
        last_left_out: why the last sample was left out; empty when it was not.
        embedding: (parts, d) float32 of the samples now; None until there are enough.
        fresh: the embedding is of this frame.
        taken: samples ever put in.
        restarts: how often the window started anew: what followed may be somebody else.
        decided_ns: stamp of the last frame something was decided in; 0 before the first.
        state: what its windows have settled about who it is.
    """

    tracker_id: str
    track_id: int
    samples: deque[WindowSample]
    seen_ns: int = 0
    observed_ns: int = 0
    last_left_out: str = ""
    embedding: Float32 | None = None
    fresh: bool = False
    taken: int = 0
    restarts: int = 0
    decided_ns: int = 0
    state: TrackState = field(default_factory=TrackState)

    def modalities(self, needed: int) -> Modality:
        """Sensors with at least ``needed`` samples in the window."""
        found = Modality.NONE
        for sensor in (Modality.IMAGE, Modality.POINTS):
            if self.samples and sum(sensor in sample.modalities for sample in self.samples) >= needed:
                found |= sensor
        return found

    def weakness(self, config: WindowConfig) -> str:
        """Why the window says little about who it is; empty when it does not. (One sensor alone has a limit of its own.)"""
        found = []
        returns = float(np.median([sample.point_count for sample in self.samples])) if self.samples else 0.0
        if returns < config.weak_points:
            found.append(f"{returns:.0f} LiDAR returns a sample")
        light = [sample.brightness for sample in self.samples if np.isfinite(sample.brightness)]
        if light and float(np.median(light)) < config.weak_brightness:
            found.append("dark images")
        return ", ".join(found)

    def why_left_out(self) -> str:
        """Why the last sample was left out, as an addition to a sentence; empty when it was not."""
        return f" ({self.last_left_out})" if self.last_left_out else ""

    def clear(self) -> None:
        """Start anew: what follows may be somebody else."""
        self.samples.clear()
        self.restarts += 1
        self.last_left_out = ""
        self.embedding, self.fresh, self.decided_ns = None, False, 0
        self.state.reset()


class TrackWindows:
    """The windows of all tracks, of any number of trackers.

    Args:
        config: which samples count and how many are kept.
    """

    def __init__(self, config: WindowConfig) -> None:
        self._config = config
        self._windows: dict[tuple[str, int], TrackWindow] = {}
        self._newest_ns: dict[str, int] = {}
        self.left_out: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._windows)

    def clear(self) -> None:
        """Forget all tracks; the counters stay."""
        self._windows.clear()
        self._newest_ns.clear()

    def observe(self, frame: PedestrianFrame) -> list[tuple[TrackWindow, Pedestrian]]:
        """Note who is in view; returns the samples worth encoding, with the window each belongs to.

        A stamp before the tracker's last one (a bag starts over) forgets that tracker's tracks; the same stamp again
        brings no new samples.
        """
        newest = self._newest_ns.get(frame.tracker_id)
        if newest is not None and frame.stamp_ns < newest:
            self._windows = {key: window for key, window in self._windows.items() if key[0] != frame.tracker_id}
            self.left_out["time ran backwards"] += 1
        repeated = newest == frame.stamp_ns
        self._newest_ns[frame.tracker_id] = frame.stamp_ns
        self._drop_gone(frame.stamp_ns)
        usable: dict[int, tuple[TrackWindow, Pedestrian]] = {}
        for pedestrian in frame.pedestrians:
            self._follow_new_number(frame.tracker_id, pedestrian)
            window = self._window_of(frame, pedestrian)
            reason, sample = "its frame came twice", None
            if not repeated and pedestrian.track_id not in usable:
                reason, sample = self._usable_part(pedestrian)
            if sample is not None:
                usable[pedestrian.track_id] = (window, sample)
            else:
                self.left_out[reason] += 1
            window.last_left_out = reason
        self._drop_oldest()
        return list(usable.values())

    def get(self, tracker_id: str, track_id: int) -> TrackWindow | None:
        """The window of one track, if it is kept."""
        return self._windows.get((tracker_id, track_id))

    def in_view(self) -> list[TrackWindow]:
        """Tracks in the newest frame of their tracker, by track number."""
        found = [
            window for window in self._windows.values() if window.seen_ns == self._newest_ns.get(window.tracker_id)
        ]
        return sorted(found, key=lambda window: (window.track_id, window.tracker_id))

    def kept(self) -> list[TrackWindow]:
        """All tracks kept, those that left the view not long ago included, by track number."""
        return sorted(self._windows.values(), key=lambda window: (window.track_id, window.tracker_id))

    def to_enroll(self, track_id: int) -> TrackWindow:
        """The window meant by ``track_id`` (-1: the only pedestrian in view), long enough for an embedding.

        Raises:
            ValueError: unknown, ambiguous or too short; the sentence lists who is in view or says what to do.
        """
        window = self.chosen(track_id)
        needed = self._config.min_samples
        if len(window.samples) < needed:
            raise ValueError(
                f"track {window.track_id} has {len(window.samples)} of {needed} samples{window.why_left_out()}: let the person walk on and call again"
            )
        return window

    def chosen(self, track_id: int) -> TrackWindow:
        """The window meant by ``track_id`` (-1: the only pedestrian in view), however short.

        Raises:
            TrackChoiceError (a ValueError): unknown or ambiguous; the sentence lists who is in view.
        """
        in_view = self.in_view()
        if track_id < 0:
            if not in_view:
                raise ValueError("no pedestrian is in view: let one person walk past the sensors and call again")
            if len(in_view) > 1:
                raise TrackChoiceError(
                    f"{len(in_view)} pedestrians are in view, give the track_id of one of them: {self._listed(in_view)}",
                    tuple(window.track_id for window in in_view),
                )
            window = in_view[0]
        else:
            chosen = [window for window in self.kept() if window.track_id == track_id]
            chosen = [window for window in chosen if window in in_view] or chosen
            if not chosen:
                listed = f"in view are {self._listed(in_view)}" if in_view else "no pedestrian is in view"
                raise TrackChoiceError(
                    f"track {track_id} is unknown: {listed}", tuple(window.track_id for window in in_view)
                )
            if len(chosen) > 1:
                trackers = ", ".join(f"'{window.tracker_id}'" for window in chosen)
                raise ValueError(
                    f"track {track_id} exists at the trackers {trackers}: enrol while only one of them sees the person"
                )
            window = chosen[0]
        return window

    def _listed(self, windows: list[TrackWindow]) -> str:
        needed = self._config.min_samples
        texts = [
            f"{window.track_id} ({min(len(window.samples), needed)} of {needed} samples)"
            for window in windows[:_LISTED]
        ]
        return ", ".join(texts) + (f" and {len(windows) - _LISTED} more" if len(windows) > _LISTED else "")

    def _follow_new_number(self, tracker_id: str, pedestrian: Pedestrian) -> None:
        """A track that got its earlier number back keeps the window it has filled since."""
        previous = pedestrian.previous_track_id
        if previous is None:
            return
        window = self._windows.pop((tracker_id, previous), None)
        if window is not None:
            window.track_id = pedestrian.track_id
            self._windows[tracker_id, pedestrian.track_id] = window

    def _window_of(self, frame: PedestrianFrame, pedestrian: Pedestrian) -> TrackWindow:
        key = (frame.tracker_id, pedestrian.track_id)
        window = self._windows.get(key)
        if window is None:
            samples: deque[WindowSample] = deque(maxlen=self._config.max_samples)
            window = self._windows[key] = TrackWindow(*key, samples, observed_ns=frame.stamp_ns)
        window.seen_ns = frame.stamp_ns
        if pedestrian.points is not None:
            if frame.stamp_ns - window.observed_ns > self._config.max_gap_s * 1e9:
                window.clear()
                self.left_out["window cleared by a gap"] += 1
            window.observed_ns = frame.stamp_ns
        window.fresh = False
        return window

    def _usable_part(self, pedestrian: Pedestrian) -> tuple[str, Pedestrian | None]:
        """Why a sample is left out, or the sample, its crop taken away when that is too small to show anything."""
        config = self._config
        if pedestrian.points is None or len(pedestrian.points) == 0:
            return "no LiDAR returns", None
        if _broken(pedestrian):
            return "broken points", None
        if config.require_moving and not pedestrian.moving:
            return "standing still", None
        if pedestrian.point_count < config.min_points:
            return f"fewer than {config.min_points} LiDAR returns", None
        if pedestrian.occlusion > config.max_occlusion:
            return "hidden by something nearer", None
        if pedestrian.crop is not None and (problem := self._crop_problem(pedestrian, pedestrian.crop)):
            self.left_out[f"crop not used: {problem}"] += 1
            pedestrian = dataclasses.replace(pedestrian, crop=None)
        return "", pedestrian

    def _crop_problem(self, pedestrian: Pedestrian, crop: UInt8) -> str:
        """Why a crop shows too little; empty when it can be used."""
        config = self._config
        if crop.ndim != 3 or crop.shape[2] != 3 or crop.size == 0 or crop.dtype != np.uint8:
            return "no RGB picture"
        if pedestrian.crop_native_height_px < config.min_crop_height_px:
            return "too small"
        if 0.0 < pedestrian.sharpness < config.min_sharpness:
            return "blurred"
        if abs(pedestrian.image_dt_s) > config.max_image_dt_s:
            return "its image is of another moment"
        return ""

    def _drop_gone(self, now_ns: int) -> None:
        keep_ns = max(self._config.keep_s, self._config.max_gap_s) * 1e9
        self._windows = {
            key: window for key, window in self._windows.items() if abs(now_ns - window.seen_ns) <= keep_ns
        }
        self._newest_ns = {key: stamp for key, stamp in self._newest_ns.items() if abs(now_ns - stamp) <= keep_ns}

    def _drop_oldest(self) -> None:
        excess = len(self._windows) - self._config.max_tracks
        if excess > 0:
            oldest = sorted(self._windows, key=lambda key: self._windows[key].seen_ns)[:excess]
            self.left_out["more tracks than window.max_tracks"] += excess
            for key in oldest:
                del self._windows[key]


def _broken(pedestrian: Pedestrian) -> bool:
    points = pedestrian.points
    if points is None or points.ndim != 2 or points.shape[1] != 3:
        return True
    return not all(np.isfinite(values).all() for values in (points, pedestrian.center, pedestrian.size))
