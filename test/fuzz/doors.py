"""The ways in from outside, as a table of cases: messages, files of all kinds. Those that need ROS are in node_doors.py."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import pickle
import shutil
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from fuzzing import MEMORY, ODD_NUMBERS, TEXTS, damaged, door, odd_json
from galleries import MODEL, enroll, rows
from hypothesis import strategies as st

from emgait_ros.config import EngineConfig
from emgait_ros.gallery.encryption import codec_for
from emgait_ros.gallery.export_file import MAGIC, ExportError, read_export, signer_of, signing_key
from emgait_ros.gallery.records import Calibration
from emgait_ros.gallery.saved_walks import pack_walk, unpack_walk
from emgait_ros.gallery.schema import GalleryError
from emgait_ros.gallery.store import Gallery
from emgait_ros.inference.bundle import default_bundle_path, fingerprint_of, load_bundle
from emgait_ros.inference.encoder import GaitEncoder
from emgait_ros.lab.datasets.numpy_pickle import load_numpy_pickle
from emgait_ros.lab.datasets.recorded import as_clouds, as_images
from emgait_ros.parameter_file import load_parameters
from emgait_ros.recordings.bag import BagRecording
from emgait_ros.recordings.bag_writer import BagWriter
from emgait_ros.samples import CameraModel, Sample, SensorFrame
from emgait_ros.sensing.camera_info import camera_from_info
from emgait_ros.sensing.conversions import cloud_to_points, compressed_to_rgb, image_to_rgb
from emgait_ros.sensing.image_encodings import KNOWN
from emgait_ros.sensing.pedestrian_sensing import PedestrianSensing
from emgait_ros.sensing.perception.camera import box_rectangles

ROOT = Path(__file__).resolve().parents[2]
KEY = bytes(range(32))
SMALL = st.integers(0, 40)
LIES = st.one_of(SMALL, st.sampled_from([64, 4096, 2**16, 2**31 - 1, 2**31, 2**32 - 1]))


def numpy_seeded(draw: Any) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


# Messages of sensors.


@door(ValueError, weight=3)
def cloud(draw: Any, folder: Path) -> None:
    """A cloud whose points are known, with one or two fields that lie: its points come out, or a part that is said, or a refusal."""
    height, width, step = draw(st.integers(1, 4)), draw(st.integers(1, 9)), draw(st.sampled_from([12, 16, 32, 48]))
    row_step = width * step + draw(st.sampled_from([0, 0, 4, 16, 24]))
    points = numpy_seeded(draw).uniform(1, 60, (height, width, 3)).astype("<f4")
    data = np.full((height, row_step), 0xAA, np.uint8)
    cells = np.ndarray((height, width, 12), np.uint8, data, 0, (row_step, step, 1))
    cells[:] = np.ascontiguousarray(points).view(np.uint8).reshape(height, width, 12)
    fields = [SimpleNamespace(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
    message = SimpleNamespace(
        height=height,
        width=width,
        fields=fields,
        is_bigendian=False,
        point_step=step,
        row_step=row_step,
        data=data.tobytes(),
    )
    lying = st.sampled_from(["height", "width", "point_step", "row_step", "data"])
    for name in draw(st.lists(lying, max_size=2, unique=True)):  # data cut and filled up again would be other points
        if name == "data":
            size = draw(st.integers(0, 2 * data.size))
            message.data = (message.data + bytes(size))[:size]
        else:
            setattr(message, name, draw(LIES))
    notes: list[str] = []
    found = cloud_to_points(message, notes.append)
    assert found.dtype == np.float32 and found.ndim == 2 and found.shape[1] == 3 and np.isfinite(found).all()
    shown = points[: message.height, : message.width].reshape(-1, 3)  # a part of a cloud is a cloud
    if 12 <= message.width * message.point_step <= message.row_step and message.height * message.row_step <= len(
        message.data
    ):
        starts = [
            r * message.row_step + c * message.point_step for r in range(message.height) for c in range(message.width)
        ]
        told = [struct.unpack_from("<3f", message.data, start) for start in starts if start + 12 <= len(message.data)]
        shown = np.array(told, np.float32).reshape(-1, 3)  # lies that agree with each other make another cloud
    assert notes or len(found) == 0 or np.array_equal(found, shown), f"silently wrong: {message}"


@door(ValueError, weight=2)
def cloud_fields(draw: Any, folder: Path) -> None:
    """Any fields at any offsets over any bytes."""
    numbers = st.one_of(SMALL, st.sampled_from([2**16, 2**31, 2**32 - 1]))
    name = st.sampled_from(["x", "y", "z", "X", "intensity", "", "\0", "é"])
    kind = st.builds(SimpleNamespace, name=name, offset=numbers, datatype=st.integers(0, 255), count=numbers)
    xyz = [
        SimpleNamespace(name=n, offset=draw(SMALL), datatype=draw(st.sampled_from([7, 7, 8])), count=1) for n in "xyz"
    ]
    message = SimpleNamespace(
        height=draw(st.integers(0, 3)),
        width=draw(st.integers(0, 9)),
        fields=draw(st.permutations(xyz + draw(st.lists(kind, max_size=3)))),
        is_bigendian=draw(st.booleans()),
        point_step=draw(numbers),
        row_step=draw(numbers),
        data=draw(st.binary(max_size=1200)),
    )
    found = cloud_to_points(message)
    assert found.shape[1:] == (3,) and np.isfinite(found).all()


@functools.cache
def sensing() -> PedestrianSensing:
    return PedestrianSensing()


@door(weight=2)
def points(draw: Any, folder: Path) -> None:
    """Finite points of any size and place through detector and tracker: no error is allowed, and every number is one."""
    rng, count = numpy_seeded(draw), draw(st.integers(0, 400))
    scale = draw(st.sampled_from([1e-30, 1e-3, 1.0, 10.0, 60.0, 1e4, 1e9, 1e30, 3e38]))
    cloud = (rng.uniform(-1, 1, (count, 3)) * scale).astype(np.float32)
    if count and draw(st.booleans()):
        upright = rng.uniform((4, -0.2, -1.7), (4.4, 0.2, 0.1), (count, 3))
        cloud = np.where(rng.random((count, 1)) < 0.8, upright, cloud).astype(np.float32)
    if count and draw(st.booleans()):
        cloud[rng.integers(0, count, count // 2)] = cloud[0]
    stamp = draw(st.one_of(st.integers(-(2**62), 2**62), st.integers(0, 10**9)))
    frame = sensing().process(SensorFrame(stamp, np.ascontiguousarray(cloud)), "lidar")
    for found in frame.pedestrians:
        assert np.isfinite([*found.center, *found.size, *found.velocity, found.range_m]).all()


@door(ValueError, weight=2)
def image(draw: Any, folder: Path) -> None:
    """Any encoding, sizes and step over bytes that fit them or do not."""
    width, height = draw(st.one_of(st.integers(0, 33), LIES)), draw(st.one_of(st.integers(0, 33), LIES))
    encoding = draw(st.sampled_from([*KNOWN, *KNOWN, "16UC1", *TEXTS]))
    step = draw(st.one_of(LIES, st.sampled_from([width, 2 * width, 3 * width, 3 * width + 5])))
    fitting = step * height if step * height < 10_000 else 300
    size = draw(st.one_of(st.just(fitting), st.integers(0, 5000), st.just(min(width * height * 3, 10_000))))
    data = numpy_seeded(draw).integers(0, 256, size, np.uint8)
    notes: list[str] = []
    big = draw(st.booleans())
    message = SimpleNamespace(height=height, width=width, encoding=encoding, step=step, data=data, is_bigendian=big)
    pixels = image_to_rgb(message, notes.append)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    assert pixels.shape[:2] == (height, width) or notes
    if encoding == "rgb8" and not notes:
        rows = np.ndarray((height, width, 3), np.uint8, data, 0, (step, 3, 1))
        assert np.array_equal(pixels, rows)
        assert size <= height * step, f"{size} bytes for {height} rows of {step}: silently sheared"


def declared(kind: str, width: int, height: int) -> bytes:
    """A picture of a few bytes that says that it is as large as that."""
    small = cv2.imencode(kind, np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    if kind == ".png":
        head = small[12:16] + struct.pack(">II", width % 2**31, height % 2**31) + small[24:29]
        return small[:12] + head + struct.pack(">I", zlib.crc32(head)) + small[33:]
    if kind == ".jpg":
        place = small.index(b"\xff\xc0") + 5
        return small[:place] + struct.pack(">HH", height % 2**16, width % 2**16) + small[place + 4 :]
    return small


@functools.cache
def pictures() -> dict[str, bytes]:
    rgb = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    kinds = {kind: cv2.imencode(kind, rgb)[1].tobytes() for kind in (".jpg", ".png", ".webp", ".bmp", ".tiff", ".ppm")}
    slow = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    return {**kinds, "progressive": slow}


@door(ValueError, weight=2)
def compressed_image(draw: Any, folder: Path) -> None:
    """Damaged pictures, and small ones that say that they are huge."""
    if draw(st.integers(0, 3)):
        data = draw(damaged(pictures()[draw(st.sampled_from(sorted(pictures())))]))
    else:
        side = st.sampled_from([1, 17, 5000, 20_000, 65_500, 2**31 - 1])
        data = declared(draw(st.sampled_from([".png", ".jpg"])), draw(side), draw(side))
    kind = draw(
        st.sampled_from(["jpeg", "png", "", "rgb8; jpeg compressed bgr8", "bayer_rggb8; png compressed ", *TEXTS])
    )
    pixels = compressed_to_rgb(SimpleNamespace(format=kind, data=data))
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size


@door(ValueError, weight=2)
def camera_info(draw: Any, folder: Path) -> None:
    """Any calibration: what is accepted has the image's size and projects to numbers."""
    odd = st.one_of(st.sampled_from([0.0, 1.0, 100.0, 320.0, *ODD_NUMBERS]), st.floats(width=32))
    good = [200.0, 0.0, 160.0, 0.0, 200.0, 120.0, 0.0, 0.0, 1.0]
    for place in draw(st.lists(st.integers(0, 8), max_size=3)):
        good[place] = draw(odd)
    numbers = st.one_of(st.just(0), LIES)
    roi = SimpleNamespace(**{n: draw(numbers) for n in ("x_offset", "y_offset", "width", "height")})
    none = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    info = SimpleNamespace(
        width=draw(st.sampled_from([320, 320, 0, 640, 2**32 - 1])),
        height=draw(st.sampled_from([240, 240, 0, 480])),
        k=good,
        d=draw(st.one_of(st.just([0.0] * 5), st.lists(odd, max_size=15))),
        distortion_model=draw(
            st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", "fisheye", "", *TEXTS])
        ),
        binning_x=draw(st.sampled_from([0, 1, 2, 2**32 - 1])),
        binning_y=draw(st.sampled_from([0, 1, 2])),
        roi=draw(st.sampled_from([none, none, roi])),
    )
    T = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)
    if draw(st.integers(0, 4)) == 0:
        T[draw(st.integers(0, 3)), draw(st.integers(0, 3))] = draw(odd)
    camera = camera_from_info(info, T, (240, 320, 3))
    assert (camera.width, camera.height) == (320, 240) and np.isfinite(camera.K).all()
    rectangles, visible = box_rectangles(np.array([[8.0, 0, 0], [3, 1, 0]]), np.full((2, 3), 0.8), camera)
    assert np.isfinite(rectangles[visible]).all()


