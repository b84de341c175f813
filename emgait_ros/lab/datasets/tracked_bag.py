"""A bag as a data set: everybody the live tracker followed in it is a sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emgait_ros.config import TrackerNodeConfig
from emgait_ros.inference.preprocessing import Preprocessing, prepare
from emgait_ros.inference.steady_box import steadied
from emgait_ros.lab.datasets.sequences import Sequence, frames_of
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.walks import matched_walkers, places_of, truth_at
from emgait_ros.samples import Sample
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing

LEAST_FRAMES = 10  # a second: shorter tracks are mostly false


class BagSequences:
    """The tracks of a bag, read when the object is made (``sequences.SequenceSource``).

    Args:
        path: folder of the bag, or one of its files.
        preprocessing: what the network takes.
        config: topics, extrinsics and options of the tracker; default: those of the live node.
        on_progress: told how many seconds of how many are done.

    Raises:
        FileNotFoundError, ValueError: no bag, or its topics do not fit.
        ValueError: nobody is followed for a second.

    Attributes:
        identity: (S,) who it was by the bag's ground truth, or the number of the track where there is none (``has_truth``).
        walk: (S,) how many tracks of that person came before.
        view_deg, range_m: (S,) medians over the track. condition: (S,) "normal".
        problems: sentence -> how often, of messages that could not be used.
    """

    def __init__(
        self,
        path: str | Path,
        preprocessing: Preprocessing,
        config: TrackerNodeConfig | None = None,
        on_progress: Callable[[float, float], None] = lambda done, total: None,
    ) -> None:
        self.preprocessing = preprocessing
        config = config or TrackerNodeConfig()
        tracks: dict[tuple[int, int], list[Sample]] = {}
        seen: list[tuple[int, list[tuple[int, int]], list[Sample]]] = []
        with BagRecording(path) as bag:
            sensing = PedestrianSensing(config)
            restart, last_ns = 0, -1
            for frame in bag.sensor_frames(config):
                if frame.stamp_ns <= last_ns:
                    sensing.reset()
                    restart += 1
                last_ns = frame.stamp_ns
                people = [
                    p
                    for p in sensing.process(frame, bag.lidar_frame_id).pedestrians
                    if p.point_count > 0 and not p.group
                ]
                keys = [(restart, p.track_id) for p in people]
                for key, pedestrian in zip(keys, people, strict=True):
                    tracks.setdefault(key, []).append(pedestrian)
                seen.append((frame.stamp_ns, keys, people))
                on_progress((frame.stamp_ns - bag.start_ns) * 1e-9, bag.duration_s)
            self.has_truth = bool(bag.ground_truth)
            votes: dict[tuple[int, int], Counter[int]] = {}
            for stamp_ns, keys, people in seen:
                walkers, _ = matched_walkers(
                    truth_at(bag.ground_truth, stamp_ns), places_of([p.center for p in people])
                )
                for key, walker in zip(keys, walkers, strict=True):
                    if walker is not None:
                        votes.setdefault(key, Counter())[walker] += 1
            self.problems = dict(bag.problems)
        wanted = [key for key, samples in tracks.items() if len(samples) >= LEAST_FRAMES]
        if self.has_truth:
            wanted = [key for key in wanted if votes.get(key)]
        if not wanted:
            raise ValueError(f"{path}: nobody is followed for {LEAST_FRAMES} frames, there is no sequence in this bag")
        self._samples = [tracks[key] for key in wanted]
        numbers = [votes[key].most_common(1)[0][0] if self.has_truth else i for i, key in enumerate(wanted)]
        self.identity = np.array(numbers, np.int64)
        self.walk = np.array([numbers[:i].count(number) for i, number in enumerate(numbers)], np.int64)
        self.range_m = np.array([np.median([p.range_m for p in s]) for s in self._samples], np.float32)
        self.view_deg = np.array([_view_deg(s) for s in self._samples], np.float32)
        self.condition = np.full(len(wanted), "normal")

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, sequence: int) -> Sequence:
        samples = self._samples[sequence]
        batch = prepare(steadied(samples), self.preprocessing)
        return Sequence(
            identity=int(self.identity[sequence]),
            walk=int(self.walk[sequence]),
            view_deg=float(self.view_deg[sequence]),
            range_m=float(self.range_m[sequence]),
            condition="normal",
            point_count=np.array([p.point_count for p in samples], np.int64),
            **frames_of(batch),
        )


def _view_deg(samples: list[Sample]) -> float:
    """Heading against the direction to the sensor, of the way from the first to the last sample, deg 0..360."""
    way = samples[-1].center[:2] - samples[0].center[:2]
    to_sensor = -np.mean([p.center[:2] for p in samples], axis=0)
    cross = to_sensor[0] * way[1] - to_sensor[1] * way[0]
    return float(np.degrees(np.arctan2(cross, to_sensor @ way)) % 360)
