"""The storage files of a rosbag2, each read as far as it goes: recordings that were cut, types that nobody can read.

rosbags reads whole files. A recorder that was killed leaves MCAP without its index and footer, and SQLite with a log of
writes beside it or with pages that lead nowhere; what is whole in them is read here in the same way.
"""

from __future__ import annotations

import functools
import sqlite3
from collections import Counter
from collections.abc import Collection, Generator, Iterator
from io import BytesIO
from pathlib import Path
from shlex import quote
from struct import unpack_from
from typing import Any

from lz4.frame import LZ4FrameDecompressor
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.metadata import ReaderMetadata, parse_qos
from rosbags.rosbag2.storage_mcap import (
    DECOMPRESSORS,
    ChunkInfo,
    McapReader,
    decompress,
    get_qos,
    read_bytes,
    read_exact,
    read_string,
    zstd,
)
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

MAGIC = b"\x89MCAP0\r\n"
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F
HEAD_BYTES = 9  # a record begins with its kind and the length of the rest
FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
ORDERS = ("INDEXED BY timestamp_idx ORDER BY timestamp", "NOT INDEXED ORDER BY id")  # to read a damaged SQLite file in
NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")

BEGINS = {".mcap": b"\x89MCAP0\r\n", ".db3": b"SQLite format 3\0"}
LARGEST_CHUNK = 512 * 2**20  # bytes, unpacked; recorders write chunks of a megabyte, or of one message


def _unpacked(packed: bytes, size: int, kind: str) -> bytes:
    """A chunk of MCAP, which rosbags unpacks whatever comes of it; ``size``: what its head says."""
    if size > LARGEST_CHUNK:
        raise ValueError(f"a chunk takes {size >> 20} MiB when it is unpacked: at most {LARGEST_CHUNK >> 20} are read")
    if kind == "lz4":
        return bytes(LZ4FrameDecompressor().decompress(packed, max_length=size + 1))
    found = b""
    while packed and len(found) <= size:  # frames behind each other
        one = zstd.ZstdDecompressor()
        found += one.decompress(packed, max_length=size + 1 - len(found))
        packed = one.unused_data if one.eof else b""
    return found


DECOMPRESSORS |= {kind: functools.partial(_unpacked, kind=kind) for kind in ("zstd", "lz4")}


def open_file(path: Path) -> Reader:
    """An opened reader of one storage file, or of a bag's folder whose metadata.yaml is needed (compressed bags).

    Raises:
        Exception: whatever the damaged bytes lead rosbags into.
    """
    reader = Reader(path)
    if not path.is_dir():
        reader.storage = McapFile(path) if path.suffix == ".mcap" else SqliteFile(path)
    reader.open()
    return reader


def cut_sentence(reader: Reader) -> str:
    """That a recording was cut, how much of it is read, and how to make a whole bag of it; empty for a whole one."""
    if not getattr(reader.storage, "cut", False):
        return ""
    return f"{reader.path}: the recording was cut: {reader.message_count} messages read; {cure(Path(str(reader.path)))}"


def no_storage_file(path: Path) -> str:
    """That a file is none of its ending, which nothing can mend; empty where it is one, or a folder."""
    if path.suffix not in BEGINS or not path.is_file():
        return ""
    with path.open("rb") as file:
        begin = file.read(len(BEGINS[path.suffix]))
    what = "it is empty" if not begin else "its content is something else"
    return "" if begin == BEGINS[path.suffix] else f"{path} is no {path.suffix} file: {what}"


def cure(path: Path) -> str:
    """How to make a whole bag of a cut storage file, or of a folder of them."""
    old, new = quote(str(path)), quote(f"fixed/{path.name}")
    recover = {".mcap": f"mcap recover {old} -o {new}", ".db3": f"sqlite3 {old} .recover | sqlite3 {new}"}
    steps = ["mkdir fixed", recover[path.suffix], "ros2 bag reindex fixed"] if path.suffix in recover else []
    return f"to make a whole bag of it: `{'; '.join(steps) or f'ros2 bag reindex {old}'}`"