# Files.


PARAMETERS = [ROOT / "config" / name for name in ("gait_recognizer.yaml", "pedestrian_tracker.yaml", "bridges.yaml")]
LAUGHS = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}}}\n" for i in range(1, 40))
YAMLS = [
    LAUGHS + "gait_recognizer:\n  ros__parameters: {window: *a39}\n", "a: &a [*a]", "&a {ros__parameters: *a}",
    "[" * 100_000, "{a: " * 100_000, "x: !!python/object/apply:os.system ['true']", "a: !!timestamp 2001-99-99",
    "/**: {ros__parameters: [1]}", "/**: {ros__parameters: text}", "/**: {ros__parameters: {1: {2: 3}, null: 4}}",
    "? {a: b}\n: c", "/**: {ros__parameters: {window.max_samples: 99999999999999999999999}}", "\ufeff", "\0", "- a",
    "/**: {ros__parameters: {decision.threshold: .nan, window.max_gap_s: .inf}}", "ros__parameters: {a: !!binary x}",
]  # fmt: skip


@door(ValueError, OSError, weight=2)
def parameter_file(draw: Any, folder: Path) -> None:
    """Damaged and cunning YAML: configs in their ranges come out, or a refusal that names the file."""
    if draw(st.integers(0, 3)):
        content = draw(damaged(PARAMETERS[draw(st.integers(0, 2))].read_bytes(), edits=8))
    else:
        content = draw(st.sampled_from(YAMLS)).encode()
    (folder / "p.yaml").write_bytes(content)
    try:
        tracker, recognizer, _ = load_parameters(folder / "p.yaml", draw(st.sampled_from([None, "", "robot1"])))
    except ValueError as error:
        assert "p.yaml" in str(error)
        raise
    numbers = recognizer.window.max_gap_s, recognizer.decision.threshold, tracker.tracker.gate_m
    assert np.isfinite(numbers).all()


