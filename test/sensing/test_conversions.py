"""Message fields to arrays: every layout that drivers send, and a sentence for each that is wrong."""

from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from emgait_ros.sensing.conversions import cloud_to_points, compressed_to_rgb, image_to_rgb, rigid_transform, stamp_ns
from emgait_ros.sensing.image_encodings import SignificantBits

XYZ = np.array([[1.5, -2.0, 0.25], [np.nan, 0, 0], [30, 4, -1.75], [0, np.inf, 0], [5, 5, 5], [-1, -2, -3]])
FINITE = XYZ[[0, 2, 4, 5]]


def cloud_message(
    points: np.ndarray = XYZ,
    *,
    dtype: str = "<f4",
    offsets: tuple[int, int, int] = (0, 4, 8),
    point_step: int = 16,
    height: int = 1,
    row_padding: int = 0,
    names: str = "xyz",
) -> SimpleNamespace:
    """A PointCloud2 with the points at the offsets, everything else filled with 0xAA."""
    width = len(points) // height
    row_step = width * point_step + row_padding
    data = np.full(height * row_step, 0xAA, np.uint8)
    for axis, offset in enumerate(offsets):
        values = points[:, axis].astype(dtype)
        for index in range(len(values)):
            row, column = divmod(index, width)
            begin = row * row_step + column * point_step + offset
            data[begin : begin + values.itemsize] = np.frombuffer(values[index : index + 1].tobytes(), np.uint8)
    datatype = 8 if dtype.endswith("8") else 7
    fields = [
        SimpleNamespace(name=n, offset=o, datatype=datatype, count=1) for n, o in zip(names, offsets, strict=True)
    ]
    return SimpleNamespace(
        height=height,
        width=width,
        fields=fields,
        is_bigendian=dtype.startswith(">"),
        point_step=point_step,
        row_step=row_step,
        data=data,
        is_dense=False,
    )


@pytest.mark.parametrize(
    "layout",
    [
        {},  # x y z intensity
        {"point_step": 12},  # nothing but x y z
        {"offsets": (0, 4, 8), "point_step": 48},  # Ouster: a wide point
        {"offsets": (1, 5, 9), "point_step": 13},  # unaligned, tightly packed
        {"offsets": (8, 4, 0)},  # z y x
        {"offsets": (20, 0, 8), "point_step": 24},  # scattered
        {"dtype": "<f8", "offsets": (0, 8, 16), "point_step": 32},  # doubles
        {"dtype": ">f4"},  # big-endian
        {"dtype": ">f8", "offsets": (0, 8, 16), "point_step": 24},  # both
        {"height": 2},  # organised
        {"height": 3, "row_padding": 20},  # organised with padded rows
    ],
)
@pytest.mark.parametrize("container", [np.asarray, bytes, lambda data: array.array("B", bytes(data))])
def test_cloud_layouts(layout: dict[str, Any], container: Any) -> None:
    message = cloud_message(**layout)
    message.data = container(message.data)
    points = cloud_to_points(message)
    assert points.dtype == np.float32
    assert points.flags.c_contiguous
    np.testing.assert_allclose(points, FINITE)


def test_a_plain_finite_cloud_is_not_copied() -> None:
    message = cloud_message(FINITE, point_step=12)
    assert np.shares_memory(cloud_to_points(message), message.data)


@pytest.mark.parametrize(
    ("layout", "change", "noted"),
    [
        # what PointCloud2Modifier::resize(width, height) leaves: all bytes
        ({"height": 2, "point_step": 32}, {"row_step": 192}, 1),
        ({"height": 2}, {"row_step": 0}, 1),  # Velodyne, Gazebo plugins
        ({"height": 2}, {"row_step": 3}, 1),  # points, not bytes
        ({}, {"row_step": 640}, 1),  # of the cloud before invalid points were removed
        ({}, {"row_step": 0}, 1),
        ({}, {"height": 0}, 1),
        ({"height": 2}, {}, 0),
        ({"height": 2, "row_padding": 8}, {}, 0),
        ({"dtype": ">f4"}, {}, 0),
        ({}, {"is_bigendian": True}, 1),
        ({"dtype": "<f8", "offsets": (0, 8, 16), "point_step": 24}, {"is_bigendian": True}, 1),
        ({}, {"is_dense": True}, 0),
        ({"names": "XYZ"}, {}, 0),
        ({}, {"count": 0}, 0),  # of the fields; others give the number of points
        ({}, {"data": "longer"}, 0),
    ],
)
def test_fields_that_drivers_leave_wrong_are_read_by_what_the_data_says(
    layout: dict[str, Any], change: dict[str, Any], noted: int
) -> None:
    message, notes = cloud_message(**layout), []
    for name, value in change.items():
        if name == "count":
            for field in message.fields:
                field.count = value
        else:
            setattr(message, name, np.append(message.data, np.zeros(50, np.uint8)) if name == "data" else value)
    np.testing.assert_allclose(cloud_to_points(message, notes.append), FINITE)
    assert len(notes) == noted