def learn_type(stores: dict[str, Typestore], connection: Connection, known: Typestore) -> None:
    """Learn the message type of a connection from its definition in the bag, or else from ``known`` types.

    A type without any definition is passed over: its messages can be played, but not looked into.

    Args:
        stores: message type -> store with it and its parts; each its own, so that no definition spoils another.
        connection: one of the bag.
        known: used where the bag has no definition.

    Raises:
        Exception: the definition is none of a message, lacks a part, contradicts another of this type or its own hash.
    """
    kind, text = connection.msgtype, connection.msgdef.data
    if connection.msgdef.format == MessageDefinitionFormat.NONE:
        if kind in known.fielddefs:
            stores.setdefault(kind, known)
        return
    if connection.msgdef.format == MessageDefinitionFormat.MSG:
        types = get_types_from_msg(text, kind)
    else:  # one IDL, or several behind lines that name them
        parts = [part.split("\n", 1)[1] for part in text.split(f"{'=' * 80}\nIDL: ")[1:]] or [text]
        types = {name: definition for part in parts for name, definition in get_types_from_idl(part).items()}
    store = stores.get(kind) or get_typestore(Stores.EMPTY)
    store.register(types)
    found = store.hash_rihs01(kind)
    if connection.digest and found != connection.digest:
        raise ValueError(f"its hash is {found}, the recorder's {connection.digest}")
    stores[kind] = store


class McapFile(McapReader):
    """An MCAP file; without index and footer it is read chunk by chunk, as far as chunks are whole.

    Attributes:
        cut: it ends before its footer.
    """

    cut = False

    def _open(self) -> None:
        try:
            super()._open()
            return
        except Exception as error:
            refused = error
        self._forget()
        self._scan()
        if not self.metadata.message_count:
            raise refused

    def _forget(self) -> None:
        for found in (self.schemas, self.channels, self.chunks, self.connections):
            found.clear()
        self._definitions: dict[int, tuple[str, MessageDefinition]] = {}
        self._counts: Counter[int] = Counter()
        self._times: list[int] = []

    def _scan(self) -> None:
        """Look at every whole record: what is recorded, how often, when, and where its chunks lie."""
        bio = self.bio
        if bio is None:
            return
        size = bio.seek(0, 2)
        bio.seek(max(size - len(MAGIC), 0))
        self.cut = bio.read() != MAGIC
        bio.seek(0)
        if bio.read(len(MAGIC)) != MAGIC:
            return
        self.data_start = self.data_end = bio.tell()
        while len(head := bio.read(HEAD_BYTES)) == HEAD_BYTES:
            kind, length = unpack_from("<BQ", head)
            if kind in (DATA_END, FOOTER):
                break
            if kind == 0 or self.data_end + HEAD_BYTES + length > size:
                break
            content = bio.read(length)
            try:
                self._take_chunk(content) if kind == CHUNK else self._take(kind, content)
            except Exception:  # zeros or garbage from here on
                break
            self.data_end = bio.tell()
        self.connections[:] = [c._replace(msgcount=self._counts[c.id]) for c in self.connections]
        if self._times:
            begin, end, count = min(self._times), max(self._times) + 1, self._counts.total()
            self.metadata = ReaderMetadata(end - begin, begin, end, count, None, None, None, None)

    def _take(self, kind: int, content: bytes) -> None:
        """A schema, a channel or a message."""
        if kind == MESSAGE:
            channel, _, log_time = unpack_from("<HIQ", content)
            self._counts[channel] += 1
            self._times = [min(log_time, *self._times), max(log_time, *self._times)] if self._times else [log_time]
        elif kind == SCHEMA:
            record = BytesIO(content[2:])
            name, encoding, text = read_string(record), read_string(record), read_string(record)
            definition = MessageDefinition(FORMATS[encoding], text) if encoding in FORMATS else NO_DEFINITION
            self._definitions[unpack_from("<H", content)[0]] = name, definition
        elif kind == CHANNEL:
            number, schema = unpack_from("<HH", content)
            record = BytesIO(content[4:])
            topic, encoding, metadata = read_string(record), read_string(record), read_bytes(record)
            if schema in self._definitions and number not in {c.id for c in self.connections}:
                ext = ConnectionExtRosbag2(encoding, get_qos(metadata))
                name, definition = self._definitions[schema]
                self.connections.append(Connection(number, topic, name, definition, "", 0, ext, self))

    def _take_chunk(self, content: bytes) -> None:
        begin, end, size, crc = unpack_from("<QQQI", content)
        record = BytesIO(content[28:])
        compression = read_string(record)
        packed = read_exact(record, int.from_bytes(record.read(8), "little"))
        raw = decompress(packed, compression, size, crc)
        before = Counter(self._counts)
        for kind, part in _records(raw):
            self._take(kind, part)
        own = dict(self._counts - before)
        self.chunks.append(
            ChunkInfo(begin, end, self.data_end, HEAD_BYTES + len(content), {}, 0, compression, len(packed), size, own)
        )

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """As rosbags has it, which refuses messages without an index that are not in the order of their times."""
        read = super().messages if self.chunks else self.messages_scan
        yield from read(connections, start, stop)


