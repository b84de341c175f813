"""Fixtures of the node tests: real nodes as processes on a real DDS domain of this test session's own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

import rclpy
from live_graph import LiveGraph, NodeProcess
from rclpy.context import Context

from emgait_ros.inference.bundle import default_bundle_path
from emgait_ros.transport import use_shipped_profile

use_shipped_profile()


@pytest.fixture(scope="module")
def graph() -> Iterator[LiveGraph]:
    """The test's own node."""
    live = LiveGraph()
    yield live
    live.close()


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    """For nodes within the test's own process."""
    made = Context()
    rclpy.init(context=made)
    yield made
    made.try_shutdown()


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., NodeProcess]]:
    """Starts nodes as processes; those that still run at the end must stop cleanly on SIGINT."""
    processes: list[NodeProcess] = []

    def start_node(name: str, **parameters: object) -> NodeProcess:
        processes.append(NodeProcess(name, **parameters))
        return processes[-1]

    yield start_node
    running = [process for process in processes if process.process.poll() is None]
    for process in running:
        process.process.send_signal(signal.SIGINT)
    assert [process.wait() for process in running] == [0] * len(running), [process.output for process in running]


@pytest.fixture(scope="session")
def bundle_folder() -> Path:
    """The shipped model bundle."""
    return default_bundle_path()