def test_of_fields_with_one_name_the_first_counts() -> None:
    message = cloud_message()
    message.fields.append(SimpleNamespace(name="X", offset=12, datatype=7, count=1))
    np.testing.assert_allclose(cloud_to_points(message), FINITE)


def test_an_organized_cloud_with_a_wrong_row_step_is_not_copied() -> None:
    message = cloud_message(np.arange(363, dtype=float).reshape(121, 3), point_step=12, height=11)
    message.row_step = 1452
    assert np.shares_memory(cloud_to_points(message), message.data)


@pytest.mark.parametrize(("height", "width"), [(0, 0), (1, 0), (0, 64)])
def test_an_empty_cloud_has_no_points(height: int, width: int) -> None:
    message = SimpleNamespace(
        height=height, width=width, fields=[], point_step=0, row_step=0, data=b"", is_bigendian=False
    )
    assert cloud_to_points(message).shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"names": "xyw"}, "has no field z: its fields are x, y, w"),
        ({"names": "uvw"}, "has no field x, y, z"),
        ({"point_step": 10}, "point_step is 10 bytes"),
        ({"point_step": 0}, "point_step is 0 bytes"),
        ({"row_step": 20, "height": 2, "data": np.zeros(99, np.uint8)}, "row_step is 20 bytes: 3 points of 16 bytes need 48"),
        ({"row_step": 60, "height": 2, "data": np.zeros(99, np.uint8)}, "data has 99 bytes: 2 rows of 60 bytes need 120"),
        ({"data": np.zeros(95, np.uint8)}, "data has 95 bytes: 1 rows of 6 points of 16 bytes need 96"),
        ({"data": b""}, "data has 0 bytes"),
        ({"width": 24}, "data has 96 bytes: 1 rows of 24 points"),  # CARLA once: the number of floats
        ({"width": 0}, "height is 1 and its width 0, but its data has 96 bytes"),
        ({"datatype": 3}, "x INT16, y INT16, z INT16: expected all FLOAT32"),
        ({"datatype": 99}, "x 99"),
        ({"offset": 0}, "overlap"),
    ],
)  # fmt: skip
def test_wrong_clouds_are_named(change: dict[str, Any], phrase: str) -> None:
    message = cloud_message(names=change.get("names", "xyz"), height=change.get("height", 1))
    for name, value in change.items():
        if name in ("datatype", "offset"):
            for field in message.fields:
                setattr(field, name, value)
        elif name not in ("names", "height"):
            setattr(message, name, value)
    with pytest.raises(ValueError, match=phrase):
        cloud_to_points(message)


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth RGB picture whose three channels differ."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([60 + 2 * x, 200 - 3 * y, 20 + x + y], axis=-1).astype(np.uint8)


def bayer(rgb: np.ndarray, pattern: str) -> np.ndarray:
    """The mosaic a sensor with this 2x2 pattern (row by row) would read."""
    mosaic = np.empty(rgb.shape[:2], np.uint8)
    for index, colour in enumerate(pattern):
        row, column = divmod(index, 2)
        mosaic[row::2, column::2] = rgb[row::2, column::2, "rgb".index(colour)]
    return mosaic


def image_message(pixels: np.ndarray, encoding: str, padding: int = 0) -> SimpleNamespace:
    rows = pixels.reshape(len(pixels), -1)
    rows = np.hstack([rows, np.full((len(rows), padding), 0xAA, np.uint8)])
    return SimpleNamespace(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=rows.shape[1],
        data=array.array("B", rows.tobytes()),
    )


def sixteen(rgb: np.ndarray, order: str = "<") -> np.ndarray:
    """The same with 16 bits a value, as bytes."""
    values = (rgb.astype(np.uint16) * 256 + 128).astype(f"{order}u2")
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(rgb), -1)


