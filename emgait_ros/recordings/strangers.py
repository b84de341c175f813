"""Strangers' walks from recordings, as the windows the recognizer made of them: what a threshold is calibrated with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emgait_ros.config import RecognitionConfig, SensingConfig, WindowConfig
from emgait_ros.pipeline import GaitPipeline
from emgait_ros.recognition.decision import Weakness
from emgait_ros.recognition.identity_results import IdentityResult, samples_to_count
from emgait_ros.recognition.replay import Replay, WalkWindows
from emgait_ros.recognition.track_window import TrackWindow
from emgait_ros.samples import Float32, Modality, PedestrianFrame, SensorFrame


@dataclass
class StrangerTrack:
    """One track: its windows, in pieces where a hole in the track made the recognizer begin again; ``ranges_m`` of all."""

    window: TrackWindow
    pieces: dict[int, list[tuple[Float32, Modality, Weakness, int]]] = field(default_factory=dict)
    ranges_m: tuple[float, float] = (np.inf, 0.0)

    def take(self, range_m: float, config: WindowConfig) -> None:
        """Note what the window is now, if it is new."""
        self.ranges_m = min(self.ranges_m[0], range_m), max(self.ranges_m[1], range_m)
        window = self.window
        if window.fresh and window.embedding is not None:
            sensors = window.modalities(samples_to_count(config))
            made = (window.embedding, sensors, window.weakness(config), window.taken)
            self.pieces.setdefault(window.restarts, []).append(made)

    def naming_threshold(self, against: Replay) -> float:
        """Threshold above which the track is given a name by the live decision; infinite: none is."""
        walks = []
        for piece in self.pieces.values():
            embedding, sensors, weak, samples = zip(*piece, strict=True)
            walks.append(WalkWindows(np.stack(embedding), sensors, weak, samples))
        return min((against.naming_threshold(walk) for walk in walks), default=np.inf)


class StrangersPipeline(GaitPipeline):
    """The pipeline, which also keeps the windows of every track; arguments as there."""

    def __init__(self, sensing: SensingConfig, recognition: RecognitionConfig) -> None:
        super().__init__(sensing, recognition)
        # By window object, which a track keeps when it gets another number; it is held, so that its id is not used again.
        self._seen: dict[int, StrangerTrack] = {}

    def tracks(self) -> list[StrangerTrack]:
        """Those with a window, in the order they came into view."""
        return [track for track in self._seen.values() if track.pieces]

    def process(self, frame: SensorFrame, frame_id: str) -> tuple[PedestrianFrame, list[IdentityResult]]:
        """As the pipeline does."""
        pedestrians, results = super().process(frame, frame_id)
        config = self.recognizer.windows.config
        for pedestrian in pedestrians.pedestrians:
            window = self.recognizer.windows.get(pedestrians.tracker_id, pedestrian.track_id)
            if window is not None:
                self._seen.setdefault(id(window), StrangerTrack(window)).take(pedestrian.range_m, config)
        return pedestrians, results
