"""Opens any rosbag2 (sqlite3 or mcap) without ROS: its topics and its messages."""

from __future__ import annotations

import heapq
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

import yaml
from rosbags.interfaces import Connection, QosDurability
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from emgait_ros.recordings.bag_files import cure, cut_sentence, learn_type, no_storage_file, open_file

CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
BOXES = "vision_msgs/msg/Detection3DArray"
PEDESTRIANS = "emgait_msgs/msg/PedestrianArray"
UNCHANGED = (CLOUD, IMAGE, COMPRESSED_IMAGE, CAMERA_INFO, TRANSFORMS)  # since the first ROS 2
NAMED_CLASS = "vision_msgs/msg/ObjectHypothesis"


@dataclass(frozen=True)
class BagTopic:
    """One topic of a bag: message type, number of messages, and their mean rate over the bag."""

    name: str
    type: str
    count: int
    rate_hz: float


@dataclass(frozen=True)
class BagMessage:
    """One recorded message: topic, message type, log time (ns) and its serialized CDR bytes."""

    topic: str
    type: str
    log_time_ns: int
    raw: bytes


Opened = TypeVar("Opened", bound="Rosbag")


class Rosbag:
    """A rosbag2 opened for reading; a context manager.

    Args:
        path: the bag's folder, or one of its .mcap or .db3 files.

    Attributes:
        path: as given.
        topics: what was recorded, by name.
        notes: what is wrong but does not keep the bag from being read: a cut recording, topics left out.
        latched_topics: those whose last messages late subscribers must get (transient local).

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: it is no rosbag2, it is damaged, or it is empty.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        self._stack = ExitStack()
        self._readers = self._open(_storage_files(self.path, self.notes))
        self._types: dict[str, Typestore] = {}
        self._connections = [[c for c in reader.connections if self._is_readable(c)] for reader in self._readers]
        connections = list(chain.from_iterable(self._connections))
        seconds = self.duration_s
        counts: Counter[str] = Counter()
        for connection in connections:
            counts[connection.topic] += connection.msgcount
        self.topics = {
            c.topic: BagTopic(c.topic, c.msgtype, counts[c.topic], counts[c.topic] / seconds if seconds > 0 else 0.0)
            for c in connections
        }
        self.latched_topics = frozenset(c.topic for c in connections if _is_latched(c))
        if not any(counts.values()):
            self.close()
            if self.notes:
                raise ValueError(f"no message of {self.path} can be read: {'; '.join(self.notes)}")
            raise ValueError(f"{self.path} is empty: it has {len(self.topics)} topics and no message")

    def _open(self, files: Sequence[Path]) -> list[Reader]:
        """Readers of the files that can be read, and notes on the others and on what was cut.

        Raises:
            ValueError: none of them can be read.
        """
        readers, unreadable = [], []
        for file in files:
            try:
                readers.append(open_file(file))
            except Exception as error:  # rosbags raises whatever the damaged bytes lead it into
                unreadable.append(no_storage_file(file) or f"{_damaged(file, error)}; {cure(file)}")
                if len(unreadable) == len(files):
                    self.close()
                    raise ValueError(unreadable[0]) from error
            else:
                self._stack.callback(readers[-1].close)
        cut = [sentence for reader in readers if (sentence := cut_sentence(reader))] + unreadable
        if not cut and not self.notes and self.path.is_dir() and not (self.path / "metadata.yaml").is_file():
            count = sum(reader.message_count for reader in readers)
            cut = [f"{self.path}: the recording was cut, no metadata.yaml: {count} messages read; {cure(self.path)}"]
        self.notes += cut
        return readers

    def _is_readable(self, connection: Connection) -> bool:
        """Whether the type of a topic is known now; a note when its definition cannot be read."""
        try:
            learn_type(self._types, connection, message_types())
            _check_definition(connection.msgtype, self._types)
        except Exception as error:
            why = str(error).strip().split("\n")[0] or type(error).__name__
            self.notes.append(
                f"{connection.topic} is left out: its type {connection.msgtype} cannot be read from its definition in "
                f"{self.path} ({why})"
            )
            return False
        return True

    def __enter__(self: Opened) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; harmless when done twice."""
        self._stack.close()

    @property
    def start_ns(self) -> int:
        """Log time of the first message."""
        return min(reader.start_time for reader in self._readers)

    @property
    def duration_s(self) -> float:
        """From the first to the last message's log time."""
        return max(0.0, (max(reader.end_time for reader in self._readers) - self.start_ns - 1) * 1e-9)

    def messages(
        self, topics: Collection[str] | None = None, start_s: float = 0.0, end_s: float | None = None
    ) -> Iterator[BagMessage]:
        """All messages of these topics (all topics by default) in log-time order, from ``start_s`` to ``end_s`` of the bag.

        SQLite with damaged pages and MCAP without an index may come in the order of recording.

        Raises:
            ValueError: a topic is not in the bag, or the file is damaged further on.
        """
        for name in topics or ():
            if name not in self.topics:
                raise ValueError(f"{self.path} has no topic {name}: it has {', '.join(sorted(self.topics))}")
        start_ns = self.start_ns + round(start_s * 1e9) if start_s > 0 else None
        end_ns = None if end_s is None else self.start_ns + round(end_s * 1e9)
        streams = []
        for reader, connections in zip(self._readers, self._connections, strict=True):
            wanted = [c for c in connections if topics is None or c.topic in topics]
            if wanted:
                streams.append(reader.messages(wanted, start=start_ns, stop=end_ns))
        messages = heapq.merge(*streams, key=lambda message: message[1])
        while True:
            try:
                connection, log_time_ns, raw = next(messages)
            except StopIteration:
                return
            except Exception as error:
                raise ValueError(_damaged(self.path, error)) from error
            yield BagMessage(connection.topic, connection.msgtype, log_time_ns, raw)

    def types_of(self, type_name: str) -> Typestore | None:
        """Where a message type of the bag is defined; None when the bag does not say and nobody knows it."""
        return self._types.get(type_name)

    def deserialize(self, message: BagMessage) -> Any:
        """The message with its fields as attributes; arrays are numpy arrays.

        Raises:
            ValueError: the bytes are not a message of that type.
        """
        if message.type not in self._types:
            raise ValueError(f"{self.path} has no definition of {message.type}, the type of {message.topic}")
        try:
            return self._types[message.type].deserialize_cdr(message.raw, message.type)
        except Exception as error:
            raise ValueError(f"a message on {message.topic} in {self.path} is damaged: {error}") from error


