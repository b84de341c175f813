"""People on a street of made-up bodies, and an encoder whose distances can be computed by hand."""

from types import SimpleNamespace

import numpy as np

from emgait_ros.config import RecognitionConfig, with_options
from emgait_ros.inference.preprocessing import Preprocessing, prepare
from emgait_ros.samples import Modality, PedestrianFrame, Sample

STEP_NS = 100_000_000
CONFIG = with_options(RecognitionConfig(), {"decision.threshold": 0.12, "decision.min_margin": 0.02})


class BuildEncoder:
    """An encoder whose distances can be reckoned: an embedding is the spread and the extent of the points, 2 x 3."""

    def __init__(self, fingerprint="f" * 64, threshold=None, min_margin=None, frames=(1, 30), sensors=Modality.BOTH):
        self.fingerprint, self.sensors = fingerprint, sensors
        self.bundle = SimpleNamespace(
            threshold=threshold,
            min_margin=min_margin,
            preprocessing=Preprocessing(),
            min_frames=frames[0],
            max_frames=frames[1],
            folder="/models/build",
        )
        self.batches, self.window_batches = [], []

    def prepare(self, pedestrians):
        return prepare(pedestrians, self.bundle.preprocessing)

    def encode_frames(self, batch, previous=None):
        assert previous is None or len(previous) == len(batch)
        self.batches.append(len(batch))
        return np.concatenate([batch.points.std(axis=1), batch.points.max(axis=1)], axis=1)

    def embed(self, windows):
        lengths = [len(window) for window in windows]
        if not self.bundle.min_frames <= min(lengths) <= max(lengths) <= self.bundle.max_frames:
            raise ValueError(f"windows have {min(lengths)} to {max(lengths)} samples")
        self.window_batches.append(lengths)
        means = np.array([np.mean(window, axis=0) for window in windows], np.float32)
        return means.reshape(len(windows), 2, 3)


def body(person, random, count=128):
    """(count, 3) points on a person whose build follows from the number ``person``."""
    size = np.random.default_rng(person).uniform([0.3, 0.3, 1.4], [0.9, 0.9, 2.1])
    return (random.uniform(-0.5, 0.5, (count, 3)) * size).astype(np.float32)


def pedestrian(track_id=1, **changes):
    """Somebody who walks past, 10 m away, well seen by both sensors."""
    values = {
        "track_id": track_id, "center": np.array([10.0, 0.0, 0.9]), "size": np.array([0.6, 0.6, 1.8]), "velocity": np.array([0.0, 1.3, 0.0]),
        "moving": True, "range_m": 10.0, "score": 0.9, "point_count": 120, "points": np.ones((128, 3), np.float32),
        "crop": np.full((128, 64, 3), 90, np.uint8), "crop_native_height_px": 90.0,
    }  # fmt: skip
    return Sample(**{**values, **changes})


class Street:
    """People walking by: frames with noisy samples of the persons put on tracks."""

    def __init__(self, seed=0, tracker="street"):
        self.random, self.tracker, self.index = np.random.default_rng(seed), tracker, 0

    def frame(self, tracks, **changes):
        """The next frame, 0.1 s later; ``tracks`` maps track id to person."""
        self.index += 1
        pedestrians = tuple(self.pedestrian(track, person, **changes) for track, person in tracks.items())
        return PedestrianFrame(1_000_000_000 + self.index * STEP_NS, "lidar", self.tracker, pedestrians)

    def pedestrian(self, track, person, **changes):
        return pedestrian(track, **{"points": body(person, self.random), **changes})


def walk(recognizer, street, tracks, frames=30, **changes):
    """Results of the last of so many frames, by track."""
    for _ in range(frames):
        results = recognizer.process(street.frame(tracks, **changes))
    return {result.track_id: result for result in results}


def enroll_people(recognizer, names, seed=100):
    """Each walks past once, at a tracker of their own."""
    street = Street(seed, tracker="enrolment")
    for person, name in enumerate(names, 1):
        walk(recognizer, street, {person: person})
        assert recognizer.enroll(name, person).success
    recognizer.forget_tracks()


def both(recognizer, heads, tracks, frames):
    """Results of the last frame of both heads, by tracker and track."""
    for _ in range(frames):
        results = [result for head in heads for result in recognizer.process(head.frame(tracks))]
    return {(result.tracker_id, result.track_id): result for result in results}
