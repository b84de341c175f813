"""What tests and comparisons rely on in sensor_msgs_py.point_cloud2; the real package passes the same tests."""

from __future__ import annotations

import array

import numpy as np
import pytest

pytest.importorskip("sensor_msgs")
point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2")
from sensor_msgs.msg import PointCloud2, PointField  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

F4, F8, U1, U2 = PointField.FLOAT32, PointField.FLOAT64, PointField.UINT8, PointField.UINT16


def fields_of(*entries: tuple[str, int, int, int]) -> list[PointField]:
    return [
        PointField(name=name, offset=offset, datatype=datatype, count=count)
        for name, offset, datatype, count in entries
    ]


XYZ = fields_of(("x", 0, F4, 1), ("y", 4, F4, 1), ("z", 8, F4, 1))
VELODYNE = fields_of(("x", 0, F4, 1), ("y", 4, F4, 1), ("z", 8, F4, 1), ("intensity", 16, F4, 1), ("ring", 20, U2, 1))


@pytest.mark.parametrize(
    ("fields", "point_step", "names", "formats", "offsets", "itemsize"),
    [
        (XYZ, None, ["x", "y", "z"], ["<f4"] * 3, [0, 4, 8], 12),
        (XYZ, 16, ["x", "y", "z"], ["<f4"] * 3, [0, 4, 8], 16),  # padding at the end
        (VELODYNE, 22, ["x", "y", "z", "intensity", "ring"], ["<f4"] * 4 + ["<u2"], [0, 4, 8, 16, 20], 22),  # a gap
        (fields_of(("v", 0, F4, 3)), None, ["v_0", "v_1", "v_2"], ["<f4"] * 3, [0, 4, 8], 12),  # count > 1
        (fields_of(("", 0, U1, 1), ("", 1, U1, 2)), None, ["unnamed_field_0", "unnamed_field_1_0", "unnamed_field_1_1"], ["|u1"] * 3, [0, 1, 2], 3),
        (fields_of(("t", 8, F8, 1), ("x", 0, F4, 1)), None, ["t", "x"], ["<f8", "<f4"], [8, 0], 16),  # any order of offsets
    ],
)  # fmt: skip
def test_dtype_from_fields(fields, point_step, names, formats, offsets, itemsize):
    dtype = point_cloud2.dtype_from_fields(fields, point_step)
    assert list(dtype.names) == names
    assert [dtype.fields[name][0].str for name in names] == formats
    assert [dtype.fields[name][1] for name in names] == offsets
    assert dtype.itemsize == itemsize


@pytest.mark.parametrize(
    "fields",
    [
        fields_of(("x", 0, F4, 1), ("x", 4, F4, 1)),  # a name twice
        fields_of(("v_0", 0, F4, 1), ("v", 4, F4, 2)),  # a name twice after numbering
        fields_of(("x", 0, F4, 0)),  # count 0
    ],
)
def test_dtype_from_wrong_fields(fields):
    with pytest.raises(AssertionError):
        point_cloud2.dtype_from_fields(fields)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("array", (5, 3)),
        ("array", (0, 3)),  # an empty cloud
        ("array", (4, 2, 3)),  # organised: width, height
        ("list", (5, 3)),
        ("list", (0, 3)),
        ("structured", (5, 3)),
        ("structured", (4, 2, 3)),
    ],
)
def test_xyz_goes_and_comes_back(kind, shape):
    points = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 3.5
    given = points.tolist() if kind == "list" else points
    if kind == "structured":
        given = np.ascontiguousarray(points).view(point_cloud2.dtype_from_fields(XYZ))[..., 0]
        cloud = point_cloud2.create_cloud(Header(frame_id="lidar"), XYZ, given)
    else:
        cloud = point_cloud2.create_cloud_xyz32(Header(frame_id="lidar"), given)
    assert cloud.header.frame_id == "lidar"
    assert (cloud.width, cloud.height) == (shape[0], shape[1] if len(shape) == 3 else 1)
    assert (cloud.point_step, cloud.row_step) == (12, 12 * shape[0])
    assert isinstance(cloud.data, array.array)
    assert not cloud.is_bigendian
    assert not cloud.is_dense
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), points.reshape(-1, 3))
    organised = point_cloud2.read_points_numpy(cloud, reshape_organized_cloud=True)
    np.testing.assert_array_equal(organised, points)


