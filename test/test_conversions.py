"""Message fields to arrays: every layout that drivers send, and a sentence for each that is wrong."""

from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from emgait_ros.conversions import (
    camera_from_info,
    cloud_to_points,
    compressed_to_rgb,
    image_to_rgb,
    rigid_transform,
    stamp_ns,
)

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


def test_row_step_of_an_unorganised_cloud_is_not_needed() -> None:
    message = cloud_message(FINITE)
    message.row_step = 0  # some drivers leave it
    np.testing.assert_allclose(cloud_to_points(message), FINITE)


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
        ({"row_step": 20, "height": 2}, "row_step is 20 bytes: 3 points of 16 bytes need 48"),
        ({"data": np.zeros(95, np.uint8)}, "data has 95 bytes: 1 rows of 96 bytes"),
        ({"data": b""}, "data has 0 bytes"),
        ({"datatype": 3}, "x INT16, y INT16, z INT16: expected all FLOAT32"),
        ({"datatype": 99}, "x 99"),
    ],
)
def test_wrong_clouds_are_named(change: dict[str, Any], phrase: str) -> None:
    message = cloud_message(names=change.get("names", "xyz"), height=change.get("height", 1))
    for name, value in change.items():
        if name == "datatype":
            for field in message.fields:
                field.datatype = value
        elif name != "names":
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


@pytest.mark.parametrize(
    ("encoding", "encode", "tolerance"),
    [
        ("rgb8", lambda rgb: rgb, 0),
        ("bgr8", lambda rgb: rgb[..., ::-1], 0),
        ("rgba8", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), 0),
        ("bgra8", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA), 0),
        ("bayer_rggb8", lambda rgb: bayer(rgb, "rggb"), 3),  # interpolated
        ("bayer_bggr8", lambda rgb: bayer(rgb, "bggr"), 3),
        ("bayer_gbrg8", lambda rgb: bayer(rgb, "gbrg"), 3),
        ("bayer_grbg8", lambda rgb: bayer(rgb, "grbg"), 3),
        ("uyvy", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_UYVY), 6),  # half the colours
        ("yuv422", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_UYVY), 6),
        ("yuyv", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_YUY2), 6),
        ("yuv422_yuy2", lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_YUY2), 6),
    ],
)
@pytest.mark.parametrize("padding", [0, 16])
def test_image_encodings(encoding: str, encode: Any, tolerance: int, padding: int) -> None:
    rgb = picture()
    decoded = image_to_rgb(image_message(encode(rgb), encoding, padding))
    assert decoded.shape == rgb.shape
    assert decoded.dtype == np.uint8
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(decoded[inner].astype(int), rgb[inner].astype(int), atol=tolerance)


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
        ({"encoding": "32FC1"}, "encoding '32FC1' is unknown: known are rgb8, bgr8"),
        ({"step": 191}, "step is 191 bytes: 64 rgb8 pixels need 192"),
        ({"step": 0}, "step is 0 bytes"),
        ({"data": b"\0" * 9215}, "data has 9215 bytes"),
        ({"height": 0}, "empty"),
        ({"encoding": "uyvy", "width": 63}, "even width"),
    ],
)
def test_wrong_images_are_named(change: dict[str, Any], phrase: str) -> None:
    message = image_message(picture(), "rgb8")
    vars(message).update(change)
    with pytest.raises(ValueError, match=phrase):
        image_to_rgb(message)


def compressed(data: bytes, kind: str = "jpeg") -> SimpleNamespace:
    return SimpleNamespace(format=kind, data=array.array("B", data))


@pytest.mark.parametrize(("suffix", "tolerance"), [(".jpg", 12), (".png", 0)])
def test_compressed_images(suffix: str, tolerance: int) -> None:
    rgb = picture()
    data = cv2.imencode(suffix, rgb[..., ::-1])[1].tobytes()
    np.testing.assert_allclose(compressed_to_rgb(compressed(data)).astype(int), rgb.astype(int), atol=tolerance)


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


