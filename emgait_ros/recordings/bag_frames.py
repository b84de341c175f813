"""Pairs of recorded messages become sensor frames, with the bag's own transforms, at the pace of its log times."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator

from emgait_ros.config import BoxesConfig, TrackerNodeConfig
from emgait_ros.recordings.rosbag import TRANSFORMS, BagMessage, Rosbag
from emgait_ros.recordings.serialized_header import frame_of, stamp_of
from emgait_ros.samples import SensorFrame
from emgait_ros.sensing.assembly import FrameAssembler
from emgait_ros.sensing.boxes import Job, box_pairing
from emgait_ros.sensing.conversions import Note, unnoted
from emgait_ros.sensing.frames import FrameTree, NotYetError
from emgait_ros.sensing.pairing import Pair, StampPairer

WAIT_NS = 10**9  # longer than live, where clouds would queue up: a recorder may write /tf late


def kind_of(sentence: str) -> str:
    """The same for sentences that differ in numbers only."""
    return re.sub(r"\d+", "#", sentence)


class Problems(Counter[str]):
    """Sentence -> how often; sentences that differ in numbers only count as the first of them."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, str] = {}

    def add(self, sentence: str) -> None:
        """Count a sentence."""
        self[self._first.setdefault(kind_of(sentence), sentence)] += 1


class BoxFinder:
    """Finds the boxes of each recorded cloud, as the pedestrian_tracker node does.

    Args:
        config: limits and waits.
        topic: of boxes; empty: clouds pass without.
    """

    def __init__(self, config: BoxesConfig, topic: str) -> None:
        self._config, self._topic = config, topic
        self._pairer = StampPairer(box_pairing(config), image_topic=topic, offline=True, image="a message")
        self.add_boxes = self._pairer.add_image

    def jobs(self, pairs: Iterable[Pair], now_ns: int, is_end: bool = False) -> Iterator[Job]:
        """The clouds that need not wait for boxes any longer; those nobody has looked at are left out.

        Args:
            pairs: clouds with their images, which come now.
            now_ns: log time.
            is_end: nothing more comes.
        """
        if not self._topic:
            yield from map(Job, pairs)
            return
        for pair in pairs:
            self._pairer.add_cloud(stamp_of(pair.cloud.raw), pair, now_ns)
        for found in self._pairer.flush(now_ns) if is_end else self._pairer.poll(now_ns):
            job = Job(found.cloud, found.image, found.image_dt_s, found.camera_silent)
            if not job.is_left_out(self._config):
                yield job


class BagFrames:
    """Does for a bag what the pedestrian_tracker node does live between pairing and sensing.

    Static transforms are known from the beginning, as a late subscriber gets them; moving ones from when they were recorded.

    Args:
        bag: opened.
        config: topics as they are in the bag, extrinsics and the fixed frame.
        problems: is filled.
        note: given a sentence on what is wrong in messages that can be used all the same.

    Attributes:
        topics: of the moving transforms.
        lidar_frame_id: of the newest frame made.

    Raises:
        ValueError: the fixed frame is set and the bag holds no transforms; configured extrinsics are no rigid transform.
    """

    def __init__(self, bag: Rosbag, config: TrackerNodeConfig, problems: Problems, note: Note = unnoted) -> None:
        self._bag, self._config, self._problems = bag, config, problems
        names = [topic.name for topic in bag.topics.values() if topic.type == TRANSFORMS]
        static = [name for name in names if name.rsplit("/", 1)[-1] == "tf_static"]
        self.topics = frozenset(name for name in names if name.rsplit("/", 1)[-1] == "tf")
        if config.frames.fixed and not self.topics and not static:
            raise ValueError(
                f"frames.fixed is '{config.frames.fixed}', but {bag.path} holds neither /tf nor /tf_static: record them, "
                "or leave frames.fixed empty when the LiDAR stands still"
            )
        self._tree = FrameTree(f"TF in {bag.path}")
        self._assembler = FrameAssembler(config, self._tree.matrix, self._report, note=note)
        self._waiting: deque[tuple[int, Job]] = deque()  # log time from which on it waits no longer
        self._lost = ""
        self._made = 0
        self.lidar_frame_id = ""
        for message in bag.messages(static) if static else ():
            self._add(message, True)

    def note(self, message: BagMessage) -> None:
        """Take in a CameraInfo or moving transforms."""
        if message.topic in self.topics:
            self._add(message, False)
            return
        try:
            self._assembler.calibration.info = self._bag.deserialize(message)
        except ValueError as error:
            self._problems.add(str(error))

    def take(self, jobs: Iterable[Job], now_ns: int) -> None:
        """Queue clouds with what belongs to them; they wait for their transforms a second at most, by log time."""
        self._waiting.extend((now_ns + WAIT_NS, job) for job in jobs)

    def ready(self, now_ns: int) -> Iterator[SensorFrame]:
        """Frames of the pairs that need not wait any longer, in order."""
        while self._waiting and (now_ns >= self._waiting[0][0] or not self._comes_later(self._waiting[0][1])):
            yield from self._frame(self._waiting.popleft()[1])

    def rest(self) -> Iterator[SensorFrame]:
        """Frames of all pairs that still wait: the recording has ended.

        Raises:
            ValueError: there never was a transform into the fixed frame.
        """
        while self._waiting:
            yield from self._frame(self._waiting.popleft()[1])
        if self._config.frames.fixed and not self._made and self._lost:
            raise ValueError(f"not one cloud can be used: {self._lost}")

    def _add(self, message: BagMessage, is_static: bool) -> None:
        try:
            problems = self._tree.add(self._bag.deserialize(message), is_static)
        except ValueError as error:
            problems = [str(error)]
        for sentence in problems:
            self._problems.add(sentence)

    def _report(self, sentence: str, is_lost: bool) -> None:
        self._problems.add(sentence)
        if is_lost:
            self._lost = sentence

    def _comes_later(self, job: Job) -> bool:
        """Whether transforms a cloud needs may still come: TF knows its frames, and ends before its stamps."""
        pair = job.pair
        lidar, fixed = frame_of(pair.cloud.raw), self._config.frames.fixed
        image_stamp_ns = pair.cloud_stamp_ns + round(pair.image_dt_s * 1e9)
        wanted = [(fixed, pair.cloud_stamp_ns), (fixed, image_stamp_ns)] if fixed else []
        if pair.image is not None and not self._config.camera.T_camera_lidar:
            wanted.append((frame_of(pair.image.raw), image_stamp_ns))
        if job.boxes is not None:
            wanted.append((frame_of(job.boxes.raw), pair.cloud_stamp_ns + round(job.boxes_dt_s * 1e9)))
        for target, stamp_ns in wanted:
            try:
                self._tree.matrix(target, lidar, stamp_ns)
            except NotYetError:
                return True
            except ValueError:
                continue
        return False

    def _frame(self, job: Job) -> Iterator[SensorFrame]:
        pair, image, boxes = job.pair, None, None
        try:
            cloud = self._bag.deserialize(pair.cloud)
        except ValueError as error:
            self._report(str(error), True)
            return
        if pair.image is not None and self._config.topics.camera_info:
            try:
                image = self._bag.deserialize(pair.image)
            except ValueError as error:
                self._report(str(error), False)
        if job.boxes is not None:
            try:
                boxes = self._bag.deserialize(job.boxes)
            except ValueError as error:
                self._report(str(error), False)
        frame = self._assembler.frame(pair, cloud, image, boxes, job.boxes_dt_s)
        if frame is not None:
            self.lidar_frame_id = cloud.header.frame_id
            self._made += 1
            yield frame
