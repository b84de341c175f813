"""What others wrote: each of these once took all memory, went on for ever, or came out as another error than a sentence."""

from __future__ import annotations

import dataclasses
import io
import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from emgait_ros.foreign import LARGEST_BYTES, parsed_json, parsed_yaml, read_arrays
from emgait_ros.gallery.encryption import codec_for
from emgait_ros.gallery.export_file import (
    ExportedPerson,
    ExportError,
    read_export,
    signer_of,
    signing_key,
    write_export,
)
from emgait_ros.gallery.saved_walks import pack_walk, unpack_walk
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import default_bundle_path, load_bundle
from emgait_ros.parameter_file import load_parameters
from emgait_ros.recognition.windows import MOST_TRACKERS, TrackWindows
from emgait_ros.recordings.bag_files import LARGEST_CHUNK, _unpacked, zstd
from emgait_ros.samples import Modality, PedestrianFrame, Sample
from emgait_ros.sensing.conversions import cloud_to_points, compressed_to_rgb

LAUGHS = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}}}\n" for i in range(1, 40))


def archive(**members: tuple[tuple[int, ...], str, bytes]) -> bytes:
    """A .npz whose members say this shape and type, before these bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as parts:
        for name, (shape, kind, data) in members.items():
            head = io.BytesIO()
            np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
            parts.writestr(f"{name}.npy", head.getvalue() + data)
    return content.getvalue()


_CUT = bytearray(archive(a=((400,), "|u1", bytes(range(200)) * 2)))
_CUT[45:60] = b"\xff" * 15
_CUT = bytes(_CUT)


@pytest.mark.parametrize("read", [parsed_json, parsed_yaml])
def test_depth_is_a_sentence(read) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        read("[" * 3000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            LAUGHS + "gait_recognizer: {ros__parameters: {window: *a39}}\n",
            r"p.yaml is not YAML: line 2 has an alias \(\*a0\)",
        ),
        ("&a {ros__parameters: *a}", "has an alias"),
        ("a: !!timestamp 2001-99-99", "p.yaml is not YAML: month"),
        ("/**: {ros__parameters: [1]}", "^$"),  # does nothing
    ],
)
def test_parameter_files(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    if said == "^$":
        load_parameters(tmp_path / "p.yaml")
        return
    with pytest.raises(ValueError, match=said):
        load_parameters(tmp_path / "p.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (archive(a=((2**40,), "|u1", b"1234")), "is in"),  # would be allocated before it is read
        (archive(a=((-1,), "|u1", b"1234")), "is in"),
        (archive(a=((1,), "|O", b"1234")), "holds Python objects"),
        (archive(**{n: ((2**27,), "|u1", bytes(2**27)) for n in "abc"}), f"take more than {LARGEST_BYTES >> 20} MiB"),
        (_CUT, ""),
    ],
)
def test_archives_that_say_more_than_they_hold(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_arrays(content)


def test_a_walk_whose_arrays_are_none_of_a_walk_is_refused() -> None:
    sound = Sample(1, np.ones(3), np.ones(3), np.ones(3), True, 5.0, 1.0, 40, np.ones((8, 3), np.float32))
    assert len(unpack_walk(pack_walk([sound, sound]))) == 2
    for wrong in (np.ones((8, 2), np.float32), np.ones(24, np.float32)):
        with pytest.raises(ValueError, match="a saved walk is damaged"):
            unpack_walk(pack_walk([dataclasses.replace(sound, points=wrong)]))
    with pytest.raises(ValueError, match="a saved walk is damaged"):
        unpack_walk(pack_walk([dataclasses.replace(sound, center=np.full(3, np.nan))]))


def test_a_time_that_no_message_can_say_is_not_imported(tmp_path: Path) -> None:
    """Once imported, it made every list of the gallery fail."""
    key, path = signing_key(tmp_path / "sign"), tmp_path / "people.out"
    write_export(path, [ExportedPerson("Anna", 2**62, False, ())], key, codec_for(None))
    with pytest.raises(ExportError, match="impossible time"):
        read_export(path, {signer_of(key)}, codec_for(None))


@pytest.mark.parametrize(
    "harm",
    ["CREATE VIEW v AS SELECT 1", "CREATE TRIGGER t AFTER INSERT ON templates BEGIN SELECT 1; END", "DROP TABLE undo"],
)
def test_a_gallery_with_another_layout_is_refused(tmp_path: Path, harm: str) -> None:
    """A view that never ends in the place of a table made opening it hang; a trigger could give templates to somebody else."""
    Gallery(tmp_path / "gallery.db").close()
    with closing(sqlite3.connect(tmp_path / "gallery.db")) as connection:
        connection.execute(harm)
    with pytest.raises(GalleryError, match="is not that of a gallery"):
        Gallery(tmp_path / "gallery.db")


@pytest.mark.parametrize("threshold", [float("inf"), float("nan"), 0.0, -1.0])
def test_a_bundle_that_accepts_everybody_or_nobody_is_refused(tmp_path: Path, threshold: float) -> None:
    for file in default_bundle_path().iterdir():
        (tmp_path / file.name).symlink_to(file)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["decision"]["threshold"] = threshold
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="the threshold is"):
        load_bundle(tmp_path)


def test_chunks_of_bags_are_unpacked_no_further_than_they_say() -> None:
    data = bytes(range(256)) * 4000
    packed = zstd.compress(data) * 2
    assert _unpacked(packed, 2 * len(data), "zstd") == 2 * data
    assert len(_unpacked(packed, 100, "zstd")) == 101
    with pytest.raises(ValueError, match="512 are read"):
        _unpacked(packed, LARGEST_CHUNK + 1, "zstd")


def test_pictures_that_say_they_are_huge_or_take_many_passes_are_refused() -> None:
    data = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    place = data.index(b"\xff\xc0") + 5
    huge = data[:place] + (20_000).to_bytes(2, "big") * 2 + data[place + 4 :]
    scan = data.index(b"\xff\xda")
    for content, said in (
        (huge, "cannot be decoded"),
        (data[:scan] + b"\xff\xda\0\2" * 200 + data[scan:], "200|100 scans"),
    ):
        with pytest.raises(ValueError, match=said):
            compressed_to_rgb(SimpleNamespace(format="jpeg", data=content))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"point_step": 12}, "point_step, width or height is wrong"), ({"row_step": 52}, "row_step or height is wrong")],
)
def test_a_cloud_whose_steps_lie_is_not_read_askew(change: dict[str, int], said: str) -> None:
    fields = [SimpleNamespace(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
    height, width, row = (3, 3, 56) if "row_step" in change else (1, 100, 1600)
    message = SimpleNamespace(
        height=height, width=width, fields=fields, is_bigendian=False, point_step=16, row_step=row
    )
    message.data = np.ones(height * row, np.uint8)
    assert len(cloud_to_points(message)) == width * height
    vars(message).update(change)
    with pytest.raises(ValueError, match=said):
        cloud_to_points(message)


def test_trackers_under_ever_new_names_do_not_fill_the_memory() -> None:
    from emgait_ros.config import WindowConfig

    windows = TrackWindows(WindowConfig())
    for number in range(3 * MOST_TRACKERS):
        windows.observe(PedestrianFrame(10**9, "lidar", f"tracker {number}", ()))
    assert len(windows.trackers) <= MOST_TRACKERS + 1


@pytest.mark.parametrize("content", ["{}", "[]", "[" * 3000])
def test_an_undo_log_that_is_damaged_is_a_sentence(tmp_path: Path, content: str) -> None:
    with Gallery(tmp_path / "gallery.db") as gallery:
        row = np.ones((4, 8), np.float32)
        gallery.enroll("Anna", row, "a" * 64, samples=[9], modalities=Modality.BOTH, median_range_m=5.0)
        gallery.file.execute("UPDATE undo SET content = ?", (content,))
        with pytest.raises(ValueError, match=r"damaged|nested"):
            gallery.undo()
        assert [person.name for person in gallery.identities()] == ["Anna"]
