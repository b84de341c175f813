"""The film and the picture strip of the demo: recorded images with the live nodes' answers drawn on them. No ROS."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.walks import RecordedWalk, Sighting
from emgait_ros.samples import CameraModel, Status, UInt8
from emgait_ros.sensing.perception.camera import box_rectangles
from emgait_ros.sensing.perception.overlay import write_label

COLORS = {Status.PENDING: (150, 150, 150), Status.UNKNOWN: (250, 170, 40), Status.KNOWN: (60, 220, 80)}  # RGB
SAME_FRAME_NS = 20_000_000
FILM_WIDTH = 800  # px; VP8 takes 20 ms a picture of that size
FILM_RATE_HZ = 10.0
LABEL_SCALE = 0.6  # of OpenCV's font
LABEL_SIZE = (150, 22)  # px a label takes at most
PANEL_SIZE = (260, 360)  # width, height of one picture of the strip, px


@dataclass(frozen=True)
class Panel:
    """One picture of the strip."""

    caption: str
    picture: UInt8


class Film:
    """A WebM (VP8) file written in a thread of its own, while the next picture is drawn; a context manager.

    WebM plays in every browser and on every desktop without further codecs. Nothing is written without a picture.

    Args:
        path: file to write.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: cv2.VideoWriter | None = None
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        if self._writer is not None:
            self._writer.release()

    def add(self, picture: UInt8) -> None:
        """Append one (H, W, 3) RGB picture; all of one film have the same shape."""
        size = FILM_WIDTH, round(picture.shape[0] * FILM_WIDTH / picture.shape[1])
        if self._writer is None:
            with _quiet_stderr():  # OpenCV's C code warns that VP8 has no tag in WebM, and writes it rightly
                self._writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter.fourcc(*"VP80"), FILM_RATE_HZ, size)
            if not self._writer.isOpened():
                raise OSError(f"{self._path} cannot be written: is the folder writable?")
        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(_append, self._writer, picture, size)


def _append(writer: cv2.VideoWriter, picture: UInt8, size: tuple[int, int]) -> None:
    writer.write(cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR))


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Nothing that is written to the process's standard error appears, from C code either."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@dataclass(frozen=True)
class Mark:
    """A box to draw: left, top, right, bottom in px, what is written at it, and its RGB colour."""

    rectangle: tuple[float, float, float, float]
    text: str
    color: tuple[int, int, int]


def marks_of(camera: CameraModel, sightings: Sequence[Sighting]) -> list[Mark]:
    """Box, name and range of each sighting the camera sees; colours by status."""
    if not sightings:
        return []
    centers, sizes = np.array([s.center for s in sightings]), np.array([s.size for s in sightings])
    rectangles, visible = box_rectangles(centers, sizes, camera)
    return [
        Mark(tuple(rectangle), f"{label(sighting)}  {sighting.range_m:.0f} m", COLORS[Status(sighting.status)])
        for sighting, rectangle, shown in zip(sightings, rectangles.tolist(), visible, strict=True)
        if shown
    ]


def draw_marks(picture: UInt8, marks: Sequence[Mark]) -> UInt8:
    """(H, W, 3) RGB copy with the marks on it."""
    picture = picture.copy()
    labels: list[tuple[int, int]] = []
    for mark in marks:
        left, top, right, bottom = (round(v) for v in mark.rectangle)
        cv2.rectangle(picture, (left, top), (right, bottom), mark.color, 2)
        write_label(picture, mark.text, _free_place(left, max(top - 8, 16), labels), mark.color, LABEL_SCALE)
    return picture


def _free_place(left: int, bottom: int, taken: list[tuple[int, int]]) -> tuple[int, int]:
    """Where a label can stand without covering another: moved up line by line; noted in ``taken``."""
    while any(abs(left - x) < LABEL_SIZE[0] and abs(bottom - y) < LABEL_SIZE[1] for x, y in taken):
        bottom -= LABEL_SIZE[1]
    taken.append((left, bottom))
    return left, bottom


def label(sighting: Sighting) -> str:
    """What is written at a box: the name, "unknown", or how far the window has filled."""
    if sighting.status == Status.KNOWN:
        return sighting.name
    return "unknown" if sighting.status == Status.UNKNOWN else "..."