def enrolled(place: Path, key: bytes | None, people: int = 6) -> np.ndarray:
    """A gallery with all kinds of rows; its embeddings (N, parts, d)."""
    templates = rows(3, people * 2).reshape(people, 2, 4, 8)
    with Gallery(place, key=key) as gallery:
        for number in range(people):
            enroll(gallery, f"n{number}", templates[number], quality="{}", walk=walk())
        gallery.rename("n0", "Anna")
        gallery.set_disabled("n1", True)
        gallery.remove("n2")
        gallery.set_calibration(MODEL, Calibration(1.0, 0.01, (0.0, 0.02), 1, 100, 0.9, (0.8, 1.0), 50, 0.95))
    return templates.reshape(-1, 4, 8)


@functools.cache
def galleries() -> dict[bytes | None, tuple[bytes, set[bytes]]]:
    """Content of a plain and an encrypted gallery, and the bytes of their embeddings."""
    found = {}
    for key in (None, KEY):
        place = _scratch() / f"{key is None}.db"
        sound = {row.tobytes() for row in enrolled(place, key)}
        found[key] = place.read_bytes(), sound
    return found


@functools.cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz", dir=MEMORY))


def close() -> None:
    """Let go of what the doors have made."""
    shutil.rmtree(_scratch(), ignore_errors=True)
    for made in (galleries, _scratch, bundle_files, bag_files, exported):
        made.cache_clear()