ENCODINGS = [
    ("rgb8", lambda rgb: rgb, 0),
    ("bgr8", lambda rgb: rgb[..., ::-1], 0),
    ("8UC3", lambda rgb: rgb[..., ::-1], 0),
    ("rgba8", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), 0),
    ("bgra8", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA), 0),
    ("rgb16", sixteen, 0),
    ("bgr16", lambda rgb: sixteen(rgb[..., ::-1]), 0),
    ("rgba16", lambda rgb: sixteen(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)), 0),
    ("bayer_rggb8", lambda rgb: bayer(rgb, "rggb"), 3),  # interpolated
    ("bayer_bggr8", lambda rgb: bayer(rgb, "bggr"), 3),
    ("bayer_gbrg8", lambda rgb: bayer(rgb, "gbrg"), 3),
    ("bayer_grbg8", lambda rgb: bayer(rgb, "grbg"), 3),
    ("bayer_rggb16", lambda rgb: sixteen(bayer(rgb, "rggb")), 3),
    ("uyvy", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_UYVY), 6),  # half the colors
    ("UYVY", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_UYVY), 6),
    ("yuv422", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_UYVY), 6),
    ("yuyv", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_YUY2), 6),
    ("yuv422_yuy2", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_YUY2), 6),
]


@pytest.mark.parametrize(("encoding", "encode", "tolerance"), ENCODINGS, ids=[e[0] for e in ENCODINGS])
@pytest.mark.parametrize("padding", [0, 16])
def test_image_encodings(encoding: str, encode: Any, tolerance: int, padding: int) -> None:
    rgb = picture()
    message, notes = image_message(encode(rgb), encoding, padding), []
    message.width = rgb.shape[1]
    decoded = image_to_rgb(message, notes.append)
    assert decoded.shape == rgb.shape
    assert decoded.dtype == np.uint8
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(decoded[inner].astype(int), rgb[inner].astype(int), atol=tolerance)
    assert not notes
    if not padding:  # packed rows need no step
        message.step = 0
        np.testing.assert_array_equal(image_to_rgb(message, notes.append), decoded)
        assert len(notes) == 1


def test_sixteen_bits_of_either_byte_order() -> None:
    rgb = picture()
    message = image_message(sixteen(rgb, ">"), "rgb16")
    message.width, message.is_bigendian = rgb.shape[1], 1
    np.testing.assert_array_equal(image_to_rgb(message), rgb)


