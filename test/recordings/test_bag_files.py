"""Recordings that were cut and topics whose type cannot be read cost what they must, and no more."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from struct import unpack_from

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from emgait_ros.recordings.rosbag import BOXES, CAMERA_INFO, IMAGE, TRANSFORMS, Rosbag, message_types

START_NS, STEP_NS = 1_700_000_000_000_000_000, 10_000_000
SRV = f"{'=' * 80}\nSRV: example_interfaces/srv/AddTwoInts\nint64 a\nint64 b\n---\nint64 sum\n"
EVENT = "example_interfaces/srv/AddTwoInts_Event"


def image(number: int, side: int = 300) -> object:
    types = message_types().types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](number, 0), "camera")
    pixels = np.random.default_rng(number).integers(0, 255, side * side, np.uint8)
    return types[IMAGE](header, side, side, "mono8", 0, side, pixels)


def write(path: Path, storage: str = "mcap", count: int = 60, more: dict[str, tuple[str, str]] | None = None) -> Path:
    """A bag of ``count`` images of 90 kB: six chunks of MCAP; and one message on topics of other types and definitions."""
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        for topic, (kind, definition) in (more or {}).items():
            connection = writer.add_connection(topic, kind, msgdef=definition, rihs01="RIHS01_" + "0" * 64)
            writer.write(connection, START_NS, bytes(16))
        connection = writer.add_connection("/image", IMAGE, typestore=message_types())
        for number in range(count):
            data = message_types().serialize_cdr(image(number), IMAGE)
            # out of order now and then, as a recorder with several threads writes
            writer.write(connection, START_NS + (number ^ 1) * STEP_NS, data)
    return path


def storage_file(folder: Path) -> Path:
    return next(file for file in folder.iterdir() if file.suffix in (".mcap", ".db3"))


def numbers(bag: Rosbag) -> list[int]:
    """Which images are read, in the order they come; decoded, so that whole ones count only."""
    return [bag.deserialize(message).header.stamp.sec for message in bag.messages(["/image"])]


def chunks(data: bytes) -> list[tuple[int, int]]:
    """Where the chunk records of an MCAP file begin and end."""
    found, place = [], 8
    while place < len(data) - 8:
        kind, length = unpack_from("<BQ", data, place)
        if kind == 0x06:
            found.append((place, place + 9 + length))
        place += 9 + length
    return found


def unchunked(data: bytes) -> bytes:
    """The same file with its records one by one, as the recorder writes it with the preset "fastwrite"."""
    begin, _ = chunks(data)[0]
    whole = data[:begin]
    for start, end in chunks(data):
        whole += data[start + 9 + 40 : end]  # without compression the records follow the chunk's head
    return whole


def test_a_file_without_a_whole_message_does_not_cost_the_others(tmp_path: Path) -> None:
    folder = write(tmp_path / "bag", count=5)
    (folder / "bag_1.mcap").write_bytes(b"")  # the recorder had just begun it
    with Rosbag(folder) as bag:
        assert len(numbers(bag)) == 5
        assert "bag_1.mcap" in bag.notes[0]


@pytest.mark.parametrize("where", ["after a chunk", "in a chunk", "in a head", "in the index", "zeros follow"])
def test_a_cut_mcap_is_read_as_far_as_its_chunks_are_whole(tmp_path: Path, where: str) -> None:
    folder = write(tmp_path / "bag")
    (folder / "metadata.yaml").unlink()
    file = storage_file(folder)
    data = file.read_bytes()
    places = chunks(data)
    begin, end = places[3]
    cut = {"after a chunk": end, "in a chunk": end - 50_000, "in a head": begin + 4, "in the index": len(data) - 300}
    kept = data[: cut.get(where, end)] + (bytes(4096) if where == "zeros follow" else b"")
    file.write_bytes(kept)
    whole = sum(stop <= cut.get(where, end) for _, stop in places)
    with Rosbag(folder) as bag:
        read = numbers(bag)
        (note,) = bag.notes
        assert bag.topics["/image"].count == len(read)
        assert [m.log_time_ns for m in bag.messages()] == sorted(m.log_time_ns for m in bag.messages())
        late = sum(1 for _ in bag.messages(start_s=0.1))
        assert bag.duration_s == pytest.approx((len(read) - 1) * 0.01, abs=0.011)
    assert sorted(read) == list(range(whole * 12)) if where != "in the index" else len(read) == 60
    assert 0 < late < len(read)
    for words in ("the recording was cut", f"{len(read)} messages", "mcap recover", "ros2 bag reindex", str(file)):
        assert words in note


def test_a_cut_mcap_without_chunks_is_read_to_its_last_whole_message(tmp_path: Path) -> None:
    folder = write(tmp_path / "bag")
    file = storage_file(folder)
    file.write_bytes(unchunked(file.read_bytes())[:-50_000])
    with Rosbag(file) as bag:
        assert numbers(bag) == list(range(59))
        assert len(bag.notes) == 1


def test_only_the_last_file_of_a_killed_recording_is_cut(tmp_path: Path) -> None:
    first, last = storage_file(write(tmp_path / "a")), storage_file(write(tmp_path / "b"))
    folder = tmp_path / "bag"
    folder.mkdir()
    (folder / "bag_0.mcap").write_bytes(first.read_bytes())
    (folder / "bag_1.mcap").write_bytes(last.read_bytes()[:3_000_000])
    with Rosbag(folder) as bag:
        assert bag.topics["/image"].count == 60 + 24
        assert [("bag_1.mcap" in note, "24 messages" in note) for note in bag.notes] == [(True, True)]


def test_what_cannot_be_read_at_all_names_the_cure(tmp_path: Path) -> None:
    file = storage_file(write(tmp_path / "bag"))
    file.write_bytes(file.read_bytes()[:500_000])
    with pytest.raises(ValueError, match=r"seems damaged.*mcap recover.*ros2 bag reindex"):
        Rosbag(file)


@pytest.mark.parametrize("name", ["bag_0.mcap", "bag_0.db3"])
@pytest.mark.parametrize("content", [b"", b"no recording at all, but long enough"])
@pytest.mark.parametrize("in_folder", [False, True])
def test_what_is_no_recording_gets_no_cure(tmp_path: Path, name: str, content: bytes, in_folder: bool) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is no .* file") as raised:
        Rosbag(tmp_path if in_folder else tmp_path / name)
    assert "recover" not in str(raised.value)
    assert "reindex" not in str(raised.value)


def test_metadata_alone_are_no_recording(tmp_path: Path) -> None:
    folder = write(tmp_path / "bag")
    storage_file(folder).unlink()
    with pytest.raises(ValueError, match=r"no \.mcap or \.db3 file") as raised:
        Rosbag(folder)
    assert "reindex" not in str(raised.value)


RECORDER = """
import os, sqlite3, sys
source, target, journal = sys.argv[1:]
old, new = sqlite3.connect(source), sqlite3.connect(target)
new.execute(f"PRAGMA journal_mode={journal}")
new.execute("PRAGMA synchronous=OFF")
for (statement,) in old.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL"):
    new.execute(statement)
