"""The tree of frames: chains, times between, and what is not known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emgait_ros.sensing.frames import FrameTree, NotYetError

S = 10**9


def message(*transforms: tuple[str, str, int, tuple[float, ...], tuple[float, ...]]) -> Any:
    """A TFMessage of (parent, child, stamp in ns, rotation vector in rad, translation in m)."""
    stamped = []
    for parent, child, at_ns, turn, place in transforms:
        q = Rotation.from_rotvec(turn).as_quat()
        transform = SimpleNamespace(
            translation=SimpleNamespace(**dict(zip("xyz", place, strict=True))),
            rotation=SimpleNamespace(**dict(zip("xyzw", q.tolist(), strict=True))),
        )
        stamp = SimpleNamespace(sec=at_ns // S, nanosec=at_ns % S)
        header = SimpleNamespace(stamp=stamp, frame_id=parent)
        stamped.append(SimpleNamespace(header=header, child_frame_id=child, transform=transform))
    return SimpleNamespace(transforms=stamped)


def pose(turn: tuple[float, ...], place: tuple[float, ...]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), place
    return matrix


@pytest.fixture
def tree() -> FrameTree:
    """odom -> base (moves, known from 10 s to 11 s) -> lidar, camera (static); map -> odom (moves slowly)."""
    tree = FrameTree()
    for tenth in range(11):
        at_ns = 10 * S + tenth * S // 10
        tree.add(message(("odom", "base", at_ns, (0, 0, 0.1 * tenth), (0.2 * tenth, 0, 0))), is_static=False)
    for second in (5, 15):
        tree.add(message(("/map", "/odom", second * S, (0, 0, 0), (second, 1, 0))), is_static=False)
    tree.add(
        message(("base", "lidar", 0, (0, 0, 0), (0, 0, 1.7)), ("base", "camera", 0, (0, 0.3, 0), (0.1, 0, 1))),
        is_static=True,
    )
    return tree


LIDAR, CAMERA = pose((0, 0, 0), (0, 0, 1.7)), pose((0, 0.3, 0), (0.1, 0, 1))


@pytest.mark.parametrize(
    ("target", "source", "at_ns", "expected"),
    [
        ("odom", "lidar", 10 * S, LIDAR),
        ("odom", "lidar", 10 * S + S // 4, pose((0, 0, 0.25), (0.5, 0, 0)) @ LIDAR),  # between two
        ("odom", "lidar", None, pose((0, 0, 1.0), (2, 0, 0)) @ LIDAR),  # the newest
        ("map", "base", 10 * S + S // 2, pose((0, 0, 0), (10.5, 1, 0)) @ pose((0, 0, 0.5), (1, 0, 0))),
        ("lidar", "odom", 10 * S + S // 4, np.linalg.inv(pose((0, 0, 0.25), (0.5, 0, 0)) @ LIDAR)),
        ("camera", "lidar", 99 * S, np.linalg.inv(CAMERA) @ LIDAR),  # static: at any time
        ("/camera", "/lidar", None, np.linalg.inv(CAMERA) @ LIDAR),
        ("lidar", "/lidar", 99 * S, np.eye(4)),
    ],
)
def test_chains(tree: FrameTree, target: str, source: str, at_ns: int | None, expected: np.ndarray) -> None:
    np.testing.assert_allclose(tree.matrix(target, source, at_ns), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("target", "source", "at_ns", "error", "words"),
    [
        ("odom", "lidar", 11 * S + 1, NotYetError, "TF knows 'base' only before"),
        ("odom", "lidar", 10 * S - 1, ValueError, "TF knows 'base' only after"),
        (
            "odom",
            "lidar",
            48 * S,
            ValueError,
            "only before that stamp, by more than 10 s: the sensor's clock",
        ),  # TAI, 37 s ahead: waiting does not help
        (
            "odom",
            "lidar",
            -15 * S,
            ValueError,
            "only after that stamp, by more than 10 s: the sensor's clock",
        ),  # since boot
        ("odom", "wheel", None, ValueError, "does not connect them .it has base, camera, lidar, map, odom"),
        ("odom", "", None, ValueError, "empty frame_id"),
    ],
)
def test_what_is_not_known_is_said(
    tree: FrameTree, target: str, source: str, at_ns: int | None, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as raised:
        tree.matrix(target, source, at_ns)
    assert isinstance(raised.value, NotYetError) == (error is NotYetError)


def test_a_jump_back_forgets_what_moves(tree: FrameTree) -> None:
    tree.add(message(("odom", "base", 2 * S, (0, 0, 0), (7, 0, 0))), is_static=False)
    np.testing.assert_allclose(tree.matrix("odom", "lidar", 2 * S)[:3, 3], (7, 0, 1.7))
    with pytest.raises(NotYetError):
        tree.matrix("odom", "lidar", 10 * S)
    with pytest.raises(ValueError, match="does not connect"):
        tree.matrix("map", "base", None)
    tree.matrix("camera", "lidar", 10 * S)


def test_transforms_out_of_order_are_put_in_their_place(tree: FrameTree) -> None:
    tree.add(message(("odom", "base", 10 * S + 950_000_000, (0, 0, 0.95), (3, 0, 0))), is_static=False)
    assert tree.matrix("odom", "base", 10 * S + 950_000_000)[0, 3] == pytest.approx(3)
    assert tree.matrix("odom", "base", None)[0, 3] == pytest.approx(2)


def test_history_is_bounded() -> None:
    tree = FrameTree()
    for step in range(3000):
        tree.add(message(("odom", "base", step * S // 100, (0, 0, 0), (step, 0, 0))), is_static=False)
    with pytest.raises(ValueError, match="only after"):
        tree.matrix("odom", "base", 15 * S)
    assert tree.matrix("odom", "base", 20 * S)[0, 3] == pytest.approx(2000)


def test_useless_transforms_are_left_out_and_loops_end() -> None:
    tree = FrameTree()
    bad = message(("a", "b", S, (0, 0, 0), (0, 0, 0)), ("a", "a", S, (0, 0, 0), (0, 0, 0)))
    bad.transforms[0].transform.rotation.w = 0.0
    problems = tree.add(bad, is_static=False)
    assert ["unit quaternion" in sentence for sentence in problems] == [True, False]
    tree.add(message(("a", "b", S, (0, 0, 0), (1, 0, 0)), ("b", "a", S, (0, 0, 0), (1, 0, 0))), is_static=False)
    with pytest.raises(ValueError, match="does not connect"):
        tree.matrix("c", "a", None)


def test_the_same_as_tf2(tree: FrameTree) -> None:
    """Against the real tf2 where it is installed."""
    tf2_py = pytest.importorskip("tf2_py", reason="tf2 is not installed here (PyPI has none)")
    from builtin_interfaces.msg import Time as Stamp
    from geometry_msgs.msg import TransformStamped
    from rclpy.duration import Duration
    from rclpy.time import Time

    core, ours, rng = tf2_py.BufferCore(Duration(seconds=10)), FrameTree(), np.random.default_rng(0)
    steps = [("odom", "base", False), ("base", "mast", False), ("mast", "lidar", True), ("base", "camera", True)]
    for parent, child, is_static in steps:
        for at_ns in [0] if is_static else range(S, 4 * S, 90_000_000):
            made = message((parent, child, at_ns, tuple(rng.normal(0, 0.6, 3)), tuple(rng.normal(0, 3, 3))))
            ours.add(made, is_static)
            (theirs,) = made.transforms
            stamped = TransformStamped(child_frame_id=child)
            stamped.header.frame_id = parent
            stamped.header.stamp = Stamp(sec=at_ns // S, nanosec=at_ns % S)
            for part, names in (("translation", "xyz"), ("rotation", "xyzw")):
                for name in names:
                    value = float(getattr(getattr(theirs.transform, part), name))
                    setattr(getattr(stamped.transform, part), name, value)
            (core.set_transform_static if is_static else core.set_transform)(stamped, "test")
    for at_ns in [1_230_000_000, 2 * S, 3_333_333_333]:
        for target, source in (("odom", "lidar"), ("camera", "lidar"), ("lidar", "odom")):
            theirs = core.lookup_transform_core(target, source, Time(nanoseconds=at_ns))
            t, q = theirs.transform.translation, theirs.transform.rotation
            expected = pose(tuple(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_rotvec()), (t.x, t.y, t.z))
            np.testing.assert_allclose(ours.matrix(target, source, at_ns), expected, atol=1e-6)