def use(place: Path, key: bytes | None, sound: set[bytes]) -> None:
    """Everything that is done with a gallery; what it gives out is what was put in."""
    with Gallery(place, key=key) as gallery:
        steps = (
            gallery.identities, gallery.check, gallery.history.audit, lambda: gallery.calibration(MODEL), gallery.undo,
            lambda: gallery.templates.walks_without("b"), lambda: gallery.exchange.export(place.with_suffix(".out"), (), place.with_suffix(".sign")),
            lambda: gallery.rename("Anna", "Ben"), lambda: gallery.remove("n3"), lambda: gallery.expire(30.0),
            lambda: enroll(gallery, "New"),
        )  # fmt: skip
        refused = None
        found = gallery.templates_for(MODEL)
        assert {row.tobytes() for row in found.embedding} <= sound
        for step in steps:
            try:
                step()
            except (ValueError, OSError) as error:
                assert " " in str(error)
                refused = error
        if refused is not None:
            raise refused


def put(place: Path, content: bytes) -> None:
    for side in ("", "-wal", "-shm", "-journal"):
        Path(f"{place}{side}").unlink(missing_ok=True)
    place.write_bytes(content)
    place.chmod(0o600)


@door(GalleryError, ValueError, OSError, weight=2)
def gallery_bytes(draw: Any, folder: Path) -> None:
    """Damaged bytes of a plain or an encrypted gallery."""
    key = draw(st.sampled_from([None, KEY]))
    content, sound = galleries()[key]
    place = folder / "gallery.db"
    put(place, draw(damaged(content, edits=8)))
    use(place, key, sound)


TABLES = ("identities", "templates", "audit", "properties", "calibrations", "undo", "saved_walks")