def write_film(bag: Path, sightings: Sequence[Sighting], walks: Sequence[RecordedWalk], out: Path) -> list[Path]:
    """Write ``recognised.webm`` and ``strip.png`` into ``out``; returns what was written.

    Raises:
        OSError: the film cannot be written there. ValueError: the bag cannot be read.
    """
    by_stamp: dict[int, list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        by_stamp[sighting.stamp_ns].append(sighting)
    stamps = np.array(sorted(by_stamp), dtype=np.int64)
    moments = {id(walk): _best_moment(walk, sightings) for walk in walks}
    panels: dict[int, Panel] = {}
    film_path, strip_path = out / "recognised.webm", out / "strip.png"
    with BagRecording(bag) as recording, Film(film_path) as film:
        for frame in recording.sensor_frames():
            if frame.image is None or frame.camera is None:
                continue
            near = _nearest(stamps, frame.stamp_ns)
            seen = by_stamp[near] if near is not None else []
            marks = marks_of(frame.camera, seen)
            film.add(draw_marks(frame.image, marks))
            for walk in walks:
                moment = moments[id(walk)]
                if moment is not None and moment.stamp_ns == near:
                    panels[id(walk)] = Panel(_caption(walk), _panel(frame.image, frame.camera, moment, marks))
    strip = [panels[id(walk)] for walk in walks if id(walk) in panels]
    if not strip:
        return [film_path]
    cv2.imwrite(str(strip_path), cv2.cvtColor(_strip(strip), cv2.COLOR_RGB2BGR))
    return [film_path, strip_path]


def _best_moment(walk: RecordedWalk, sightings: Sequence[Sighting]) -> Sighting | None:
    """The sighting to show of a walk: the middle one of those with the highest status."""
    seen = [s for s in sightings if s.walker == walk.identity and walk.begin_ns <= s.stamp_ns <= walk.end_ns]
    order = (Status.KNOWN, Status.UNKNOWN, Status.PENDING) if walk.is_probe else (Status.PENDING, Status.UNKNOWN)
    for status in order:
        of_status = [s for s in seen if s.status == status]
        if of_status:
            return of_status[len(of_status) // 2]
    return None


def _caption(walk: RecordedWalk) -> str:
    if not walk.name:
        return "a stranger"
    return f"{walk.name}, {'second' if walk.is_probe else 'first'} walk"


def _nearest(stamps: np.ndarray, stamp_ns: int) -> int | None:
    if len(stamps) == 0:
        return None
    nearest = int(stamps[np.argmin(np.abs(stamps - stamp_ns))])
    return nearest if abs(nearest - stamp_ns) <= SAME_FRAME_NS else None


def _panel(picture: UInt8, camera: CameraModel, moment: Sighting, marks: Sequence[Mark]) -> UInt8:
    """The part of a picture around one box, scaled to the size of a panel, with its marks."""
    rectangle, _ = box_rectangles(np.array([moment.center]), np.array([moment.size]), camera)
    left, top, right, bottom = rectangle[0]
    width, height = PANEL_SIZE
    tall = max((bottom - top) * 1.9, 90.0)
    wide = tall * width / height
    middle = np.array([(left + right) / 2, (top + bottom) / 2 - tall * 0.06])
    source = np.array(
        [
            [middle[0] - wide / 2, middle[1] - tall / 2],
            [middle[0] + wide / 2, middle[1] - tall / 2],
            [middle[0] - wide / 2, middle[1] + tall / 2],
        ]
    )
    target = np.array([[0, 0], [width, 0], [0, height]], dtype=np.float32)
    warp = cv2.getAffineTransform(source.astype(np.float32), target)
    flags, border = cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
    part = np.asarray(cv2.warpAffine(picture, warp, PANEL_SIZE, flags=flags, borderMode=border), np.uint8)
    zoom, shift = warp[0, 0], np.tile(warp[:, 2], 2)
    moved = [replace(mark, rectangle=tuple(np.array(mark.rectangle) * zoom + shift)) for mark in marks]
    return draw_marks(part, [mark for mark in moved if mark.rectangle[2] > 0 and mark.rectangle[0] < width])


def _strip(panels: Sequence[Panel]) -> UInt8:
    width, height = PANEL_SIZE
    gap, foot = 6, 34
    strip = np.full((height + foot, len(panels) * (width + gap) - gap, 3), 255, np.uint8)
    for index, panel in enumerate(panels):
        left = index * (width + gap)
        strip[:height, left : left + width] = panel.picture
        cv2.putText(
            strip, panel.caption, (left + 4, height + 22), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (20, 20, 20), 1, cv2.LINE_AA
        )
    return strip
