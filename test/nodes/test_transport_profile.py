"""The shipped profile really reaches Fast DDS: large best-effort messages arrive between two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from array import array

import pytest
from live_graph import LiveGraph, qos
from sensor_msgs.msg import PointCloud2

from emgait_ros.transport import PROFILE_VARIABLES

pytestmark = pytest.mark.ros

SENDER = """
import array, time, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from emgait_ros.transport import use_shipped_profile
use_shipped_profile()
rclpy.init()
node = rclpy.create_node("sender")
publisher = node.create_publisher(PointCloud2, "/large", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
while not publisher.get_subscription_count():
    time.sleep(0.02)
time.sleep(0.5)
message = PointCloud2(data=array.array("B", bytes(3_000_000)))
for number in range(20):
    message.width = number
    publisher.publish(message)
    time.sleep(0.2)
time.sleep(1.0)
"""


def test_large_best_effort_messages_arrive(graph: LiveGraph):
    received: list[int] = []

    def note(message: PointCloud2) -> None:
        assert isinstance(message.data, array)
        received.append(message.width)

    graph.node.create_subscription(PointCloud2, "/large", note, qos("best_effort", depth=20))
    environment = {name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES}
    subprocess.run([sys.executable, "-c", SENDER], env=environment, check=True, timeout=300, cwd=os.getcwd())
    assert graph.wait(lambda: len(received) >= 19), (
        f"{len(received)} of 20 arrived: without the profile it is one in three, or none"
    )