@door(GalleryError, ValueError, OSError, weight=2)
def gallery_rows(draw: Any, folder: Path) -> None:
    """A gallery into which somebody has written with SQLite what does not belong there."""
    key = draw(st.sampled_from([None, KEY]))
    content, sound = galleries()[key]
    place = folder / "gallery.db"
    put(place, content)
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for trigger in ("audit_no_update", "audit_no_delete"):
            connection.execute(f"DROP TRIGGER {trigger}")
        for _ in range(draw(st.integers(1, 2))):
            table = draw(st.sampled_from(TABLES))
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            column = draw(st.sampled_from(columns))
            stored = connection.execute(f"SELECT {column} FROM {table} LIMIT 1").fetchone()
            value: Any = draw(
                st.one_of(
                    st.sampled_from([t for t in TEXTS if t != "\ud800"]),
                    st.integers(-(2**63), 2**63 - 1),
                    st.binary(max_size=40),
                )
            )
            if stored and isinstance(stored[0], str) and stored[0].startswith(("{", "[")) and draw(st.booleans()):
                value = draw(odd_json(json.loads(stored[0])))
            try:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE rowid = (SELECT max(rowid) FROM {table})", (value,)
                )
            except (sqlite3.Error, UnicodeError):
                continue
        if draw(st.integers(0, 9)) == 0:
            connection.executescript(draw(st.sampled_from(SCHEMAS)))
        connection.commit()
    use(place, key, sound)


SCHEMAS = [
    "ALTER TABLE identities RENAME TO people; CREATE VIEW identities AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    " SELECT i AS id, 'n' || i AS name, 1 AS enrolled_ns, 0 AS disabled, '' AS seal, 0 AS expired_ns, 0 AS kept_ns FROM n",
    "CREATE TRIGGER t AFTER INSERT ON templates BEGIN UPDATE templates SET identity_id = 1; END",
    "DROP TABLE saved_walks", "DROP TABLE properties", "ALTER TABLE templates DROP COLUMN quality", "DROP TABLE identities",
]  # fmt: skip


def walk() -> bytes:
    """A saved walk of two samples."""
    one = Sample(
        1,
        np.ones(3),
        np.ones(3),
        np.ones(3),
        True,
        5.0,
        1.0,
        40,
        np.ones((8, 3), np.float32),
        np.ones((6, 4, 3), np.uint8),
    )
    return pack_walk([one, one])


def bomb(kind: str) -> bytes:
    """An archive of arrays that grows when it is read."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (2**36,)})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as parts:
        names = ["center", "size", "velocity", "range_m", "point_count", "crops", "embedding"]
        for name in names + [f"points_{n}" for n in range(3 if kind == "many" else 0)]:
            size = 100 * 2**20 if kind == "many" and name.startswith("points") else 100
            parts.writestr(f"{name}.npy", head.getvalue() + (b"" if kind == "header" else bytes(size)))
    return content.getvalue()


BOMBS = functools.cache(lambda: [bomb("header"), bomb("many")])


@door(ValueError)
def saved_walk(draw: Any, folder: Path) -> None:
    """Damaged archives of samples, and some that grow when they are read."""
    content = draw(damaged(walk())) if draw(st.integers(0, 9)) else draw(st.sampled_from(BOMBS()))
    for sample in unpack_walk(content):
        assert sample.center.shape == (3,) and sample.size.shape == (3,) and sample.velocity.shape == (3,)
        assert sample.points is None or (
            sample.points.ndim == 2 and sample.points.shape[1] == 3 and sample.points.dtype == np.float32
        )
        assert sample.crop is None or (
            sample.crop.ndim == 3 and sample.crop.shape[2] == 3 and sample.crop.dtype == np.uint8
        )


@functools.cache
def exported() -> tuple[bytes, bytes, str, Any]:
    """A signed export, its body's JSON, its signer and the key that signs."""
    folder = _scratch()
    key = signing_key(folder / "sign")
    enrolled(folder / "export.db", None)
    with Gallery(folder / "export.db") as gallery:
        gallery.exchange.export(folder / "people.out", (), folder / "sign")
    content = (folder / "people.out").read_bytes()
    return content, content, signer_of(key), key