for table in ("schema", "topics", "message_definitions"):
    for row in old.execute(f"SELECT * FROM {table}"):
        new.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)
new.commit()
new.execute("BEGIN")
for number, row in enumerate(old.execute("SELECT * FROM messages ORDER BY id")):
    new.execute("INSERT INTO messages VALUES (?,?,?,?)", row)
    if number == 29:
        new.execute("COMMIT")
        new.execute("BEGIN")
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("journal", ["WAL", "MEMORY"])  # rosbag2's presets "resilient" and "none"
def test_a_killed_recorder_leaves_what_it_had_committed_in_sqlite(tmp_path: Path, journal: str) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    file = folder / "killed_0.db3"
    source = storage_file(write(tmp_path / "bag", "sqlite3"))
    recorder = subprocess.run([sys.executable, "-c", RECORDER, str(source), str(file), journal], check=False)
    assert recorder.returncode == -9
    with Rosbag(folder) as bag:
        read = numbers(bag)
        (note,) = bag.notes
    assert set(read) >= set(range(30))
    assert len(read) == len(set(read)) == int(note.split(" messages read")[0].split()[-1])
    assert "ros2 bag reindex" in note


def test_a_damaged_sqlite_file_is_read_to_its_first_bad_page(tmp_path: Path) -> None:
    file = storage_file(write(tmp_path / "bag", "sqlite3"))
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * 0.6)])
    with Rosbag(file) as bag:
        read = numbers(bag)
        (note,) = bag.notes
        assert bag.topics["/image"].count == len(read)
    assert 20 <= len(read) < 40
    assert read == list(range(len(read)))
    for words in (f"{len(read)} messages read", "sqlite3", ".recover", "ros2 bag reindex"):
        assert words in note