@pytest.mark.parametrize(("used", "noted"), [(10, 1), (12, 1), (14, 1), (16, 0)])
@pytest.mark.parametrize("compressed", [False, True])
def test_cameras_that_use_fewer_than_sixteen_bits_are_not_dark(used: int, noted: int, compressed: bool) -> None:
    grey, notes, bits = picture()[..., 0], [], SignificantBits()
    for dark in (1, 8):  # the second is darker, and stays so
        values = (grey // dark).astype(np.uint16) << (used - 8)
        if compressed:
            data = cv2.imencode(".png", values)[1].tobytes()
            message = SimpleNamespace(format="mono16; png compressed ", data=data)
        else:
            message = image_message(values.view(np.uint8), "mono16")
            message.width = grey.shape[1]
        decoded = (compressed_to_rgb if compressed else image_to_rgb)(message, notes.append, bits)
        np.testing.assert_array_equal(decoded, np.stack([grey // dark] * 3, axis=-1))
    assert (len(notes), len(set(notes))) == (2 * noted, noted)


@pytest.mark.parametrize(
    ("brightest", "bits"),
    [
        ((900, 60_000, 900, 900), (10, 10, 10, 10)),  # one image is damaged
        ((900, 3_000, 3_100, 3_200, 900), (10, 10, 10, 12, 12)),  # the sun comes out
        ((900, 3_000, 900, 3_000, 3_000), (10, 10, 10, 10, 10)),
        ((60_000, 900, 900, 900), (16, 16, 16, 16)),
    ],
)
def test_bits_of_a_camera_follow_several_images_not_one(brightest: tuple[int, ...], bits: tuple[int, ...]) -> None:
    camera, found = SignificantBits(), []
    for value in brightest:
        seen, _ = camera.upper_eight(np.array([[0, value]], np.uint16))
        found.append(camera.bits)
        assert seen[0, 1] == min(value >> (camera.bits - 8), 255)  # white, never wrapped round
    assert tuple(found) == bits


def planes(rgb: np.ndarray, encoding: str, step: int) -> np.ndarray:
    """Rows of NV12, NV21 or NV24 of any size, from the definition: Y, then pairs of the mean U and V."""
    height, width = rgb.shape[:2]
    ycrcb = np.array([[0.257, 0.504, 0.098, 16], [0.439, -0.368, -0.071, 128], [-0.148, -0.291, 0.439, 128]])
    y, v, u = np.moveaxis(cv2.transform(rgb, ycrcb), 2, 0)
    if encoding != "nv24":
        u, v = (np.pad(c, ((0, height % 2), (0, width % 2)), "edge").astype(float) for c in (u, v))
        u, v = (c.reshape(-(-height // 2), 2, -1, 2).mean((1, 3)) for c in (u, v))
    pairs = np.stack([v, u] if encoding == "nv21" else [u, v], axis=-1).reshape(len(u), -1).astype(np.uint8)
    if encoding == "nv24":
        pairs = np.pad(pairs, ((0, 0), (0, 2 * (step - width))), constant_values=170).reshape(-1, step)
    return np.vstack([np.pad(p, ((0, 0), (0, step - p.shape[1])), constant_values=170) for p in (y, pairs)])


@pytest.mark.parametrize(
    ("encoding", "size", "step", "said"),
    [  # the picture's height and width; the step of the data; height and step that the message says, if others
        ("nv12", (48, 64), 64, {}),
        ("nv12", (48, 64), 80, {}),  # padded
        ("nv12", (48, 64), 64, {"height": 72}),  # the height of the buffer
        ("nv12", (48, 64), 80, {"height": 72}),
        ("nv12", (48, 64), 64, {"step": 0}),
        ("nv12", (48, 64), 64, {"step": 96}),  # 1.5 bytes a pixel
        ("nv12", (47, 63), 64, {}),
        ("nv12", (47, 64), 64, {}),
        ("nv12", (48, 63), 70, {}),
        ("nv21", (48, 64), 64, {}),
        ("NV21", (48, 64), 72, {}),
        ("nv24", (48, 64), 64, {}),
        ("nv24", (47, 63), 63, {}),
        ("nv24", (48, 64), 80, {}),
    ],
)
def test_images_in_planes(encoding: str, size: tuple[int, int], step: int, said: dict[str, int]) -> None:
    rgb, notes = picture(*size), []
    message = image_message(planes(rgb, encoding.lower(), step), encoding)
    message.height, message.width = size
    vars(message).update(said)
    decoded = image_to_rgb(message, notes.append)
    assert decoded.shape == rgb.shape
    assert decoded.dtype == np.uint8
    np.testing.assert_allclose(decoded.astype(int), rgb.astype(int), atol=8)
    assert len(notes) == len(said)


def test_grey_becomes_three_equal_channels() -> None:
    grey = picture()[..., 1]
    decoded = image_to_rgb(image_message(grey, "mono8"))
    np.testing.assert_array_equal(decoded, np.repeat(grey[..., None], 3, axis=2))


def test_a_plain_rgb_image_is_not_copied() -> None:
    message = image_message(picture(), "rgb8")
    assert np.shares_memory(image_to_rgb(message), np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"encoding": "32FC1"}, "'32FC1' is a depth image"),
        ({"encoding": "16UC1"}, "'16UC1' is a depth image"),
        ({"encoding": "p010"}, "encoding 'p010' is unknown: known are rgb8, bgr8"),
        ({"step": 191, "data": b"\0" * 9300}, "step is 191 bytes: 64 x 48 rgb8 pixels need 192"),
        ({"data": b"\0" * 9215}, "data has 9215 bytes"),
        ({"encoding": "nv12", "step": 64, "data": b"\0" * 4600}, "data has 4600 bytes: 64 x 48 nv12 pixels with step 64 need 4608"),
        ({"encoding": "nv12", "width": 63, "step": 63, "data": b"\0" * 63 * 72}, "63 x 48 nv12 pixels need 64"),
        ({"encoding": "nv24", "step": 64, "data": b"\0" * 9000}, "data has 9000 bytes"),
        ({"encoding": "nv21", "step": 128, "data": b"\0" * 6144}, "data has 6144 bytes"),  # Isaac Sim: two bytes a pixel
        ({"height": 0}, "empty"),
        ({"encoding": "uyvy", "width": 63}, "even width"),
    ],
)  # fmt: skip
def test_wrong_images_are_named(change: dict[str, Any], phrase: str) -> None:
    message = image_message(picture(), "rgb8")
    vars(message).update(change)
    with pytest.raises(ValueError, match=phrase):
        image_to_rgb(message)


def compressed(data: bytes, kind: str = "jpeg") -> SimpleNamespace:
    return SimpleNamespace(format=kind, data=array.array("B", data))


@pytest.mark.parametrize(
    ("suffix", "kind", "tolerance"),
    [
        (".jpg", "jpeg", 12),
        (".jpg", "rgb8; jpeg compressed bgr8", 12),
        (".jpg", "", 12),
        (".png", "png", 0),
        (".png", "rgb8; png compressed bgr8", 0),
        (".webp", "webp", 25),
    ],
)
def test_compressed_images(suffix: str, kind: str, tolerance: int) -> None:
    rgb = picture()
    data = cv2.imencode(suffix, rgb[..., ::-1])[1].tobytes()
    np.testing.assert_allclose(compressed_to_rgb(compressed(data, kind)).astype(int), rgb.astype(int), atol=tolerance)


def test_the_format_says_what_the_encoder_got() -> None:
    """As sensor_msgs/CompressedImage has it: colors in another order, or a mosaic."""
    rgb = picture()
    swapped = cv2.imencode(".png", rgb)[1].tobytes()
    np.testing.assert_array_equal(compressed_to_rgb(compressed(swapped, "rgb8; png compressed rgb8")), rgb)
    mosaic = cv2.imencode(".png", bayer(rgb, "rggb"))[1].tobytes()
    decoded = compressed_to_rgb(compressed(mosaic, "bayer_rggb8; png compressed "))
    np.testing.assert_allclose(decoded[2:-2, 2:-2].astype(int), rgb[2:-2, 2:-2].astype(int), atol=3)
    grey = compressed_to_rgb(compressed(cv2.imencode(".jpg", rgb[..., 1])[1].tobytes(), "mono8; jpeg compressed "))
    np.testing.assert_allclose(grey.astype(int), np.repeat(rgb[..., 1:2], 3, 2).astype(int), atol=12)


def test_a_jpeg_may_be_padded_with_zeros() -> None:
    """As webcams do whose buffers have one size for every picture."""
    data = cv2.imencode(".jpg", picture())[1].tobytes()
    np.testing.assert_array_equal(
        compressed_to_rgb(compressed(data + bytes(5000))), compressed_to_rgb(compressed(data))
    )


DEPTH_PNG = cv2.imencode(".png", np.full((48, 64), 2000, np.uint16))[1].tobytes()


@pytest.mark.parametrize(
    ("kind", "data", "phrase"),
    [
        ("16UC1; png compressed ", DEPTH_PNG, "depth image"),  # a depth camera's topic .../compressed
        ("h264", b"\0\0\0\1\x67\x42" * 50, "packet of a video.*JPEG or raw"),
        ("jpeg", b"\0\0\1\x67\x42" * 50, "packet of a video"),  # said wrongly: the data decides
        ("16UC1; compressedDepth png", b"\1" * 12 + b"\x89PNG" + b"\0" * 50, "depth image"),
    ],
)
def test_compressed_images_that_are_no_picture_are_named(kind: str, data: bytes, phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        compressed_to_rgb(compressed(data, kind))


@pytest.mark.parametrize(
    ("damage", "phrase"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: b"hello" * 100, "no JPEG or PNG"),
        (lambda data: data[: len(data) // 2], "cut off"),  # libjpeg would fill the rest with grey
    ],
)
def test_damaged_compressed_images_are_named(damage: Any, phrase: str) -> None:
    data = cv2.imencode(".jpg", picture())[1].tobytes()
    with pytest.raises(ValueError, match=phrase):
        compressed_to_rgb(compressed(damage(data)))


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),  # not 4x4
        np.diag([1.0, 1, -1, 1]),  # a mirror
        np.diag([2.0, 2, 2, 1]),  # scaled
        np.full((4, 4), np.nan),
    ],
)
def test_a_transform_that_is_not_rigid_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="T_camera_lidar"):
        rigid_transform(matrix, "T_camera_lidar")


def test_received_ros_messages() -> None:
    sensor_msgs = pytest.importorskip("sensor_msgs.msg")
    from std_msgs.msg import Header

    header = Header()
    header.stamp.sec, header.stamp.nanosec = 12, 34
    assert stamp_ns(header) == 12_000_000_034
    plain = cloud_message()
    fields = [sensor_msgs.PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=1) for f in plain.fields]
    message = sensor_msgs.PointCloud2(
        height=1,
        width=plain.width,
        fields=fields,
        point_step=16,
        row_step=plain.row_step,
        data=array.array("B", bytes(plain.data)),
    )
    np.testing.assert_allclose(cloud_to_points(message), FINITE)
    image = sensor_msgs.Image(
        height=48, width=64, encoding="rgb8", step=192, data=array.array("B", picture().tobytes())
    )
    np.testing.assert_array_equal(image_to_rgb(image), picture())