def velodyne_cloud(order: str = "<", bad: tuple[int, ...] = ()) -> tuple[PointCloud2, np.ndarray]:
    native = point_cloud2.dtype_from_fields(VELODYNE, 24)
    points = np.zeros(6, native)
    for k, name in enumerate(native.names):
        points[name] = np.arange(6) + 10 * k
    points["y"][list(bad)] = np.nan
    cloud = PointCloud2(height=1, width=6, fields=VELODYNE, point_step=24, row_step=144, is_bigendian=order == ">")
    stored = points.astype(native.newbyteorder(order))
    cloud.data = array.array("B", stored.tobytes())
    return cloud, points


@pytest.mark.parametrize(
    ("options", "names", "rows"),
    [
        ({}, ["x", "y", "z", "intensity", "ring"], [0, 1, 2, 3, 4, 5]),
        ({"field_names": ["z", "x"]}, ["z", "x"], [0, 1, 2, 3, 4, 5]),  # in the order asked for
        ({"field_names": ("x", "y"), "skip_nans": True}, ["x", "y"], [0, 2, 3, 5]),
        ({"field_names": ["x"], "skip_nans": True}, ["x"], [0, 1, 2, 3, 4, 5]),  # only kept fields count
        ({"uvs": [5, 0, 0]}, ["x", "y", "z", "intensity", "ring"], [5, 0, 0]),
        ({"uvs": np.array([2, 3])}, ["x", "y", "z", "intensity", "ring"], [2, 3]),
        ({"uvs": iter([1]), "skip_nans": True}, ["x", "y", "z", "intensity", "ring"], [2]),  # NaNs leave first
    ],
)
def test_read_points(options, names, rows):
    cloud, points = velodyne_cloud(bad=(1, 4))
    read = point_cloud2.read_points(cloud, **options)
    assert list(read.dtype.names) == names
    for name in names:
        np.testing.assert_array_equal(read[name], points[name][rows])


def test_a_dense_cloud_is_taken_at_its_word():
    cloud, points = velodyne_cloud(bad=(1,))
    cloud.is_dense = True
    assert len(point_cloud2.read_points(cloud, skip_nans=True)) == len(points)


def test_big_endian_clouds_give_native_numbers():
    cloud, points = velodyne_cloud(order=">")
    read = point_cloud2.read_points(cloud)
    for name in points.dtype.names:
        np.testing.assert_array_equal(read[name], points[name])
    assert read["x"].dtype == np.dtype(np.float32)


def test_reading_numbers_of_one_kind_from_a_mixed_cloud():
    cloud, points = velodyne_cloud()
    read = point_cloud2.read_points_numpy(cloud, field_names=["x", "y", "z"])
    np.testing.assert_array_equal(read, np.stack([points[n] for n in "xyz"], axis=1))
    assert read.dtype == np.float32


@pytest.mark.parametrize(
    "call",
    [
        lambda cloud: point_cloud2.read_points_numpy(cloud),  # float32 and uint16
        lambda cloud: point_cloud2.read_points(cloud, field_names=["rgb"]),  # no such field
        lambda cloud: point_cloud2.read_points(cloud.data),  # not a message
        lambda cloud: point_cloud2.create_cloud(Header(), VELODYNE, np.zeros((3, 5), np.float32)),  # mixed types from a plain array
        lambda cloud: point_cloud2.create_cloud(Header(), XYZ, np.zeros(3, [("x", "f4"), ("y", "f4")])),  # another layout
        lambda cloud: point_cloud2.create_cloud_xyz32(Header(), np.zeros((2, 2, 2, 3), np.float32)),  # too many dimensions
    ],
)  # fmt: skip
def test_wrong_use_is_an_assertion_error(call):
    cloud, _ = velodyne_cloud()
    with pytest.raises(AssertionError):
        call(cloud)


def test_a_message_cut_short_is_refused():
    cloud, _ = velodyne_cloud()
    cloud.data = cloud.data[:100]
    with pytest.raises((TypeError, ValueError)):
        point_cloud2.read_points(cloud)