def signed(head: bytes, body: bytes, key: Any) -> bytes:
    content = MAGIC + struct.pack("<Q", len(head)) + head + body
    return content + key.sign(content)


@door(ExportError, OSError, ValueError, weight=2)
def export_file(draw: Any, folder: Path) -> None:
    """Damaged exports; and whole ones, signed by somebody trusted, that say odd things. What is read can be imported and listed."""
    content, _, signer, key = exported()
    start = len(MAGIC) + 8
    length = struct.unpack("<Q", content[len(MAGIC) : start])[0]
    head, body = json.loads(content[start : start + length]), content[start + length : -64]
    size = struct.unpack("<Q", body[:8])[0]
    kind = draw(st.sampled_from(["bytes", "head", "people", "people", "body"]))
    if kind == "bytes":
        made = draw(damaged(content))
    elif kind == "head":
        made = signed(draw(odd_json(head)).encode(errors="replace"), body, key)
    else:
        if kind == "people":
            text = draw(odd_json(json.loads(body[8 : 8 + size]))).encode(errors="replace")
            body = struct.pack("<Q", len(text)) + text + body[8 + size :]
        else:
            body = draw(damaged(body))
        made = signed(json.dumps({**head, "bytes": len(body)}).encode(), body, key)
    (folder / "people.out").write_bytes(made)
    people = read_export(folder / "people.out", {signer}, codec_for(None))
    place = folder / "import.db"
    put(place, galleries()[None][0])
    with Gallery(place) as gallery:
        gallery.exchange.import_people(people, "add")
        for person in gallery.identities():
            assert 0 <= person.enrolled_ns < 2**31 * 10**9, "no message can say such a time"
        gallery.undo()


@functools.cache
def bundle_files() -> tuple[Path, dict[str, Any], dict[str, bytes]]:
    """A copy of the shipped bundle: its folder, its manifest, and the content of its files."""
    folder = Path(shutil.copytree(default_bundle_path(), _scratch() / "bundle"))
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return folder, json.loads(files["manifest.json"]), files


@door(ValueError, OSError, weight=2)
def bundle_manifest(draw: Any, folder: Path) -> None:
    """A manifest that is damaged, or says odd things."""
    place, manifest, files = bundle_files()
    if draw(st.booleans()):
        content = draw(damaged(files["manifest.json"]))
    else:
        content = draw(odd_json(manifest)).encode(errors="replace")
    (place / "manifest.json").write_bytes(content)
    found = load_bundle(place)
    assert found.threshold is None or 0 < found.threshold < np.inf
    assert found.min_margin is None or 0 <= found.min_margin < np.inf
    assert len(found.embedding_shape) == 2 and found.sensors


@door(ValueError, OSError, weight=1)
def bundle_content(draw: Any, folder: Path) -> None:
    """Damaged graphs, weights and references whose hashes the manifest says: by whoever made the bundle."""
    place, manifest, files = bundle_files()
    name = draw(st.sampled_from([n for n in files if n.endswith((".onnx", ".npz", ".json")) and n != "manifest.json"]))
    content = (
        draw(damaged(files[name]))
        if draw(st.integers(0, 9)) or not name.endswith(".npz")
        else draw(st.sampled_from(BOMBS()))
    )
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    try:
        (place / name).write_bytes(content)
        said = {**manifest, "files": {**manifest["files"], name: entry}}
        (place / "manifest.json").write_text(json.dumps(said))
        found = load_bundle(place)
        assert found.fingerprint == fingerprint_of(said)
        found.reference()
        GaitEncoder(found, EngineConfig(backend="onnxruntime"))
    finally:
        (place / name).write_bytes(files[name])


@door(ValueError, OSError, needs="torch")
def weights(draw: Any, folder: Path) -> None:
    """Damaged safetensors."""
    from emgait_ros.emgaitnet.weights import load_network

    place, _, files = bundle_files()
    (place / "manifest.json").write_bytes(files["manifest.json"])
    found = load_bundle(place)
    try:
        (place / "weights.safetensors").write_bytes(draw(damaged(files["weights.safetensors"])))
        load_network(found)
    finally:
        (place / "weights.safetensors").write_bytes(files["weights.safetensors"])


