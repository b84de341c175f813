"""Opens any rosbag2 (sqlite3 or mcap) without ROS: its topics and its messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PosixPath
from types import TracebackType
from typing import Any, TypeVar

import yaml
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, QosDurability
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TRANSFORMS = "tf2_msgs/msg/TFMessage"
PEDESTRIANS = "emgait_msgs/msg/PedestrianArray"


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
        latched_topics: those whose last messages late subscribers must get (transient local).

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: it is no rosbag2, it is damaged, or it is empty.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        files = _storage_files(self.path)
        try:
            self._reader = AnyReader(files, default_typestore=message_types())
            self._reader.open()
        except Exception as error:  # rosbags raises whatever the damaged bytes lead it into
            raise ValueError(_damaged(self.path, error)) from error
        seconds = self.duration_s
        counts = {name: info.msgcount for name, info in self._reader.topics.items()}
        self.topics = {
            c.topic: BagTopic(c.topic, c.msgtype, counts[c.topic], counts[c.topic] / seconds if seconds > 0 else 0.0)
            for c in self._reader.connections
        }
        self.latched_topics = frozenset(c.topic for c in self._reader.connections if _is_latched(c))
        if not any(counts.values()):
            self.close()
            raise ValueError(f"{self.path} is empty: it has {len(self.topics)} topics and no message")

    def __enter__(self: Opened) -> Opened:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; harmless when done twice."""
        if self._reader.stack is not None:
            self._reader.close()

    @property
    def start_ns(self) -> int:
        """Log time of the first message."""
        return int(self._reader.start_time)

    @property
    def duration_s(self) -> float:
        """From the first to the last message's log time."""
        return max(0.0, (self._reader.end_time - self._reader.start_time - 1) * 1e-9)

    def messages(self, topics: Collection[str] | None = None, start_s: float = 0.0) -> Iterator[BagMessage]:
        """All messages of these topics (all topics by default) in log-time order, from ``start_s`` into the bag.

        Raises:
            ValueError: a topic is not in the bag, or the file is damaged further on.
        """
        for name in topics or ():
            if name not in self.topics:
                raise ValueError(f"{self.path} has no topic {name}: it has {', '.join(sorted(self.topics))}")
        wanted: list[Connection] = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not wanted:
            return
        start_ns = self.start_ns + round(start_s * 1e9) if start_s > 0 else None
        messages = self._reader.messages(wanted, start=start_ns)
        while True:
            try:
                connection, log_time_ns, raw = next(messages)
            except StopIteration:
                return
            except Exception as error:
                raise ValueError(_damaged(self.path, error)) from error
            yield BagMessage(connection.topic, connection.msgtype, log_time_ns, raw)

    def deserialize(self, message: BagMessage) -> Any:
        """The message with its fields as attributes; arrays are numpy arrays.

        Raises:
            ValueError: the bytes are not a message of that type.
        """
        try:
            return self._reader.deserialize(message.raw, message.type)
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


def _is_latched(connection: Connection) -> bool:
    offered = getattr(connection.ext, "offered_qos_profiles", [])
    return connection.topic.endswith("tf_static") or any(q.durability is QosDurability.TRANSIENT_LOCAL for q in offered)


class _BagFolder(PosixPath):
    """A folder whose name may end in .bag: ``AnyReader`` takes that ending for a ROS 1 file."""

    @property
    def suffix(self) -> str:
        """Empty for a folder."""
        return "" if self.is_dir() else super().suffix


def _storage_files(path: Path) -> list[Path]:
    """What to open: the bag itself, or its storage files when a killed recorder left no metadata.yaml."""
    if not path.exists():
        raise FileNotFoundError(f"there is no bag at {path}")
    if path.is_file() and path.name == "metadata.yaml":
        path = path.parent
    if path.is_file() and path.suffix not in (".mcap", ".db3"):
        raise ValueError(f"{path} is no rosbag2: expected a folder with metadata.yaml, or a .mcap or .db3 file")
    if path.is_file():
        return [_BagFolder(path)]
    files: list[Path] = [_BagFolder(file) for file in sorted([*path.glob("*.mcap"), *path.glob("*.db3")])]
    if (path / "metadata.yaml").is_file() and (not files or _is_compressed(path / "metadata.yaml")):
        return [_BagFolder(path)]
    # Not by metadata.yaml: rosbags leaves out, without a word, topics that it describes otherwise than the files do.
    if not files:
        raise ValueError(f"{path} is no rosbag2: it has no metadata.yaml and no .mcap or .db3 file")
    return files


def _is_compressed(metadata: Path) -> bool:
    """Whether whole files or single messages are compressed, which only metadata.yaml says."""
    try:
        content = yaml.safe_load(metadata.read_text(encoding="utf-8"))
        return bool(content["rosbag2_bagfile_information"]["compression_mode"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return True  # rosbags says what is wrong with it


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} cannot be read as a rosbag2, it seems damaged: {str(error) or type(error).__name__}"
