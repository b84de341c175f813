"""LReID (Guo et al., arXiv 2312.03033): real people who walk past four LiDARs, clouds of one person each, no camera.

Read as released (``bbox_train/ID/IDCxTxxxxFxxx.bin``, ``bbox_test`` likewise, lists in ``info/``), or from ``train.npz``, one
file with the passes of the people to train on: ``id``, ``cam``, ``frames`` of each pass, ``points`` and ``centre`` (m) of
each frame, ``xyz_mm`` about that centre. A pass is one person before one LiDAR. The release cuts the passes of
``bbox_train`` into tracklets of 30 frames that overlap by half, whose clouds are samples of the same returns: they are
put together again.

x and y of all LiDARs are of one frame, in which the place and the direction of a pass tell who it is: nobody walks the same
way twice, and all LiDARs see the same pass. So every pass is read in the axes of its own LiDAR, whose place is known
(``LIDAR_PLACES_M``). What is prepared of it holds the direction of sight from there, and neither place nor direction.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from emgait_ros.inference.preprocessing import Preprocessing
from emgait_ros.lab.datasets.recorded import Entry, RawSequence, RecordedSet, subfolders
from emgait_ros.samples import Float32, Int64

LIDARS = (1, 2, 3, 4)
PROBE_LIDAR = 4
WINDOW_FRAMES = 30
VALIDATION_IDS = range(262, 322)  # of bbox_train: nobody trains on them
PARTS = ("all", "validation", "test")
COMPACT = "train.npz"
ARRAYS = ("id", "cam", "frames", "points", "centre", "xyz_mm")
STEP_FRAMES = 15  # between the tracklets of one pass
RETURN_BYTES = 16  # float32 x, y, z, intensity
LIDAR_PLACES_M = {1: (0.4, -0.1), 2: (23.6, 0.5), 3: (27.8, 9.7), 4: (2.0, 8.2)}
"""x and y of the LiDARs in the frame that they share, to about a metre: the release does not say them. Found from the side of
people that each sees: a network trained on simulated passes estimates the direction of sight from 2 s of a walk (median error 9
degrees), and the place is where some 600 such directions of a LiDAR meet."""
FILE_NAME = re.compile(r"(\d+)C(\d)T(\d+)F(\d+)\.bin")


@dataclass(frozen=True)
class Pass(Entry):
    """One person before one LiDAR.

    Attributes:
        lidar: 1 to 4.
        part: "train" or "test".
        frames: how many.
        first: number of the first frame, in ``train.npz``.
        files: for each frame its files, whose returns belong together; empty in ``train.npz``.
        probe: it is asked who this is.
    """

    lidar: int = 0
    part: str = "train"
    frames: int = 0
    first: int = 0
    files: tuple[tuple[Path, ...], ...] = ()
    probe: bool = False

    def middle(self, frames: int) -> Pass:
        """The middle ``frames`` of it."""
        skipped = (self.frames - frames) // 2
        files = self.files[skipped : skipped + frames]
        return dataclasses.replace(self, first=self.first + skipped, frames=frames, files=files)


class LReid(RecordedSet):
    """LReID (``recorded.RecordedSet``): every pass is a sequence; kinds are "LiDAR 1" to "LiDAR 4".

    Args:
        part: "" for all passes. One of ``PARTS`` for a comparison of LiDARs, in windows of 30 frames: "all" people of
            ``bbox_train``, its 60 people for "validation" (in both: probes LiDAR 4, gallery LiDARs 1 to 3, the middle of the
            longest pass of each person before each LiDAR), or the official "test" (``info/query_IDX.txt``).
        root, preprocessing, identities: as for every recorded set.

    Raises:
        ValueError: nobody can be compared; the sentence says what is missing.

    Attributes:
        is_probe: (S,) bool, of a comparison.
        part: as given.
    """

    name = "LReID"
    layout = f"{COMPACT}, or bbox_train/0100/0100C1T0000F000.bin"
    has_images = False

    def __init__(
        self, root: str | Path, preprocessing: Preprocessing, identities: Iterable[str] | None = None, part: str = ""
    ) -> None:
        if part not in ("", *PARTS):
            raise ValueError(f"part is '{part}': expected {', '.join(PARTS)}")
        self.part = part
        self._arrays: dict[str, NDArray] | None = None
        super().__init__(root, preprocessing, identities)
        self.is_probe = np.array([entry.probe for entry in self.entries if isinstance(entry, Pass)], bool)

    def scan(self, root: Path) -> Iterator[Entry]:
        """Every pass of the folder; with a part, the windows that are compared."""
        if not getattr(self, "part", ""):
            yield from passes(root)
        elif self.part == "test":
            yield from official_test(root)
        else:
            found = list(other_lidar_windows(root, None if self.part == "all" else VALIDATION_IDS))
            if not found and next(passes(root), None):
                raise ValueError(
                    f"{root}: nobody was before LiDAR {PROBE_LIDAR} and before another for {WINDOW_FRAMES} frames, there is nothing to compare"
                )
            yield from found

    def clouds(self, entry: Entry) -> list[Float32]:
        """Clouds (N, 3) of one of the ``entries`` in m, x and y in the frame that all LiDARs share."""
        assert isinstance(entry, Pass)  # noqa: S101
        if entry.files:
            if () in entry.files:
                raise ValueError(f"{entry.path} lacks frame {entry.files.index(())} of {entry.frames}: copy it again")
            return [np.unique(np.concatenate([read_bin(path) for path in files]), axis=0) for files in entry.files]
        if self._arrays is None:
            self._arrays = read_compact(entry.path)
        arrays, rows = self._arrays, slice(entry.first, entry.first + entry.frames)
        ends, counts = arrays["end"][rows], arrays["points"][rows]
        return [
            arrays["xyz_mm"][end - count : end].astype(np.float32) / 1000 + centre
            for end, count, centre in zip(ends, counts, arrays["centre"][rows], strict=True)
        ]

    def read(self, entry: Entry) -> RawSequence:
        """One pass in the axes of its LiDAR; ValueError for a LiDAR whose place is not known."""
        assert isinstance(entry, Pass)  # noqa: S101
        if entry.lidar not in LIDAR_PLACES_M:
            raise ValueError(f"{entry.path} is of LiDAR {entry.lidar}: LReID has {LIDARS[0]} to {LIDARS[-1]}")
        place = np.array([*LIDAR_PLACES_M[entry.lidar], 0.0], np.float32)
        clouds = [cloud - place for cloud in self.clouds(entry)]
        return RawSequence(clouds, [None] * len(clouds))


def passes(root: Path) -> Iterator[Pass]:
    """Every pass of the folder: those of ``train.npz``, or those of both parts of the released tree.

    Raises:
        ValueError: ``train.npz`` is damaged.
    """
    if (root / COMPACT).is_file():
        arrays = read_compact(root / COMPACT, ("id", "cam", "frames", "points"))
        first = np.cumsum(arrays["frames"]) - arrays["frames"]
        for person, lidar, frames, start in zip(
            *(arrays[k].tolist() for k in ("id", "cam", "frames")), first, strict=True
        ):
            yield made(root / COMPACT, f"{person:04d}", lidar, frames=frames, first=int(start))
        return
    for part in ("train", "test"):
        folder = root / f"bbox_{part}"
        for person in subfolders(folder) if folder.is_dir() else ():
            yield from _passes_of(person, part)


def made(path: Path, identity: str, lidar: int, **facts: Any) -> Pass:
    """A pass; views are no views here: all of the gallery competes."""
    return Pass(path, identity, f"LiDAR {lidar}", "any", lidar=lidar, **facts)


def _passes_of(folder: Path, part: str) -> Iterator[Pass]:
    """The passes of one person: tracklets of one LiDAR that share returns are put together."""
    tracklets: dict[tuple[int, int], dict[int, Path]] = {}
    for path in sorted(folder.glob("*.bin")):
        if named := FILE_NAME.fullmatch(path.name):
            _, lidar, tracklet, frame = (int(number) for number in named.groups())
            tracklets.setdefault((lidar, tracklet), {})[frame] = path
    whole: list[Pass] = []
    for (lidar, tracklet), files in sorted(tracklets.items()):
        frames: list[tuple[Path, ...]] = [
            (files[number],) if number in files else () for number in range(max(files) + 1)
        ]
        last = whole[-1] if whole and whole[-1].lidar == lidar and part == "train" else None
        if last and len(last.files) >= STEP_FRAMES and _shared(last.files[-STEP_FRAMES], frames[0]):
            before, both = last.files[:-STEP_FRAMES], last.files[-STEP_FRAMES:]
            joined = [one + other for one, other in zip(both, frames[:STEP_FRAMES], strict=False)]
            frames = [*before, *joined, *both[len(joined) :], *frames[STEP_FRAMES:]]
            whole[-1] = dataclasses.replace(last, frames=len(frames), files=tuple(frames))
        else:
            path = folder / f"{folder.name}C{lidar}T{tracklet:04d}"
            whole.append(made(path, folder.name, lidar, part=part, frames=len(frames), files=tuple(frames)))
    yield from whole


def _shared(one: tuple[Path, ...], other: tuple[Path, ...]) -> bool:
    """Whether the files of two frames hold a return in common; one that cannot be read does not."""
    try:
        found = [{tuple(point) for path in files for point in read_bin(path).tolist()} for files in (one, other)]
        return not found[0].isdisjoint(found[1])
    except ValueError:
        return False


def other_lidar_windows(root: Path, people: range | None) -> Iterator[Pass]:
    """The middle 30 frames of the longest pass of each person of ``bbox_train`` before each LiDAR.

    Left out is who was not before LiDAR 4, or before no other, for 30 frames.

    Args:
        root: of the data set.
        people: numbers of those to keep; None: all.
    """
    longest: dict[tuple[str, int], Pass] = {}
    for one in passes(root):
        key = one.identity, one.lidar
        wanted = one.part == "train" and one.frames >= WINDOW_FRAMES and (people is None or int(one.identity) in people)
        if wanted and (key not in longest or one.frames > longest[key].frames):
            longest[key] = one
    asked = {person for person, lidar in longest if lidar == PROBE_LIDAR}
    asked &= {person for person, lidar in longest if lidar != PROBE_LIDAR}
    for (person, lidar), one in sorted(longest.items()):
        if person in asked:
            yield dataclasses.replace(one.middle(WINDOW_FRAMES), probe=lidar == PROBE_LIDAR)


def official_test(root: Path) -> Iterator[Pass]:
    """The tracks of ``bbox_test`` as ``info/`` lists them: the query's are probes, all others the gallery.

    Raises:
        FileNotFoundError, ValueError: a list is missing, damaged, or of other files.
    """
    names = _lines(root / "info" / "test_name.txt")
    tracks = _numbers(root / "info" / "tracks_test_info.txt", 4)
    query = set(_numbers(root / "info" / "query_IDX.txt", 1)[:, 0].tolist())
    for row, (first, last, person, lidar) in enumerate(tracks.tolist()):
        listed = names[first : last + 1]
        if not listed or len(listed) != last + 1 - first:
            raise ValueError(
                f"{root / 'info' / 'tracks_test_info.txt'}: track {row} is files {first} to {last} of {len(names)} in test_name.txt"
            )
        folder = root / "bbox_test" / f"{person:04d}"
        files = tuple((folder / Path(name).name,) for name in listed[:WINDOW_FRAMES])
        path = folder / f"track {row}"
        yield made(path, folder.name, lidar, part="test", frames=len(files), files=files, probe=row in query)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the official test of LReID is what the lists in info/ say")
    return path.read_text(encoding="utf-8").split()


def _numbers(path: Path, columns: int) -> Int64:
    """(N, columns) whole numbers of a text file."""
    try:
        numbers = np.array([int(word) for word in _lines(path)], np.int64)
        return numbers.reshape(-1, columns)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): expected lines of {columns} whole numbers") from error


def read_bin(path: Path) -> Float32:
    """(N, 3) returns of one released file.

    Raises:
        FileNotFoundError, ValueError: it is missing, cut or empty.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: a listed frame of LReID")
    content = path.read_bytes()
    if not content or len(content) % RETURN_BYTES:
        raise ValueError(
            f"{path} has {len(content)} bytes: expected a multiple of {RETURN_BYTES} (float32 x, y, z, intensity); it is cut, copy it again"
        )
    points = np.frombuffer(content, "<f4").reshape(-1, RETURN_BYTES // 4)[:, :3]
    return np.ascontiguousarray(points[np.isfinite(points).all(axis=1)], np.float32)


def read_compact(path: Path, wanted: tuple[str, ...] = ARRAYS) -> dict[str, NDArray]:
    """Arrays of ``train.npz`` by name, and ``end`` (F,): where each frame's returns end.

    Raises:
        ValueError: it is damaged; the sentence says what does not fit.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in wanted}
        counts = {len(arrays[name]) for name in ("id", "cam", "frames")}
        frames, end = int(arrays["frames"].sum()), np.cumsum(arrays["points"], dtype=np.int64)
        if len(counts) != 1 or not len(end) or len(end) != frames or (arrays["frames"] < 1).any():
            raise ValueError(f"its passes have {frames} frames, it holds {len(end)}")
        if "xyz_mm" in arrays and (len(arrays["xyz_mm"]) != end[-1] or len(arrays["centre"]) != frames):
            raise ValueError(f"its frames have {end[-1]} returns, it holds {len(arrays['xyz_mm'])}")
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise ValueError(
            f"{path} is damaged ({error}): expected the arrays {', '.join(ARRAYS)}; copy it again"
        ) from error
    return {**arrays, "end": end}