CAMERA = CameraModel(
    64, 48, np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]), np.zeros(5), "plumb_bob",
    np.array([[0.0, -1, 0, 0.1], [0, 0, -1, -0.2], [1, 0, 0, -0.3], [0, 0, 0, 1]]),
)  # fmt: skip


@functools.cache
def bag_files() -> dict[str, bytes]:
    """Bags of a second: MCAP, MCAP compressed, SQLite."""
    found = {}
    for name, storage, packed in (("a.mcap", "mcap", False), ("b.mcap", "mcap", True), ("c.db3", "sqlite3", False)):
        with BagWriter(_scratch() / name, storage, packed) as writer:
            writer.static_transform(10**18, {("lidar", "camera_optical"): np.linalg.inv(CAMERA.T_camera_lidar)})
            for n in range(5):
                at = 10**18 + n * 10**8
                writer.cloud(at, at, {axis: np.full(20, float(n), np.float32) for axis in "xyz"})
                writer.camera_info(at, at, CAMERA)
                writer.image(at, at, np.full((48, 64, 3), n, np.uint8))
        found[name] = next((_scratch() / name).glob("*" + Path(name).suffix)).read_bytes()
    return found


def grown(content: bytes) -> bytes:
    """An MCAP file whose first chunk grows when it is unpacked."""
    from rosbags.rosbag2.storage_mcap import zstd

    place = 8
    while content[place] != 0x06:
        place += 9 + struct.unpack_from("<Q", content, place + 1)[0]
    end = place + 9 + struct.unpack_from("<Q", content, place + 1)[0]
    packed = zstd.compress(bytes(2**24)) * 100  # frames behind each other
    head = content[place + 9 : place + 25] + struct.pack("<QI", 100 * 2**24, 0) + struct.pack("<I", 4) + b"zstd"
    body = head + struct.pack("<Q", len(packed)) + packed
    return content[:place] + b"\x06" + struct.pack("<Q", len(body)) + body + content[end:]


GROWN = functools.cache(lambda: grown(bag_files()["b.mcap"]))


@door(ValueError, OSError, weight=3)
def bag(draw: Any, folder: Path) -> None:
    """Damaged recordings of both storages, and one that grows when it is unpacked."""
    name = draw(st.sampled_from(sorted(bag_files())))
    content = draw(damaged(bag_files()[name], edits=8)) if draw(st.integers(0, 19)) else GROWN()
    put(folder / name, content)
    with BagRecording(folder / name) as recording:
        for frame in recording.sensor_frames():
            assert np.isfinite(frame.points).all() and frame.points.shape[1] == 3


PICKLED = [
    [np.ones((5, 3), np.float32), np.ones((2, 4))],
    np.ones((2, 6, 4, 3), np.uint8),
    {"a": np.float32(1), "b": ("text", 3, None)},
    np.array([np.zeros((2, 3)), np.zeros((5, 3))], object),
]


@door(ValueError, OSError, weight=2)
def data_set_pickle(draw: Any, folder: Path) -> None:
    """Damaged pickles of data sets, and small ones that ask for much."""
    if draw(st.integers(0, 9)):
        content = draw(damaged(pickle.dumps(draw(st.sampled_from(PICKLED)), draw(st.integers(0, 5)))))
    else:
        content = draw(st.sampled_from(PICKLE_BOMBS))
    path = folder / "x.pkl"
    path.write_bytes(content)
    found = load_numpy_pickle(path)
    for read in (as_clouds, as_images):
        try:
            read(found, path)
        except ValueError as error:
            assert "x.pkl" in str(error)


_NEW = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
PICKLE_BOMBS = [
    _NEW + b"(I1000000000000\ntS'b'\ntR.",
    _NEW + b"(L9999999999999999999999L\ntS'b'\ntR.",
    b"c_codecs\nencode\n(V" + b"a" * 100_000 + b"\nS'idna'\ntR.",
    b"\x80\x04" + b"]" + b"\x85" * 200_000 + b".",
    b"\x80\x04\x8e" + (2**40).to_bytes(8, "little"),
    b"\x80\x04(" + b"]q\x00h\x00" * 10_000 + b"t.",
]