def camera_info(**changes: Any) -> SimpleNamespace:
    values: dict[str, Any] = {
        "width": 1280,
        "height": 720,
        "k": [1000.0, 0, 640, 0, 1000, 360, 0, 0, 1],
        "d": [0.1, -0.2, 0, 0, 0],
        "distortion_model": "plumb_bob",
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False),
    }
    return SimpleNamespace(**{**values, **changes})


def test_camera_model() -> None:
    camera = camera_from_info(camera_info(), np.eye(4), (720, 1280, 3))
    assert (camera.width, camera.height, camera.distortion_model) == (1280, 720, "plumb_bob")
    np.testing.assert_allclose(camera.K, [[1000, 0, 640], [0, 1000, 360], [0, 0, 1]])
    np.testing.assert_allclose(camera.distortion, [0.1, -0.2, 0, 0, 0])


@pytest.mark.parametrize(
    ("changes", "shape", "expected_k"),
    [
        # half resolution: everything halves
        ({"binning_x": 2, "binning_y": 2}, (360, 640), (500, 500, 320, 180)),
        # a cut-out: the principal point moves
        (
            {"roi": SimpleNamespace(x_offset=100, y_offset=50, width=800, height=600)},
            (600, 800),
            (1000, 1000, 540, 310),
        ),
        # both: the cut-out is in full-resolution pixels
        (
            {"binning_x": 2, "binning_y": 2, "roi": SimpleNamespace(x_offset=100, y_offset=50, width=800, height=600)},
            (300, 400),
            (500, 500, 270, 155),
        ),
    ],
)
def test_binning_and_region_of_interest(
    changes: dict[str, Any], shape: tuple[int, int], expected_k: tuple[float, ...]
) -> None:
    K = camera_from_info(camera_info(**changes), np.eye(4), shape).K
    np.testing.assert_allclose((K[0, 0], K[1, 1], K[0, 2], K[1, 2]), expected_k)


@pytest.mark.parametrize(
    ("model", "d", "expected"),
    [
        ("plumb_bob", [0.0] * 5, ("plumb_bob", 0)),  # rectified
        ("", [], ("plumb_bob", 0)),  # a driver that leaves it empty
        ("rational_polynomial", [0.1] * 8, ("rational_polynomial", 8)),
        ("equidistant", [0.0] * 4, ("equidistant", 4)),  # no distortion is not a pinhole here
        ("fisheye", [0.1] * 4, ("equidistant", 4)),  # another name for it
    ],
)
def test_distortion_models(model: str, d: list[float], expected: tuple[str, int]) -> None:
    camera = camera_from_info(camera_info(distortion_model=model, d=d), np.eye(4), (720, 1280))
    assert (camera.distortion_model, len(camera.distortion)) == expected


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"k": [0.0] * 9}, "uncalibrated"),
        ({"width": 640, "height": 480}, "1280 x 720 pixels, but its CameraInfo is for 640 x 480"),
        ({"binning_x": 2}, "for 640 x 720 .1280 x 720 with its binning"),
        ({"distortion_model": "ftheta", "d": [0.1]}, "'ftheta' is unknown"),
        ({"d": [0.1, 0.2, 0.3]}, "3 distortion coefficients for 'plumb_bob': expected 0 or 4 or 5"),
        ({"distortion_model": "", "d": [0.1, 0, 0, 0, 0]}, "'' is unknown"),
    ],
)
def test_wrong_camera_infos_are_named(changes: dict[str, Any], phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase):
        camera_from_info(camera_info(**changes), np.eye(4), (720, 1280, 3))


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
    info = sensor_msgs.CameraInfo(
        width=64, height=48, distortion_model="plumb_bob", k=[50.0, 0.0, 32.0, 0.0, 50.0, 24.0, 0.0, 0.0, 1.0]
    )
    assert camera_from_info(info, np.eye(4), (48, 64, 3)).width == 64
    image = sensor_msgs.Image(
        height=48, width=64, encoding="rgb8", step=192, data=array.array("B", picture().tobytes())
    )
    np.testing.assert_array_equal(image_to_rgb(image), picture())
