"""Quality of service from YAML, in the form of `ros2 bag play`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from emgait_ros.live.qos_overrides import overridden, read_qos_overrides

GOOD = """
/lidar/points:
  reliability: best_effort
  history: keep_all
  deadline: {sec: 1, nsec: 500000000}
/camera/image: {depth: 3, durability: transient_local, liveliness: automatic, avoid_ros_namespace_conventions: false}
"""


def test_policies_replace_what_would_be_offered(tmp_path: Path) -> None:
    file = tmp_path / "qos.yaml"
    file.write_text(GOOD)
    overrides = read_qos_overrides(file)
    offered = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)
    cloud = overridden(offered, overrides["/lidar/points"])
    assert (cloud.reliability, cloud.history) == (ReliabilityPolicy.BEST_EFFORT, HistoryPolicy.KEEP_ALL)
    assert cloud.durability == DurabilityPolicy.VOLATILE
    assert cloud.deadline.nanoseconds == 1_500_000_000
    image = overridden(offered, overrides["/camera/image"])
    assert (image.depth, image.durability) == (3, DurabilityPolicy.TRANSIENT_LOCAL)
    assert image.reliability == ReliabilityPolicy.RELIABLE
    assert overridden(offered, {}) == offered


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("[1, 2]", "holds no QoS overrides"),
        ("/points: best_effort", "holds no QoS overrides"),
        ("/points: {reliability: best}", "reliability is 'best': expected system_default, reliable, best_effort"),
        ("/points: {depth: -1}", "depth is '-1': expected a number"),
        ("/points: {depth: true}", "depth is 'True': expected a number"),
        ("/points: {avoid_ros_namespace_conventions: 1}", "expected true or false"),
        ("/points: {deadline: 3}", "deadline is '3': expected {sec:"),
        ("/points: {reliabilty: reliable}", "'reliabilty' is no policy: expected history"),
        ("/points: {", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, phrase: str) -> None:
    file = tmp_path / "qos.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=re.escape(str(file))) as error:
        read_qos_overrides(file)
    assert phrase in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yaml cannot be read"):
        read_qos_overrides(tmp_path / "none.yaml")
