"""One track's newest samples, what was made of them, and how often one is taken."""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emgait_ros.config import WindowConfig
from emgait_ros.inference.steady_box import FRAMES
from emgait_ros.recognition.decision import TrackState, Weakness
from emgait_ros.samples import Float32, Modality, Sample

EARLY = 0.4
"""Part of ``window.min_step_s`` by which a sample may come too early, when those before were not: stamps jitter."""


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
        bare: the sample without its picture, in which an enrolment looks for legs that swing.
        pedestrian: the sample itself, where samples of enrolled walks are to be saved.
    """

    features: Any
    modalities: Modality
    range_m: float
    point_count: int = 0
    brightness: float = float("nan")
    position: tuple[float, float] = (float("nan"), float("nan"))
    bare: Sample | None = None
    pedestrian: Sample | None = None


@dataclass(eq=False)
class TrackWindow:
    """The newest samples of one track and what was made of them.

    Attributes:
        tracker_id, track_id: of the track.
        samples: oldest first, at most ``max_samples``.
        heights: of the newest samples, for the box (``inference.steady_box``).
        seen_ns: stamp of the last frame the track was in, by its tracker's clock.
        seen_frame: number of that frame among those of all trackers, as they came.
        observed_ns: stamp of the last frame with LiDAR returns on it; 0 before the first.
        step_ns: ``window.min_step_s``, ns.
        due_ns: stamp from which on the next sample is on time; None before the first.
        last_left_out: why the last sample was left out; empty when it was not.
        embedding: (parts, d) float32 of the samples now; None until there are enough.
        fresh: the embedding is of this frame.
        taken: samples ever put in.
        restarts: how often the window started over: what followed may be somebody else.
        decided_ns: stamp of the last frame something was decided in; 0 before the first.
        group: in the last frame the track was a group of people who cannot be distinguished.
        gone: no longer kept.
        state: what was decided from its windows.
    """

    tracker_id: str
    track_id: int
    samples: deque[WindowSample]
    heights: deque[float] = field(default_factory=lambda: deque(maxlen=FRAMES))
    seen_ns: int = 0
    seen_frame: int = 0
    observed_ns: int = 0
    step_ns: int = 0
    due_ns: int | None = None
    last_left_out: str = ""
    embedding: Float32 | None = None
    fresh: bool = False
    taken: int = 0
    restarts: int = 0
    decided_ns: int = 0
    group: bool = False
    gone: bool = False
    state: TrackState = field(default_factory=TrackState)

    def add(self, features: Any, pedestrian: Sample, keep: bool, sensors: Modality = Modality.BOTH) -> None:
        """Put an encoded sample in; ``keep`` the sample itself too. ``sensors`` are those that the model looks at."""
        modalities, brightness = Modality.POINTS & sensors, float("nan")
        if pedestrian.crop is not None and Modality.IMAGE in sensors:
            modalities, brightness = sensors, float(pedestrian.crop[::8, ::8].mean())
        place = (float(pedestrian.center[0]), float(pedestrian.center[1]))
        facts = pedestrian.range_m, int(pedestrian.point_count), brightness, place
        bare = dataclasses.replace(pedestrian, crop=None, silhouette=None)
        self.samples.append(WindowSample(features, modalities, *facts, bare, pedestrian if keep else None))
        self.taken += 1
        self.due_ns = max(self.seen_ns, self.due_ns or 0) + self.step_ns

    def too_soon(self, stamp_ns: int, with_crop: bool) -> bool:
        """Whether a sample of this stamp would be one too many; never one with a crop after one without."""
        if self.due_ns is None or (with_crop and Modality.IMAGE not in self.samples[-1].modalities):
            return False
        return stamp_ns < self.due_ns - EARLY * self.step_ns

    def modalities(self, needed: int) -> Modality:
        """Sensors with at least ``needed`` samples in the window."""
        found = Modality.NONE
        for sensor in (Modality.IMAGE, Modality.POINTS):
            if self.samples and sum(sensor in sample.modalities for sample in self.samples) >= needed:
                found |= sensor
        return found

    def weakness(self, config: WindowConfig) -> Weakness:
        """Why the window is weak evidence of an identity, if it is. (A single sensor has its own limit.)"""
        counts = [sample.point_count for sample in self.samples if sample.modalities != Modality.IMAGE]
        returns = float(np.median(counts)) if counts else float("inf") if self.samples else 0.0
        light = [sample.brightness for sample in self.samples if np.isfinite(sample.brightness)]
        return Weakness(
            few_returns=returns if returns < config.weak_points else None,
            dark=bool(light) and float(np.median(light)) < config.weak_brightness,
        )

    def clear(self) -> None:
        """Start over: what follows may be somebody else."""
        self.samples.clear()
        self.heights.clear()
        self.due_ns = None
        self.restarts += 1
        self.last_left_out = ""
        self.embedding, self.fresh, self.decided_ns = None, False, 0
        self.state.reset()