def test_a_topic_whose_definition_is_no_message_is_left_out_by_name(tmp_path: Path) -> None:
    others = {
        "/add/_service_event": (EVENT, SRV),
        "/hollow": ("a_msgs/msg/Hollow", "b_msgs/Missing part"),
        "/other_hash": ("a_msgs/msg/Number", "int32 number"),
        # sound by itself, but with a header as of ROS 1, which images do not have
        "/old": ("a_msgs/msg/Old", f"std_msgs/Header header\n{'=' * 80}\nMSG: std_msgs/Header\nint32 seq\n"),
        "/other_camera": (CAMERA_INFO, "float64[] D"),  # as of ROS 1
        "/tf": (TRANSFORMS, "int32 transform"),
        "/boxes": (BOXES, "int32 id"),
    }
    unreadable = [name for name in others if name not in ("/other_hash", "/old")]
    for storage in ("mcap", "sqlite3"):
        with Rosbag(write(tmp_path / storage, storage, 5, others)) as bag:
            left_out = [name for name in others if any(note.startswith(f"{name} is left out") for note in bag.notes)]
            # MCAP keeps no hash, so that nothing is known against two of them
            assert left_out == ([*others] if storage == "sqlite3" else unreadable)
            assert set(bag.topics) == {"/image", *others} - set(left_out)
            assert len(numbers(bag)) == 5


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_definition_of_another_kind_does_not_cost_the_bag(tmp_path: Path, storage: str) -> None:
    """The recorder writes "unknown" where it did not find the .msg file; other writers use other languages."""
    folder = write(tmp_path / "bag", storage, 5, {"/a": ("a_msgs/msg/Number", "int32 number")})
    file = storage_file(folder)
    if storage == "sqlite3":
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("UPDATE message_definitions SET encoding = 'unknown' WHERE topic_type LIKE 'a_msgs%'")
    else:
        known = b"a_msgs/msg/Number\x07\0\0\0"  # the name, then the length of the language's name
        data = file.read_bytes()
        assert known + b"ros2msg" in data
        file.write_bytes(data.replace(known + b"ros2msg", known + b"unknown"))
    with Rosbag(folder) as bag:
        assert len(numbers(bag)) == 5
        assert set(bag.topics) == {"/a", "/image"}  # it can be played, but not looked into
        assert not bag.notes


def test_a_path_may_hold_what_means_something_in_an_address(tmp_path: Path) -> None:
    folder = write(tmp_path / "bag", "sqlite3", 5).rename(tmp_path / "run #3 50% ?")
    with Rosbag(folder) as bag:
        assert len(numbers(bag)) == 5


def test_compressed_files_of_a_killed_recorder_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "bag", count=5)
    (folder / "metadata.yaml").unlink()
    (folder / "bag_0.mcap.zstd").write_bytes(b"\x28\xb5\x2f\xfd")
    with Rosbag(folder) as bag:
        assert len(bag.notes) == 1
        assert "zstd -d" in bag.notes[0]
    storage_file(folder).unlink()
    with pytest.raises(ValueError, match="1 compressed ones: unpack them with `zstd -d"):
        Rosbag(folder)