@cache
def message_types() -> Typestore:
    """Message types of ROS 2 Jazzy and of emgait_msgs, for writing bags and for bags that carry no definitions.

    Raises:
        FileNotFoundError: the .msg files of emgait_msgs are nowhere to be found.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    for file in sorted(_message_folder().glob("*.msg")):
        store.register(get_types_from_msg(file.read_text(encoding="utf-8"), f"emgait_msgs/msg/{file.stem}"))
    return store


def _message_folder() -> Path:
    """Folder with the .msg files: of this checkout, else of an installed emgait_msgs."""
    checkout = Path(__file__).resolve().parents[2] / "emgait_msgs" / "msg"
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    folders = [checkout, *(prefix / "share" / "emgait_msgs" / "msg" for prefix in [*prefixes, Path(sys.prefix)])]
    for folder in folders:
        if (folder / "PedestrianArray.msg").is_file():
            return folder
    raise FileNotFoundError(f"emgait_msgs is not installed: looked for its messages in {', '.join(map(str, folders))}")


def _check_definition(kind: str, stores: Mapping[str, Typestore]) -> None:
    """Raise ValueError where a message would not hold the fields that are read of its type."""
    if kind in UNCHANGED and stores[kind].hash_rihs01(kind) != message_types().hash_rihs01(kind):
        raise ValueError("it is not the one that ROS 2 has")
    if kind == BOXES and kind in stores and NAMED_CLASS not in stores[kind].fielddefs:
        raise ValueError("it is the one of vision_msgs before 4.0, as of ROS 2 Foxy: record boxes with Humble or later")


def _is_latched(connection: Connection) -> bool:
    offered = getattr(connection.ext, "offered_qos_profiles", [])
    return connection.topic.endswith("tf_static") or any(q.durability is QosDurability.TRANSIENT_LOCAL for q in offered)


def _storage_files(path: Path, notes: list[str]) -> list[Path]:
    """What to open: the bag's storage files, or itself when only metadata.yaml tells how it is compressed."""
    if not path.exists():
        raise FileNotFoundError(f"there is no bag at {path}")
    if path.is_file() and path.name == "metadata.yaml":
        path = path.parent
    if path.is_file() and _is_ros1(path):
        raise ValueError(
            f"{path} is a bag of ROS 1: convert it with `rosbags-convert --src {quote(str(path))} --dst "
            f"{quote(str(path.with_suffix('')))}` (installed with this package) and open the new folder"
        )
    if path.is_file() and path.suffix not in (".mcap", ".db3"):
        raise ValueError(f"{path} is no rosbag2: expected a folder with metadata.yaml, or a .mcap or .db3 file")
    if path.is_file():
        return [path]
    files = sorted([*path.glob("*.mcap"), *path.glob("*.db3")])
    packed = sorted([*path.glob("*.mcap.zstd"), *path.glob("*.db3.zstd")])
    if (path / "metadata.yaml").is_file():
        if not files and not packed:
            raise ValueError(f"{path} has a metadata.yaml and no .mcap or .db3 file: copy the recording's beside it")
        if not files or _is_compressed(path / "metadata.yaml"):
            return [path]
    advice = f"unpack them with `zstd -d --rm {path}/*.zstd`, then `ros2 bag reindex {path}`"
    # Not by metadata.yaml: rosbags leaves out, without a word, topics that it describes otherwise than the files do.
    if not files:
        compressed = f", but {len(packed)} compressed ones: {advice}" if packed else ""
        raise ValueError(f"{path} is no rosbag2: it has no metadata.yaml and no .mcap or .db3 file{compressed}")
    if packed:
        notes.append(f"{len(packed)} compressed files of {path} are left out, its recorder was killed: {advice}")
    return files


def _is_ros1(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"#ROSBAG "


def _is_compressed(metadata: Path) -> bool:
    """Whether whole files or single messages are compressed, which only metadata.yaml says."""
    try:
        content = yaml.safe_load(metadata.read_text(encoding="utf-8"))
        return bool(content["rosbag2_bagfile_information"]["compression_mode"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return True  # rosbags says what is wrong with it


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} cannot be read as a rosbag2, it seems damaged: {str(error) or type(error).__name__}"
