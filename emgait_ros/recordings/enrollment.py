"""Enrolling somebody from a recording: which tracks are in it, and one of them put into the gallery."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from emgait_ros.config import TrackerNodeConfig
from emgait_ros.gallery.history import UndoStep
from emgait_ros.recognition.enrollments_over_time import LONGEST_S, EnrollmentNews, EnrollmentState
from emgait_ros.recognition.recognizer import GaitRecognizer
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.samples import PedestrianFrame
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing

LEAVES_S = 1.0  # after the last frame: whoever is still in view has left by then
Progress = Callable[[float], None]


@dataclass
class BagTrack:
    """A track of a recording.

    Attributes:
        track_id: number.
        first_s, last_s: from the beginning of the bag.
        walking: frames in which it walks and has LiDAR returns: what can be enrolled.
        points: median LiDAR returns of those. ranges_m: nearest and farthest of them.
    """

    track_id: int
    first_s: float
    last_s: float
    walking: int
    points: float
    ranges_m: tuple[float, float]

    def __str__(self) -> str:
        near, far = self.ranges_m
        return (
            f"{self.track_id} ({self.first_s:.1f}-{self.last_s:.1f} s, {self.walking} walking samples at {near:.0f}-{far:.0f} m, "
            f"{self.points:.0f} points)"
        )


def walking_tracks(
    bag: BagRecording, config: TrackerNodeConfig, min_samples: int, progress: Progress = lambda seconds: None
) -> list[BagTrack]:
    """Tracks of a bag that walk long enough to be enrolled, in order of appearance.

    Args:
        bag: opened recording; of one that starts over, the first time through.
        config: of the pedestrian_tracker node.
        min_samples: walking samples it takes.
        progress: called with the seconds done.
    """
    seen: dict[int, list[tuple[float, int, float]]] = {}
    for at_s, frame in _frames(bag, config):
        for pedestrian in frame.pedestrians:
            if pedestrian.moving and pedestrian.point_count > 0 and not pedestrian.group:
                seen.setdefault(pedestrian.track_id, []).append((at_s, pedestrian.point_count, pedestrian.range_m))
        progress(at_s)
    found = []
    for track, rows in seen.items():
        if len(rows) >= min_samples:
            times, points, ranges = (np.array(column) for column in zip(*rows, strict=True))
            reach = (float(ranges.min()), float(ranges.max()))
            found.append(BagTrack(track, float(times[0]), float(times[-1]), len(rows), float(np.median(points)), reach))
    return sorted(found, key=lambda track: track.first_s)


def chosen_track(tracks: list[BagTrack], wanted: int | None) -> BagTrack:
    """The one that is meant.

    Raises:
        ValueError: none, several or another; the sentence lists them.
    """
    if not tracks:
        raise ValueError(
            "nobody walks long enough in this bag: a track takes samples of one second of walking at least"
        )
    listed = "; ".join(str(track) for track in tracks)
    if wanted is None and len(tracks) > 1:
        raise ValueError(f"{len(tracks)} people walk in this bag, say whom with --track: {listed}")
    for track in tracks:
        if wanted is None or track.track_id == wanted:
            return track
    raise ValueError(f"there is no track {wanted} that walks long enough in this bag: {listed}")


def enroll_track(
    bag: BagRecording,
    config: TrackerNodeConfig,
    recognizer: GaitRecognizer,
    track_id: int,
    name: str,
    confirm: bool,
    progress: Progress = lambda seconds: None,
) -> list[EnrollmentNews]:
    """Put one track of a bag into the recognizer's gallery, all of its walk, as one step of undoing.

    Returns:
        What was stored and what was refused, in order.

    Raises:
        ValueError: the name is not allowed, or the track is not in the bag.
    """
    news: list[EnrollmentNews] = []
    step = UndoStep()
    last: PedestrianFrame | None = None
    for at_s, whole in _frames(bag, config):
        mine = tuple(pedestrian for pedestrian in whole.pedestrians if pedestrian.track_id == track_id)
        frame = last = dataclasses.replace(whole, pedestrians=mine)
        recognizer.process(frame)
        if mine and not mine[0].group and (frame.tracker_id, track_id) not in recognizer.pending_enrollments:
            begun = recognizer.enroll_over(name, track_id, LONGEST_S, confirm, step=step)
            if not begun.success:
                raise ValueError(begun.message)
        news += recognizer.enrollment_news(wait=True)
        progress(at_s)
    if last is not None:
        later = last.stamp_ns + int(LEAVES_S * 1e9)
        recognizer.process(dataclasses.replace(last, stamp_ns=later, pedestrians=()))
        news += recognizer.enrollment_news(wait=True)
    return [item for item in news if item.state in (EnrollmentState.STORED, EnrollmentState.REFUSED)]


def _frames(bag: BagRecording, config: TrackerNodeConfig) -> Iterator[tuple[float, PedestrianFrame]]:
    """Seconds from the beginning, and who is in view; the same every time."""
    sensing = PedestrianSensing(config, "offline")
    newest_ns = -1
    for frame in bag.sensor_frames(config):
        if frame.stamp_ns <= newest_ns:
            return
        newest_ns = frame.stamp_ns
        yield (frame.stamp_ns - bag.begin_ns) * 1e-9, sensing.process(frame, bag.lidar_frame_id)
