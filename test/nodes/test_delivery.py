"""Waiting until what was published has arrived, with a listener that stands still in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from live_graph import PATIENCE_S, ROOT, LiveGraph, qos
from std_msgs.msg import String

from emgait_ros.nodes.delivery import delivered

pytestmark = pytest.mark.ros

LISTENER = """
import rclpy
from std_msgs.msg import String
rclpy.init()
node = rclpy.create_node("listener")
node.create_subscription(String, "/delivery", lambda message: print(message.data, flush=True), 10)
rclpy.spin(node)
"""


@pytest.fixture
def listener() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", LISTENER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_a_listener_that_stands_still_is_waited_for_and_nobody_is_held_up(
    graph: LiveGraph, listener: subprocess.Popen[str]
) -> None:
    publisher = graph.node.create_publisher(String, "/delivery", qos())
    assert delivered([publisher], 0.0), "nobody listens"
    assert graph.wait(publisher.get_subscription_count)
    assert delivered([publisher], PATIENCE_S)
    os.kill(listener.pid, signal.SIGSTOP)
    publisher.publish(String(data="the last"))
    waits, others = threading.Event(), []

    def meanwhile() -> None:
        while not waits.wait(0.01):
            others.append(1)

    thread = threading.Thread(target=meanwhile)
    thread.start()
    assert not delivered([publisher], 1.0)
    waits.set()
    thread.join()
    assert len(others) > 2, "other threads of this process go on"
    assert not delivered([publisher], PATIENCE_S, runs=lambda: False)
    os.kill(listener.pid, signal.SIGCONT)
    assert delivered([publisher], PATIENCE_S)
    assert listener.stdout is not None
    assert listener.stdout.readline() == "the last\n"
    graph.node.destroy_publisher(publisher)


def test_best_effort_is_not_waited_for(graph: LiveGraph) -> None:
    publisher = graph.node.create_publisher(String, "/delivery", qos("best_effort"))
    publisher.publish(String(data="lost or not"))
    assert delivered([publisher], 0.0)
    graph.node.destroy_publisher(publisher)