def _records(raw: bytes) -> list[tuple[int, bytes]]:
    """Kind and content of all records of a chunk.

    Raises:
        ValueError: it does not consist of records (a disk that was full leaves zeros).
    """
    found, place = [], 0
    while place < len(raw):
        kind, length = unpack_from("<BQ", raw, place)
        place += HEAD_BYTES + length
        if kind == 0 or place > len(raw):
            raise ValueError("a chunk does not consist of records")
        found.append((kind, raw[place - length : place]))
    return found


class SqliteFile(Sqlite3Reader):
    """A SQLite file, with what its recorder had not yet moved from the log beside it; damaged, as far as rows are whole.

    Attributes:
        cut: the recorder was killed: it left its log, or pages that contradict each other.
    """

    cut = False
    _damaged = False
    _order = ""

    def open(self) -> None:
        """Open it and see what is in it.

        Raises:
            sqlite3.Error, ValueError: it is no bag, or nothing of it can be read.
        """
        log = Path(f"{self.path}-wal")
        self.cut = log.is_file() and log.stat().st_size > 0
        # An immutable file is not changed by anybody: its log is not looked at, and nothing is made beside it.
        address = f"{Path(str(self.path)).resolve().as_uri()}?{'mode=ro' if self.cut else 'immutable=1'}"
        self.dbconn = sqlite3.connect(address, uri=True, check_same_thread=False)  # type: ignore[assignment]
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        counts, begin, end = self._counted()
        columns = {row[1] for row in self._rows("PRAGMA table_info(topics)")}
        optional = [c if c in columns else "''" for c in ("offered_qos_profiles", "type_description_hash")]
        definitions = {}
        if self._rows("PRAGMA table_info(message_definitions)"):
            query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            definitions = {n: MessageDefinition(FORMATS[e], t) for n, e, t in self._rows(query) if e in FORMATS}
        topics = self._rows(
            f"SELECT id, name, type, serialization_format, {', '.join(optional)} FROM topics ORDER BY id"  # noqa: S608
        )
        for number, name, kind, encoding, qos, digest in topics:
            ext = ConnectionExtRosbag2(encoding, parse_qos(qos) if qos else [])
            definition = definitions.get(kind, NO_DEFINITION)
            self.connections.append(Connection(number, name, kind, definition, digest, counts[number], ext, self))
        if counts:
            self.metadata = ReaderMetadata(end - begin, begin, end, counts.total(), None, None, None, None)

    def _rows(self, query: str) -> list[Any]:
        if self.dbconn is None:
            return []
        return list(self.dbconn.execute(query))

    def _counted(self) -> tuple[Counter[int], int, int]:
        """Messages a topic, and the span of their times, ns."""
        counts: Counter[int] = Counter()
        times: list[int] = []
        try:
            query = (
                "SELECT topic_id, count(*), min(timestamp), max(timestamp) FROM messages NOT INDEXED GROUP BY topic_id"
            )
            for topic, count, *span in self._rows(query):
                counts[topic] = count
                times += span
            # Of pages that were written before they were committed, the index knows nothing yet.
            (indexed,) = self._rows("SELECT count(timestamp) FROM messages")[0]
            whole = indexed == counts.total()
        except sqlite3.DatabaseError:
            whole = False
        if not whole:
            self.cut = self._damaged = True
            self._rows("PRAGMA writable_schema=ON")  # SQLite then also looks into a file that is too short
            found = {order: [row[:2] for row in self._whole_rows(order)] for order in ORDERS}
            self._order = max(ORDERS, key=lambda order: len(found[order]))
            counts = Counter(topic for topic, _ in found[self._order])
            times = [time for _, time in found[self._order]]
        return counts, min(times, default=0), max(times, default=0) + 1

    def _whole_rows(self, order: str) -> Iterator[tuple[int, int, bytes]]:
        """Topic, time and data of messages up to the first that cannot be read."""
        if self.dbconn is None:
            return
        try:
            yield from self.dbconn.execute(f"SELECT topic_id, timestamp, data FROM messages {order}")  # noqa: S608
        except sqlite3.DatabaseError:
            return

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """As rosbags has it; of a damaged file in the order that shows most."""
        if not self._damaged:
            yield from super().messages(connections, start, stop)
            return
        wanted = {c.id: c for c in connections}
        for topic, time, data in self._whole_rows(self._order):
            if topic in wanted and (start is None or time >= start) and (stop is None or time < stop):
                yield wanted[topic], time, data
