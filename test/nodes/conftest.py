"""Fixtures of the node tests: real nodes as processes on a real DDS domain of this test session's own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from live_graph import LiveGraph, NodeProcess

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
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model bundle; where there is none yet, a small one with random weights."""
    shipped = default_bundle_path()
    if (shipped / "manifest.json").is_file():
        return shipped
    torch = pytest.importorskip("torch")
    from emgait_ros.emgaitnet.export import write_bundle
    from emgait_ros.emgaitnet.fast import FastEMGaitNet
    from emgait_ros.emgaitnet.network_config import ClipConfig, EMGaitNetConfig
    from emgait_ros.inference.preprocessing import Preprocessing

    clip = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": [32, 16], "patch_size": 8, "width": 32, "head_width": 16, "layers": 1},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    config = EMGaitNetConfig.small(
        image_height=32, image_width=16, channels=(4, 8, 8, 8), point_channels=(8, 16), neighbours=5,
        width=16, heads=2, scaf_layers=1, parts=4, clip=ClipConfig(own=clip),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("models")
    return write_bundle(FastEMGaitNet(config), folder, "untrained", Preprocessing(), threshold=1.5).folder
